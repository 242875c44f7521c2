//! `git coop review`: harmless bytes, no program of anybody's, and what it says is what landing would do.

use crate::land_support::{Land, f};

#[test]
fn the_dossier_is_ordered_by_risk_and_lists_what_landing_would_refuse() {
    let land = Land::new();
    land.fork("x");
    land.work(
        "x",
        &[
            f("docs/a.md", "doc\n"),
            f("src/small.rs", "1\n"),
            f("src/large.rs", "1\n2\n3\n"),
            f("tests/t.rs", "1\n"),
            f("Makefile", "all:\n"),
            f(".github/workflows/ci.yml", "on: push\n"),
        ],
        "subject",
    );
    let text = land.review(["x", "--stat"]).ok();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    let order = [".github/workflows/ci.yml", "Makefile", "src/large.rs", "src/small.rs", "tests/t.rs", "docs/a.md"];
    assert!(order.windows(2).all(|w| at(w[0]) < at(w[1])), "{text}");
    assert!(
        text.contains("--accept host:.github/workflows/ci.yml") && text.contains("lands on main as it is"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&land.review(["x", "--json"]).ok()).expect("JSON");
    let refused = land.merge(["x", "--yes"]);
    for finding in json["findings"].as_array().expect("findings") {
        assert!(refused.stderr.contains(finding["accept"].as_str().expect("words")), "{}", refused.stderr);
    }
    assert_eq!(refused.stderr.lines().filter(|l| l.starts_with("host ")).count(), 1);
    land.commit("README", "changed\n");
    assert!(land.review(["x", "--stat"]).ok().contains("rebases cleanly onto main"));
    land.commit("Makefile", "mine:\n");
    assert!(land.review(["x", "--stat"]).ok().contains("would not land: "));
}

/// E-16: escapes in subjects, authors, paths, content and logs; E-14: a log that is a link is not followed by a box,
/// because the log is the host's own.
#[test]
fn nothing_that_an_agent_wrote_reaches_the_terminal_raw() {
    let land = Land::new();
    land.fork("x");
    let evil = "\u{1b}]52;c;AAAA\u{7}\u{202e}";
    land.work(
        "x",
        &[f(&format!("na{evil}me"), &format!("content {evil}\r\n")), f("plain", "caf\u{e9}\n")],
        &format!("subject {evil}"),
    );
    std::fs::write(land.repo.join(".git/coop/forks/x/log"), format!("done, all green {evil}\n")).expect("log");
    for args in [vec!["x"], vec!["x", "--stat"]] {
        let run = land.world.run(&land.repo, "git-coop-review", &args);
        let text = run.ok();
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{args:?}: {text:?}");
        assert!(
            text.contains("\\u{1b}]52") && text.contains("its claim") && text.contains("done, all green"),
            "{text}"
        );
    }
    assert!(land.review(["x"]).ok().contains("+caf\u{e9}"));
}

/// Drivers that the tree selects, of the tree's or the user's own configuration, do not run.
#[test]
fn no_driver_runs() {
    let land = Land::new();
    let mark = land.world.root().join("ran");
    let touch = format!("touch {} ;:", mark.display());
    for (key, value) in [
        ("diff.evil.command", touch.as_str()),
        ("diff.evil.textconv", &touch),
        ("diff.external", &touch),
        ("filter.evil.smudge", &touch),
        ("filter.evil.clean", &touch),
        ("filter.evil.process", &touch),
        ("merge.evil.driver", &touch),
        ("pager.diff", &touch),
        ("core.fsmonitor", &touch),
        ("interactive.diffFilter", &touch),
        ("diff.tool", "evil"),
    ] {
        land.git(["config", "--global", key, value]);
        land.git(["config", key, value]);
    }
    land.git(["config", "core.fsmonitor", "false"]);
    land.fork("x");
    let coop = land.coop_lib();
    drop(coop);
    // made with plumbing, because the user's own git would run the drivers
    let tree = |attributes: &str, text: &str| {
        let blob = |text: &str| {
            let file = land.world.root().join("blob");
            std::fs::write(&file, text).expect("file");
            land.git(["hash-object", "-w", "--no-filters", file.to_str().expect("path")])
        };
        let index = land.world.root().join("index");
        let world = |args: &[&str]| {
            let mut command = land.world.command(&land.repo, "git");
            let output = command.env("GIT_INDEX_FILE", &index).args(args).output().expect("git");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        world(&["read-tree", "main"]);
        for (path, text) in [(".gitattributes", attributes), ("file", text)] {
            world(&["update-index", "--add", "--cacheinfo", &format!("100644,{},{path}", blob(text))]);
        }
        world(&["write-tree"])
    };
    let new =
        land.git(["commit-tree", "-m", "evil", "-p", "main", &tree("* diff=evil filter=evil merge=evil\n", "a\n")]);
    land.take(&mut land.record("x"), &new);
    for args in [vec!["x"], vec!["x", "--stat"], vec!["x", "--json"]] {
        land.world.run(&land.repo, "git-coop-review", &args).ok();
        assert!(!mark.exists(), "review {args:?} ran a driver");
    }
    let run = land.merge(["x", "--yes"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(!mark.exists(), "a refused landing ran a driver");
    let _ = land.merge(["x", "--yes", "--accept", "host:.gitattributes", "--into", "main"]);
    // the user's checkout honours the user's filters once the attributes are accepted: that is git's own rule
}

#[test]
fn what_was_reviewed_is_recorded_and_merge_says_what_is_new() {
    let land = Land::new();
    land.fork("x");
    let first = land.work("x", &[f("a", "1\n")], "one");
    assert_eq!(land.record("x").get("Reviewed"), None);
    land.review(["x", "--stat"]).ok();
    assert_eq!(land.record("x").get("Reviewed"), None, "the dossier alone is no review");
    land.review(["x"]).ok();
    assert_eq!(land.record("x").get("Reviewed"), Some(first.as_str()));
    land.work("x", &[f("later", "1\n2\n")], "two");
    let run = land.merge(["x", "--yes"]);
    assert!(
        run.stderr.contains("has gone on since you reviewed") && run.stderr.contains("+2 -0  later"),
        "{}",
        run.stderr
    );
    run.ok();
}

#[test]
fn other_programs_see_files_of_the_host() {
    let land = Land::new();
    land.fork("x");
    std::os::unix::fs::symlink("/etc/passwd", land.record("x").path.join("link")).expect("link");
    land.work("x", &[f("a", "agent\n")], "one");
    let out = land.world.root().join("tool");
    land.git(["config", "diff.tool", "mine"]);
    land.git(["config", "difftool.mine.cmd", &format!("cat \"$REMOTE\" >>{}", out.display())]);
    land.review(["x", "--tool"]).ok();
    let seen = std::fs::read_to_string(&out).expect("the tool ran");
    assert!(seen.contains("agent\n") && seen.contains("/etc/passwd") && !seen.contains("root:"), "{seen}");
    land.git(["config", "coop.reviewCmd", "git diff --stat \"$COOP_BASE\" \"$COOP_HEAD\"; exit 4"]);
    let run = land.review(["x"]);
    assert!(run.code == 4 && run.stdout.contains("2 files changed"), "{}", run.stdout);
    land.git(["config", "coop.editor", "ls -A"]);
    let text = land.review(["x", "--open"]).ok();
    assert_eq!(text, "README\na\nlink\n");
    assert_eq!(land.record("x").get("Reviewed"), Some(land.record("x").head.as_str()));
    let _ = land.review(["nobody"]).fails(2, "no fork 'nobody'");
}
