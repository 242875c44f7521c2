//! From a [`BoxSpec`] to the command line of a runtime. Pure: no file is looked at, nothing is started.
//!
//! What every runtime is told: owner-of-repository user, no capabilities, no new privileges, read-only root, private
//! `/tmp` and home, limits, an explicit network, labels that say whose box it is. Flag sets and their reasons were
//! measured per runtime; the snapshots in `tests/argv` hold them.

pub mod bwrap;
pub mod container;
pub mod docker;
mod oci;
pub mod podman;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::owner::Owner;
use super::runtime::{Holds, Usable};
use super::spec::{BoxSpec, Mount, Runtime};
use super::support::Support;

/// A command line and the environment that goes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Argv {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of the client: for containers those that `-e NAME` passes on (values stay out of `ps`), for bubblewrap
    /// the whole environment of the box.
    pub env: Vec<(OsString, OsString)>,
}

impl Argv {
    fn new(program: &Path) -> Self {
        Argv { program: program.to_owned(), ..Argv::default() }
    }
    fn push(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }
    fn pair(&mut self, option: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.push(option).push(value)
    }
    fn triple(&mut self, option: &str, first: impl AsRef<OsStr>, second: impl AsRef<OsStr>) -> &mut Self {
        self.push(option).push(first).push(second)
    }
}

/// Everything about one launch that is not in the specification.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The blanks.
    pub support: &'a Support,
    /// Who owns the box.
    pub owner: &'a Owner,
    /// Whether the box gets a terminal.
    pub terminal: bool,
    /// Whether anything will come on standard input.
    pub stdin: bool,
    /// Where a container runtime writes the container's id, and so says that it was created.
    pub cidfile: Option<&'a Path>,
    /// A seccomp profile for podman.
    pub seccomp: Option<&'a Path>,
    /// What bubblewrap is given besides.
    pub bwrap: Option<&'a Extras>,
}

/// bubblewrap's open files and made-up `/etc`.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Descriptors of seccomp filters.
    pub filters: Vec<RawFd>,
    /// The same filters as files, used where pasta stands between us and bubblewrap.
    pub filter_files: Vec<PathBuf>,
    /// Descriptor on which bubblewrap tells the process id of the box.
    pub info: Option<RawFd>,
    /// Generated files: path on the host, path in the box.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Limits that a cgroup holds already; the others become limits per process.
    pub held: Option<Holds>,
    /// pasta, for open egress.
    pub pasta: Option<PathBuf>,
}

/// The command line of a box. Errors: what this runtime cannot express, exit 5; a specification that is wrong, exit 70.
pub fn build(usable: &Usable, spec: &BoxSpec, place: Place) -> Result<Argv> {
    check(spec)?;
    match usable.runtime {
        Runtime::Docker => docker::build(usable, spec, place),
        Runtime::Podman => podman::build(usable, spec, place),
        Runtime::Container => container::build(usable, spec, place),
        Runtime::Bwrap => bwrap::build(usable, spec, place),
    }
}

/// `PATH` in a box: the prefixes, then the usual directories.
fn path_value(spec: &BoxSpec) -> OsString {
    let mut path = OsString::new();
    for dir in &spec.path_prefix {
        path.push(dir);
        path.push(":");
    }
    path.push("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path
}

/// The whole environment of the box.
fn environment(usable: &Usable, spec: &BoxSpec, terminal: bool) -> Vec<(String, OsString)> {
    let mut env = vec![
        ("HOME".to_owned(), spec.home.clone().into_os_string()),
        ("PATH".to_owned(), path_value(spec)),
        ("LANG".to_owned(), "C.UTF-8".into()),
    ];
    if terminal {
        env.push(("TERM".to_owned(), usable.term.clone().into()));
    }
    env.extend(spec.env.iter().cloned());
    env
}

fn labels(spec: &BoxSpec, owner: &Owner) -> [(&'static str, String); 6] {
    [
        ("coop.run", spec.id.clone()),
        ("coop.purpose", spec.purpose.clone()),
        ("coop.workspace", spec.workspace.clone()),
        ("coop.pid", owner.pid.to_string()),
        ("coop.start", owner.start.to_string()),
        ("coop.boot", owner.boot.clone()),
    ]
}

/// What would be wrong on every runtime.
fn check(spec: &BoxSpec) -> Result<()> {
    let good_id =
        (4..=32).contains(&spec.id.len()) && spec.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !good_id {
        return Err(Error::bug(format!("'{}' is no id for a box", spec.id)));
    }
    if spec.command.is_empty() {
        return Err(Error::bug("a box without a command"));
    }
    let paths = [&spec.workdir, &spec.home].into_iter().chain(&spec.path_prefix);
    for path in paths.chain(spec.mounts.iter().map(Mount::target)) {
        let dots =
            path.components().any(|c| !matches!(c, std::path::Component::RootDir | std::path::Component::Normal(_)));
        if !path.is_absolute() || dots || path.parent().is_none() {
            return Err(Error::bug(format!("'{}' is no place in a box", path.display())));
        }
    }
    for mount in &spec.mounts {
        if let Mount::Bind { source, .. } = mount
            && !source.is_absolute()
        {
            return Err(Error::bug(format!("'{}' is no source of a mount", source.display())));
        }
    }
    let bad_name = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    if let Some((name, _)) = spec.env.iter().find(|(name, _)| bad_name(name)) {
        return Err(Error::bug(format!("'{name}' is no name of a variable")));
    }
    if spec.limits.pids < 16 {
        return Err(Error::usage("a box needs at least 16 processes").hint("COOP_PIDS=512"));
    }
    Ok(())
}

/// Size of the private `/tmp` and home, in bytes: half of a memory limit, else 4 GiB.
fn tmpfs_size(spec: &BoxSpec) -> u64 {
    if crate::without::without("tmpfs-size") {
        return 1 << 36;
    }
    spec.limits.memory.map_or(4 << 30, |memory| (memory / 2).max(16 << 20))
}
