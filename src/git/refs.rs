//! Refs, read and written by git: several move in one transaction or none do, and every write names the
//! value that it replaces. A blind write cannot be expressed.

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Error, Result};

use super::peek::{self, Head};
use super::transactions::{self, Transactions};
use super::{Git, Oid, Repo};

/// What a ref must be for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// The ref must not exist.
    Missing,
    /// The ref must have this value.
    Is(Oid),
}

impl From<Option<Oid>> for Old {
    fn from(value: Option<Oid>) -> Self {
        value.map_or(Old::Missing, Old::Is)
    }
}

/// One ref of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Full name, `refs/…` or `HEAD`.
    pub name: String,
    /// The value it replaces.
    pub old: Old,
    /// The new value; `None` deletes.
    pub new: Option<Oid>,
}

impl Edit {
    /// Creates or updates `name`.
    pub fn set(name: impl Into<String>, old: impl Into<Old>, new: Oid) -> Self {
        Edit { name: name.into(), old: old.into(), new: Some(new) }
    }
    /// Deletes `name`.
    pub fn delete(name: impl Into<String>, old: Oid) -> Self {
        Edit { name: name.into(), old: Old::Is(old), new: None }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a lost race has to be handled"]
pub enum Outcome {
    /// Every ref moved.
    Done,
    /// Some ref was not what was expected; nothing moved.
    Lost,
}

/// Runs `edits` as one transaction with reflogs, which say `message` unless one git is kept for all. Errors where git failed for another reason than a lost race.
pub fn transaction(repo: &Repo, env: &Env, message: &str, edits: &[Edit]) -> Result<Outcome> {
    match transactions::kept(repo, edits) {
        Some(outcome) => outcome,
        None => Transactions::begin(repo, env, message)?.run(edits),
    }
}

/// The value of a ref, `None` where it does not exist.
pub fn read(repo: &Repo, env: &Env, name: &str) -> Result<Option<Oid>> {
    if name.starts_with("refs/")
        && let Some(value) = peek::one(repo, name)
    {
        return Ok(value);
    }
    let output = Git::new(repo, env).args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]).output()?;
    if !output.status.success() {
        return Ok(None);
    }
    Oid::parse(String::from_utf8_lossy(&output.stdout).trim_end()).map(Some)
}

/// The commit of HEAD; `None` on a branch without one.
pub fn head(repo: &Repo, env: &Env) -> Result<Option<Oid>> {
    match head_branch(repo, env)? {
        Some(branch) => read(repo, env, &branch),
        None => read(repo, env, "HEAD"),
    }
}

/// Lock files that stand where `names` would be written (git removes its own when it ends).
pub fn locks(repo: &Repo, names: &[&str]) -> Vec<PathBuf> {
    let lock = |name: &&str| repo.common_dir.join(format!("{name}.lock"));
    names.iter().map(lock).filter(|lock| lock.symlink_metadata().is_ok()).collect()
}

/// A commit by any name a user may type, peeled. Errors: exit 2.
pub fn resolve_commit(repo: &Repo, env: &Env, rev: &str) -> Result<Oid> {
    let spec = format!("{rev}^{{commit}}");
    read(repo, env, &spec)?.ok_or_else(|| Error::usage(format!("'{rev}' names no commit")).hint("git log --oneline"))
}

/// All refs below `prefix`, which ends with a slash, by name.
pub fn below(repo: &Repo, env: &Env, prefix: &str) -> Result<Vec<(String, Oid)>> {
    match peek::below(repo, prefix) {
        Some(refs) => Ok(refs),
        None => list(repo, env, &[prefix]),
    }
}

/// All refs below `patterns`, name and value, in git's order.
pub fn list(repo: &Repo, env: &Env, patterns: &[&str]) -> Result<Vec<(String, Oid)>> {
    Ok(list_with_head(repo, env, patterns)?.0)
}

/// Names and what they point at.
type Refs = Vec<(String, Oid)>;

/// As [`list`], and the branch that is checked out, if it is among them (`%(HEAD)`).
pub fn list_with_head(repo: &Repo, env: &Env, patterns: &[&str]) -> Result<(Refs, Option<String>)> {
    let format = "--format=%(HEAD)%(objectname) %(refname)";
    let text = Git::new(repo, env).args(["for-each-ref", format]).args(patterns).line()?;
    let (mut refs, mut head) = (Vec::new(), None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (oid, name) = line[1..].split_once(' ').ok_or_else(|| Error::bug("git for-each-ref printed no name"))?;
        if line.starts_with('*') {
            head = Some(name.to_owned());
        }
        refs.push((name.to_owned(), Oid::parse(oid)?));
    }
    Ok((refs, head))
}

/// Where HEAD points: the full name of a branch (it may be unborn), or `None` when detached.
pub fn head_branch(repo: &Repo, env: &Env) -> Result<Option<String>> {
    match peek::head(repo) {
        Some(Head::Branch(name)) => return Ok(Some(name)),
        Some(Head::Detached(_)) => return Ok(None),
        None => {}
    }
    let output = Git::new(repo, env).args(["symbolic-ref", "--quiet", "HEAD"]).output()?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned()))
}
