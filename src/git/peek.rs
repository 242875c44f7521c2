//! Reads refs without a git process where they are plain files (`gitrepository-layout(5)`).
//!
//! What is not plain is git's to answer: another kind of storage (reftable), a symbolic ref where a value is
//! wanted, a ref that does not parse. Every function gives `None` then, and its caller asks git.

use std::os::unix::fs::MetadataExt as _;

use super::{Oid, Repo, objects};

/// Where HEAD points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// To a branch, by its full name; it may have no commit.
    Branch(String),
    /// To a commit.
    Detached(Oid),
}

/// The repository, where its refs are files.
fn files(repo: &Repo) -> Option<gix::Repository> {
    let opened = objects::open(repo).ok()?;
    let storage = opened.config_snapshot().string("extensions.refStorage").map(|s| s.to_string());
    (storage.is_none_or(|s| s == "files")).then_some(opened)
}

/// What `read` gives, unless refs were packed meanwhile: a ref that moves from its own file to the common one can be
/// missed in both. git writes the common file first, so that it being the same afterwards proves that none moved.
fn unmoved<T>(repo: &Repo, read: impl FnOnce(&gix::Repository) -> Option<T>) -> Option<T> {
    let opened = files(repo)?;
    let packed = || {
        let meta = repo.common_dir.join("packed-refs").metadata().ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    let before = packed();
    if before.is_some() {
        opened.refs.force_refresh_packed_buffer().ok()?;
    }
    let value = read(&opened)?;
    (packed() == before).then_some(value)
}

/// All refs below `prefix`, which ends with a slash, by name.
pub fn below(repo: &Repo, prefix: &str) -> Option<Vec<(String, Oid)>> {
    unmoved(repo, |opened| {
        let mut refs = Vec::new();
        for found in opened.references().ok()?.prefixed(prefix).ok()? {
            let found = found.ok()?;
            let id = found.target().try_id()?.to_owned();
            refs.push((String::from_utf8(found.name().as_bstr().to_vec()).ok()?, id.into()));
        }
        refs.sort();
        Some(refs)
    })
}

/// The value of the ref with the full name `name`; the inner `None` where there is none.
pub fn one(repo: &Repo, name: &str) -> Option<Option<Oid>> {
    let full = gix::refs::FullName::try_from(name).ok()?;
    unmoved(repo, |opened| match opened.refs.try_find(full.as_ref().as_partial_name()).ok()? {
        Some(found) if found.name == full => Some(Some(found.target.try_id()?.to_owned().into())),
        // a ref of another name answered to this one
        Some(_) => None,
        None => Some(None),
    })
}

/// Where HEAD of this work tree points.
pub fn head(repo: &Repo) -> Option<Head> {
    files(repo)?;
    head_in(&repo.git_dir)
}

/// Reads one HEAD file.
fn head_in(git_dir: &std::path::Path) -> Option<Head> {
    let text = std::fs::read_to_string(git_dir.join("HEAD")).ok()?;
    match text.strip_prefix("ref: ") {
        Some(name) => Some(Head::Branch(name.trim().to_owned())),
        None => Oid::parse(text.trim_end()).ok().map(Head::Detached),
    }
}

/// Whether a work tree other than this one may have `branch` checked out: where it does, git knows which.
pub fn elsewhere(repo: &Repo, branch: &str) -> Option<bool> {
    files(repo)?;
    let mut others = Vec::new();
    if repo.git_dir != repo.common_dir {
        others.push(repo.common_dir.clone());
    }
    if let Ok(entries) = std::fs::read_dir(repo.common_dir.join("worktrees")) {
        others.extend(entries.flatten().map(|e| e.path()).filter(|path| *path != repo.git_dir));
    }
    Some(others.iter().any(|dir| head_in(dir) == Some(Head::Branch(branch.to_owned()))))
}
