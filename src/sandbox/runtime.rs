//! Which runtime holds the boxes, and what it can do on this machine.
//!
//! Detection is cheap enough to run before every box: what needs a process to find out is remembered under the cache
//! directory, keyed by the program (and daemon) that answered and by the boot. The questions to the machine go through
//! [`Probes`].

mod bwrap;
mod docker;
pub mod pasta;
mod podman;
pub mod probes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Error, Result};

pub use bwrap::Host;
pub use probes::{Probes, System};

use super::owner;
use super::spec::Runtime;

/// Limits that the runtime itself enforces for the whole box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holds {
    /// Memory, swap included.
    pub memory: bool,
    /// Number of processes.
    pub pids: bool,
    /// Processor time.
    pub cpus: bool,
}

/// A runtime that works here, with what probing found.
#[derive(Debug, Clone)]
pub struct Usable {
    /// Which one.
    pub runtime: Runtime,
    /// Its client, absolute.
    pub program: PathBuf,
    /// Global arguments before the verb, such as podman's `--runtime runc`.
    pub global: Vec<String>,
    /// Whether containers run in a user namespace of ours, so that root in the box is us.
    pub rootless: bool,
    /// What it enforces. For bubblewrap this is decided per launch, by the cgroups that can be written then.
    pub holds: Holds,
    /// `--ulimit nofile=`: set where the runtime's own default is more than this process may set.
    pub nofile: Option<u64>,
    /// `--ulimit nproc=`: the same.
    pub nproc: Option<u64>,
    /// Arguments that give the box an init process; empty where there is none.
    pub init: Vec<String>,
    /// The seccomp profile file from which a stricter one is made (podman, and docker before version 25).
    pub seccomp: Option<PathBuf>,
    /// What its boxes do not hold on this machine, as far as detection saw.
    pub caveat: Option<String>,
    /// Whether SELinux would keep the box from the bind mounts, unless its labels are off.
    pub selinux: bool,
    /// Whether the client puts proxies of its own configuration into every box, credentials and all.
    pub injects_proxies: bool,
    /// Argument of `--network` for open egress.
    pub open_network: &'static str,
    /// What bubblewrap needs to know of the host.
    pub host: Option<Host>,
    /// `TERM` for boxes with a terminal.
    pub term: String,
    /// Runtimes before this one that are there but cannot be used, with the reason.
    pub passed_over: Vec<String>,
    /// The environment of the user, for the client of the runtime.
    pub env: Env,
}

impl Usable {
    /// A runtime of which nothing was probed yet: rootful, and everything works.
    pub fn assumed(runtime: Runtime, program: PathBuf, env: &Env) -> Self {
        let term = env.str("TERM").filter(|t| t.bytes().all(|b| b.is_ascii_graphic())).unwrap_or("xterm-256color");
        Usable {
            runtime,
            program,
            global: Vec::new(),
            rootless: false,
            holds: Holds { memory: true, pids: true, cpus: true },
            nofile: None,
            nproc: None,
            init: vec!["--init".into()],
            seccomp: None,
            caveat: None,
            selinux: false,
            injects_proxies: false,
            open_network: "bridge",
            host: None,
            term: term.to_owned(),
            passed_over: Vec::new(),
            env: env.clone(),
        }
    }
}

/// Finds the runtime: the forced one, or the first usable of [`Runtime::ALL`].
///
/// Errors, exit 5: the forced one is missing or unusable, or none is usable. Each that is there is named with the reason
/// and the command that mends it. An unknown name is exit 2.
pub fn detect(env: &Env, forced: Option<&str>, probes: &dyn Probes) -> Result<Usable> {
    if let Some(name) = forced {
        let runtime = Runtime::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| {
            Error::usage(format!("unknown runtime '{name}'")).hint("COOP_RUNTIME=container, docker, podman or bwrap")
        })?;
        return match probe(runtime, env, probes) {
            Some(result) => result,
            None => Err(Error::no_runtime(format!("{name} is not installed")).hint(install_hint(runtime))),
        };
    }
    let mut broken: Vec<Error> = Vec::new();
    for runtime in Runtime::ALL {
        match probe(runtime, env, probes) {
            Some(Ok(mut usable)) => {
                usable.passed_over = broken.iter().map(|e| e.message().to_owned()).collect();
                return Ok(usable);
            }
            Some(Err(err)) => broken.push(err),
            None => {}
        }
    }
    if broken.is_empty() {
        return Err(Error::no_runtime("no container runtime is installed").hint(install_hint(Runtime::Bwrap)));
    }
    let reasons: Vec<&str> = broken.iter().map(Error::message).collect();
    let mut error = Error::no_runtime(format!("no container runtime can be used: {}", reasons.join("; ")));
    for hint in broken.iter().flat_map(Error::hints) {
        error = error.hint(hint.clone());
    }
    Err(error)
}

/// Every runtime that is there, usable or not, in the order of detection: for doctor and for tests.
pub fn survey(env: &Env, probes: &dyn Probes) -> Vec<(Runtime, Result<Usable>)> {
    Runtime::ALL.into_iter().filter_map(|r| probe(r, env, probes).map(|found| (r, found))).collect()
}

fn probe(runtime: Runtime, env: &Env, probes: &dyn Probes) -> Option<Result<Usable>> {
    // `container` is a common word: only Apple's counts
    if runtime == Runtime::Container && !cfg!(target_os = "macos") {
        return None;
    }
    let program = env.which(runtime.name())?;
    let mut usable = Usable::assumed(runtime, program, env);
    usable.selinux = probes.read(std::path::Path::new("/sys/fs/selinux/enforce")).is_some();
    Some(match runtime {
        Runtime::Container => Ok(Usable { holds: Holds { pids: false, ..usable.holds }, ..usable }),
        Runtime::Docker => docker::probe(usable, probes),
        Runtime::Podman => podman::probe(usable, probes),
        Runtime::Bwrap => bwrap::probe(usable, probes),
    })
}

/// The error for a bubblewrap that was refused its namespaces, with the switch that did it.
pub(super) fn bwrap_refused(complaint: &str, env: &Env) -> Error {
    bwrap::refused(complaint, &System::new(env))
}

fn install_hint(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Container => "install Apple container from https://github.com/apple/container",
        Runtime::Docker => "sudo apt install docker.io, or see https://docs.docker.com/engine/install",
        Runtime::Podman => "sudo apt install podman catatonit",
        Runtime::Bwrap => "sudo apt install bubblewrap",
    }
}

/// The cache key for answers of `program`: it changes when the program or the boot does.
fn cache_key(usable: &Usable, probes: &dyn Probes) -> Option<String> {
    Some(format!("2 {} {} {}", usable.program.display(), probes.stamp(&usable.program)?, owner::boot_id()))
}
