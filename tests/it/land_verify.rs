//! `git coop verify`, `merge --check` and the hooks that ask it. The gate's verdicts are recorded through the
//! library here; `tests/flow` makes them with real boxes.

use coop::git::Oid;
use coop::git::objects::Reader;
use coop::state::{ForkState, Store};

use crate::land_support::{Land, f};

/// Records what a green gate would have recorded for the tree of `rev`.
pub fn green(land: &Land, name: &str, rev: &str, command: &str) {
    let coop = land.coop_lib();
    let reader = Reader::open(&coop.repo).expect("objects");
    let tree = reader.tree(&Oid::parse(&land.head(rev)).expect("id")).expect("tree");
    let mut fork = land.record(name);
    fork.state = ForkState::Gated;
    fork.set("Tree", tree.as_str());
    fork.set("Gate", reader.blob_id(command.as_bytes()).expect("digest").as_str());
    fork.set("Gate-Command", command);
    fork.set("Verdict", "passed");
    fork.set("Seconds", "4");
    fork.record(&Store::open(&coop.repo, &coop.env).expect("store"), "gate passed", Vec::new()).expect("records");
}

/// One gated landing `good`, one without a gate `free`, and a commit of the user on top.
fn history() -> Land {
    let land = Land::new();
    land.fork("good");
    let head = land.work("good", &[f("a", "1\n")], "good one");
    green(&land, "good", &head, "make check");
    land.merge(["good", "--yes", "--gate", "make check"]).ok();
    land.fork("free");
    land.work("free", &[f("b", "1\n")], "free one");
    land.merge(["free", "--yes"]).ok();
    land.commit("c", "user\n");
    land
}

#[test]
fn verify_says_who_and_what_here_and_in_a_clone_with_only_the_notes() {
    let land = history();
    let run = land.world.coop(&land.repo, ["verify", "main~2"]);
    assert_eq!(run.code, 1, "the first commit of all has no verdict: {}", run.stdout);
    let text = land.world.coop(&land.repo, ["verify", "main~3..main~2"]).ok();
    assert!(
        text.contains("make check") && text.contains("good") && text.contains("claude") && text.contains("good one"),
        "{text}"
    );
    let run = land.world.coop(&land.repo, ["verify", "main~2..main"]);
    assert!(run.code == 1 && run.stdout.contains("free") && run.stdout.contains("user: c"), "{}", run.stdout);
    let clone = land.world.root().join("clone");
    land.git(["clone", "-q", "--no-hardlinks", ".", clone.to_str().expect("path")]);
    assert_eq!(land.world.coop(&clone, ["verify", "main~3..main~2"]).code, 1, "nothing was fetched yet");
    land.world.git(&clone, ["fetch", "-q", "origin", "refs/notes/coop/*:refs/notes/coop/*"]);
    let there = land.world.coop(&clone, ["verify", "main~3..main~2"]).ok();
    assert_eq!(there, text, "notes and events say the same");
    let json = land.world.coop(&clone, ["verify", "--json", "main~3..main~2"]).ok();
    assert!(json.contains("\"gate\": \"make check\""), "{json}");
    land.world.coop(&clone, ["verify", "nowhere..main"]).fails(2, "nowhere");
}

#[test]
fn a_note_on_another_tree_is_no_verdict() {
    let land = history();
    let note = land.git(["notes", "--ref=refs/notes/coop/gate", "show", "main~2"]);
    let clone = land.world.root().join("clone");
    land.git(["clone", "-q", "--no-hardlinks", ".", clone.to_str().expect("path")]);
    // the note of the good commit copied to the user's own
    let forged = note.replace(&land.head("main~2")[..12], &land.head("main")[..12]);
    land.world.git(&clone, ["notes", "--ref=refs/notes/coop/gate", "add", "-m", &forged, "main"]);
    assert_eq!(land.world.coop(&clone, ["verify", "main~1..main"]).code, 1);
}

#[test]
fn check_refuses_work_of_forks_without_a_verdict_and_lets_people_pass() {
    let land = history();
    land.merge(["--check", "main~3..main~2"]).ok();
    land.merge(["--check", "main~1..main"]).ok();
    land.merge(["--check", "main~2..main~1"]).fails(1, "\"free one\" has no green verdict");
    land.fork("raw");
    land.work("raw", &[f("z", "1\n")], "raw one");
    land.merge(["--check", "main..refs/coop/forks/raw/head"]).fails(1, "\"raw one\"");
    land.git(["config", "coop.requireVerdict", "true"]);
    land.merge(["--check", "main~1..main"]).fails(1, "no gate has seen it");
    land.merge(["--check", "nowhere..elsewhere"]).fails(2, "");
    // a green verdict on the tip's tree covers what led there
    green(&land, "raw", "main", "make check");
    land.merge(["--check", "main~3..main"]).ok();
}

#[test]
fn hooks_refuse_a_push_and_a_merge_and_leave_other_hooks_their_input() {
    let land = Land::new();
    let server = land.world.root().join("server.git");
    land.git(["init", "-q", "--bare", server.to_str().expect("path")]);
    land.git(["remote", "add", "origin", server.to_str().expect("path")]);
    land.git(["push", "-q", "origin", "main"]);
    let own = land.repo.join(".git/hooks/pre-push");
    std::fs::create_dir_all(own.parent().expect("parent")).expect("dir");
    std::fs::write(&own, "#!/bin/sh\ncat >seen-by-my-hook\n").expect("hook");
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    land.world.coop(&land.repo, ["init", "--hooks"]).ok();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "agent one");
    let run = land.world.run(&land.repo, "git", ["merge", "--no-ff", "-m", "by hand", "refs/coop/forks/x/head"]);
    assert!(run.code != 0 && run.stderr.contains("agent one"), "{}{}", run.stdout, run.stderr);
    land.git(["reset", "-q", "--hard"]);
    let run = land.world.run(&land.repo, "git", ["push", "-q", "origin", "refs/coop/forks/x/head:refs/heads/x"]);
    assert!(run.code != 0 && run.stderr.contains("agent one"), "{}", run.stderr);
    land.commit("user", "x\n");
    land.git(["push", "-q", "origin", "main"]);
    let seen = std::fs::read_to_string(land.repo.join("seen-by-my-hook")).expect("the user's hook ran");
    assert!(seen.starts_with("refs/heads/main "), "{seen}");
    // the server's own check
    let hook = server.join("hooks/update");
    std::fs::copy(crate::support::package().join("hooks/update.sample"), &hook).expect("hook");
    land.git(["push", "-q", "--no-verify", "origin", "refs/coop/forks/x/*:refs/coop/forks/x/*"]);
    let run = land.world.run(
        &land.repo,
        "git",
        ["push", "-q", "--no-verify", "origin", "refs/coop/forks/x/head:refs/heads/x"],
    );
    assert!(run.code != 0 && run.stderr.contains("agent one"), "{}", run.stderr);
    land.world.coop(&land.repo, ["init", "--hooks", "--uninstall"]).ok();
    assert_eq!(std::fs::read_to_string(&own).expect("hook"), "#!/bin/sh\ncat >seen-by-my-hook\n");
}
