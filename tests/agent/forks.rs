//! The main job: `git coop fork NAME AGENT` and `git coop AGENT` with the real CLIs, and the commits back in the
//! user's repository.

use std::process::Output;

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{Sample, prompt};
use crate::tools::{both, docker_works, skipped, try_run};

/// `git coop` of the user, in docker boxes of the test image.
fn coop(sample: &Sample, args: &[&str]) -> Output {
    let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop"));
    command.args(args).env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag()).env("COOP_EGRESS", "open");
    let output = try_run(&mut command);
    assert_eq!(output.status.code(), Some(0), "git coop {args:?}\n{}", both(&output));
    output
}

fn fork(agent: &str, headless: &[&str]) {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    let before = sample.git(&["rev-parse", "main"]);
    let ask = |file: &str| {
        let text = prompt(&sample.fork("feature"), file);
        let args: Vec<&str> =
            ["fork", "feature", agent, "--"].iter().chain(headless).copied().chain([&*text]).collect();
        coop(&sample, &args)
    };
    ask("notes.txt");
    let head = "refs/coop/forks/feature/head";
    sample.assert_work(head, "notes.txt", &endpoint.requests());
    assert_eq!(sample.git(&["rev-parse", "main"]), before, "the user's branch is where it was");
    assert_eq!(sample.git(&["status", "--porcelain"]), "", "the user's checkout is untouched");

    // again: the same agent goes on, in a fresh box
    ask("more.txt");
    assert_eq!(sample.git(&["rev-list", "--count", head]), "3");
    assert_eq!(sample.git(&["show", &format!("{head}:more.txt")]), "written by the agent");
    let listed = coop(&sample, &["fork", "ls", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("\"feature\"") && listed.contains(&format!("\"{agent}\"")), "{listed}");
}

#[test]
fn claude_works_in_a_fork() {
    fork("claude", &["-p"]);
}

#[test]
fn codex_works_in_a_fork() {
    fork("codex", &["exec"]);
}

#[test]
fn gemini_works_in_a_fork() {
    fork("gemini", &["-p"]);
}

#[test]
fn claude_works_on_the_live_checkout() {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    coop(&sample, &["claude", "-p", &prompt(&sample.repo(), "notes.txt")]);
    sample.assert_work("main", "notes.txt", &endpoint.requests());
    assert_eq!(sample.git(&["status", "--porcelain"]), "", "the index followed");
    assert_eq!(std::fs::read_to_string(sample.repo().join(".env")).expect("is there"), "SECRET=do-not-read\n");
}
