//! `git coop login`.

use std::io::IsTerminal as _;

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::login;

use super::{Command, Context};

/// Sign an agent in
///
/// Runs the agent's own login in a box with an empty home directory and no repository, and keeps the credentials it
/// leaves as a profile. Needs a terminal, and no browser on this machine: the login shows an address and takes a code.
/// Agents that take an API key need no login: put the key into ~/.config/coop/agents/env.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agent
    agent: String,
    /// Name of the profile, for several accounts of one agent
    #[arg(long, value_name = "NAME", default_value = "default")]
    profile: String,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if !crate::agent::definition::is_name(&self.profile) {
            return Err(Error::usage(format!("'{}' cannot be the name of a profile", self.profile))
                .hint("lower-case letters, digits and '-', a letter first, 32 at most"));
        }
        // an unknown agent is the better message, whatever stdin is
        crate::agent::Registry::load(&context.env.config_dir())?.get(&self.agent)?;
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Err(Error::usage("a login needs a terminal").hint(format!("git coop login {}", self.agent)));
        }
        let repo = context.repo().ok();
        let settings = context.settings(repo.as_ref())?;
        login::login(&context.env, &settings, repo.as_ref(), &self.agent, &self.profile)?;
        Ok(exit::OK)
    }
}
