//! kill -9 at every step and at any instant of a landing, and races: no commit is lost, no file of the user
//! changes, and the next command finishes what is half done.

use std::process::Stdio;
use std::time::Duration;

use crate::land_support::{Land, f};
use crate::support::World;

const BEFORE: &[&str] = &["scanned", "rebased", "gated", "before-transaction"];
const AFTER: &[&str] = &["after-transaction", "following", "followed"];

fn aborting(step: &str) -> Land {
    let land = Land::in_world(World::new().with_env("COOP_TEST_ABORT_AT", step));
    land.fork("x");
    land.work("x", &[f("a", "agent\n")], "one");
    land.commit("user", "mine\n");
    std::fs::write(land.repo.join("neighbour"), "not tracked\n").expect("file");
    land
}

#[test]
fn a_kill_before_the_transaction_leaves_nothing() {
    for step in BEFORE {
        let land = aborting(step);
        let before = land.snapshot();
        assert_eq!(land.merge(["x", "--yes"]).code, -1, "{step}: the switch did not work");
        assert_eq!(land.snapshot(), before, "{step}");
        let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
        land.merge(["x", "--yes"]).ok();
        assert_eq!(land.git(["log", "--format=%s"]), "one\nuser: user\nfirst", "{step}");
        assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour", "{step}");
    }
}

#[test]
fn a_kill_after_the_transaction_is_finished_by_the_next_command() {
    for step in AFTER {
        let land = aborting(step);
        assert_eq!(land.merge(["x", "--yes"]).code, -1, "{step}: the switch did not work");
        let tip = land.head("main");
        let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
        assert_eq!(land.record("x").state.as_str(), "landed", "{step}");
        let run = land.merge(["x", "--yes"]);
        assert_eq!(run.code, 1, "{step}: {}", run.stderr);
        assert!(run.stderr.contains("landing of 'x'"), "{step}: {}", run.stderr);
        assert_eq!(land.head("main"), tip);
        assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour", "{step}");
        assert_eq!(std::fs::read_to_string(land.repo.join("a")).expect("file"), "agent\n", "{step}");
        assert_eq!(land.record("x").get("Follow"), None, "{step}");
        land.merge(["x", "--undo"]).ok();
        assert_eq!(land.git(["log", "--format=%s"]), "user: user\nfirst", "{step}");
    }
}

/// Edits that the user made between the kill and the next command are kept.
#[test]
fn a_pending_checkout_never_costs_an_edit() {
    let land = aborting("after-transaction");
    let _ = land.merge(["x", "--yes"]).code;
    let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
    std::fs::write(land.repo.join("a"), "mine, made meanwhile\n").expect("file");
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("has not followed"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(land.repo.join("a")).expect("file"), "mine, made meanwhile\n");
    std::fs::remove_file(land.repo.join("a")).expect("removed");
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("now follows"), "{}", run.stderr);
    assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour");
}

/// SIGKILL at random instants while somebody commits to the same branch and a neighbour file is dirty elsewhere.
#[test]
fn kills_at_any_instant_with_a_concurrent_committer() {
    let rounds: u64 = Land::rounds(40);
    let land = Land::new();
    let other = land.world.root().join("other");
    land.git(["worktree", "add", "-q", "-b", "side", other.to_str().expect("path")]);
    std::fs::write(other.join("README"), "dirty neighbour\n").expect("file");
    let mut mine = 0;
    for round in 0..rounds {
        let name = format!("k{round}");
        land.fork(&name);
        land.work(&name, &[f(&format!("file{round}"), "agent\n")], &format!("agent {round}"));
        let mut command = land.world.command(&land.repo, "git-coop-merge");
        command.args([&name, "--yes"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        let wait = (round * 7919) % 140;
        std::thread::sleep(Duration::from_millis(wait / 2));
        if round % 3 == 0 {
            // somebody moves the branch without its checkout: the landing has to see it
            let tip = land.head("main");
            let new = land.git(["commit-tree", "-m", &format!("user {round}"), "-p", &tip, &format!("{tip}^{{tree}}")]);
            if land.world.run(&land.repo, "git", ["update-ref", "refs/heads/main", &new, &tip]).code == 0 {
                mine += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(wait - wait / 2));
        let _ = child.kill();
        let _ = child.wait();
        // a git that was running ends by itself: taking its locks away would be an attack of our own
        std::thread::sleep(Duration::from_millis(150));
        let lock = land.repo.join(".git/index.lock");
        let _ = std::fs::remove_file(lock); // git's own leftover of a killed git
        for lock in ["refs/heads/main.lock", "HEAD.lock"] {
            let _ = std::fs::remove_file(land.repo.join(".git").join(lock));
        }
        let coop_locks = land.repo.join(".git/refs/coop/forks").join(&name);
        for lock in ["meta.lock", "head.lock"] {
            let _ = std::fs::remove_file(coop_locks.join(lock));
        }
        let run = land.merge([&name, "--yes"]);
        assert!(
            run.code == 0 || (run.code == 1 && run.stderr.contains("nothing to land")),
            "round {round}: {} {}",
            run.code,
            run.stderr
        );
        assert_eq!(
            land.git(["log", "--format=%s", "-n", "3"]).matches(&format!("agent {round}")).count(),
            1,
            "round {round}"
        );
        assert_eq!(land.git(["status", "--porcelain"]), "", "round {round} (waited {wait} ms): {}", run.stderr);
    }
    assert_eq!(land.git(["rev-list", "--count", "--grep=^agent ", "main"]), rounds.to_string());
    assert_eq!(
        land.git(["rev-list", "--count", "--grep=^user ", "main"]),
        mine.to_string(),
        "a commit of the user is lost"
    );
    assert_eq!(std::fs::read_to_string(other.join("README")).expect("file"), "dirty neighbour\n");
    assert_eq!(land.world.run(&land.repo, "git", ["fsck", "--no-dangling"]).code, 0);
}

/// Two landings of one fork, and two forks onto one branch, at once.
#[test]
fn races_have_one_winner_or_both_land() {
    let land = Land::new();
    for name in ["one", "two", "three"] {
        land.fork(name);
        land.work(name, &[f(name, "x\n")], name);
    }
    let start = |name: &str| {
        let mut command = land.world.command(&land.repo, "git-coop-merge");
        command
            .args([name, "--yes", "--into", "target"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("starts")
    };
    land.git(["branch", "target"]);
    let same: Vec<_> = (0..4).map(|_| start("one")).collect();
    let codes: Vec<_> = same.into_iter().map(|c| c.wait_with_output().expect("waits").status.code()).collect();
    assert_eq!(codes.iter().filter(|c| **c == Some(0)).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, Some(0 | 1 | 3))), "{codes:?}");
    let both = [start("two"), start("three")];
    for child in both {
        let output = child.wait_with_output().expect("waits");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut subjects: Vec<String> = land.git(["log", "--format=%s", "target"]).lines().map(str::to_owned).collect();
    subjects.sort();
    assert_eq!(subjects, ["first", "one", "three", "two"]);
}
