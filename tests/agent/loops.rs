//! `git coop loop` with the real CLIs: a queue of three, with a hang, an overloaded service and an account that is used up.

use std::fs;
use std::process::Output;

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::Sample;
use crate::tools::{both, docker_works, skipped, try_run};

/// Drains three tasks and gives what the loop printed.
fn drained(sample: &Sample, agent: &str, marks: [&str; 3]) -> Output {
    let tasks: String = ["a", "b", "c"]
        .iter()
        .zip(marks)
        .map(|(name, mark)| {
            format!("- [ ] Write {name} and commit it. {mark} FILE={}\n", sample.fork("loop").join(name).display())
        })
        .collect();
    fs::create_dir_all(sample.repo().join(".agent")).expect("a directory");
    fs::write(sample.repo().join(".agent/TASKS.md"), tasks).expect("a file");
    fs::write(sample.repo().join(".git/info/exclude"), ".agent/\n").expect("a file");
    sample.git(&["config", "coop.loopSilence", "25s"]);
    let mut command = sample.command(env!("CARGO_BIN_EXE_git-coop-loop"));
    command.args([agent, "--rounds", "0", "--gate", "test -e README.md", "--json"]);
    command.env("COOP_RUNTIME", "docker").env("COOP_IMAGE", image::tag()).env("COOP_EGRESS", "open");
    command.env("COOP_TEST_BREATH_MS", "100");
    let output = try_run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", both(&output));
    let text = fs::read_to_string(sample.repo().join(".agent/TASKS.md")).expect("a file");
    assert_eq!(text.matches("- [x]").count(), 3, "{text}\n{}", both(&output));
    let head = "refs/coop/forks/loop/head";
    for name in ["a", "b", "c"] {
        assert_eq!(sample.git(&["show", &format!("{head}:{name}")]), "written by the agent");
    }
    let bound =
        sample.git(&["log", "--format=%(trailers:key=Coop-Task,valueonly,separator=%x20)", &format!("main..{head}")]);
    assert_eq!(bound.lines().count(), 3, "{bound}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for row in result["tasks"].as_array().expect("tasks") {
        assert!(row["inputTokens"].as_u64().expect("a number") > 0, "{row}");
    }
    output
}

#[test]
fn claude_with_a_limit_and_two_profiles_a_hang_and_an_overload() {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    let agents = sample.home().join(".config/coop/agents");
    for (profile, token) in [("one", "limited"), ("two", "free")] {
        let dir = agents.join("claude/profiles").join(profile).join(".claude");
        fs::create_dir_all(&dir).expect("a directory");
        let login = serde_json::json!({"claudeAiOauth": {
            "accessToken": format!("sk-ant-oat01-{token}"), "refreshToken": "sk-ant-ort01-none",
            "expiresAt": 4_102_444_800_000_u64, "scopes": ["user:inference"], "subscriptionType": "max",
        }});
        fs::write(dir.join(".credentials.json"), login.to_string()).expect("a file");
    }
    fs::write(agents.join("env"), format!("ANTHROPIC_BASE_URL={}\nCLAUDE_CODE_MAX_RETRIES=0\n", endpoint.url))
        .expect("a file");
    let output = drained(&sample, "claude", ["", "STALL", "BUSY-c"]);
    let said = both(&output);
    assert!(said.contains("claude (one) is used up until"), "{said}");
    assert!(said.contains("it printed nothing for too long"), "{said}");
    assert!(said.contains("the service is overloaded, again in"), "{said}");
}

fn with_a_hang(agent: &str) {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    let output = drained(&sample, agent, ["", "STALL", ""]);
    assert!(both(&output).contains("it printed nothing for too long"), "{}", both(&output));
}

#[test]
fn codex_with_a_hang() {
    with_a_hang("codex");
}

#[test]
fn gemini_with_a_hang() {
    with_a_hang("gemini");
}
