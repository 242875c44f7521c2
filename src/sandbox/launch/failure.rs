//! Tells a failure of the runtime from one of the command. Both arrive as an exit status of the client; what the
//! client itself wrote last, and whether the container was ever created, make the difference.

use crate::error::{Error, Result};

use super::super::egress::start::asked;
use super::super::io::{Ended, How};
use super::super::process::Finished;
use super::super::runtime::{Usable, bwrap_refused};
use super::super::spec::BoxSpec;

/// The result of a bubblewrap run.
pub(super) fn bwrap(usable: &Usable, spec: &BoxSpec, finished: Finished) -> Result<Ended> {
    let Finished { ended, tail } = finished;
    if ended.how != How::Exited || !matches!(ended.status, 1 | 126 | 127) {
        return Ok(ended);
    }
    let Some(line) = last_line(&tail, &["bwrap: ", "coop: "]) else { return Ok(ended) };
    let program = asked(spec);
    if let Some(rest) = line.strip_prefix("bwrap: ") {
        if rest.starts_with("execvp ") {
            return Err(missing(&program, "on this machine, or outside of what a box sees"));
        }
        if ["namespace", "uid map", "user.max", "Operation not permitted", "clone"].iter().any(|w| rest.contains(w)) {
            return Err(bwrap_refused(rest, &usable.env));
        }
        return Err(Error::no_runtime(format!("bubblewrap could not start the box: {rest}")).hint("git coop doctor"));
    }
    if ended.status == 127 && line.contains("exec: ") {
        return Err(missing(&program, "on this machine, or outside of what a box sees"));
    }
    Ok(ended)
}

/// The result of a docker, podman or Apple container run. `created` is whether the runtime wrote an id.
pub(super) fn oci(usable: &Usable, spec: &BoxSpec, finished: Finished, created: bool) -> Result<Ended> {
    let Finished { ended, tail } = finished;
    if ended.how != How::Exited || !matches!(ended.status, 1 | 125 | 126 | 127) {
        return Ok(ended);
    }
    let name = usable.runtime.name();
    let image = spec.image.as_deref().unwrap_or_default();
    let program = asked(spec);
    let prefixes = ["docker: ", "Error: ", "[FATAL tini", "error: ", "coop: exec: "];
    let Some(line) = last_line(&tail, &prefixes) else {
        // nothing said, nothing created: not the command's status
        return match created {
            true => Ok(ended),
            false => Err(Error::no_runtime(format!("{name} could not start the box (exit {})", ended.status))),
        };
    };
    let lower = line.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|p| lower.contains(p));
    if !created {
        if says(&["no such image", "image not known", "unable to find image", "image not found"]) {
            return Err(Error::no_runtime(format!("there is no image '{image}'")).hint("git coop build"));
        }
        return Err(could_not(name, &line));
    }
    if spec.proxy.is_some() && ended.status == 127 && line.starts_with("coop: exec: ") {
        return Err(missing(&program, &format!("in the image '{image}'")));
    }
    // from here on the command may have written the line: it has to be one that only the runtime writes
    let ours =
        says(&["error response from daemon", "oci runtime", "runc", "crun", "conmon", "[fatal tini", "oci permission"]);
    match ours && ended.status != 1 {
        false => Ok(ended),
        true if says(&["executable file not found", "no such file or directory", "[fatal tini"]) => {
            Err(missing(&program, &format!("in the image '{image}'")))
        }
        true => Err(could_not(name, &line)),
    }
}

fn could_not(name: &str, line: &str) -> Error {
    let text = line.trim_start_matches("docker: ").trim_start_matches("Error: ").trim_start_matches("error: ");
    Error::no_runtime(format!("{name} could not start the box: {text}")).hint("git coop doctor")
}

fn missing(program: &str, place: &str) -> Error {
    Error::no_runtime(format!("there is no program '{program}' {place}"))
        .hint("install it there, or name another; git coop build makes the image anew")
}

/// The last line of `tail` that starts with one of `prefixes`, without control characters at its end.
fn last_line(tail: &[u8], prefixes: &[&str]) -> Option<String> {
    let text = String::from_utf8_lossy(tail);
    text.lines().rev().map(str::trim_end).find(|l| prefixes.iter().any(|p| l.starts_with(p))).map(str::to_owned)
}
