//! Docker: is there a daemon that answers, and is it on this machine.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::error::{Error, Result};

use super::{Holds, Probes, Usable, cache_key};

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    /// Before version 25 docker lets io_uring through, before version 23 AF_VSOCK (its release notes).
    old_filter: bool,
    rootless: bool,
    holds: Holds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Info {
    memory_limit: bool,
    pids_limit: bool,
    #[serde(rename = "CpuCfsQuota")]
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUCfsQuota")]
    cpu_cfs_quota_new: bool,
    security_options: Vec<String>,
    server_version: String,
}

pub(super) fn probe(mut usable: Usable, probes: &dyn Probes) -> Result<Usable> {
    let config: Config =
        serde_json::from_str(&probes.read(&config_dir(&usable.env).join("config.json")).unwrap_or_default())
            .unwrap_or_default();
    usable.injects_proxies = config.proxies.is_some();
    let endpoint = endpoint(&usable.env, config)?;
    let key_part = match endpoint.strip_prefix("unix://") {
        Some(path) => {
            let socket = Path::new(path);
            // a connect costs microseconds where `docker info` costs a process; what it cannot see shows at the launch
            probes.connect(socket).map_err(|err| cannot_connect(socket, &err))?;
            probes.stamp(socket).unwrap_or_default()
        }
        None => {
            return Err(Error::no_runtime(format!(
                "docker's daemon is elsewhere ({endpoint}), where this checkout is not"
            ))
            .hint("docker context use default, or unset DOCKER_HOST"));
        }
    };
    // a daemon that restarts makes a new socket, so its answers are forgotten with it
    let key = cache_key(&usable, probes).map(|key| format!("{key} {key_part}"));
    let remembered = key.as_ref().and_then(|key| probes.recall("docker", key));
    let facts = match remembered.and_then(|text| serde_json::from_str::<Facts>(&text).ok()) {
        Some(facts) => facts,
        None => {
            let facts = ask(&usable.program, probes)?;
            if let (Some(key), Ok(text)) = (key, serde_json::to_string(&facts)) {
                probes.remember("docker", &key, &text);
            }
            facts
        }
    };
    usable.rootless = facts.rootless;
    usable.holds = facts.holds;
    usable.seccomp = (facts.old_filter && probes.stamp(Path::new(PROFILE)).is_some()).then(|| PROFILE.into());
    usable.caveat = (facts.old_filter && usable.seccomp.is_none()).then(|| {
        format!("this docker's own filter leaves io_uring and AF_VSOCK open, and there is no '{PROFILE}' to make a better one from")
    });
    Ok(usable)
}

fn ask(program: &Path, probes: &dyn Probes) -> Result<Facts> {
    let args = ["info", "--format", "{{json .}}"].map(OsStr::new);
    let ran = probes.run(program, &args, Duration::from_secs(10));
    let info: Info = serde_json::from_str(&ran.stdout).unwrap_or_default();
    if info.server_version.is_empty() {
        return Err(Error::no_runtime(format!("docker does not answer: {}", ran.complaint())).hint(START));
    }
    Ok(Facts {
        rootless: info.security_options.iter().any(|o| o.split(',').any(|part| part == "name=rootless")),
        old_filter: info.server_version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0u32) < 25,
        holds: Holds {
            memory: info.memory_limit,
            pids: info.pids_limit,
            cpus: info.cpu_cfs_quota || info.cpu_cfs_quota_new,
        },
    })
}

/// The filter of podman and its kin, in the format that docker reads too (package containers-common).
const PROFILE: &str = "/usr/share/containers/seccomp.json";

const START: &str = "sudo systemctl start docker, or start Docker Desktop";

fn cannot_connect(socket: &Path, err: &std::io::Error) -> Error {
    let socket = socket.display();
    match err.kind() {
        ErrorKind::PermissionDenied => Error::no_runtime(format!("docker: you may not use '{socket}'"))
            .hint("sudo usermod -aG docker \"$USER\", then log in again"),
        ErrorKind::NotFound => {
            Error::no_runtime(format!("docker: its daemon is not running (no '{socket}')")).hint(START)
        }
        _ => Error::no_runtime(format!("docker: its daemon does not answer on '{socket}' ({err})")).hint(START),
    }
}

/// What matters of the client's configuration file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "currentContext")]
    context: String,
    proxies: Option<serde_json::Value>,
}

fn config_dir(env: &Env) -> PathBuf {
    env.get("DOCKER_CONFIG").map_or_else(|| env.home().join(".docker"), PathBuf::from)
}

/// Where the client will connect: `DOCKER_HOST`, or the current context, or the default socket.
fn endpoint(env: &Env, config: Config) -> Result<String> {
    const DEFAULT: &str = "unix:///var/run/docker.sock";
    if let Some(host) = env.str("DOCKER_HOST") {
        return Ok(host.to_owned());
    }
    let name = env.str("DOCKER_CONTEXT").map_or(config.context, str::to_owned);
    if name.is_empty() || name == "default" {
        return Ok(DEFAULT.to_owned());
    }
    context_host(&config_dir(env), &name).ok_or_else(|| {
        Error::no_runtime(format!("docker: the context '{name}' has no endpoint")).hint("docker context use default")
    })
}

/// The endpoint of a named context. Its directory is a hash of the name, so all of them are looked at.
fn context_host(config: &Path, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Meta {
        name: String,
        endpoints: std::collections::BTreeMap<String, Endpoint>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Endpoint {
        host: String,
    }
    std::fs::read_dir(config.join("contexts/meta")).ok()?.flatten().find_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
        let meta: Meta = serde_json::from_str(&text).ok()?;
        (meta.name == name).then(|| meta.endpoints.get("docker").map(|e| e.host.clone()))?
    })
}
