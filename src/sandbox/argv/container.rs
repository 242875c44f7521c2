//! The command line of a box under Apple `container` (1.0 or later): every box is a virtual machine of its own.
//!
//! Its `-v` splits at colons and its `--mount` at commas and equals signs, without quoting; what cannot be said is
//! refused. It has no seccomp and no no-new-privileges, and counts processes by `nproc`.

use std::path::Path;

use crate::error::{Error, Result};

use super::super::runtime::Usable;
use super::super::spec::{BoxSpec, Egress, Mount};
use super::{Argv, Place, environment, labels, oci};

pub(super) fn build(usable: &Usable, spec: &BoxSpec, place: Place) -> Result<Argv> {
    let mut argv = Argv::new(&usable.program);
    argv.push("run").push("--rm").push("--init");
    if place.stdin || place.terminal {
        argv.push("-i");
    }
    if place.terminal {
        argv.push("-t");
    }
    argv.pair("--name", format!("coop-{}", spec.id));
    for (key, value) in labels(spec, place.owner) {
        // a label with an equals sign in its value is rejected
        argv.pair("-l", format!("{key}={}", value.replace('=', "%3D")));
    }
    if let Some(cidfile) = place.cidfile {
        argv.pair("--cidfile", cidfile);
    }
    argv.pair("-u", oci::user(spec.user.uid, spec.user.gid)).pair("--cap-drop", "ALL");
    argv.pair("--ulimit", format!("nproc={}", spec.limits.pids)).push("--read-only");
    if let Some(memory) = spec.limits.memory {
        argv.pair("--memory", memory.to_string());
    }
    if let Some(cpus) = spec.limits.millicpus {
        argv.pair("--cpus", cpus.div_ceil(1000).to_string()); // whole processors of the machine
    }
    if spec.egress == Egress::None {
        argv.pair("--network", "none").push("--no-dns");
    }
    argv.pair("--tmpfs", "/tmp").pair("--tmpfs", plain(&spec.home)?);
    for mount in &spec.mounts {
        match mount {
            Mount::Bind { source, target, writable } => {
                volume(&mut argv, source, target, *writable)?;
            }
            Mount::BlankFile { target } => volume(&mut argv, &place.support.blank_file, target, false)?,
            Mount::BlankDir { target } => volume(&mut argv, &place.support.blank_dir, target, false)?,
            Mount::Tmpfs { target, size, mode } => {
                let target = plain(target)?;
                argv.pair("--mount", format!("type=tmpfs,target={target},size={size},mode={mode:o}"));
            }
        }
    }
    for (name, value) in environment(usable, spec, place.terminal) {
        let mut pair = std::ffi::OsString::from(&name);
        pair.push("=");
        pair.push(&value);
        argv.pair("-e", pair);
    }
    let image = spec.image.as_deref().ok_or_else(|| Error::bug("a container without an image"))?;
    argv.pair("-w", &spec.workdir);
    let (program, args) = spec.command.split_first().ok_or_else(|| Error::bug("a box without a command"))?;
    argv.pair("--entrypoint", program).push(image);
    argv.args.extend(args.iter().cloned());
    Ok(argv)
}

fn volume(argv: &mut Argv, source: &Path, target: &Path, writable: bool) -> Result<()> {
    let tail = if writable { "" } else { ":ro" };
    let text = format!("{}:{}{tail}", plain(source)?, plain(target)?);
    argv.pair("-v", text);
    Ok(())
}

/// A path without anything that its parsers split at.
fn plain(path: &Path) -> Result<&str> {
    let text = oci::utf8(path)?;
    match text.chars().find(|c| matches!(c, ':' | ',' | '=')) {
        None => Ok(text),
        Some(c) => Err(Error::no_runtime(format!("Apple container cannot mount '{text}': '{c}' in the name"))
            .hint("rename it, or work in a fork, which leaves untracked files out")),
    }
}
