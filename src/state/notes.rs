//! Notes under landed commits: a display of what the events say, which losing loses nothing.
//!
//! `git notes append` loses lines when two processes write (it names no old value), so the notes are written as
//! objects and their refs move by compare-and-swap together with the branch.

use crate::env::Env;
use crate::error::Result;
use crate::git::refs::{self, Edit, Old};
use crate::git::{Oid, Repo, notes};
use crate::ui::text::printable;

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

/// Writes all `notes`, replacing those of the same commits, and gives the edits that make them visible: for the
/// transaction in which they become true.
pub fn edits(repo: &Repo, env: &Env, ident: &str, notes: &[Notes]) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for set in notes.iter().filter(|set| !set.lines.is_empty()) {
        let name = name(set.kind);
        let old = refs::read(repo, env, &name)?;
        let line = |(commit, line): &(Oid, String)| (commit.clone(), format!("{}\n", printable(line)));
        let lines: Vec<_> = set.lines.iter().map(line).collect();
        let new = notes::commit(repo, env, old.as_ref(), ident, &format!("coop: {} notes\n", set.kind), &lines)?;
        edits.push(Edit::set(name, Old::from(old), new));
    }
    Ok(edits)
}
