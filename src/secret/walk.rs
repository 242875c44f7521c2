//! Reads a directory tree that a box may be writing: every directory is opened relative to its parent and no
//! symbolic link is followed, so nothing outside the root is ever reached.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// The deepest tree that is walked; each level holds a file descriptor.
const MAX_DEPTH: usize = 200;

/// The entries of one directory.
pub(super) struct Listing<'a> {
    /// The open directory.
    pub fd: BorrowedFd<'a>,
    /// Its path below the root, empty for the root.
    pub path: &'a [u8],
    names: &'a [u8],
    entries: &'a [Raw],
}

struct Raw {
    start: usize,
    end: usize,
    kind: FileType,
    ino: u64,
}

/// One entry of a directory.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Its path below the root.
    pub path: &'a [u8],
    /// The last component of `path`, with its NUL.
    pub name: &'a CStr,
    /// What it is; never unknown.
    pub kind: FileType,
    /// The inode number as the directory has it.
    pub ino: u64,
}

/// What happens to an entry that is a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is walked.
    Enter,
    /// It is not.
    Skip,
}

/// What is done with what is found.
pub(super) trait Visitor {
    /// What a directory hands down to its entries.
    type Scope: Clone;
    /// A directory was read; `above` comes from its parent.
    fn enter(&mut self, above: &Self::Scope, listing: &Listing<'_>) -> Result<Self::Scope>;
    /// An entry of it. The value matters for directories only.
    fn entry(&mut self, scope: &Self::Scope, dir: BorrowedFd<'_>, entry: Entry<'_>) -> Result<Next>;
    /// A directory cannot be read.
    fn unreadable(&mut self, path: &[u8], err: Errno) -> Result<()>;
}

impl Listing<'_> {
    /// The entries' names, kinds and inode numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&CStr, FileType, u64)> {
        self.entries.iter().filter_map(|raw| Some((name_of(self.names, raw)?, raw.kind, raw.ino)))
    }
}

fn name_of<'a>(names: &'a [u8], raw: &Raw) -> Option<&'a CStr> {
    CStr::from_bytes_with_nul(&names[raw.start..raw.end]).ok()
}

struct Open<S> {
    dir: Rc<Dir>,
    path: Vec<u8>,
    scope: S,
    depth: usize,
}

/// Walks the tree below `root`, parents before children. What vanishes meanwhile is passed over.
pub(super) fn walk<V: Visitor>(root: &Path, top: V::Scope, visitor: &mut V) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let fd = rustix::fs::open(root, flags, Mode::empty());
    let dir = fd.and_then(Dir::new).map_err(|err| unreadable_root(root, err))?;
    let mut names = Vec::new();
    let mut entries = Vec::new();
    let mut path = Vec::new();
    let mut stack = vec![(None::<Rc<Open<V::Scope>>>, Vec::new())];
    let mut first = Some(dir);
    while let Some((parent, name)) = stack.pop() {
        let (mut dir, here, scope, depth) = match (&parent, first.take()) {
            (_, Some(dir)) => (dir, Vec::new(), top.clone(), 0),
            (None, None) => continue,
            (Some(parent), None) => {
                let here = joined(&parent.path, &name);
                let opened = parent.dir.fd().and_then(|up| rustix::fs::openat(up, &*name, flags, Mode::empty()));
                match opened.and_then(Dir::new) {
                    Ok(dir) => (dir, here, parent.scope.clone(), parent.depth + 1),
                    Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue, // replaced since it was listed
                    Err(err) => {
                        visitor.unreadable(&here, err)?;
                        continue;
                    }
                }
            }
        };
        if depth > MAX_DEPTH {
            return Err(Error::usage(format!("directories nested deeper than {MAX_DEPTH} below '{}'", shown(&here)))
                .hint("hide the top one: add it to .coopignore"));
        }
        if let Err(err) = list(&mut dir, &mut names, &mut entries) {
            visitor.unreadable(&here, err)?;
            continue;
        }
        let Ok(fd) = dir.fd() else { continue };
        let scope = visitor.enter(&scope, &Listing { fd, path: &here, names: &names, entries: &entries })?;
        path.clear();
        path.extend_from_slice(&here);
        if !here.is_empty() {
            path.push(b'/');
        }
        let base = path.len();
        let mut below = Vec::new();
        for raw in &entries {
            let Some(name) = name_of(&names, raw) else { continue };
            path.truncate(base);
            path.extend_from_slice(name.to_bytes());
            let entry = Entry { path: &path, name, kind: raw.kind, ino: raw.ino };
            if visitor.entry(&scope, fd, entry)? == Next::Enter && raw.kind == FileType::Directory {
                below.push(name.to_bytes().to_vec());
            }
        }
        if !below.is_empty() {
            let open = Rc::new(Open { dir: Rc::new(dir), path: here, scope, depth });
            stack.extend(below.into_iter().rev().map(|name| (Some(open.clone()), name)));
        }
    }
    Ok(())
}

fn list(dir: &mut Dir, names: &mut Vec<u8>, entries: &mut Vec<Raw>) -> rustix::io::Result<()> {
    names.clear();
    entries.clear();
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let (kind, ino) = match entry.file_type() {
            FileType::Unknown => {
                let fd = dir.fd()?;
                match rustix::fs::statat(fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => (FileType::from_raw_mode(stat.st_mode), stat.st_ino),
                    Err(Errno::NOENT) => continue,
                    Err(err) => return Err(err),
                }
            }
            kind => (kind, entry.ino()),
        };
        let start = names.len();
        names.extend_from_slice(name.to_bytes_with_nul());
        entries.push(Raw { start, end: names.len(), kind, ino });
    }
    Ok(())
}

/// `dir/name`, or `name` in the root.
pub(super) fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

fn unreadable_root(root: &Path, err: Errno) -> Error {
    Error::usage(format!("cannot read '{}'", root.display())).because(err).hint("run git coop in a readable checkout")
}

fn shown(path: &[u8]) -> String {
    crate::ui::text::printable_bytes(path)
}
