//! `git coop`: the list of all commands.

use std::ffi::OsString;

use crate::error::{Error, Result};

use super::Context;

/// Run coding agents in disposable boxes, and land what they made.
#[derive(Debug, clap::Parser)]
#[command(name = "git-coop", bin_name = "git coop", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// An agent by name, in a box on the live checkout; arguments pass through
    #[command(external_subcommand)]
    Agent(Vec<OsString>),
}

/// Runs the parsed command.
pub fn run(cli: Cli, _context: &Context) -> Result<u8> {
    match cli.command {
        Command::Agent(words) => {
            let name = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
            Err(Error::usage(format!("'{name}' is neither a command nor an agent")).hint("git coop help"))
        }
    }
}
