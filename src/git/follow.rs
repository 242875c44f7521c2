//! The user's checkout, as far as a landing is concerned: whether it may follow the branch, and that it does.
//! Every command here runs on the user's own repository with hooks off, and git's own rules decide what
//! would be lost.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};

use super::objects::Reader;
use super::peek::{self, Head};
use super::{Git, Oid, Repo, clean, diff};

/// A branch: its value, and the work tree that has it checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Full name.
    pub name: String,
    /// The commit.
    pub tip: Oid,
    /// The work tree.
    pub checked_out: Option<PathBuf>,
}

/// Looks a branch up by its full name, or with `None` the one that is checked out here; `None` where there is none.
pub fn branch(repo: &Repo, env: &Env, name: Option<&str>) -> Result<Option<Branch>> {
    if let Some(branch) = plain_branch(repo, name) {
        return Ok(Some(branch));
    }
    let format = "--format=%(HEAD)%00%(refname)%00%(objectname)%00%(worktreepath)";
    let out = Git::new(repo, env).args(["for-each-ref", format, name.unwrap_or("refs/heads")]).read()?;
    for line in out.split(|b| *b == b'\n') {
        let text = String::from_utf8_lossy(line);
        if let [head, full, tip, path] = text.split('\0').collect::<Vec<_>>().as_slice()
            && name.map_or(*head == "*", |name| *full == name)
        {
            let checked_out = (!path.is_empty()).then(|| PathBuf::from(path));
            return Ok(Some(Branch { name: (*full).to_owned(), tip: Oid::parse(tip)?, checked_out }));
        }
    }
    Ok(None)
}

/// The branch where its refs are files and no other work tree has it.
fn plain_branch(repo: &Repo, name: Option<&str>) -> Option<Branch> {
    let Head::Branch(current) = peek::head(repo)? else { return None };
    let name = name.unwrap_or(&current);
    if !name.starts_with("refs/heads/") || peek::elsewhere(repo, name)? {
        return None;
    }
    let tip = peek::one(repo, name)??;
    let checked_out = (name == current).then(|| repo.work_tree.clone());
    Some(Branch { name: name.to_owned(), tip, checked_out })
}

/// The work tree in which git is rebasing or bisecting `branch`, and the word for it: git itself moves no branch that
/// such a work tree comes back to.
pub fn in_use(repo: &Repo, branch: &str) -> Option<(PathBuf, &'static str)> {
    const MARKS: &[(&str, &str)] =
        &[("rebase-merge/head-name", "rebase"), ("rebase-apply/head-name", "rebase"), ("BISECT_START", "bisect")];
    let linked = std::fs::read_dir(repo.common_dir.join("worktrees")).into_iter().flatten().flatten();
    for dir in std::iter::once(repo.common_dir.clone()).chain(linked.map(|entry| entry.path())) {
        for (mark, what) in MARKS {
            let Ok(text) = std::fs::read_to_string(dir.join(mark)) else { continue };
            if text.trim_end().trim_start_matches("refs/heads/") == branch.trim_start_matches("refs/heads/") {
                let place = std::fs::read_to_string(dir.join("gitdir")).ok();
                let place = place.map(|text| PathBuf::from(text.trim_end().trim_end_matches("/.git")));
                return Some((place.unwrap_or_else(|| dir.parent().unwrap_or(&dir).to_owned()), what));
            }
        }
    }
    None
}

/// What is under way in the work tree, such as a merge that waits for its commit.
pub fn under_way(repo: &Repo) -> Option<&'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
    ];
    MARKS.iter().find(|(file, _)| repo.git_dir.join(file).symlink_metadata().is_ok()).map(|(_, what)| *what)
}

/// Tracked paths with changes that are not committed, staged or not, at most `limit`. `head` is the commit that is
/// checked out.
pub fn dirty(repo: &Repo, env: &Env, head: &Oid, limit: usize) -> Result<Vec<Vec<u8>>> {
    if clean::is(repo, head) {
        return Ok(Vec::new());
    }
    let out = Git::new(repo, env)
        .args(["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules=all"])
        .in_work_tree(repo)
        .read()?;
    Ok(out.split(|b| *b == 0).filter(|e| e.len() > 3).take(limit).map(|e| e[3..].to_vec()).collect())
}

/// Whether index and files could go from `old` to `new` without losing a byte; git's reason where not.
/// Nothing is changed.
pub fn could(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<std::result::Result<(), String>> {
    if diff::between(repo, old, new).is_ok_and(|changes| clean::is(repo, old) && clean::has_room(repo, &changes)) {
        return Ok(Ok(()));
    }
    two_trees(repo, env, old, new, true)
}

/// Index and files go from `old` to `new`; all of it or, with git's reason, nothing.
pub fn checkout(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<std::result::Result<(), String>> {
    two_trees(repo, env, old, new, false)
}

fn two_trees(repo: &Repo, env: &Env, old: &Oid, new: &Oid, dry: bool) -> Result<std::result::Result<(), String>> {
    let git = Git::new(repo, env).args(["read-tree", "-m", "-u"]);
    let git = if dry { git.arg("--dry-run") } else { git };
    let output = git.args([old.as_str(), new.as_str()]).in_work_tree(repo).output()?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|l| l.starts_with("error:") || l.starts_with("fatal:")).unwrap_or("no message");
    Ok(Err(line.trim_start_matches("error: ").trim_start_matches("fatal: ").to_owned()))
}

/// Takes back what a git that was killed on the way from `old` to `new` has written: files that hold what `new` has, or
/// the beginning of it, become what `old` has. The index is that of `old`. Every other file is the user's and stays.
/// Gives how many there were.
pub fn take_back(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<usize> {
    let reader = Reader::open(repo)?;
    let (mut count, mut changed) = (0, Vec::new());
    for change in diff::between(repo, old, new)? {
        let (path, Some(side)) = (Path::new(OsStr::from_bytes(&change.path)), &change.new) else { continue };
        let Some((dir, name)) = parent(&repo.work_tree, path) else { continue };
        let Some(bytes) = content(&dir, name, reader.size(&side.id).unwrap_or(0)) else { continue };
        let before = change.old.as_ref().map(|old| reader.bytes(&old.id)).transpose()?;
        if !reader.bytes(&side.id)?.starts_with(&bytes) || before.as_ref() == Some(&bytes) {
            continue;
        }
        count += 1;
        match before {
            Some(_) => changed.extend(change.path.iter().copied().chain([0])),
            None => rustix::fs::unlinkat(&dir, name, AtFlags::empty())
                .context(Kind::Usage, format!("cannot take '{}' back", path.display()))?,
        }
    }
    if !changed.is_empty() {
        let git = Git::new(repo, env).args(["checkout-index", "--force", "--index", "-z", "--stdin"]);
        git.input(changed).in_work_tree(repo).read()?;
    }
    Ok(count)
}

/// What the plain file or link at `path` below `root` holds, if that is at most `limit` bytes. No link on the way is followed
/// and no pipe is waited for.
pub(super) fn plain(root: &Path, path: &Path, limit: u64) -> Option<Vec<u8>> {
    let (dir, name) = parent(root, path)?;
    content(&dir, name, limit)
}

/// The directory of `path` below `root`, and its name there. No link is followed: a live box may write here meanwhile.
fn parent<'a>(root: &Path, path: &'a Path) -> Option<(OwnedFd, &'a OsStr)> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags, Mode::empty()).ok()?;
    for part in path.parent()?.iter() {
        dir = rustix::fs::openat(&dir, part, flags, Mode::empty()).ok()?;
    }
    Some((dir, path.file_name()?))
}

/// What a plain file or link of at most `limit` bytes holds.
fn content(dir: &OwnedFd, name: &OsStr, limit: u64) -> Option<Vec<u8>> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        let target = rustix::fs::readlinkat(dir, name, Vec::new()).ok()?.into_bytes();
        return (target.len() as u64 <= limit).then_some(target);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::openat(dir, name, flags, Mode::empty()).ok()?);
    let plain = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= limit);
    let mut bytes = Vec::new();
    (plain && file.take(limit + 1).read_to_end(&mut bytes).is_ok() && bytes.len() as u64 <= limit).then_some(bytes)
}

/// Whether the index holds exactly the tree of `commit`.
pub fn index_is(repo: &Repo, env: &Env, commit: &Oid) -> Result<bool> {
    if clean::index_is(repo, commit) {
        return Ok(true);
    }
    let output = Git::new(repo, env)
        .args(["diff-index", "--cached", "--quiet", "--ignore-submodules=none", commit.as_str()])
        .in_work_tree(repo)
        .output()?;
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(Error::bug("git diff-index failed")),
    }
}
