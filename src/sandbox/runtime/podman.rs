//! Podman: rootful or rootless, which OCI runtime accepts the cgroups, which limits may be set.
//!
//! What it refuses is found by running a container without an image: an empty root directory and a program that is not
//! there. "Not found" means that everything before it worked.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::{Holds, Probes, Usable, cache_key};

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    rootless: bool,
    holds: Holds,
    global: Vec<String>,
    nofile: Option<u64>,
    nproc: Option<u64>,
    init: Vec<String>,
    seccomp: Option<PathBuf>,
    pasta: bool,
}

#[derive(Debug, Deserialize)]
struct Info {
    host: InfoHost,
    version: InfoVersion,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfoHost {
    #[serde(default)]
    cgroup_version: String,
    #[serde(default)]
    cgroup_controllers: Vec<String>,
    #[serde(default)]
    service_is_remote: bool,
    security: Security,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Security {
    rootless: bool,
    #[serde(rename = "seccompEnabled")]
    seccomp: bool,
    #[serde(rename = "seccompProfilePath")]
    profile: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InfoVersion {
    version: String,
}

pub(super) fn probe(mut usable: Usable, probes: &dyn Probes) -> Result<Usable> {
    let key = cache_key(&usable, probes);
    let remembered = key.as_ref().and_then(|key| probes.recall("podman", key));
    let facts = match remembered.and_then(|text| serde_json::from_str::<Facts>(&text).ok()) {
        Some(facts) => facts,
        None => {
            let facts = ask(&usable.program, probes)?;
            if let (Some(key), Ok(text)) = (key, serde_json::to_string(&facts)) {
                probes.remember("podman", &key, &text);
            }
            facts
        }
    };
    usable.rootless = facts.rootless;
    usable.holds = facts.holds;
    usable.global = facts.global;
    usable.nofile = facts.nofile;
    usable.nproc = facts.nproc;
    usable.init = facts.init;
    usable.seccomp = facts.seccomp;
    usable.open_network = match (facts.rootless, facts.pasta) {
        (false, _) => "bridge",
        // neither maps the host's loopback when used like this
        (true, true) => "pasta:--no-map-gw",
        (true, false) => "slirp4netns:allow_host_loopback=false",
    };
    Ok(usable)
}

fn ask(program: &Path, probes: &dyn Probes) -> Result<Facts> {
    let ran = probes.run(program, &["info", "--format", "json"].map(OsStr::new), Duration::from_secs(15));
    let info: Info = serde_json::from_str(&ran.stdout)
        .map_err(|_| Error::no_runtime(format!("podman does not answer: {}", ran.complaint())).hint("podman info"))?;
    if info.host.service_is_remote && cfg!(target_os = "linux") {
        return Err(Error::no_runtime("podman's service is on another machine, where this checkout is not")
            .hint("unset CONTAINER_HOST"));
    }
    let rootless = info.host.security.rootless;
    // rootless podman has no cgroups of its own under version 1 and ignores the limits with a warning
    let has = |name: &str| {
        let controllers = &info.host.cgroup_controllers;
        !rootless || (info.host.cgroup_version == "v2" && controllers.iter().any(|c| c == name))
    };
    let profile = PathBuf::from(&info.host.security.profile);
    let seccomp = (info.host.security.seccomp && !info.host.security.profile.is_empty()).then_some(profile);
    let (global, nofile, nproc) = accepted(program, probes)?;
    Ok(Facts {
        rootless,
        holds: Holds { memory: has("memory"), pids: has("pids"), cpus: has("cpu") },
        global,
        nofile,
        nproc,
        init: init(probes),
        seccomp,
        pasta: major(&info.version.version) >= 5,
    })
}

/// The first combination of OCI runtime and limits that starts a container.
fn accepted(program: &Path, probes: &dyn Probes) -> Result<(Vec<String>, Option<u64>, Option<u64>)> {
    let Some(root) = probes.scratch() else { return Ok((Vec::new(), None, None)) };
    let (nofile, nproc) = probes.hard_limits();
    let pid_max = probes.read(Path::new("/proc/sys/kernel/pid_max")).and_then(|t| t.trim().parse().ok());
    // podman itself lowers its process limit to what the kernel can number
    let nproc = [nproc, pid_max].into_iter().flatten().min();
    let mut first_complaint = None;
    for global in [&[][..], &["--runtime", "runc"], &["--runtime", "crun"]] {
        for (nofile, nproc) in [(None, None), (nofile, None), (nofile, nproc), (nofile, nproc.map(|n| n.min(4096)))] {
            let mut args: Vec<String> = global.iter().map(|s| (*s).to_owned()).collect();
            args.extend(["run", "--rm", "--network", "none", "--cgroups", "enabled"].map(str::to_owned));
            for (name, value) in [("nofile", nofile), ("nproc", nproc)] {
                args.extend(value.map(|n| format!("--ulimit={name}={n}:{n}")));
            }
            args.extend(["--rootfs".to_owned(), root.display().to_string(), "/coop-probe".to_owned()]);
            let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
            let ran = probes.run(program, &args, Duration::from_secs(20));
            if ran.status == Some(127) || ran.stderr.contains("coop-probe") {
                let global = global.iter().map(|s| (*s).to_owned()).collect();
                return Ok((global, nofile, nproc));
            }
            let limits = ran.stderr.contains("rlimit");
            first_complaint.get_or_insert_with(|| ran.complaint());
            if !limits {
                break; // other limits do not mend it, another OCI runtime may
            }
        }
    }
    let reason = first_complaint.unwrap_or_default();
    Err(Error::no_runtime(format!("podman cannot start a container: {reason}"))
        .hint("sudo apt install runc (or crun), then podman run --rm --network none IMAGE true shows the rest"))
}

/// Arguments for an init process: podman's own where it is installed, another minimal one, or none.
fn init(probes: &dyn Probes) -> Vec<String> {
    const OWN: [&str; 5] = [
        "/usr/libexec/podman/catatonit",
        "/usr/lib/podman/catatonit",
        "/usr/local/libexec/podman/catatonit",
        "/usr/bin/catatonit",
        "/usr/local/bin/catatonit",
    ];
    if OWN.iter().any(|path| probes.stamp(Path::new(path)).is_some()) || !cfg!(target_os = "linux") {
        return vec!["--init".into()];
    }
    let other = ["/usr/bin/docker-init", "/usr/bin/tini", "/usr/local/bin/tini"];
    match other.iter().find(|path| probes.stamp(Path::new(path)).is_some()) {
        Some(path) => vec!["--init".into(), "--init-path".into(), (*path).into()],
        None => Vec::new(),
    }
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
