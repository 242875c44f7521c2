//! A fresh repository with nothing of the user's templates, hooks or configuration in it.

use std::path::Path;

use crate::env::Env;
use crate::error::{Context as _, Result};

use super::{Git, Repo};

/// Makes the directory `path`/.git with a branch `main` that has no commit yet. `path` exists and has none.
pub fn init(path: &Path, env: &Env) -> Result<Repo> {
    let git = path.join(".git");
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";
    let make = || {
        for dir in ["objects/info", "refs/heads", "hooks", "info"] {
            std::fs::create_dir_all(git.join(dir))?;
        }
        std::fs::write(git.join("config"), config)?;
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n")
    };
    make().or_bug(format!("cannot make a repository in '{}'", path.display()))?;
    Repo::discover(path, env)
}

/// Adds every file that is not ignored and commits. Nothing is signed.
pub fn commit_all(repo: &Repo, env: &Env, message: &str) -> Result<()> {
    Git::new(repo, env).in_work_tree(repo).args(["add", "-A"]).read()?;
    let git = Git::new(repo, env).config("commit.gpgSign=false").in_work_tree(repo);
    git.args(["commit", "-q", "--no-verify", "-m", message]).read()?;
    Ok(())
}
