//! The board of a fleet: a table that is drawn anew as things change, on a terminal that is left as it was.
//!
//! It gets its rows and what a key does from outside. Everything it shows is made harmless here, whatever wrote it.

mod draw;
mod screen;

pub use draw::{draw, draw_once, tokens};
pub use screen::{Action, Source, watch};

/// One line of the board.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Row {
    /// The member, which is a loop and a fork.
    pub name: String,
    /// Its agent.
    pub agent: String,
    /// The account, where one was asked for or is known.
    pub profile: String,
    /// `running`, `parked`, `auditing`, `finished`, `failed`, `stopped`, `killed`, `waiting` or `new`.
    pub state: String,
    /// What its box is for: `agent`, `gate`, …; empty where none runs.
    #[serde(rename = "box")]
    pub purpose: String,
    /// Tasks that are done.
    pub done: u64,
    /// Tasks that are blocked.
    pub blocked: u64,
    /// Tasks altogether, as far as it knows.
    pub total: u64,
    /// The task at hand.
    pub task: String,
    /// How often it was tried, this time included.
    pub attempt: u64,
    /// Commits that are ready.
    pub ahead: u64,
    /// What happened last.
    pub event: String,
    /// When that was, in seconds since the epoch.
    pub updated: i64,
    /// Tokens that went in.
    #[serde(rename = "inputTokens")]
    pub input: u64,
    /// Tokens that came out.
    #[serde(rename = "outputTokens")]
    pub output: u64,
    /// US dollars.
    #[serde(rename = "costUsd")]
    pub cost: f64,
    /// When it wakes, in seconds since the epoch; 0 where it is not parked.
    pub wake: i64,
    /// Why it failed or waits.
    pub reason: String,
}

impl Row {
    /// `claude/work`, or what is known of it.
    pub fn account(&self) -> String {
        match (self.agent.as_str(), self.profile.as_str()) {
            (agent, "") => agent.to_owned(),
            (agent, profile) => format!("{agent}/{profile}"),
        }
    }
    /// The state and, where it waits for an account, how long still.
    pub fn condition(&self, now: i64) -> String {
        match self.wake {
            0 => self.state.clone(),
            wake => format!("{} {}", self.state, crate::time::left(wake - now)),
        }
    }
}
