//! What every use case stands on: the repository, its shape, the settings, and the runtime.

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Context as _, Kind, Result};
use crate::git::Repo;
use crate::git::config::Config;
use crate::git::shape::Shape;
use crate::sandbox::runtime::{self, System, Usable};
use crate::sandbox::spec::{Egress, Limits, User};
use crate::settings::{self, Settings};
use crate::state::Store;
use crate::without::without;

use super::egress::Mode;

/// One repository with everything known about it, read once.
#[derive(Debug)]
pub struct Coop {
    /// The environment.
    pub env: Env,
    /// The user's repository.
    pub repo: Repo,
    /// Facts of it.
    pub shape: Shape,
    /// What git's configuration says.
    pub config: Config,
    /// Resolved settings.
    pub settings: Settings,
}

impl Coop {
    /// `repo` with its configuration, and settings resolved from it.
    pub fn new(env: &Env, repo: Repo, config: Config, settings: Settings) -> Coop {
        let shape = Shape::of(&repo, env, &config);
        Coop { env: env.clone(), repo, shape, config, settings }
    }

    /// The runtime that holds boxes here: the forced one, or the first that works.
    pub fn runtime(&self) -> Result<Usable> {
        runtime::detect(&self.env, self.settings.get("COOP_RUNTIME"), &System::new(&self.env))
    }

    /// The state of this repository, open for writing as the user.
    pub fn store(&self) -> Result<Store<'_>> {
        Store::of(&self.repo, &self.env, self.shape.committer.as_deref())
    }

    /// Owner of the repository: who a box runs as.
    pub fn owner(&self) -> Result<User> {
        use std::os::unix::fs::MetadataExt;
        let meta = self.repo.work_tree.metadata().context(Kind::Usage, "cannot read the work tree")?;
        Ok(User { uid: meta.uid(), gid: meta.gid() })
    }

    /// Limits from the settings.
    pub fn limits(&self) -> Limits {
        Limits {
            memory: self.settings.get("COOP_MEMORY").filter(|_| !without("memory-limit")).and_then(settings::bytes),
            millicpus: self.settings.get("COOP_CPUS").and_then(settings::millicpus),
            pids: if without("pids-limit") {
                32_768
            } else {
                self.settings.get("COOP_PIDS").and_then(|v| v.parse().ok()).unwrap_or(512)
            },
        }
    }

    /// The network that a box has of its own. Errors: exit 2 for a word that is none (fail closed).
    pub fn egress(&self) -> Result<Egress> {
        Ok(if Mode::of(&self.settings)? == Mode::Open { Egress::Open } else { Egress::None })
    }

    /// Directory of one kind of coop's own files, made when missing.
    pub fn dir(&self, kind: &str) -> Result<PathBuf> {
        let dir = self.repo.coop_dir().join(kind);
        std::fs::create_dir_all(&dir).context(Kind::Usage, format!("cannot write '{}'", dir.display()))?;
        Ok(dir)
    }

    /// The name of this host in state: the kernel's node name.
    pub fn host(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

/// A fresh id of a run: twelve lower-case hex digits.
pub fn fresh_id() -> Result<String> {
    let mut bytes = [0u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .or_bug("the kernel gave no random bytes")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Gives `path` and everything below it to `user`, where we are root and they are not. No link is followed.
pub fn give(path: &std::path::Path, user: User) -> Result<()> {
    if rustix::process::geteuid().is_root() && user.uid != 0 {
        give_tree(path, user).or_bug(format!("cannot change the owner of '{}'", path.display()))?;
    }
    Ok(())
}

fn give_tree(path: &std::path::Path, user: User) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_tree(&entry?.path(), user)?;
        }
    }
    Ok(())
}
