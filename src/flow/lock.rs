//! Who is at work: a lock that the kernel releases with the process, however it dies. It is not state
//! (nothing is written in it), it only tells a living owner from a dead one.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Context as _, Kind, Result};

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path`; `None` where another living process holds it for more than a second: a
    /// child that a killed process was just starting holds the lock until it has become its program.
    pub fn take(path: &Path) -> Result<Option<Lock>> {
        for _ in 0..20 {
            if let Some(lock) = Lock::at_once(path)? {
                return Ok(Some(lock));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }
    /// As [`Lock::take`], without waiting.
    pub fn at_once(path: &Path) -> Result<Option<Lock>> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).context(Kind::Usage, format!("cannot write '{}'", dir.display()))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .context(Kind::Usage, format!("cannot write '{}'", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file, path: path.to_owned() })),
            Err(err) if err == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(err) => Err(err).or_bug(format!("cannot lock '{}'", path.display())),
        }
    }
    /// Whether a living process holds the lock at `path`.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = OpenOptions::new().write(true).open(path) else { return false };
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
