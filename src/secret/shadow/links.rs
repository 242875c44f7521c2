//! Other names of what is hidden: targets of symbolic links, and hard links.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::error::Result;
use crate::secret::walk::{Entry, Listing, Next, Visitor, walk};
use crate::ui::text::printable_bytes;

use super::gather::{Gathered, numbers_hold};
use super::{Identity, Kind, Shadow, Why};

fn absolute(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

/// What stands at a path of the tree right now.
pub(super) fn identity(root: &Path, path: &[u8]) -> Option<Identity> {
    absolute(root, path).symlink_metadata().ok().map(|meta| Identity::of(&meta))
}

/// Hides what links with a hidden name point at, where that is inside the tree: a mount must land on the
/// real path, or the link could be pointed elsewhere before the box starts. A target outside the tree
/// is not in a box at all. A `.git` that is a link is replaced by its target in the same way.
pub(super) fn follow(root: &Path, gathered: &mut Gathered) {
    let Ok(canonical) = root.canonicalize() else { return };
    for (link, _) in std::mem::take(&mut gathered.links) {
        let Some((path, kind)) = target(&canonical, &link) else { continue };
        if path.is_empty() {
            let shown = printable_bytes(&link);
            gathered.warnings.push(format!("the link '{shown}' points at the whole tree, which is not hidden"));
            continue;
        }
        gathered.shadows.push(Shadow { path, kind, why: Why::LinkTarget(link) });
    }
    let is_link = |path: &Vec<u8>| absolute(root, path).is_symlink();
    let (links, real) = std::mem::take(&mut gathered.nested_git).into_iter().partition::<Vec<_>, _>(is_link);
    gathered.nested_git = real;
    let targets = links.iter().filter_map(|link| target(&canonical, link)).map(|(path, _)| path);
    gathered.nested_git.extend(targets.filter(|path| !path.is_empty()));
}

/// Where a link leads, relative to the tree; `None` where that is nowhere, outside, or the `.git` of the
/// root, which no box sees.
fn target(root: &Path, link: &[u8]) -> Option<(Vec<u8>, Kind)> {
    let target = absolute(root, link).canonicalize().ok()?;
    let inside = target.strip_prefix(root).ok()?.as_os_str().as_bytes();
    if inside == b".git" || inside.starts_with(b".git/") {
        return None;
    }
    Some((inside.to_vec(), if target.is_dir() { Kind::Dir } else { Kind::File }))
}

/// Every further name of a hidden file, and of any file below a hidden directory, that has several.
pub(super) fn other_names(root: &Path, shadows: &[Shadow]) -> Result<Vec<Shadow>> {
    let mut names = HashMap::new();
    for shadow in shadows {
        let path = absolute(root, &shadow.path);
        if shadow.kind == Kind::Dir {
            let mut harvest = Harvest { names: &mut names, above: &shadow.path };
            // what cannot be walked is hidden whole, and nobody who cannot read it has linked what is in it
            let _ = walk(&path, (), &mut harvest);
        } else if let Ok(meta) = path.symlink_metadata()
            && meta.nlink() > 1
        {
            names.insert((meta.dev(), meta.ino()), shadow.path.clone());
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let inodes = names.keys().map(|(_, ino)| *ino).collect();
    let hidden = shadows.iter().map(|s| s.path.clone()).collect();
    let mut finder = Finder { names, inodes, hidden, found: Vec::new() };
    walk(root, false, &mut finder)?;
    Ok(finder.found)
}

/// Collects the files below a hidden directory that have another name somewhere.
struct Harvest<'a> {
    names: &'a mut HashMap<(u64, u64), Vec<u8>>,
    above: &'a [u8],
}

impl Visitor for Harvest<'_> {
    type Scope = ();

    fn enter(&mut self, _above: &(), _listing: &Listing<'_>) -> Result<()> {
        Ok(())
    }
    fn entry(&mut self, _scope: &(), dir: BorrowedFd<'_>, entry: Entry<'_>) -> Result<Next> {
        if entry.kind == FileType::RegularFile
            && let Ok(stat) = rustix::fs::statat(dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            && stat.st_nlink > 1
        {
            self.names.insert((stat.st_dev, stat.st_ino), [self.above, b"/", entry.path].concat());
        }
        Ok(Next::Enter)
    }
    fn unreadable(&mut self, _path: &[u8], _err: Errno) -> Result<()> {
        Ok(()) // as above: hidden whole
    }
}

/// Looks for those names in the rest of the tree.
struct Finder {
    names: HashMap<(u64, u64), Vec<u8>>,
    inodes: HashSet<u64>,
    hidden: HashSet<Vec<u8>>,
    found: Vec<Shadow>,
}

impl Visitor for Finder {
    /// Whether every entry has to be looked at.
    type Scope = bool;

    fn enter(&mut self, _above: &bool, listing: &Listing<'_>) -> Result<bool> {
        Ok(!numbers_hold(listing))
    }
    fn entry(&mut self, all: &bool, dir: BorrowedFd<'_>, entry: Entry<'_>) -> Result<Next> {
        if entry.path == b".git" || self.hidden.contains(entry.path) {
            return Ok(Next::Skip);
        }
        if entry.kind == FileType::RegularFile
            && (*all || self.inodes.contains(&entry.ino))
            && let Ok(stat) = rustix::fs::statat(dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            && let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino))
        {
            let why = Why::HardLink(first.clone());
            self.found.push(Shadow { path: entry.path.to_vec(), kind: Kind::File, why });
        }
        Ok(Next::Enter)
    }
    fn unreadable(&mut self, _path: &[u8], _err: Errno) -> Result<()> {
        Ok(()) // the first pass was through here
    }
}
