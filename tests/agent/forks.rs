//! The main job: `git coop fork NAME AGENT` and `git coop AGENT` with the real CLIs, and the commits back in the
//! user's repository.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{Sample, prompt};
use crate::tools::{both, bwrap_works, docker_works, here, install, node, podman_works, skipped, try_run};

/// `git coop` of the user, in docker boxes of the test image.
fn coop(sample: &Sample, args: &[&str]) -> Output {
    coop_on("docker", sample, args)
}

fn coop_on(runtime: &str, sample: &Sample, args: &[&str]) -> Output {
    let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop"));
    command.args(args).env("COOP_RUNTIME", runtime).env("COOP_IMAGE", image::tag()).env("COOP_EGRESS", "open");
    let output = try_run(&mut command);
    assert_eq!(output.status.code(), Some(0), "git coop {args:?}\n{}", both(&output));
    output
}

fn fork(runtime: &str, agent: &str, headless: &[&str]) {
    // the image is made by docker
    if skipped("docker", docker_works()) || runtime == "podman" && skipped("podman", podman_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = match runtime {
        "podman" => Endpoint::on_podman(sample.path("requests")),
        _ => Endpoint::on_bridge(sample.path("requests")),
    };
    if runtime == "podman" {
        image::in_podman();
    }
    sample.use_endpoint(&endpoint.url);
    let before = sample.git(&["rev-parse", "main"]);
    let ask = |file: &str| {
        let text = prompt(&sample.fork("feature"), file);
        let args: Vec<&str> =
            ["fork", "feature", agent, "--"].iter().chain(headless).copied().chain([&*text]).collect();
        coop_on(runtime, &sample, &args)
    };
    ask("notes.txt");
    let session = || {
        let event = sample.git(&["log", "-1", "--format=%B", "refs/coop/forks/feature/meta"]);
        let line = event.lines().find_map(|line| line.strip_prefix("Coop-Session: "));
        line.unwrap_or_else(|| panic!("no session in\n{event}")).to_owned()
    };
    let first = session();
    let head = "refs/coop/forks/feature/head";
    sample.assert_work(head, "notes.txt", &endpoint.requests());
    assert_eq!(sample.git(&["rev-parse", "main"]), before, "the user's branch is where it was");
    assert_eq!(sample.git(&["status", "--porcelain"]), "", "the user's checkout is untouched");

    // again: the same agent goes on, in a fresh box; `codex exec` is a new session by the user's own words
    ask("more.txt");
    assert_eq!(session() == first, agent != "codex", "{first} {}", session());
    assert_eq!(sample.git(&["rev-list", "--count", head]), "3");
    assert_eq!(sample.git(&["show", &format!("{head}:more.txt")]), "written by the agent");
    let listed = coop_on(runtime, &sample, &["fork", "ls", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("\"feature\"") && listed.contains(&format!("\"{agent}\"")), "{listed}");
}

#[test]
fn claude_works_in_a_fork() {
    fork("docker", "claude", &["-p"]);
}

#[test]
fn claude_works_in_a_fork_under_podman() {
    fork("podman", "claude", &["-p"]);
}

#[test]
fn codex_works_in_a_fork() {
    fork("docker", "codex", &["exec"]);
}

#[test]
fn gemini_works_in_a_fork() {
    fork("docker", "gemini", &["-p"]);
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

/// kill -9 while claude waits for the model: the next start ends the box, brings the commit and the session back, goes on
/// with it, and leaves nothing of the killed run, least of all its copy of the credentials.
#[test]
fn a_killed_run_is_finished_by_the_next() {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    let text = format!("{} STALL", prompt(&sample.fork("feature"), "notes.txt"));
    let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop"));
    command.args(["fork", "feature", "claude", "--", "-p", &text]).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag());
    let mut child = command.spawn().expect("starts");
    let asked = || endpoint.requests().lines().filter(|line| line.contains("\"tools\":true")).count();
    let end = Instant::now() + Duration::from_secs(60);
    while asked() < 3 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(asked(), 3, "{}", endpoint.requests());
    child.kill().expect("kill -9");
    child.wait().expect("gone");
    let scratch = sample.repo().join(".git/coop/forks/feature/scratch");
    assert!(scratch.join("agent/home/.claude").exists(), "the copy of the home is still there");
    let filter = format!("label=coop.workspace=fork:{}", sample.fork("feature").display());
    let before = sample.git(&["log", "-1", "--format=%(trailers:key=Coop-Session,valueonly)", META]);

    coop(&sample, &["fork", "feature", "claude", "--", "-p", &prompt(&sample.fork("feature"), "more.txt")]);
    assert!(!scratch.exists(), "nothing of the killed run is left");
    let boxes = crate::tools::run(std::process::Command::new("docker").args(["ps", "-aq", "--filter", &filter]));
    assert_eq!(boxes, "", "its box is gone");
    assert_eq!(sample.git(&["log", "--format=%s", "main..refs/coop/forks/feature/head"]).lines().count(), 2);
    let after = sample.git(&["log", "-1", "--format=%(trailers:key=Coop-Session,valueonly)", META]);
    assert!(before == after && after.trim().len() == 36, "'{before}' '{after}'");
    let history = sample.repo().join(".git/coop/forks/feature/history/claude/.claude/projects");
    let files = std::fs::read_dir(history).expect("history").flatten().flat_map(|dir| std::fs::read_dir(dir.path()));
    assert_eq!(files.flatten().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "jsonl")).count(), 1);
}

const META: &str = "refs/coop/forks/feature/meta";

/// No image and no network: claude comes from the user's `~/.npm-global`, and the model from a hook that starts it in
/// the same box when claude's session starts.
#[test]
fn claude_works_on_the_live_checkout_without_an_image() {
    if skipped("bwrap", bwrap_works()) {
        return;
    }
    let sample = Sample::new();
    install("claude", &sample.home().join(".npm-global"));
    sample.use_endpoint("http://127.0.0.1:8411");
    let tools = sample.repo().join(".tools");
    std::fs::create_dir(&tools).expect("a directory");
    std::fs::copy(node(), tools.join("node")).expect("a copy");
    std::fs::copy(here().join("endpoint/endpoint.mjs"), tools.join("endpoint.mjs")).expect("a copy");
    std::fs::write(sample.repo().join(".git/info/exclude"), ".tools\n").expect("a file");
    let start = format!(
        "cd '{}' && ./node endpoint.mjs 127.0.0.1 8411 requests >/tmp/ready 2>&1 & \
         while ! test -s /tmp/ready; do sleep 0.1; done",
        tools.display()
    );
    let hook = serde_json::json!({"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": start}]}]}});
    let profile = sample.home().join(".config/coop/agents/claude/profiles/default/.claude");
    std::fs::create_dir_all(&profile).expect("a directory");
    std::fs::write(profile.join("settings.json"), hook.to_string()).expect("a file");

    let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop"));
    command.args(["claude", "-p", &prompt(&sample.repo(), "notes.txt")]);
    command.env("COOP_RUNTIME", "bwrap").env("COOP_EGRESS", "none");
    let output = try_run(&mut command);
    let requests = std::fs::read_to_string(tools.join("requests")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{}\n{requests}", both(&output));
    sample.assert_work("main", "notes.txt", &requests);
    assert_eq!(sample.git(&["status", "--porcelain"]), "", "the index followed");
}
