//! Copies files out of and into directories that a box could write, without ever following a symbolic link.
//!
//! Every path is walked component by component with `openat(…, O_NOFOLLOW)` from a directory handle that the caller
//! opened; only regular files are read, no more of them than the limits say, and what is written is a new file that is
//! renamed into place. So a link that an agent planted is neither read nor written through, however it is timed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// How much is taken at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of files.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Directories below the start that are entered.
const MAX_DEPTH: usize = 24;
/// Directory entries that are looked at: a box may have made millions.
const MAX_ENTRIES: usize = 200_000;

/// Who gets the copies: user and group id, where this process may give files away.
pub type Owner = Option<(u32, u32)>;

/// What was copied and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files copied.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Entries left out: links, devices, unreadable ones, and what was over a limit.
    pub skipped: usize,
}

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory as a starting point. `path` itself is the caller's: no box can write its parents.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Walks to the directory `path` below `root`, creating what is missing (0700) if `make` says so.
fn walk(root: &OwnedFd, path: &Path, make: Option<Owner>) -> io::Result<OwnedFd> {
    let mut dir = root.try_clone()?;
    for part in path.components() {
        let Component::Normal(name) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut next = rustix::fs::openat(&dir, name, DIR, Mode::empty());
        if let (Err(Errno::NOENT), Some(owner)) = (&next, make) {
            match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(err) => return Err(err.into()),
            }
            next = rustix::fs::openat(&dir, name, DIR, Mode::empty());
            if let Ok(made) = &next {
                give(made, owner)?;
            }
        }
        dir = next?;
    }
    Ok(dir)
}

/// Makes the directory `path` below `root` with all its parents.
pub fn make_dir(root: &OwnedFd, path: &Path, owner: Owner) -> io::Result<()> {
    walk(root, path, Some(owner)).map(|_| ())
}

fn give(fd: &OwnedFd, owner: Owner) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    Ok(rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

fn parent_and_name(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Opens the regular file `path` below `root`. A link anywhere on the way, a pipe or a device is an error.
fn open_file(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let (parent, name) = parent_and_name(path)?;
    let dir = walk(root, parent, None)?;
    let mut flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !crate::without::without("agent-home-no-follow"));
    let file = File::from(rustix::fs::openat(&dir, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// The content of the regular file `path` below `root`; `None` where there is nothing. Errors: a link on the way, not
/// a regular file, more than `max` bytes.
pub fn read(root: &OwnedFd, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open_file(root, path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(err),
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(Some(bytes)) }
}

/// The first line of the regular file `path` below `root`, without its newline. Errors: as [`read`], or a line of more
/// than `max` bytes.
pub fn first_line(root: &OwnedFd, path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut file = io::BufReader::new(open_file(root, path)?.take(max as u64 + 1));
    io::BufRead::read_until(&mut file, b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(line) }
}

/// Writes `path` below `root` as a new file that replaces what was there by a rename. Parents are made.
pub fn write(root: &OwnedFd, path: &Path, bytes: &[u8], owner: Owner) -> io::Result<()> {
    let (parent, name) = parent_and_name(path)?;
    let dir = walk(root, parent, Some(owner))?;
    let mut file = create(&dir, owner, false)?;
    file.write_all(bytes)?;
    replace(&dir, name)
}

const TEMPORARY: &str = ".coop-new";

/// The temporary file of `dir`; one left over from a killed process is removed first.
fn create(dir: &OwnedFd, owner: Owner, executable: bool) -> io::Result<File> {
    let _ = rustix::fs::unlinkat(dir, TEMPORARY, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = if executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
    let fd = rustix::fs::openat(dir, TEMPORARY, flags, mode)?;
    give(&fd, owner)?;
    Ok(File::from(fd))
}

fn replace(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let moved = rustix::fs::renameat(dir, TEMPORARY, dir, name);
    if moved.is_err() {
        let _ = rustix::fs::unlinkat(dir, TEMPORARY, AtFlags::empty());
    }
    Ok(moved?)
}

/// A regular file found by [`list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the root of the listing.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Time of the last change: seconds and nanoseconds.
    pub mtime: (i64, i64),
    executable: bool,
}

/// All regular files at or below `start` (below `root`), newest first. The second value counts what was left out.
pub fn list(root: &OwnedFd, start: &Path) -> (Vec<Found>, usize) {
    let (mut found, mut skipped, mut seen) = (Vec::new(), 0, 0);
    let mut todo = vec![(start.to_owned(), 0)];
    if start.file_name().is_some() && walk(root, start, None).is_err() {
        match open_file(root, start).and_then(|file| note(start.to_owned(), &file)) {
            Ok(file) => found.push(file),
            Err(err) => skipped += usize::from(err.kind() != io::ErrorKind::NotFound),
        }
        return (found, skipped);
    }
    while let Some((path, depth)) = todo.pop() {
        let Ok(names) = walk(root, &path, None).and_then(|dir| entries(&dir)) else {
            skipped += 1;
            continue;
        };
        for (name, kind) in names {
            seen += 1;
            if seen > MAX_ENTRIES {
                return (found, skipped + 1);
            }
            let path = path.join(&name);
            match kind {
                FileType::Directory if depth < MAX_DEPTH => todo.push((path, depth + 1)),
                FileType::RegularFile => match open_file(root, &path).and_then(|file| note(path, &file)) {
                    Ok(file) => found.push(file),
                    Err(_) => skipped += 1,
                },
                _ => skipped += 1,
            }
        }
    }
    found.sort_by(|a, b| b.mtime.cmp(&a.mtime).then_with(|| a.path.cmp(&b.path)));
    (found, skipped)
}

fn note(path: PathBuf, file: &File) -> io::Result<Found> {
    let meta = file.metadata()?;
    let executable = meta.mode() & 0o100 != 0;
    Ok(Found { path, size: meta.len(), mtime: (meta.mtime(), meta.mtime_nsec()), executable })
}

fn entries(dir: &OwnedFd) -> io::Result<Vec<(OsString, FileType)>> {
    let mut out = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        out.push((name.to_owned(), kind));
        if out.len() > MAX_ENTRIES {
            break;
        }
    }
    Ok(out)
}

/// Copies the regular files at or below `path` from under `from` to the same place under `to`, newest first until a
/// limit is reached. What has the same size and time already is left alone; nothing is ever removed.
/// `keep_executable` keeps the owner's execute bit. One file that cannot be copied does not stop the others.
pub fn copy(from: &OwnedFd, to: &OwnedFd, path: &Path, limits: Limits, owner: Owner, keep_executable: bool) -> Copied {
    let (files, skipped) = list(from, path);
    let mut done = Copied { skipped, ..Copied::default() };
    for file in files {
        if done.files >= limits.files || file.size > limits.file_bytes || done.bytes + file.size > limits.bytes {
            done.skipped += 1;
            continue;
        }
        match copy_one(from, to, &file, owner, keep_executable) {
            Ok(()) => {
                done.files += 1;
                done.bytes += file.size;
            }
            Err(_) => done.skipped += 1,
        }
    }
    done
}

fn copy_one(from: &OwnedFd, to: &OwnedFd, file: &Found, owner: Owner, keep_executable: bool) -> io::Result<()> {
    let (parent, name) = parent_and_name(&file.path)?;
    let dir = walk(to, parent, Some(owner))?;
    if open_file(&dir, Path::new(name))
        .and_then(|there| note(PathBuf::new(), &there))
        .is_ok_and(|there| there.size == file.size && there.mtime == file.mtime)
    {
        return Ok(());
    }
    let source = open_file(from, &file.path)?;
    let mut target = create(&dir, owner, keep_executable && file.executable)?;
    io::copy(&mut source.take(file.size), &mut target)?;
    let time = Timespec { tv_sec: file.mtime.0, tv_nsec: file.mtime.1 as _ };
    rustix::fs::futimens(&target, &Timestamps { last_access: time, last_modification: time })?;
    replace(&dir, name)
}

/// Removes `path` and everything below it, following no link and however deep a box made it: directories are moved up
/// beside the first ones instead of being descended into.
pub fn remove(path: &Path) -> io::Result<()> {
    let root = match rustix::fs::open(path, DIR, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(err) => return Err(err.into()),
    };
    let mut moved = 0u64;
    loop {
        let names = entries(&root)?;
        if names.is_empty() {
            break;
        }
        for (name, kind) in names {
            if kind != FileType::Directory {
                rustix::fs::unlinkat(&root, &name, AtFlags::empty())?;
                continue;
            }
            // a box may have taken its own right to read it away
            let _ = rustix::fs::chmodat(&root, &name, Mode::RWXU, AtFlags::empty());
            let dir = rustix::fs::openat(&root, &name, DIR, Mode::empty())?;
            for (child, kind) in entries(&dir)? {
                if kind == FileType::Directory {
                    let _ = rustix::fs::chmodat(&dir, &child, Mode::RWXU, AtFlags::empty());
                    // a name may be taken: by a removal that was killed, or by a box
                    loop {
                        moved += 1;
                        match rustix::fs::renameat(&dir, &child, &root, format!(".coop-rm-{moved}")) {
                            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::ISDIR) => {}
                            other => break other?,
                        }
                    }
                } else {
                    rustix::fs::unlinkat(&dir, &child, AtFlags::empty())?;
                }
            }
            match rustix::fs::unlinkat(&root, &name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY) => {} // more entries than one listing holds: next round
                Err(err) => return Err(err.into()),
            }
        }
    }
    drop(root);
    std::fs::remove_dir(path)
}
