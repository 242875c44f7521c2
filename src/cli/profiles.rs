//! `git coop profiles`.

use serde::Serialize;

use crate::agent::Registry;
use crate::agent::vault::{Account, Vault};
use crate::error::{Error, Result};
use crate::exit;
use crate::flow::cooldown::Accounts;
use crate::state::account::AccountState;
use crate::time;
use crate::ui::text::printable;

use super::{Command, Context};

/// List the accounts of agents
///
/// A profile is one account of one agent: what `git coop login <agent> --profile <name>` left. Only the profile in
/// use enters a box. An agent without a profile can be signed in by an API key in ~/.config/coop/agents/env.
///
/// Loops work with every profile that is signed in. One that reached its limit cools until the time that the agent
/// named, in all repositories; one whose login expired is left out until somebody logs in again.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Use this profile where none is asked for
    Default {
        /// Agent
        agent: String,
        /// Profile
        profile: String,
    },
    /// Remove a profile with its credentials
    Rm {
        /// Agent
        agent: String,
        /// Profile
        profile: String,
        /// Remove it even though it is signed in
        #[arg(long)]
        force: bool,
    },
    /// Forget that a profile is cooling or that its login expired
    Clear {
        /// Agent
        agent: String,
        /// Profile; without one the API key
        profile: Option<String>,
    },
}

#[derive(Debug, Default, Serialize)]
struct Row {
    agent: String,
    profile: Option<String>,
    default: bool,
    signed_in: bool,
    /// The variable that signs it in, where no profile does.
    variable: Option<String>,
    /// When its limit ends, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooling_until: Option<i64>,
    /// Whether its login was refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expired: bool,
    /// Why it cools or expired.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let config_dir = context.env.config_dir();
        let registry = Registry::load(&config_dir)?;
        match self.action {
            Some(Action::Default { agent, profile }) => {
                Vault::new(&config_dir, &registry.get(&agent)?.name).mark(&profile)?;
            }
            Some(Action::Rm { agent, profile, force }) => {
                let definition = registry.get(&agent)?;
                let vault = Vault::new(&config_dir, &agent);
                vault.active(Some(&profile))?;
                if !force && vault.signed_in(definition, &profile) {
                    return Err(Error::no(format!("{} is signed in with the profile '{profile}'", definition.display))
                        .hint(format!("git coop profiles rm {agent} {profile} --force")));
                }
                vault.remove(&profile)?;
            }
            Some(Action::Clear { agent, profile }) => {
                let definition = registry.get(&agent)?;
                Vault::new(&config_dir, &agent).active(profile.as_deref())?;
                if let Some(accounts) = Accounts::existing(&context.env)? {
                    accounts.clear(&definition.name, profile.as_deref())?;
                }
            }
            None => {
                let rows = rows(&registry, context)?;
                if self.json {
                    let text = serde_json::to_string_pretty(&rows).expect("strings always serialise");
                    println!("{text}");
                } else {
                    table(&rows, crate::time::now(&context.env));
                }
            }
        }
        Ok(exit::OK)
    }
}

fn rows(registry: &Registry, context: &Context) -> Result<Vec<Row>> {
    let config_dir = context.env.config_dir();
    let mut rows = Vec::new();
    for agent in registry.iter() {
        let vault = Vault::new(&config_dir, &agent.name);
        let profiles = vault.profiles()?;
        let default = vault.active(None).ok().flatten();
        for profile in &profiles {
            rows.push(Row {
                agent: agent.name.clone(),
                default: default.as_ref() == Some(profile),
                signed_in: vault.signed_in(agent, profile),
                profile: Some(profile.clone()),
                ..Row::default()
            });
        }
        // a key is listed where it is what signs the agent in
        if !rows.iter().any(|row| row.agent == agent.name && row.default && row.signed_in)
            && let Account::Variable(name) = vault.account(agent, None)?
        {
            rows.push(Row {
                agent: agent.name.clone(),
                default: profiles.is_empty(),
                signed_in: true,
                variable: Some(name),
                ..Row::default()
            });
        }
    }
    if let Some(accounts) = Accounts::existing(&context.env)? {
        let known = accounts.known()?;
        for row in &mut rows {
            let found = accounts.candidate(registry.get(&row.agent)?, &known, row.profile.clone());
            row.cooling_until = (found.state == AccountState::Cooling).then_some(found.until);
            row.expired = found.state == AccountState::Out;
            row.reason = found.why;
        }
    }
    Ok(rows)
}

fn table(rows: &[Row], now: i64) {
    if rows.is_empty() {
        eprintln!("no agent is signed in\nhint: git coop login claude");
    }
    let agent = rows.iter().map(|row| row.agent.len()).max().unwrap_or_default();
    let account = |row: &Row| row.profile.clone().or(row.variable.clone()).unwrap_or_default();
    let width = rows.iter().map(|row| account(row).len()).max().unwrap_or_default();
    for row in rows {
        let mut state = match (row.signed_in, &row.variable) {
            (true, Some(_)) => "key",
            (true, None) => "signed in",
            (false, _) => "not signed in",
        }
        .to_owned();
        if let Some(until) = row.cooling_until {
            state += &format!(", cools until {} ({})", time::wall(until, now), time::left(until - now));
        } else if row.expired {
            state += ", login expired";
        }
        let mark = if row.default { "  default" } else { "" };
        println!("{}", printable(&format!("{:agent$}  {:width$}  {state}{mark}", row.agent, account(row))));
        if !row.reason.is_empty() {
            println!("{:agent$}  {:width$}  {}", "", "", printable(&row.reason));
        }
    }
}
