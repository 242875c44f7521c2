//! Who works on a task: `refs/coop/claims/<task-id>`, made only where it does not exist, so that of any number of loops
//! one wins. Releasing a claim deletes it; done ones go to the archive when their loop ends.

use crate::env::Env;
use crate::error::Result;
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::{Oid, Repo};

use super::event::{Event, Store};
use super::record::{self, Record};

const PREFIX: &str = "refs/coop/claims/";
const ARCHIVE: &str = "refs/coop/archive";

/// What became of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimState {
    /// Somebody is at work on it: a loop, or a person.
    Held,
    /// Proved from git.
    Done,
    /// A person has to look; the reason is with it.
    Blocked,
}

const STATES: &[(ClaimState, &str)] =
    &[(ClaimState::Held, "held"), (ClaimState::Done, "done"), (ClaimState::Blocked, "blocked")];

impl ClaimState {
    /// The word in `Coop-State`.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(s, _)| *s == self).map_or("held", |(_, w)| w)
    }
}

/// A claim as its last event says it is. Values: `Loop` (empty for a person), `Host`, `Pid`, `Start`, `Boot`, `Title`,
/// `Attempt`, `Reason`, `Commits`, `Tree`, `Base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The task.
    pub id: String,
    /// State.
    pub state: ClaimState,
    /// Everything else.
    pub record: Record,
}

impl Claim {
    /// A claim that no ref says yet.
    pub fn new(id: &str) -> Claim {
        Claim { id: id.to_owned(), state: ClaimState::Held, record: Record::default() }
    }
    /// The full name of its ref.
    pub fn ref_name(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
    /// Whether a person holds it.
    pub fn is_persons(&self) -> bool {
        self.state == ClaimState::Held && self.record.get("Loop").is_none()
    }
    /// The event of this snapshot: `task <id>: <what>`.
    pub fn event(&self, what: &str) -> Event {
        let mut record = self.record.clone();
        record.set("State", self.state.as_str());
        record.event("claim", format!("task {}: {what}", self.id))
    }
    /// Writes the event; the edit moves the ref from where this claim was read, or makes it.
    pub fn write(&self, store: &Store<'_>, what: &str) -> Result<Edit> {
        let tip = store.write(&self.event(what), self.record.tip.as_ref())?;
        Ok(Edit::set(self.ref_name(), Old::from(self.record.tip.clone()), tip))
    }
    /// The edit that releases it.
    pub fn release(&self) -> Option<Edit> {
        Some(Edit::delete(self.ref_name(), self.record.tip.clone()?))
    }
    /// Writes and moves in one step. Gives whether this claim won; it is at its new tip then.
    pub fn take(&mut self, store: &Store<'_>, what: &str) -> Result<bool> {
        let edit = self.write(store, what)?;
        let tip = edit.new.clone();
        let won = refs::transaction(store.repo(), store.env(), what, &[edit])? == Outcome::Done;
        if won {
            self.moved(tip, store);
        }
        Ok(won)
    }
    /// A transaction has moved it to `tip`.
    pub fn moved(&mut self, tip: Option<Oid>, store: &Store<'_>) {
        self.record.tip = tip;
        self.record.updated = crate::time::now(store.env());
    }
    /// All claims.
    pub fn all(repo: &Repo, env: &Env) -> Result<Vec<Claim>> {
        record::all(repo, env, PREFIX, 1)?.into_iter().map(|(id, record)| Claim::of(id, record)).collect()
    }
    /// One claim.
    pub fn find(repo: &Repo, env: &Env, id: &str) -> Result<Option<Claim>> {
        record::one(repo, env, PREFIX, id)?.map(|record| Claim::of(id.to_owned(), record)).transpose()
    }
    fn of(id: String, record: Record) -> Result<Claim> {
        let word = record.get("State").unwrap_or_default();
        let state = STATES.iter().find(|(_, w)| *w == word).map(|(s, _)| *s);
        let state = state.ok_or_else(|| record::unknown(&format!("task {id}"), word))?;
        Ok(Claim { id, state, record })
    }
}

/// Moves the chains of `claims` under the archive and deletes their refs, in one transaction: their number does not grow.
pub fn archive(store: &Store<'_>, claims: &[Claim]) -> Result<()> {
    for _ in 0..8 {
        let tips: Vec<(String, Oid)> =
            claims.iter().filter_map(|c| Some((c.ref_name(), c.record.tip.clone()?))).collect();
        if tips.is_empty() {
            return Ok(());
        }
        let archive = refs::read(store.repo(), store.env(), ARCHIVE)?;
        let subject = format!("archive: {}", crate::ui::text::count(tips.len(), "task"));
        let trailers = vec![("Kind".to_owned(), "archive".to_owned()), ("State".to_owned(), "done".to_owned())];
        let event = Event { subject, trailers, ..Event::default() };
        let parents: Vec<Oid> = archive.iter().cloned().chain(tips.iter().map(|(_, tip)| tip.clone())).collect();
        let tip = store.write_with_parents(&event, &parents)?;
        let mut edits = vec![Edit::set(ARCHIVE, Old::from(archive), tip)];
        edits.extend(tips.into_iter().map(|(name, tip)| Edit::delete(name, tip)));
        if refs::transaction(store.repo(), store.env(), &event.subject, &edits)? == Outcome::Done {
            return Ok(());
        }
    }
    Ok(()) // somebody else moves them: the next loop's end does what this one could not
}
