//! What detection asks the machine, behind a trait so that it is tested without any runtime.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::env::Env;

use super::super::sys;

/// How a probed program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status, 128+n for a signal; `None` when it could not be started or ran out of time.
    pub status: Option<i32>,
    /// Standard output, at most 1 MiB.
    pub stdout: String,
    /// Standard error, at most 64 KiB.
    pub stderr: String,
}

impl Ran {
    /// Whether it exited 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
    /// The last line it wrote to standard error that is not empty.
    pub fn complaint(&self) -> String {
        let line = self.stderr.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason");
        line.trim_start_matches("Error: ").chars().take(300).collect()
    }
}

/// Questions to the machine.
pub trait Probes {
    /// Runs `program`, for at most `limit`; then it and its process group are killed.
    fn run(&self, program: &Path, args: &[&OsStr], limit: Duration) -> Ran;
    /// Whether a unix socket accepts a connection.
    fn connect(&self, socket: &Path) -> std::io::Result<()>;
    /// A small text file of the host.
    fn read(&self, path: &Path) -> Option<String>;
    /// The target of a symbolic link.
    fn link(&self, path: &Path) -> Option<PathBuf>;
    /// Something that changes when the file at `path` is replaced.
    fn stamp(&self, path: &Path) -> Option<String>;
    /// An answer remembered under `name`, if it was stored with the same `key`.
    fn recall(&self, name: &str, key: &str) -> Option<String>;
    /// Remembers an answer; failure to do so only costs time.
    fn remember(&self, name: &str, key: &str, answer: &str);
    /// An empty directory that may be used as the root of a probe container.
    fn scratch(&self) -> Option<PathBuf>;
    /// Hard limits of this process: open files and processes, `None` where unlimited.
    fn hard_limits(&self) -> (Option<u64>, Option<u64>);
    /// Effective user id.
    fn euid(&self) -> u32;
}

/// The real machine. Answers are remembered in `<cache>/probe`.
#[derive(Debug)]
pub struct System {
    env: Env,
}

impl System {
    /// Probes with the user's environment.
    pub fn new(env: &Env) -> Self {
        System { env: env.clone() }
    }
    fn cache(&self, name: &str) -> PathBuf {
        self.env.cache_dir().join("probe").join(format!("{name}-{}", self.euid()))
    }
}

impl Probes for System {
    fn run(&self, program: &Path, args: &[&OsStr], limit: Duration) -> Ran {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(self.env.iter()).current_dir("/").process_group(0);
        timed(command, limit)
    }
    fn connect(&self, socket: &Path) -> std::io::Result<()> {
        std::os::unix::net::UnixStream::connect(socket).map(|_| ())
    }
    fn read(&self, path: &Path) -> Option<String> {
        let mut text = String::new();
        std::fs::File::open(path).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
        Some(text)
    }
    fn link(&self, path: &Path) -> Option<PathBuf> {
        std::fs::read_link(path).ok()
    }
    fn stamp(&self, path: &Path) -> Option<String> {
        let m = std::fs::metadata(path).ok()?;
        Some(format!("{}:{}:{}:{}:{}", m.dev(), m.ino(), m.size(), m.mtime_nsec(), m.ctime()))
    }
    fn recall(&self, name: &str, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.cache(name)).ok()?;
        let (first, answer) = text.split_once('\n')?;
        (first == key).then(|| answer.to_owned())
    }
    fn remember(&self, name: &str, key: &str, answer: &str) {
        let path = self.cache(name);
        let part = path.with_extension(format!("{}.part", std::process::id()));
        // a cache that cannot be written is only slow
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(&part, format!("{key}\n{answer}")).and_then(|()| std::fs::rename(&part, &path));
    }
    fn scratch(&self) -> Option<PathBuf> {
        let dir = self.env.cache_dir().join("probe/rootfs");
        std::fs::create_dir_all(&dir).ok()?;
        Some(dir)
    }
    fn hard_limits(&self) -> (Option<u64>, Option<u64>) {
        use rustix::process::{Resource, getrlimit};
        (getrlimit(Resource::Nofile).maximum, getrlimit(Resource::Nproc).maximum)
    }
    fn euid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }
}

/// Runs `command` without input for at most `limit`. Its process group is killed then; so is what it left behind.
pub fn timed(mut command: Command, limit: Duration) -> Ran {
    let failed = |reason: String| Ran { status: None, stdout: String::new(), stderr: reason };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(err) => return failed(err.to_string()),
    };
    let group = i32::try_from(child.id()).unwrap_or(0);
    let out = child.stdout.take().map(|pipe| std::thread::spawn(move || bounded(pipe, 1 << 20)));
    let err = child.stderr.take().map(|pipe| std::thread::spawn(move || bounded(pipe, 1 << 16)));
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(exit_status(status)),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(pause),
            _ => break None,
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    if let Some(pid) = rustix::process::Pid::from_raw(group) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    if status.is_none() {
        sys::kill(group, 9);
        let _ = child.wait();
        return failed(format!("no answer within {} s", limit.as_secs_f32()));
    }
    let text = |reader: Option<std::thread::JoinHandle<String>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
    Ran { status, stdout: text(out), stderr: text(err) }
}

fn bounded(pipe: impl std::io::Read, limit: u64) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.take(limit).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit status as a shell shows it: 128+n for signal n.
pub fn exit_status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|n| 128 + n)).unwrap_or(255)
}
