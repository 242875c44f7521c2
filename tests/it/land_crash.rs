//! kill -9 at every step and at any instant of a landing, and races: no commit is lost, no file of the user
//! changes, and the next command finishes what is half done.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use coop::git::Oid;
use coop::state::{Fork, ForkName, ForkState};

use crate::land_support::{Land, f};
use crate::support::World;

const BEFORE: &[&str] = &["scanned", "rebased", "gated", "before-transaction"];
const AFTER: &[&str] = &["after-transaction", "following", "followed"];

fn aborting(step: &str) -> Land {
    let land = Land::in_world(World::new().with_env("COOP_TEST_ABORT_AT", step));
    land.fork("x");
    land.work("x", &[f("a", "agent\n")], "one");
    land.commit("user", "mine\n");
    std::fs::write(land.repo.join("neighbour"), "not tracked\n").expect("file");
    land
}

#[test]
fn a_kill_before_the_transaction_leaves_nothing() {
    for step in BEFORE {
        let land = aborting(step);
        let before = land.snapshot();
        assert_eq!(land.merge(["x", "--yes"]).code, -1, "{step}: the switch did not work");
        assert_eq!(land.snapshot(), before, "{step}");
        let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
        land.merge(["x", "--yes"]).ok();
        assert_eq!(land.git(["log", "--format=%s"]), "one\nuser: user\nfirst", "{step}");
        assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour", "{step}");
    }
}

#[test]
fn a_kill_after_the_transaction_is_finished_by_the_next_command() {
    for step in AFTER {
        let land = aborting(step);
        assert_eq!(land.merge(["x", "--yes"]).code, -1, "{step}: the switch did not work");
        let tip = land.head("main");
        let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
        assert_eq!(land.record("x").state.as_str(), "landed", "{step}");
        let run = land.merge(["x", "--yes"]);
        assert_eq!(run.code, 1, "{step}: {}", run.stderr);
        assert!(run.stderr.contains("landing of 'x'"), "{step}: {}", run.stderr);
        assert_eq!(land.head("main"), tip);
        assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour", "{step}");
        assert_eq!(std::fs::read_to_string(land.repo.join("a")).expect("file"), "agent\n", "{step}");
        assert_eq!(land.record("x").get("Follow"), None, "{step}");
        land.merge(["x", "--undo"]).ok();
        assert_eq!(land.git(["log", "--format=%s"]), "user: user\nfirst", "{step}");
    }
}

/// git writes the refs of a transaction one after another. Where it is killed in between, the record is there and the
/// branch is not: the next command says so, and starts again.
#[test]
fn a_git_killed_between_two_refs_is_noticed() {
    let land = aborting("after-transaction");
    let onto = land.head("main");
    assert_eq!(land.merge(["x", "--yes"]).code, -1);
    let tip = land.head("main");
    land.git(["update-ref", "refs/heads/main", &onto]);
    let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("the landing of 'x' was interrupted before anything moved"), "{}", run.stderr);
    run.ok();
    assert_eq!(land.git(["log", "--format=%s"]), "one\nuser: user\nfirst");
    assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour");
    // the same in the other direction
    let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", "following"), repo: land.repo };
    assert_eq!(land.merge(["x", "--undo"]).code, -1);
    land.git(["update-ref", "refs/heads/main", &tip]);
    let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
    let run = land.merge(["x", "--undo"]);
    assert!(run.stderr.contains("undoing the landing of 'x' was interrupted before anything moved"), "{}", run.stderr);
    run.ok();
    assert_eq!(land.git(["log", "--format=%s"]), "user: user\nfirst");
    assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour");
}

/// Edits that the user made between the kill and the next command are kept.
#[test]
fn a_pending_checkout_never_costs_an_edit() {
    let land = aborting("after-transaction");
    let _ = land.merge(["x", "--yes"]).code;
    let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
    std::fs::write(land.repo.join("a"), "mine, made meanwhile\n").expect("file");
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("has not followed"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(land.repo.join("a")).expect("file"), "mine, made meanwhile\n");
    std::fs::remove_file(land.repo.join("a")).expect("removed");
    let run = land.merge(["x", "--yes"]);
    assert!(run.stderr.contains("now follows"), "{}", run.stderr);
    assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour");
}

/// git was killed while it wrote the files of the checkout: what it has written, whole or in part, is finished. A file
/// that somebody else has written there meanwhile is not taken for it.
#[test]
fn a_git_killed_while_it_writes_the_checkout_is_finished() {
    for (new, known) in [("agent\n", "base, and more\n"), ("age", "base, an"), ("", "")] {
        let land = Land::in_world(World::new().with_env("COOP_TEST_ABORT_AT", "following"));
        land.commit("known", "base\n");
        land.fork("x");
        land.work("x", &[f("d/a", "agent\n"), f("known", "base, and more\n")], "one");
        assert_eq!(land.merge(["x", "--yes"]).code, -1);
        let land = Land { world: land.world.with_env("COOP_TEST_ABORT_AT", ""), repo: land.repo };
        std::fs::create_dir(land.repo.join("d")).expect("directory");
        std::fs::write(land.repo.join("d/a"), new).expect("file");
        std::fs::write(land.repo.join("known"), known).expect("file");
        std::fs::write(land.repo.join("neighbour"), "not tracked\n").expect("file");
        let run = land.merge(["x", "--yes"]);
        assert!(run.stderr.contains("now follows the interrupted landing of 'x'"), "{new:?}: {}", run.stderr);
        assert_eq!(land.git(["status", "--porcelain"]), "?? neighbour", "{new:?}");
        assert_eq!(std::fs::read_to_string(land.repo.join("d/a")).expect("file"), "agent\n");
        assert_eq!(std::fs::read_to_string(land.repo.join("known")).expect("file"), "base, and more\n");
    }
}

/// Forks with one commit each, made with plumbing: no work tree, no box, so that thousands are quick.
fn prepared(land: &Land, names: &[String]) {
    use std::io::Write as _;
    let base = land.head("main");
    let mut stream = String::new();
    for name in names {
        let text = format!("agent {name}");
        stream.push_str(&format!(
            "commit refs/coop/forks/{name}/head\nauthor Agent <agent@box> 1600000000 +0200\n\
             committer Agent <agent@box> 1600000000 +0200\ndata {}\n{text}\nfrom {base}\nM 100644 inline {name}\n\
             data {}\n{text}\n",
            text.len(),
            text.len()
        ));
    }
    let mut git = land.world.command(&land.repo, "git");
    let mut git = git.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().expect("git");
    git.stdin.take().expect("piped").write_all(stream.as_bytes()).expect("fed");
    assert!(git.wait().expect("waits").success());
    let coop = land.coop_lib();
    let store = coop.store().expect("store");
    store.prepare("prepared").expect("git");
    let base = Oid::parse(&base).expect("id");
    for name in names {
        let mut fork = Fork {
            name: ForkName::parse(name).expect("name"),
            tip: None,
            updated: 0,
            state: ForkState::Review,
            base: base.clone(),
            head: Oid::parse(&land.head(&format!("refs/coop/forks/{name}/head"))).expect("id"),
            path: land.world.root().join("repo-forks").join(name),
            more: vec![("Agent".into(), "claude".into())],
        };
        fork.record(&store, "claude ended", Vec::new()).expect("records");
    }
}

/// Ends the landing, or the landing with every git it has started, and waits until none of them is left.
fn kill(child: &mut std::process::Child, with_git: bool) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a process");
    if with_git {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
    while rustix::process::test_kill_process_group(pid).is_ok() && works(child.id()) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process of the group runs; one that has ended may wait long for its init to take notice.
fn works(group: u32) -> bool {
    let stats = std::fs::read_dir("/proc").expect("/proc").flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    // the fields after the name, which ends with the last parenthesis: state, parent, group
    stats.filter_map(|stat| Some(stat.rsplit_once(") ")?.1.to_owned())).any(|rest| {
        let fields: Vec<&str> = rest.split(' ').collect();
        fields[0] != "Z" && fields[2] == group.to_string()
    })
}

/// What git left that was killed with us: its own locks, which git tells its user to remove.
fn locks(land: &Land) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![land.repo.join(".git/refs")];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                stack.push(path)
            } else if path.extension().is_some_and(|e| e == "lock") {
                found.push(path)
            }
        }
    }
    let own = ["index.lock", "HEAD.lock", "packed-refs.lock"].map(|name| land.repo.join(".git").join(name));
    found.extend(own.into_iter().filter(|path| path.exists()));
    found
}

/// SIGKILL at random instants, of the landing alone and with every git it has started, while somebody moves the same
/// branch, a neighbour checkout is dirty and the checkout has files that git does not know: `COOP_TEST_ROUNDS` times.
#[test]
fn kills_at_any_instant_with_a_concurrent_committer() {
    const BATCH: u64 = 50;
    let rounds: u64 = Land::rounds(40);
    let land = Land::new();
    let other = land.world.root().join("other");
    land.git(["worktree", "add", "-q", "-b", "side", other.to_str().expect("path")]);
    std::fs::write(other.join("README"), "dirty neighbour\n").expect("file");
    std::fs::write(land.repo.join("untracked"), "not tracked\n").expect("file");
    let name = |round: u64| format!("k{round}");
    let started = std::time::Instant::now();
    let (mut mine, mut landed_alone, mut half, mut locked) = (0, 0, 0, 0);
    let mut span = Duration::from_millis(100); // how long a landing takes here, about
    for round in 0..rounds {
        if round % BATCH == 0 {
            prepared(&land, &(round..rounds.min(round + BATCH)).map(name).collect::<Vec<_>>());
        }
        let name = name(round);
        let mut command = land.world.command(&land.repo, "git-coop-merge");
        command.args([&name, "--yes"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = std::time::Instant::now();
        let mut child = std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn().expect("starts");
        let wait = span * ((round * 7_919 % 1_000) as u32) / 1_000;
        if round % 3 == 0 {
            // somebody moves the branch without its checkout: the landing has to see it
            std::thread::sleep(wait / 2);
            let tip = land.head("main");
            let new = land.git(["commit-tree", "-m", &format!("user {round}"), "-p", &tip, &format!("{tip}^{{tree}}")]);
            if land.world.run(&land.repo, "git", ["update-ref", "refs/heads/main", &new, &tip]).code == 0 {
                mine += 1;
            }
        }
        std::thread::sleep(wait.saturating_sub(begin.elapsed()));
        kill(&mut child, round % 2 == 0);
        let tip = land.head("main");
        let moved = land.git(["log", "-1", "--format=%s", &tip]) == format!("agent {name}");
        landed_alone += u64::from(moved);
        half += u64::from(moved && !land.git(["status", "--porcelain", "--untracked-files=no"]).is_empty());
        let left = locks(&land);
        if !left.is_empty() {
            locked += 1;
            let run = land.merge([&name, "--yes"]);
            assert!(matches!(run.code, 0..=3), "round {round}: {} {}", run.code, run.stderr);
            for lock in left {
                let _ = std::fs::remove_file(lock);
            }
        }
        let begin = std::time::Instant::now();
        let run = land.merge([&name, "--yes"]);
        assert!(
            run.code == 0 || (run.code == 1 && run.stderr.contains("nothing to land")),
            "round {round}: {} {}",
            run.code,
            run.stderr
        );
        if run.code == 0 {
            span = (span * 7 + begin.elapsed()) / 8;
        }
        let subjects = land.git(["log", "--format=%s", "-n", "3"]);
        assert_eq!(subjects.lines().filter(|l| **l == format!("agent {name}")).count(), 1, "round {round}: {subjects}");
        let status = land.git(["status", "--porcelain"]);
        assert_eq!(status, "?? untracked", "round {round} (waited {wait:?}): {}", run.stderr);
    }
    assert_eq!(land.git(["rev-list", "--count", "--grep=^agent ", "main"]), rounds.to_string());
    assert_eq!(
        land.git(["rev-list", "--count", "--grep=^user ", "main"]),
        mine.to_string(),
        "a commit of the user is lost"
    );
    assert_eq!(std::fs::read_to_string(other.join("README")).expect("file"), "dirty neighbour\n");
    assert_eq!(std::fs::read_to_string(land.repo.join("untracked")).expect("file"), "not tracked\n");
    assert_eq!(land.git(["ls-tree", "--name-only", "main"]).lines().count() as u64, rounds + 1);
    assert_eq!(land.world.run(&land.repo, "git", ["fsck", "--no-dangling"]).code, 0);
    println!(
        "{rounds} landings killed in {:?}: {landed_alone} had moved the branch, {half} of them not yet the checkout, \
         {locked} left locks of a killed git; {mine} commits of the user meanwhile",
        started.elapsed()
    );
}

/// Two landings of one fork, and two forks onto one branch, at once.
#[test]
fn races_have_one_winner_or_both_land() {
    let land = Land::new();
    for name in ["one", "two", "three"] {
        land.fork(name);
        land.work(name, &[f(name, "x\n")], name);
    }
    let start = |name: &str| {
        let mut command = land.world.command(&land.repo, "git-coop-merge");
        command
            .args([name, "--yes", "--into", "target"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("starts")
    };
    land.git(["branch", "target"]);
    let same: Vec<_> = (0..4).map(|_| start("one")).collect();
    let codes: Vec<_> = same.into_iter().map(|c| c.wait_with_output().expect("waits").status.code()).collect();
    assert_eq!(codes.iter().filter(|c| **c == Some(0)).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, Some(0 | 1 | 3))), "{codes:?}");
    let both = [start("two"), start("three")];
    for child in both {
        let output = child.wait_with_output().expect("waits");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut subjects: Vec<String> = land.git(["log", "--format=%s", "target"]).lines().map(str::to_owned).collect();
    subjects.sort();
    assert_eq!(subjects, ["first", "one", "three", "two"]);
}
