//! Which account can be worked on: shared by every loop of one user, whatever repository it is in.
//!
//! What is known is in `accounts.git` below the user's state directory, one ref for each (agent, profile), written by
//! compare-and-swap: two loops that are refused at once agree on the later time. Nothing there is a secret, and no box
//! sees it.

use std::path::Path;

use jiff::Timestamp;

use crate::agent::vault::Vault;
use crate::agent::{Definition, keys};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::{Repo, init};
use crate::state::account::{Account, AccountState, KEY};
use crate::state::event::Store;

/// Where the store is, below the user's state directory.
const STORE: &str = "accounts.git";

/// Clocks differ, and reset times are rounded: this much later than said (seconds).
const MARGIN: i64 = 5;

/// Back-off where no reset time is known: a minute, then twice as long each time, up to this (seconds).
pub const LONGEST: i64 = 60 * 60;

/// The accounts of one user.
#[derive(Debug)]
pub struct Accounts {
    env: Env,
    repo: Repo,
}

/// One account that could be used for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The profile; `None` for the account that an API key signs in.
    pub profile: Option<String>,
    /// Whether it can be worked on.
    pub state: AccountState,
    /// When it can be again, in seconds since the epoch; 0 where it is not cooling.
    pub until: i64,
    /// Why it cannot.
    pub why: String,
}

/// What to work with next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// This profile (`None`: an API key).
    Now(Option<String>),
    /// None before this time, in seconds since the epoch: every account is cooling.
    Wake(i64),
}

impl Accounts {
    /// Opens the user's store, made where it is missing.
    pub fn open(env: &Env) -> Result<Accounts> {
        let repo = init::bare(&env.state_dir().join(STORE), env)?;
        Ok(Accounts { env: env.clone(), repo })
    }

    /// The accounts that can be used for `agent`, in the order in which they are tried: `asked` alone where a profile
    /// was asked for, otherwise every signed-in one, the default first, or the API key where there is none. Errors (exit 2): nobody is
    /// signed in, or the profile does not exist.
    pub fn candidates(&self, agent: &Definition, asked: Option<&str>) -> Result<Vec<Candidate>> {
        let config = self.env.config_dir();
        let vault = Vault::new(&config, &agent.name);
        let mut profiles = match asked {
            Some(_) => vault.active(asked)?.into_iter().collect(),
            None => vault.profiles()?,
        };
        profiles.retain(|profile| vault.signed_in(agent, profile));
        if let Some(marked) = vault.marked() {
            profiles.sort_by_key(|profile| *profile != marked);
        }
        let known = self.known()?;
        let mut out: Vec<Candidate> =
            profiles.into_iter().map(|profile| self.candidate(agent, &known, Some(profile))).collect();
        let vars = keys::for_agent(agent, &config)?;
        let by_key = agent.env.keys.iter().chain(&agent.env.keyless).any(|key| vars.contains_key(key));
        if by_key && asked.is_none() && out.is_empty() {
            // where a profile is signed in, that is what a box gets
            out.push(self.candidate(agent, &known, None));
        }
        if out.is_empty() {
            let with = asked.map(|profile| format!(" --profile {profile}")).unwrap_or_default();
            return Err(Error::usage(format!("nobody is signed in to {}", agent.display))
                .hint(format!("git coop login {}{with}", agent.name)));
        }
        Ok(out)
    }

    /// The user's store where there is one: looking makes none.
    pub fn existing(env: &Env) -> Result<Option<Accounts>> {
        if env.state_dir().join(STORE).is_dir() { Accounts::open(env).map(Some) } else { Ok(None) }
    }

    /// Everything that is known.
    pub fn known(&self) -> Result<Vec<Account>> {
        Account::all(&self.repo, &self.env)
    }

    /// The account of `profile` (`None`: an API key) as `known` says it is.
    pub fn candidate(&self, agent: &Definition, known: &[Account], profile: Option<String>) -> Candidate {
        let name = profile.as_deref().unwrap_or(KEY);
        let found = known.iter().find(|account| account.agent == agent.name && account.profile == name);
        let mut candidate = Candidate { profile, state: AccountState::Clear, until: 0, why: String::new() };
        if let Some(account) = found {
            (candidate.state, candidate.until) = self.state(agent, account);
            if candidate.state != AccountState::Clear {
                candidate.why = account.reason().to_owned();
            }
        }
        candidate
    }

    /// The state of an account now: a time that has come clears it, and so does a login after it was taken out.
    fn state(&self, agent: &Definition, account: &Account) -> (AccountState, i64) {
        match account.state {
            AccountState::Cooling if account.until() > crate::time::now(&self.env) => {
                (AccountState::Cooling, account.until())
            }
            AccountState::Out if signed_in_at(&self.env, agent, &account.profile) <= account.record.updated => {
                (AccountState::Out, 0)
            }
            _ => (AccountState::Clear, 0),
        }
    }

    /// What to work with next. Errors (exit 2): nobody is signed in, or every login expired.
    pub fn ready(&self, agent: &Definition, asked: Option<&str>) -> Result<Ready> {
        let candidates = self.candidates(agent, asked)?;
        if let Some(clear) = candidates.iter().find(|candidate| candidate.state == AccountState::Clear) {
            return Ok(Ready::Now(clear.profile.clone()));
        }
        match next_wake(&candidates) {
            Some(until) => Ok(Ready::Wake(until)),
            None => Err(out_of(agent, &candidates)),
        }
    }

    /// The account was refused: it rests until the time that was said, otherwise for a while that doubles each time.
    /// Somebody else's later time stays. Gives the time, in seconds since the epoch.
    pub fn cool(&self, agent: &str, profile: Option<&str>, until: Option<Timestamp>, why: &str) -> Result<i64> {
        self.change(agent, profile, |account, now| {
            let strikes = if until.is_none() { account.record.number("Strikes").min(16) + 1 } else { 0 };
            let said = match until {
                Some(until) => until.as_second() + MARGIN,
                None => now + (60_i64 << (strikes - 1).min(16)).min(LONGEST),
            };
            // several loops that hit the same limit are one strike
            if account.until() >= said || (until.is_none() && account.until() > now) {
                return None;
            }
            account.state = AccountState::Cooling;
            account.record.set("Until", said.to_string());
            account.record.set("Strikes", if strikes > 0 { strikes.to_string() } else { String::new() });
            account.record.set("Reason", why);
            Some(format!("cooling until {}", clock(said)))
        })
        .map(|account| account.until())
    }

    /// The login of the account does not work any more: it is not tried again before somebody logs in.
    pub fn expire(&self, agent: &str, profile: Option<&str>, why: &str) -> Result<()> {
        self.change(agent, profile, |account, _| {
            account.state = AccountState::Out;
            account.record.set("Until", "");
            account.record.set("Strikes", "");
            account.record.set("Reason", why);
            Some("login expired".into())
        })?;
        Ok(())
    }

    /// The account worked, or a person says that it does. Writes nothing where nothing was known against it.
    pub fn clear(&self, agent: &str, profile: Option<&str>) -> Result<()> {
        self.change(agent, profile, |account, _| {
            let known = account.state != AccountState::Clear || account.record.get("Strikes").is_some();
            account.state = AccountState::Clear;
            account.record.set("Until", "");
            account.record.set("Strikes", "");
            account.record.set("Reason", "");
            known.then(|| "clear".into())
        })?;
        Ok(())
    }

    /// Reads the account, lets `change` alter it and name the event (`None`: leave it), and writes it.
    fn change(
        &self,
        agent: &str,
        profile: Option<&str>,
        change: impl Fn(&mut Account, i64) -> Option<String>,
    ) -> Result<Account> {
        let store = Store::open(&self.repo, &self.env)?;
        for attempt in 0..64 {
            let before = Account::find(&self.repo, &self.env, agent, profile.unwrap_or(KEY))?;
            let mut after = before.clone();
            let Some(what) = change(&mut after, crate::time::now(&self.env)) else { return Ok(before) };
            if after.write(&store, &what)? {
                return Ok(after);
            }
            std::thread::sleep(std::time::Duration::from_millis(2 + attempt));
        }
        Err(Error::conflict(format!("the account {agent}/{} is written by too many at once", profile.unwrap_or(KEY)))
            .hint("git coop profiles"))
    }
}

/// When the first of `candidates` can be worked on again; `None` where none is only cooling.
pub fn next_wake(candidates: &[Candidate]) -> Option<i64> {
    candidates.iter().filter(|c| c.state == AccountState::Cooling).map(|c| c.until).min()
}

fn out_of(agent: &Definition, candidates: &[Candidate]) -> Error {
    let mut err = Error::usage(format!("every login of {} has expired", agent.display));
    for candidate in candidates {
        err = err.hint(match &candidate.profile {
            Some(profile) => format!("git coop login {} --profile {profile} ({})", agent.name, candidate.why),
            None => format!("the key in ~/.config/coop/agents/env is refused ({})", candidate.why),
        });
    }
    err
}

/// When the credential of an account was last written, in seconds since the epoch.
fn signed_in_at(env: &Env, agent: &Definition, profile: &str) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    let written = |path: &Path| path.symlink_metadata().map_or(0, |meta| meta.mtime());
    let config = env.config_dir();
    if profile == KEY {
        return written(&config.join(keys::FILE));
    }
    let dir = Vault::new(&config, &agent.name).dir(profile);
    agent.home.signed_in.iter().map(|path| written(&dir.join(path))).max().unwrap_or(0)
}

/// A time as people read it, in UTC: journals are read on other machines too.
fn clock(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
