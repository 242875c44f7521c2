//! Two at once.

use std::process::Child;

use crate::support::Run;
use crate::world::{place, until};

fn ends(child: Child) -> Run {
    Run::of(child.wait_with_output().expect("ends"))
}

#[test]
fn two_terminals_open_one_fork() {
    let Some(place) = place() else { return };
    let first =
        place.spawn(&["fork", "x", "--", "sh", "-c", "touch ready; sleep 5; git commit -q --allow-empty -m mine"]);
    until("the first is at work", || place.fork_path("x").join("ready").exists());
    assert_eq!(place.state("x")["state"], "working");
    let second = place.fork("x", "git commit -q --allow-empty -m theirs").fails(3, "at work in another process");
    assert!(second.contains("git coop fork stop x"), "{second}");
    place.coop(["fork", "rm", "--force", "x"]).fails(3, "at work in another process");
    assert_eq!(ends(first).code, 0);
    assert_eq!(place.git(["log", "--format=%s", "HEAD..refs/coop/forks/x/head"]), "mine");
}

#[test]
fn many_open_the_same_new_fork_and_one_wins() {
    let Some(place) = place() else { return };
    let all: Vec<Child> = (0..6)
        .map(|_| place.spawn(&["fork", "x", "--", "sh", "-c", "sleep 2; git commit -q --allow-empty -m c"]))
        .collect();
    let codes: Vec<i32> = all.into_iter().map(|child| ends(child).code).collect();
    assert_eq!(codes.iter().filter(|c| **c == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, 0 | 3)), "{codes:?}");
    assert_eq!(place.git(["rev-list", "--count", "HEAD..refs/coop/forks/x/head"]), "1");
}

#[test]
fn many_forks_at_once() {
    let Some(place) = place() else { return };
    // one work tree is ready, and one of them takes it
    let worker = place.spawn(&["fork", "worker", "--", "sleep", "300"]);
    until("the next fork's work tree is ready", || place.repo.join(".git/coop/spare/is").exists());
    place.coop(["fork", "stop", "worker"]).ok();
    let _ = ends(worker);
    let all: Vec<Child> = (0..8)
        .map(|n| {
            place.spawn(&["fork", &format!("f{n}"), "--", "sh", "-c", &format!("git commit -q --allow-empty -m c{n}")])
        })
        .collect();
    for child in all {
        let run = ends(child);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    for n in 0..8 {
        assert_eq!(place.git(["log", "-1", "--format=%s", &format!("refs/coop/forks/f{n}/head")]), format!("c{n}"));
        assert_eq!(place.world.git(&place.fork_path(&format!("f{n}")), ["status", "--porcelain"]), "");
    }
    assert!(!place.repo.join(".git/coop/spare/is").exists(), "nobody took it");
    assert_eq!(place.git(["fsck", "--no-dangling"]), "");
}

#[test]
fn stop_proves_that_the_box_is_gone_and_keeps_the_commits() {
    crate::world::everywhere(|place| {
        let script = "git commit -q --allow-empty -m kept; touch ready; trap '' TERM INT; while true; do sleep 1; done";
        let child = place.spawn(&["fork", "x", "--", "sh", "-c", script]);
        until("the box runs", || place.fork_path("x").join("ready").exists());
        let stop = place.coop(["fork", "stop", "x"]);
        assert_eq!(stop.code, 0, "{}", stop.stderr);
        assert!(stop.stderr.contains("is gone"), "{}", stop.stderr);
        let run = ends(child);
        assert_ne!(run.code, 0);
        assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/x/head"]), "kept");
        assert_eq!(place.state("x")["state"], "review");
        assert!(place.coop(["fork", "stop", "x"]).stderr.contains("had no box"));
    });
}
