//! `git coop fork stop`.

use crate::error::Result;
use crate::flow::fork::remove;
use crate::state::ForkName;

use super::super::{Command, Context};

/// End the box of a fork and prove that it is gone
///
/// Its commits come back as at any end. Without a box nothing happens.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let name = ForkName::parse(&self.name)?;
        let coop = context.coop()?;
        if remove::stop(&coop, &name)? {
            eprintln!("the box of '{name}' is gone");
        } else {
            eprintln!("'{name}' had no box");
        }
        Ok(0)
    }
}
