//! Runs on the live checkout.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::Run;
use crate::world::{everywhere, place, until};

#[test]
fn commits_come_back_and_secrets_stay() {
    everywhere(|place| {
        let run =
            place.live("cat .env; echo edited >> README; echo n > new; git add new; git commit -qm boxed; exit 7");
        assert_eq!(run.code, 7, "{}", run.stderr);
        assert!(!run.stdout.contains("planted"), "{}", run.stdout);
        assert!(run.stderr.contains("1 path hidden"), "{}", run.stderr);
        assert_eq!(place.git(["log", "-1", "--format=%s %an %ae"]), "boxed Una User una@example.com");
        assert_eq!(place.git(["status", "--porcelain"]), " M README", "the edit is live, the index follows");
        assert_eq!(std::fs::read_to_string(place.repo.join(".env")).expect("secret"), "TOKEN=planted-secret\n");
        assert_eq!(place.git(["for-each-ref", "refs/coop"]), "", "nothing is left to do");
        place.nothing_left();
    });
}

#[test]
fn input_is_forwarded() {
    everywhere(|place| {
        let mut command = place.world.command(&place.repo, "git-coop");
        command
            .args(["run", "--", "sed", "s/^/box: /"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        child.stdin.take().expect("stdin").write_all(b"one\ntwo\n").expect("fed");
        let run = Run::of(child.wait_with_output().expect("ends"));
        assert_eq!(run.ok(), "box: one\nbox: two\n");
    });
}

#[test]
fn the_index_follows_and_what_the_user_staged_stays() {
    let Some(place) = place() else { return };
    std::fs::write(place.repo.join("staged"), "mine\n").expect("file");
    place.git(["add", "staged"]);
    std::fs::write(place.repo.join("README"), "changed by the user\n").expect("file");
    let run = place.live("echo n > new; git add new; git commit -qm boxed -- new; git status --short");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(place.git(["status", "--porcelain"]), " M README\nA  staged");
    assert_eq!(place.git(["show", "--name-only", "--format=", "HEAD"]), "new");
}

#[test]
fn a_commit_of_the_user_meanwhile_is_never_lost() {
    let Some(place) = place() else { return };
    let child = place.spawn(&[
        "run",
        "--",
        "sh",
        "-c",
        "echo n > new; git add new; git commit -qm boxed; touch ready; sleep 2",
    ]);
    until("the box has committed", || place.repo.join("ready").exists());
    std::fs::write(place.repo.join("mine"), "x\n").expect("file");
    place.git(["add", "mine"]);
    place.git(["commit", "-qm", "by hand"]);
    let run = Run::of(child.wait_with_output().expect("ends"));
    assert!(run.stderr.contains("kept in refs/coop/live/"), "{}", run.stderr);
    assert_eq!(place.git(["log", "-1", "--format=%s"]), "by hand");
    let kept = place.git(["for-each-ref", "--format=%(subject)", "refs/coop/live/*/heads/*"]);
    assert_eq!(kept, "boxed");
}

#[test]
fn other_branches_an_amended_tip_and_a_stash_are_kept() {
    let Some(place) = place() else { return };
    let script = "git commit -q --amend -m amended; echo w >> README; git stash -q; git checkout -q -b side; \
                  git commit -q --allow-empty -m side; git tag -a t -m t; git checkout -q main";
    let run = place.live(script);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(place.git(["log", "-1", "--format=%s"]), "second", "not a fast-forward");
    let kept = place.git(["for-each-ref", "--format=%(refname)", "refs/coop/live"]);
    for name in ["/heads/main", "/heads/side", "/stash", "/tags/t", "/meta"] {
        assert!(kept.lines().any(|line| line.ends_with(name)), "no {name} in {kept}");
    }
}

#[test]
fn commits_come_back_while_the_box_lives() {
    let Some(place) = place() else { return };
    let child = place.spawn(&[
        "run",
        "--",
        "sh",
        "-c",
        "git commit -q --allow-empty -m early; sleep 30; git commit -q --allow-empty -m late",
    ]);
    until("the first commit is on the branch", || place.git(["log", "-1", "--format=%s"]) == "early");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    let run = Run::of(child.wait_with_output().expect("ends"));
    assert_ne!(run.code, 0);
    assert_eq!(place.git(["log", "-1", "--format=%s"]), "early", "{}", run.stderr);
    place.nothing_left();
}

#[test]
fn a_replaced_secret_ends_the_box() {
    everywhere(|place| {
        let script = "touch ready; for i in $(seq 600); do cat .env >> seen; sleep 0.1; done";
        let child = place.spawn(&["run", "--", "sh", "-c", script]);
        until("the box runs", || place.repo.join("ready").exists());
        std::fs::write(place.repo.join("tmp-save"), "TOKEN=new\n").expect("file");
        std::fs::rename(place.repo.join("tmp-save"), place.repo.join(".env")).expect("an editor's save");
        let run = Run::of(child.wait_with_output().expect("ends"));
        assert_eq!(run.code, 3, "{}", run.stderr);
        assert!(run.stderr.contains("'.env' was replaced on the host"), "{}", run.stderr);
        assert!(run.stderr.contains("git coop fork"), "{}", run.stderr);
    });
}

#[test]
fn an_emptied_coopignore_changes_nothing() {
    everywhere(|place| {
        std::fs::create_dir(place.repo.join("config")).expect("dir");
        std::fs::write(place.repo.join("config/prod.yaml"), "planted-secret\n").expect("file");
        std::fs::write(place.repo.join(".coopignore"), "config/prod.yaml\n").expect("file");
        let first = place.live("cat config/prod.yaml; : > .coopignore; mv config moved");
        assert!(!first.stdout.contains("planted"), "{}", first.stdout);
        let again = place.live("cat config/prod.yaml moved/prod.yaml; true");
        assert!(!again.stdout.contains("planted"), "{}", again.stdout);
        assert_eq!(again.code, 0);
    });
}

#[test]
fn the_subdirectory_is_the_working_directory() {
    let Some(place) = place() else { return };
    let dir = place.repo.join("deep/er");
    std::fs::create_dir_all(&dir).expect("dirs");
    let run = place.world.coop(&dir, ["run", "--", "pwd"]);
    assert_eq!(run.ok().trim_end(), dir.display().to_string());
}
