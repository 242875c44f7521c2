//! The command line of a bubblewrap box: the host's programs read-only, nothing else of the host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::super::runtime::{Holds, Usable};
use super::super::spec::{BoxSpec, Mount};
use super::{Argv, Extras, Place, environment, labels, tmpfs_size};
use crate::without::without;

/// More mounts than this take bubblewrap seconds: it compares each with every other.
pub const MOST_MOUNTS: usize = 1_000;

pub(super) fn build(usable: &Usable, spec: &BoxSpec, place: Place) -> Result<Argv> {
    let none = Extras::default();
    let extras = place.bwrap.unwrap_or(&none);
    let host = usable.host.as_ref().ok_or_else(|| Error::bug("bubblewrap was not probed"))?;
    if spec.mounts.len() > MOST_MOUNTS {
        return Err(Error::no_runtime(format!(
            "{} mounts are too many for bubblewrap, which takes {MOST_MOUNTS} at most",
            spec.mounts.len()
        ))
        .hint("cover their directory as a whole in .coopignore, or use COOP_RUNTIME=docker or podman"));
    }
    let mut argv = Argv::new(&usable.program);
    label(&mut argv, spec, place);
    namespaces(&mut argv);
    if extras.pasta.is_some() || without("no-network") {
        argv.push("--share-net"); // of pasta's namespace, not of the host
    }
    if host.disable_userns && !without("seccomp") {
        argv.push("--disable-userns");
    }
    argv.pair("--uid", spec.user.uid.to_string()).pair("--gid", spec.user.gid.to_string());
    argv.pair("--hostname", "box").push("--die-with-parent");
    if !without("no-capabilities") {
        argv.pair("--cap-drop", "ALL");
    }
    if !place.terminal {
        argv.push("--new-session"); // with a terminal the session is one that we made for it
    }
    let option = if host.several_filters { "--add-seccomp-fd" } else { "--seccomp" };
    for fd in extras.filters.iter().filter(|_| !without("seccomp")) {
        argv.pair(option, fd.to_string());
    }
    for fd in FIRST_FD..FIRST_FD + extras.filter_files.len() {
        argv.pair(option, fd.to_string());
    }
    if let Some(fd) = extras.info {
        argv.pair("--info-fd", fd.to_string());
    }
    system(&mut argv, usable, spec, place, extras);
    mounts(&mut argv, host.size, spec, place);
    if !without("read-only-root") {
        argv.pair("--remount-ro", "/");
    }
    argv.pair("--chdir", &spec.workdir).push("--");
    prelude(&mut argv, spec, extras.held.unwrap_or(Holds { memory: false, pids: false, cpus: false }));
    argv.args.extend(spec.command.iter().cloned());
    argv.env = environment(usable, spec, place.terminal).into_iter().map(|(k, v)| (k.into(), v)).collect();
    Ok(match &extras.pasta {
        Some(pasta) => wrapped(pasta, &extras.filter_files, argv),
        None => argv,
    })
}

/// Every namespace there is.
fn namespaces(argv: &mut Argv) {
    let left = ["pid", "ipc", "net"].into_iter().find(|name| without(&format!("{name}-namespace")));
    match left {
        None => argv.push("--unshare-all").push("--unshare-user"),
        Some(left) => {
            let kept = ["user", "pid", "ipc", "net", "uts"].into_iter().filter(|name| *name != left);
            kept.fold(argv, |argv, name| argv.push(format!("--unshare-{name}")))
        }
    };
}

/// Labels that a look at the host's process list finds; they are taken out of the environment again at once.
fn label(argv: &mut Argv, spec: &BoxSpec, place: Place) {
    let labels = labels(spec, place.owner);
    for (key, value) in &labels {
        argv.triple("--setenv", key, value);
    }
    for (key, _) in &labels {
        argv.pair("--unsetenv", key);
    }
}

fn system(argv: &mut Argv, usable: &Usable, spec: &BoxSpec, place: Place, extras: &Extras) {
    let Some(host) = &usable.host else { return };
    for path in &host.binds {
        argv.triple("--ro-bind", path, path);
    }
    for (target, link) in &host.links {
        argv.triple("--symlink", target, link);
    }
    for (source, target) in &extras.files {
        argv.triple("--ro-bind", source, target);
    }
    argv.pair("--proc", "/proc");
    for path in host.proc_blanks.iter().filter(|_| !without("proc-blanks")) {
        argv.triple("--ro-bind", &place.support.blank_file, path);
    }
    if spec.user.uid == 0 && !without("read-only-proc") {
        // the host's root may write the kernel's settings without any capability, because it owns their files;
        // bubblewrap covers what it can write itself, but not a directory that is only readable
        argv.pair("--remount-ro", "/proc");
        for path in &host.proc_of_root {
            argv.triple("--ro-bind", &place.support.blank_file, path);
        }
    }
    match without("own-devices") {
        true => argv.triple("--dev-bind", "/dev", "/dev"),
        false => argv.pair("--dev", "/dev"),
    };
    tmpfs(argv, host.size, Path::new("/tmp"), tmpfs_size(spec), 0o1777);
    // a link is cheaper than a mount, but nothing can be mounted below it
    let places = spec.mounts.iter().map(Mount::target).chain([&spec.workdir, &spec.home]);
    if places.into_iter().any(|path| path.starts_with("/var/tmp")) {
        tmpfs(argv, host.size, Path::new("/var/tmp"), tmpfs_size(spec), 0o1777);
    } else {
        argv.triple("--symlink", "/tmp", "/var/tmp");
    }
    argv.pair("--dir", "/run");
    tmpfs(argv, host.size, &spec.home, tmpfs_size(spec), 0o700);
}

fn tmpfs(argv: &mut Argv, sized: bool, path: &Path, size: u64, mode: u32) {
    argv.pair("--perms", format!("{mode:04o}"));
    if sized {
        argv.pair("--size", size.to_string());
    }
    argv.pair("--tmpfs", path);
}

fn mounts(argv: &mut Argv, sized: bool, spec: &BoxSpec, place: Place) {
    for mount in &spec.mounts {
        match mount {
            Mount::Bind { source, target, writable } => {
                argv.triple(if *writable { "--bind" } else { "--ro-bind" }, source, target);
            }
            Mount::BlankFile { target } => {
                let option = if without("read-only-blanks") { "--bind" } else { "--ro-bind" };
                argv.triple(option, &place.support.blank_file, target);
            }
            Mount::BlankDir { target } => {
                argv.triple("--ro-bind", &place.support.blank_dir, target);
            }
            Mount::Tmpfs { target, size, mode } => tmpfs(argv, sized, target, *size, *mode),
        }
    }
}

/// Limits that no cgroup holds are set per process by a shell in the box, because in the box's own user namespace the
/// number of processes counts from zero (Linux 5.14).
fn prelude(argv: &mut Argv, spec: &BoxSpec, held: Holds) {
    let mut script = String::new();
    if !held.pids {
        let pids = spec.limits.pids;
        script.push_str(&format!("ulimit -u {pids} 2>/dev/null || ulimit -p {pids} || exit 126; "));
    }
    if let Some(memory) = spec.limits.memory
        && !held.memory
    {
        script.push_str(&format!("ulimit -v {} || exit 126; ", memory / 1024));
    }
    if !script.is_empty() {
        script.push_str("exec \"$@\"");
        argv.push("/bin/sh").pair("-c", script).push("coop");
    }
}

/// pasta makes the network namespace: no port of the host is forwarded in either direction, and the gateway's address
/// is not the host. It answers name queries itself, at an address that the generated resolv.conf names.
fn wrapped(pasta: &Path, filters: &[PathBuf], inner: Argv) -> Argv {
    const OPTIONS: [&str; 14] = [
        "--config-net",
        "--quiet",
        "--foreground",
        "--no-map-gw",
        "-t",
        "none",
        "-u",
        "none",
        "-T",
        "none",
        "-U",
        "none",
        "--dns-forward",
        DNS,
    ];
    let mut args: Vec<OsString> = OPTIONS.iter().map(OsString::from).collect();
    args.push("--".into());
    // pasta closes the descriptors that it inherits: a shell opens the filters again
    let opened: String = (0..filters.len()).map(|n| format!("exec {}<\"$1\"; shift; ", FIRST_FD + n)).collect();
    args.extend(["/bin/sh".into(), "-c".into(), format!("{opened}exec \"$@\"").into(), "coop".into()]);
    args.extend(filters.iter().map(OsString::from));
    args.push(inner.program.into());
    args.extend(inner.args);
    Argv { program: PathBuf::from(pasta), args, env: inner.env }
}

/// First descriptor of a filter that a shell opens.
const FIRST_FD: usize = 5;

/// Where the box asks for names under pasta.
pub const DNS: &str = "169.254.1.1";
