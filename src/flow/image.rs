//! Which image a run starts from.

use crate::error::{Error, Result};
use crate::sandbox::runtime::Usable;

use super::Coop;

/// `COOP_IMAGE`, where it is set. Errors: exit 5.
pub fn for_run(coop: &Coop, usable: &Usable) -> Result<String> {
    coop.settings.get("COOP_IMAGE").map(str::to_owned).ok_or_else(|| {
        Error::no_runtime(format!("there is no image for boxes of {}", usable.runtime.name())).hint("git coop build")
    })
}
