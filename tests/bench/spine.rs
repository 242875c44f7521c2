//! Figures of forks, lists and imports, as ratios against git measured in the same run.
//!
//! `cargo bench --bench spine [-- --quick]`. Every figure is a median of interleaved rounds with its spread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use coop::env::Env;
use coop::flow::fork::{create, finish, remove, spare, workspace};
use coop::flow::{Coop, import};
use coop::git::Repo;
use coop::settings::Settings;
use coop::state::{Fork, ForkName};

fn main() {
    let quick = std::env::args().any(|a| a == "--quick");
    let rounds = if quick { 3 } else { 7 };
    let temp = tempfile::Builder::new().prefix("coop-bench-").tempdir_in("/var/tmp").expect("temp dir");
    println!("# forks, lists, imports: medians (least to most) of {rounds} interleaved rounds, milliseconds");
    let large = repository(&temp.path().join("large"), 5_000, if quick { 10 } else { 100 });
    seed(&large, rounds);
    forks("5,000 files", &large, rounds, true);
    import_figures(&large, rounds);
    lists(&large, rounds);
    let wide = repository(&temp.path().join("wide"), if quick { 6_000 } else { 60_000 }, 0);
    forks("60,000 files", &wide, rounds.min(5), false);
    programs(rounds);
}

/// A repository with `files` files in directories of 50, and about `megabytes` of incompressible history.
fn repository(path: &Path, files: usize, megabytes: usize) -> PathBuf {
    std::fs::create_dir_all(path).expect("dir");
    git(path, &["init", "-q", "-b", "main"]);
    git(path, &["config", "user.name", "Bench"]);
    git(path, &["config", "user.email", "bench@example.com"]);
    git(path, &["config", "gc.auto", "0"]);
    for n in 0..files {
        let dir = path.join(format!("d{}", n / 50));
        std::fs::create_dir_all(&dir).expect("dir");
        std::fs::write(dir.join(format!("f{n}.txt")), format!("file {n}\n").repeat(20)).expect("file");
    }
    for n in 0..megabytes {
        let mut state = n as u64 + 1;
        let bytes: Vec<u8> = (0..1 << 20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect();
        std::fs::write(path.join("blob.bin"), bytes).expect("file");
        git(path, &["add", "-A"]);
        git(path, &["commit", "-qm", &format!("c{n}")]);
    }
    git(path, &["add", "-A"]);
    git(path, &["commit", "-q", "--allow-empty", "-m", "last"]);
    git(path, &["repack", "-qad"]);
    path.canonicalize().expect("canonical")
}

fn coop(path: &Path) -> Coop {
    let pairs =
        [("PATH", path_var()), ("HOME", "/nonexistent".into()), ("XDG_CACHE_HOME", "/var/tmp/coop-bench-cache".into())];
    let env = Env::from_pairs(pairs);
    let mut settings = Settings::resolve(&env, &BTreeMap::new(), "").expect("settings");
    settings.set("COOP_RUNTIME", "bwrap").expect("setting");
    settings.set("COOP_EGRESS", "none").expect("setting");
    let repo = Repo::discover(path, &env).expect("repository");
    let config = coop::git::config::read(&repo, &env).expect("configuration");
    Coop::new(&env, repo, config, settings)
}

fn seed(path: &Path, rounds: usize) {
    let (mut ours, mut git_pack) = (Vec::new(), Vec::new());
    for _ in 0..rounds.min(3) {
        let coop = coop(path);
        let _ = std::fs::remove_dir_all(path.join(".git/coop/seed"));
        let tip = coop::git::refs::read(&coop.repo, &coop.env, "HEAD").expect("reads").expect("a commit");
        ours.push(timed(|| {
            coop::git::seed::ensure(&coop.repo, &coop.env, &tip, false, |_| {}).expect("seed");
        }));
        let out = path.join(".git/bench-pack");
        std::fs::create_dir_all(&out).expect("dir");
        git_pack.push(timed(|| {
            let script = "git rev-parse HEAD | git pack-objects -q --revs --delta-base-offset .git/bench-pack/p";
            let status = Command::new("sh").args(["-c", script]).current_dir(path).stdout(Stdio::null()).status();
            assert!(status.expect("runs").success());
        }));
        let _ = std::fs::remove_dir_all(&out);
    }
    row("first fork's seed store", &ours, "git pack-objects --revs", &git_pack, "at most 1.2");
}

fn forks(what: &str, path: &Path, rounds: usize, against_clone: bool) {
    let coop = coop(path);
    let (mut ours, mut taken, mut clone, mut tree) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let beside = path.parent().expect("parent").to_owned();
    let fork = |name: String| {
        let name = ForkName::parse(&name).expect("name");
        timed(|| drop(create::create(&coop, &name, None).expect("fork")))
    };
    fork("warm".into());
    for round in 0..rounds {
        // nothing is removed between rounds: ext4 makes files slowly where it has just deleted some
        ours.push(fork(format!("b{round}")));
        // what the process of the fork before does while its agent works; three files have changed since
        spare::ready(&coop, &AtomicBool::new(false)).expect("ready");
        for file in ["d0/f0.txt", "d1/f50.txt", "d2/f100.txt"] {
            std::fs::write(path.join(file), format!("round {round}\n")).expect("file");
        }
        git(path, &["commit", "-qam", "three files"]);
        let tip = coop::git::refs::read(&coop.repo, &coop.env, "HEAD").expect("reads").expect("a commit");
        coop::git::seed::ensure(&coop.repo, &coop.env, &tip, false, |_| {}).expect("seed");
        taken.push(fork(format!("t{round}")));
        if against_clone {
            let to = beside.join(format!("clone{round}"));
            clone.push(timed(|| {
                git(path, &["clone", "-q", "--local", "--no-hardlinks", ".", to.to_str().expect("text")])
            }));
        }
        let to = beside.join(format!("{}-tree{round}", path.file_name().expect("name").to_string_lossy()));
        tree.push(timed(|| git(path, &["worktree", "add", "-q", "--detach", to.to_str().expect("text")])));
    }
    for (how, ours) in [("one is ready", &taken), ("none is ready", &ours)] {
        let what = format!("fork, {what}, {how}");
        if against_clone {
            row(&what, ours, "git clone --local --no-hardlinks", &clone, "at most 0.33");
        }
        row(&what, ours, "git worktree add", &tree, "at most 1");
    }
}

fn import_figures(path: &Path, rounds: usize) {
    let coop = coop(path);
    let usable = match coop.runtime() {
        Ok(usable) => usable,
        Err(err) => return println!("import: not measured: {err}"),
    };
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    let beside = path.parent().expect("parent");
    for round in 0..rounds {
        let name = ForkName::parse(&format!("import{round}")).expect("name");
        let mut fork = create::create(&coop, &name, None).expect("fork");
        // commits as a box would have made them; the host writes here only because no box ever will
        let private = workspace(&coop, &fork).expect("workspace").private;
        let store = path.join(".git/objects");
        std::fs::write(private.join("objects/info/alternates"), format!("{}\n", store.display())).expect("alternates");
        let script = format!(
            "export GIT_DIR={0}; for i in $(seq 100); do t=$(git rev-parse HEAD^{{tree}}); \
             c=$(echo c{round}-$i | git -c user.name=a -c user.email=a@b commit-tree $t -p HEAD); git update-ref refs/heads/{name} $c; done",
            private.display()
        );
        assert!(Command::new("sh").args(["-c", &script]).status().expect("runs").success());
        let other = beside.join(format!("other{round}"));
        git(path, &["clone", "-q", "--shared", "--no-checkout", ".", other.to_str().expect("text")]);
        let script = format!(
            "cd {}; for i in $(seq 100); do t=$(git rev-parse HEAD^{{tree}}); \
             c=$(echo p{round}-$i | git -c user.name=a -c user.email=a@b commit-tree $t -p HEAD); git update-ref HEAD $c; done",
            other.display()
        );
        assert!(Command::new("sh").args(["-c", &script]).status().expect("runs").success());
        std::fs::write(private.join("objects/info/alternates"), "/coop/objects\n").expect("alternates");
        plain.push(timed(|| {
            git(path, &["fetch", "-q", "--no-tags", other.to_str().expect("text"), &format!("HEAD:refs/bench/{round}")])
        }));
        ours.push(timed(|| {
            let known = [fork.base.clone()];
            let space = workspace(&coop, &fork).expect("workspace");
            let incoming = import::collect(&coop, &usable, &space, &known).expect("collected");
            finish::record(&coop, &mut fork, &incoming, "bench", Some(0)).expect("recorded");
        }));
    }
    row("import of 100 commits (box, fetch, record)", &ours, "plain git fetch", &plain, "at most 3");
}

fn lists(path: &Path, rounds: usize) {
    let coop = coop(path);
    for name in Fork::all(&coop.repo, &coop.env).expect("forks") {
        remove::drop_fork(&coop, &name).expect("dropped");
    }
    for count in [100usize, 1_000] {
        let have = Fork::all(&coop.repo, &coop.env).expect("forks").len();
        let store = coop::state::Store::open(&coop.repo, &coop.env).expect("store");
        let tip = coop::git::refs::read(&coop.repo, &coop.env, "HEAD").expect("reads").expect("a commit");
        for n in have..count {
            let name = ForkName::parse(&format!("l{n}")).expect("name");
            let mut fork = Fork {
                name: name.clone(),
                tip: None,
                updated: 0,
                state: coop::state::ForkState::Review,
                base: tip.clone(),
                head: tip.clone(),
                path: path.join("x"),
                more: vec![("Agent".into(), "claude".into()), ("Ahead".into(), "3".into())],
            };
            let head = coop::git::refs::Edit::set(name.head_ref(), coop::git::refs::Old::Missing, tip.clone());
            fork.record(&store, "bench", vec![head]).expect("recorded");
        }
        let program = env!("CARGO_BIN_EXE_git-coop-fork");
        let ours = measured(rounds, || run(path, program, &["ls"]));
        let git_list = measured(rounds, || run(path, "git", &["for-each-ref", "refs/coop/forks/*/meta"]));
        let target = if count == 100 { "30 ms" } else { "60 ms" };
        row(&format!("git coop fork ls, {count} forks"), &ours, "git for-each-ref", &git_list, target);
    }
}

fn programs(rounds: usize) {
    let program = env!("CARGO_BIN_EXE_git-coop");
    let ours = measured(rounds, || run(Path::new("/"), program, &["--version"]));
    let git_version = measured(rounds, || run(Path::new("/"), "git", &["--version"]));
    row("git coop --version", &ours, "git --version", &git_version, "10 ms");
}

fn measured(rounds: usize, mut what: impl FnMut()) -> Vec<Duration> {
    (0..rounds).map(|_| timed(&mut what)).collect()
}

fn timed(mut what: impl FnMut()) -> Duration {
    let start = Instant::now();
    what();
    start.elapsed()
}

fn row(what: &str, ours: &[Duration], other: &str, theirs: &[Duration], target: &str) {
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let stats = |all: &[Duration]| {
        let mut all = all.to_vec();
        all.sort();
        (ms(all[all.len() / 2]), ms(all[0]), ms(all[all.len() - 1]))
    };
    let (a, b) = (stats(ours), stats(theirs));
    println!(
        "{what:<46} {:>8.1} ({:.1}-{:.1})  {other:<34} {:>8.1} ({:.1}-{:.1})  ratio {:.2}  target {target}",
        a.0,
        a.1,
        a.2,
        b.0,
        b.1,
        b.2,
        a.0 / b.0
    );
}

fn git(dir: &Path, args: &[&str]) {
    run(dir, "git", args);
}

fn run(dir: &Path, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_clear().env("PATH", path_var()).env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    assert!(command.status().expect("runs").success(), "{program} {args:?}");
}

#[allow(clippy::disallowed_methods)] // a program of its own
fn path_var() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into())
}
