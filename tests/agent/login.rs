//! `git coop login` with a terminal: the agent's own login in a box, and what it leaves as a profile.

use std::fs;
use std::process::Output;

use crate::image;
use crate::sample::Sample;
use crate::tools::{both, bwrap_works, docker_works, skipped, try_run};

/// An agent whose login asks for a code and writes it down.
const AGENT: &str = include_str!("../fixtures/agent.toml");
const LOGIN: &str = r#"login = ["sh", "-c", "test -t 0 && test ! -e /etc/shadow-of-the-host && ls -A ~/.mine; printf 'code: '; read code && test -n \"$code\" && printf %s \"$code\" > ~/.mine/token && echo junk > ~/.mine/other"]"#;

fn signs_in(runtime: &str, image: Option<&str>) {
    let sample = Sample::new();
    let agents = sample.home().join(".config/coop/agents");
    fs::create_dir_all(&agents).expect("a directory");
    let mine = AGENT.replace("NAME", "mine").replace("[home]", &format!("{LOGIN}\n[home]"));
    fs::write(agents.join("mine.toml"), mine).expect("a file");
    let login = |profile: &str, typed: &str| -> Output {
        // script gives it a terminal
        let coop = format!("{} login mine --profile {profile}", env!("CARGO_BIN_EXE_git-coop"));
        let mut command = sample.command("sh");
        command.args(["-c", "printf '%s\\n' \"$1\" | script -qec \"$2\" /dev/null", "sh", typed, &coop]);
        command.env("COOP_RUNTIME", runtime).env("COOP_IMAGE", image.unwrap_or("")).env("TERM", "dumb");
        try_run(&mut command)
    };
    let output = login("work", "the-token");
    let profile = agents.join("mine/profiles/work");
    let token = fs::read_to_string(profile.join(".mine/token")).unwrap_or_default();
    assert_eq!((output.status.code(), token.as_str()), (Some(0), "the-token"), "{}", both(&output));
    assert!(!profile.join(".mine/other").exists(), "only what the definition names is kept");
    let listed = try_run(sample.command(env!("CARGO_BIN_EXE_git-coop")).arg("profiles"));
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "mine  work  signed in  default\n");

    let output = login("empty", "");
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    assert!(both(&output).contains("left no credential") && !agents.join("mine/profiles/empty").exists());
    let left: Vec<_> = fs::read_dir(sample.home().join(".local/state/coop")).expect("state").flatten().collect();
    assert!(!left.iter().any(|e| e.file_name().to_string_lossy().starts_with("login-")), "{left:?}");
}

#[test]
fn in_docker() {
    if !skipped("docker", docker_works()) {
        signs_in("docker", Some(image::tag()));
    }
}

#[test]
fn without_a_terminal_nothing_starts() {
    let sample = Sample::new();
    let output = try_run(sample.command(env!("CARGO_BIN_EXE_git-coop")).args(["login", "claude"]));
    assert_eq!(output.status.code(), Some(2), "{}", both(&output));
    assert!(both(&output).contains("needs a terminal"), "{}", both(&output));
    let output = try_run(sample.command(env!("CARGO_BIN_EXE_git-coop")).args(["login", "cluade"]));
    assert!(both(&output).contains("did you mean 'claude'"), "{}", both(&output));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    // without an image the agent must be on the host
    if skipped("bwrap", bwrap_works()) {
        return;
    }
    let sample = Sample::new();
    let coop = format!("{} login claude", env!("CARGO_BIN_EXE_git-coop"));
    let mut command = sample.command("script");
    command.args(["-qec", &coop, "/dev/null"]).env("COOP_RUNTIME", "bwrap").env("TERM", "dumb");
    let output = try_run(&mut command);
    assert_eq!(output.status.code(), Some(5), "{}", both(&output));
    assert!(both(&output).contains("npm install -g @anthropic-ai/claude-code"), "{}", both(&output));
}
