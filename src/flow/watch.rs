//! Watches a running live box. A host editor that saves by rename takes the blank away with the old file:
//! the box then sees the new content (measured on every runtime). This cannot be prevented from outside,
//! so the box is ended at once and the user is told. Forks have no such hole.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sandbox::boxes;
use crate::sandbox::runtime::Usable;
use crate::secret::shadow::Plan;

/// The hidden and the read-only paths of one box with the files that stood there when it started.
#[derive(Debug)]
pub struct Watch {
    hidden: Vec<(PathBuf, (u64, u64))>,
    /// Set when the box has ended.
    over: AtomicBool,
    /// The path that was replaced.
    replaced: Mutex<Option<PathBuf>>,
    /// Closed to wake the guard at the end.
    wake: Mutex<Option<std::io::PipeWriter>>,
    sleep: Option<std::io::PipeReader>,
}

impl Watch {
    /// Remembers what stands at each hidden path, and at each of `read_only`.
    pub fn new<'a>(tree: &Path, plan: &Plan, read_only: impl Iterator<Item = &'a PathBuf>) -> Watch {
        let hidden = plan
            .shadows
            .iter()
            .map(|shadow| tree.join(OsStr::from_bytes(&shadow.path)))
            .chain(read_only.map(|path| tree.join(path)))
            .filter_map(|path| Some((identity(&path)?, path)))
            .map(|(id, path)| (path, id))
            .collect();
        let (sleep, wake) = std::io::pipe().ok().unzip();
        Watch { hidden, over: AtomicBool::new(false), replaced: Mutex::new(None), wake: Mutex::new(wake), sleep }
    }

    /// A hidden path where another file stands now. One that is gone does not count: the box itself can
    /// rename a parent directory, and the blank goes along.
    fn find_replaced(&self) -> Option<&Path> {
        self.hidden
            .iter()
            .find(|(path, was)| identity(path).is_some_and(|now| now != *was))
            .map(|(path, _)| path.as_path())
    }

    /// Looks until [`Watch::end`]; ends the box `id` when a hidden file was replaced. Runs in a thread of its own.
    pub fn guard(&self, usable: &Usable, id: &str) {
        if self.hidden.is_empty() {
            return;
        }
        let waiter = Waiter::new(self.hidden.iter().filter_map(|(path, _)| path.parent()));
        while !self.over.load(Ordering::Relaxed) {
            if let Some(path) = self.find_replaced() {
                if let Ok(mut replaced) = self.replaced.lock() {
                    *replaced = Some(path.to_owned());
                }
                let _ = boxes::stop(usable, id); // the supervisor sees the box end whether this reports or not
                return;
            }
            waiter.wait(self.sleep.as_ref());
        }
    }

    /// The box has ended: the guard returns, and gives the replaced path if there was one.
    pub fn end(&self) -> Option<PathBuf> {
        self.over.store(true, Ordering::Relaxed);
        if let Ok(mut wake) = self.wake.lock() {
            drop(wake.take());
        }
        self.replaced.lock().ok().and_then(|replaced| replaced.clone())
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|m| (m.dev(), m.ino()))
}

/// Waits for something to happen in the directories, at most 100 ms: then the caller looks anyway.
#[cfg(target_os = "linux")]
struct Waiter(Option<std::os::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Waiter {
    fn new<'a>(dirs: impl Iterator<Item = &'a Path>) -> Self {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let fd = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        if let Some(fd) = &fd {
            for dir in dirs {
                let _ = add_watch(fd, dir, WatchFlags::CREATE | WatchFlags::MOVED_TO); // the timed look remains
            }
        }
        Waiter(fd)
    }
    fn wait(&self, end: Option<&std::io::PipeReader>) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let (Some(fd), Some(end)) = (&self.0, end) else { return std::thread::sleep(Duration::from_millis(50)) };
        let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut polled = [PollFd::new(fd, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        let _ = poll(&mut polled, Some(&timeout));
        let mut buffer = [0u8; 4096];
        while rustix::io::read(fd, &mut buffer).is_ok_and(|n| n > 0) {}
    }
}

#[cfg(not(target_os = "linux"))]
struct Waiter;

#[cfg(not(target_os = "linux"))]
impl Waiter {
    fn new<'a>(_: impl Iterator<Item = &'a Path>) -> Self {
        Waiter
    }
    fn wait(&self, _: Option<&std::io::PipeReader>) {
        std::thread::sleep(Duration::from_millis(50));
    }
}
