//! Which account works next, and waiting where none can.

use std::time::Duration;

use jiff::Timestamp;

use crate::agent::Definition;
use crate::agent::vault::{Account, Vault};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::sandbox::interrupts::{Asked, Interrupts};

/// The first wait where nobody says how long; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(32 * 60);
/// The same for a service that is overloaded.
const BREATH: Duration = Duration::from_secs(15);
const LONG_BREATH: Duration = Duration::from_secs(5 * 60);

/// The accounts of one agent. `None` is the key in the user's `agents/env`.
#[derive(Debug)]
pub struct Accounts {
    agent: String,
    all: Vec<One>,
    /// Refusals in a row.
    refused: u32,
}

#[derive(Debug)]
struct One {
    profile: Option<String>,
    cool: Option<(Timestamp, String)>,
    out: Option<String>,
}

/// What can be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// This account works.
    Use(Option<String>),
    /// All are cooling; the first wakes then.
    Wait(Timestamp, String),
    /// None is signed in any more.
    Nobody(String),
}

impl Accounts {
    /// The accounts of `definition`: `asked` alone, or every profile that is signed in, the marked one first.
    /// Errors: exit 2 where nobody is signed in.
    pub fn of(env: &Env, definition: &Definition, asked: Option<&str>) -> Result<Accounts> {
        let vault = Vault::new(&env.config_dir(), &definition.name);
        let mut profiles: Vec<Option<String>> = match asked {
            Some(name) => vec![Some(name.to_owned())],
            None => {
                let marked = vault.marked();
                let mut all = vault.profiles()?;
                all.sort_by_key(|profile| (Some(profile) != marked.as_ref(), profile.clone()));
                all.into_iter().map(Some).collect()
            }
        };
        if profiles.is_empty() {
            profiles.push(None);
        }
        let mut all: Vec<One> = Vec::new();
        for profile in profiles {
            if vault.account(definition, profile.as_deref())? != Account::None {
                all.push(One { profile, cool: None, out: None });
            }
        }
        if all.is_empty() {
            return Err(Error::usage(format!("{} is not signed in", definition.display))
                .hint(format!("git coop login {}", definition.name)));
        }
        Ok(Accounts { agent: definition.name.clone(), all, refused: 0 })
    }
    /// What can be done now.
    pub fn pick(&self, now: Timestamp) -> Pick {
        let free = |one: &&One| one.out.is_none() && one.cool.as_ref().is_none_or(|(until, _)| *until <= now);
        if let Some(one) = self.all.iter().find(free) {
            return Pick::Use(one.profile.clone());
        }
        let cooling = self.all.iter().filter(|one| one.out.is_none()).filter_map(|one| one.cool.clone());
        match cooling.min() {
            Some((until, why)) => Pick::Wait(until, why),
            None => {
                let why = self.all.iter().find_map(|one| one.out.clone()).unwrap_or_default();
                Pick::Nobody(format!("no account of {} works any more: {why}", self.agent))
            }
        }
    }
    /// The account is used up until then, or for a while that grows where nobody says.
    pub fn cool(&mut self, profile: Option<&str>, until: Option<Timestamp>, why: &str) -> Timestamp {
        self.refused += 1;
        let until = until.unwrap_or_else(|| Timestamp::now() + doubled(SHORTEST, self.refused, LONGEST));
        if let Some(one) = self.all.iter_mut().find(|one| one.profile.as_deref() == profile) {
            one.cool = Some((until, why.to_owned()));
        }
        until
    }
    /// The account's login does not work any more.
    pub fn out(&mut self, profile: Option<&str>, why: &str) {
        if let Some(one) = self.all.iter_mut().find(|one| one.profile.as_deref() == profile) {
            one.out = Some(why.to_owned());
        }
    }
    /// The service refuses, whoever asks: how long to breathe, for the `times`th time in a row.
    pub fn breath(env: &Env, times: u32, after: Option<Duration>) -> Duration {
        let test = env.str("COOP_TEST_BREATH_MS").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        after.unwrap_or_else(|| doubled(test.unwrap_or(BREATH), times, LONG_BREATH)).min(LONG_BREATH)
    }
    /// It worked.
    pub fn worked(&mut self) {
        self.refused = 0;
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(10)).min(longest)
}

/// Sleeps until `until` by the wall clock, in short steps: a suspend in between counts. Gives `false` where somebody
/// asked to stop.
pub fn sleep_until(until: Timestamp, interrupts: &Interrupts) -> bool {
    loop {
        if interrupts.asked() != Asked::GoOn {
            return false;
        }
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(500)));
    }
}
