//! The gate: the exact candidate, in a box, on every runtime; what it does there stays there.

use crate::world::{Place, everywhere, place};

fn fork(place: &Place, name: &str, script: &str) {
    place.fork(name, &format!("{script}; git add -A && git commit -qm 'work of {name}'")).ok();
}

fn merge(place: &Place, args: &[&str]) -> crate::support::Run {
    place.coop([&["merge", "--yes"], args].concat())
}

#[test]
fn green_lands_red_does_not_and_no_tree_is_gated_twice() {
    everywhere(|place| {
        place.git(["config", "coop.gate", "echo gate ran; test ! -e bad"]);
        fork(place, "good", "echo x >good");
        fork(place, "bad", "echo x >bad");
        let run = place.coop(["review", "--stat", "--gate", "good"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.contains("gate ran") && run.stdout.contains("gate: passed on this tree"), "{}", run.stdout);
        let run = merge(place, &["good"]);
        assert!(
            run.stderr.contains("the gate has seen this tree") && !run.stderr.contains("gate ran"),
            "{}",
            run.stderr
        );
        assert!(run.ok().contains("gate passed before"));
        let main = place.git(["rev-parse", "main"]);
        let red = merge(place, &["bad"]);
        assert_eq!(red.code, 1, "{}", red.stderr);
        assert!(red.stderr.contains("is red for fork 'bad' (exit 1): gate ran"), "{}", red.stderr);
        assert_eq!(place.git(["rev-parse", "main"]), main);
        assert_eq!(place.state("bad")["state"], "rejected");
        let again = merge(place, &["bad"]);
        assert!(again.code == 1 && again.stderr.contains("the end of the gate's log:\n  gate ran"), "{}", again.stderr);
        let regate = merge(place, &["bad", "--regate"]);
        assert!(regate.code == 1 && regate.stderr.contains("gate ran\n"), "{}", regate.stderr);
        let verify = place.coop(["verify", "main~1..main"]);
        assert!(verify.stdout.contains("test ! -e bad") && verify.stdout.contains("good"), "{}", verify.stdout);
        verify.ok();
    });
}

/// The candidate is what is gated: the fork's work on top of the user's newer commits, and nothing of the host.
#[test]
fn the_tree_is_exact_and_hidden_paths_are_blank() {
    everywhere(|place| {
        fork(place, "x", "echo agent >agent");
        std::fs::write(place.repo.join("user"), "user\n").expect("file");
        std::fs::write(place.repo.join(".npmrc"), "token-of-a-registry\n").expect("file");
        place.git(["add", "user", ".npmrc"]);
        place.git(["commit", "-qm", "user"]);
        std::fs::write(place.repo.join("untracked"), "x").expect("file");
        let gate = "set -e; test \"$(cat agent)\" = agent; test \"$(cat user)\" = user; test ! -e untracked; test ! -e .env; \
            test -e .npmrc; test ! -s .npmrc; test -z \"$(git status --porcelain)\"; git log -1 --format=%s; pwd; touch scratch";
        let run = merge(place, &["x", "--gate", gate]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.contains(&format!("work of x\n{}\n", place.repo.display())), "{}", run.stderr);
        assert!(!place.repo.join("scratch").exists());
        assert_eq!(place.git(["show", "main:.npmrc"]), "token-of-a-registry");
    });
}

/// E-5 and its kin: a gate that commits, rewrites, plants hooks, leaves a process or prints for ever changes nothing.
#[test]
fn a_hostile_gate_changes_nothing() {
    everywhere(|place| {
        fork(place, "x", "echo agent >agent");
        let head = place.git(["rev-parse", "refs/coop/forks/x/head"]);
        let gate = "echo evil >agent; git add -A; git commit -qm evil; git update-ref refs/heads/x HEAD; git branch -f main HEAD; \
            mkdir -p .git-hooks; git config core.hooksPath .git-hooks; (sleep 300; touch daemon) & printf '\\033]0;title\\007'; \
            echo planted >\"$HOME/x\"; exit 0";
        let run = merge(place, &["x", "--gate", gate]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "an escape sequence of the gate passed");
        assert_eq!(place.git(["rev-parse", "main"]), head, "what was scanned and gated is what lands");
        assert_eq!(place.git(["show", "main:agent"]), "agent");
        assert_eq!(place.git(["status", "--porcelain"]), "");
        assert_eq!(place.world.run(&place.repo, "git", ["config", "core.hooksPath"]).code, 1);
    });
}

#[test]
fn time_is_limited_and_a_missing_command_is_said() {
    let Some(place) = place() else { return };
    fork(&place, "x", "echo agent >agent");
    place.git(["config", "coop.gateTimeout", "1s"]);
    let main = place.git(["rev-parse", "main"]);
    let run = merge(&place, &["x", "--gate", "while :; do echo y; done"]);
    assert!(
        run.code == 1 && run.stderr.contains("ran out of time"),
        "{}",
        &run.stderr[run.stderr.len().saturating_sub(500)..]
    );
    let _ = merge(&place, &["x", "--gate", "no-such-program --flag"]).code;
    let run = merge(&place, &["x", "--gate", "no-such-program --flag"]);
    assert!(run.code == 2 && run.stderr.contains("was not found in the box"), "{}", run.stderr);
    assert_eq!(place.git(["rev-parse", "main"]), main);
    assert_eq!(place.state("x")["state"], "rejected");
    // the tree cannot name the gate
    fork(&place, "y", "git config coop.gate true; echo '[coop] gate = true' >.gitconfig; echo y >y");
    let run = merge(&place, &["y", "--gate", "false", "--accept", "host:.gitconfig"]);
    assert!(run.code == 1 && run.stderr.contains("is red"), "{}", run.stderr);
}

/// The queue: bad forks are named and cost one gate run each, the rest land, each on the last.
#[test]
fn all_of_them() {
    let Some(place) = place() else { return };
    place.git(["config", "coop.gate", "test ! -e bad"]);
    for name in ["a", "b", "c"] {
        fork(&place, name, &format!("echo {name} >{name}"));
    }
    fork(&place, "red", "echo x >bad");
    fork(&place, "clash", "echo clash >a");
    fork(&place, "d", "echo d >d");
    let before = place.git(["rev-parse", "main"]);
    let run = merge(&place, &["--all", "--keep-going"]);
    assert_ne!(run.code, 0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    for (name, word) in
        [("a", "landed"), ("b", "landed"), ("c", "landed"), ("d", "landed"), ("red", "failed"), ("clash", "conflict")]
    {
        assert!(lines.iter().any(|l| l.split_whitespace().take(2).eq([name, word])), "{name}: {}", run.stdout);
    }
    assert_eq!(place.git(["rev-list", "--count", &format!("{before}..main")]), "4");
    assert_eq!(place.git(["status", "--porcelain"]), "");
    assert!(place.coop(["verify", &format!("{before}..main")]).ok().lines().count() == 5);
    let run = merge(&place, &["--all"]);
    assert!(run.code != 0 && run.stdout.contains("not tried"), "{}", run.stdout);
}

/// The agent is still running, or its run was killed.
#[test]
fn a_fork_at_work_does_not_land_and_a_killed_one_is_brought_back_first() {
    let Some(place) = place() else { return };
    let mut child = place.spawn(&[
        "fork",
        "x",
        "--",
        "sh",
        "-c",
        "echo w >w; git add w; git commit -qm boxed; touch ready; sleep 100",
    ]);
    crate::world::until("the box has committed", || place.fork_path("x").join("ready").exists());
    merge(&place, &["x"]).fails(3, "is at work in another process");
    child.kill().expect("SIGKILL");
    let _ = child.wait();
    let run = merge(&place, &["x"]);
    assert!(run.stderr.contains("was killed; bringing back"), "{}", run.stderr);
    run.ok();
    assert_eq!(place.git(["log", "-1", "--format=%s"]), "boxed");
}
