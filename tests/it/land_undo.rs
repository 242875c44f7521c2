//! `git coop merge --undo`, and what stands in the way of a branch: locks, and work trees that come back to it.

use crate::land_support::{Land, f};

#[test]
fn a_straight_line_lands_as_it_is_and_undo_takes_it_back() {
    let land = Land::new();
    land.fork("x");
    let head = land.work("x", &[f("a", "1\n")], "one");
    let before = land.snapshot();
    let main = land.head("main");
    land.merge(["x", "--yes"]).ok();
    assert_eq!(land.head("main"), head);
    let text = land.merge(["x", "--undo"]).ok();
    assert!(text.contains("main is back at") && text.contains("'x' is kept"), "{text}");
    assert_eq!(land.head("main"), main);
    let after: Vec<_> = land.snapshot().into_iter().skip(1).collect();
    assert_eq!(after, before.into_iter().skip(1).collect::<Vec<_>>());
    assert_eq!(land.record("x").state.as_str(), "review");
    land.merge(["x", "--yes", "--drop"]).ok();
    assert_eq!(land.head("main"), head);
    assert!(land.git(["log", "--format=%s", "refs/coop/archive"]).contains("landed 1 commit on main"));
    assert!(!land.repo.parent().expect("parent").join("repo-forks/x").exists());
}

/// Undoing the landing of a fork that was dropped brings the fork back as it landed.
#[test]
fn undo_brings_a_dropped_fork_back() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let onto = land.commit("user", "1\n");
    land.merge(["x", "--yes", "--drop"]).ok();
    let (tip, path) = (land.head("main"), land.world.root().join("repo-forks/x"));
    assert!(!path.exists());
    // in its way: nothing changes
    std::fs::create_dir_all(&path).expect("dir");
    let before = land.snapshot();
    let _ = land.merge(["x", "--undo"]).fails(2, "is in the way of the fork");
    assert_eq!(land.snapshot(), before);
    std::fs::remove_dir_all(&path).expect("removed");
    let text = land.merge(["x", "--undo"]).ok();
    assert!(text.contains("main is back at") && text.contains("'x' is there again"), "{text}");
    assert_eq!((land.head("main"), land.git(["status", "--porcelain"])), (onto.clone(), String::new()));
    let fork = land.record("x");
    assert_eq!((fork.state.as_str(), fork.base.as_str(), fork.head.as_str()), ("review", &*onto, &*tip));
    assert_eq!(std::fs::read_to_string(path.join("a")).expect("checked out"), "1\n");
    assert_eq!(land.world.git(&path, ["status", "--porcelain"]), "");
    assert!(land.git(["log", "--format=%s", "refs/coop/forks/x/meta"]).contains("dropped at"), "its chain goes on");
    land.work("x", &[f("b", "2\n")], "two");
    land.merge(["x", "--yes", "--drop"]).ok();
    assert_eq!(land.git(["log", "--format=%s", "-3"]), "two\none\nuser: user");
    land.commit("later", "1\n");
    let _ = land.merge(["x", "--undo"]).fails(3, "has gone on since");
    let _ = land.merge(["never", "--undo"]).fails(2, "no fork 'never'");
}

#[test]
fn undo_refuses_when_something_came_on_top() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    land.merge(["x", "--yes"]).ok();
    land.commit("later", "x\n");
    let before = land.snapshot();
    let _ = land.merge(["x", "--undo"]).fails(3, "has gone on since");
    assert_eq!(land.snapshot(), before);
}

/// A lock that a killed git left is named, with what to do about it.
#[test]
fn a_lock_that_was_left_is_named() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let before = land.snapshot();
    for lock in ["refs/heads/main.lock", "refs/coop/forks/x/meta.lock"] {
        let lock = land.repo.join(".git").join(lock);
        std::fs::write(&lock, "").expect("file");
        let hint = land.merge(["x", "--yes"]).fails(3, "is in the way: another git holds it, or was killed");
        assert!(hint.contains(&format!("rm '{}'", lock.display())), "{hint}");
        assert_eq!(land.snapshot(), before);
        std::fs::remove_file(lock).expect("removed");
    }
    // the index alone: the branch moves, and the checkout follows when it can
    let lock = land.repo.join(".git/index.lock");
    std::fs::write(&lock, "").expect("file");
    let run = land.merge(["x", "--yes"]);
    assert!(run.code == 0 && run.stderr.contains("index.lock"), "{}", run.stderr);
    std::fs::remove_file(lock).expect("removed");
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("now follows the interrupted landing of 'x'"), "{}", run.stderr);
    assert_eq!(land.git(["status", "--porcelain"]), "");
}

/// A branch that another work tree comes back to is not moved under it, as git itself would not.
#[test]
fn a_branch_under_rebase_elsewhere_is_left_alone() {
    let land = Land::new();
    land.git(["branch", "other"]);
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    land.commit("README", "mine\n");
    let elsewhere = land.world.root().join("elsewhere");
    land.git(["worktree", "add", "-q", elsewhere.to_str().expect("path"), "other"]);
    std::fs::write(elsewhere.join("README"), "theirs\n").expect("file");
    land.world.git(&elsewhere, ["commit", "-qam", "theirs"]);
    assert_ne!(land.world.run(&elsewhere, "git", ["rebase", "-q", "main"]).code, 0, "a conflict was wanted");
    let before = land.snapshot();
    let _ = land.merge(["x", "--yes", "--into", "other"]).fails(2, "a rebase of branch 'other' is under way in");
    assert_eq!(land.snapshot(), before);
    land.world.git(&elsewhere, ["rebase", "--abort"]);
    land.world.git(&elsewhere, ["checkout", "-q", "--detach"]);
    land.git(["bisect", "start"]);
    let _ = land.merge(["x", "--yes", "--into", "main"]).fails(2, "a bisect of branch 'main' is under way in");
    land.git(["bisect", "reset"]);
    land.merge(["x", "--yes", "--into", "main"]).ok();
}
