//! Every defence of landing is taken away once (`COOP_TEST_WITHOUT`, builds with debug assertions), and its attack must
//! succeed then; with the defence in place it must not. A defence that nobody would miss is none.
//!
//! Two of the attacks that are known of other tools have no switch here, because there is nothing to take away: a gate
//! that commits (what it writes stays in its box, and what lands is the commit that was scanned, by id), and files that
//! the host would read in the fork's directory (the host reads none). `tests/flow/land_gate.rs` and
//! `tests/it/land_merge.rs` attack those.

use crate::land_support::{Land, f};
use crate::land_terminal::Terminal;
use crate::support::World;

/// A landing of `files` in two commits, the second of which removes them again where `removed`. Whether it lands.
fn lands(land: &Land, path: &str, bytes: &[u8], removed: bool) -> bool {
    land.fork("x");
    land.work("x", &[(path, Some(bytes)), f("other", "1\n")], "one");
    if removed {
        land.work("x", &[(path, None)], "removed again");
    }
    land.merge(["x", "--yes"]).code == 0
}

fn token() -> Vec<u8> {
    format!("t = \"ghp_{}\"\n", "16C7e42F292c6912E7710c838347Ae178B4a").into_bytes()
}

fn link(land: &Land) -> bool {
    let fork = land.fork("x");
    std::os::unix::fs::symlink("/etc/passwd", fork.join("link")).expect("link");
    land.work("x", &[f("a", "1\n")], "one");
    land.merge(["x", "--yes"]).code == 0
}

fn submodule(land: &Land) -> bool {
    let fork = land.fork("x");
    let entry = format!("160000,{},sub", land.head("main"));
    land.world.git(&fork, ["update-index", "--add", "--cacheinfo", &entry]);
    land.world.git(&fork, ["commit", "-qm", "submodule"]);
    land.take(&mut land.record("x"), &land.world.git(&fork, ["rev-parse", "HEAD"]));
    land.merge(["x", "--yes"]).code == 0
}

/// The user commits while the landing asks, and the commit is lost.
fn lost_commit(land: &Land) -> bool {
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let mut terminal = Terminal::start(land, "git-coop-merge", &["x"]);
    terminal.until("on main? [y/N] ");
    let mine = land.commit("mine", "1\n");
    terminal.say("y\n");
    terminal.answer("which has landed? [y/N] ", "n\n");
    let _ = terminal.end();
    land.world.run(&land.repo, "git", ["merge-base", "--is-ancestor", &mine, "main"]).code != 0
}

/// The branch moves although the checkout has work that is not committed.
fn dirty(land: &Land) -> bool {
    land.fork("x");
    land.work("x", &[f("README", "agent\n")], "one");
    std::fs::write(land.repo.join("README"), "not committed\n").expect("file");
    let before = land.head("main");
    let _ = land.merge(["x", "--yes"]).code;
    land.head("main") != before
}

/// A branch moves that a rebase elsewhere comes back to.
fn in_use(land: &Land) -> bool {
    land.git(["bisect", "start"]);
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let before = land.head("main");
    let _ = land.merge(["x", "--yes"]).code;
    land.head("main") != before
}

/// Killed after the branch has moved, and the next command does not bring the checkout along.
fn left_behind(land: &Land) -> bool {
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let mut command = land.world.command(&land.repo, "git-coop-merge");
    let killed = command.args(["x", "--yes"]).env("COOP_TEST_ABORT_AT", "after-transaction").output().expect("runs");
    assert_eq!(killed.status.code(), None, "the switch did not work");
    let _ = land.merge(["x", "--yes"]).code;
    !land.git(["status", "--porcelain"]).is_empty()
}

/// A merge driver of the user's runs on what an agent wrote.
fn driver(land: &Land) -> bool {
    let mark = land.world.root().join("ran");
    land.commit(".gitattributes", "README merge=mine\n");
    land.git(["config", "merge.mine.driver", &format!("touch {}", mark.display())]);
    land.fork("x");
    land.work("x", &[f("README", "agent\n")], "one");
    land.commit("README", "user\n");
    let _ = land.merge(["x", "--yes"]).code;
    mark.exists()
}

/// A green note is copied to another commit, and believed.
fn forged_note(land: &Land) -> bool {
    let tree = land.head("HEAD^{tree}");
    let tip = land.commit("later", "1\n");
    let note = format!("passed: make check, 1s, tree {tree}, tip {}, fork x by claude", &tip[..12]);
    land.git(["notes", "--ref=refs/notes/coop/gate", "add", "-m", &note, "HEAD"]);
    land.world.coop(&land.repo, ["verify", "HEAD~1..HEAD"]).code == 0
}

/// A verdict by another command is taken for that of the gate. There is no runtime here, so that no gate can run.
fn other_gate(land: &Land) -> bool {
    land.fork("x");
    let head = land.work("x", &[f("a", "1\n")], "one");
    crate::land_verify::green(land, "x", &head, "true");
    land.git(["config", "coop.runtime", "container"]);
    land.merge(["x", "--yes", "--gate", "make check"]).code == 0
}

type Attack = fn(&Land) -> bool;

const DEFENCES: &[(&str, Attack)] = &[
    ("landing-secret", |land| lands(land, "a name with spaces.txt", &token(), false)),
    ("landing-every-commit", |land| lands(land, "gone.txt", &token(), true)),
    ("landing-blob", |land| lands(land, "large", &vec![b'x'; 6 << 20], false)),
    ("landing-host", |land| lands(land, ".github/workflows/ci.yml", b"on: push\n", false)),
    ("landing-shadowed", |land| lands(land, "deploy/id_rsa", b"none\n", false)),
    ("landing-symlink", link),
    ("landing-submodule", submodule),
    ("landing-old-value", lost_commit),
    ("landing-clean-checkout", dirty),
    ("landing-branch-in-use", in_use),
    ("landing-promise", left_behind),
    ("landing-no-drivers", driver),
    ("verdict-tree", forged_note),
    ("verdict-command", other_gate),
];

#[test]
fn without_a_defence_its_attack_succeeds() {
    let mut wrong = Vec::new();
    for (name, attack) in DEFENCES {
        if attack(&Land::new()) {
            wrong.push(format!("{name}: the attack succeeds although the defence is there"));
        }
        if !attack(&Land::in_world(World::new().with_env("COOP_TEST_WITHOUT", name))) {
            wrong.push(format!("{name}: nobody misses it"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
