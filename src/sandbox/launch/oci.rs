//! Starting and ending a box of docker, podman or Apple `container`.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

use super::super::argv::{self, Place};
use super::super::io::{Ended, How, Io};
use super::super::marker::Marker;
use super::super::process::{Control, supervise};
use super::super::runtime::Usable;
use super::super::runtime::probes::{Ran, timed};
use super::super::spec::{BoxSpec, Runtime};
use super::super::sys;
use super::{client_setup, command, failure};

/// How long one command of the runtime may take.
const COMMAND: Duration = Duration::from_secs(20);

pub(super) fn launch(usable: &Usable, spec: &BoxSpec, place: Place, marker: &Marker, io: Io) -> Result<Ended> {
    let argv = argv::build(usable, spec, Place { cidfile: Some(&marker.cidfile), ..place })?;
    let command = command(&argv, usable, true);
    // a client whose coop was killed passes the signal on, so the box ends without waiting for a sweep
    let setup = client_setup(libc::SIGTERM);
    let mut control = Outside { usable, name: format!("coop-{}", spec.id), client: 0, ending: None };
    let finished = supervise(command, setup, io, &mut control);
    let created = std::fs::metadata(&marker.cidfile).is_ok_and(|m| m.len() > 0);
    let ended_itself = matches!(&finished, Ok(f) if f.ended.how == How::Exited);
    if control.ending.is_some() || (!ended_itself) {
        control.prove_gone()?;
    }
    let finished = finished?;
    let status = finished.ended.status;
    if created && matches!(status, 125..=127) {
        control.prove_gone()?; // a start that failed may leave the container behind
    }
    failure::oci(usable, spec, finished, created)
}

struct Outside<'a> {
    usable: &'a Usable,
    name: String,
    client: i32,
    ending: Option<JoinHandle<()>>,
}

impl Outside<'_> {
    fn prove_gone(&mut self) -> Result<()> {
        if let Some(thread) = self.ending.take() {
            let _ = thread.join(); // what it could not do is done below
        }
        remove(self.usable, std::slice::from_ref(&self.name))
    }
}

impl Control for Outside<'_> {
    fn started(&mut self, client: i32) {
        self.client = client;
    }
    fn ask(&mut self, signal: i32) {
        sys::kill(self.client, signal); // which the client passes on
    }
    fn kill(&mut self) {
        if self.ending.is_none() {
            let (usable, name) = (self.usable.clone(), self.name.clone());
            self.ending = Some(std::thread::spawn(move || {
                run(&usable, &["kill", &name]);
            }));
        }
    }
    fn pause(&mut self, on: bool) {
        if self.usable.runtime == Runtime::Container {
            self.kill(); // it cannot pause, and a box that must not go on ends
        } else {
            run(self.usable, &[if on { "pause" } else { "unpause" }, &self.name]);
        }
    }
}

/// Runs a command of the runtime without input.
pub(in super::super) fn run(usable: &Usable, args: &[&str]) -> Ran {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(&usable.program);
    command.args(&usable.global).args(args).env_clear().envs(usable.env.iter()).current_dir("/").process_group(0);
    timed(command, COMMAND)
}

/// Removes containers by name or id and returns when none is left. Errors: one is left after half a minute.
pub(in super::super) fn remove(usable: &Usable, names: &[String]) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let verb: &[&str] = match usable.runtime {
        Runtime::Container => &["delete", "--force"],
        _ => &["rm", "--force", "--volumes"],
    };
    loop {
        let left: Vec<&String> = names.iter().filter(|name| exists(usable, name)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::bug(format!("{} would not remove the box {}", usable.runtime.name(), left[0]))
                .hint(format!("{} {} {}", usable.runtime.name(), verb.join(" "), left[0])));
        }
        let mut args = verb.to_vec();
        args.extend(left.iter().map(|s| s.as_str()));
        run(usable, &args);
    }
}

/// Whether the container is there in any state. Only a clear "no such" counts as gone.
fn exists(usable: &Usable, name: &str) -> bool {
    let verb: &[&str] = match usable.runtime {
        Runtime::Container => &["inspect", name],
        _ => &["container", "inspect", "--format", "{{.Id}}", name],
    };
    let ran = run(usable, verb);
    let complaint = ran.stderr.to_lowercase();
    let denied = ["no such", "not found", "no container"].iter().any(|w| complaint.contains(w));
    let nothing = ran.stdout.trim() == "[]"; // Apple's answer
    !nothing && (ran.ok() || !denied)
}
