//! Checks a commit out into an empty directory with several threads, and writes the index for it.
//!
//! No filter driver runs (the repository is opened with reduced trust), so files kept by Git LFS stay
//! pointers; end-of-line and encoding attributes are honoured. Nothing outside `dir` is written:
//! gix refuses `..`, `.git` and paths through symlinks.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::worktree::stack::state::attributes::Source;

use crate::error::{Context as _, Error, Kind, Result};

use super::{Oid, Repo, objects};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Files and symlinks.
    pub files: usize,
    /// Submodules, which stay empty directories.
    pub submodules: usize,
}

/// Checks `commit` out into the empty `dir` and writes the index to `index_path`.
/// `interrupt` stops it between two files. Errors leave a partial `dir` behind: the caller removes it.
pub fn checkout(repo: &Repo, commit: &Oid, dir: &Path, index_path: &Path, interrupt: &AtomicBool) -> Result<Written> {
    let opened = objects::open(repo)?;
    let tree = opened
        .find_commit(commit.to_gix()?)
        .or_bug("cannot read the commit")?
        .tree_id()
        .or_bug("the commit has no tree")?
        .detach();
    let mut index = opened.index_from_tree(&tree).or_bug("cannot read the tree")?;
    let mut options = opened.checkout_options(Source::IdMapping).or_bug("cannot prepare the checkout")?;
    options.destination_is_initially_empty = true;
    options.thread_limit = None;
    let store = opened.objects.clone().into_arc().or_bug("cannot open the object store")?;
    let (files, bytes) = (gix::progress::Discard, gix::progress::Discard);
    let outcome = gix::worktree::state::checkout(&mut index, dir, store, &files, &bytes, interrupt, options)
        .context(Kind::Bug, format!("cannot check out into '{}'", dir.display()))?;
    if interrupt.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Error::no("interrupted"));
    }
    if let Some(collision) = outcome.collisions.first() {
        return Err(Error::usage(format!(
            "'{}' exists twice on this file system (names differ in case only)",
            collision.path
        ))
        .hint("use a case-sensitive file system for coop.forkRoot: git coop config coop.forkRoot DIR"));
    }
    if let Some(error) = outcome.errors.first() {
        return Err(Error::bug(format!("cannot write '{}': {}", error.path, error.error)));
    }
    let submodules = index.entries().iter().filter(|e| e.mode == gix::index::entry::Mode::COMMIT).count();
    let mut file = gix::index::File::from_state(index.into(), index_path.to_owned());
    file.write(gix::index::write::Options::default()).or_bug("cannot write the index")?;
    Ok(Written { files: outcome.files_updated, submodules })
}
