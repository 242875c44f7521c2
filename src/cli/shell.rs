//! `git coop shell`: a shell in the box, to look around.

use crate::error::Result;

use super::{Command, Context, run};

/// Open a shell in a box on the live checkout
///
/// The shell is the one of coop.shell (bash by default). It sees what an agent would see.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let repo = context.repo()?;
        let settings = context.settings(Some(&repo))?;
        let shell = settings.get("COOP_SHELL").unwrap_or("bash").to_owned();
        run::run(context, "shell", vec![shell.into()])
    }
}
