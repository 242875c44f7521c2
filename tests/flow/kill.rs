//! kill -9 at awkward moments: nothing is lost, and the next command says what it mends.

use std::time::Duration;

use crate::world::{Place, everywhere, place, until};

fn kill(mut child: std::process::Child) {
    child.kill().expect("SIGKILL");
    let _ = child.wait();
}

#[test]
fn a_killed_live_run_is_finished_by_the_next() {
    everywhere(|place| {
        let child =
            place.spawn(&["run", "--", "sh", "-c", "git commit -q --allow-empty -m boxed; touch ready; sleep 100"]);
        until("the box has committed", || place.repo.join("ready").exists());
        kill(child);
        assert_eq!(place.git(["log", "-1", "--format=%s"]), "second");
        let run = place.live("true");
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.contains("finishing it"), "{}", run.stderr);
        assert_eq!(place.git(["log", "-1", "--format=%s"]), "boxed");
        place.nothing_left();
    });
}

#[test]
fn a_killed_fork_is_finished_by_the_next() {
    everywhere(|place| {
        let child = place.spawn(&[
            "fork",
            "x",
            "--",
            "sh",
            "-c",
            "git commit -q --allow-empty -m boxed; touch ready; sleep 100",
        ]);
        until("the box has committed", || place.fork_path("x").join("ready").exists());
        kill(child);
        assert_eq!(place.state("x")["state"], "killed");
        place.coop(["fork", "rm", "x"]).fails(1, "killed");
        let run = place.fork("x", "git log -1 --format=%s");
        assert!(run.stderr.contains("was killed"), "{}", run.stderr);
        assert_eq!(run.ok(), "boxed\n");
        assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/x/head"]), "boxed");
    });
}

/// Kills at many instants of opening a fork and running in it; after each the next command works, and what
/// was committed in the box is there.
#[test]
fn at_any_instant() {
    let Some(place) = place() else { return };
    for step in 0..30u64 {
        let name = format!("k{step}");
        let child = place.spawn(&["fork", &name, "--", "sh", "-c", "git commit -q --allow-empty -m boxed"]);
        std::thread::sleep(Duration::from_millis(5 + step * 12));
        kill(child);
        settle(&place, &name);
    }
    assert_eq!(place.git(["fsck", "--no-dangling"]), "");
    // also a bubblewrap that was killed while it made a box: its first process inside waits for it
    until("the next starts have swept what the killed left", || {
        let _ = place.fork("last", "true");
        processes_of(&place).is_empty()
    });
}

/// A git that is killed with its box leaves a lock; nobody has to remove it.
#[test]
fn a_lock_that_a_killed_git_left_is_in_nobodys_way() {
    let Some(place) = place() else { return };
    let script = "touch /coop/git/index.lock /coop/git/HEAD.lock /coop/git/refs/heads/x.lock; kill -9 $$";
    assert_ne!(place.fork("x", script).code, 0);
    let run = place.fork("x", "git commit -q --allow-empty -m again");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(place.git(["log", "--format=%s", "HEAD..refs/coop/forks/x/head"]), "again");
}

/// Ids of the processes that have this world's directory in their arguments.
/// An index on the host that a killed git left locked holds no commit back.
#[test]
fn an_index_that_cannot_follow_holds_no_commit_back() {
    let Some(place) = place() else { return };
    assert_eq!(place.fork("x", "true").code, 0);
    let lock = place.repo.join(".git/worktrees/x/index.lock");
    std::fs::write(&lock, "").expect("a lock");
    let run = place.fork("x", "echo more >more && git add more && git commit -qm more");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("has not followed"), "{}", run.stderr);
    assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/x/head"]), "more");
    std::fs::remove_file(&lock).expect("gone");
    let run = place.fork("x", "git rm -q more && git commit -qm less && git status --porcelain");
    assert_eq!(run.ok(), "");
    assert_eq!(place.world.run(&place.fork_path("x"), "git", ["status", "--porcelain"]).stdout, "");
}

fn processes_of(place: &Place) -> Vec<String> {
    let root = place.world.root().display().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
        .filter(|pid| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&root)
        })
        .collect()
}

fn settle(place: &Place, name: &str) {
    let before = place.git(["for-each-ref", &format!("refs/coop/forks/{name}/meta")]);
    let run = place.fork(name, "git log --format=%s");
    assert_eq!(run.code, 0, "{name}: {}", run.stderr);
    let boxed = run.stdout.lines().filter(|line| *line == "boxed").count();
    assert!(boxed <= 1, "{}", run.stdout);
    if before.is_empty() {
        assert_eq!(boxed, 0, "a fork that was not recorded starts from nothing");
    }
    let head = place.git(["log", "--format=%s", &format!("HEAD..refs/coop/forks/{name}/head")]);
    assert_eq!(head.lines().count(), boxed, "{name}: what the box has is what came back");
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(place) = place() else { return };
    let disk = place.world.root().join("small");
    std::fs::create_dir(&disk).expect("dir");
    let mount = place.world.run(&disk, "mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", "."]);
    if mount.code != 0 {
        eprintln!("SKIPPED: only root can mount a small disk here");
        return;
    }
    let repo = place.world.repo("small/repo");
    let run = place.world.coop(
        &repo,
        ["run", "--", "sh", "-c", "git commit -q --allow-empty -m boxed; head -c 4m /dev/zero > fill; true"],
    );
    let full = run.stderr;
    std::fs::remove_file(repo.join("fill")).expect("room again");
    let again = place.world.coop(&repo, ["run", "--", "true"]);
    let log = place.world.git(&repo, ["log", "-1", "--format=%s"]);
    let fork = place.world.coop(&repo, ["fork", "x", "--", "sh", "-c", "head -c 4m /dev/zero > fill; true"]);
    let left = place.world.run(&repo, "git", ["for-each-ref", "refs/coop/forks"]);
    let _ = place.world.run(&place.repo, "umount", ["-l", disk.to_str().expect("text")]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(log, "boxed", "{full}\n{}", again.stderr);
    assert!(fork.code == 0 || fork.stderr.contains("hint: "), "{}", fork.stderr);
    assert!(left.stdout.contains("refs/coop/forks/x/meta"), "the fork is there, whatever was recorded of the run");
}
