//! What a run used and what it is doing, read from the agent's structured output line by line. The lines are hostile:
//! numbers are bounded, text is cut and made harmless, and nothing here decides anything but what is shown.

use serde_json::Value;

use crate::ui::text::printable;

use super::Definition;
use super::refresh::at;
use super::signals::{LiveKind, LiveRule, has};

/// Longest line that is looked at (bytes): codex puts whole files on one.
pub const MAX_LINE: usize = 4 << 20;

/// Longest text that is shown (characters).
const SHOWN: usize = 200;

/// What a run used. Zero where the agent does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Turns of the conversation.
    pub turns: u64,
    /// Tokens that went in, cached ones included.
    pub input_tokens: u64,
    /// Of those, the ones that came from a cache.
    pub cached_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// US dollars, as the agent reckons them.
    pub cost_usd: f64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.turns = self.turns.saturating_add(other.turns);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_usd += other.cost_usd;
    }
}

/// Something that an agent does, for a live view and for a watchdog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// A tool began: the call's id, what kind of thing it does, and on what.
    Begins {
        /// Which call; empty where the agent has no ids.
        id: String,
        /// What kind of thing.
        does: Does,
        /// File, command or pattern, one harmless line.
        what: String,
    },
    /// A tool ended.
    Ends {
        /// Which call.
        id: String,
        /// Whether it failed.
        failed: bool,
    },
    /// A tool that began and ended, in one event.
    Did {
        /// What kind of thing.
        does: Does,
        /// File, command or pattern.
        what: String,
        /// Whether it failed.
        failed: bool,
    },
    /// The model said this: one harmless line.
    Says(String),
}

/// What kind of thing a tool does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Reads.
    Reads,
    /// Writes.
    Edits,
    /// Runs a command.
    Runs,
    /// Something else, by the tool's name.
    Other(String),
}

/// What the whole structured output says was used.
pub fn usage(agent: &Definition, stdout: &[u8]) -> Usage {
    let mut sum = Usage::default();
    for event in stdout.split(|b| *b == b'\n').filter_map(parse) {
        count(agent, &event, &mut sum);
    }
    sum
}

/// What one line of the structured output shows.
pub fn live(agent: &Definition, line: &[u8]) -> Option<Live> {
    shows(agent, &parse(line)?)
}

/// An event of the structured output; `None` for anything that is no JSON object.
pub(super) fn parse(line: &[u8]) -> Option<Value> {
    let line = line.trim_ascii();
    if line.len() > MAX_LINE || line.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(line).ok()
}

/// Adds what `event` says to `sum`.
pub(super) fn count(agent: &Definition, event: &Value, sum: &mut Usage) {
    let Some(rule) = agent.usage.as_ref().filter(|rule| has(event, &rule.event)) else { return };
    let number = |path: &String| at(event, path).and_then(Value::as_u64).filter(|n| *n < 1 << 48).unwrap_or(0);
    let one = Usage {
        turns: if rule.turns.is_empty() { 1 } else { number(&rule.turns) },
        input_tokens: rule.input.iter().map(number).fold(0, u64::saturating_add),
        cached_tokens: number(&rule.cached),
        output_tokens: number(&rule.output),
        cost_usd: at(event, &rule.cost).and_then(Value::as_f64).filter(|n| (0.0..1e9).contains(n)).unwrap_or(0.0),
    };
    if rule.sum {
        *sum += one;
    } else {
        *sum = one;
    }
}

/// What `event` shows.
pub(super) fn shows(agent: &Definition, event: &Value) -> Option<Live> {
    let rule = agent.live.event.iter().find(|rule| has(event, &rule.when))?;
    let text = |path: &String| at(event, path).and_then(Value::as_str).map(one_line);
    let id = || text(&rule.id).unwrap_or_default();
    let what = || rule.detail.iter().find_map(text).unwrap_or_default();
    let failed = || !rule.failed.is_empty() && has(event, &rule.failed);
    Some(match rule.kind {
        LiveKind::Start => Live::Begins { id: id(), does: does(agent, rule, event), what: what() },
        LiveKind::End => Live::Ends { id: id(), failed: failed() },
        LiveKind::Tool => Live::Did { does: does(agent, rule, event), what: what(), failed: failed() },
        LiveKind::Text => Live::Says(Some(what()).filter(|text| !text.is_empty())?),
    })
}

fn does(agent: &Definition, rule: &LiveRule, event: &Value) -> Does {
    let tool = at(event, &rule.tool).and_then(Value::as_str).unwrap_or_default();
    let among = |list: &[String]| list.iter().any(|name| name == tool);
    match () {
        () if among(&agent.live.reads) => Does::Reads,
        () if among(&agent.live.edits) => Does::Edits,
        () if among(&agent.live.runs) => Does::Runs,
        () => Does::Other(one_line(tool)),
    }
}

/// The first line of `text` that is not empty, harmless and not too long.
pub(super) fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut cut: String = line.chars().take(SHOWN).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    printable(&cut)
}
