//! A night in fast time: a fleet whose members share a queue, killed at random with their boxes, with a gate that flakes
//! and accounts that are used up. `COOP_NIGHT=200` is the whole night; without it a short one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::looper::Looper;
use crate::world::until;

/// Works, now and then slowly, now and then refused; a few tasks cannot be done.
const AGENT: &str = r#"
task=$(printf '%s\n' "$1" | sed -n 's/^work \([a-z0-9]*\).*/\1/p' | head -n1)
roll=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
if [ $((roll % 40)) = 0 ]; then echo "{\"type\":\"limit\",\"until\":$(( $(date +%s) + 2 ))}"; exit 1; fi
if [ $((roll % 41)) = 0 ]; then echo '{"type":"busy"}'; exit 1; fi
case "$task" in *9) exit 0;; esac
sleep 0.$((roll % 4))
mkdir -p "d/$task"; echo "$roll" >>"d/$task/f"; git add d; git commit -qm "work of $task"
"#;

#[allow(clippy::disallowed_methods)]
fn scale() -> (usize, usize) {
    match std::env::var("COOP_NIGHT").ok().and_then(|n| n.parse().ok()) {
        Some(tasks) => (tasks, 4),
        None => (10, 2),
    }
}

#[test]
fn every_task_ends_done_once_or_blocked() {
    let (tasks, members) = scale();
    let gate = "test $(( $(od -An -N2 -tu2 /dev/urandom) % 12 )) != 0";
    let Some(looper) = Looper::new(AGENT, gate) else { return };
    looper.profile("one");
    looper.profile("two");
    let text: String = (0..tasks).map(|n| format!("- [ ] work t{n}\n")).collect();
    looper.queue(&text);
    let fleet: String =
        (0..members).map(|n| format!("[m{n}]\nagent = \"mine\"\ntasks = \".agent/TASKS.md\"\nrounds = 0\n")).collect();
    std::fs::write(looper.place.repo.join(".agent/fleet"), fleet).expect("a fleet");
    looper.place.git(["config", "coop.memory", "64m"]);
    let run = |args: &[&str]| looper.place.world.run(&looper.place.repo, "git-coop-fleet", args);
    let started = Instant::now();
    let (mut kills, mut box_kills, mut starts, mut dice) = (0, 0, 0, 0x2545_f491_u64);
    let mut roll = |below: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let open = || {
        let text = looper.tasks();
        text.matches("- [ ]").count() + text.matches("- [w]").count()
    };
    while open() > 0 {
        assert!(started.elapsed() < Duration::from_secs(60 + 12 * tasks as u64), "{} left\n{}", open(), looper.tasks());
        // the same command again and again: it starts those that do not run
        let up = run(&["up"]);
        assert_ne!(up.code, 70, "{}", up.stderr);
        starts += up.stderr.matches(": started").count();
        std::thread::sleep(Duration::from_millis(200 + roll(1_500)));
        let victim = format!("m{}", roll(members as u64));
        match roll(3) {
            0 => kills += kill_loop(&looper, &victim),
            1 => box_kills += kill_box(&looper, &victim),
            _ => {}
        }
    }
    let states = || {
        let status = run(&["status", "--json"]).ok();
        let json: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        json["members"].as_array().expect("members").iter().map(|row| row["state"].to_string()).collect::<Vec<_>>()
    };
    until("no member has anything to do", || !states().iter().any(|state| state.contains("running")));
    let down = run(&["down"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    let text = looper.tasks();
    let (done, blocked) = (text.matches("- [x]").count(), text.matches("- [B]").count());
    assert_eq!(done + blocked, tasks, "{text}");
    let hopeless = (0..tasks).filter(|n| n % 10 == 9).count();
    assert!(blocked >= hopeless, "{blocked} of {hopeless} are blocked");
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&looper.place.coop(["tasks", "--json"]).ok()).expect("JSON");
    let mut where_done: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for member in 0..members {
        let head = format!("refs/coop/forks/m{member}/head");
        let found = looper.place.world.run(&looper.place.repo, "git", ["rev-parse", "-q", "--verify", &head]);
        if found.code != 0 {
            continue;
        }
        let ids = looper.git(&["log", "--format=%(trailers:key=Coop-Task,valueonly)", &format!("main..{head}")]);
        for id in ids.split_whitespace() {
            where_done.entry(id.to_owned()).or_default().insert(member);
        }
    }
    for task in &list {
        let forks = where_done.get(task["id"].as_str().expect("id")).map_or(0, BTreeSet::len);
        match task["state"].as_str() {
            Some("done") => assert_eq!(forks, 1, "{task}"),
            Some("blocked") => assert!(!task["reason"].as_str().unwrap_or_default().is_empty(), "{task}"),
            _ => panic!("{task}"),
        }
    }
    let held =
        looper.git(&["log", "--no-walk", "--format=%(trailers:key=Coop-State,valueonly)", "--glob=refs/coop/claims"]);
    assert!(!held.contains("held"), "{held}");
    assert_eq!(boxes(&looper, "m").len(), 0, "an orphan box");
    looper.whole();
    eprintln!(
        "{tasks} tasks, {members} members, {}s: {done} done, {blocked} blocked ({hopeless} hopeless); {starts} starts, {kills} loops \
         and {box_kills} boxes killed",
        started.elapsed().as_secs()
    );
}

/// Processes of bubblewrap that hold boxes of this world's forks.
fn boxes(looper: &Looper, name: &str) -> Vec<i32> {
    let label = format!("fork:{}", looper.place.fork_path(name).display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&line);
        if text.contains("bwrap") && text.contains(&label) {
            found.push(pid);
        }
    }
    found
}

/// kill -9 for the loop that a record names, where it is at work.
fn kill_loop(looper: &Looper, name: &str) -> usize {
    let chain = format!("refs/coop/loops/{name}");
    let known = looper.git(&["for-each-ref", &chain]);
    if known.is_empty() || looper.trailer(&chain, "State") != "running" {
        return 0;
    }
    let pid = looper.trailer(&chain, "Pid");
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    if line.contains("git-coop-loop") && line.contains(&format!("--fork\0{name}\0")) { kill(&pid) } else { 0 }
}

fn kill(pid: &str) -> usize {
    let status = std::process::Command::new("kill").args(["-9", pid]).stderr(std::process::Stdio::null()).status();
    usize::from(status.is_ok_and(|status| status.success()))
}

fn kill_box(looper: &Looper, name: &str) -> usize {
    for _ in 0..50 {
        if let Some(pid) = boxes(looper, name).first() {
            return kill(&pid.to_string());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}
