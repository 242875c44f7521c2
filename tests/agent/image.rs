//! The image of the tests: the built-in one of `git coop build`, with three agents, on the base that debootstrap makes.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use coop::agent::install::{Versions, layer};
use coop::sandbox::image::{CA_FILE, Layer, REPORT, Recipe, dockerfile, hash};

use crate::tools::{agent, here, locked, run, try_run};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const AGENTS: [&str; 3] = ["claude", "codex", "gemini"];

/// The image's tag, which says what is in it; it is built if it is not there.
pub fn tag() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let layers = AGENTS.map(|name| layer(&agent(name), Versions::Pinned));
        let layers = layers.map(|l| Layer { agent: l.agent, system: l.system, run: l.run, check: l.check }).to_vec();
        let text = dockerfile(&Recipe { base: "coop-test-base:latest".into(), ca: true, layers });
        let tag = format!("coop-test-agents:{}", hash(&[text.as_bytes()]));
        locked("agents-image", || build(&tag, &text));
        tag
    })
}

/// The same image in podman's store.
pub fn in_podman() {
    let tag = tag();
    locked("agents-image-podman", || {
        if !try_run(Command::new("podman").args(["image", "exists", tag])).status.success() {
            run(Command::new("sh").args(["-c", "docker save \"$1\" | podman load --quiet", "sh", tag]));
        }
    });
}

fn build(tag: &str, text: &str) {
    if try_run(Command::new("docker").args(["image", "inspect", tag])).status.success() {
        return;
    }
    run(Command::new("sh").arg(here().join("../fixtures/base-image.sh")));
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("Dockerfile"), text).expect("a file");
    fs::copy(BUNDLE, dir.path().join(CA_FILE)).expect("the certificates of this machine");
    eprintln!("building {tag} (once)");
    // the host's network, because a bridge may not reach npm; the tag comes last, when the agents are known to be in it
    let made = dir.path().join("id");
    let mut docker = Command::new("docker");
    docker.args(["build", "--quiet", "--network", "host", "--iidfile"]).arg(&made).arg(dir.path());
    run(&mut docker);
    let id = fs::read_to_string(made).expect("the image's id").trim().to_owned();
    let report = run(Command::new("docker").args(["run", "--rm", "--network", "none", &id, "cat", REPORT]));
    assert_eq!(report, "claude ok\ncodex ok\ngemini ok");
    run(Command::new("docker").args(["tag", &id, tag]));
}
