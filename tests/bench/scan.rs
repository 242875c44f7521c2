//! The scanner beside its peers: `make bench`, or `cargo bench --bench scan`.
//!
//! `COOP_PEERS` names a directory with the programs of the peers (gitleaks, betterleaks, kingfisher, ripsecrets, git-secrets,
//! detect-secrets-hook; what is not there is left out), `COOP_BENCH_TREE` a large source tree (Debian's linux-source, unpacked), `COOP_BENCH_HISTORY` a git
//! repository with a long history. The staged check makes its own repository. CPU seconds are user and system together.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Medians; `cpu` with the least and the most.
struct Cost {
    cpu: [f64; 3],
    wall: f64,
    memory: f64,
}

fn var(name: &str) -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods)] // a program of its own, not the library
    std::env::var_os(name).map(PathBuf::from)
}

/// Medians of `rounds` through GNU time, whose clock has steps of 10 ms: what is quicker runs `times` in a row, and each
/// counts for its part.
fn measure(rounds: usize, times: usize, dir: &Path, program: &Path, args: &[&str]) -> Option<Cost> {
    const AGAIN: &str = "n=$1; shift; while [ $n -gt 0 ]; do \"$@\" >/dev/null 2>&1; n=$((n-1)); done";
    let (mut cpu, mut wall, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%U %S %M", "sh", "-c", AGAIN, "sh", &times.to_string()]).arg(program).args(args);
        let output = command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = output.output().ok()?;
        wall.push(start.elapsed().as_secs_f64() / times as f64);
        let text = String::from_utf8_lossy(&output.stderr);
        let fields: Vec<f64> = text.lines().next_back()?.split(' ').filter_map(|f| f.parse().ok()).collect();
        let [user, system, kilobytes] = fields[..] else { return None };
        cpu.push((user + system) / times as f64);
        memory.push(kilobytes / 1024.0);
    }
    [&mut cpu, &mut wall, &mut memory].into_iter().for_each(|all| all.sort_by(f64::total_cmp));
    let middle = rounds / 2;
    Some(Cost { cpu: [cpu[middle], cpu[0], cpu[rounds - 1]], wall: wall[middle], memory: memory[middle] })
}

fn row(what: &str, who: &str, cost: &Option<Cost>, ours: &Option<Cost>) {
    match (cost, ours) {
        (Some(c), Some(o)) => println!(
            "{what:8} {who:20} {:8.3} CPU s ({:.3}-{:.3}) {:7.3} s {:5.0} MB   {:.2} x our CPU",
            c.cpu[0],
            c.cpu[1],
            c.cpu[2],
            c.wall,
            c.memory,
            c.cpu[0] / o.cpu[0].max(0.0001)
        ),
        _ => println!("{what:8} {who:20} not measured"),
    }
}

fn main() {
    let ours = Path::new(env!("CARGO_BIN_EXE_git-coop-scan"));
    let peers = var("COOP_PEERS");
    let peer = |name: &str| peers.as_ref().map(|dir| dir.join(name)).filter(|p| p.is_file());
    let temporary = tempfile::tempdir().expect("temporary directory");
    let dir = temporary.path();
    let report = dir.join("report.json");
    let report = report.to_str().expect("UTF-8");

    if let Some(tree) = var("COOP_BENCH_TREE") {
        let tree = tree.to_str().expect("UTF-8");
        let own = measure(3, 1, dir, ours, &[tree]);
        row("tree", "git coop scan", &own, &own);
        for (name, args) in [
            ("kingfisher", &["scan", tree, "--no-validate", "--no-update-check", "-o", report][..]),
            ("betterleaks", &[tree, "-o", report]),
            ("gitleaks", &["dir", tree, "-r", report, "--no-banner"]),
        ] {
            if let Some(program) = peer(name) {
                row("tree", name, &measure(1, 1, dir, &program, args), &own);
            }
        }
    } else {
        println!("tree: skipped, COOP_BENCH_TREE names none");
    }
    if let Some(history) = var("COOP_BENCH_HISTORY") {
        let cache = history.join(".git/coop");
        let _ = std::fs::remove_dir_all(&cache); // the first run has none
        let first = measure(1, 1, &history, ours, &["--history"]);
        row("history", "git coop scan", &first, &first);
        row("history", "the second time", &measure(3, 1, &history, ours, &["--history"]), &first);
        let floor = measure(1, 1, &history, Path::new("git"), &["log", "-p", "-U0", "--all"]);
        row("history", "git log -p -U0", &floor, &first);
        for (name, args) in [
            ("betterleaks", &["git", ".", "-o", report][..]),
            ("kingfisher", &["scan", ".", "--no-validate", "--no-update-check", "-o", report]),
            ("gitleaks", &["git", ".", "-r", report, "--no-banner"]),
        ] {
            if let Some(program) = peer(name) {
                row("history", name, &measure(1, 1, &history, &program, args), &first);
            }
        }
    } else {
        println!("history: skipped, COOP_BENCH_HISTORY names none");
    }
    let repo = staged(dir);
    let own = measure(5, 20, &repo, ours, &["--staged"]);
    row("staged", "git coop scan", &own, &own);
    row("staged", "git diff --cached", &measure(5, 20, &repo, Path::new("git"), &["diff", "--cached"]), &own);
    if let Some(program) = peer("git-secrets") {
        let registered = Command::new(&program).arg("--register-aws").current_dir(&repo).status();
        assert!(registered.is_ok_and(|s| s.success()), "git-secrets --register-aws");
        row("staged", "git-secrets", &measure(3, 5, &repo, &program, &["--pre_commit_hook"]), &own);
    }
    let files: Vec<String> = (0..5).map(|f| format!("d{f}/e{f}/f{f}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    for (name, args) in [
        ("ripsecrets", &files[..]),
        ("detect-secrets-hook", &files),
        ("betterleaks", &["git", "--staged", "."]),
        ("gitleaks", &["git", "--pre-commit", "--staged", "."]),
        ("kingfisher", &["scan", ".", "--staged", "--no-validate"]),
    ] {
        if let Some(program) = peer(name) {
            row("staged", name, &measure(3, 5, &repo, &program, args), &own);
        }
    }
}

/// 50,000 files in the index, five of them staged with 40 new lines each.
fn staged(dir: &Path) -> PathBuf {
    let repo = dir.join("repo");
    for d in 0..500 {
        let sub = repo.join(format!("d{}/e{}", d / 25, d % 25));
        std::fs::create_dir_all(&sub).expect("directory");
        for f in 0..100 {
            std::fs::write(sub.join(format!("f{f}")), format!("file {d} {f}\n")).expect("file");
        }
    }
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        assert!(
            Command::new("git").args(identity).args(args).current_dir(&repo).status().expect("git").success(),
            "git {args:?}"
        );
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "x"]);
    for f in 0..5 {
        let lines: String = (0..40).map(|n| format!("let value_{n} = compute({n}, \"text {n}\");\n")).collect();
        std::fs::write(repo.join(format!("d{f}/e{f}/f{f}")), lines).expect("file");
    }
    git(&["add", "."]);
    repo
}
