//! `git coop fork rm` and `stop`.

use std::time::Duration;

use crate::agent::tree;
use crate::error::{Context as _, Error, Result};
use crate::git::{Git, Oid, seed, worktree};
use crate::sandbox::boxes;
use crate::state::{Fork, ForkName, ForkState, archive};

use crate::ui::text::count;

use super::super::lock::Lock;
use super::super::{Coop, drain};

/// Removes the fork: its work tree, private directory and refs; the chain goes to the archive.
/// Refuses (exit 1) unlanded commits, uncommitted work and kept refs unless `force`; exit 3 while it works.
pub fn remove(coop: &Coop, name: &ForkName, force: bool) -> Result<Fork> {
    let lock = super::take(coop, name)?;
    let fork = Fork::load(&coop.repo, &coop.env, name)?;
    if let Ok(usable) = coop.runtime() {
        boxes::stop(&usable, &format!("fork:{}", fork.path.display()))?;
    }
    if !force {
        guard(coop, &fork)?;
    }
    drop_fork(coop, &fork)?;
    let _ = std::fs::remove_file(lock.path());
    Ok(fork)
}

/// What would be lost is a reason to refuse.
pub fn guard(coop: &Coop, fork: &Fork) -> Result<()> {
    let mut reasons = Vec::new();
    if fork.state == ForkState::Working {
        reasons.push("its last run was killed, and its commits have not come back".to_owned());
    }
    if let Some(problem) = fork.get("Problem") {
        reasons.push(problem.to_owned());
    }
    let range = [fork.head.to_string(), "--not".into(), "--branches".into(), "--tags".into(), "--remotes".into()];
    let unlanded = Git::isolated(&coop.repo, &coop.env).args(["rev-list", "--count"]).args(&range).line()?;
    if unlanded != "0" && fork.state != ForkState::Landed {
        reasons.push(format!("{} not landed", count(unlanded.parse().unwrap_or(0), "commit")));
    }
    if let Ok(tree) = worktree::as_repo(&coop.repo, &fork.path)
        && fork.path.is_dir()
    {
        let files = worktree::uncommitted(&tree, &coop.env, 10_000)?.len();
        if files > 0 {
            reasons.push(format!("{} not committed", count(files, "path")));
        }
    }
    if let Some(kept) = fork.get("Kept") {
        reasons.push(format!("{} kept besides its head", count(kept.parse().unwrap_or(0), "ref")));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::no(format!("fork '{}' would be lost: {}", fork.name, reasons.join("; ")))
        .hint(format!("git log {}..{} shows the commits", fork.base.short(), fork.name.head_ref()))
        .hint(format!("git coop fork rm --force {} removes it all the same", fork.name)))
}

/// Refs first, in one transaction; then files, which nothing refers to any more.
pub fn drop_fork(coop: &Coop, fork: &Fork) -> Result<()> {
    let store = coop.store()?;
    let state = if fork.state == ForkState::Landed { ForkState::Landed } else { ForkState::Dropped };
    archive::close(&store, fork, state, &format!("dropped at {}", fork.head.short()))?;
    let git_dir = worktree::git_dir_of(&coop.repo, &fork.path).ok();
    for dir in [fork.path.clone(), super::own_dir(coop, &fork.name)] {
        if dir.symlink_metadata().is_ok() {
            // what a box made may be too deep, or locked, for the standard library
            tree::remove(&dir).or_bug(format!("cannot remove '{}'", dir.display()))?;
        }
    }
    if let Some(git_dir) = git_dir {
        worktree::forget(&coop.repo, &git_dir)?;
    }
    if let Some(root) = fork.path.parent() {
        let _ = std::fs::remove_dir(root); // only where it is empty
    }
    let seed = |fork: &Fork| fork.get("Seed").and_then(|oid| Oid::parse(oid).ok());
    let forks = Fork::all(&coop.repo, &coop.env)?;
    let used: Vec<_> = forks.into_iter().flat_map(|fork| [seed(&fork), Some(fork.base)]).flatten().collect();
    seed::prune(&coop.repo, &used)
}

/// Ends the box of a fork and proves that it is gone. Gives whether there was one.
pub fn stop(coop: &Coop, name: &ForkName) -> Result<bool> {
    let fork = Fork::load(&coop.repo, &coop.env, name)?;
    let usable = coop.runtime()?;
    // a loop would go on with its next attempt: it ends its box itself, and gives its task back
    let asked = drain::stop::ask(coop, name, drain::stop::How::Now)?;
    if asked {
        drain::stop::prove(coop, name, Duration::from_secs(30))?;
        return Ok(true);
    }
    let stopped = boxes::stop(&usable, &format!("fork:{}", fork.path.display()))?;
    // the process that owned the box records what came back; wait for it, so that the state is true afterwards
    let path = super::lock_path(coop, name);
    for _ in 0..300 {
        if !Lock::is_held(&path) {
            return Ok(stopped > 0);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Error::conflict(format!("the box of '{name}' is gone, but its process has not ended")).hint("git coop fork ls"))
}
