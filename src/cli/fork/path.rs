//! `git coop fork path`.

use std::os::unix::ffi::OsStrExt;

use crate::error::Result;

use super::super::{Command, Context, out};

/// Print the path of a fork's work tree
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let (_, fork) = super::load(context, &self.name)?;
        out::write(|stdout| {
            stdout.write_all(fork.path.as_os_str().as_bytes())?;
            stdout.write_all(b"\n")
        })?;
        Ok(0)
    }
}
