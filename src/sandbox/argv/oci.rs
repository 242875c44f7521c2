//! What docker and podman have in common, and parts of it Apple `container`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::error::{Error, Result};

use super::super::runtime::Usable;
use super::super::spec::{BoxSpec, Egress, Mount};
use super::{Argv, Place, environment, labels, tmpfs_size};

/// `run` with everything up to the mounts.
pub(super) fn head(usable: &Usable, spec: &BoxSpec, place: Place) -> Argv {
    let mut argv = Argv::new(&usable.program);
    for arg in &usable.global {
        argv.push(arg);
    }
    argv.push("run").push("--rm");
    for arg in &usable.init {
        argv.push(arg);
    }
    argv.pair("--pull", "never"); // an image comes from `git coop build`, never from a registry in passing
    if place.stdin || place.terminal {
        argv.push("-i");
    }
    if place.terminal {
        argv.push("-t");
    }
    argv.pair("--name", format!("coop-{}", spec.id));
    for (key, value) in labels(spec, place.owner) {
        argv.pair("--label", format!("{key}={value}"));
    }
    if let Some(cidfile) = place.cidfile {
        argv.pair("--cidfile", cidfile);
    }
    argv.pair("--log-driver", "none"); // the output is ours to keep, not the daemon's
    argv.pair("--cap-drop", "ALL");
    if !crate::without::without("no-new-privileges") {
        argv.pair("--security-opt", "no-new-privileges");
    }
    if usable.selinux {
        argv.pair("--security-opt", "label=disable"); // relabelling the user's checkout would be worse
    }
    argv.push("--read-only").pair("--ipc", "private").pair("--hostname", "box");
    argv.pair(
        "--network",
        match spec.egress {
            Egress::None => "none",
            Egress::Open => usable.open_network,
        },
    );
    limits(&mut argv, usable, spec);
    argv
}

fn limits(argv: &mut Argv, usable: &Usable, spec: &BoxSpec) {
    argv.pair("--ulimit", "core=0"); // a core dump is handled on the host
    if usable.holds.pids {
        argv.pair("--pids-limit", spec.limits.pids.to_string());
    }
    // Where the runtime counts, a limit per user would count what the same user runs outside, too.
    let nproc = if usable.holds.pids { usable.nproc } else { Some(u64::from(spec.limits.pids)) };
    for (name, value) in [("nofile", usable.nofile), ("nproc", nproc)] {
        if let Some(value) = value {
            argv.pair("--ulimit", format!("{name}={value}:{value}"));
        }
    }
    if let Some(memory) = spec.limits.memory
        && usable.holds.memory
    {
        argv.pair("--memory", memory.to_string()).pair("--memory-swap", memory.to_string());
    }
    if let Some(cpus) = spec.limits.millicpus
        && usable.holds.cpus
    {
        argv.pair("--cpus", format!("{}.{:03}", cpus / 1000, cpus % 1000));
    }
}

/// A `--security-opt` value that names a filter.
pub(super) fn profile(path: &Path) -> OsString {
    let mut option = OsString::from("seccomp=");
    option.push(path);
    option
}

/// A `--tmpfs` argument, whose parts are separated by colons and commas.
pub(super) fn tmpfs(spec: &BoxSpec, path: &Path, options: &str) -> Result<OsString> {
    let text = utf8(path)?;
    if text.contains([':', ',']) {
        return Err(inexpressible(path, "':' or ',' in the home directory of the box"));
    }
    Ok(format!("{text}:rw,exec,nosuid,nodev,size={},{options}", tmpfs_size(spec)).into())
}

/// The mounts of the specification as `--mount` arguments. `tmpfs_extra` is added to memory file systems.
pub(super) fn mounts(argv: &mut Argv, spec: &BoxSpec, place: Place, tmpfs_extra: &str) -> Result<()> {
    for mount in &spec.mounts {
        let text = match mount {
            Mount::Bind { source, target, writable } => bind(source, target, *writable)?,
            Mount::BlankFile { target } => bind(&place.support.blank_file, target, false)?,
            Mount::BlankDir { target } => bind(&place.support.blank_dir, target, false)?,
            Mount::Tmpfs { target, size, mode } => {
                let target = field("target", target)?;
                format!("type=tmpfs,{target},tmpfs-size={size},tmpfs-mode={mode:o}{tmpfs_extra}")
            }
        };
        argv.pair("--mount", text);
    }
    Ok(())
}

fn bind(source: &Path, target: &Path, writable: bool) -> Result<String> {
    let tail = if writable { "" } else { ",readonly" };
    Ok(format!("type=bind,{},{}{tail}", field("source", source)?, field("target", target)?))
}

/// One quoted CSV field: the runtimes read `--mount` as a line of comma-separated values.
fn field(key: &str, path: &Path) -> Result<String> {
    let text = utf8(path)?;
    if text.contains("\r\n") {
        return Err(inexpressible(path, "a carriage return before a newline")); // read as a newline alone
    }
    Ok(format!("\"{key}={}\"", text.replace('"', "\"\"")))
}

/// The command line goes through JSON, which holds text only.
pub(super) fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| inexpressible(path, "bytes that are not UTF-8"))
}

pub(super) fn inexpressible(path: &Path, what: &str) -> Error {
    let shown = crate::ui::text::printable_bytes(path.as_os_str().as_bytes());
    Error::no_runtime(format!("this runtime cannot mount '{shown}': {what}"))
        .hint("COOP_RUNTIME=bwrap mounts every name; a fork leaves untracked files out")
}

/// Names that mean something to the client itself: their values go on its command line instead of its environment.
fn means_something_to_the_client(name: &str) -> bool {
    const PREFIXES: [&str; 9] = ["DOCKER_", "CONTAINER", "XDG_", "LD_", "DYLD_", "SSH_", "GO", "BUILDKIT_", "OTEL_"];
    const NAMES: [&str; 8] = ["PATH", "HOME", "TMPDIR", "TERM", "LANG", "NO_PROXY", "STORAGE_DRIVER", "STORAGE_OPTS"];
    let upper = name.to_ascii_uppercase();
    upper.ends_with("_PROXY") || NAMES.contains(&upper.as_str()) || PREFIXES.iter().any(|p| upper.starts_with(p))
}

/// What docker's client sets by itself where its configuration has proxies.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Environment, working directory, image and command. The image's own entry point is not used: what runs is what was
/// asked for.
pub(super) fn tail(argv: &mut Argv, usable: &Usable, spec: &BoxSpec, place: Place) -> Result<()> {
    for (name, value) in environment(usable, spec, place.terminal) {
        if means_something_to_the_client(&name) {
            let mut pair = OsString::from(&name);
            pair.push("=");
            pair.push(&value);
            argv.pair("-e", pair);
        } else {
            argv.pair("-e", &name);
            argv.env.push((name.into(), value));
        }
    }
    if usable.injects_proxies {
        for name in PROXIES.iter().filter(|name| !spec.env.iter().any(|(n, _)| n == *name)) {
            argv.pair("-e", format!("{name}="));
        }
    }
    let image = spec.image.as_deref().ok_or_else(|| Error::bug("a container without an image"))?;
    if image.is_empty() || image.starts_with('-') {
        return Err(Error::usage(format!("'{image}' is no image")).hint("git coop build"));
    }
    utf8(&spec.workdir)?;
    argv.pair("-w", &spec.workdir);
    let (program, args) = spec.command.split_first().ok_or_else(|| Error::bug("a box without a command"))?;
    argv.pair("--entrypoint", program).push(image);
    argv.args.extend(args.iter().cloned());
    Ok(())
}

/// `uid:gid`.
pub(super) fn user(uid: u32, gid: u32) -> impl AsRef<OsStr> {
    OsString::from(format!("{uid}:{gid}"))
}
