//! `git coop fork`: its verbs, one file each.

pub mod accept;
pub mod allow;
pub mod logs;
pub mod ls;
pub mod open;
pub mod path;
pub mod rm;
pub mod start;
pub mod stop;

use std::ffi::OsString;

use clap::Parser as _;

use crate::error::Result;
use crate::flow::Coop;
use crate::state::{Fork, ForkName};

use super::{Command, Context};

/// Hand work to an agent in a work tree of its own, and get it back
///
/// `git coop fork NAME AGENT` opens the fork NAME, or goes on with it, and runs the agent in a box there.
/// `git coop fork NAME -- COMMAND` runs any program instead. The commits come back to
/// refs/coop/forks/NAME/head; nothing lands on a branch before `git coop merge NAME`.
///
/// While a box works, HEAD is checked out once more into .git/coop/spare: the next fork takes that and opens at once.
/// `git config coop.spare false` saves the disk space.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, subcommand_value_name = "NAME|VERB")]
#[command(after_help = "git coop fork NAME -h lists the options of opening a fork and running in it.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List forks: agent, state, commits ahead, changes, age
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Open a fork's work tree in the editor
    Open(open::Args),
    /// Print the path of a fork's work tree
    Path(path::Args),
    /// Show what the last run printed
    Logs(logs::Args),
    /// End the box of a fork and prove that it is gone
    Stop(stop::Args),
    /// Remove a fork, if nothing would be lost
    Rm(rm::Args),
    /// Let the host's view of a fork follow commits that add submodules
    Accept(accept::Args),
    /// Let the boxes of a fork reach more hosts
    Allow(allow::Args),
    Review(super::review::Args),
    Merge(super::merge::Args),
    /// NAME [AGENT] [--new] [--fresh] [--base REV] [-- COMMAND]: open or go on with a fork
    #[command(external_subcommand)]
    Start(Vec<OsString>),
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        match self.verb {
            Verb::Ls(args) => args.run(context),
            Verb::Open(args) => args.run(context),
            Verb::Path(args) => args.run(context),
            Verb::Logs(args) => args.run(context),
            Verb::Stop(args) => args.run(context),
            Verb::Rm(args) => args.run(context),
            Verb::Accept(args) => args.run(context),
            Verb::Allow(args) => args.run(context),
            Verb::Review(args) => args.run(context),
            Verb::Merge(args) => args.run(context),
            Verb::Start(words) => start::Line::parse_from(words_of_start(words)).args.run(context),
        }
    }
}

/// The definition of what follows `git coop fork` where that is no verb, for the man page.
pub fn of_a_run() -> clap::Command {
    <start::Line as clap::CommandFactory>::command()
}

/// The words after `git coop fork`, with a program name in front for clap.
fn words_of_start(words: Vec<OsString>) -> Vec<OsString> {
    [OsString::from("git coop fork")].into_iter().chain(words).collect()
}

/// What most verbs begin with: the repository and an existing fork.
fn load(context: &Context, name: &str) -> Result<(Coop, Fork)> {
    let name = ForkName::parse(name)?;
    let coop = context.coop()?;
    let fork = Fork::load(&coop.repo, &coop.env, &name)?;
    Ok((coop, fork))
}
