//! Agents on a terminal: no first-run dialog is in the way, and leaving them brings the work back.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{Sample, prompt};
use crate::tools::{docker_works, skipped};

/// Starts `git coop AGENT ARGS… PROMPT` on a terminal, waits for the work, types `quit`, and expects the commit.
fn on_a_terminal(agent: &str, args: &str, quit: &[&str]) {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    let screen = sample.path("screen");
    let text = prompt(&sample.repo(), "notes.txt");
    // the size is set inside: a terminal of no size makes some agents draw nothing
    let line = format!("stty rows 40 cols 120; {} {agent} {args} '{text}'", env!("CARGO_BIN_EXE_git-coop"));
    let mut command = sample.command("script");
    command.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped());
    command.stdout(File::create(&screen).expect("a file")).stderr(Stdio::null());
    command.env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag()).env("TERM", "xterm-256color");
    let mut child = command.spawn().expect("script starts");
    let mut keys = child.stdin.take().expect("piped");
    let shown = || {
        let text = fs::read(&screen).unwrap_or_default();
        format!("{}\n{}", String::from_utf8_lossy(&text), endpoint.requests())
    };
    // its last words come after the tool calls; the file is there by then
    let said = || endpoint.requests().lines().filter(|l| l.contains("\"tools\":true")).count() >= 3;
    let worked = until(60, || said() && sample.repo().join("notes.txt").exists());
    if !worked {
        let _ = child.kill();
    }
    assert!(worked, "{agent} did not work: {}", shown());
    std::thread::sleep(Duration::from_secs(2));
    for key in quit {
        let _ = keys.write_all(key.as_bytes()).and_then(|()| keys.flush());
        std::thread::sleep(Duration::from_millis(700));
    }
    assert!(ends(&mut child), "{agent} did not leave: {}", shown());
    sample.assert_work("main", "notes.txt", &endpoint.requests());
}

fn ends(child: &mut Child) -> bool {
    let ended = until(30, || child.try_wait().expect("a child").is_some());
    if !ended {
        let _ = child.kill();
    }
    ended
}

fn until(seconds: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

#[test]
fn claude_asks_nothing_first() {
    on_a_terminal("claude", "", &["/exit", "\r"]);
}

#[test]
fn codex_asks_nothing_first() {
    on_a_terminal("codex", "", &["/quit", "\r"]);
}

#[test]
fn gemini_asks_nothing_first() {
    on_a_terminal("gemini", "-i", &["/quit", "\r"]);
}
