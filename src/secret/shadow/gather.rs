//! First pass over the tree: names, `.coopignore` files and remembered identities.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context as _, Error, Kind as ErrorKind, Result};
use crate::secret::ignore::{self, IgnoreFile};
use crate::secret::names;
use crate::secret::walk::{Entry, Listing, Next, Visitor, joined, walk};
use crate::ui::text::printable_bytes;
use crate::without::without;

use super::{Kind, Remembered, Rules, Shadow, Why};

const IGNORE_FILE: &[u8] = b".coopignore";

/// What the first pass found.
#[derive(Default)]
pub(super) struct Gathered {
    pub shadows: Vec<Shadow>,
    /// Symbolic links with a hidden name.
    pub links: Vec<(Vec<u8>, Why)>,
    /// `.git` entries that are not the root's own; links among them are not followed yet.
    pub nested_git: Vec<Vec<u8>>,
    pub ignore_files: Vec<PathBuf>,
    pub ignores: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, usize>>,
    pub warnings: Vec<String>,
}

/// The `.coopignore` files that hold for a directory, innermost first.
struct Layer {
    /// Path of the file.
    file: Vec<u8>,
    patterns: IgnoreFile,
    /// Where the part of a path that the patterns see begins.
    base: usize,
    above: Option<Arc<Layer>>,
}

#[derive(Clone, Default)]
struct Scope {
    layers: Option<Arc<Layer>>,
    /// The directory's inode numbers cannot be trusted (some overlay and FUSE file systems).
    stat_all: bool,
    /// Last component of the directory's path.
    name: Arc<[u8]>,
}

struct Gatherer<'a> {
    root: &'a Path,
    rules: &'a Rules,
    memory: &'a Remembered,
    inodes: HashSet<u64>,
    out: Gathered,
}

/// Walks the tree once.
pub(super) fn gather(root: &Path, rules: &Rules, memory: &Remembered) -> Result<Gathered> {
    let inodes = memory.ids.iter().map(|id| id.ino).collect();
    let mut gatherer = Gatherer { root, rules, memory, inodes, out: Gathered::default() };
    for (line, note) in rules.user.notes() {
        gatherer.out.warnings.push(format!("your hide list, line {line}: {note}"));
    }
    walk(root, Scope::default(), &mut gatherer)?;
    Ok(gatherer.out)
}

impl Visitor for Gatherer<'_> {
    type Scope = Scope;

    fn enter(&mut self, above: &Scope, listing: &Listing<'_>) -> Result<Scope> {
        let name = listing.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let mut scope = Scope { layers: above.layers.clone(), stat_all: false, name: name.into() };
        let mut lines = self.memory.ignores.get(listing.path).cloned().unwrap_or_default();
        let mut notes = Vec::new();
        if !without("coopignore")
            && listing.iter().any(|(name, ..)| name.to_bytes() == IGNORE_FILE)
            && let Some(text) = read_ignore(listing)?
        {
            let path = joined(listing.path, IGNORE_FILE);
            notes = IgnoreFile::parse(&text).notes().to_vec();
            lines.extend(ignore::pattern_lines(&text).map(|(number, line)| (line.to_vec(), number)));
            self.out.ignore_files.push(PathBuf::from(OsStr::from_bytes(&path)));
        }
        if !lines.is_empty() || !notes.is_empty() {
            let file = joined(listing.path, IGNORE_FILE);
            let shown = |(line, note): &(usize, &str)| format!("{}:{line}: {note}", printable_bytes(&file));
            self.out.warnings.extend(notes.iter().map(shown));
            let patterns = IgnoreFile::of_lines(lines.iter().map(|(line, number)| (*number, &line[..])));
            self.out.ignores.insert(listing.path.to_vec(), lines);
            let base = if listing.path.is_empty() { 0 } else { listing.path.len() + 1 };
            scope.layers = Some(Arc::new(Layer { file, patterns, base, above: scope.layers.take() }));
        }
        if !self.inodes.is_empty() {
            scope.stat_all = !numbers_hold(listing);
        }
        Ok(scope)
    }

    fn entry(&mut self, scope: &Scope, _dir: BorrowedFd<'_>, entry: Entry<'_>) -> Result<Next> {
        let name = entry.name.to_bytes();
        if name == b".git" {
            if entry.path.len() == name.len() {
                return Ok(Next::Skip); // the root's own
            }
            self.out.nested_git.push(entry.path.to_vec());
            return Ok(Next::Skip); // the caller hides it whole
        }
        let Some(why) = self.why(scope, &entry) else { return Ok(Next::Enter) };
        let kind = match entry.kind {
            FileType::Symlink => {
                self.out.links.push((entry.path.to_vec(), why));
                return Ok(Next::Skip);
            }
            FileType::Directory => Kind::Dir,
            _ => Kind::File,
        };
        self.out.shadows.push(Shadow { path: entry.path.to_vec(), kind, why });
        Ok(Next::Skip)
    }

    fn unreadable(&mut self, path: &[u8], err: Errno) -> Result<()> {
        Err(Error::usage(format!(
            "cannot read '{}', so it may hold secrets that would not be hidden",
            printable_bytes(path)
        ))
        .because(err)
        .hint("make it readable, or hide it whole: add it to .coopignore"))
    }
}

impl Gatherer<'_> {
    fn why(&self, scope: &Scope, entry: &Entry<'_>) -> Option<Why> {
        if let Some(pattern) = names::is_secret_name(&scope.name, entry.name.to_bytes()) {
            return Some(Why::Name(pattern));
        }
        let file = entry.kind == FileType::RegularFile;
        let mut layer = scope.layers.as_deref();
        while let Some(at) = layer {
            if let Some(line) = at.patterns.hides(&entry.path[at.base..], file) {
                return Some(Why::Ignore { file: at.file.clone(), line });
            }
            layer = at.above.as_deref();
        }
        if let Some(line) = self.rules.user.hides(entry.path, file) {
            return Some(Why::User(line));
        }
        let known = !self.memory.paths.is_empty() && self.memory.paths.contains(entry.path);
        (known || self.is_known_inode(scope, entry)).then_some(Why::Remembered)
    }

    fn is_known_inode(&self, scope: &Scope, entry: &Entry<'_>) -> bool {
        if entry.kind == FileType::Symlink || !(scope.stat_all || self.inodes.contains(&entry.ino)) {
            return false;
        }
        let Some(id) = super::links::identity(self.root, entry.path) else { return false };
        self.inodes.contains(&id.ino) && self.memory.ids.iter().any(|known| known.is(&id))
    }
}

/// Whether the inode numbers in a listing are those that `stat` gives, tried on the first entry.
pub(super) fn numbers_hold(listing: &Listing<'_>) -> bool {
    let mut plain = listing.iter().filter(|(_, kind, _)| *kind == FileType::RegularFile);
    plain.next().is_none_or(|(name, _, ino)| {
        rustix::fs::statat(listing.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_ino == ino)
    })
}

/// The text of the directory's `.coopignore`; `None` if it vanished.
fn read_ignore(listing: &Listing<'_>) -> Result<Option<Vec<u8>>> {
    let shown = printable_bytes(&joined(listing.path, IGNORE_FILE));
    let odd = || {
        Error::usage(format!("'{shown}' is not a plain file of at most {} KiB", ignore::MAX_FILE >> 10))
            .hint("replace it by a plain file with one pattern a line")
    };
    let mut flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if without("no-follow") {
        flags = OFlags::RDONLY | OFlags::CLOEXEC;
    }
    let fd = match rustix::fs::openat(listing.fd, ".coopignore", flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::MLINK | Errno::NXIO) => return Err(odd()),
        Err(err) => return Err(err).context(ErrorKind::Usage, format!("cannot read '{shown}'")),
    };
    let file = std::fs::File::from(fd);
    let meta = file.metadata().or_bug(format!("cannot read '{shown}'"))?;
    if !meta.is_file() || meta.len() > ignore::MAX_FILE {
        return Err(odd());
    }
    let mut text = Vec::new();
    file.take(ignore::MAX_FILE + 1)
        .read_to_end(&mut text)
        .context(ErrorKind::Usage, format!("cannot read '{shown}'"))?;
    if text.len() as u64 > ignore::MAX_FILE { Err(odd()) } else { Ok(Some(text)) }
}
