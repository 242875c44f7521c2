//! A key that stays outside: the real CLIs work with it, in a box that reaches nothing but its own model, and no byte of
//! it is anywhere in the box.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{KEY, Sample, prompt};
use crate::tools::{docker_works, run, skipped, try_run};

/// An agent that waits for its model's third answer in a box.
struct AtWork {
    sample: Sample,
    endpoint: Endpoint,
    child: Child,
}

impl AtWork {
    /// In a box that reaches its model and nothing else; the model is on this machine's loopback.
    fn start(agent: &str, words: &[&str]) -> AtWork {
        let sample = Sample::new();
        let endpoint = Endpoint::on("127.0.0.1", "127.0.0.1", sample.path("requests"));
        AtWork::start_with(sample, endpoint, "allowlist", agent, words, &[])
    }

    /// In a box that talks to its model by itself.
    fn start_open(agent: &str, words: &[&str], options: &[&str]) -> AtWork {
        let sample = Sample::new();
        let endpoint = Endpoint::on_bridge(sample.path("requests"));
        AtWork::start_with(sample, endpoint, "open", agent, words, options)
    }

    fn start_with(
        sample: Sample,
        endpoint: Endpoint,
        egress: &str,
        agent: &str,
        words: &[&str],
        options: &[&str],
    ) -> AtWork {
        sample.use_endpoint(&endpoint.url);
        let text = format!("{} STALL", prompt(&sample.fork("feature"), "notes.txt"));
        let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop"));
        command.args(["fork", "feature", agent]).args(options).arg("--").args(words).arg(&text);
        command.env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag()).env("COOP_EGRESS", egress);
        let log = File::create(sample.path("printed")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a copy")).stderr(log);
        let mut work = AtWork { sample, endpoint, child: command.spawn().expect("starts") };
        let end = Instant::now() + Duration::from_secs(120);
        while work.asked() < 3 {
            let ended = work.child.try_wait().expect("waits");
            let printed = || std::fs::read_to_string(work.sample.path("printed")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < end, "{ended:?}\n{}\n{}", printed(), work.endpoint.requests());
            std::thread::sleep(Duration::from_millis(100));
        }
        work
    }

    /// Requests that offer tools: the agent's turns.
    fn asked(&self) -> usize {
        self.endpoint.requests().lines().filter(|line| line.contains("\"tools\":true")).count()
    }

    /// All processes of the box.
    fn processes(&self) -> Vec<u32> {
        let filter = format!("label=coop.workspace=fork:{}", self.sample.fork("feature").display());
        let id = run(Command::new("docker").args(["ps", "-q", "--filter", &filter]));
        let first = run(Command::new("docker").args(["inspect", "--format", "{{.State.Pid}}", &id]));
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = space(&first);
        assert!(ours.is_some(), "the box runs");
        let all = std::fs::read_dir("/proc").expect("proc").flatten();
        all.filter_map(|e| e.file_name().into_string().ok())
            .filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()) && space(pid) == ours)
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut stop = self.sample.command(env!("CARGO_BIN_EXE_git-coop"));
        stop.args(["fork", "stop", "feature"]).env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag());
        try_run(&mut stop);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `key` is found in the box, and how many bytes were looked at.
fn search(work: &AtWork, key: &str) -> (Vec<String>, u64) {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let processes = work.processes();
    assert!(processes.len() >= 2, "{processes:?}");
    for pid in &processes {
        memory(*pid, key, &mut found, &mut bytes);
        for name in ["environ", "cmdline"] {
            file(Path::new(&format!("/proc/{pid}/{name}")), key, &mut found, &mut bytes);
        }
    }
    let root = PathBuf::from(format!("/proc/{}/root", processes[0]));
    for dir in ["home", "tmp", "run", "etc", "var", "root", "opt"].map(|d| root.join(d)) {
        walk(&dir, key, &mut found, &mut bytes);
    }
    let tree = work.sample.fork("feature");
    walk(&root.join(tree.strip_prefix("/").expect("absolute")), key, &mut found, &mut bytes);
    (found, bytes)
}

fn memory(pid: u32, key: &str, found: &mut Vec<String>, bytes: &mut u64) {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(mem) = File::open(format!("/proc/{pid}/mem")) else { panic!("the memory of {pid} cannot be read") };
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with('r'))) {
        let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) else { continue };
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let (mut at, end) = (number(from), number(to));
        let mut buffer = vec![0u8; 4 << 20];
        while at < end {
            let want = usize::try_from((end - at).min(buffer.len() as u64)).expect("fits");
            // what was never touched, or is the kernel's, is skipped page by page
            let Some(count) = mem.read_at(&mut buffer[..want], at).ok().filter(|n| *n > 0) else {
                at += 4096;
                continue;
            };
            *bytes += count as u64;
            if memchr::memmem::find(&buffer[..count], key.as_bytes()).is_some() {
                found.push(format!("memory of {pid}: {line}"));
            }
            at +=
                if count > key.len() && (at + count as u64) < end { (count - key.len()) as u64 } else { count as u64 };
        }
    }
}

fn file(path: &Path, key: &str, found: &mut Vec<String>, bytes: &mut u64) {
    if let Ok(text) = std::fs::read(path) {
        *bytes += text.len() as u64;
        if memchr::memmem::find(&text, key.as_bytes()).is_some() {
            found.push(path.display().to_string());
        }
    }
}

fn walk(dir: &Path, key: &str, found: &mut Vec<String>, bytes: &mut u64) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), key, found, bytes),
            Ok(kind) if kind.is_file() => file(&entry.path(), key, found, bytes),
            _ => {}
        }
    }
}

fn stays_outside(agent: &str, words: &[&str]) {
    if skipped("docker", docker_works()) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: reading the memory of a container needs root");
        return;
    }
    let work = AtWork::start(agent, words);
    let (found, bytes) = search(&work, KEY);
    assert_eq!(found, Vec::<String>::new(), "of {bytes} bytes");
    assert!(bytes > 50 << 20, "only {bytes} bytes were looked at");
    let (stand_ins, _) = search(&work, "coop-keeps-the-key-outside");
    assert!(!stand_ins.is_empty(), "the search finds what is there");
    assert!(work.endpoint.requests().lines().filter(|l| l.contains("\"tools\":true")).all(|l| l.contains(KEY)));
    println!("{agent}: the key is in 0 of {bytes} bytes");
}

#[test]
fn the_key_of_claude_stays_outside() {
    stays_outside("claude", &["-p"]);
}

#[test]
fn the_key_of_codex_stays_outside() {
    stays_outside("codex", &["exec"]);
}

#[test]
fn the_key_of_gemini_stays_outside() {
    stays_outside("gemini", &["-p"]);
}

/// What the search finds where the user wants the key in the box: the same run with one option more.
#[test]
fn a_key_that_is_in_the_box_is_found() {
    if skipped("docker", docker_works()) || !rustix::process::geteuid().is_root() {
        return;
    }
    let work = AtWork::start_open("claude", &["-p"], &["--key-in-box"]);
    let (found, _) = search(&work, KEY);
    assert!(
        found.iter().any(|place| place.starts_with("memory")) && found.iter().any(|p| p.ends_with("environ")),
        "{found:?}"
    );
}
