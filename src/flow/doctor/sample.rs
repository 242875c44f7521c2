//! The sample repository: secrets of every shape, each with a value that exists nowhere else.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Context as _, Error, Result};
use crate::git::{Git, Repo, config, init, refs};
use crate::settings::Settings;

use super::super::coop::{self, Coop};
use super::host::Listeners;

/// Files that hold the secret. `attack.sh` tries each.
const SECRETS: &[&str] = &[
    ".env",
    ".ENV.local",
    "prod.env",
    "keys/server.pem",
    "deep/a:b,c/.netrc",
    "hidden.conf",
    "real.txt",
    "nested/.env",
    "secrets/token",
];

/// The repository with everything around it; gone when dropped.
pub(super) struct Sample {
    /// As every command sees a repository.
    pub coop: Coop,
    secret: String,
    home: tempfile::TempDir,
    other: PathBuf,
    objects: Vec<String>,
    first: String,
    config: Vec<u8>,
    _dir: tempfile::TempDir,
}

impl Sample {
    /// Makes it in the temporary directory, owned like the user's repository, with the user's settings.
    pub fn new(env: &Env, settings: Settings, user: Option<&Coop>) -> Result<Sample> {
        let id = coop::fresh_id()?;
        let secret = format!("decoy-{id}-value");
        let temp = env.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let dir = tempfile::Builder::new().prefix("coop-doctor-").tempdir_in(&temp);
        let dir = dir.or_bug(format!("cannot make a directory in '{}'", temp.display()))?;
        open_up(dir.path())?;
        let state = env.state_dir();
        fs::create_dir_all(&state).or_bug(format!("cannot make '{}'", state.display()))?;
        let home = tempfile::Builder::new().prefix("doctor-").tempdir_in(&state).or_bug("cannot write in your home")?;
        fs::write(home.path().join("private"), &secret).or_bug("cannot write in your home")?;
        let root = dir.path().canonicalize().or_bug("the temporary directory is gone")?;
        let other = root.join("other");
        let tree = root.join("project");
        plant(&other, "notes.txt", &secret).or_bug("cannot make the sample repository")?;
        let made = fill(&tree, &secret).or_bug("cannot make the sample repository");
        made.and_then(|()| Sample::commit(env, settings, user, tree, (secret, home, other, dir)))
    }

    fn commit(
        env: &Env,
        settings: Settings,
        user: Option<&Coop>,
        tree: PathBuf,
        (secret, home, other, dir): (String, tempfile::TempDir, PathBuf, tempfile::TempDir),
    ) -> Result<Sample> {
        let env = &with_secrets(env, &secret);
        let sample = init::init(&tree, env)?;
        if Git::new(&sample, env).args(["config", "user.email"]).output()?.stdout.is_empty() {
            for (key, value) in [("user.name", "Doctor"), ("user.email", "doctor@localhost")] {
                Git::new(&sample, env).args(["config", "--local", key, value]).read()?;
            }
        }
        init::commit_all(&sample, env, "Sample")?;
        let first = head(&sample, env)?;
        // what a fork must not reach: another branch, and a stash, both with the secret
        let mut objects = Vec::new();
        for name in ["refs/heads/other", "refs/stash"] {
            let commit = secret_commit(&sample, env, &secret, name)?;
            Git::new(&sample, env).args(["update-ref", name, &commit]).read()?;
            objects.push(commit);
        }
        if let Some(user) = user {
            coop::give(&tree, user.owner()?)?;
        }
        let before = fs::read(tree.join(".git/config")).or_bug("the sample repository is gone")?;
        let found = config::read(&sample, env)?;
        let coop = Coop::new(env, sample, found, settings);
        Ok(Sample { coop, secret, home, other, objects, first, config: before, _dir: dir })
    }

    /// What `attack.sh` is told. The secret comes in halves, so that it is in no command line.
    pub fn attack_args(&self, listeners: &Listeners) -> Vec<OsString> {
        let uid = self.coop.owner().map(|user| user.uid).unwrap_or_default();
        let egress = self.coop.settings.get("COOP_EGRESS").unwrap_or("open");
        let (a, b) = self.secret.split_at(8);
        let mut args: Vec<OsString> = vec![a.into(), b.into()];
        args.push(self.home.path().join("private").into());
        args.push(self.other.clone().into());
        args.extend([uid.to_string(), std::process::id().to_string(), egress.to_owned()].map(OsString::from));
        args.extend([listeners.loopback, listeners.everywhere].map(|port| OsString::from(port.to_string())));
        args
    }

    /// What `fork.sh` is told.
    pub fn fork_args(&self) -> Vec<OsString> {
        let (a, b) = self.secret.split_at(8);
        [a, b].into_iter().chain(self.objects.iter().map(String::as_str)).map(OsString::from).collect()
    }

    /// The first secret that is not what it was.
    pub fn changed_secrets(&self) -> Option<String> {
        let tree = &self.coop.repo.work_tree;
        let intact = |file: &&&str| fs::read_to_string(tree.join(file)).is_ok_and(|text| text.contains(&self.secret));
        SECRETS.iter().find(|file| !intact(file)).map(|file| format!("{file} was changed"))
    }

    /// What of the git directory a box may not touch, and did.
    pub fn touched_git(&self) -> Option<String> {
        let git = &self.coop.repo.git_dir;
        if fs::read(git.join("config")).ok().as_ref() != Some(&self.config) {
            return Some("the configuration was changed".into());
        }
        let planted = fs::read_dir(git.join("hooks")).into_iter().flatten().flatten().next();
        if let Some(hook) = planted {
            return Some(format!("a hook was planted: {}", hook.file_name().to_string_lossy()));
        }
        let tree = &self.coop.repo.work_tree;
        let ran = ["hook-ran", "fsmonitor-ran"].into_iter().find(|name| tree.join(name).exists());
        ran.map(|name| format!("code of the box ran on this machine: {name}"))
    }

    /// Why the commit of the box is not on the branch.
    pub fn missing_commit(&self) -> Result<Option<String>> {
        let (repo, env) = (&self.coop.repo, &self.coop.env);
        let parent = Git::new(repo, env).args(["log", "-1", "--format=%P %an"]).line()?;
        let (name, _) = self.coop.shape.identity()?;
        if !parent.starts_with(&self.first) {
            return Ok(Some("the commit did not come back to the branch".into()));
        }
        Ok((!parent.ends_with(name)).then(|| "the commit has another author".into()))
    }
}

/// A directory that the box's user may enter.
fn open_up(dir: &Path) -> Result<()> {
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).or_bug("cannot set permissions")
}

/// The user's environment with secrets in it that no box may see.
fn with_secrets(env: &Env, secret: &str) -> Env {
    let planted = [("AWS_SECRET_ACCESS_KEY", secret), ("DATABASE_URL", secret)];
    let kept = env.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
    Env::from_pairs(kept.chain(planted.map(|(k, v)| (OsString::from(k), OsString::from(v)))))
}

fn plant(dir: &Path, file: &str, text: &str) -> std::io::Result<()> {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap_or(dir))?;
    fs::write(path, format!("{text}\n"))
}

fn fill(tree: &Path, secret: &str) -> std::io::Result<()> {
    for file in SECRETS {
        plant(tree, file, &format!("TOKEN={secret}"))?;
    }
    plant(tree, ".env.example", "TOKEN=changeme")?;
    plant(tree, "src.txt", "source")?;
    plant(tree, ".coopignore", "hidden.conf")?;
    let ignored = [SECRETS, &["copy.txt", "link.pem", "doctor-report"]].concat().join("\n/");
    plant(tree, ".gitignore", &format!("/{ignored}"))?;
    fs::hard_link(tree.join(".env"), tree.join("copy.txt"))?;
    symlink("real.txt", tree.join("link.pem"))
}

fn head(repo: &Repo, env: &Env) -> Result<String> {
    let head = refs::read(repo, env, "HEAD")?.ok_or_else(|| Error::bug("the sample repository has no commit"))?;
    Ok(head.to_string())
}

/// A commit with the secret in a file, made without touching the work tree or a branch.
fn secret_commit(repo: &Repo, env: &Env, secret: &str, message: &str) -> Result<String> {
    let blob = Git::new(repo, env).args(["hash-object", "-w", "--stdin"]).input(secret.as_bytes()).line()?;
    let tree = Git::new(repo, env).args(["mktree"]).input(format!("100644 blob {blob}\tnotes\n")).line()?;
    Git::new(repo, env).args(["commit-tree", &tree, "-m", message]).line()
}
