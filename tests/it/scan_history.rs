//! Scans of history: cached, along packs, and range by range, all against a full scan; broken objects; hooks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scan::{findings, other, scan, token};
use crate::support::World;

/// What a scan of every blob, one `git cat-file` each, finds: the slow and simple way.
fn full(world: &World, repo: &Path) -> BTreeSet<String> {
    let objects = world.git(repo, ["cat-file", "--batch-all-objects", "--batch-check"]);
    let reachable = world.git(repo, ["rev-list", "--objects", "--all"]);
    let mut found = BTreeSet::new();
    for line in objects.lines().filter(|l| l.contains(" blob ")) {
        let id = line.split(' ').next().expect("an id");
        if reachable.contains(id) {
            let text = world.git(repo, ["cat-file", "blob", id]);
            found.extend([token(), other()].into_iter().filter(|t| text.contains(t.as_str())).map(|_| id.to_owned()));
        }
    }
    found
}

/// The blobs of the findings of a scan.
fn blobs(world: &World, repo: &Path, args: &[&str]) -> BTreeSet<String> {
    let run = scan(world, repo, args);
    assert!(run.code < 2, "{}", run.stderr);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let each = json["findings"].as_array().expect("array").iter();
    each.map(|f| {
        let (commit, path) = (f["commit"].as_str().expect("commit"), f["path"].as_str().expect("path"));
        world.git(repo, ["rev-parse", &format!("{commit}:{path}")])
    })
    .collect()
}

#[test]
fn cached_and_packed_scans_equal_a_full_one() {
    let world = World::new();
    let repo = world.repo("r");
    let first = world.git(&repo, ["rev-parse", "HEAD"]);
    let mut seed = 20_u64;
    let mut next = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % n
    };
    for round in 0..24 {
        let file = repo.join(format!("d{}/f{}", next(3), next(4)));
        fs::create_dir_all(file.parent().expect("parent")).expect("directory");
        let mut lines: Vec<String> = fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.insert(next(lines.len() + 1), format!("line {round} {}", "filler ".repeat(next(40))));
        match next(5) {
            0 => lines.insert(next(lines.len() + 1), format!("a = '{}'", token())),
            1 => lines.insert(next(lines.len() + 1), format!("b = '{}'", other())),
            2 => drop(lines.remove(next(lines.len()))),
            _ => {}
        }
        fs::write(&file, lines.join("\n")).expect("file");
        world.git(&repo, ["add", "."]);
        world.git(&repo, ["commit", "-qm", &format!("round {round}")]);
        if round % 7 == 3 {
            world.git(&repo, ["checkout", "-q", "-b", &format!("side{round}"), "HEAD~2"]);
        }
        if round % 8 == 6 {
            world.git(&repo, ["repack", "-adq", "--depth=20"]);
        }
        if round % 5 == 4 {
            assert_eq!(blobs(&world, &repo, &["--history", "--json"]), full(&world, &repo), "round {round}");
        }
    }
    let all = full(&world, &repo);
    assert!(all.len() >= 4, "the history has too few secrets to prove anything");
    let twice = [blobs(&world, &repo, &["--history", "--json"]), blobs(&world, &repo, &["--history", "--json"])];
    assert!(twice.iter().all(|found| *found == all));
    // without the cache, and with a damaged one
    let cache = fs::read_dir(repo.join(".git/coop"))
        .expect("directory")
        .filter_map(|e| Some(e.ok()?.path()))
        .find(|p| p.is_file())
        .expect("a cache");
    fs::write(&cache, b"coopscn1 rubbish").expect("file");
    assert_eq!(blobs(&world, &repo, &["--history", "--json"]), all);
    fs::remove_file(&cache).expect("file");
    let range = format!("{first}..HEAD");
    let ranged = blobs(&world, &repo, &["--range", &range, "--json"]);
    assert!(ranged.is_subset(&all) && !ranged.is_empty());
    blobs(&world, &repo, &["--history", "--json"]);
    assert_eq!(blobs(&world, &repo, &["--range", &range, "--json"]), ranged, "the cache changes a range");
}

#[test]
fn what_no_ref_reaches_is_not_reported() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("f"), token()).expect("file");
    world.git(&repo, ["hash-object", "-w", "f"]);
    fs::remove_file(repo.join("f")).expect("file");
    assert_eq!(scan(&world, &repo, &["--history"]).code, 0);
}

#[test]
fn missing_and_corrupt_objects_are_no_clean_bill() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("f"), "content that is clean\n").expect("file");
    world.git(&repo, ["add", "."]);
    world.git(&repo, ["commit", "-qm", "more"]);
    let id = world.git(&repo, ["rev-parse", "HEAD:f"]);
    let object = repo.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    let whole = fs::read(&object).expect("a loose object");
    let replace = |bytes: Option<&[u8]>| {
        fs::remove_file(&object).expect("file");
        if let Some(bytes) = bytes {
            fs::write(&object, bytes).expect("file");
        }
    };
    replace(Some(&whole[..whole.len() / 2]));
    for args in [&["--history"][..], &["--range", "HEAD~1..HEAD"]] {
        let run = scan(&world, &repo, args);
        assert_eq!(run.code, 2, "corrupt {args:?}: {}", run.stderr);
        assert!(run.stderr.contains(&id) && run.stderr.contains("incomplete"), "{}", run.stderr);
    }
    replace(None);
    for args in [&["--history"][..], &["--range", "HEAD~1..HEAD"]] {
        assert_eq!(scan(&world, &repo, args).code, 2, "missing {args:?}");
    }
}

/// A value that many commits carry is told once, where it came first; programs get every place.
#[test]
fn a_secret_of_many_commits_is_told_once() {
    let world = World::new();
    let repo = world.repo("r");
    for (round, path) in ["z", "z", "a", "b"].iter().enumerate() {
        fs::write(repo.join(path), format!("{}\n{round}\n", token())).expect("file");
        world.git(&repo, ["add", "."]);
        let mut command = world.command(&repo, "git");
        let date = format!("2026-01-0{} 00:00:00 +0000", round + 1);
        let output = command.args(["commit", "-qm", "x"]).env("GIT_COMMITTER_DATE", date).output().expect("git");
        assert!(output.status.success());
    }
    let first = world.git(&repo, ["rev-list", "--reverse", "HEAD", "--", "z"]);
    for args in [&["--history"][..], &["--history"], &["--range", "HEAD~4..HEAD"]] {
        let run = scan(&world, &repo, args);
        assert_eq!(run.stdout.matches("fingerprint").count(), 1, "{}", run.stdout);
        assert!(
            run.stdout.starts_with("z:1:1: ") && run.stdout.contains(&format!("in {}", &first[..12])),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains("then once in a, once in b, once in z"), "{}", run.stdout);
        assert!(run.stderr.contains("1 secret (4 places)"), "{}", run.stderr);
    }
    assert_eq!(findings(&scan(&world, &repo, &["--history", "--json"])).len(), 4);
}

#[test]
fn hook_stops_a_commit_and_leaves_others_alone() {
    let world = World::new();
    let repo = world.repo("r");
    let hook = repo.join(".git/hooks/pre-commit");
    fs::create_dir_all(repo.join(".git/hooks")).expect("directory");
    let theirs = "#!/bin/sh\ntouch theirs-ran\n";
    fs::write(&hook, theirs).expect("file");
    let mode = |m: u32| fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(m)).expect("mode");
    mode(0o644);
    assert_eq!(world.coop(&repo, ["init", "--hooks"]).code, 2, "git would not run it");
    mode(0o755);
    for _ in 0..2 {
        assert_eq!(world.coop(&repo, ["init", "--hooks"]).code, 0);
    }
    let text = fs::read_to_string(&hook).expect("hook");
    assert_eq!(text.matches(">>> git coop >>>").count(), 1);
    // in a linked work tree too, and with a part of the files only
    world.git(&repo, ["worktree", "add", "-q", "../linked", "-b", "linked"]);
    for dir in [repo.clone(), world.root().join("linked")] {
        fs::write(dir.join("good"), "fine\n").expect("file");
        fs::write(dir.join("bad"), token()).expect("file");
        world.git(&dir, ["add", "."]);
        let run = world.run(&dir, "git", ["commit", "-m", "secret"]);
        assert!(run.code != 0 && !dir.join("theirs-ran").exists(), "{}", run.stderr);
        assert!(run.stdout.contains("bad:1:1") || run.stderr.contains("bad:1:1"), "{} {}", run.stdout, run.stderr);
        assert_eq!(world.run(&dir, "git", ["commit", "-qm", "part", "good"]).code, 0);
        assert!(dir.join("theirs-ran").exists());
        assert_eq!(world.run(&dir, "git", ["commit", "-qnm", "forced"]).code, 0);
    }
    assert_eq!(world.coop(&repo, ["init", "--hooks", "--uninstall"]).code, 0);
    assert_eq!(fs::read_to_string(&hook).expect("hook"), theirs);
}

#[test]
fn hook_without_the_program_fails_with_the_way_out() {
    let world = World::new();
    let repo = world.repo("r");
    world.git(&repo, ["config", "core.hooksPath", "tools/hooks"]);
    assert_eq!(world.coop(&repo, ["init", "--hooks"]).code, 0);
    assert!(repo.join("tools/hooks/pre-commit").is_file() && !repo.join(".git/hooks/pre-commit").exists());
    let mut command = world.command(&repo, "git");
    command.env("PATH", "/usr/bin:/bin").args(["commit", "--allow-empty", "-m", "x"]);
    let output = command.output().expect("git");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--no-verify"), "{text}");
    assert_eq!(findings(&scan(&world, &repo, &["--json"])), []);
    assert_eq!(world.coop(&repo, ["init", "--hooks", "--uninstall"]).code, 0);
    assert!(!repo.join("tools/hooks/pre-commit").exists());
}
