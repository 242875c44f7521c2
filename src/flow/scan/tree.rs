//! The work tree: tracked and untracked files as git lists them, or any directory.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::{BStr, ByteSlice as _};

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::{Git, Repo};
use crate::secret::scan::{Scanned, Scanner, WINDOW, scan_all};

use super::super::verify;
use super::{Collector, Request, threads};

/// A file to scan.
struct Item {
    /// To open it.
    file: PathBuf,
    /// To report it.
    shown: Vec<u8>,
}

pub(super) fn scan(
    request: &Request<'_>,
    repo: Result<Repo>,
    scanner: &Scanner,
    collector: &Collector<'_>,
    paths: &[PathBuf],
    include_ignored: bool,
) -> Result<()> {
    let whole = paths.is_empty();
    let repo = match repo {
        Ok(repo) => Some(repo),
        // without a path there is nothing that could be meant but the repository
        Err(err) if whole => return Err(err.hint("git coop scan PATH works outside a repository")),
        Err(_) => None,
    };
    let starts: Vec<PathBuf> = match &repo {
        Some(repo) if whole => vec![repo.work_tree.clone()],
        // `dir/.` as a name would match an ignore pattern like `.*`
        _ => paths.iter().map(|p| request.cwd.join(p).components().collect()).collect(),
    };
    let mut items: Box<dyn Iterator<Item = Item> + Send> = Box::new(std::iter::empty());
    for start in starts {
        let meta = start.symlink_metadata().context(Kind::Usage, format!("cannot read '{}'", start.display()))?;
        let inside = repo.as_ref().filter(|r| {
            !include_ignored && meta.is_dir() && start.canonicalize().is_ok_and(|s| s.starts_with(&r.work_tree))
        });
        items = match inside {
            Some(repo) => Box::new(items.chain(listed(request, repo, &start, collector)?)),
            None if meta.is_dir() => {
                Box::new(items.chain(walked(&start, request.cwd, repo.is_some() && !include_ignored, collector)))
            }
            None => Box::new(items.chain(std::iter::once(item(start, request.cwd)))),
        };
    }
    scan_all(scanner, items, threads(), request.cancel, load, |item, scanned| match scanned {
        // a file may vanish between listing and reading, as any build does to its files
        Err(err) if err.kind() == io::ErrorKind::NotFound && item.file.symlink_metadata().is_err() => {
            collector.skipped("vanished while scanning")
        }
        Err(err) if err.kind() == io::ErrorKind::Unsupported => collector.skipped("not a regular file"),
        other => collector.done(BStr::new(&item.shown), None, other.map_err(|e| e.to_string())),
    });
    Ok(())
}

fn item(file: PathBuf, cwd: &Path) -> Item {
    let shown = file.strip_prefix(cwd).unwrap_or(&file).as_os_str().as_bytes().to_vec();
    Item { file, shown }
}

/// What git tracks or would track below `start`; nested repositories are walked.
fn listed<'a>(
    request: &Request<'_>,
    repo: &Repo,
    start: &Path,
    collector: &'a Collector<'a>,
) -> Result<impl Iterator<Item = Item> + Send + use<'a>> {
    let start = start.canonicalize().context(Kind::Usage, format!("cannot read '{}'", start.display()))?;
    let below = start.strip_prefix(&repo.work_tree).unwrap_or(Path::new(""));
    let output = list(request, repo, below)?;
    let top = repo.work_tree.clone();
    let cwd = request.cwd.to_owned();
    let names: Vec<Vec<u8>> = output.split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect();
    Ok(names.into_iter().flat_map(move |name| -> Box<dyn Iterator<Item = Item> + Send + 'a> {
        let file = top.join(OsStr::from_bytes(&name));
        match file.symlink_metadata() {
            Ok(meta) if meta.is_dir() => Box::new(walked(&file, &cwd, true, collector)),
            // deleted but still in the index: nothing there to scan
            Err(err) if err.kind() == io::ErrorKind::NotFound => Box::new(std::iter::empty()),
            _ => Box::new(std::iter::once(item(file, &cwd))),
        }
    }))
}

/// How long git may list files before somebody looks for what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// `git ls-files` below `below`. Errors (exit 2): also where an agent left a pipe that git would wait for.
fn list(request: &Request<'_>, repo: &Repo, below: &Path) -> Result<Vec<u8>> {
    let git = || {
        let mut worktree = std::ffi::OsString::from("--work-tree=");
        worktree.push(&repo.work_tree);
        let git = Git::new(repo, request.env).arg(worktree);
        let git = git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
        if below.as_os_str().is_empty() {
            return git;
        }
        let mut spec = std::ffi::OsString::from(":(literal)");
        spec.push(below);
        git.arg("--").arg(spec)
    };
    match git().output_within(PATIENCE)? {
        Some(output) if output.status.success() => Ok(output.stdout),
        Some(_) => git().read(),
        None => match verify::walk(&repo.work_tree).into_iter().find(|found| found.what == verify::PIPE) {
            Some(found) => Err(Error::usage(format!("git cannot list the files: {}", found.shown()))
                .hint("look at it, and remove it; then scan again")),
            None => git().read(),
        },
    }
}

/// Everything below `start` but `.git`; with `honour` without what git ignores. Ignore files of other tools, and any outside a
/// repository, do not count: they could hide what they like.
fn walked<'a>(
    start: &Path,
    cwd: &Path,
    honour: bool,
    collector: &'a Collector<'a>,
) -> impl Iterator<Item = Item> + Send + use<'a> {
    let cwd = cwd.to_owned();
    let walk = ignore::WalkBuilder::new(start)
        .standard_filters(false)
        .git_ignore(honour)
        .git_exclude(honour)
        .git_global(honour)
        .parents(honour)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    walk.filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_some_and(|t| t.is_dir()) => None,
        Ok(entry) => Some(item(entry.into_path(), &cwd)),
        Err(err) => {
            collector.done(BStr::new("directory"), None, Err(err.to_string()));
            None
        }
    })
}

/// Opens without following a link and without waiting for a pipe; the target of a link is scanned as its text, as git stores it.
fn load(scanner: &Scanner, item: &Item, buffer: &mut Vec<u8>) -> io::Result<Scanned> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&item.file);
    let path = item.shown.as_bstr();
    match opened {
        Ok(file) => read(scanner, path, file, buffer),
        Err(err) if err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            let target = std::fs::read_link(&item.file)?.into_os_string().into_vec();
            Ok(scanner.scan_buffer(path, &target))
        }
        // a socket cannot be opened
        Err(err) if err.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(err) => Err(err),
    }
}

fn read(scanner: &Scanner, path: &BStr, mut file: File, buffer: &mut Vec<u8>) -> io::Result<Scanned> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // the whole file in one read where that is possible; what is left, and the end, is for the stream
    buffer.reserve(usize::try_from(meta.len()).unwrap_or(WINDOW).min(WINDOW - 1) + 1);
    rustix::io::read(&file, rustix::buffer::spare_capacity(buffer))?;
    scanner.scan_stream(path, &mut file, buffer)
}
