//! What is read without a git process is what git says: changes, line counts, ranges, refs, and a clean checkout.

use std::collections::BTreeMap;
use std::fs::File;

use coop::git::{Oid, clean, diff, follow, peek, picks};

use crate::land_support::{Land, f};

fn oid(text: &str) -> Oid {
    Oid::parse(text).expect("an id")
}

/// A history with every kind of change, one per commit; the tip of each.
fn history(land: &Land) -> Vec<String> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let at = |path: &str| land.repo.join(path);
    let mut tips = vec![land.head("HEAD")];
    let mut commit = |step: &dyn Fn()| {
        step();
        land.git(["add", "-A"]);
        land.git(["commit", "-q", "--allow-empty", "-m", "step"]);
        tips.push(land.head("HEAD"));
    };
    let write = |path: &str, text: &[u8]| {
        std::fs::create_dir_all(at(path).parent().expect("parent")).expect("dir");
        std::fs::write(at(path), text).expect("file");
    };
    commit(&|| write("a-b", b"1\n"));
    commit(&|| write("a/b/c d\n\u{e9}", b"1\n2\n3\n"));
    commit(&|| write("a/b/c d\n\u{e9}", b"0\n1\n3\n"));
    commit(&|| write("binary", b"x\0y"));
    commit(&|| std::fs::set_permissions(at("a-b"), PermissionsExt::from_mode(0o755)).expect("mode"));
    commit(&|| {
        std::fs::remove_file(at("a-b")).expect("removed");
        symlink("target", at("a-b")).expect("link");
    });
    commit(&|| {
        std::fs::remove_dir_all(at("a")).expect("removed");
        write("a", b"a file now\n");
    });
    commit(&|| {
        std::fs::remove_file(at("a")).expect("removed");
        write("a/b", b"a directory again");
    });
    commit(&|| {});
    tips
}

#[test]
fn changes_and_counts_are_those_of_git() {
    let land = Land::new();
    let coop = land.coop_lib();
    let tips = history(&land);
    for pair in tips.windows(2) {
        let (old, new) = (oid(&pair[0]), oid(&pair[1]));
        let raw = land.git(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", &pair[0], &pair[1]]);
        let mut fields = raw.split('\0');
        let mut by_git = Vec::new();
        while let (Some(line), Some(path)) = (fields.next(), fields.next()) {
            by_git.push((line[1..].split(' ').take(4).collect::<Vec<_>>().join(" "), path.to_owned()));
        }
        let zero = "0".repeat(40);
        let side = |side: &Option<diff::Side>| {
            side.as_ref().map_or(("000000".to_owned(), zero.clone()), |s| (s.mode.clone(), s.id.to_string()))
        };
        let shown = |change: &diff::Change| {
            let ((old_mode, old), (new_mode, new)) = (side(&change.old), side(&change.new));
            (format!("{old_mode} {new_mode} {old} {new}"), String::from_utf8_lossy(&change.path).into_owned())
        };
        let between: Vec<_> = diff::between(&coop.repo, &old, &new).expect("reads").iter().map(shown).collect();
        assert_eq!(between, by_git);
        let changes = diff::changes(&coop.repo, &coop.env, std::slice::from_ref(&new)).expect("reads");
        assert_eq!(changes.iter().map(shown).collect::<Vec<_>>(), by_git);
        let churn: BTreeMap<_, _> =
            diff::churn(&coop.repo, &coop.env, &old, &new).expect("counts").into_iter().collect();
        let numstat = land.git(["diff-tree", "-r", "-z", "--numstat", "--no-renames", &pair[0], &pair[1]]);
        let lines = numstat.split('\0').filter(|l| !l.is_empty());
        let by_git: BTreeMap<Vec<u8>, Option<(u64, u64)>> = lines
            .map(|line| {
                let words: Vec<_> = line.splitn(3, '\t').collect();
                (words[2].as_bytes().to_vec(), words[0].parse().ok().zip(words[1].parse().ok()))
            })
            .collect();
        assert_eq!(churn, by_git);
    }
    let root = diff::changes(&coop.repo, &coop.env, &[oid(&tips[0])]).expect("reads");
    assert_eq!(root.iter().map(|c| c.path.as_slice()).collect::<Vec<_>>(), [b"README"]);
}

/// Every way in which a checkout can differ is seen, also where size and times of the file are made to look alike.
#[test]
fn nothing_that_differs_looks_clean() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let land = Land::new();
    land.commit("script", "1\n");
    let coop = land.coop_lib();
    let head = oid(&land.head("HEAD"));
    let file = land.repo.join("script");
    let dirty = || follow::dirty(&coop.repo, &coop.env, &head, 10).expect("looks");
    let reset = || drop(land.git(["reset", "-q", "--hard", head.as_str()]));
    // beyond the second in which the index was written, nothing is racy
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    land.git(["update-index", "--refresh"]);
    std::fs::write(land.repo.join("untracked"), "x").expect("file");
    assert!(clean::is(&coop.repo, &head) && dirty().is_empty());
    let stat = std::fs::metadata(&file).expect("there");
    let times = std::fs::FileTimes::new().set_modified(stat.modified().expect("a time"));
    type Change<'a> = (&'a str, &'a dyn Fn());
    let changes: [Change<'_>; 7] = [
        ("same size, same time", &|| {
            std::fs::write(&file, "2\n").expect("file");
            File::options().write(true).open(&file).expect("file").set_times(times).expect("times");
        }),
        ("mode", &|| std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("mode")),
        ("removed", &|| std::fs::remove_file(&file).expect("removed")),
        ("a link", &|| {
            std::fs::remove_file(&file).expect("removed");
            symlink("README", &file).expect("link");
        }),
        ("a directory", &|| {
            std::fs::remove_file(&file).expect("removed");
            std::fs::create_dir(&file).expect("dir");
        }),
        ("staged, file as before", &|| {
            std::fs::write(&file, "2\n").expect("file");
            land.git(["add", "script"]);
            std::fs::write(&file, "1\n").expect("file");
        }),
        ("added", &|| {
            std::fs::write(land.repo.join("new"), "x").expect("file");
            land.git(["add", "new"]);
        }),
    ];
    for (what, change) in changes {
        change();
        assert!(!clean::is(&coop.repo, &head), "{what}");
        assert!(!dirty().is_empty(), "{what}");
        reset();
    }
    assert!(dirty().is_empty());
    // written in the same tick of the clock as the index: the content tells
    let index = File::options().write(true).open(land.repo.join(".git/index")).expect("an index");
    index.set_times(times).expect("times");
    assert!(clean::is(&coop.repo, &head), "racy, and as it was");
    for round in 0..20 {
        for text in ["other\n", "1\n"] {
            std::fs::write(&file, text).expect("file");
            land.git(["update-index", "script"]);
        }
        assert!(clean::is(&coop.repo, &head), "racy in round {round}");
        std::fs::write(&file, "2\n").expect("file");
        assert!(!clean::is(&coop.repo, &head), "racy and changed in round {round}");
    }
    reset();
    // flags that hide a change from git are git's to judge
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        land.git(["update-index", flag, "script"]);
        assert!(!clean::is(&coop.repo, &head), "{flag}");
        land.git(["update-index", &flag.replace("--", "--no-"), "script"]);
    }
}

#[test]
fn what_is_in_the_way_is_seen() {
    use std::os::unix::fs::symlink;
    let land = Land::new();
    let coop = land.coop_lib();
    let old = oid(&land.head("HEAD"));
    std::fs::create_dir(land.repo.join("d")).expect("dir");
    let new = oid(&land.commit("d/file", "1\n"));
    land.git(["reset", "-q", "--hard", old.as_str()]);
    let changes = diff::between(&coop.repo, &old, &new).expect("reads");
    let could = || follow::could(&coop.repo, &coop.env, &old, &new).expect("looks");
    assert!(clean::has_room(&coop.repo, &changes) && could().is_ok());
    let way = land.repo.join("d");
    let outside = land.world.root().join("outside");
    std::fs::create_dir(&outside).expect("dir");
    symlink(&outside, &way).expect("link");
    assert!(!clean::has_room(&coop.repo, &changes), "a link to a directory");
    std::fs::remove_file(&way).expect("removed");
    std::fs::write(&way, "x").expect("file");
    assert!(!clean::has_room(&coop.repo, &changes), "a file");
    std::fs::remove_file(&way).expect("removed");
    std::fs::create_dir(&way).expect("dir");
    assert!(clean::has_room(&coop.repo, &changes), "an empty directory");
    std::fs::write(way.join("file"), "mine").expect("file");
    assert!(!clean::has_room(&coop.repo, &changes) && could().is_err());
}

#[test]
fn refs_and_ranges_are_those_of_git() {
    let land = Land::new();
    let coop = land.coop_lib();
    let base = land.head("HEAD");
    for n in 0..3 {
        land.commit("file", &format!("{n}\n"));
    }
    let main = land.head("main");
    land.git(["checkout", "-q", "-b", "side", &base]);
    for n in 0..2 {
        land.commit("other", &format!("{n}\n"));
    }
    let side = land.head("side");
    let range = |head: &str, target: &str, base: &str| -> Vec<String> {
        let range = picks::range(&coop.repo, &coop.env, &oid(head), &oid(target), &oid(base)).expect("range");
        range.into_iter().map(|c| c.id.to_string()).collect()
    };
    let by_git = |head: &str, target: &str, base: &str| -> Vec<String> {
        let (target, base) = (format!("^{target}"), format!("^{base}"));
        land.git(["rev-list", "--topo-order", "--reverse", head, &target, &base]).lines().map(str::to_owned).collect()
    };
    land.git(["merge", "-q", "--no-edit", "main"]);
    let merged = land.head("HEAD");
    for (head, target) in [(&side, &main), (&main, &side), (&main, &base), (&merged, &main), (&side, &merged)] {
        assert_eq!(range(head, target, &base), by_git(head, target, &base));
    }
    assert_eq!(peek::one(&coop.repo, "refs/heads/main"), Some(Some(oid(&main))), "nothing is packed yet");
    land.git(["pack-refs", "--all"]);
    land.git(["update-ref", "refs/coop/forks/x/head", &main]);
    land.git(["symbolic-ref", "refs/heads/sym", "refs/heads/main"]);
    assert_eq!(peek::one(&coop.repo, "refs/heads/main"), Some(Some(oid(&main))));
    assert_eq!(peek::one(&coop.repo, "refs/heads/nothing"), Some(None));
    assert_eq!(peek::one(&coop.repo, "refs/heads/sym"), None, "git resolves it");
    assert_eq!(peek::one(&coop.repo, "main"), None, "no full name");
    assert_eq!(peek::below(&coop.repo, "refs/coop/"), Some(vec![("refs/coop/forks/x/head".into(), oid(&main))]));
    assert_eq!(peek::head(&coop.repo), Some(peek::Head::Branch("refs/heads/side".into())));
}

/// Where refs are no files, everything still works, by way of git.
#[test]
fn reftable_lands_as_well() {
    let world = crate::support::World::new();
    let dir = world.root().join("repo");
    std::fs::create_dir(&dir).expect("dir");
    if world.run(&dir, "git", ["init", "-q", "--ref-format=reftable"]).code != 0 {
        eprintln!("SKIPPED: this git has no reftable");
        return;
    }
    let land = Land::in_world(world);
    assert_eq!(peek::head(&land.coop_lib().repo), None);
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    land.commit("user", "1\n");
    land.merge(["x", "--yes"]).ok();
    assert_eq!(land.git(["log", "--format=%s", "-2"]), "one\nuser: user");
    assert_eq!(land.git(["status", "--porcelain"]), "");
    assert!(land.git(["log", "-1", "--format=%N", "--notes=refs/notes/coop/gate"]).starts_with("none: "));
    land.merge(["x", "--undo"]).ok();
    assert_eq!(land.git(["log", "--format=%s", "-1"]), "user: user");
}
