//! pasta gives a bubblewrap box the internet without the host's loopback. Whether it works here is tried once.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use crate::env::Env;
use crate::error::{Error, Result};

use super::super::owner;
use super::{Probes, System};

/// pasta where it works. Errors, exit 5: it is missing or does not work, with what to install or set instead.
pub fn find(env: &Env) -> Result<PathBuf> {
    check(env, &System::new(env))
}

/// As [`find`], with injected probes.
pub fn check(env: &Env, probes: &dyn Probes) -> Result<PathBuf> {
    let refuse = |why: &str| {
        Error::no_runtime(format!(
            "bubblewrap cannot give a box the internet without this machine's own services: {why}"
        ))
        .hint("COOP_EGRESS=public reaches every public host through a proxy, without pasta")
        .hint("COOP_EGRESS=none runs it without a network")
    };
    let Some(program) = env.which("pasta") else {
        return Err(refuse("pasta is not installed").hint("sudo apt install passt, or use docker or podman"));
    };
    let key = probes.stamp(&program).map(|stamp| format!("1 {} {stamp} {}", program.display(), owner::boot_id()));
    let answer = match key.as_ref().and_then(|key| probes.recall("pasta", key)) {
        Some(answer) => answer,
        None => {
            // it may hang for ever where it cannot open what it needs, hence the short limit
            let args =
                ["--config-net", "--quiet", "--foreground", "--no-map-gw", "-t", "none", "-u", "none", "-T", "none"];
            let args: Vec<&OsStr> = args.iter().chain(&["-U", "none", "--", "true"]).map(OsStr::new).collect();
            let ran = probes.run(&program, &args, Duration::from_secs(2));
            let answer = if ran.ok() { "ok".to_owned() } else { ran.complaint() };
            if let Some(key) = key {
                probes.remember("pasta", &key, &answer);
            }
            answer
        }
    };
    match answer.as_str() {
        "ok" => Ok(program),
        why => Err(refuse(&format!("pasta does not work here ({why})")).hint("or use COOP_RUNTIME=docker or podman")),
    }
}
