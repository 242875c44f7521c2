//! Makes a fork. Its refs come last, in one transaction that must not find them: a run that is killed
//! before leaves files that no ref names, and the next `git coop fork` of that name removes them.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::agent::tree;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::refs::{self, Edit, Old};
use crate::git::{Oid, checkout, index, private, seed, worktree};
use crate::state::{Fork, ForkName, ForkState};

use super::super::{Coop, coop, live, shadows};
use super::spare;

/// Makes the fork `name` at `base` (any revision; HEAD where unset). The caller holds its lock.
/// Errors leave nothing behind: exit 2 for what the user can mend, exit 3 for a lost race.
pub fn create(coop: &Coop, name: &ForkName, base: Option<&str>) -> Result<Fork> {
    let (repo, env) = (&coop.repo, &coop.env);
    coop.shape.identity()?;
    let base = match base {
        Some(rev) => refs::resolve_commit(repo, env, rev)?,
        None => refs::head(repo, env)?.ok_or_else(|| {
            Error::usage("there is no commit to fork from").hint("git add -A && git commit makes the first one")
        })?,
    };
    let path = super::place(coop, name)?;
    let own = super::own_dir(coop, name);
    sweep_leftover(coop, &own, &path)?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::usage(format!("'{}' is in the way of the fork", path.display()))
            .hint("move it, or choose another name"));
    }
    let made = make(coop, name, &base, &path, &own);
    if made.is_err() {
        let _ = sweep_leftover(coop, &own, &path);
    }
    made
}

/// Makes the files of a fork that was dropped once more, at its head; no ref is written. The caller holds its lock.
/// Errors leave nothing behind: exit 2 where something stands in its place.
pub fn again(coop: &Coop, fork: &Fork) -> Result<()> {
    let own = super::own_dir(coop, &fork.name);
    sweep_leftover(coop, &own, &fork.path)?;
    if fork.path.symlink_metadata().is_ok() {
        return Err(Error::usage(format!("'{}' is in the way of the fork", fork.path.display())).hint("move it away"));
    }
    let made = lay_out(coop, &fork.name, &fork.head, &fork.path, &own);
    if made.is_err() {
        let _ = sweep_leftover(coop, &own, &fork.path);
    }
    made.map(|_| ())
}

fn make(coop: &Coop, name: &ForkName, base: &Oid, path: &Path, own: &Path) -> Result<Fork> {
    // the git that moves the refs at the end starts while files are written
    let events = coop.store()?;
    events.prepare(&format!("fork {name}: open at {}", base.short()))?;
    let submodules = lay_out(coop, name, base, path, own)?;
    let mut fork = Fork {
        name: name.clone(),
        tip: None,
        updated: 0,
        state: ForkState::Open,
        base: base.clone(),
        head: base.clone(),
        path: path.to_owned(),
        more: Vec::new(),
    };
    if let Some(branch) = refs::head_branch(&coop.repo, &coop.env)? {
        fork.set("Branch", branch.trim_start_matches("refs/heads/"));
    }
    fork.set("Host", coop.host());
    fork.set("Ahead", "0");
    let head = Edit::set(name.head_ref(), Old::Missing, base.clone());
    fork.record(&events, &format!("open at {}", base.short()), vec![head])?;
    if submodules > 0 {
        eprintln!("note: {submodules} submodules are empty in the fork");
    }
    Ok(fork)
}

/// The files of a fork at `base`: its seed store, work tree and private git directory. Gives the number of submodules.
fn lay_out(coop: &Coop, name: &ForkName, base: &Oid, path: &Path, own: &Path) -> Result<usize> {
    let (repo, env) = (&coop.repo, &coop.env);
    std::fs::create_dir_all(own).context(Kind::Usage, format!("cannot write '{}'", own.display()))?;
    let progress = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // packing and checking out need each other's results for nothing, and there are two cores
    let (store, files) = std::thread::scope(|scope| {
        let store = scope.spawn(|| {
            seed::ensure(repo, env, base, progress, |work| {
                if work == seed::Work::Full {
                    eprintln!("packing the commits that forks may see (once per repository)");
                }
            })
        });
        let files = check_out(coop, base, path, own);
        (store.join().unwrap_or_else(|_| Err(Error::bug("the packing thread died"))), files)
    });
    store?;
    let (tree, submodules) = files?;
    let owner = coop.owner()?;
    let branch = format!("refs/heads/{name}");
    let exclude = std::fs::read(repo.common_dir.join("info/exclude")).unwrap_or_default();
    private::create(
        &own.join("git"),
        &private::Seed {
            shape: &coop.shape,
            branch: Some(&branch),
            tip: Some(base),
            refs: &[(branch.clone(), base.clone())],
            index: Some(&tree.git_dir.join("index")),
            exclude: &exclude,
            alternates: &[],
            live: false,
        },
    )?;
    super::hold_off(coop, path)?;
    // a secret that git tracks is blank in the box: the agent must not commit the blank
    let plan = shadows::plan(coop, path)?;
    let hidden: Vec<Vec<u8>> = plan.shadows.iter().map(|s| s.path.clone()).collect();
    let tracked = index::hide(&tree, env, &coop.shape.object_format, &own.join("git/index"), &hidden)?;
    shadows::warn_tracked(tracked);
    live::gitfile(own)?;
    coop::give(&own.join("git"), owner)?;
    coop::give(path, owner)?;
    Ok(submodules)
}

fn check_out(coop: &Coop, base: &Oid, path: &Path, own: &Path) -> Result<(crate::git::Repo, usize)> {
    let root = path.parent().unwrap_or(path);
    let fresh = root.symlink_metadata().is_err();
    std::fs::create_dir_all(root)
        .context(Kind::Usage, format!("cannot make '{}'", root.display()))
        .map_err(|err| err.hint("git config coop.forkRoot DIR puts forks elsewhere"))?;
    if fresh {
        coop::give(root, coop.owner()?)?;
    }
    let git_dir = worktree::add(&coop.repo, &coop.env, &coop.config, own, path, base)?;
    let submodules = match spare::take(coop, base, path, &git_dir)? {
        Some(submodules) => submodules,
        None => {
            let (index, interrupt) = (git_dir.join("index"), AtomicBool::new(false));
            checkout::checkout(&coop.repo, base, path, &index, &interrupt)?.submodules
        }
    };
    Ok((worktree::as_repo(&coop.repo, path)?, submodules))
}

/// Removes what the last renewal put aside.
static REMOVING: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// Makes the private git directory of `fork` anew at its head. Its old one, which no box has open, is put aside and
/// removed meanwhile; what a kill leaves of it goes the next time. The caller holds the fork's lock.
pub fn renew(coop: &Coop, fork: &Fork) -> Result<()> {
    let (repo, env) = (&coop.repo, &coop.env);
    let own = super::own_dir(coop, &fork.name);
    if let Some(busy) = REMOVING.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = busy.join(); // two at once would take each other's files away
    }
    let (git, fresh, old) = (own.join("git"), own.join("git.new"), own.join("git.old"));
    for dir in [&fresh, &old] {
        if dir.symlink_metadata().is_ok() {
            tree::remove(dir).or_bug(format!("cannot remove '{}'", dir.display()))?;
        }
    }
    let tree = worktree::as_repo(repo, &fork.path)?;
    let branch = format!("refs/heads/{}", fork.name);
    let exclude = std::fs::read(repo.common_dir.join("info/exclude")).unwrap_or_default();
    private::create(
        &fresh,
        &private::Seed {
            shape: &coop.shape,
            branch: Some(&branch),
            tip: Some(&fork.head),
            refs: &[(branch.clone(), fork.head.clone())],
            index: None,
            exclude: &exclude,
            alternates: &[],
            live: false,
        },
    )?;
    let seed = Oid::parse(fork.get("Seed").unwrap_or(fork.base.as_str()))?;
    if fork.head != seed {
        seed::pack_range(repo, env, &fresh.join("objects/pack"), &fork.head, &seed)?;
    }
    // not the host's own index: where a loop was killed before that followed, it is of an earlier commit
    let (own_index, host_index) = (fresh.join("index"), tree.git_dir.join("index"));
    let followed = checkout::index_of(repo, &fork.head, &host_index, &own_index)?;
    if !followed && fork.get("Loop").is_some() {
        let copy = tree.git_dir.join("index.coop");
        let copied = std::fs::copy(&own_index, &copy).and_then(|_| std::fs::rename(&copy, &host_index));
        copied.or_bug("cannot write the index of the fork")?;
    }
    let plan = shadows::plan(coop, &fork.path)?;
    let hidden: Vec<Vec<u8>> = plan.shadows.iter().map(|s| s.path.clone()).collect();
    index::hide(&tree, env, &coop.shape.object_format, &own_index, &hidden)?;
    coop::give(&fresh, coop.owner()?)?;
    if git.symlink_metadata().is_ok() {
        std::fs::rename(&git, &old).or_bug(format!("cannot remove '{}'", git.display()))?;
    }
    std::fs::rename(&fresh, &git).or_bug(format!("cannot make '{}'", git.display()))?;
    // many small files, and nobody waits for them; what stays is removed by the next renewal
    let busy = std::thread::spawn(move || drop(tree::remove(&old)));
    *REMOVING.lock().unwrap_or_else(PoisonError::into_inner) = Some(busy);
    Ok(())
}

/// Removes what a killed creation left. Only called with the fork's lock held and no ref of it: coop's
/// own directory is there, so the work tree beside it is ours, and no box has seen it yet.
fn sweep_leftover(coop: &Coop, own: &Path, path: &Path) -> Result<()> {
    if own.symlink_metadata().is_err() {
        return Ok(());
    }
    if let Ok(git_dir) = worktree::git_dir_of(&coop.repo, path) {
        if path.symlink_metadata().is_ok() {
            std::fs::remove_dir_all(path).or_bug(format!("cannot remove '{}'", path.display()))?;
        }
        worktree::forget(&coop.repo, &git_dir)?;
    }
    std::fs::remove_dir_all(own).or_bug(format!("cannot remove '{}'", own.display()))
}
