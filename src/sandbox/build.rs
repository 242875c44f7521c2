//! Builds an image from a context that is made for it: what is not named does not enter it.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::error::{Context as _, Error, Result};

use super::image::INPUTS_LABEL;
use super::launch::oci;
use super::runtime::Usable;
use super::spec::Runtime;

/// What to build.
#[derive(Debug)]
pub struct Build<'a> {
    /// Text of the Dockerfile.
    pub dockerfile: &'a str,
    /// Files beside it, by name.
    pub files: &'a [(String, Vec<u8>)],
    /// Tag of the result.
    pub tag: &'a str,
    /// Hash of the inputs, kept as a label.
    pub inputs: &'a str,
    /// Argument of `--network` of the build, if any.
    pub network: Option<&'a str>,
    /// Whether every layer is made anew.
    pub fresh: bool,
}

/// Runs the build. Each line that it prints is given to `line`. Errors: exit 1 when it fails, exit 5 where this
/// runtime has no images.
pub fn build(usable: &Usable, build: &Build, line: &mut dyn FnMut(&str)) -> Result<()> {
    if !usable.runtime.needs_image() {
        return Err(Error::no_runtime("bubblewrap has no images: its boxes use the programs of this machine")
            .hint("COOP_RUNTIME=docker git coop build"));
    }
    let context = tempfile::Builder::new().prefix("coop-build-").tempdir().or_bug("cannot make a build context")?;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(context.path().join(name), bytes).or_bug("cannot write a build context")
    };
    write("Dockerfile", build.dockerfile.as_bytes())?;
    for (name, bytes) in build.files {
        write(name, bytes)?;
    }
    let mut args: Vec<OsString> = usable.global.iter().map(OsString::from).collect();
    args.push("build".into());
    let mut option = |name: &str, value: &str| {
        args.push(name.into());
        args.push(value.into());
    };
    option("-t", build.tag);
    option("--label", &format!("{INPUTS_LABEL}={}", build.inputs));
    if let Some(network) = build.network {
        option("--network", network);
    }
    for (name, value) in [("nofile", usable.nofile), ("nproc", usable.nproc)] {
        if let Some(value) = value {
            option("--ulimit", &format!("{name}={value}:{value}"));
        }
    }
    if build.fresh {
        args.push("--no-cache".into());
    }
    args.push(context.path().into());
    let mut command = Command::new(&usable.program);
    command.args(&args).env_clear().envs(usable.env.iter()).current_dir("/");
    let (status, last) = stream(command, line)?;
    if status == Some(0) {
        return Ok(());
    }
    Err(Error::no(format!("the build of {} failed: {last}", build.tag))
        .hint("git coop build --base IMAGE, --ca FILE and --network host help where there is no registry, a TLS proxy or no bridge"))
}

/// Fetches a newer `image` if its registry has one. False when that is not possible, as for a local image.
pub fn pull(usable: &Usable, image: &str, line: &mut dyn FnMut(&str)) -> Result<bool> {
    let mut command = Command::new(&usable.program);
    let verb: &[&str] = if usable.runtime == Runtime::Container { &["image", "pull"] } else { &["pull", "--quiet"] };
    command.args(&usable.global).args(verb).arg("--").arg(image).env_clear().envs(usable.env.iter()).current_dir("/");
    Ok(stream(command, line)?.0 == Some(0))
}

/// Whether the image is there.
pub fn exists(usable: &Usable, image: &str) -> bool {
    oci::run(usable, &["image", "inspect", image]).ok()
}

/// The report of agents that is in a built-in image; empty for any other.
pub fn report(usable: &Usable, image: &str) -> String {
    let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--cap-drop", "ALL", "--read-only"];
    let limits: Vec<String> = [("nofile", usable.nofile), ("nproc", usable.nproc)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|n| format!("--ulimit={name}={n}:{n}")))
        .collect();
    args.extend(limits.iter().map(String::as_str));
    args.extend(["--entrypoint", "cat", image, super::image::REPORT]);
    oci::run(usable, &args).stdout
}

/// Runs a command with both streams in one pipe, and gives its exit code and the last line.
fn stream(mut command: Command, line: &mut dyn FnMut(&str)) -> Result<(Option<i32>, String)> {
    let (reader, writer) = std::io::pipe().or_bug("cannot make a pipe")?;
    let second = writer.try_clone().or_bug("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second).process_group(0);
    let mut child = command.spawn().or_bug("cannot start the build")?;
    drop(command); // with its ends of the pipe
    let signals = super::sys::Signals::install().or_bug("cannot watch for signals")?;
    let mut last = String::new();
    let mut reader = BufReader::new(reader);
    loop {
        let mut bytes = Vec::new();
        // a line without end is cut
        let count = reader.by_ref().take(1 << 16).read_until(b'\n', &mut bytes).or_bug("cannot read from the build")?;
        let mut signal = [0u8; 16];
        if let Ok(n) = rustix::io::read(signals.fd(), &mut signal)
            && signal[..n].iter().any(|s| [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].contains(&i32::from(*s)))
        {
            super::sys::kill(i32::try_from(child.id()).unwrap_or(0), libc::SIGTERM);
        }
        if count == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        if !text.is_empty() {
            last = text.chars().take(300).collect();
        }
        line(text);
    }
    let status = child.wait().or_bug("cannot wait for the build")?;
    Ok((status.code(), last))
}
