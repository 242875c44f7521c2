//! Forks: a work tree of their own, a private git directory, one seed store, and a chain of events.
//!
//! On disk: the work tree at `<root>/<repository>-forks/<name>`; in coop's own directory
//! `forks/<name>/{git,gitfile,log,lock,history}`. What is true is in the refs; a directory without a
//! ref is what a killed `git coop fork` left, and is made anew.

pub mod create;
pub mod finish;
pub mod list;
pub mod remove;
pub mod spare;
pub mod work;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::git::{named, seed, worktree};
use crate::state::{Fork, ForkName};

use super::Coop;
use super::lock::Lock;
use super::workspace::{DotGit, Workspace};

/// coop's own directory of one fork.
pub fn own_dir(coop: &Coop, name: &ForkName) -> PathBuf {
    coop.repo.coop_dir().join("forks").join(name.as_str())
}

/// The file whose lock says that a process is at work on the fork.
pub fn lock_path(coop: &Coop, name: &ForkName) -> PathBuf {
    coop.repo.coop_dir().join("locks").join(format!("fork-{name}"))
}

/// The log of the last run.
pub fn log_path(coop: &Coop, name: &ForkName) -> PathBuf {
    own_dir(coop, name).join("log")
}

/// Takes the fork for this process. Errors: exit 3 where another process has it.
pub fn take(coop: &Coop, name: &ForkName) -> Result<Lock> {
    Lock::take(&lock_path(coop, name))?.ok_or_else(|| {
        Error::conflict(format!("fork '{name}' is at work in another process"))
            .hint(format!("git coop fork logs -f {name} shows it; git coop fork stop {name} ends it"))
    })
}

/// Where a new fork goes.
pub fn place(coop: &Coop, name: &ForkName) -> Result<PathBuf> {
    let main = match coop.repo.common_dir.file_name() {
        Some(last) if last == ".git" => coop.repo.common_dir.parent().unwrap_or(&coop.repo.work_tree),
        _ => &coop.repo.work_tree,
    };
    let repository = main.file_name().map_or_else(|| "repository".into(), |n| n.to_string_lossy().into_owned());
    let root = match coop.settings.get("COOP_FORK_ROOT") {
        Some(dir) => match dir.strip_prefix("~/") {
            Some(rest) => coop.env.home().join(rest),
            None => PathBuf::from(dir),
        },
        None => main.parent().map(PathBuf::from).unwrap_or_else(|| PathBuf::from("/")),
    };
    let path = root.join(format!("{repository}-forks")).join(name.as_str());
    match path.to_str() {
        Some(text) if !text.contains(['\n', '\r']) => Ok(path),
        _ => Err(Error::usage(format!("'{}' cannot be recorded: it is not plain UTF-8", path.display()))
            .hint("git config coop.forkRoot DIR puts forks elsewhere")),
    }
}

/// Keeps git on the host from running what the fork's tree holds at a place that the user's configuration names.
fn hold_off(coop: &Coop, path: &Path) -> Result<()> {
    let named = named::in_tree(&coop.repo, Some(&coop.env.home()), &coop.config);
    if named.is_empty() {
        return Ok(());
    }
    worktree::hold_off(&worktree::as_repo(&coop.repo, path)?, &coop.env, &coop.config, &named)
}

/// The fork as a workspace for boxes.
pub fn workspace(coop: &Coop, fork: &Fork) -> Result<Workspace> {
    let own = own_dir(coop, &fork.name);
    let base = fork.get("Seed").unwrap_or(fork.base.as_str());
    Ok(Workspace {
        label: format!("fork:{}", fork.path.display()),
        tree: fork.path.clone(),
        private: own.join("git"),
        dot_git: DotGit::File(own.join("gitfile")),
        held: Vec::new(), // the fork's own metadata names no file of its tree: worktree::hold_off
        objects: match crate::without::without("seed-store") {
            true => coop.repo.common_dir.join("objects"),
            false => seed::root(&coop.repo).join(base).join("objects"),
        },
        alternates: Vec::new(),
        owner: coop.owner()?,
    })
}
