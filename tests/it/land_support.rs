//! Forks with commits, made without a box: what a run would have left, through the same library.

use std::path::{Path, PathBuf};

use coop::cli::Context;
use coop::env::Env;
use coop::flow::{Coop, fork::create::create};
use coop::git::Oid;
use coop::git::refs::{Edit, Old};
use coop::state::{Fork, ForkName, ForkState, Store};

use crate::support::{Run, World};

/// A world with one repository and forks of it.
pub struct Land {
    pub world: World,
    pub repo: PathBuf,
}

/// Files of one commit; `None` removes.
pub type Files<'a> = &'a [(&'a str, Option<&'a [u8]>)];

impl Land {
    pub fn new() -> Land {
        Land::in_world(World::new())
    }
    pub fn in_world(world: World) -> Land {
        let repo = world.repo("repo");
        Land { world, repo }
    }
    /// The environment of the world, as the programs get it.
    pub fn env(&self) -> Env {
        let command = self.world.command(&self.repo, "true");
        Env::from_pairs(command.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))))
    }
    pub fn coop_lib(&self) -> Coop {
        let env = self.env();
        Context { env, cwd: self.repo.clone() }.coop().expect("opens")
    }
    pub fn git<const N: usize>(&self, args: [&str; N]) -> String {
        self.world.git(&self.repo, args)
    }
    /// `git coop merge …` as its own program.
    pub fn merge<const N: usize>(&self, args: [&str; N]) -> Run {
        self.world.run(&self.repo, "git-coop-merge", args)
    }
    pub fn review<const N: usize>(&self, args: [&str; N]) -> Run {
        self.world.run(&self.repo, "git-coop-review", args)
    }
    pub fn head(&self, rev: &str) -> String {
        self.git(["rev-parse", rev])
    }
    /// A fork at HEAD with no commits.
    pub fn fork(&self, name: &str) -> PathBuf {
        let coop = self.coop_lib();
        create(&coop, &ForkName::parse(name).expect("name"), None).expect("creates").path
    }
    /// A commit in the fork, by whoever "Agent" is, that the fork's record knows of.
    pub fn work(&self, name: &str, files: Files<'_>, message: &str) -> String {
        let coop = self.coop_lib();
        let name = ForkName::parse(name).expect("name");
        let mut fork = Fork::load(&coop.repo, &coop.env, &name).expect("fork");
        for (path, bytes) in files {
            let path = fork.path.join(path);
            match bytes {
                Some(bytes) => {
                    std::fs::create_dir_all(path.parent().expect("parent")).expect("dir");
                    std::fs::write(&path, bytes).expect("file");
                }
                None => std::fs::remove_file(&path).expect("removed"),
            }
        }
        self.world.git(&fork.path, ["add", "-A", "-f"]);
        self.world.git(
            &fork.path,
            [
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                message,
                "--author",
                "Agent <agent@box>",
                "--date",
                "@1600000000 +0200",
            ],
        );
        let new = self.world.git(&fork.path, ["rev-parse", "HEAD"]);
        self.take(&mut fork, &new);
        new
    }
    /// The fork's record gets `new` as its head, as after an import.
    pub fn take(&self, fork: &mut Fork, new: &str) {
        let coop = self.coop_lib();
        let new = Oid::parse(new).expect("id");
        let edit = Edit::set(fork.name.head_ref(), Old::Is(fork.head.clone()), new.clone());
        fork.head = new;
        fork.state = ForkState::Review;
        fork.set("Agent", "claude");
        fork.record(&Store::open(&coop.repo, &coop.env).expect("store"), "claude ended", vec![edit]).expect("records");
    }
    pub fn record(&self, name: &str) -> Fork {
        let coop = self.coop_lib();
        Fork::load(&coop.repo, &coop.env, &ForkName::parse(name).expect("name")).expect("fork")
    }
    /// A commit on the current branch of the checkout.
    pub fn commit(&self, path: &str, text: &str) -> String {
        std::fs::write(self.repo.join(path), text).expect("file");
        self.git(["add", "-A"]);
        self.git(["commit", "-qm", &format!("user: {path}")]);
        self.head("HEAD")
    }
    /// Everything of the checkout that a landing must not touch when it fails: refs but coop's, index, files.
    pub fn snapshot(&self) -> Vec<String> {
        let refs =
            self.git(["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/notes"]);
        let mut all = vec![refs, self.git(["ls-files", "-s"]), self.git(["status", "--porcelain"])];
        let mut files: Vec<_> = walk(&self.repo);
        files.sort();
        all.extend(files);
        all
    }
}

fn walk(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("entry").path();
        if path.file_name().is_some_and(|n| n == ".git") {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            out.extend(walk(&path));
        } else {
            out.push(format!("{} {:?}", path.display(), std::fs::read(&path).unwrap_or_default()));
        }
    }
    out
}

/// Bytes of a file in [`Files`].
pub fn f<'a>(path: &'a str, text: &'a str) -> (&'a str, Option<&'a [u8]>) {
    (path, Some(text.as_bytes()))
}

impl Land {
    /// `COOP_TEST_ROUNDS`, or fewer.
    #[allow(clippy::disallowed_methods)]
    pub fn rounds(default: u64) -> u64 {
        std::env::var("COOP_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
    }
}
