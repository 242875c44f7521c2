//! bubblewrap: may it make user namespaces, what does its version know, and what of the host a box needs to see.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

use super::{Holds, Probes, Usable, cache_key};

/// What bubblewrap's box takes from the host, and what this bubblewrap can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// `--disable-userns` (0.8 and later).
    pub disable_userns: bool,
    /// `--size` for memory file systems.
    pub size: bool,
    /// `--add-seccomp-fd`, more than one filter.
    pub several_filters: bool,
    /// Top-level links such as `/bin` → `usr/bin`.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Directories and files that are bound read-only: `/usr` and what is needed of `/etc`.
    pub binds: Vec<PathBuf>,
    /// Files of `/proc` that say something about the host and are covered with the blank file.
    pub proc_blanks: Vec<PathBuf>,
    /// The same, in a box of root.
    pub proc_of_root: Vec<PathBuf>,
}

/// `/usr` and the links or directories beside it; `/nix` and `/gnu` are where the programs are on those systems.
const TOP: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/nix/store", "/gnu/store"];

/// What programs commonly need of `/etc` that is not private. `/etc/ssl/private` is: hence the parts. Each costs
/// bubblewrap half a millisecond, unless it is a link into `/usr`.
const ETC: [&str; 18] = [
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/crypto-policies",
    "/etc/java-11-openjdk",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/static",
];

/// Names of the user's keys.
const PROC: [&str; 2] = ["/proc/key-users", "/proc/keys"];
/// What the host's root may read without any capability, because it owns the file.
const PROC_OF_ROOT: [&str; 4] = ["/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list", "/proc/vmallocinfo"];

pub(super) fn probe(mut usable: Usable, probes: &dyn Probes) -> Result<Usable> {
    let key = cache_key(&usable, probes);
    let features = match key.as_ref().and_then(|key| probes.recall("bwrap", key)) {
        Some(features) => features,
        None => {
            let features = ask(&usable.program, probes)?;
            if let Some(key) = key {
                probes.remember("bwrap", &key, &features);
            }
            features
        }
    };
    let has = |name: &str| features.split(' ').any(|f| f == name);
    let mut host = Host {
        disable_userns: has("--disable-userns"),
        size: has("--size"),
        several_filters: has("--add-seccomp-fd"),
        ..Host::default()
    };
    for path in TOP.iter().map(Path::new) {
        match probes.link(path) {
            Some(target) => host.links.push((target, path.to_owned())),
            None if probes.stamp(path).is_some() => host.binds.push(path.to_owned()),
            None => {}
        }
    }
    for path in ETC.iter().map(Path::new).filter(|path| probes.stamp(path).is_some()) {
        match probes.link(path) {
            Some(target) if into_usr(&target) => host.links.push((target, path.to_owned())),
            _ => host.binds.push(path.to_owned()),
        }
    }
    let there = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).filter(|path| probes.stamp(path).is_some()).collect()
    };
    host.proc_blanks = there(&PROC);
    host.proc_of_root = there(&PROC_OF_ROOT);
    usable.host = Some(host);
    usable.holds = Holds { memory: false, pids: false, cpus: false };
    Ok(usable)
}

/// Whether a link in `/etc` leads into `/usr`, which every box sees.
fn into_usr(target: &Path) -> bool {
    target.starts_with("/usr") || target.starts_with("../usr")
}

/// Runs the smallest box with every namespace, and gives the options this version knows, separated by spaces.
fn ask(program: &Path, probes: &dyn Probes) -> Result<String> {
    let help = probes.run(program, &[OsStr::new("--help")], Duration::from_secs(5));
    if !help.ok() {
        return Err(Error::no_runtime(format!("bwrap does not run: {}", help.complaint())).hint("bwrap --help"));
    }
    let text = format!("{}\n{}", help.stdout, help.stderr);
    let known: Vec<&str> = ["--disable-userns", "--size", "--add-seccomp-fd"]
        .into_iter()
        .filter(|option| text.split_whitespace().any(|word| word == *option))
        .collect();
    let mut args = vec!["--unshare-all", "--unshare-user"];
    if known.contains(&"--disable-userns") {
        args.push("--disable-userns");
    }
    args.extend(["--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "true"]);
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let ran = probes.run(program, &args, Duration::from_secs(5));
    if ran.ok() { Ok(known.join(" ")) } else { Err(refused(&ran.complaint(), probes)) }
}

/// Names the switch that keeps bubblewrap from making a user namespace, and how to turn it.
pub fn refused(complaint: &str, probes: &dyn Probes) -> Error {
    let is = |path: &str, value: &str| probes.read(Path::new(path)).is_some_and(|text| text.trim() == value);
    let (why, hint) = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        ("user namespaces are switched off for users", "sudo sysctl -w kernel.unprivileged_userns_clone=1")
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        ("user namespaces are switched off", "sudo sysctl -w user.max_user_namespaces=15000")
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        (
            "AppArmor restricts user namespaces",
            "sudo apt install apparmor-profiles and load its bwrap-userns-restrict profile, or sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    } else {
        (
            "it cannot make its namespaces",
            "inside a container, allow user namespaces and mounts, or use COOP_RUNTIME=docker",
        )
    };
    Error::no_runtime(format!("bwrap: {why} ({complaint})")).hint(hint)
}
