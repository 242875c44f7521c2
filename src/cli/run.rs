//! `git coop run`: one command in the box.

use std::ffi::OsString;

use crate::error::Result;
use crate::flow::session::{Job, Program};
use crate::flow::{Coop, live};

use super::{Command, Context, terminal};

/// Run one command in a box on the live checkout
///
/// The command sees this repository at its real path and nothing else of the host; files with secret names
/// are blank. Its edits are live; its commits come back when it ends, and your branch moves forward. The exit
/// status is the command's own.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        run(context, "run", self.command)
    }
}

/// Runs `command` on the live checkout.
pub fn run(context: &Context, purpose: &'static str, command: Vec<OsString>) -> Result<u8> {
    live(context, purpose, Program::Command(command))
}

/// Runs a program on the live checkout, from the directory the user is in.
pub fn live(context: &Context, purpose: &'static str, program: Program) -> Result<u8> {
    live_with(context, &context.coop()?, purpose, program)
}

/// As [`live`], with settings that the command line changed.
pub fn live_with(context: &Context, coop: &Coop, purpose: &'static str, program: Program) -> Result<u8> {
    let workdir = context.cwd.canonicalize().ok();
    live::run(coop, Job { purpose, program, workdir, terminal: terminal::both(), ..Job::default() })
}
