//! Figures of landing, rebase, review, queue and verify, as ratios against git measured in the same run.
//!
//! `cargo bench --bench land [-- --quick]`. `COOP_BENCH_HISTORY` names a real repository for the rebase figures; without
//! it a history is generated. Every figure is a median of interleaved rounds with its spread.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use coop::cli::Context;
use coop::env::Env;
use coop::flow::Coop;
use coop::flow::fork::create::create;
use coop::flow::land::{GateCandidate, run_gate};
use coop::git::rebase::{Options, Rebased, rebase};
use coop::git::refs::{Edit, Old};
use coop::git::{Oid, picks};
use coop::state::{Fork, ForkName, ForkState, Store};

const ME: &str = "Bench <bench@example.com> 1700000000 +0000";

fn main() {
    let quick = std::env::args().any(|a| a == "--quick");
    let rounds = if quick { 3 } else { 7 };
    let temp = tempfile::Builder::new().prefix("coop-bench-").tempdir_in("/var/tmp").expect("temp dir");
    println!("# landing: medians (least to most) of {rounds} interleaved rounds, milliseconds");
    let env = environment(temp.path());
    rebases(&env, temp.path(), rounds.min(5), quick);
    landing(&env, temp.path(), rounds * 3);
    verify(&env, temp.path(), rounds);
    queue(&env, temp.path(), if quick { 10 } else { 50 });
}

fn environment(temp: &Path) -> Env {
    std::fs::write(
        temp.join(".gitconfig"),
        "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n",
    )
    .expect("configuration");
    let path = Env::of_process().str("PATH").expect("PATH").to_owned();
    let home = temp.display().to_string();
    Env::from_pairs([
        ("PATH", path),
        ("HOME", home),
        ("XDG_CACHE_HOME", "/var/tmp/coop-bench-cache".into()),
        ("COOP_RUNTIME", "bwrap".into()),
        ("COOP_EGRESS", "none".into()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
    ])
}

fn command(env: &Env, dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(env.iter())
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn git(env: &Env, dir: &Path, args: &[&str]) -> String {
    let output =
        command(env, dir, "git").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn timed(what: impl FnOnce()) -> f64 {
    let start = Instant::now();
    what();
    start.elapsed().as_secs_f64() * 1_000.0
}

fn stats(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}

fn row(what: &str, ours: &[f64], than: &str, theirs: &[f64], target: &str) {
    let ((m, lo, hi), (tm, tlo, thi)) = (stats(ours), stats(theirs));
    println!(
        "{what}: {m:.1} ({lo:.1}-{hi:.1}); {than}: {tm:.1} ({tlo:.1}-{thi:.1}); git is {:.2} times ours; target {target}",
        tm / m
    );
}

fn alone(what: &str, ours: &[f64], target: &str) {
    let (m, lo, hi) = stats(ours);
    println!("{what}: {m:.1} ({lo:.1}-{hi:.1}); target {target}");
}

/// A repository with 200 files and `commits` commits that each change one line.
fn repository(env: &Env, dir: &Path, commits: usize) {
    std::fs::create_dir_all(dir).expect("dir");
    git(env, dir, &["init", "-q"]);
    for n in 0..200 {
        let file = dir.join(format!("d{}/f{n}.txt", n / 20));
        std::fs::create_dir_all(file.parent().expect("parent")).expect("dir");
        std::fs::write(file, (0..60).map(|l| format!("line {l} of {n}\n")).collect::<String>()).expect("file");
    }
    git(env, dir, &["add", "-A"]);
    git(env, dir, &["commit", "-qm", "first"]);
    let mut stream = String::new();
    for n in 0..commits {
        let file = n % 200;
        let text: String = (0..60)
            .map(|l| {
                if l == 7 + n / 200 {
                    format!("changed {n}\n")
                } else if l > 7 && l < 7 + n / 200 {
                    format!("changed {}\n", file + 200 * (l - 7))
                } else {
                    format!("line {l} of {file}\n")
                }
            })
            .collect();
        stream.push_str(&format!("commit refs/heads/main\ncommitter {ME}\ndata 3\nc{n:04}"));
        stream.truncate(stream.len() - 2);
        if n == 0 {
            stream.push_str("\nfrom refs/heads/main^0");
        }
        stream.push_str(&format!("\nM 100644 inline d{}/f{file}.txt\ndata {}\n{text}\n", file / 20, text.len()));
    }
    if commits > 0 {
        use std::io::Write;
        let mut child =
            command(env, dir, "git").args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().expect("git");
        child.stdin.take().expect("stdin").write_all(stream.as_bytes()).expect("fed");
        assert!(child.wait().expect("waits").success());
        git(env, dir, &["reset", "-q", "--hard"]);
    }
    git(env, dir, &["repack", "-qad"]);
}

fn coop(env: &Env, dir: &Path) -> Coop {
    Context { env: env.clone(), cwd: dir.to_owned() }.coop().expect("opens")
}

/// The newest `count` commits in a line that are no merges, which git replay refuses: the last one, and the one below them.
fn window(commits: &str, count: usize) -> Option<(String, String)> {
    let lines: Vec<Vec<&str>> = commits.lines().map(|line| line.split(' ').collect()).collect();
    let run = lines.windows(count).find(|run| run.iter().all(|commit| commit.len() == 2))?;
    Some((run[0][0].to_owned(), run[count - 1][1].to_owned()))
}

fn rebases(env: &Env, temp: &Path, rounds: usize, quick: bool) {
    let dir = temp.join("history");
    match Env::of_process().str("COOP_BENCH_HISTORY") {
        Some(source) => drop(git(env, temp, &["clone", "-q", "--no-hardlinks", source, "history"])),
        None => repository(env, &dir, 1_100),
    }
    for count in if quick { vec![100] } else { vec![100, 1_000] } {
        let Some((head, base)) = window(&git(env, &dir, &["rev-list", "--first-parent", "--parents", "HEAD"]), count)
        else {
            println!("rebase of {count} commits: this history has not so many in a line");
            continue;
        };
        let (mut ours, mut theirs, mut replay) = (Vec::new(), Vec::new(), Vec::new());
        let rounds = if count > 500 { rounds.min(3) } else { rounds };
        for round in 0..rounds {
            // a new target in every round, so that nobody finds the objects of the last one
            let blob = dir.join(".git/new-file");
            std::fs::write(&blob, format!("{count} {round}\n")).expect("file");
            let id = git(env, &dir, &["hash-object", "-w", ".git/new-file"]);
            let index = [("GIT_INDEX_FILE", dir.join(".git/bench-index"))];
            let with = |args: &[&str]| {
                let output = command(env, &dir, "git")
                    .envs(index.clone())
                    .args(args)
                    .stdout(Stdio::piped())
                    .output()
                    .expect("git");
                String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
            };
            let _ = with(&["read-tree", &base]);
            let mut onto = Vec::new();
            for who in 0..3 {
                let _ =
                    with(&["update-index", "--add", "--cacheinfo", &format!("100644,{id},a-new-file-{round}-{who}")]);
                let tree = with(&["write-tree"]);
                onto.push(git(env, &dir, &["commit-tree", "-m", "elsewhere", "-p", &base, &tree]));
            }
            let c = coop(env, &dir);
            let parse = |text: &str| Oid::parse(text).expect("id");
            let mut tip = String::new();
            ours.push(timed(|| {
                let range =
                    picks::range(&c.repo, &c.env, &parse(&head), &parse(&onto[0]), &parse(&base)).expect("range");
                let list = picks::picks(&c.repo, &c.env, &range, &parse(&head), &parse(&onto[0]), &parse(&base))
                    .expect("picks");
                match rebase(&c.repo, &c.env, &parse(&onto[0]), &list, &Options::new(ME)).expect("rebases") {
                    Rebased::Done { tip: t, .. } => tip = t.to_string(),
                    Rebased::Conflict(conflict) => panic!("{conflict:?}"),
                }
            }));
            git(env, &dir, &["checkout", "-q", "-f", "--detach", &head]);
            theirs.push(timed(|| drop(git(env, &dir, &["rebase", "-q", &onto[1]]))));
            git(env, &dir, &["checkout", "-q", "-f", "--detach", &head]);
            replay.push(timed(|| drop(git(env, &dir, &["replay", "--onto", &onto[2], &format!("{base}..{head}")]))));
            let again = match rebase(&c.repo, &c.env, &parse(&onto[1]), &[], &Options::new(ME)) {
                Ok(_) => git(env, &dir, &["rev-list", "--count", &format!("{}..{tip}", onto[0])]),
                Err(err) => panic!("{err}"),
            };
            assert!(again.parse::<usize>().expect("a number") >= count, "commits are missing");
        }
        row(&format!("rebase of {count} commits"), &ours, "git rebase", &theirs, "at least 20");
        row(&format!("rebase of {count} commits"), &ours, "git replay", &replay, "at least 1");
    }
}

/// A fork with `commits` commits that add a file each, made with plumbing.
fn fork(env: &Env, dir: &Path, name: &str, commits: usize, file: &str) -> Fork {
    let c = coop(env, dir);
    let mut fork = create(&c, &ForkName::parse(name).expect("name"), None).expect("fork");
    for n in 0..commits {
        std::fs::write(fork.path.join(format!("{file}-{n}")), format!("{name} {n}\n")).expect("file");
        git(env, &fork.path, &["add", "-A"]);
        git(env, &fork.path, &["commit", "-qm", &format!("{name} {n}")]);
    }
    let new = Oid::parse(&git(env, &fork.path, &["rev-parse", "HEAD"])).expect("id");
    let edit = Edit::set(fork.name.head_ref(), Old::Is(fork.head.clone()), new.clone());
    fork.head = new;
    fork.state = ForkState::Review;
    fork.record(&Store::open(&c.repo, &c.env).expect("store"), "ended", vec![edit]).expect("records");
    fork
}

fn landing(env: &Env, temp: &Path, rounds: usize) {
    let dir = temp.join("landing");
    repository(env, &dir, 50);
    let (mut ours, mut theirs, mut stat) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let name = format!("l{round}");
        fork(env, &dir, &name, 3, &name);
        git(env, &dir, &["branch", "-q", "theirs", &format!("refs/coop/forks/{name}/head")]);
        git(env, &dir, &["commit", "-q", "--allow-empty", "-m", "target moves"]);
        let run = |program: &str, args: &[&str]| {
            let status = command(env, &dir, program).args(args).status().expect("runs");
            assert!(status.success(), "{program} {args:?}");
        };
        stat.push(timed(|| run(env!("CARGO_BIN_EXE_git-coop-review"), &["--stat", &name])));
        let before = git(env, &dir, &["rev-parse", "HEAD"]);
        theirs.push(timed(|| {
            run("git", &["rebase", "-q", "main", "theirs"]);
            run("git", &["checkout", "-q", "main"]);
            run("git", &["merge", "-q", "--ff-only", "theirs"]);
        }));
        git(env, &dir, &["reset", "-q", "--hard", &before]);
        git(env, &dir, &["branch", "-q", "-D", "theirs"]);
        ours.push(timed(|| run(env!("CARGO_BIN_EXE_git-coop-merge"), &[&name, "--yes"])));
    }
    row(
        "landing 3 commits, whole command",
        &ours,
        "git rebase + merge --ff-only",
        &theirs,
        "100 ms at most, and at least 5 times",
    );
    alone("review --stat", &stat, "50 ms at most");
}

fn verify(env: &Env, temp: &Path, rounds: usize) {
    let dir = temp.join("verify");
    repository(env, &dir, 0);
    fork(env, &dir, "many", 10, "many");
    let mut record = Fork::load(&coop(env, &dir).repo, env, &ForkName::parse("many").expect("name")).expect("fork");
    let tree = git(env, &dir, &["rev-parse", &format!("{}^{{tree}}", record.head)]);
    let mut tip = record.head.to_string();
    for n in 0..990 {
        tip = git(env, &dir, &["commit-tree", "-m", &format!("m{n}"), "-p", &tip, &tree]);
    }
    let new = Oid::parse(&tip).expect("id");
    let c = coop(env, &dir);
    let edit = Edit::set(record.name.head_ref(), Old::Is(record.head.clone()), new.clone());
    record.head = new;
    record.record(&Store::open(&c.repo, &c.env).expect("store"), "ended", vec![edit]).expect("records");
    let before = git(env, &dir, &["rev-parse", "main"]);
    let status =
        command(env, &dir, env!("CARGO_BIN_EXE_git-coop-merge")).args(["many", "--yes", "--gate", "true"]).status();
    assert!(status.expect("runs").success(), "landing 1,000 commits");
    let range = format!("{before}..main");
    assert_eq!(git(env, &dir, &["rev-list", "--count", &range]), "1000");
    let mut ours = Vec::new();
    for _ in 0..rounds {
        ours.push(timed(|| {
            let status =
                command(env, &dir, env!("CARGO_BIN_EXE_git-coop")).args(["verify", &range]).status().expect("runs");
            assert!(status.success(), "verify");
        }));
    }
    alone("verify of 1,000 landed commits", &ours, "2,000 ms at most");
}

fn queue(env: &Env, temp: &Path, count: usize) {
    let dir: PathBuf = temp.join("queue");
    repository(env, &dir, 50);
    let bad = count / 10;
    for n in 0..count {
        let file = if n < bad { "bad".to_owned() } else { format!("good{n}") };
        fork(env, &dir, &format!("q{n:02}"), 1, &file);
    }
    git(env, &dir, &["config", "coop.gate", "test ! -e bad-0"]);
    let c = coop(env, &dir);
    let usable = match c.runtime() {
        Ok(usable) => usable,
        Err(err) => return println!("queue: not measured: {err}"),
    };
    // what the gate costs by itself: its box with the checkout in it, and what coop lays out for that box
    let (mut boxes, mut gates) = (Vec::new(), Vec::new());
    let one = Fork::load(&c.repo, &c.env, &ForkName::parse("q00").expect("name")).expect("fork");
    let own = c.dir("forks/q00").expect("directory");
    for _ in 0..9 {
        let candidate = GateCandidate { commit: &one.head, base: &one.base, label: "bench", own: &own };
        let mut boxed = 0.0;
        gates.push(timed(|| {
            boxed = run_gate(&c, &usable, &candidate, "true").expect("a box").boxed.as_secs_f64() * 1_000.0;
        }));
        boxes.push(boxed);
    }
    let mut output = None;
    let all = timed(|| {
        let mut command = command(env, &dir, env!("CARGO_BIN_EXE_git-coop-merge"));
        output = Some(command.args(["--all", "--keep-going", "--yes"]).stdout(Stdio::piped()).output().expect("runs"));
    });
    let text = String::from_utf8_lossy(&output.expect("output").stdout).into_owned();
    let landed = text.lines().filter(|l| l.split_whitespace().nth(1) == Some("landed")).count();
    let failed = text.lines().filter(|l| matches!(l.split_whitespace().nth(1), Some("failed" | "conflict"))).count();
    println!("queue of {count} forks, {bad} bad: {landed} landed, {failed} named; target {} and {bad}", count - bad);
    alone("the gate's box alone", &boxes, "none");
    alone("the gate's box with what is laid out for it", &gates, "none");
    let each = all / count as f64;
    println!("queue: {each:.1} per fork, {:.1} more than the gate's box; target 50 at most", each - stats(&boxes).0);
}
