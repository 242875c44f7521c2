//! A fresh repository with nothing of the user's templates, hooks or configuration in it.

use std::path::Path;

use crate::env::Env;
use crate::error::{Context as _, Kind, Result};

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

/// The bare repository at `path`, made where there is none: for what belongs to a user and to no project. Its commits
/// are coop's own. Several processes may come at once; one of them makes it.
pub fn bare(path: &Path, env: &Env) -> Result<Repo> {
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[user]\n\tname = git-coop\n\temail = git-coop@localhost\n[commit]\n\tgpgSign = false\n";
    if !path.join("HEAD").is_file() {
        let make = || {
            let parent = path.parent().unwrap_or(path);
            std::fs::create_dir_all(parent)?;
            let draft = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
            for dir in ["objects/info", "objects/pack", "refs/heads"] {
                std::fs::create_dir_all(draft.path().join(dir))?;
            }
            std::fs::write(draft.path().join("config"), config)?;
            std::fs::write(draft.path().join("HEAD"), "ref: refs/heads/main\n")?;
            match std::fs::rename(draft.path(), path) {
                Err(_) if path.join("HEAD").is_file() => Ok(()), // somebody else was faster
                done => done,
            }
        };
        make().context(Kind::Usage, format!("cannot make '{}'", path.display()))?;
    }
    Repo::discover_or_bare(path, env)
}

/// Adds every file that is not ignored and commits. Nothing is signed.
pub fn commit_all(repo: &Repo, env: &Env, message: &str) -> Result<()> {
    Git::new(repo, env).in_work_tree(repo).args(["add", "-A"]).read()?;
    let git = Git::new(repo, env).config("commit.gpgSign=false").in_work_tree(repo);
    git.args(["commit", "-q", "--no-verify", "-m", message]).read()?;
    Ok(())
}
