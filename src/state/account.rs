//! The record of an account: `refs/coop/accounts/<agent>/<profile>` in the user's own store, which every repository and
//! every loop of that user shares. An account without a record was never refused anything.

use crate::env::Env;
use crate::error::Result;
use crate::git::Repo;
use crate::git::refs::{self, Edit, Old, Outcome};

use super::event::Store;
use super::record::{self, Record};

const PREFIX: &str = "refs/coop/accounts/";

/// The name of the account that an API key signs in: no profile can be called so.
pub const KEY: &str = "_key";

/// Whether an account can be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// It can.
    Clear,
    /// Not before [`Account::until`].
    Cooling,
    /// Its login does not work any more.
    Out,
}

const STATES: &[(AccountState, &str)] =
    &[(AccountState::Clear, "clear"), (AccountState::Cooling, "cooling"), (AccountState::Out, "out")];

impl AccountState {
    /// The word in `Coop-State`.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(s, _)| *s == self).map_or("clear", |(_, w)| w)
    }
}

/// An account as its last event says it is. Values: `Until`, `Strikes` (limits in a row without a reset time), `Reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The agent.
    pub agent: String,
    /// The profile, or [`KEY`].
    pub profile: String,
    /// State.
    pub state: AccountState,
    /// Everything else.
    pub record: Record,
}

impl Account {
    /// An account that no ref says yet.
    pub fn new(agent: &str, profile: &str) -> Account {
        let (agent, profile) = (agent.to_owned(), profile.to_owned());
        Account { agent, profile, state: AccountState::Clear, record: Record::default() }
    }
    /// The full name of its ref.
    pub fn ref_name(&self) -> String {
        format!("{PREFIX}{}/{}", self.agent, self.profile)
    }
    /// When it can be worked on again, in seconds since the epoch; 0 where it is not cooling.
    pub fn until(&self) -> i64 {
        if self.state != AccountState::Cooling {
            return 0;
        }
        i64::try_from(self.record.number("Until")).unwrap_or(i64::MAX)
    }
    /// Why it cannot be worked on, or could not the last time.
    pub fn reason(&self) -> &str {
        self.record.get("Reason").unwrap_or_default()
    }
    /// Records this snapshot. Gives whether it won; if not, somebody else knew something newer: read again.
    pub fn write(&self, store: &Store<'_>, what: &str) -> Result<bool> {
        let mut record = self.record.clone();
        record.set("State", self.state.as_str());
        let event = record.event("account", format!("account {}/{}: {what}", self.agent, self.profile));
        let tip = store.write(&event, self.record.tip.as_ref())?;
        let edit = Edit::set(self.ref_name(), Old::from(self.record.tip.clone()), tip);
        Ok(refs::transaction(store.repo(), store.env(), &event.subject, &[edit])? == Outcome::Done)
    }
    /// All accounts with a record.
    pub fn all(repo: &Repo, env: &Env) -> Result<Vec<Account>> {
        let all = record::all(repo, env, PREFIX, 2)?;
        all.into_iter().filter_map(|(name, record)| Account::of(&name, record).transpose()).collect()
    }
    /// One account, the one that no ref says yet where there is none.
    pub fn find(repo: &Repo, env: &Env, agent: &str, profile: &str) -> Result<Account> {
        let name = format!("{agent}/{profile}");
        let found = record::one(repo, env, PREFIX, &name)?;
        let found = found.map(|record| Account::of(&name, record)).transpose()?.flatten();
        Ok(found.unwrap_or_else(|| Account::new(agent, profile)))
    }
    fn of(name: &str, record: Record) -> Result<Option<Account>> {
        let Some((agent, profile)) = name.split_once('/') else { return Ok(None) };
        let word = record.get("State").unwrap_or_default();
        let state = STATES.iter().find(|(_, w)| *w == word).map(|(s, _)| *s);
        let state = state.ok_or_else(|| record::unknown(&format!("account {name}"), word))?;
        Ok(Some(Account { agent: agent.to_owned(), profile: profile.to_owned(), state, record }))
    }
}
