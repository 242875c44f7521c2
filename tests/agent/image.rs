//! The image of the tests: the agents' own install layers on the base that debootstrap makes.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::Command;
use std::sync::OnceLock;

use coop::agent::install::{Versions, layer};

use crate::tools::{agent, here, locked, run, try_run};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The image's tag, which says what is in it; it is built if it is not there.
pub fn tag() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let mut text = fs::read_to_string(here().join("image/Dockerfile")).expect("the Dockerfile");
        for name in ["claude", "codex", "gemini"] {
            let layer = layer(&agent(name), Versions::Pinned);
            text.push_str(&format!("RUN {} && {}\n", layer.run, layer.check));
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = format!("coop-test-agents:{:016x}", hasher.finish());
        locked("agents-image", || build(&tag, &text));
        tag
    })
}

fn build(tag: &str, dockerfile: &str) {
    if try_run(Command::new("docker").args(["image", "inspect", tag])).status.success() {
        return;
    }
    run(Command::new("sh").arg(here().join("../fixtures/base-image.sh")));
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("Dockerfile"), dockerfile).expect("a file");
    fs::copy(BUNDLE, dir.path().join("ca.crt")).expect("the certificates of this machine");
    eprintln!("building {tag} (once)");
    // the legacy builder is enough; the host's network, because a bridge may not reach npm
    run(Command::new("docker").args(["build", "--quiet", "--network", "host", "-t", tag]).arg(dir.path()));
}
