//! How the structured output of an agent shows failures, usage and what it is doing: data of its TOML file.
//!
//! Text that a model wrote is never a condition: a repository can contain the sentence of a usage limit. What counts
//! are exit codes, fields of events that the program itself fills, and whole lines of its own on standard error.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::refresh::at;

/// Fields of an event and their values: the event is meant where all of them have these.
pub type Fields = BTreeMap<String, toml::Value>;

/// How one kind of failure shows. All given conditions must hold, for a run that failed (an exit code other than 0, a
/// signal, a watchdog); the first rule of an agent that does decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRule {
    /// What it means.
    pub kind: OutcomeKind,
    /// Exit code of the agent. With 0 the rule is for a run that looks like a success.
    #[serde(default)]
    pub exit: Option<i32>,
    /// Fields of one event of the structured output; the last such event counts.
    #[serde(default)]
    pub event: Fields,
    /// Dotted field of that event: the program's own message. Its text must begin with one of `starts`.
    #[serde(default)]
    pub field: String,
    /// See `field`.
    #[serde(default)]
    pub starts: Vec<String>,
    /// Regular expression that one whole line of standard error must match.
    #[serde(default)]
    pub stderr: String,
    /// Dotted field of the event: when the limit ends, in seconds since the epoch.
    #[serde(default)]
    pub reset_epoch: String,
    /// Regular expression on `field` or the line of standard error whose first group is the time in words, in the
    /// time zone of the box where it names none.
    #[serde(default)]
    pub reset_text: String,
    /// Regular expression on the same text whose first group is a number of seconds.
    #[serde(default)]
    pub reset_seconds: String,
    /// The rule holds only where it found a reset time.
    #[serde(default)]
    pub need_reset: bool,
    /// Nothing more comes after this line of standard error for as long as it says: the run can be ended at once.
    #[serde(default)]
    pub sleeps: bool,
}

/// What a failure means for whoever drives the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// The account is used up until some time.
    Limit,
    /// A short-lived refusal: try again soon with the same account.
    Busy,
    /// The account is not signed in, or its credential does not work.
    Auth,
    /// The account has no money left.
    Billing,
    /// The conversation became too long.
    Context,
    /// The model or the request is wrong, or whatever else: the message is the reason.
    Request,
}

/// Where a run's usage stands in the structured output: dotted fields of the matching events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRule {
    /// Fields that the event has, and their values.
    pub event: Fields,
    /// Each event counts for itself; otherwise the last one holds the whole.
    #[serde(default)]
    pub sum: bool,
    /// Input tokens: these fields together, cached ones included.
    #[serde(default)]
    pub input: Vec<String>,
    /// Of those, the ones that came from a cache.
    #[serde(default)]
    pub cached: String,
    /// Output tokens.
    #[serde(default)]
    pub output: String,
    /// Cost in US dollars.
    #[serde(default)]
    pub cost: String,
    /// Turns of the conversation; without it each event is one.
    #[serde(default)]
    pub turns: String,
}

/// How events show what an agent does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveRules {
    /// Names of tools that read.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Names of tools that write.
    #[serde(default)]
    pub edits: Vec<String>,
    /// Names of tools that run a command.
    #[serde(default)]
    pub runs: Vec<String>,
    /// The events.
    #[serde(default)]
    pub event: Vec<LiveRule>,
}

/// One event that shows something.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveRule {
    /// What it shows.
    pub kind: LiveKind,
    /// Fields of the event.
    pub when: Fields,
    /// Dotted field: which call of a tool.
    #[serde(default)]
    pub id: String,
    /// Dotted field: the name of the tool.
    #[serde(default)]
    pub tool: String,
    /// Dotted fields, the first that is there: what the tool works on, or what was said.
    #[serde(default)]
    pub detail: Vec<String>,
    /// Fields that say that the tool failed.
    #[serde(default)]
    pub failed: Fields,
}

/// What an event shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiveKind {
    /// A tool began.
    Start,
    /// A tool ended.
    End,
    /// A tool began and ended.
    Tool,
    /// The model said something.
    Text,
}

impl OutcomeRule {
    /// Whether its regular expressions compile.
    pub(super) fn check(&self) -> Result<(), String> {
        for pattern in [&self.stderr, &self.reset_text, &self.reset_seconds] {
            Regex::new(pattern).map_err(|err| format!("outcome: {err}"))?;
        }
        if self.event.is_empty() && self.stderr.is_empty() && self.exit.is_none() {
            return Err("outcome: a rule without exit, event and stderr would always hold".into());
        }
        Ok(())
    }
}

/// Whether `event` has all of `fields`.
pub(super) fn has(event: &Value, fields: &Fields) -> bool {
    fields.iter().all(|(path, want)| at(event, path).is_some_and(|found| equal(found, want)))
}

fn equal(found: &Value, want: &toml::Value) -> bool {
    match want {
        toml::Value::String(text) => found.as_str() == Some(text),
        toml::Value::Integer(number) => found.as_i64() == Some(*number),
        toml::Value::Boolean(yes) => found.as_bool() == Some(*yes),
        _ => false,
    }
}
