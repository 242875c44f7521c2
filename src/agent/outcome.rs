//! What the end of a headless run means for the account that it ran on.
//!
//! It never means that the task is done: that is proved from git. And it is decided only from what the agent's program
//! itself fills: exit codes, fields of its events, whole lines of its own on standard error. An agent that forges those
//! (it shares a box with its program) can make its own account rest for a bounded time, and nothing else.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use regex::Regex;
use serde_json::Value;

use super::Definition;
use super::limits;
use super::refresh::at;
use super::signals::{OutcomeKind, OutcomeRule, has};
use super::usage::{Live, Usage, count, one_line, parse, shows};

/// The time zone of headless boxes: agents print reset times in it where they name no zone.
pub const ZONE: (&str, &str) = ("TZ", "UTC");

/// A short-lived refusal that lasts longer than this is a limit: another account is the better answer.
const LONG: Duration = Duration::from_secs(15 * 60);

/// How much of standard error counts, from its end (bytes).
const STDERR_TAIL: usize = 256 << 10;

/// Why a watchdog ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogReason {
    /// Nothing came for too long.
    Silence,
    /// A tool was open for too long.
    Tool,
    /// The run reached the ceiling that nothing can extend.
    Ceiling,
    /// The program said that it would now sleep.
    Asleep,
}

/// How a run ended, as the host saw it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output (all of it, or its end).
    pub stdout: &'a [u8],
    /// Standard error (all of it, or its end).
    pub stderr: &'a [u8],
    /// Why a watchdog of ours ended it.
    pub ended: Option<WatchdogReason>,
    /// Now, in the time zone of the box ([`ZONE`]).
    pub now: Zoned,
}

/// What the end of a run means. `why` is one harmless line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended by itself and has nothing to complain of. What it did is seen in git.
    Finished,
    /// The account is used up.
    Limited {
        /// Until then; `None` where it is not said, or is stale or absurd: back off, bounded.
        until: Option<Timestamp>,
        /// The program's message.
        why: String,
    },
    /// The account is not signed in, or its login expired.
    LoggedOut {
        /// The program's message.
        why: String,
    },
    /// The service refuses for a while, whoever asks.
    Overloaded {
        /// The program's message.
        why: String,
        /// Try again after this, where it is said.
        after: Option<Duration>,
    },
    /// The conversation became too long: a failed attempt.
    ContextFull {
        /// The program's message.
        why: String,
    },
    /// Anything else went wrong: a failed attempt.
    Failed {
        /// The program's message.
        why: String,
    },
    /// A watchdog ended it: a failed attempt.
    Hung {
        /// Which.
        why: String,
    },
    /// Somebody stopped it.
    Interrupted,
}

/// What the end of a run means.
pub fn judge(agent: &Definition, seen: &Seen<'_>) -> Outcome {
    let mut stream = Stream::new(agent);
    for line in seen.stdout.split(|b| *b == b'\n') {
        stream.line(line);
    }
    stream.judge(seen)
}

/// The outcome that a line of standard error already decides while the program still runs: it said that it sleeps.
pub fn asleep(agent: &Definition, line: &[u8], now: &Zoned) -> Option<Outcome> {
    let rule = agent.outcome.iter().filter(|rule| rule.sleeps);
    let mut found = rule.filter_map(|rule| Some((rule, stderr_match(rule, line)?)));
    let (rule, text) = found.next()?;
    Some(outcome(rule, &Value::Null, &text, now))
}

/// The structured output of one run, read as it comes: holds what [`judge`] needs and not the output.
#[derive(Debug)]
pub struct Stream<'a> {
    agent: &'a Definition,
    /// For each rule the last event that it is about: field and event, without what nobody asks for.
    last: Vec<Option<Value>>,
    usage: Usage,
}

impl<'a> Stream<'a> {
    /// Nothing was read yet.
    pub fn new(agent: &'a Definition) -> Stream<'a> {
        Stream { agent, last: vec![None; agent.outcome.len()], usage: Usage::default() }
    }
    /// Takes one line of standard output; gives what it shows.
    pub fn line(&mut self, line: &[u8]) -> Option<Live> {
        let event = parse(line)?;
        for (rule, last) in self.agent.outcome.iter().zip(&mut self.last) {
            if !rule.event.is_empty() && has(&event, &rule.event) {
                *last = Some(event.clone());
            }
        }
        count(self.agent, &event, &mut self.usage);
        shows(self.agent, &event)
    }
    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }
    /// What the end means. [`Seen::stdout`] is not looked at: the lines were.
    pub fn judge(&self, seen: &Seen<'_>) -> Outcome {
        let failed = seen.code != Some(0) || seen.signal.is_some() || seen.ended.is_some();
        for (rule, last) in self.agent.outcome.iter().zip(&self.last) {
            if let Some(outcome) = holds(rule, last.as_ref(), seen, failed) {
                return outcome;
            }
        }
        match (seen.ended, seen.signal, seen.code) {
            (Some(reason), ..) => Outcome::Hung { why: hung(reason).into() },
            (None, Some(1 | 2 | 15), _) | (None, None, Some(129 | 130 | 143)) => Outcome::Interrupted,
            (None, Some(signal), _) => Outcome::Failed { why: format!("killed by signal {signal}") },
            (None, None, Some(0)) => Outcome::Finished,
            (None, None, code) => {
                let code = code.map_or("no exit code".into(), |code| format!("exit {code}"));
                let said = lines(seen.stderr).rev().map(|l| one_line(&String::from_utf8_lossy(l)));
                let said = said.filter(|line| !line.is_empty()).find(|line| line.len() > 2);
                Outcome::Failed { why: said.map_or(code.clone(), |said| format!("{code}: {said}")) }
            }
        }
    }
}

fn hung(reason: WatchdogReason) -> &'static str {
    match reason {
        WatchdogReason::Silence => "it printed nothing for too long",
        WatchdogReason::Tool => "a tool ran for too long",
        WatchdogReason::Ceiling => "it ran longer than any task may",
        WatchdogReason::Asleep => "it went to sleep",
    }
}

fn lines(stderr: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    stderr[stderr.len().saturating_sub(STDERR_TAIL)..].split(|b| *b == b'\n')
}

fn stderr_match(rule: &OutcomeRule, line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let pattern = Regex::new(&format!("^(?:{})$", rule.stderr)).ok()?;
    (!rule.stderr.is_empty() && pattern.is_match(text)).then(|| text.to_owned())
}

fn holds(rule: &OutcomeRule, last: Option<&Value>, seen: &Seen<'_>, failed: bool) -> Option<Outcome> {
    match rule.exit {
        Some(code) if seen.code != Some(code) => return None,
        None if !failed => return None,
        _ => {}
    }
    let (mut event, mut text) = (&Value::Null, String::new());
    if !rule.event.is_empty() {
        event = last?;
        text = at(event, &rule.field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !rule.starts.is_empty() && !rule.starts.iter().any(|start| text.starts_with(start.as_str())) {
            return None;
        }
    }
    if !rule.stderr.is_empty() {
        text = lines(seen.stderr).rev().find_map(|line| stderr_match(rule, line))?;
    }
    if rule.need_reset && reset(rule, event, &text).is_none() {
        return None;
    }
    Some(outcome(rule, event, &text, &seen.now))
}

/// What a rule found out about the end of a limit, not yet judged.
enum Reset {
    Epoch(i64),
    Words(String),
    Seconds(f64),
}

fn reset(rule: &OutcomeRule, event: &Value, text: &str) -> Option<Reset> {
    let group = |pattern: &String| {
        let found = Regex::new(pattern).ok().filter(|_| !pattern.is_empty())?.captures(text)?;
        Some(found.get(1)?.as_str().to_owned())
    };
    if let Some(epoch) = at(event, &rule.reset_epoch).and_then(Value::as_i64) {
        return Some(Reset::Epoch(epoch));
    }
    group(&rule.reset_text).map(Reset::Words).or_else(|| group(&rule.reset_seconds)?.parse().ok().map(Reset::Seconds))
}

fn outcome(rule: &OutcomeRule, event: &Value, text: &str, now: &Zoned) -> Outcome {
    let reset = reset(rule, event, text);
    let why = || match (one_line(text), rule.kind) {
        (said, _) if !said.is_empty() => said,
        (_, OutcomeKind::Limit) => "the account is used up".into(),
        (_, OutcomeKind::Busy) => "the service is busy".into(),
        (_, OutcomeKind::Auth) => "the account is not signed in".into(),
        (_, OutcomeKind::Billing) => "the account has no money left".into(),
        (_, OutcomeKind::Context) => "the conversation became too long".into(),
        (_, OutcomeKind::Request) => "the request was refused".into(),
    };
    let until = match &reset {
        Some(Reset::Epoch(epoch)) => limits::epoch(*epoch, now),
        Some(Reset::Words(words)) => limits::when(words, now),
        Some(Reset::Seconds(seconds)) => limits::after(*seconds, now),
        None => None,
    };
    let after = until.and_then(|until| Duration::try_from(until.duration_since(now.timestamp())).ok());
    match rule.kind {
        OutcomeKind::Busy if after.is_some_and(|after| after > LONG) => Outcome::Limited { until, why: why() },
        OutcomeKind::Busy => Outcome::Overloaded { why: why(), after },
        OutcomeKind::Limit => Outcome::Limited { until, why: why() },
        OutcomeKind::Billing => Outcome::Limited { until: None, why: why() },
        OutcomeKind::Auth => Outcome::LoggedOut { why: why() },
        OutcomeKind::Context => Outcome::ContextFull { why: why() },
        OutcomeKind::Request => Outcome::Failed { why: why() },
    }
}
