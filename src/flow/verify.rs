//! What a box left in the work tree that could act on the host later: looked for after every run, shown,
//! and to be accepted by a person. Only names are read; nothing is opened, no link is followed.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::git::{Oid, objects};

use super::Coop;

/// More entries than this and the walk stops, saying so.
const MAX_ENTRIES: usize = 5_000_000;

/// What git opens in every directory. Where it is a pipe, `git status` does not end.
const READ_BY_GIT: &[&[u8]] = &[b".gitignore", b".gitattributes", b".gitmodules"];

/// What is said of such a pipe, socket or device.
pub const PIPE: &str = "no plain file: git waits for it";

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// What it is, in words.
    pub what: &'static str,
    /// Path relative to the top of the work tree, as bytes.
    pub path: Vec<u8>,
}

impl Found {
    /// `what: path`, harmless for a terminal.
    pub fn shown(&self) -> String {
        format!("{}: {}", self.what, crate::ui::text::printable_bytes(&self.path))
    }
}

/// Nested git directories (in any letter case), bare-repository shapes, symlinks that leave the tree, and pipes in place of
/// files that git reads.
pub fn walk(top: &Path) -> BTreeSet<Found> {
    let mut found = BTreeSet::new();
    let mut queue = vec![PathBuf::new()];
    let mut seen = 0usize;
    while let Some(dir) = queue.pop() {
        let Ok(entries) = std::fs::read_dir(top.join(&dir)) else { continue };
        let mut marks = 0;
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                found.insert(Found {
                    what: "more than five million files, not all looked at",
                    path: dir.as_os_str().as_bytes().to_vec(),
                });
                return found;
            }
            let name = entry.file_name();
            let path = dir.join(&name);
            let Ok(kind) = entry.file_type() else { continue };
            marks += usize::from(matches!(name.as_bytes(), b"HEAD" | b"objects" | b"refs"));
            if name.as_bytes().eq_ignore_ascii_case(b".git") {
                if !(dir.as_os_str().is_empty() && name.as_bytes() == b".git") {
                    found.insert(Found { what: "nested git repository", path: path.as_os_str().as_bytes().to_vec() });
                }
            } else if kind.is_dir() {
                queue.push(path);
            } else if READ_BY_GIT.contains(&name.as_bytes()) && !kind.is_file() && !kind.is_symlink() {
                found.insert(Found { what: PIPE, path: path.as_os_str().as_bytes().to_vec() });
            } else if kind.is_symlink() && leaves(top, &path) {
                found
                    .insert(Found { what: "symlink that leaves the tree", path: path.as_os_str().as_bytes().to_vec() });
            }
        }
        if marks == 3 && !dir.as_os_str().is_empty() {
            found.insert(Found { what: "bare git repository", path: dir.as_os_str().as_bytes().to_vec() });
        }
    }
    found
}

/// Whether the link's text points out of the tree. Only the text is looked at: what it points to now can change.
fn leaves(top: &Path, link: &Path) -> bool {
    let Ok(target) = std::fs::read_link(top.join(link)) else { return false };
    text_leaves(link.parent().unwrap_or(Path::new("")), &target, top)
}

/// Whether `target`, read in `dir` (relative to the top), leaves the tree by its text alone.
pub fn text_leaves(dir: &Path, target: &Path, top: &Path) -> bool {
    use std::path::Component;
    if target.is_absolute() {
        return !target.starts_with(top) || target.components().any(|c| c == Component::ParentDir);
    }
    let mut depth = dir.components().count();
    for component in target.components() {
        match component {
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

/// Gitlinks in the tree of `new` that `old` does not have: a host `git status` enters such a directory
/// and runs what its configuration names.
pub fn gitlinks(coop: &Coop, old: Option<&Oid>, new: &Oid) -> Result<BTreeSet<Found>> {
    let opened = objects::open(&coop.repo)?;
    let before = match old {
        Some(old) => objects::gitlinks(&opened, old)?,
        None => BTreeSet::new(),
    };
    Ok(objects::gitlinks(&opened, new)?
        .difference(&before)
        .map(|path| Found { what: "submodule", path: path.clone() })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_could_act_later() {
        let temp = tempfile::tempdir().expect("temp dir");
        let top = temp.path();
        for dir in [".git", "a/.GIT", "b/objects", "b/refs", "c"] {
            std::fs::create_dir_all(top.join(dir)).expect("dir");
        }
        std::fs::write(top.join("b/HEAD"), "x").expect("file");
        std::os::unix::fs::symlink("../../etc", top.join("c/out")).expect("link");
        std::os::unix::fs::symlink("../a", top.join("c/in")).expect("link");
        let pipe = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, top.join("c/.gitignore"), pipe).expect("pipe");
        let found: Vec<String> = walk(top).iter().map(Found::shown).collect();
        assert_eq!(
            found,
            [
                "bare git repository: b",
                "nested git repository: a/.GIT",
                "no plain file: git waits for it: c/.gitignore",
                "symlink that leaves the tree: c/out"
            ]
        );
        assert!(text_leaves(Path::new("a"), Path::new("b/../../../x"), top));
        assert!(!text_leaves(Path::new("a"), Path::new("../b/./c"), top));
    }
}
