//! Ref transactions through one `git update-ref --stdin`: git's own locks, reflogs and storage decide, and a
//! command that writes several times starts git once.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::refs::{self, Edit, Old, Outcome};
use super::{Git, Repo};

/// A git that waits for transactions. It holds no lock between two of them, and ends with this value.
#[derive(Debug)]
pub struct Transactions {
    repo: Repo,
    env: Env,
    message: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

thread_local! {
    /// The git of [`keep`].
    static KEPT: RefCell<Option<Transactions>> = const { RefCell::new(None) };
}

/// While it lives, one git writes all refs of a repository for this thread.
#[derive(Debug)]
#[must_use = "git ends with this value"]
pub struct Kept(());

/// Lets one git write all refs of `repo` from now on, for work that moves refs again and again. It starts with the
/// first transaction, and anew where it has ended meanwhile. The reflogs say `message`.
pub fn keep(repo: &Repo, env: &Env, message: &str) -> Kept {
    let this = Transactions { repo: repo.clone(), env: env.clone(), message: message.to_owned(), running: None };
    KEPT.set(Some(this));
    Kept(())
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}

/// Runs `edits` through the git of [`keep`]; `None` where there is none for `repo`.
pub(super) fn kept(repo: &Repo, edits: &[Edit]) -> Option<Result<Outcome>> {
    KEPT.with_borrow_mut(|kept| {
        let kept = kept.as_mut().filter(|kept| kept.repo.common_dir == repo.common_dir)?;
        if kept.repo.git_dir == repo.git_dir {
            return Some(kept.run(edits));
        }
        // HEAD of another work tree has a name here as well (`gitglossary(7)`, "per-worktree ref")
        let id = repo.git_dir.strip_prefix(repo.common_dir.join("worktrees")).ok()?.to_str()?;
        let named = |edit: &Edit| {
            let name = if edit.name == "HEAD" { format!("worktrees/{id}/HEAD") } else { edit.name.clone() };
            Edit { name, ..edit.clone() }
        };
        Some(kept.run(&edits.iter().map(named).collect::<Vec<_>>()))
    })
}

impl Transactions {
    /// Starts git, which gets ready while the caller goes on. `message` is for the reflogs of all transactions.
    pub fn begin(repo: &Repo, env: &Env, message: &str) -> Result<Self> {
        let mut this =
            Transactions { repo: repo.clone(), env: env.clone(), message: message.to_owned(), running: None };
        this.start()?;
        Ok(this)
    }

    /// What the reflogs say.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn start(&mut self) -> Result<()> {
        let mut command = Git::new(&self.repo, &self.env)
            .args(["update-ref", "--create-reflog", "-m", &self.message, "-z", "--stdin"])
            .into_command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().or_bug("cannot run git")?;
        if let (Some(input), Some(answers)) = (child.stdin.take(), child.stdout.take()) {
            self.running = Some(Running { child, input, answers: BufReader::new(answers) });
        }
        Ok(())
    }

    /// Runs `edits` as one transaction with reflogs (`git help update-ref`, "start/prepare/commit").
    /// Errors where git failed for another reason than a lost race.
    pub fn run(&mut self, edits: &[Edit]) -> Result<Outcome> {
        // one that was waiting may have been killed meanwhile
        if !self.running.as_mut().is_some_and(|running| matches!(running.child.try_wait(), Ok(None))) {
            self.running = None;
            self.start()?;
        }
        let Some(mut running) = self.running.take() else { return Err(Error::bug("git update-ref did not start")) };
        // where git stops reading it says why on standard error, and the missing answer shows it
        let asked = running.input.write_all(&commands(edits)).and_then(|()| running.input.flush());
        if asked.is_ok() && answered(&mut running.answers, "commit: ok") {
            self.running = Some(running);
            return Ok(Outcome::Done);
        }
        self.failed(running, edits)
    }

    fn failed(&self, running: Running, edits: &[Edit]) -> Result<Outcome> {
        let Running { mut child, input, answers } = running;
        drop((input, answers));
        let mut stderr = Vec::new();
        if let Some(mut pipe) = child.stderr.take() {
            let _ = pipe.read_to_end(&mut stderr); // a message that cannot be read changes nothing
        }
        let status = child.wait().or_bug("cannot wait for git")?;
        // git's message is never parsed to decide: what the refs are now decides
        let now = edits.iter().map(|edit| refs::read(&self.repo, &self.env, &edit.name)).collect::<Result<Vec<_>>>()?;
        if status.success() && edits.iter().zip(&now).all(|(edit, now)| edit.new == *now) {
            return Ok(Outcome::Done);
        }
        if edits.iter().zip(now).any(|(edit, now)| Old::from(now) != edit.old) {
            return Ok(Outcome::Lost);
        }
        let said = String::from_utf8_lossy(&stderr);
        if said.contains(".lock") && !said.contains("No space left on device") {
            return Ok(Outcome::Lost); // another writer held the lock and has not finished, or died: re-read and retry
        }
        Err(super::command::failed("update-ref", &Output { status, stdout: Vec::new(), stderr }))
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        if let Some(Running { mut child, input, .. }) = self.running.take() {
            drop(input); // the end of its input ends it
            let _ = child.wait();
        }
    }
}

/// Reads answers up to `last`; `false` where git ended before.
fn answered(answers: &mut impl BufRead, last: &str) -> bool {
    let mut line = String::new();
    while answers.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.trim_end() == last {
            return true;
        }
        line.clear();
    }
    false
}

fn commands(edits: &[Edit]) -> Vec<u8> {
    let mut out = b"start\0".to_vec();
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    for edit in edits {
        if edit.name == "HEAD" || edit.name.ends_with("/HEAD") && edit.name.starts_with("worktrees/") {
            push(&["option no-deref\0"]);
        }
        match (&edit.new, &edit.old) {
            (Some(new), Old::Missing) => push(&["create ", &edit.name, "\0", new.as_str(), "\0"]),
            (Some(new), Old::Is(old)) => push(&["update ", &edit.name, "\0", new.as_str(), "\0", old.as_str(), "\0"]),
            (None, Old::Is(old)) => push(&["delete ", &edit.name, "\0", old.as_str(), "\0"]),
            (None, Old::Missing) => {}
        }
    }
    push(&["prepare\0commit\0"]);
    out
}
