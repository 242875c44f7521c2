//! The life of a fork.

use crate::world::{everywhere, place};

#[test]
fn opened_worked_in_reviewed_and_removed() {
    everywhere(|place| {
        let script = "ls -a; git remote; git branch --format='%(refname)'; echo one > one; git add one; git commit -qm one; echo two > two";
        let run = place.fork("feature", script);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains("refs/heads/feature\n"), "{}", run.stdout);
        assert!(!run.stdout.contains(".env"), "a fork carries no ignored secret: {}", run.stdout);
        assert!(!run.stdout.contains("refs/heads/main"), "one branch: {}", run.stdout);
        let row = place.state("feature");
        assert_eq!(
            (row["state"].as_str(), row["ahead"].as_u64(), row["uncommitted"].as_u64()),
            (Some("review"), Some(1), Some(1))
        );
        assert_eq!(place.git(["log", "-1", "--format=%s %an", "refs/coop/forks/feature/head"]), "one Una User");
        assert_eq!(place.git(["log", "-1", "--format=%s"]), "second", "nothing lands by itself");
        // the host's view of the work tree is the host's own, and follows
        let path = place.fork_path("feature");
        assert_eq!(place.world.git(&path, ["status", "--porcelain"]), "?? two");
        assert_eq!(place.world.git(&path, ["log", "-1", "--format=%s"]), "one");

        place.coop(["fork", "rm", "feature"]).fails(1, "would be lost");
        assert!(path.join("two").exists());
        let again = place.fork("feature", "cat two; git add two; git commit -qm two");
        assert_eq!(again.ok(), "two\n");
        assert_eq!(place.state("feature")["ahead"], 2);
        place.git(["merge", "-q", "--ff-only", "refs/coop/forks/feature/head"]);
        assert_eq!(place.coop(["fork", "rm", "feature"]).code, 0, "landed work can go");
        assert!(!path.exists());
        assert_eq!(place.git(["for-each-ref", "refs/coop/forks"]), "");
        assert_eq!(place.git(["worktree", "list"]).lines().count(), 1);
        let story = place.git(["log", "--format=%s", "refs/coop/archive"]);
        assert!(story.contains("fork feature: open at") && story.contains("dropped"), "{story}");
        assert_eq!(place.git(["fsck", "--no-dangling"]), "");
    });
}

#[test]
fn what_is_not_reachable_from_the_base_is_not_in_a_fork() {
    let Some(place) = place() else { return };
    place.git(["checkout", "-qb", "private"]);
    std::fs::write(place.repo.join("hidden"), "other branch\n").expect("file");
    place.git(["add", "hidden"]);
    place.git(["commit", "-qm", "hidden"]);
    let hidden = place.git(["rev-parse", "HEAD:hidden"]);
    place.git(["checkout", "-q", "main"]);
    std::fs::write(place.repo.join("README"), "stashed\n").expect("file");
    place.git(["stash", "-q"]);
    let stashed = place.git(["rev-parse", "stash@{0}:README"]);
    let run = place.fork("x", &format!("git cat-file -e {hidden} && echo found; git cat-file -e {stashed} && echo found; git cat-file -e HEAD:README && echo base"));
    assert_eq!(run.ok(), "base\n");
    // a later fork of the private branch has it, and the fork before still has not
    let run = place.coop(["fork", "y", "--base", "private", "--", "git", "cat-file", "-p", &hidden]);
    assert_eq!(run.ok(), "other branch\n");
    assert_eq!(place.fork("x", &format!("git cat-file -e {hidden} || echo absent")).ok(), "absent\n");
}

#[test]
fn a_fork_starts_from_any_revision_and_nothing_half_made_stays() {
    let Some(place) = place() else { return };
    let run = place.coop(["fork", "old", "--base", "HEAD~1", "--", "git", "log", "-1", "--format=%s"]);
    assert_eq!(run.ok(), "first\n");
    place.coop(["fork", "bad", "--base", "nowhere", "--", "true"]).fails(2, "names no commit");
    place.coop(["fork", "old", "--base", "HEAD", "--", "true"]).fails(2, "is there already");
    std::fs::create_dir_all(place.fork_path("taken")).expect("dir");
    std::fs::write(place.fork_path("taken").join("precious"), "x").expect("file");
    place.coop(["fork", "taken", "--", "true"]).fails(2, "in the way");
    assert!(place.fork_path("taken/precious").exists());
    assert_eq!(
        place.git(["for-each-ref", "--format=%(refname)", "refs/coop/forks/*/meta"]),
        "refs/coop/forks/old/meta"
    );
    let open = place
        .world
        .command(&place.repo, "git-coop")
        .args(["fork", "open-net", "--", "true"])
        .env("COOP_EGRESS", "opne")
        .output();
    crate::support::Run::of(open.expect("runs")).fails(2, "COOP_EGRESS");
    place.coop(["fork", "noagent"]).fails(2, "has no agent yet");
    place.coop(["fork", "x", "cluade"]).fails(2, "no agent 'cluade'");
}

#[test]
fn every_end_has_a_name_and_nothing_is_lost() {
    let Some(place) = place() else { return };
    assert_eq!(place.fork("nothing", "true").code, 0);
    assert_eq!(place.state("nothing")["state"], "idle");
    assert_eq!(place.fork("left", "echo x > x").code, 0);
    assert_eq!(
        (place.state("left")["state"].as_str(), place.state("left")["uncommitted"].as_u64()),
        (Some("idle"), Some(1))
    );
    assert_eq!(place.fork("failed", "git commit -q --allow-empty -m c; exit 9").code, 9);
    assert_eq!(
        (place.state("failed")["state"].as_str(), place.state("failed")["exit"].as_u64()),
        (Some("review"), Some(9))
    );
    let run = place.fork("side", "git checkout -q -b other; git commit -q --allow-empty -m elsewhere");
    assert_eq!(run.code, 0);
    assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/side/head"]), "elsewhere");
    assert_eq!(place.fork("rewrite", "git commit -q --allow-empty -m before").code, 0);
    assert_eq!(place.fork("rewrite", "git commit -q --amend --allow-empty -m after").code, 0);
    assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/rewrite/head"]), "after");
    assert_eq!(place.git(["for-each-ref", "--format=%(subject)", "refs/coop/forks/rewrite/kept"]), "before");
    assert_eq!(place.fork("many", "mkdir m; cd m; seq 20000 | xargs touch").code, 0);
    assert_eq!(place.state("many")["uncommitted"], 1, "a directory counts once, as in git status");
    let logs = place.coop(["fork", "logs", "nothing"]);
    assert_eq!(logs.ok(), "");
}

#[test]
fn a_tracked_secret_is_blank_and_the_blank_is_not_committed() {
    everywhere(|place| {
        std::fs::create_dir(place.repo.join("secrets")).expect("dir");
        for file in ["server.pem", "secrets/a", "secrets/b"] {
            std::fs::write(place.repo.join(file), "planted\n").expect("file");
        }
        place.git(["add", "-f", "."]);
        place.git(["commit", "-qm", "tracked secrets"]);
        let script = "cat server.pem; ls secrets; git status --porcelain; echo x > x; git add -A; git commit -qam x";
        for run in [place.fork("x", script), place.live(script)] {
            assert!(run.stderr.contains("tracked by git"), "{}", run.stderr);
            assert_eq!(run.ok(), "");
        }
        for rev in ["refs/coop/forks/x/head", "HEAD"] {
            assert_eq!(place.git(["show", "--name-status", "--format=", rev]), "A\tx");
        }
    });
}

#[test]
fn the_log_is_harmless() {
    let Some(place) = place() else { return };
    assert_eq!(place.fork("loud", r"printf '\033]52;c;cHduZWQ=\007title\n'").code, 0);
    let shown = place.coop(["fork", "logs", "loud"]).ok();
    assert!(!shown.contains('\u{1b}') && shown.contains("title"), "{shown:?}");
    assert!(place.coop(["fork", "logs", "--raw", "loud"]).ok().contains('\u{1b}'));
}
