//! Checks a commit out into an empty directory with several threads, and writes the index for it.
//!
//! No filter driver runs (the repository is opened with reduced trust), so files kept by Git LFS stay
//! pointers; end-of-line and encoding attributes are honoured. Nothing outside `dir` is written:
//! gix refuses `..`, `.git` and paths through symlinks.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::index::entry::{Flags, Mode};
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
    let mut index = opened.index_from_tree(&tree_of(&opened, commit)?).or_bug("cannot read the tree")?;
    write(&opened, &mut index, dir, true, interrupt)?;
    finish(index, index_path)
}

/// Brings `dir` to `commit`, and the index at `index_path` with it: `dir` holds what that index says and nothing else.
/// Only what differs is written. `None`, with nothing changed, where that is not sure to give what [`checkout`] gives
/// (attributes or submodules differ), or where a quarter of the paths or more differ.
/// Errors leave a partial `dir` behind: the caller removes it.
pub fn update(
    repo: &Repo,
    commit: &Oid,
    dir: &Path,
    index_path: &Path,
    interrupt: &AtomicBool,
) -> Result<Option<Written>> {
    let opened = objects::open(repo)?;
    let mut index = opened.index_from_tree(&tree_of(&opened, commit)?).or_bug("cannot read the tree")?;
    let old = gix::index::File::at(index_path, opened.object_hash(), true, gix::index::decode::Options::default())
        .or_bug("cannot read the index")?;
    let (kept, stale) = compare(&mut index, &old);
    let changed = index.entries().len() - kept;
    let unsure = |path: &Vec<u8>| decides_about_others(&old, path) || decides_about_others(&index, path);
    if stale.iter().any(unsure) || (changed + stale.len()) * 4 > old.entries().len() {
        return Ok(None);
    }
    for path in &stale {
        remove(dir, Path::new(OsStr::from_bytes(path)))?;
    }
    write(&opened, &mut index, dir, false, interrupt)?;
    for entry in index.entries_mut() {
        entry.flags.remove(Flags::SKIP_WORKTREE);
    }
    finish(index, index_path).map(Some)
}

/// Writes to `to` the index of `commit`, with the file times that the index at `known` has for what is the same there.
/// Gives whether that one is of `commit` as well.
pub fn index_of(repo: &Repo, commit: &Oid, known: &Path, to: &Path) -> Result<bool> {
    let opened = objects::open(repo)?;
    let mut index = opened.index_from_tree(&tree_of(&opened, commit)?).or_bug("cannot read the tree")?;
    let known = gix::index::File::at(known, opened.object_hash(), true, gix::index::decode::Options::default());
    let same = match &known {
        Ok(known) => compare(&mut index, known).1.is_empty(),
        Err(_) => false,
    };
    for entry in index.entries_mut() {
        entry.flags.remove(Flags::SKIP_WORKTREE);
    }
    finish(index, to).map(|_| same)
}

/// Takes the file times of what is in both over from `old` and marks it, so that it is not written. Gives how many that
/// are, and every path that is in one only, or differs.
fn compare(index: &mut gix::index::State, old: &gix::index::File) -> (usize, BTreeSet<Vec<u8>>) {
    let mut stale: BTreeSet<Vec<u8>> = old.entries().iter().map(|entry| entry.path(old).to_vec()).collect();
    let mut kept = 0;
    for (entry, path) in index.entries_mut_with_paths() {
        match old.entry_by_path(path).filter(|was| was.id == entry.id && was.mode == entry.mode) {
            Some(was) => {
                entry.stat = was.stat;
                entry.flags.insert(Flags::SKIP_WORKTREE);
                stale.remove::<[u8]>(path);
                kept += 1;
            }
            None => drop(stale.insert(path.to_vec())),
        }
    }
    (kept, stale)
}

/// Attributes say how other files are written, and a submodule is no file.
fn decides_about_others(index: &gix::index::State, path: &[u8]) -> bool {
    let submodule = index.entry_by_path(path.into()).is_some_and(|entry| entry.mode == Mode::COMMIT);
    submodule || path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes")
}

/// Removes the file at `path`, if it is there, and directories above it in `dir` that are empty then.
fn remove(dir: &Path, path: &Path) -> Result<()> {
    let file = dir.join(path);
    match std::fs::remove_file(&file) {
        Err(err) if !matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(err).or_bug(format!("cannot remove '{}'", file.display()));
        }
        _ => {}
    }
    let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    let _ = above.map(|above| std::fs::remove_dir(dir.join(above))).take_while(std::result::Result::is_ok).count();
    Ok(())
}

fn tree_of(opened: &gix::Repository, commit: &Oid) -> Result<gix::ObjectId> {
    let commit = opened.find_commit(commit.to_gix()?).or_bug("cannot read the commit")?;
    Ok(commit.tree_id().or_bug("the commit has no tree")?.detach())
}

/// Writes every file of `index` that is not marked to be skipped.
fn write(
    opened: &gix::Repository,
    index: &mut gix::index::State,
    dir: &Path,
    empty: bool,
    interrupt: &AtomicBool,
) -> Result<()> {
    let mut options = opened.checkout_options(Source::IdMapping).or_bug("cannot prepare the checkout")?;
    options.destination_is_initially_empty = empty;
    options.thread_limit = None;
    let store = opened.objects.clone().into_arc().or_bug("cannot open the object store")?;
    let (files, bytes) = (gix::progress::Discard, gix::progress::Discard);
    let outcome = gix::worktree::state::checkout(index, dir, store, &files, &bytes, interrupt, options)
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
    match outcome.errors.first() {
        Some(error) => Err(Error::bug(format!("cannot write '{}': {}", error.path, error.error))),
        None => Ok(()),
    }
}

fn finish(index: gix::index::File, path: &Path) -> Result<Written> {
    let submodules = index.entries().iter().filter(|e| e.mode == Mode::COMMIT).count();
    let files = index.entries().len() - submodules;
    let mut file = gix::index::File::from_state(index.into(), path.to_owned());
    file.write(gix::index::write::Options::default()).or_bug("cannot write the index")?;
    Ok(Written { files, submodules })
}
