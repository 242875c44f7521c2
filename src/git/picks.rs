//! Which commits a landing is about: the range for the policy, and the picks for the rebase.

use std::collections::HashSet;

use crate::env::Env;
use crate::error::{Error, Result};

use super::objects::{self, Reader};
use super::{Git, Oid, Repo, diff};

/// Lines longer than this are git's to walk.
const MAX_LINE: usize = 5_000;
/// More commits of the target than this are git's to compare with.
const MAX_COMPARED: usize = 500;

/// A commit of a range with its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The commit.
    pub id: Oid,
    /// Its parents in order.
    pub parents: Vec<Oid>,
}

/// The commits from `tip` back to `end`, newest first, where each has exactly one parent; `None` where it is no such
/// line, is too long or cannot be read.
fn line(opened: &gix::Repository, tip: &Oid, end: &Oid) -> Option<Vec<gix::ObjectId>> {
    let (mut at, end) = (tip.to_gix().ok()?, end.to_gix().ok()?);
    let mut found = Vec::new();
    while at != end {
        let commit = opened.find_commit(at).ok()?;
        let mut parents = commit.parent_ids();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        found.push(at);
        at = parent.detach();
        if found.len() > MAX_LINE {
            return None;
        }
    }
    Some(found)
}

/// What `head` and `target` have since `base`, each in a line, newest first. All that `target` reaches is then in its
/// line or behind `base`.
fn lines(repo: &Repo, head: &Oid, target: &Oid, base: &Oid) -> Option<[Vec<gix::ObjectId>; 2]> {
    let opened = objects::open(repo).ok()?;
    Some([line(&opened, head, base)?, line(&opened, target, base)?])
}

/// Commits of `head` that neither `target` nor `base` has, parents before children; merges included.
pub fn range(repo: &Repo, env: &Env, head: &Oid, target: &Oid, base: &Oid) -> Result<Vec<Listed>> {
    if let Some([ours, theirs]) = lines(repo, head, target, base) {
        let theirs: HashSet<_> = theirs.into_iter().collect();
        let mut parent = base.clone();
        let mut range = Vec::new();
        for id in ours.into_iter().rev() {
            let listed = Listed { id: id.into(), parents: vec![parent] };
            parent = listed.id.clone();
            if !theirs.contains(&id) {
                range.push(listed);
            }
        }
        return Ok(range);
    }
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
    if no_patch_twice(repo, range, head, target, base)? {
        return Ok(range.iter().map(|c| c.id.clone()).collect());
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

/// Whether it is plain that no commit of the target is the same patch as one of `range`: none changes the same
/// paths. `false` where only git can tell.
fn no_patch_twice(repo: &Repo, range: &[Listed], head: &Oid, target: &Oid, base: &Oid) -> Result<bool> {
    let Some([ours, theirs]) = lines(repo, head, target, base) else { return Ok(false) };
    let ours: HashSet<_> = ours.into_iter().collect();
    let theirs: Vec<_> = theirs.into_iter().filter(|id| !ours.contains(id)).collect();
    if theirs.len() > MAX_COMPARED {
        return Ok(false);
    }
    let opened = objects::open(repo)?;
    let paths = |id: &Oid| -> Result<Vec<Vec<u8>>> {
        let changes = diff::of_one(&opened, id)?.unwrap_or_default();
        Ok(changes.into_iter().map(|change| change.path).collect())
    };
    let known: HashSet<Vec<Vec<u8>>> = theirs.into_iter().map(|id| paths(&id.into())).collect::<Result<_>>()?;
    for commit in range {
        if known.contains(&paths(&commit.id)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `old` is `new` or an ancestor of it.
pub fn is_ancestor(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<bool> {
    if old == new || objects::open(repo).is_ok_and(|opened| line(&opened, new, old).is_some()) {
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
