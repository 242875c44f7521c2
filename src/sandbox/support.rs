//! The few host files that boxes need: the blanks that cover secrets, and the made-up files of `/etc` under
//! bubblewrap. They live in a directory of coop's own, are never writable, and are looked at before every launch.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::spec::User;

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// The directory that holds all of them.
    pub root: PathBuf,
    /// An empty regular file with mode 0444, alone in its directory.
    pub blank_file: PathBuf,
    /// An empty directory with mode 0555, alone in its directory.
    pub blank_dir: PathBuf,
}

/// The directory for files that a box of `user` must be able to reach by path.
///
/// That is the state directory, except where root runs a box for somebody else: root's home is closed to them, and
/// bubblewrap resolves paths as the box's user. Then it is `/var/lib/coop`.
pub fn root(env: &Env, user: User) -> PathBuf {
    if user.uid != 0 && rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib/coop/box")
    } else {
        env.state_dir().join("box")
    }
}

impl Support {
    /// The paths under `root`; nothing is made.
    pub fn at(root: &Path) -> Self {
        Support {
            root: root.to_owned(),
            blank_file: root.join("blank-file/empty"),
            blank_dir: root.join("blank-dir/empty"),
        }
    }

    /// Makes what is missing and checks what is there. Errors: a blank that is not blank, exit 70.
    pub fn prepare(&self) -> Result<()> {
        if !self.file_is_blank() {
            self.make_file().or_bug(format!("cannot make '{}'", self.blank_file.display()))?;
        }
        if !self.dir_is_blank() {
            make_dir(&self.blank_dir, 0o555).or_bug(format!("cannot make '{}'", self.blank_dir.display()))?;
        }
        for _ in 0..100 {
            if self.file_is_blank() && self.dir_is_blank() {
                return Ok(());
            }
            // another run is just making them, and has not set the permissions yet
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::bug(format!("'{}' holds something that is not blank", self.root.display()))
            .hint(format!("rm -r '{}'", self.root.display())))
    }

    fn file_is_blank(&self) -> bool {
        fs::symlink_metadata(&self.blank_file)
            .is_ok_and(|m| m.file_type().is_file() && m.len() == 0 && m.nlink() == 1 && m.mode() & 0o7777 == 0o444)
    }

    fn dir_is_blank(&self) -> bool {
        fs::symlink_metadata(&self.blank_dir).is_ok_and(|m| m.is_dir() && m.mode() & 0o7777 == 0o555)
            && fs::read_dir(&self.blank_dir).is_ok_and(|mut entries| entries.next().is_none())
    }

    fn make_file(&self) -> std::io::Result<()> {
        self.write("blank-file", "empty", b"", 0o444).map(|_| ())
    }

    /// Writes `<root>/<dir>/<name>` atomically unless it holds `bytes` already, and gives its path.
    pub fn write(&self, dir: &str, name: &str, bytes: &[u8], mode: u32) -> std::io::Result<PathBuf> {
        let dir = self.root.join(dir);
        let path = dir.join(name);
        let same = fs::symlink_metadata(&path)
            .is_ok_and(|m| m.file_type().is_file() && m.mode() & 0o7777 == mode && m.len() == bytes.len() as u64)
            && fs::read(&path).is_ok_and(|old| old == bytes);
        if same {
            return Ok(path);
        }
        make_dir(&dir, 0o755)?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed); // two boxes of one process start at once, too
        let part = dir.join(format!("{name}.{}-{count}.part", std::process::id()));
        let _ = fs::remove_file(&part); // of a process with our number that died here
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?; // independent of the umask
        fs::rename(&part, &path)?;
        Ok(path)
    }
}

/// Makes `path` with exactly `mode`, and missing parents with 0755.
fn make_dir(path: &Path, mode: u32) -> std::io::Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|p| !p.exists()).collect();
    missing.reverse();
    for dir in missing {
        let mode = if dir == path { mode } else { 0o755 };
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(mode))?,
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {} // another run was faster
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_first_starts_at_once() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().expect("tempdir");
            let root = dir.path().join("box");
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(|| Support::at(&root).prepare())).collect();
                for one in all {
                    one.join().expect("no panic").expect("prepared");
                }
            });
        }
    }

    #[test]
    fn a_blank_that_was_written_is_replaced_or_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let support = Support::at(dir.path());
        support.prepare().expect("made");
        support.prepare().expect("kept");
        fs::remove_file(&support.blank_file).expect("rm");
        fs::write(&support.blank_file, "secret").expect("write");
        support.prepare().expect("replaced");
        assert_eq!(fs::read(&support.blank_file).expect("read"), b"");
        fs::set_permissions(&support.blank_dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::write(support.blank_dir.join("x"), "").expect("write");
        fs::set_permissions(&support.blank_dir, fs::Permissions::from_mode(0o555)).expect("chmod");
        assert!(support.prepare().is_err());
    }
}
