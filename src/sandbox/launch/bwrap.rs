//! Starting and ending a bubblewrap box.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::{Context as _, Error, Result};

use super::super::argv::{self, Extras, Place};
use super::super::cgroup::Cgroup;
use super::super::io::{Ended, Io};
use super::super::process::{Control, supervise};
use super::super::runtime::{Holds, Usable, pasta};
use super::super::spec::{BoxSpec, Egress, Limits};
use super::super::{boxes, etc, seccomp, sys};
use super::{client_setup, command, failure};
use crate::without::without;

pub(super) fn launch(usable: &Usable, spec: &BoxSpec, place: Place, io: Io) -> Result<Ended> {
    let pasta = match spec.egress {
        Egress::Open => Some(pasta::find(&usable.env)?),
        Egress::None => None,
    };
    reachable(spec, place)?;
    let mut cgroup = Cgroup::create(&spec.id, place.owner, &spec.limits);
    let several = usable.host.as_ref().is_some_and(|h| h.several_filters);
    // an old bubblewrap takes one filter: then namespaces by clone3 are left to --disable-userns
    let programs: Vec<Vec<u8>> = seccomp::for_bwrap()?.into_iter().take(if several { 2 } else { 1 }).collect();
    // pasta closes what it inherits, so behind it the filters are files that a shell opens
    let filters: Vec<OwnedFd> = if pasta.is_some() { Vec::new() } else { in_memory(&programs)? };
    let mut filter_files = Vec::new();
    if pasta.is_some() {
        for (number, program) in programs.iter().enumerate() {
            let name = format!("bwrap-{number}.bpf");
            filter_files.push(place.support.write("seccomp", &name, program, 0o444).or_bug("cannot write a filter")?);
        }
    }
    let (info_reader, info_writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).or_bug("cannot make a pipe")?;
    let extras = Extras {
        filters: filters.iter().map(|f| f.as_raw_fd()).collect(),
        info: pasta.is_none().then(|| info_writer.as_raw_fd()),
        filter_files,
        files: etc::files(place.support, spec, pasta.is_some())?,
        held: cgroup.holds,
        pasta,
    };
    let argv = argv::build(usable, spec, Place { bwrap: Some(&extras), ..place })?;
    let command = command(&argv, usable, without("clean-environment"));
    let mut setup = client_setup(libc::SIGKILL);
    setup.cgroups = cgroup.joiners();
    setup.new_keyring = !without("session-keyring");
    setup.leave_open = without("close-descriptors");
    setup.keep = extras.filters.iter().copied().chain(extras.info).collect();
    let root = rustix::process::geteuid().is_root();
    setup.become_user = (root && spec.user.uid != 0).then_some((spec.user.uid, spec.user.gid));

    let mut control = Inside {
        info: Some(info_reader),
        writer: Some(info_writer),
        told: Vec::new(),
        client: 0,
        init: None,
        cgroup: &cgroup,
    };
    let finished = supervise(command, setup, io, &mut control);
    let gone = control.prove_gone();
    drop(filters);
    let finished = finished?;
    gone?;
    failure::bwrap(usable, spec, finished)
}

/// Which limits a cgroup would hold here.
pub(super) fn would_hold(limits: &Limits) -> Holds {
    Cgroup::possible(limits)
}

/// The filters in anonymous files that bubblewrap reads.
fn in_memory(programs: &[Vec<u8>]) -> Result<Vec<OwnedFd>> {
    programs
        .iter()
        .map(|program| {
            let fd = rustix::fs::memfd_create("coop-filter", rustix::fs::MemfdFlags::CLOEXEC)?;
            let mut file = File::from(fd);
            file.write_all(program)?;
            file.rewind()?;
            Ok(file.into())
        })
        .collect::<std::io::Result<_>>()
        .or_bug("cannot hand over the system call filter")
}

/// bubblewrap resolves sources as the box's user. Where root runs a box for another owner, a source below a closed
/// directory is said here, because bubblewrap would only say "permission denied".
fn reachable(spec: &BoxSpec, place: Place) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    if spec.user.uid == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let sources = spec.mounts.iter().filter_map(|m| match m {
        super::super::spec::Mount::Bind { source, .. } => Some(source.as_path()),
        _ => None,
    });
    for source in sources.chain([place.support.blank_file.as_path()]) {
        for dir in source.ancestors().skip(1) {
            let Ok(m) = std::fs::metadata(dir) else { continue };
            let needed = match (m.uid() == spec.user.uid, m.gid() == spec.user.gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            if m.mode() & needed == 0 {
                return Err(Error::no_runtime(format!(
                    "user {} cannot reach '{}': '{}' is closed to it",
                    spec.user.uid,
                    source.display(),
                    dir.display()
                ))
                .hint("run git coop as the owner of the repository, or use COOP_RUNTIME=docker"));
            }
        }
    }
    Ok(())
}

struct Inside<'a> {
    info: Option<OwnedFd>,
    writer: Option<OwnedFd>,
    told: Vec<u8>,
    client: i32,
    /// The box's first process, by its number here.
    init: Option<i32>,
    cgroup: &'a Cgroup,
}

impl Inside<'_> {
    /// The box's first process: as bubblewrap told it, or (behind pasta) nobody.
    fn init(&mut self) -> Option<i32> {
        if self.init.is_none()
            && let Some(fd) = &self.info
        {
            self.writer = None;
            #[derive(serde::Deserialize)]
            struct Info {
                #[serde(rename = "child-pid")]
                child: i32,
            }
            let _ = rustix::io::ioctl_fionbio(fd, true);
            let mut buffer = [0u8; 1024];
            // it arrives in several writes; before the last one this is not JSON yet and is tried again
            if let Ok(count) = rustix::io::read(fd, &mut buffer) {
                self.told.extend(&buffer[..count]);
            }
            self.init = serde_json::from_slice::<Info>(&self.told).ok().map(|info| info.child);
        }
        self.init
    }

    fn members(&mut self) -> Vec<i32> {
        match self.init() {
            Some(init) => boxes::descendants(init),
            None => boxes::inside(self.client),
        }
    }

    /// Waits until no process of the box is left.
    fn prove_gone(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let init = self.init();
        loop {
            // the first process of a pid namespace goes last
            let left = init.filter(|pid| boxes::is_process(*pid));
            if left.is_none() && self.cgroup.processes().is_empty() {
                return Ok(());
            }
            for pid in left.into_iter().chain(self.cgroup.processes()) {
                sys::kill(pid, libc::SIGKILL);
            }
            if Instant::now() > deadline {
                return Err(Error::bug("the box would not end").hint("git coop doctor"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Control for Inside<'_> {
    fn started(&mut self, client: i32) {
        self.client = client;
        self.writer = None;
    }
    fn ask(&mut self, signal: i32) {
        // everything but the first process, which takes no signals and ends with its child
        for pid in self.members() {
            sys::kill(pid, signal);
        }
    }
    fn kill(&mut self) {
        if let Some(init) = self.init() {
            sys::kill(init, libc::SIGKILL);
        }
        let below = boxes::descendants(self.client); // pasta's children do not die with it
        for pid in self.cgroup.processes().into_iter().chain(below) {
            sys::kill(pid, libc::SIGKILL);
        }
        sys::kill(self.client, libc::SIGKILL);
    }
    fn pause(&mut self, on: bool) {
        for pid in self.members() {
            sys::kill(pid, if on { libc::SIGSTOP } else { libc::SIGCONT });
        }
    }
}
