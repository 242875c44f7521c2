//! The record of a loop: `refs/coop/loops/<name>`, where the name is that of its fork. One process writes it, the one
//! that holds the fork's lock.

use crate::env::Env;
use crate::error::Result;
use crate::git::Repo;
use crate::git::refs::Edit;

use super::event::{Event, Store};
use super::name::ForkName;
use super::record::{self, Record};

const PREFIX: &str = "refs/coop/loops/";

/// Where a loop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopState {
    /// A task is in work, or the next one is being looked for.
    Running,
    /// Every account is cooling; `Wake` says until when.
    Parked,
    /// An auditor re-checks what was done.
    Auditing,
    /// The queue is worked off.
    Finished,
    /// It could not go on; `Reason` says why.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

const STATES: &[(LoopState, &str)] = &[
    (LoopState::Running, "running"),
    (LoopState::Parked, "parked"),
    (LoopState::Auditing, "auditing"),
    (LoopState::Finished, "finished"),
    (LoopState::Failed, "failed"),
    (LoopState::Stopped, "stopped"),
];

impl LoopState {
    /// The word in `Coop-State`.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(s, _)| *s == self).map_or("running", |(_, w)| w)
    }
    /// Whether a process should be behind it.
    pub fn is_active(self) -> bool {
        matches!(self, LoopState::Running | LoopState::Parked | LoopState::Auditing)
    }
}

/// A loop as its last event says it is. Values: `Agent`, `Profile`, `Tasks` (files, one space apart), `Host`, `Pid`,
/// `Start`, `Boot`, `Head` (the last accepted commit), `Task`, `Title`, `Attempt`, `Todo`, `Done`, `Blocked`, `Wake` (seconds since the epoch),
/// `Input`, `Output`, `Cost`, `Began`, `Reason`, `Unproved` (what the fork has that no audit of this loop covers: `foreign`, `unaudited`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// Its name, which is its fork's.
    pub name: ForkName,
    /// State.
    pub state: LoopState,
    /// Everything else.
    pub record: Record,
}

impl Loop {
    /// A loop that no ref says yet.
    pub fn new(name: &ForkName) -> Loop {
        Loop { name: name.clone(), state: LoopState::Running, record: Record::default() }
    }
    /// The full name of its ref.
    pub fn ref_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
    /// The event of this snapshot: `loop <name>: <what>`.
    pub fn event(&self, what: &str) -> Event {
        let mut record = self.record.clone();
        record.set("State", self.state.as_str());
        record.event("loop", format!("loop {}: {what}", self.name))
    }
    /// Records this snapshot, with other refs in the same transaction. Errors: exit 3 on a lost race.
    pub fn record(&mut self, store: &Store<'_>, what: &str, more: Vec<Edit>) -> Result<()> {
        self.record_with(store, self.event(what), more)
    }
    /// As [`Loop::record`], with an event made by the caller (files, a body).
    pub fn record_with(&mut self, store: &Store<'_>, event: Event, more: Vec<Edit>) -> Result<()> {
        let tip = store.commit(&self.ref_name(), self.record.tip.as_ref(), &event, more)?;
        self.record.tip = Some(tip);
        self.record.updated = crate::time::now(store.env());
        Ok(())
    }
    /// One loop.
    pub fn find(repo: &Repo, env: &Env, name: &ForkName) -> Result<Option<Loop>> {
        record::one(repo, env, PREFIX, name.as_str())?.map(|record| Loop::of(name.as_str(), record)).transpose()
    }
    /// All loops in the order of their names.
    pub fn all(repo: &Repo, env: &Env) -> Result<Vec<Loop>> {
        record::all(repo, env, PREFIX, 1)?.into_iter().map(|(name, record)| Loop::of(&name, record)).collect()
    }
    fn of(name: &str, record: Record) -> Result<Loop> {
        let word = record.get("State").unwrap_or_default();
        let state = STATES.iter().find(|(_, w)| *w == word).map(|(s, _)| *s);
        let state = state.ok_or_else(|| record::unknown(&format!("loop {name}"), word))?;
        Ok(Loop { name: ForkName::parse(name)?, state, record })
    }
}
