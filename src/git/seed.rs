//! Seed stores: object stores of coop's own that forks read instead of the user's. Each holds exactly
//! what is reachable from one commit: no other branch, no stash, no dangling object.
//!
//! Layout: `coop/seed/<commit>/objects/{pack,info}`. A store for a later commit takes the packs of an
//! ancestor's store by hard link (both are read-only for every box) and adds one pack with the rest.
//! A store appears under its final name by one rename, so a killed run leaves nothing half-made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::{Git, Oid, Repo};

/// More packs than this in one store and the next store is packed anew: look-ups visit every pack.
const MAX_PACKS: usize = 24;

/// What making a seed store will cost, for the progress line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The store is there.
    Warm,
    /// Some commits are added to an existing store.
    Incremental,
    /// Everything reachable is packed once.
    Full,
}

/// The directory of all seed stores of a repository.
pub fn root(repo: &Repo) -> PathBuf {
    repo.coop_dir().join("seed")
}

/// The `objects` directory of the seed store of `commit`, made when missing. `started` is told what has
/// to be done before it is done; `progress` lets git draw its own progress on stderr.
/// Errors: exit 2 where objects are missing (a partial clone).
pub fn ensure(repo: &Repo, env: &Env, commit: &Oid, progress: bool, started: impl FnOnce(Work)) -> Result<PathBuf> {
    let root = root(repo);
    let store = root.join(commit.as_str());
    if store.join("objects").is_dir() {
        started(Work::Warm);
        return Ok(store.join("objects"));
    }
    fs::create_dir_all(&root).or_bug(format!("cannot make '{}'", root.display()))?;
    let base = nearest(repo, env, &root, commit)?;
    started(if base.is_some() { Work::Incremental } else { Work::Full });
    let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(&root).or_bug("cannot make a seed store")?;
    let objects = fresh.path().join("objects");
    for sub in ["pack", "info"] {
        fs::create_dir_all(objects.join(sub)).or_bug("cannot make a seed store")?;
    }
    let mut revs = format!("{commit}\n");
    if let Some((tip, packs)) = &base {
        revs.push_str(&format!("^{tip}\n"));
        for pack in packs {
            if let Some(name) = pack.file_name() {
                fs::hard_link(pack, objects.join("pack").join(name))
                    .or_bug("cannot share a pack between seed stores")?;
            }
        }
    }
    pack(repo, env, &objects.join("pack/pack"), &revs, progress)?;
    fs::set_permissions(fresh.path(), PermissionsExt::from_mode(0o755)).or_bug("cannot open the store for boxes")?;
    let fresh = fresh.keep();
    match fs::rename(&fresh, &store) {
        Ok(()) => {}
        // another process made the same store meanwhile: the content is the same by construction
        Err(_) if store.join("objects").is_dir() => {
            let _ = fs::remove_dir_all(&fresh);
        }
        Err(err) => return Err(err).or_bug("cannot name the seed store"),
    }
    Ok(store.join("objects"))
}

/// Writes one pack of what `new` reaches and `old` does not below `dir`, an existing directory.
pub fn pack_range(repo: &Repo, env: &Env, dir: &Path, new: &Oid, old: &Oid) -> Result<()> {
    pack(repo, env, &dir.join("pack"), &format!("{new}\n^{old}\n"), false)
}

fn pack(repo: &Repo, env: &Env, base_name: &Path, revs: &str, progress: bool) -> Result<()> {
    let git = Git::isolated(repo, env)
        .args(["pack-objects", "--revs", "--non-empty", "--delta-base-offset"])
        .arg("--use-bitmap-index"); // off by default when writing to a file (`git help pack-objects`)
    let git = if progress { git.arg("--progress") } else { git.arg("-q") };
    let mut command = git.arg(base_name).into_command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(if progress { Stdio::inherit() } else { Stdio::piped() });
    let mut child = command.spawn().or_bug("cannot run git pack-objects")?;
    if let Some(mut stdin) = child.stdin.take() {
        use std::io::Write;
        stdin.write_all(revs.as_bytes()).or_bug("cannot feed git pack-objects")?;
    }
    let output = child.wait_with_output().or_bug("cannot wait for git pack-objects")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|l| l.starts_with("fatal:") || l.starts_with("error:")).unwrap_or("fatal: no message");
    let hint = match line.contains("disk") || line.contains("No space") {
        true => "make room on the disk of the repository",
        false => "objects may be missing (a partial clone): git fetch --refetch",
    };
    Err(Error::usage(format!("cannot pack the commits of the fork: {line}")).hint(hint))
}

/// The store whose commit is the nearest ancestor of `commit`, with its packs.
fn nearest(repo: &Repo, env: &Env, root: &Path, commit: &Oid) -> Result<Option<(Oid, Vec<PathBuf>)>> {
    let mut best: Option<(u64, Oid)> = None;
    for entry in fs::read_dir(root).or_bug("cannot read the seed stores")?.flatten() {
        let Ok(tip) = Oid::parse(&entry.file_name().to_string_lossy()) else { continue };
        if !Git::isolated(repo, env).args(["merge-base", "--is-ancestor", tip.as_str(), commit.as_str()]).succeeds()? {
            continue;
        }
        let range = format!("{tip}..{commit}");
        let count: u64 =
            Git::isolated(repo, env).args(["rev-list", "--count", &range]).line()?.parse().unwrap_or(u64::MAX);
        if best.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
            best = Some((count, tip));
        }
    }
    let Some((_, tip)) = best else { return Ok(None) };
    let packs: Vec<PathBuf> = fs::read_dir(root.join(tip.as_str()).join("objects/pack"))
        .or_bug("cannot read a seed store")?
        .flatten()
        .map(|e| e.path())
        .collect();
    let count = packs.iter().filter(|p| p.extension().is_some_and(|e| e == "pack")).count();
    Ok((count <= MAX_PACKS).then_some((tip, packs)))
}

/// Removes stores that no fork in `used` needs, keeping the newest three: they make the next fork quick.
pub fn prune(repo: &Repo, used: &[Oid]) -> Result<()> {
    let Ok(entries) = fs::read_dir(root(repo)) else { return Ok(()) };
    let mut idle: Vec<_> = entries
        .flatten()
        .filter(|e| !used.iter().any(|oid| e.file_name() == *oid.as_str()))
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .collect();
    idle.sort();
    idle.reverse();
    for (_, path) in idle.into_iter().skip(3) {
        fs::remove_dir_all(&path).or_bug(format!("cannot remove '{}'", path.display()))?;
    }
    Ok(())
}
