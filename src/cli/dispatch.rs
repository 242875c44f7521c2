//! `git coop`: the list of all commands.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::agent::Registry;
use crate::error::{Error, Result};
use crate::flow::session::{Asked, Program};
use crate::ui::nearest;

use super::sibling::{self, SIBLINGS};
use super::{Command as _, Context};
use super::{build, completions, config, help, init, login, profiles, update};

/// Run coding agents in disposable boxes, and land what they made
///
/// Agents work with the brakes off, in boxes that see one repository and none of its secrets. Their commits
/// come back like a pull request; all state is in git refs.
#[derive(Debug, clap::Parser)]
#[command(
    name = "git-coop",
    bin_name = "git coop",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "git coop <agent> [args] runs an agent (claude, codex, gemini, ...) on the live checkout.\n\
                  git coop help <command> shows the manual of a command."
)]
pub struct Cli {
    /// Put the API key of an agent into its box, instead of on its requests outside of it
    #[arg(long)]
    key_in_box: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Completions(completions::Args),
    Build(build::Args),
    Config(config::Args),
    Doctor(super::doctor::Args),
    Egress(super::egress::Args),
    Help(help::Args),
    Init(init::Args),
    Login(login::Args),
    Profiles(profiles::Args),
    Run(super::run::Args),
    Shell(super::shell::Args),
    Sync(super::sync::Args),
    Tasks(super::tasks::Args),
    Update(update::Args),
    Verify(super::verify::Args),
    /// An agent by name, in a box on the live checkout; arguments pass through
    #[command(external_subcommand)]
    Agent(Vec<OsString>),
}

/// Every command with its arguments, those of other programs too: help, man pages and completions use it.
pub fn tree() -> clap::Command {
    Cli::command().subcommands(SIBLINGS.iter().map(|s| (s.definition)().name(s.name)))
}

/// Runs `git coop` with the words that follow the program's name.
pub fn run(words: Vec<OsString>, context: &Context) -> Result<u8> {
    if let Some(sibling) = words.first().and_then(|word| sibling::find(word)) {
        return sibling::exec(sibling, words.into_iter().skip(1), &context.env);
    }
    let words = std::iter::once(OsString::from("git-coop")).chain(words);
    let cli = tree().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { key_in_box, command } = super::parsed_or_exit(cli)?;
    if key_in_box && !matches!(command, Command::Agent(_)) {
        return Err(Error::usage("--key-in-box goes with an agent").hint("git coop --key-in-box claude"));
    }
    match command {
        Command::Completions(args) => args.run(context),
        Command::Build(args) => args.run(context),
        Command::Config(args) => args.run(context),
        Command::Doctor(args) => args.run(context),
        Command::Egress(args) => args.run(context),
        Command::Help(args) => args.run(context),
        Command::Init(args) => args.run(context),
        Command::Login(args) => args.run(context),
        Command::Profiles(args) => args.run(context),
        Command::Run(args) => args.run(context),
        Command::Shell(args) => args.run(context),
        Command::Sync(args) => args.run(context),
        Command::Tasks(args) => args.run(context),
        Command::Update(args) => args.run(context),
        Command::Verify(args) => args.run(context),
        Command::Agent(words) => agent(words, context, key_in_box),
    }
}

/// `git coop claude …`: every word after the name passes through.
fn agent(words: Vec<OsString>, context: &Context, key_in_box: bool) -> Result<u8> {
    let registry = Registry::load(&context.env.config_dir())?;
    let name = words.first().and_then(|w| w.to_str()).filter(|name| registry.names().any(|n| n == *name));
    let Some(name) = name.map(str::to_owned) else { return Err(unknown(&words, context)?) };
    let args = words.into_iter().skip(1).collect();
    let asked = Asked { name, args, ..Asked::default() };
    let mut coop = context.coop()?;
    if key_in_box {
        coop.settings.set("COOP_KEY_IN_BOX", "true")?;
    }
    super::run::live_with(context, &coop, "agent", Program::Agent(asked))
}

/// The error for a word that is no command and no agent, with the nearest of both.
fn unknown(words: &[OsString], context: &Context) -> Result<Error> {
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let tree = tree();
    let agents = Registry::load(&context.env.config_dir())?;
    let known = tree.get_subcommands().map(clap::Command::get_name).chain(agents.names());
    let err = Error::usage(format!("'{name}' is neither a command nor an agent"));
    Ok(match nearest(&name, known) {
        Some(near) => err.hint(format!("did you mean: git coop {near}")),
        None => err.hint("git coop help"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound_and_every_option_is_explained() {
        let tree = tree();
        tree.clone().debug_assert();
        check(&tree);
    }

    fn check(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        for arg in command.get_arguments().filter(|a| !a.is_hide_set()) {
            assert!(arg.get_help().is_some(), "{} {} has no help", command.get_name(), arg.get_id());
        }
        command.get_subcommands().for_each(check);
    }
}
