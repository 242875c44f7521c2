//! The plan of what is hidden in a box: which paths of a work tree get an empty read-only file or directory
//! mounted over them.
//!
//! Guarantees: the tree is read without following a link; what is hidden is hidden under each of its names
//! (link targets inside the tree, hard links); nothing that does not exist is planned; an unreadable
//! directory is an error; what was hidden once stays hidden ([`Remembered`]).

mod gather;
mod links;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::without::without;

pub use super::decide::{Rules, Why};
pub use super::remembered::{Identity, Remembered};

/// What is mounted over a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An empty file.
    File,
    /// An empty directory.
    Dir,
}

/// One hidden path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Path below the root of the work tree, any bytes.
    pub path: Vec<u8>,
    /// What covers it.
    pub kind: Kind,
    /// Why.
    pub why: Why,
}

/// What a box on this tree must not see, and must not write.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Hidden paths, parents first, none below another. All existed when the tree was read.
    pub shadows: Vec<Shadow>,
    /// `.git` entries of nested repositories (relative), directories or files, or what a `.git` that is a
    /// link leads to. Nothing below them is in `shadows`: they are to be hidden whole.
    pub nested_git: Vec<PathBuf>,
    /// The `.coopignore` files (relative): to be mounted read-only.
    pub ignore_files: Vec<PathBuf>,
    /// What is worth a line on stderr: patterns that do nothing, links that lead nowhere useful.
    pub warnings: Vec<String>,
    /// What the host should remember from now on: the old memory and this plan.
    pub remembered: Remembered,
}

/// Reads the tree below `root` (canonical; the work tree of the host) and decides. The `.git` of the root is
/// not read.
///
/// Errors (exit 2): an unreadable directory or `.coopignore`, a `.coopignore` that is not a plain file or is
/// larger than 256 KiB, a tree more than 200 directories deep.
pub fn plan(root: &Path, rules: &Rules, remembered: &Remembered) -> Result<Plan> {
    let mut gathered = gather::gather(root, rules, remembered)?;
    if !without("link-targets") {
        links::follow(root, &mut gathered);
    }
    let nested = std::mem::take(&mut gathered.nested_git);
    let mut shadows = settled(gathered.shadows, &nested);
    let mut more = if without("hard-links") { Vec::new() } else { links::other_names(root, &shadows)? };
    if !more.is_empty() {
        more.extend(shadows);
        shadows = settled(more, &nested);
    }
    let mut memory = remembered.clone();
    memory.merge(&Remembered { ignores: gathered.ignores, ..Remembered::default() });
    for shadow in shadows.iter().filter(|s| !matches!(s.why, Why::Name(_))) {
        memory.paths.insert(shadow.path.clone());
        memory.ids.extend(links::identity(root, &shadow.path));
    }
    let hidden = shadows.iter().filter(|s| s.kind == Kind::Dir).map(|s| &s.path);
    let dirs = hidden.chain(&nested).cloned().collect();
    let mut nested_git: Vec<PathBuf> = nested
        .iter()
        .filter(|path| !is_below(&dirs, path) && !shadows.iter().any(|s| s.path == **path))
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect();
    nested_git.sort();
    nested_git.dedup();
    Ok(Plan {
        shadows,
        nested_git,
        ignore_files: gathered.ignore_files,
        warnings: gathered.warnings,
        remembered: memory,
    })
}

/// Sorted, one per path, none below another or below a nested git directory.
fn settled(mut shadows: Vec<Shadow>, nested: &[Vec<u8>]) -> Vec<Shadow> {
    shadows.sort_by(|a, b| a.path.cmp(&b.path));
    shadows.dedup_by(|a, b| a.path == b.path);
    let mut dirs: HashSet<Vec<u8>> = shadows.iter().filter(|s| s.kind == Kind::Dir).map(|s| s.path.clone()).collect();
    dirs.extend(nested.iter().cloned());
    shadows.retain(|s| !is_below(&dirs, &s.path));
    shadows
}

/// Whether a directory above `path` is in `dirs`.
fn is_below(dirs: &HashSet<Vec<u8>>, path: &[u8]) -> bool {
    !dirs.is_empty() && memchr::memchr_iter(b'/', path).any(|at| dirs.contains(&path[..at]))
}

#[cfg(test)]
mod tests;
