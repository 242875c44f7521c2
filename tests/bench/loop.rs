//! Figures of the loop: `cargo bench --bench loop`. What it costs per task beyond the launches of its boxes, and how many
//! claims eight processes make.

#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coop::env::Env;
use coop::git::{Repo, transactions};
use coop::sandbox::spec::{BoxSpec, Egress, Limits, Mount, User};
use coop::sandbox::{Io, Out, System, detect, launch};
use coop::state::{Claim, Store};
use coop::task::Queue;

const TASKS: usize = 500;
const PROCESSES: usize = 8;
const WORKED: usize = 20;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "claimer") {
        return claimer(Path::new(&words[at + 1]), words[at + 2].parse().expect("a number"));
    }
    let temp = tempfile::Builder::new().prefix("coop-bench-").tempdir_in("/var/tmp").expect("a directory");
    let root = temp.path().canonicalize().expect("canonical");
    claims(&root);
    overhead(&root);
}

fn repository(path: &Path, tasks: usize) {
    std::fs::create_dir_all(path.join(".agent")).expect("a directory");
    git(path, &["init", "-q", "-b", "main"]);
    git(path, &["config", "user.name", "Bench"]);
    git(path, &["config", "user.email", "bench@example.com"]);
    git(path, &["commit", "-q", "--allow-empty", "-m", "first"]);
    std::fs::write(path.join(".git/info/exclude"), ".agent/\n").expect("a file");
    let text: String = (0..tasks).map(|n| format!("- [ ] work t{n}\n")).collect();
    std::fs::write(path.join(".agent/TASKS.md"), text).expect("a file");
}

/// Eight processes, each from a place of its own, until every task has one holder.
fn claims(root: &Path) {
    let repo = root.join("claims");
    repository(&repo, TASKS);
    let started = Instant::now();
    let children: Vec<_> = (0..PROCESSES)
        .map(|n| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.arg("claimer").arg(&repo).arg(n.to_string()).stdout(Stdio::piped());
            command.spawn().expect("starts")
        })
        .collect();
    let won: usize = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("ends");
            String::from_utf8_lossy(&output.stdout).trim().parse::<usize>().expect("a number")
        })
        .sum();
    let seconds = started.elapsed().as_secs_f64();
    let refs = git(&repo, &["for-each-ref", "--format=%(refname)", "refs/coop/claims"]).lines().count();
    assert_eq!((won, refs), (TASKS, TASKS), "a task was claimed twice, or not at all");
    println!(
        "claims: {PROCESSES} processes, {TASKS} tasks, no double: {:.0} per second (target 200), {seconds:.2} s",
        TASKS as f64 / seconds
    );
}

fn claimer(path: &Path, number: usize) {
    let env = Env::of_process();
    let repo = Repo::discover(path, &env).expect("a repository");
    let store = Store::open(&repo, &env).expect("a store");
    let _kept = transactions::keep(&repo, &env, "claims"); // as a loop does
    let queue = Queue::parse(&std::fs::read(path.join(".agent/TASKS.md")).expect("a queue"));
    let (mut won, mut at) = (0, number * TASKS / PROCESSES);
    loop {
        let taken: Vec<String> = Claim::all(&repo, &env).expect("claims").into_iter().map(|claim| claim.id).collect();
        let free: Vec<_> = queue.tasks.iter().enumerate().filter(|(_, task)| !taken.contains(&task.id)).collect();
        if free.is_empty() {
            println!("{won}");
            return;
        }
        let first = free.iter().position(|(place, _)| *place >= at).unwrap_or(0);
        for (place, task) in free[first..].iter().chain(&free[..first]) {
            let mut claim = Claim::new(&task.id);
            claim.record.set("Loop", format!("bench-{number}"));
            at = place + 1;
            if !claim.take(&store, "claimed").expect("a transaction") {
                break; // somebody is here: look again
            }
            won += 1;
        }
    }
}

const AGENT: &str = include_str!("../fixtures/agent.toml");
const SCRIPT: &str = "date +%N >f; git add f; git commit -qm work";

/// A whole loop with an agent that only commits, less what its three boxes take by themselves.
fn overhead(root: &Path) {
    let repo = root.join("work");
    repository(&repo, WORKED);
    let agents = root.join("config/coop/agents");
    std::fs::create_dir_all(&agents).expect("a directory");
    let agent = AGENT.replace("NAME", "bench").replace("SCRIPT", SCRIPT);
    std::fs::write(agents.join("bench.toml"), agent).expect("a file");
    std::fs::write(agents.join("env"), "bench_KEY=x\n").expect("a file");
    let alone = alone(&repo);
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-coop-loop"));
    command.args(["bench", "--rounds", "0", "--gate", "true"]).current_dir(&repo);
    command.env("XDG_CONFIG_HOME", root.join("config")).env("XDG_STATE_HOME", root.join("state"));
    command.env("COOP_RUNTIME", "bwrap").env("COOP_EGRESS", "none").stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().expect("starts");
    let each = started.elapsed() / WORKED as u32;
    assert!(status.success(), "the loop failed: {status}");
    let beyond = each.saturating_sub(alone);
    println!(
        "overhead per task: {} ms beyond its boxes and the agent (target 150); {} ms in all, agent, import and gate alone {} ms",
        beyond.as_millis(),
        each.as_millis(),
        alone.as_millis()
    );
}

/// What the same three boxes take without coop's work between them: the agent's commit, a bundle, a checkout.
fn alone(repo: &Path) -> Duration {
    let env = Env::from_pairs(Env::of_process().iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
    let usable = detect(&env, Some("bwrap"), &System::new(&env)).expect("bubblewrap");
    let copy = repo.with_extension("alone");
    let script = "cd \"$0\" && date +%N >f && git add f && git commit -qm work";
    git(repo.parent().expect("a parent"), &["clone", "-q", &repo.display().to_string(), &copy.display().to_string()]);
    git(&copy, &["config", "user.name", "Bench"]);
    git(&copy, &["config", "user.email", "bench@example.com"]);
    let scripts =
        [script, "cd \"$0\" && git bundle create -q - HEAD~1..HEAD", "cd \"$0\" && git read-tree --reset -u HEAD"];
    let mut all: Vec<Duration> = (0..9)
        .map(|round| {
            let started = Instant::now();
            for (n, script) in scripts.iter().enumerate() {
                let spec = spec(&copy, &format!("bench{}x{round}y{n}", std::process::id()), script);
                let io = Io { stdout: Out::Null, stderr: Out::Null, ..Io::default() };
                assert_eq!(launch(&usable, &spec, io).expect("runs").status, 0, "{script}");
            }
            started.elapsed()
        })
        .collect();
    all.sort();
    all[all.len() / 2]
}

fn spec(copy: &Path, id: &str, script: &str) -> BoxSpec {
    BoxSpec {
        id: id.to_owned(),
        purpose: "run".into(),
        workspace: format!("live:{}", copy.display()),
        mounts: vec![Mount::rw(copy, copy)],
        workdir: copy.to_owned(),
        home: PathBuf::from("/home/agent"),
        env: Vec::new(),
        path_prefix: Vec::new(),
        command: ["sh", "-c", script, &copy.display().to_string()].iter().map(Into::into).collect(),
        user: User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
        limits: Limits { memory: None, millicpus: None, pids: 512 },
        egress: Egress::None,
        image: None,
        proxy: None,
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
