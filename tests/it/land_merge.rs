//! `git coop merge` without a gate: what lands, what does not, and what is left when it does not.

use crate::land_support::{Land, f};

/// A secret that the scanner knows, put together here so that no scanner finds it in this file.
fn token() -> String {
    format!("ghp_{}", "16C7e42F292c6912E7710c838347Ae178B4a")
}

#[test]
fn lands_in_a_line_and_the_checkout_follows() {
    let land = Land::new();
    land.fork("feature");
    land.work("feature", &[f("a.txt", "one\n")], "first\n\nbody\n\nTrailer: x");
    land.work("feature", &[f("b c.txt", "two\n")], "second");
    let onto = land.commit("user.txt", "mine\n");
    let text = land.merge(["feature", "--yes"]).ok();
    assert!(text.starts_with("landed 2 commits of 'feature' on main as "), "{text}");
    assert_eq!(
        land.git(["log", "--format=%s|%an|%ad|%cn", "--date=raw", &format!("{onto}..main")]),
        "second|Agent|1600000000 +0200|Una User\nfirst|Agent|1600000000 +0200|Una User"
    );
    assert_eq!(land.git(["log", "-1", "--format=%B", "main~1"]).trim_end(), "first\n\nbody\n\nTrailer: x");
    assert_eq!(land.git(["status", "--porcelain"]), "");
    assert_eq!(std::fs::read_to_string(land.repo.join("b c.txt")).expect("file"), "two\n");
    let fork = land.record("feature");
    assert_eq!(
        (fork.state.as_str(), fork.get("Landed"), fork.get("Follow")),
        ("landed", Some(land.head("main").as_str()), None)
    );
    let notes = land.git(["log", "-1", "--format=%N", "--notes=refs/notes/coop/gate", "main"]);
    assert!(notes.starts_with("none: no gate, tree ") && notes.contains("fork feature by claude"), "{notes}");
    assert!(
        land.git(["for-each-ref", "refs/coop"]).lines().all(|l| !l.contains("notes-")),
        "a private notes ref stayed"
    );
    let again = land.merge(["feature", "--yes"]).fails(1, "nothing to land");
    assert!(again.contains("git coop fork"));
}

#[test]
fn conflicts_are_named_and_nothing_changes() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("README", "agent\n")], "mine \u{1b}[31m");
    land.commit("README", "user\n");
    let before = land.snapshot();
    let stderr = land.merge(["x", "--yes"]).fails(3, "1 path in conflict: README");
    assert!(!stderr.contains('\u{1b}'), "an escape sequence passed");
    assert_eq!(land.snapshot(), before);
    assert_eq!(land.record("x").state.as_str(), "review");
}

#[test]
fn dirty_checkouts_are_refused_with_names_and_other_branches_are_not() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    std::fs::write(land.repo.join("README"), "edited\n").expect("file");
    let before = land.snapshot();
    let _ = land.merge(["x", "--yes"]).fails(2, "README");
    assert_eq!(land.snapshot(), before);
    land.git(["branch", "other"]);
    land.merge(["x", "--yes", "--into", "other"]).ok();
    assert_eq!(std::fs::read_to_string(land.repo.join("README")).expect("file"), "edited\n");
    assert_eq!(land.git(["show", "other:a"]), "1");
    let _ = land.merge(["x", "--yes", "--into", "nowhere"]).fails(2, "no branch 'nowhere'");
}

#[test]
fn untracked_files_in_the_way_stay() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "agent\n")], "one");
    std::fs::write(land.repo.join("a"), "user\n").expect("file");
    let before = land.snapshot();
    let _ = land.merge(["x", "--yes"]).fails(2, "the checkout cannot follow");
    assert_eq!(land.snapshot(), before);
}

#[test]
fn another_work_tree_has_the_branch() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    land.git(["branch", "other"]);
    let elsewhere = land.world.root().join("elsewhere");
    land.git(["worktree", "add", "-q", elsewhere.to_str().expect("path"), "other"]);
    let _ = land.merge(["x", "--yes", "--into", "other"]).fails(2, "is checked out in");
}

#[test]
fn without_a_terminal_yes_is_needed() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let before = land.snapshot();
    let _ = land.merge(["x"]).fails(2, "nobody is there to say yes");
    assert_eq!(land.snapshot(), before);
}

/// Secrets in any blob of any commit: E-7 (a space in the name), E-8 (removed again), E-9 (a NUL byte).
#[test]
fn secrets_anywhere_in_the_range_stop_it() {
    for (path, bytes, removed) in [
        ("notes.txt", format!("t = \"{}\"\n", token()).into_bytes(), false),
        ("a name with spaces.txt", format!("{}\n", token()).into_bytes(), false),
        ("d\u{e9}j\u{e0}\n.txt", format!("{}\n", token()).into_bytes(), false),
        ("gone.txt", format!("{}\n", token()).into_bytes(), true),
        ("binary.txt", [b"x\0y ".as_slice(), token().as_bytes(), b"\n"].concat(), false),
    ] {
        let land = Land::new();
        land.fork("x");
        land.work("x", &[(path, Some(&bytes))], "add");
        if removed {
            land.work("x", &[(path, None)], "remove");
        }
        let before = land.snapshot();
        let run = land.merge(["x", "--yes"]);
        assert_eq!(run.code, 1, "{path}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("secret ") && run.stderr.contains("--accept"), "{path}: {}", run.stderr);
        assert!(!run.stderr.contains(&token()[8..]), "the secret was shown");
        assert_eq!(land.snapshot(), before, "{path}");
    }
}

#[test]
fn the_policy_names_each_kind_and_takes_it_by_name() {
    let land = Land::new();
    land.fork("x");
    let path = land.record("x").path;
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).expect("link");
    let big = vec![b'x'; 6 << 20];
    land.work(
        "x",
        &[
            f(".github/workflows/ci.yml", "on: push\n"),
            f("sub/.gitattributes", "* filter=evil\n"),
            f(".env.local", "A=b\n"),
            f("package.json", "{\"scripts\":{\"postinstall\":\"sh x\"}}\n"),
            ("big.bin", Some(&big)),
        ],
        "all of it",
    );
    let before = land.snapshot();
    let run = land.merge(["x", "--yes"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let keys = [
        "host:.github/workflows/ci.yml",
        "host:sub/.gitattributes",
        "host:package.json",
        "shadowed:.env.local",
        "symlink:link",
        "blob:big.bin",
    ];
    for key in keys {
        assert!(run.stderr.contains(&format!("--accept {key}")), "{key}: {}", run.stderr);
    }
    assert_eq!(land.snapshot(), before);
    let _ = land.merge(["x", "--yes", "--accept", "everything"]).fails(2, "is not KIND:PATH");
    let mut args = vec!["x", "--yes"];
    for key in keys {
        args.extend(["--accept", key]);
    }
    land.world.run(&land.repo, "git-coop-merge", &args).ok();
    assert_eq!(land.git(["show", "main:.env.local"]), "A=b");
}

#[test]
fn submodules_are_named() {
    let land = Land::new();
    let fork = land.fork("x");
    let id = land.head("main");
    land.world.git(&fork, ["update-index", "--add", "--cacheinfo", &format!("160000,{id},sub")]);
    land.world.git(&fork, ["commit", "-qm", "submodule"]);
    let new = land.world.git(&fork, ["rev-parse", "HEAD"]);
    land.take(&mut land.record("x"), &new);
    let run = land.merge(["x", "--yes"]);
    assert!(run.code == 1 && run.stderr.contains("submodule sub"), "{}", run.stderr);
}

/// E-6: a tag or branch with the fork's name changes nothing.
#[test]
fn names_that_look_like_the_fork_are_not_it() {
    let land = Land::new();
    land.fork("x");
    let head = land.work("x", &[f("a", "1\n")], "one");
    let evil = land.git(["commit-tree", "-m", "evil", "-p", "HEAD", "HEAD^{tree}"]);
    for name in ["refs/tags/x", "refs/heads/x", "refs/tags/coop/forks/x/head", "refs/tags/main"] {
        land.git(["update-ref", name, &evil]);
    }
    land.merge(["x", "--yes"]).ok();
    assert_eq!(land.head("refs/heads/main"), head);
}

#[test]
fn bad_input_is_one_line_and_changes_nothing() {
    let land = Land::new();
    land.fork("empty");
    land.fork("damaged");
    let before = land.snapshot();
    let _ = land.merge(["nobody", "--yes"]).fails(2, "no fork 'nobody'");
    let _ = land.merge(["../x", "--yes"]).fails(2, "cannot be the name of a fork");
    let _ = land.merge(["empty", "--yes"]).fails(1, "nothing to land");
    let _ = land.merge(["empty", "--undo"]).fails(1, "has not landed");
    // a commit whose blob is missing
    let new = land.work("damaged", &[f("lost", "lost content of this file\n")], "damaged");
    let blob = land.git(["rev-parse", &format!("{new}:lost")]);
    let file = land.repo.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(file).expect("a loose object");
    let _ = land.merge(["damaged", "--yes"]).fails(1, "cannot be read");
    assert_eq!(land.snapshot(), before);
}

#[test]
fn rewritten_bases_and_unrelated_histories() {
    let land = Land::new();
    land.commit("a", "1\n");
    land.fork("x");
    land.work("x", &[f("b", "1\n")], "one");
    land.git(["reset", "-q", "--hard", "HEAD~1"]);
    land.commit("c", "another\n");
    let before = land.snapshot();
    let hint = land.merge(["x", "--yes"]).fails(2, "it was rewritten");
    assert!(hint.contains("--from-base"));
    assert_eq!(land.snapshot(), before);
    land.merge(["x", "--yes", "--from-base"]).ok();
    assert_eq!(land.git(["ls-files"]), "README\nb\nc", "only what the fork itself committed");
    let other = land.git(["commit-tree", "-m", "root", "HEAD^{tree}"]);
    land.git(["branch", "unrelated", &other]);
    land.fork("y");
    land.work("y", &[f("z", "1\n")], "one");
    let _ = land.merge(["y", "--yes", "--into", "unrelated"]).fails(2, "no common history");
}

/// E-17 and its kin: whatever stands in the fork's directory in place of git's own files, the host reads refs alone.
#[test]
fn a_fork_directory_that_points_elsewhere_is_not_asked() {
    let land = Land::new();
    let other = land.world.repo("other");
    std::fs::write(other.join("private"), "private\n").expect("file");
    land.world.git(&other, ["add", "."]);
    land.world.git(&other, ["commit", "-qm", "private subject"]);
    let mark = land.world.root().join("ran");
    land.world.git(&other, ["config", "core.fsmonitor", &format!("touch {}", mark.display())]);
    let path = land.fork("x");
    let head = land.work("x", &[f("a", "1\n")], "one");
    std::fs::write(path.join(".git"), format!("gitdir: {}\n", other.join(".git").display())).expect("gitfile");
    let text = land.review(["x"]).ok();
    assert!(!text.contains("private") && text.contains("one"), "{text}");
    land.merge(["x", "--yes"]).ok();
    assert_eq!(land.head("main"), head);
    let path = land.fork("y");
    land.work("y", &[f("b", "1\n")], "two");
    std::fs::remove_file(path.join(".git")).expect("removed");
    std::fs::create_dir_all(path.join(".git/objects")).expect("dir");
    std::fs::create_dir_all(path.join(".git/refs")).expect("dir");
    std::fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").expect("file");
    std::fs::write(path.join(".git/config"), format!("[core]\n\tfsmonitor = touch {}\n", mark.display()))
        .expect("file");
    land.review(["y", "--stat"]).ok();
    land.merge(["y", "--yes", "--drop"]).ok();
    assert!(!mark.exists(), "a program named by the fork ran on the host");
}

/// Landing reads and writes blobs by id: a path with a newline or in another encoding lands as it is.
#[test]
fn any_path_lands() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a b\n\t\"c\"", "1\n"), f("\u{e9}/-n", "2\n")], "odd names");
    land.commit("user", "x\n");
    land.merge(["x", "--yes"]).ok();
    assert_eq!(land.git(["ls-files", "-z"]).split('\0').filter(|p| !p.is_empty()).count(), 4);
    assert_eq!(land.git(["status", "--porcelain"]), "");
}
