//! Which commits a landing is about: the range for the policy, and the picks for the rebase.

use crate::env::Env;
use crate::error::{Error, Result};

use super::objects::Reader;
use super::{Git, Oid, Repo};

/// A commit of a range with its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The commit.
    pub id: Oid,
    /// Its parents in order.
    pub parents: Vec<Oid>,
}

/// Commits of `head` that neither `target` nor `base` has, parents before children; merges included.
pub fn range(repo: &Repo, env: &Env, head: &Oid, target: &Oid, base: &Oid) -> Result<Vec<Listed>> {
    let text = Git::isolated(repo, env)
        .args(["rev-list", "--topo-order", "--reverse", "--parents", head.as_str()])
        .args([format!("^{target}"), format!("^{base}")])
        .line()?;
    text.lines()
        .map(|line| {
            let mut ids = line.split(' ').map(Oid::parse);
            let id = ids.next().unwrap_or_else(|| Err(Error::bug("git rev-list printed an empty line")))?;
            Ok(Listed { id, parents: ids.collect::<Result<_>>()? })
        })
        .collect()
}

/// Whether `range` is a straight line that begins right after `target`: then it lands as it is.
pub fn is_straight(range: &[Listed], target: &Oid) -> bool {
    let mut previous = target;
    range.iter().all(|commit| {
        let fits = commit.parents.as_slice() == std::slice::from_ref(previous);
        previous = &commit.id;
        fits
    })
}

/// The commits to pick, as `git rebase` picks by default: merges are left out and their commits are
/// brought into a line; what `target` has already as the same patch is left out as well.
pub fn picks(repo: &Repo, env: &Env, range: &[Listed], head: &Oid, target: &Oid, base: &Oid) -> Result<Vec<Oid>> {
    if range.iter().any(|c| c.parents.contains(target)) {
        // the fork knows the target's newest commit: nothing there can be the same patch
        return Ok(range.iter().filter(|c| c.parents.len() < 2).map(|c| c.id.clone()).collect());
    }
    let text = Git::isolated(repo, env)
        .args(["rev-list", "--topo-order", "--reverse", "--no-merges", "--cherry-mark", "--right-only"])
        .args([format!("{target}...{head}"), format!("^{base}")])
        .line()?;
    let reader = Reader::open(repo)?;
    let mut picks = Vec::new();
    for line in text.lines() {
        // `=` marks a patch that the target has; a commit that was empty to begin with is no patch
        let id = Oid::parse(line.trim_start_matches(['=', '+']))?;
        if !line.starts_with('=') || reader.is_empty_commit(&id)? {
            picks.push(id);
        }
    }
    Ok(picks)
}

/// Whether `old` is `new` or an ancestor of it.
pub fn is_ancestor(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<bool> {
    if old == new {
        return Ok(true);
    }
    let output = Git::isolated(repo, env).args(["merge-base", "--is-ancestor", old.as_str(), new.as_str()]).output()?;
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(super::command::failed("merge-base", &output)),
    }
}

/// A common ancestor of two commits, `None` for unrelated histories.
pub fn merge_base(repo: &Repo, env: &Env, one: &Oid, two: &Oid) -> Result<Option<Oid>> {
    let output = Git::isolated(repo, env).args(["merge-base", one.as_str(), two.as_str()]).output()?;
    match output.status.code() {
        Some(0) => Oid::parse(String::from_utf8_lossy(&output.stdout).trim_end()).map(Some),
        Some(1) => Ok(None),
        _ => Err(super::command::failed("merge-base", &output)),
    }
}
