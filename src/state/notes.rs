//! Notes under landed commits: a display of what the events say, which losing loses nothing.
//!
//! `git notes append` loses lines when two processes write (it names no old value), so the notes are written to a
//! private ref and moved into place by compare-and-swap, several refs at once.

use crate::env::Env;
use crate::error::{Context as _, Error, Result};
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::{Git, Oid, Repo};

/// Notes for one ref.
#[derive(Debug, Clone)]
pub struct Notes {
    /// `gate`, `scan`.
    pub kind: &'static str,
    /// Commit and text, one line each.
    pub lines: Vec<(Oid, String)>,
}

/// The full name of a notes ref.
pub fn name(kind: &str) -> String {
    format!("refs/notes/coop/{kind}")
}

/// Writes all `notes`, replacing those of the same commits, with `more` edits in the same transaction.
/// `id` makes the private refs unique. Errors: exit 3 where `more` lost a race.
pub fn write(repo: &Repo, env: &Env, ident: &str, id: &str, notes: &[Notes], more: &[Edit]) -> Result<()> {
    for _ in 0..8 {
        let mut stream = Vec::new();
        let mut edits = more.to_vec();
        let (mut marks, mut privates) = (0, Vec::new());
        let olds = refs::list(repo, env, &["refs/notes/coop"])?;
        for set in notes.iter().filter(|set| !set.lines.is_empty()) {
            let old = olds.iter().find(|(ref_name, _)| *ref_name == name(set.kind)).map(|(_, oid)| oid.clone());
            let private = format!("refs/coop/notes-{id}/{}", set.kind);
            marks += 1;
            stream.extend_from_slice(format!("commit {private}\nmark :{marks}\ncommitter {ident}\n").as_bytes());
            let subject = format!("coop: {} notes", set.kind);
            stream.extend_from_slice(format!("data {}\n{subject}\n", subject.len()).as_bytes());
            if let Some(old) = &old {
                stream.extend_from_slice(format!("from {old}\n").as_bytes());
            }
            for (commit, line) in &set.lines {
                let line = format!("{}\n", crate::ui::text::printable(line));
                stream.extend_from_slice(format!("N inline {commit}\ndata {}\n{line}\n", line.len()).as_bytes());
            }
            stream.extend_from_slice(format!("get-mark :{marks}\n").as_bytes());
            privates.push(private);
            edits.push(Edit { name: name(set.kind), old: Old::from(old), new: None });
        }
        let mut made: Vec<(String, Oid)> = Vec::new();
        if !stream.is_empty() {
            let git = Git::isolated(repo, env).args(["fast-import", "--quiet", "--date-format=raw"]);
            let said = String::from_utf8(git.input(stream).read()?).or_bug("git fast-import printed no ids")?;
            for (private, id) in privates.into_iter().zip(said.lines()) {
                made.push((private, Oid::parse(id)?));
            }
        }
        for edit in edits.iter_mut().filter(|e| e.new.is_none() && e.name.starts_with("refs/notes/coop/")) {
            let kind = edit.name.rsplit('/').next().unwrap_or_default();
            edit.new = made.iter().find(|(n, _)| n.ends_with(&format!("/{kind}"))).map(|(_, oid)| oid.clone());
        }
        edits.extend(made.iter().map(|(ref_name, oid)| Edit::delete(ref_name.clone(), oid.clone())));
        match refs::transaction(repo, env, "coop: notes", &edits)? {
            Outcome::Done => return Ok(()),
            Outcome::Lost => {
                let cleanup: Vec<Edit> =
                    made.iter().map(|(ref_name, oid)| Edit::delete(ref_name.clone(), oid.clone())).collect();
                let _ = refs::transaction(repo, env, "coop: notes", &cleanup)?;
                for edit in more {
                    if Old::from(refs::read(repo, env, &edit.name)?) != edit.old {
                        return Err(Error::conflict(format!("{} was changed by somebody else meanwhile", edit.name))
                            .hint("git coop fork ls"));
                    }
                }
            }
        }
    }
    Err(Error::conflict("the notes are being written by somebody else all the time").hint("git coop fork ls"))
}
