//! Starts a box: the one function of the project that does.
//!
//! Guarantees: nothing is started when a protection cannot be had; when [`launch`] returns, the box is gone; a failure
//! of the runtime is an error and never taken for the exit status of the command.

mod bwrap;
mod failure;
pub(super) mod oci;

use std::process::Command;

use crate::error::{Context as _, Result};

use super::argv::{self, Argv, Place};
use super::boxes;
use super::egress::start::Running;
use super::io::{Ended, Io, Stdin};
use super::marker::Marker;
use super::owner::Owner;
use super::runtime::Usable;
use super::seccomp;
use super::spec::{BoxSpec, Egress, Runtime};
use super::support::{Support, root};
use super::sys::Setup;

/// Runs a box to its end. The calling thread must be one that lives as long as the box: under bubblewrap the box dies
/// with it. Boxes whose owner is gone are swept meanwhile.
///
/// Errors: exit 5 where the runtime, the image or the program in the box is missing or a protection cannot be had;
/// exit 2 for a limit that makes no sense; exit 70 otherwise.
pub fn launch(usable: &Usable, spec: &BoxSpec, io: Io) -> Result<Ended> {
    let owner = Owner::of_process();
    let support = Support::at(&root(&usable.env, spec.user));
    support.prepare()?;
    let place = Place {
        support: &support,
        owner: &owner,
        terminal: io.terminal,
        stdin: !matches!(io.stdin, Stdin::Null),
        cidfile: None,
        seccomp: None,
        bwrap: None,
    };
    let markers = support.root.join("run");
    let sweeper = boxes::sweep_aside(usable, &markers);
    let marker = Marker::set(&markers, &spec.id, &owner).or_bug(format!("cannot write in '{}'", markers.display()))?;
    let ended = match &spec.proxy {
        None => start(usable, spec, place, &marker, io),
        Some(proxy) => {
            let (running, spec) = Running::start(proxy, usable, spec, &support, &owner)?;
            running.finish(start(usable, &spec, place, &marker, io))
        }
    };
    drop(sweeper); // it goes on by itself
    ended
}

fn start(usable: &Usable, spec: &BoxSpec, place: Place, marker: &Marker, io: Io) -> Result<Ended> {
    match usable.runtime {
        Runtime::Bwrap => bwrap::launch(usable, spec, place, io),
        Runtime::Docker | Runtime::Podman | Runtime::Container => {
            let profile = match &usable.seccomp {
                Some(default) => {
                    let text = seccomp::from_default(default)?;
                    Some(
                        place
                            .support
                            .write("seccomp", "podman.json", &text, 0o444)
                            .or_bug("cannot write a seccomp profile")?,
                    )
                }
                None => None,
            };
            oci::launch(usable, spec, Place { seccomp: profile.as_deref(), ..place }, marker, io)
        }
    }
}

/// What a box of this specification will not hold on this runtime, one sentence each, to be said once.
pub fn caveats(usable: &Usable, spec: &BoxSpec) -> Vec<String> {
    let mut out = Vec::new();
    let name = usable.runtime.name();
    let bwrap = usable.runtime == Runtime::Bwrap;
    let holds = if bwrap { bwrap::would_hold(&spec.limits) } else { usable.holds };
    if spec.limits.memory.is_some() && !holds.memory {
        out.push(match bwrap {
            true => {
                "no cgroup can be made here, so COOP_MEMORY limits each process by itself, by its address space".into()
            }
            false => format!("{name} does not enforce COOP_MEMORY here"),
        });
    }
    if spec.limits.millicpus.is_some() && !holds.cpus {
        out.push(format!("{name} does not enforce COOP_CPUS here"));
    }
    if !holds.pids && bwrap && spec.user.uid == 0 {
        out.push("no cgroup can be made here, and processes of root are not counted: COOP_PIDS is not enforced".into());
    }
    out.extend(usable.caveat.clone());
    if usable.init.is_empty() {
        out.push("podman has no init process (catatonit) here: stopping a box kills it".into());
    }
    if usable.runtime == Runtime::Podman && usable.seccomp.is_none() {
        out.push("podman runs without a system call filter here".into());
    }
    if spec.egress == Egress::Open && usable.runtime == Runtime::Docker {
        out.push("services of this machine that listen on all addresses are reachable through docker's bridge".into());
    }
    out
}

/// The process to start for `argv`. `inherit` is whether the client sees the user's environment: a container's client
/// needs it, a bubblewrap box must not have it.
fn command(argv: &Argv, usable: &Usable, inherit: bool) -> Command {
    let mut command = Command::new(&argv.program);
    command.args(&argv.args).env_clear().current_dir("/");
    if inherit {
        command.envs(usable.env.iter());
    }
    command.envs(argv.env.iter().map(|(k, v)| (k, v)));
    command
}

/// Builds the command line alone, to be shown or compared.
pub fn preview(usable: &Usable, spec: &BoxSpec, terminal: bool) -> Result<Argv> {
    let owner = Owner::of_process();
    let support = Support::at(&root(&usable.env, spec.user));
    let place =
        Place { support: &support, owner: &owner, terminal, stdin: true, cidfile: None, seccomp: None, bwrap: None };
    argv::build(usable, spec, place)
}

fn client_setup(death_signal: i32) -> Setup {
    Setup { death_signal: Some(death_signal), ..Setup::default() }
}
