//! The loop: a queue of tasks, one fresh agent for each, and nothing done before git proves it.
//!
//! The host owns the queue. It claims a task in a ref, marks it, runs an agent in a box in a fork, and judges what came
//! back from git alone (`check`). Done, blocked and given back are transactions (`settle`); everything in between can be
//! killed at any time, and the next `git coop loop` goes on where the refs say it was.

mod account;
mod attempt;
mod audit;
mod check;
pub mod detach;
mod notify;
pub mod owner;
pub mod queue;
mod settle;
pub mod start;
pub mod stop;
mod view;
mod watchdog;
mod work;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::agent::usage::Usage;
use crate::agent::{Definition, Registry};
use crate::error::{Error, Kind, Result};
use crate::git::Oid;
use crate::sandbox::interrupts::{Asked, Interrupts};
use crate::sandbox::runtime::Usable;
use crate::state::{ForkName, Loop, LoopState, Store};
use crate::task::prompt::Prompts;

use super::Coop;
use super::cooldown::Accounts;
use super::fork::work::Opened;
use view::View;
use watchdog::Patience;

pub use start::run;
pub use view::{short, used};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The fork that the loop works in, and the loop's name; one that is free where unset.
    pub name: Option<ForkName>,
    /// The agent; the one the fork remembers, or one that is signed in, where unset.
    pub agent: Option<String>,
    /// Its account; all of them in turn where unset.
    pub profile: Option<String>,
    /// Queue files, absolute; `.agent/TASKS.md` where empty.
    pub tasks: Vec<PathBuf>,
    /// At most so many tasks.
    pub max_tasks: Option<usize>,
    /// At most so many audits; 0 for none.
    pub rounds: u32,
    /// The agent that audits; another one that is signed in where unset.
    pub auditor: Option<String>,
    /// Gate command instead of `coop.gate`.
    pub gate: Option<String>,
    /// Commit that a new fork begins at; HEAD of a clean checkout where unset.
    pub base: Option<String>,
    /// Give up where every account is cooling, instead of waiting.
    pub no_wait: bool,
    /// What is proved lands on the branch that is checked out when the loop begins.
    pub land: bool,
    /// Nobody is there: what the agent does goes to the log.
    pub detached: bool,
}

impl Options {
    /// Audits where nobody says how many.
    pub const ROUNDS: u32 = 2;
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Done, and not audited.
    Done,
    /// Done, and an auditor agrees.
    Confirmed,
    /// Done, and an auditor did not say so.
    Unconfirmed,
    /// Reopened by an auditor.
    Reopened,
    /// A person has to look.
    Blocked,
    /// Given back unfinished.
    GivenBack,
}

impl Fate {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Fate::Done => "done",
            Fate::Confirmed => "confirmed",
            Fate::Unconfirmed => "unconfirmed",
            Fate::Reopened => "reopened",
            Fate::Blocked => "blocked",
            Fate::GivenBack => "given back",
        }
    }
}

/// One line of the table at the end.
#[derive(Debug, Clone)]
pub struct Row {
    /// The task.
    pub id: String,
    /// Its text.
    pub title: String,
    /// What became of it.
    pub fate: Fate,
    /// How often an agent tried.
    pub attempts: u64,
    /// Its commits.
    pub commits: Vec<Oid>,
    /// Seconds that the gate took.
    pub gate_seconds: u64,
    /// What agents used on it.
    pub usage: Usage,
    /// Seconds it took altogether.
    pub seconds: u64,
    /// Why it is not done.
    pub why: String,
}

/// How a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to take, or as much was done as was asked for.
    Drained,
    /// Somebody stopped it.
    Stopped,
    /// Every account is cooling.
    Parked(Timestamp),
}

/// What a loop came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its name, and its fork's.
    pub name: ForkName,
    /// The agent.
    pub agent: String,
    /// How it ended.
    pub ended: Ended,
    /// Its tasks in the order they were taken.
    pub rows: Vec<Row>,
    /// Blocked tasks in the queue, those of others and of earlier loops as well.
    pub blocked: usize,
    /// Tasks that nobody has taken yet.
    pub todo: usize,
    /// Whether done tasks had to be confirmed.
    pub audited: bool,
    /// Where its fork is to land: the branch, where that was asked for and every commit of it is proved.
    pub land: Option<String>,
}

impl Summary {
    /// The exit code: 0 where everything is confirmed, 1 where something is left, 4 where it is parked.
    pub fn code(&self) -> u8 {
        let good = |row: &Row| match row.fate {
            Fate::Confirmed => true,
            Fate::Done => !self.audited,
            _ => false,
        };
        match self.ended {
            Ended::Parked(_) => Kind::Parked.code(),
            Ended::Stopped if self.todo > 0 => Kind::No.code(),
            _ if self.blocked > 0 || !self.rows.iter().all(good) => Kind::No.code(),
            _ => 0,
        }
    }
}

/// What agents used on one task so far.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    usage: Usage,
    gate_seconds: u64,
}

/// A loop at work. It holds its fork.
struct Drain<'a> {
    coop: &'a Coop,
    usable: &'a Usable,
    options: &'a Options,
    files: Vec<PathBuf>,
    /// The same, as paths of the repository.
    queues: Vec<Vec<u8>>,
    gate: String,
    land: Option<String>,
    definition: &'a Definition,
    registry: &'a Registry,
    prompts: Prompts,
    store: Store<'a>,
    interrupts: Interrupts,
    opened: Opened,
    record: Loop,
    /// The last commit that holds.
    accepted: Oid,
    /// Commits between the fork's base and `accepted`.
    ahead: usize,
    /// An agent had ended when the last loop was killed: what it left is judged before another one starts.
    unjudged: bool,
    accounts: Accounts,
    /// An account was refused since one last worked.
    refused: bool,
    /// Another loop was quicker once: the list is shared.
    crowded: bool,
    attempts: u64,
    patience: Patience,
    rows: Vec<Row>,
    view: View,
}

/// Whether to go on.
enum Step {
    On,
    Stop(Ended),
}

impl Drain<'_> {
    /// Works until nothing is left.
    fn all(&mut self) -> Result<Ended> {
        let mut audits = 0;
        loop {
            if let Step::Stop(ended) = self.tasks()? {
                return Ok(ended);
            }
            if self.options.rounds == 0 {
                return Ok(Ended::Drained);
            }
            audits += 1;
            match self.audit(audits >= self.options.rounds)? {
                audit::Audited::Settled => return Ok(Ended::Drained),
                audit::Audited::Reopened if audits < self.options.rounds => {}
                audit::Audited::Reopened => return Ok(Ended::Drained),
                audit::Audited::Stopped(ended) => return Ok(ended),
            }
        }
    }

    /// Takes tasks until there is none.
    fn tasks(&mut self) -> Result<Step> {
        loop {
            if self.interrupts.asked() != Asked::GoOn {
                return Ok(Step::Stop(Ended::Stopped));
            }
            let taken = self.rows.iter().filter(|row| row.fate != Fate::Reopened).count();
            let Some((listed, claim)) = self.take(self.options.max_tasks.is_none_or(|max| taken < max))? else {
                return Ok(Step::On);
            };
            if let Step::Stop(ended) = self.work(&listed, claim)? {
                return Ok(Step::Stop(ended));
            }
        }
    }

    fn state(&mut self, state: LoopState, what: &str) -> Result<()> {
        self.record.state = state;
        if !state.is_active() {
            for key in ["Task", "Title", "Attempt", "Wake"] {
                self.record.record.set(key, "");
            }
        }
        self.record.record(&self.store, what, Vec::new())
    }

    /// The error where somebody else moved what only this loop moves.
    fn lost(&self) -> Error {
        Error::conflict(format!("loop '{}' was changed by another process", self.record.name))
            .hint(format!("git log --oneline -5 {}; then git coop loop", self.record.ref_name()))
    }
}
