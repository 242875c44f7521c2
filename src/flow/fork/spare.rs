//! A work tree that is kept ready for the next fork: while an agent works, its process checks HEAD out once more, into
//! coop's own directory, which no box sees. The next fork takes it by a rename, and what changed since is all that is
//! written. It is never needed: where there is none, or it does not fit, the fork is checked out as ever.
//!
//! On disk: `spare/{tree,index,is}`; `is` says what the tree is, and is there only while the tree is whole.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::agent::tree;
use crate::error::{Context as _, Error, Result};
use crate::git::{Oid, checkout, refs};
use crate::sandbox::owner;

use super::super::Coop;
use super::super::lock::Lock;

/// How long a box lives before anything is made ready beside it: its start comes first, and short ones are left alone.
const QUIET: Duration = Duration::from_secs(2);

/// Less room on the disk than this, in bytes, and nothing is made ready.
const ROOM: u64 = 1 << 30;

/// Runs `work`, and beside it makes the next fork's work tree ready. It ends with `work` and is not waited for.
pub fn meanwhile<T>(coop: &Coop, work: impl FnOnce() -> T) -> T {
    let interrupt = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        let interrupt_ref = &interrupt;
        scope.spawn(move || {
            if ended.recv_timeout(QUIET) == Err(mpsc::RecvTimeoutError::Timeout) {
                // nothing depends on it: whoever forks next will see the error, if it is one of theirs
                let _ = ready(coop, interrupt_ref);
            }
        });
        let done = work();
        interrupt.store(true, Ordering::Relaxed);
        drop(end);
        done
    })
}

/// Makes HEAD ready, or brings what is ready to HEAD.
pub fn ready(coop: &Coop, interrupt: &AtomicBool) -> Result<()> {
    let Some(spare) = Spare::lock(coop)? else { return Ok(()) };
    let Some(head) = refs::head(&coop.repo, &coop.env)? else { return Ok(()) };
    if !wanted(coop)? {
        return spare.clear();
    }
    if spare.is(coop)?.is_some_and(|is| is.commit == head) {
        return Ok(());
    }
    if spare.bring_to(coop, &head, interrupt)?.is_some() {
        return Ok(());
    }
    spare.clear()?;
    let tree = spare.dir.join("tree");
    std::fs::create_dir_all(&tree).or_bug(format!("cannot make '{}'", tree.display()))?;
    let made = checkout::checkout(&coop.repo, &head, &tree, &spare.dir.join("index"), interrupt)
        .and_then(|written| spare.seal(coop, &head, written.submodules));
    made.or_else(|err| spare.clear().and(Err(err)))
}

/// Gives what is ready, brought to `base`, to the work tree that was just registered at `path` and that has nothing
/// but its `.git`; `git_dir` is its own git directory. Gives the number of submodules, and `None`, with `path` as it was,
/// where nothing fits.
pub fn take(coop: &Coop, base: &Oid, path: &Path, git_dir: &Path) -> Result<Option<usize>> {
    // whatever is wrong with it, the fork can do without
    let Ok(Some((spare, submodules))) = fitting(coop, base) else { return Ok(None) };
    let (tree, from, to) = (spare.dir.join("tree"), path.join(".git"), spare.dir.join("tree/.git"));
    let moved = std::fs::rename(&from, &to).and_then(|()| {
        // a rename replaces an empty directory, and fails between file systems
        std::fs::rename(&tree, path).inspect_err(|_| drop(std::fs::rename(&to, &from)))
    });
    if moved.is_err() {
        return Ok(None);
    }
    std::fs::rename(spare.dir.join("index"), git_dir.join("index")).or_bug("cannot move the index of the fork")?;
    Ok(Some(submodules))
}

/// What is ready, brought to `base` and no longer said to be whole; the number of its submodules.
fn fitting(coop: &Coop, base: &Oid) -> Result<Option<(Spare, usize)>> {
    let Some(spare) = Spare::lock(coop)? else { return Ok(None) };
    let Some(is) = spare.is(coop)? else { return Ok(None) };
    let submodules = match is.commit == *base {
        true => Some(is.submodules),
        false => spare.bring_to(coop, base, &AtomicBool::new(false))?,
    };
    let Some(submodules) = submodules else { return Ok(None) };
    spare.unseal()?;
    Ok(Some((spare, submodules)))
}

/// Whether one is wanted: where it is not switched off, root does not work for another user, who could not use it, and
/// there is room for it.
fn wanted(coop: &Coop) -> Result<bool> {
    let room = rustix::fs::statvfs(coop.repo.coop_dir()).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    let own = coop.owner()?.uid == rustix::process::geteuid().as_raw();
    Ok(own && room > ROOM && coop.settings.get("COOP_SPARE") == Some("true"))
}

/// What is ready.
struct Is {
    commit: Oid,
    submodules: usize,
}

/// `spare/`, while no other process uses it.
struct Spare {
    dir: PathBuf,
    _lock: Lock,
}

impl Spare {
    fn lock(coop: &Coop) -> Result<Option<Spare>> {
        let lock = Lock::at_once(&coop.repo.coop_dir().join("locks/spare"))?;
        Ok(lock.map(|lock| Spare { dir: coop.repo.coop_dir().join("spare"), _lock: lock }))
    }
    /// What is ready, if it would be written the same way today.
    fn is(&self, coop: &Coop) -> Result<Option<Is>> {
        let Ok(text) = std::fs::read_to_string(self.dir.join("is")) else { return Ok(None) };
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            [commit, submodules, key] if key == how(coop) => {
                let submodules = submodules.parse().map_err(|_| Error::bug("the file 'is' of the spare is damaged"))?;
                Ok(Some(Is { commit: Oid::parse(commit)?, submodules }))
            }
            _ => Ok(None),
        }
    }
    /// Brings what is ready to `commit`, writing only what differs. Gives the number of submodules; `None` where that
    /// cannot be. What cannot be finished is cleared away.
    fn bring_to(&self, coop: &Coop, commit: &Oid, interrupt: &AtomicBool) -> Result<Option<usize>> {
        let Some(is) = self.is(coop)? else { return Ok(None) };
        self.unseal()?;
        match checkout::update(&coop.repo, commit, &self.dir.join("tree"), &self.dir.join("index"), interrupt) {
            Ok(Some(written)) => {
                self.seal(coop, commit, written.submodules)?;
                Ok(Some(written.submodules))
            }
            Ok(None) => self.seal(coop, &is.commit, is.submodules).map(|()| None),
            Err(err) => self.clear().and(Err(err)),
        }
    }
    fn seal(&self, coop: &Coop, commit: &Oid, submodules: usize) -> Result<()> {
        let text = format!("{commit} {submodules} {}\n", how(coop));
        std::fs::write(self.dir.join("is"), text).or_bug("cannot write what the spare is")
    }
    fn unseal(&self) -> Result<()> {
        std::fs::remove_file(self.dir.join("is")).or_bug("cannot take the spare")
    }
    fn clear(&self) -> Result<()> {
        match self.dir.symlink_metadata() {
            Ok(_) => tree::remove(&self.dir).or_bug(format!("cannot remove '{}'", self.dir.display())),
            Err(_) => Ok(()),
        }
    }
}

/// A hash of everything besides the commit that says how files are written: git's configuration, and attributes that
/// stand outside of the tree (`git help attributes`: `$GIT_DIR/info/attributes`, `core.attributesFile`).
fn how(coop: &Coop) -> String {
    let mut hash = Sha256::new();
    // what was written before a crash of the machine may not be whole
    hash.update(owner::boot_id());
    for entry in coop.config.entries() {
        hash.update(format!("{}\0{}\0", entry.key, entry.value));
    }
    let home = coop.env.home();
    let default = coop.env.get("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let named = coop.config.get("core.attributesfile").map(|path| match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(path),
    });
    let outside = [
        coop.repo.common_dir.join("info/attributes"),
        named.unwrap_or_else(|| default.join("git/attributes")),
        PathBuf::from("/etc/gitattributes"),
    ];
    for path in outside {
        hash.update(std::fs::read(path).unwrap_or_default());
        hash.update([0]);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}
