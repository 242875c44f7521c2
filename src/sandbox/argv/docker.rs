//! The command line of a docker box.

use crate::error::Result;

use super::super::runtime::Usable;
use super::super::spec::BoxSpec;
use super::{Argv, Place, oci};

pub(super) fn build(usable: &Usable, spec: &BoxSpec, place: Place) -> Result<Argv> {
    let mut argv = oci::head(usable, spec, place);
    if let (Some(profile), true) = (place.seccomp, usable.seccomp.is_some()) {
        argv.pair("--security-opt", oci::profile(profile));
    }
    // in a rootless daemon's containers root is the user, and every other id is somebody without rights on the checkout
    let (uid, gid) = if usable.rootless { (0, 0) } else { (spec.user.uid, spec.user.gid) };
    argv.pair("--user", oci::user(uid, gid));
    argv.pair("--tmpfs", oci::tmpfs(spec, "/tmp".as_ref(), "mode=1777")?);
    argv.pair("--tmpfs", oci::tmpfs(spec, &spec.home, &format!("mode=700,uid={uid},gid={gid}"))?);
    oci::mounts(&mut argv, spec, place, "")?;
    oci::tail(&mut argv, usable, spec, place)?;
    Ok(argv)
}
