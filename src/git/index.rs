//! The index: marking hidden paths in a copy for a box, and letting the user's own follow a branch that
//! moved, without losing anything the user staged.

use std::collections::HashMap;
use std::path::Path;

use crate::env::Env;
use crate::error::{Error, Result};

use super::{Git, Oid, Repo};

/// Marks `paths` (relative to the work tree; directories hide what is below) skip-worktree in the index file
/// `index`, so that a box which sees blanks in their place does not commit the blanks. Gives how many
/// tracked files are hidden. `index` must never have been seen by a box.
pub fn hide(repo: &Repo, env: &Env, format: &str, index: &Path, paths: &[Vec<u8>]) -> Result<usize> {
    if paths.is_empty() || index.symlink_metadata().is_err() || crate::without::without("skip-worktree") {
        return Ok(0);
    }
    let kind = if format == "sha256" { gix::hash::Kind::Sha256 } else { gix::hash::Kind::Sha1 };
    let file = gix::index::File::at(index, kind, true, gix::index::decode::Options::default());
    let tracked = match &file {
        // a split index has its entries elsewhere, a sparse one has directories: git knows how
        Ok(file) if file.link().is_none() && !file.is_sparse() => below(file, paths),
        _ => listed(repo, env, index, paths)?,
    };
    let count = tracked.iter().filter(|b| **b == 0).count();
    if count > 0 {
        Git::isolated(repo, env)
            .env("GIT_INDEX_FILE", index)
            .args(["update-index", "--skip-worktree", "-z", "--stdin"])
            .in_work_tree(repo)
            .input(tracked)
            .read()?;
    }
    Ok(count)
}

/// NUL-terminated paths of entries that are one of `paths` or below one.
fn below(index: &gix::index::File, paths: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for path in paths {
        let dir: Vec<u8> = path.iter().copied().chain([b'/']).collect();
        let exact = index.entry_by_path(path.as_slice().into()).into_iter();
        let inside = index.prefixed_entries(dir.as_slice().into()).unwrap_or_default().iter();
        for entry in exact.chain(inside) {
            out.extend_from_slice(entry.path(index));
            out.push(0);
        }
    }
    out
}

/// The same by `git ls-files`.
fn listed(repo: &Repo, env: &Env, index: &Path, paths: &[Vec<u8>]) -> Result<Vec<u8>> {
    let list = Git::isolated(repo, env).env("GIT_INDEX_FILE", index).args(["ls-files", "-z", "--full-name"]);
    let all = list.in_work_tree(repo).read()?;
    let hidden: std::collections::HashSet<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    let is_hidden = |path: &[u8]| {
        hidden.contains(path) || path.iter().enumerate().any(|(at, b)| *b == b'/' && hidden.contains(&path[..at]))
    };
    let kept = all.split_inclusive(|b| *b == 0).filter(|p| is_hidden(p.strip_suffix(b"\0").unwrap_or(p)));
    Ok(kept.flatten().copied().collect())
}

/// One side of a changed path: mode and object, both `0…` where it does not exist.
type Side = (String, String);

/// Moves the entries of the user's index that still are as in `old` to what `new` has. Entries that the
/// user staged differently stay as they are, and no file is touched. Doing it twice changes nothing.
/// Errors: exit 3 where the index is locked.
pub fn follow(repo: &Repo, env: &Env, old: Option<&Oid>, new: &Oid) -> Result<()> {
    let changes = changed(repo, env, old, new)?;
    if changes.is_empty() {
        return Ok(());
    }
    let entries = entries(repo, env)?;
    let (mut info, mut sparse) = (Vec::new(), Vec::new());
    for (path, was, is) in &changes {
        let current = entries.get(path);
        let unchanged = match current {
            Some((mode, oid, _)) => *mode == was.0 && *oid == was.1,
            None => was.0 == "000000",
        };
        if !unchanged {
            continue;
        }
        let mode = if is.0 == "000000" { "0" } else { is.0.as_str() };
        info.extend_from_slice(format!("{mode} {}\t", is.1).as_bytes());
        info.extend_from_slice(path);
        info.push(0);
        if mode != "0" && current.is_some_and(|(_, _, skip)| *skip) {
            sparse.extend_from_slice(path);
            sparse.push(0);
        }
    }
    locked(Git::isolated(repo, env).args(["update-index", "-z", "--index-info"]).in_work_tree(repo).input(info))?;
    if !sparse.is_empty() {
        let git = Git::isolated(repo, env).args(["update-index", "--skip-worktree", "-z", "--stdin"]);
        locked(git.in_work_tree(repo).input(sparse))?;
    }
    Ok(())
}

fn locked(git: Git) -> Result<()> {
    let output = git.output()?;
    if output.status.success() {
        return Ok(());
    }
    if String::from_utf8_lossy(&output.stderr).contains("index.lock") {
        return Err(Error::conflict("the index is locked by another git process")
            .hint("when it has ended: git coop run -- true brings the index up to date"));
    }
    Err(super::command::failed("update-index", &output))
}

/// Paths that differ between two commits, with both sides; renames off.
fn changed(repo: &Repo, env: &Env, old: Option<&Oid>, new: &Oid) -> Result<Vec<(Vec<u8>, Side, Side)>> {
    let empty;
    let old = match old {
        Some(old) => old.as_str(),
        None => {
            empty = Git::isolated(repo, env).args(["hash-object", "-t", "tree", "-w", "--stdin"]).line()?;
            empty.as_str()
        }
    };
    let out = Git::isolated(repo, env)
        .args([
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            "--ignore-submodules=none",
            old,
            new.as_str(),
        ])
        .read()?;
    let mut fields = out.split(|b| *b == 0);
    let mut changes = Vec::new();
    while let (Some(raw), Some(path)) = (fields.next(), fields.next()) {
        let raw = String::from_utf8_lossy(raw);
        let words: Vec<&str> = raw.trim_start_matches(':').split(' ').collect();
        if let [from, to, was, is, ..] = words.as_slice() {
            let side = |mode: &str, oid: &str| (mode.to_owned(), oid.to_owned());
            changes.push((path.to_vec(), side(from, was), side(to, is)));
        }
    }
    Ok(changes)
}

/// Every entry of stage 0: path → mode, object, skip-worktree.
fn entries(repo: &Repo, env: &Env) -> Result<HashMap<Vec<u8>, (String, String, bool)>> {
    let out = Git::isolated(repo, env).args(["ls-files", "-s", "-t", "-z", "--full-name"]).in_work_tree(repo).read()?;
    let mut map = HashMap::new();
    for entry in out.split(|b| *b == 0).filter(|e| !e.is_empty()) {
        let Some(tab) = entry.iter().position(|b| *b == b'\t') else { continue };
        let head = String::from_utf8_lossy(&entry[..tab]);
        if let [tag, mode, oid, "0"] = head.split(' ').collect::<Vec<_>>().as_slice() {
            map.insert(entry[tab + 1..].to_vec(), ((*mode).to_owned(), (*oid).to_owned(), *tag == "S"));
        }
    }
    Ok(map)
}
