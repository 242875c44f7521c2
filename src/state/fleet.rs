//! The record of a fleet: `refs/coop/fleets/<name>`, written by `git coop fleet up` and `down`. What its members do is in
//! the records of their loops.

use crate::env::Env;
use crate::error::Result;
use crate::git::Repo;

use super::event::Store;
use super::record::{self, Record};

const PREFIX: &str = "refs/coop/fleets/";

/// Where a fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetState {
    /// Its members were started.
    Up,
    /// They were asked to end.
    Draining,
    /// None of them runs: that was proved.
    Down,
}

const STATES: &[(FleetState, &str)] =
    &[(FleetState::Up, "up"), (FleetState::Draining, "draining"), (FleetState::Down, "down")];

impl FleetState {
    /// The word in `Coop-State`.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(s, _)| *s == self).map_or("up", |(_, w)| w)
    }
}

/// A fleet as its last event says it is. Values: `Members` (`name:agent:profile`, one space apart), `Waiting` (names),
/// `File` (the digest of the file they are in), `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// State.
    pub state: FleetState,
    /// Everything else.
    pub record: Record,
}

impl Fleet {
    /// A fleet that no ref says yet.
    pub fn new(name: &str) -> Fleet {
        Fleet { name: name.to_owned(), state: FleetState::Down, record: Record::default() }
    }
    /// The full name of its ref.
    pub fn ref_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
    /// Records this snapshot. Errors: exit 3 where somebody else moved it.
    pub fn record(&mut self, store: &Store<'_>, what: &str) -> Result<()> {
        let mut record = self.record.clone();
        record.set("State", self.state.as_str());
        let event = record.event("fleet", format!("fleet {}: {what}", self.name));
        self.record.tip = Some(store.commit(&self.ref_name(), self.record.tip.as_ref(), &event, Vec::new())?);
        self.record.updated = crate::time::now(store.env());
        Ok(())
    }
    /// The fleet called `name`, one that no ref says yet where there is none.
    pub fn load(repo: &Repo, env: &Env, name: &str) -> Result<Fleet> {
        let Some(record) = record::one(repo, env, PREFIX, name)? else { return Ok(Fleet::new(name)) };
        let name = name.to_owned();
        let word = record.get("State").unwrap_or_default();
        let state = STATES.iter().find(|(_, w)| *w == word).map(|(s, _)| *s);
        let state = state.ok_or_else(|| record::unknown(&format!("fleet {name}"), word))?;
        Ok(Fleet { name, state, record })
    }
}
