//! The command line of a podman box.

use crate::error::Result;

use super::super::runtime::Usable;
use super::super::spec::BoxSpec;
use super::{Argv, Place, oci};

pub(super) fn build(usable: &Usable, spec: &BoxSpec, place: Place) -> Result<Argv> {
    let mut argv = oci::head(usable, spec, place);
    if let Some(profile) = place.seccomp {
        argv.pair("--security-opt", oci::profile(profile));
    }
    if usable.rootless {
        argv.push("--userns=keep-id"); // the user is the same one inside and outside
    } else {
        argv.pair("--user", oci::user(spec.user.uid, spec.user.gid));
    }
    argv.push("--http-proxy=false").push("--env-host=false"); // either would hand down the user's environment
    argv.push("--read-only-tmpfs=false"); // it would make /run and more writable
    // podman fills a memory file system from what is beneath it, which is how a secret would come back
    argv.pair("--tmpfs", oci::tmpfs(spec, "/tmp".as_ref(), "mode=1777,notmpcopyup")?);
    argv.pair("--tmpfs", oci::tmpfs(spec, &spec.home, "mode=1777,notmpcopyup")?);
    oci::mounts(&mut argv, spec, place, ",notmpcopyup")?;
    oci::tail(&mut argv, usable, spec, place)?;
    Ok(argv)
}
