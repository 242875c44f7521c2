//! Finds the user's repository without asking the repository.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};

/// The user's repository: where it is and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// Top of the work tree, canonical.
    pub work_tree: PathBuf,
    /// The git directory of this work tree (`.git`, or `.git/worktrees/<id>` for a linked one), canonical.
    pub git_dir: PathBuf,
    /// The directory shared by all work trees (objects, refs, config), canonical.
    pub common_dir: PathBuf,
}

impl Repo {
    /// Walks up from `start` to the first `.git`. `core.worktree` is deliberately not honoured: an agent
    /// that could set it would move the mount to any ancestor directory (`git help config`).
    /// Errors (exit 2): no repository, a bare one, inside `.git`, owned by somebody else.
    pub fn discover(start: &Path, env: &Env) -> Result<Repo> {
        let start = start.canonicalize().context(Kind::Usage, format!("cannot read '{}'", start.display()))?;
        for dir in start.ancestors() {
            let dot_git = dir.join(".git");
            if let Ok(meta) = dot_git.symlink_metadata() {
                let repo = Repo::at(dir, &dot_git, &meta)?;
                repo.check_owner(env)?;
                return Ok(repo);
            }
            if is_git_dir(dir) {
                return Err(Error::usage(format!("'{}' is a git directory without a work tree", dir.display()))
                    .hint("run git coop in a checkout: git worktree add ../work"));
            }
        }
        Err(Error::usage(format!("not a git repository: '{}'", start.display())).hint("git init"))
    }

    /// As [`Repo::discover`], or the bare repository that `start` is: for checks in the hooks of a server. The
    /// work tree of a bare repository is its own directory, and no command here may write it.
    pub fn discover_or_bare(start: &Path, env: &Env) -> Result<Repo> {
        let start = start.canonicalize().context(Kind::Usage, format!("cannot read '{}'", start.display()))?;
        if is_git_dir(&start) {
            let repo = Repo { work_tree: start.clone(), git_dir: start.clone(), common_dir: start };
            repo.check_owner(env)?;
            return Ok(repo);
        }
        Repo::discover(&start, env)
    }

    fn at(dir: &Path, dot_git: &Path, meta: &std::fs::Metadata) -> Result<Repo> {
        let git_dir = if meta.is_dir() {
            dot_git.to_owned()
        } else if meta.is_file() {
            let text = std::fs::read_to_string(dot_git)
                .context(Kind::Usage, format!("cannot read '{}'", dot_git.display()))?;
            let target = text
                .strip_prefix("gitdir: ")
                .ok_or_else(|| Error::usage(format!("'{}' is not a gitfile", dot_git.display())))?;
            dir.join(target.trim_end_matches(['\n', '\r']))
        } else {
            return Err(Error::usage(format!("'{}' is neither a directory nor a gitfile", dot_git.display()))
                .hint("a symbolic link in its place is not followed: replace it by the real directory"));
        };
        let git_dir =
            git_dir.canonicalize().context(Kind::Usage, format!("git directory '{}' is missing", git_dir.display()))?;
        let common_dir = match std::fs::read_to_string(git_dir.join("commondir")) {
            Ok(rel) => git_dir
                .join(rel.trim_end_matches(['\n', '\r']))
                .canonicalize()
                .context(Kind::Usage, "the main repository of this work tree is missing")?,
            Err(_) => git_dir.clone(),
        };
        if !is_git_dir(&common_dir) {
            return Err(Error::usage(format!("'{}' is not a git directory", common_dir.display())).hint("git init"));
        }
        Ok(Repo { work_tree: dir.to_owned(), git_dir, common_dir })
    }

    /// git's own rule for somebody else's repository: only where the user listed it as `safe.directory`.
    fn check_owner(&self, env: &Env) -> Result<()> {
        let me = rustix::process::geteuid().as_raw();
        let owner = |path: &Path| path.metadata().map(|m| m.uid());
        let all = [&self.work_tree, &self.git_dir, &self.common_dir];
        if all.iter().all(|path| owner(path).is_ok_and(|uid| uid == me)) {
            return Ok(());
        }
        super::command::dubious_ownership(self, env)
    }

    /// Where coop keeps the files of this repository that are not state: private git directories, seed
    /// stores, logs. Always inside the common git directory, which no box can see.
    pub fn coop_dir(&self) -> PathBuf {
        self.common_dir.join("coop")
    }

    /// The last component of the work tree's path, lossily.
    pub fn name(&self) -> String {
        self.work_tree.file_name().map_or_else(|| "repository".into(), |n| n.to_string_lossy().into_owned())
    }
}

fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").symlink_metadata().is_ok() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}
