//! `git coop sync`: two machines that share a bare repository and nothing else.

use std::path::PathBuf;

use coop::flow::fork::remove;
use coop::state::ForkName;

use crate::land_support::Land;
use crate::support::World;

/// One bare repository, and two clones of it: `a` and `b`.
struct Two {
    land: Land,
}

impl Two {
    fn new() -> Two {
        let world = World::new();
        let first = world.repo("first");
        world.git(&world.root(), ["clone", "-q", "--bare", "first", "origin.git"]);
        drop(first);
        for (dir, name) in [("a", "A"), ("b", "B")] {
            std::fs::create_dir(world.root().join(dir)).expect("a directory");
            world.git(&world.root().join(dir), ["clone", "-q", "../origin.git", "repo"]);
            world.git(&world.root().join(dir).join("repo"), ["config", "user.name", name]);
        }
        let repo = world.root().join("a/repo");
        Two { land: Land { world, repo } }
    }
    fn on(&mut self, machine: &str) -> &Land {
        self.land.repo = self.at(machine);
        &self.land
    }
    fn at(&self, machine: &str) -> PathBuf {
        self.land.world.root().join(machine).join("repo")
    }
    fn work(&mut self, machine: &str, name: &str) -> String {
        let land = self.on(machine);
        land.fork(name);
        land.work(name, &[(&format!("{machine}-{name}.txt"), Some(b"work\n"))], "Do the work")
    }
    fn sync(&self, machine: &str) -> (i32, String) {
        let run = self.land.world.coop(&self.at(machine), ["sync"]);
        (run.code, run.stderr)
    }
    fn drop_fork(&mut self, machine: &str, name: &str) {
        let coop = self.on(machine).coop_lib();
        remove::remove(&coop, &ForkName::parse(name).expect("a name"), true).expect("removes");
    }
    fn origin(&self) -> String {
        let dir = self.land.world.root().join("origin.git");
        self.land.world.git(&dir, ["for-each-ref", "--format=%(refname)", "refs/coop"])
    }
}

#[test]
fn the_state_of_one_machine_is_read_on_another() {
    let mut two = Two::new();
    let head = two.work("a", "api");
    let (code, said) = two.sync("a");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 pushed"), "{said}");
    assert_eq!(two.origin(), "refs/coop/forks/api/head\nrefs/coop/forks/api/meta");
    let (code, said) = two.sync("b");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("origin: 2 refs fetched, 0 pushed"), "{said}");
    let land = two.on("b");
    assert_eq!(land.head("refs/coop-remote/origin/forks/api/head"), head);
    assert_eq!(land.git(["for-each-ref", "refs/coop"]), "", "nothing of theirs is ours");
    let story = land.git(["log", "--oneline", "--graph", "--glob=refs/coop-remote"]);
    assert!(story.contains("fork api: "), "{story}");
    // again: nothing to do, and nothing is written
    let (code, said) = two.sync("b");
    assert_eq!((code, said.contains("0 refs fetched, 0 pushed")), (0, true), "{said}");
}

#[test]
fn both_directions_newer_events_and_rewritten_code() {
    let mut two = Two::new();
    two.work("a", "api");
    two.work("b", "web");
    assert_eq!((two.sync("a").0, two.sync("b").0, two.sync("a").0), (0, 0, 0));
    assert_eq!(
        two.on("a").git(["for-each-ref", "--format=%(refname)", "refs/coop-remote/origin/forks/web"]).lines().count(),
        2
    );
    // the agent rewrites its history: the events go forward and the code goes with them
    let land = two.on("a");
    let path = land.world.root().join("a/repo-forks/api");
    land.world.git(&path, ["reset", "-q", "--hard", "HEAD^"]);
    let head = land.work("api", &[("other.txt", Some(b"other\n"))], "Do other work");
    assert_eq!(two.sync("a").0, 0);
    assert_eq!(two.sync("b").0, 0);
    assert_eq!(two.on("b").head("refs/coop-remote/origin/forks/api/head"), head);
    // theirs and ours side by side
    let story = two.on("b").git(["log", "--format=%s", "--glob=refs/coop", "--glob=refs/coop-remote"]);
    assert!(story.contains("fork web: ") && story.contains("fork api: "), "{story}");
}

#[test]
fn a_name_that_means_another_thing_is_named_and_left_alone() {
    let mut two = Two::new();
    let first = two.work("a", "api");
    two.work("a", "db");
    assert_eq!(two.sync("a").0, 0);
    two.work("b", "api");
    two.work("b", "web");
    let (code, said) = two.sync("b");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("error: collision: forks/api/meta: origin has another one (of "), "{said}");
    assert!(said.contains("2 pushed"), "what does not collide goes: {said}");
    let dir = two.land.world.root().join("origin.git");
    assert_eq!(two.land.world.git(&dir, ["rev-parse", "refs/coop/forks/api/head"]), first);
    assert!(two.origin().contains("refs/coop/forks/web/head"));
    // the other machine goes on, and this one is behind nobody
    assert_eq!(two.sync("a").0, 0);
    two.drop_fork("b", "api");
    assert_eq!(two.sync("b").0, 0, "without its own there is nothing to collide");
    assert_eq!(two.land.world.git(&dir, ["rev-parse", "refs/coop/forks/api/head"]), first);
}

#[test]
fn what_is_closed_here_goes_there_and_the_archives_are_one() {
    let mut two = Two::new();
    two.work("a", "api");
    two.work("b", "web");
    assert_eq!((two.sync("a").0, two.sync("b").0), (0, 0));
    two.drop_fork("a", "api");
    two.drop_fork("b", "web");
    let (code, said) = two.sync("a");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 removed"), "{said}");
    let (code, said) = two.sync("b");
    assert_eq!(code, 0, "{said}");
    assert_eq!(two.origin(), "refs/coop/archive");
    assert_eq!(two.sync("a").0, 0);
    let (a, b) = (two.on("a").head("refs/coop/archive"), two.on("b").head("refs/coop/archive"));
    assert_eq!(a, b);
    let story = two.on("a").git(["log", "--format=%s", "refs/coop/archive"]);
    assert!(story.contains("archive: joined with that of origin"), "{story}");
    assert!(story.contains("fork api: ") && story.contains("fork web: "), "{story}");
    assert_eq!(two.on("a").git(["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn a_secret_stays_here() {
    let mut two = Two::new();
    two.on("a").fork("api");
    let token = format!("token = \"ghp_{}\"\n", "16C7e42F292c6912E7710c838347Ae178B4a");
    two.on("a").work("api", &[("conf.toml", Some(token.as_bytes()))], "Do the work");
    let (code, said) = two.sync("a");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("error: not pushed: forks/api/head: 1 secret"), "{said}");
    assert_eq!(two.origin(), "refs/coop/forks/api/meta");
}

#[test]
fn the_remote_must_be_clear_and_there() {
    let mut two = Two::new();
    let land = two.on("a");
    let _ = land.world.coop(&land.repo, ["sync", "orign"]).fails(2, "there is no remote 'orign'");
    land.git(["remote", "rename", "origin", "one"]);
    land.git(["remote", "add", "two", "/nonexistent"]);
    let _ = land.world.coop(&land.repo, ["sync"]).fails(2, "not clear which remote");
    let _ = land.world.coop(&land.repo, ["sync", "two"]).fails(2, "cannot talk to the remote 'two'");
    // a transport that is a program is never run
    let mark = land.world.root().join("ran");
    land.git(["remote", "add", "three", &format!("ext::touch {}", mark.display())]);
    let _ = land.world.coop(&land.repo, ["sync", "three"]).fails(2, "cannot talk to the remote 'three'");
    assert!(!mark.exists());
}
