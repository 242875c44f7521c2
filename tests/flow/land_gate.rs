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

/// Killed at the steps around the gate: nothing has moved, the next command says so, and a green verdict is not asked for
/// again.
#[test]
fn a_kill_around_the_gate_leaves_nothing_half_done() {
    let Some(place) = place() else { return };
    place.git(["config", "coop.gate", "echo gate ran"]);
    for (step, said) in [("landing", "gate ran"), ("gated", "the gate has seen this tree: passed")] {
        fork(&place, step, &format!("echo x >{step}"));
        let main = place.git(["rev-parse", "main"]);
        let mut command = place.world.command(&place.repo, "git-coop-merge");
        let killed = command.args([step, "--yes"]).env("COOP_TEST_ABORT_AT", step).output().expect("runs");
        assert_eq!(killed.status.code(), None, "{step}: {}", String::from_utf8_lossy(&killed.stderr));
        assert_eq!(place.git(["rev-parse", "main"]), main);
        assert_eq!(place.git(["status", "--porcelain"]), "");
        let run = merge(&place, &[step]);
        assert!(run.stderr.contains(said), "{step}: {}", run.stderr);
        let named = run.stderr.contains("was interrupted before anything moved");
        assert_eq!(named, step == "landing", "{step}: {}", run.stderr);
        run.ok();
        assert_eq!(place.git(["log", "-1", "--format=%s"]), format!("work of {step}"));
    }
}

/// Ctrl-C while the gate runs: asked once, its box ends, and the fork is as it was.
#[test]
fn an_interrupted_gate_changes_nothing() {
    let Some(place) = place() else { return };
    fork(&place, "x", "echo x >x");
    let main = place.git(["rev-parse", "main"]);
    let mut command = place.world.command(&place.repo, "git-coop-merge");
    command.args(["x", "--yes", "--gate", "echo started; sleep 100"]).stdin(std::process::Stdio::null());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("starts");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("started") {
        assert!(std::io::BufRead::read_line(&mut stderr, &mut said).expect("read") > 0, "{said}");
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("SIGINT");
    let _ = std::io::Read::read_to_string(&mut stderr, &mut said).expect("read");
    assert_eq!(child.wait().expect("waits").code(), Some(3), "{said}");
    assert!(said.contains("the gate was interrupted, nothing has moved"), "{said}");
    assert_eq!(place.git(["rev-parse", "main"]), main);
    assert_eq!(place.state("x")["state"], "review");
    merge(&place, &["x"]).ok();
}

/// The user commits while the gate runs: the landing starts again on the new commit, and that tree is gated.
#[test]
fn a_commit_of_the_user_meanwhile_is_rebased_onto_and_gated_with() {
    let Some(place) = place() else { return };
    fork(&place, "x", "echo x >x");
    place.git(["branch", "target"]);
    let mark = place.world.root().join("first");
    let mut command = place.world.command(&place.repo, "git-coop-merge");
    command.args(["x", "--yes", "--into", "target", "--gate", "ls; sleep 2"]).stdin(std::process::Stdio::null());
    let child = command.stderr(std::fs::File::create(&mark).expect("file")).stdout(std::process::Stdio::null()).spawn();
    let mut child = child.expect("starts");
    crate::world::until("the gate runs", || std::fs::read_to_string(&mark).is_ok_and(|text| text.contains("x\n")));
    let blob = place.git(["hash-object", "-w", "README"]);
    place.git(["update-index", "--add", "--cacheinfo", &format!("100644,{blob},mine")]);
    let tree = place.git(["write-tree"]);
    place.git(["reset", "-q"]);
    let new = place.git(["commit-tree", "-m", "mine", "-p", "target", &tree]);
    place.git(["update-ref", "refs/heads/target", &new]);
    assert_eq!(child.wait().expect("waits").code(), Some(0));
    let said = std::fs::read_to_string(&mark).expect("said");
    assert!(said.contains("target moved meanwhile; rebasing again") && said.contains("mine\n"), "{said}");
    assert_eq!(place.git(["log", "--format=%s", "-2", "target"]), "work of x\nmine");
    let note = place.git(["log", "-1", "--format=%N", "--notes=refs/notes/coop/gate", "target"]);
    assert!(
        note.starts_with("passed: ls; sleep 2, ") && note.contains(&place.git(["rev-parse", "target^{tree}"])),
        "{note}"
    );
}
