//! What a person sees while a loop works: lines on standard error, all of them harmless.

use std::io::IsTerminal as _;
use std::time::Duration;

use crate::agent::usage::{Does, Live, Usage};
use crate::env::Env;
use crate::ui::table::{columns, cut};
use crate::ui::text::printable;

/// Lines for a person, and on a terminal one more below them that says how far the agent is.
#[derive(Debug, Clone, Copy)]
pub struct View {
    live: bool,
    terminal: bool,
}

impl View {
    /// Shows what the agent does on a terminal, and in the log of a detached loop.
    pub fn new(detached: bool, env: &Env) -> View {
        let terminal = std::io::stderr().is_terminal();
        View { live: detached || terminal, terminal: terminal && env.str("TERM") != Some("dumb") }
    }
    /// A line about the loop.
    pub fn say(self, text: &str) {
        self.line(&printable(text));
    }
    /// What the agent just did.
    pub fn live(self, live: &Live) {
        if !self.live {
            return;
        }
        match live {
            Live::Begins { does, what, .. } | Live::Did { does, what, failed: false } => {
                self.does(&format!("{} {}", verb(does), printable(what)));
            }
            Live::Did { does, what, failed: true } => self.does(&format!("{} {}: failed", verb(does), printable(what))),
            Live::Ends { failed: true, .. } => self.does("failed"),
            Live::Ends { .. } => {}
            Live::Says(text) => self.line(&format!("    {}", printable(text))),
        }
    }
    /// How far the agent is: on a terminal alone, in a line that the next one takes the place of.
    pub fn progress(self, agent: &str, elapsed: Duration, usage: &Usage) {
        if self.terminal {
            let used = used(usage);
            let more = if used.is_empty() { used } else { format!(" · {used}") };
            let clock = format!("{}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60);
            eprint!(
                "\r{}\x1b[K",
                cut(&format!("  {agent} {clock}{more}"), columns(std::io::stderr()).saturating_sub(1))
            );
        }
    }
    /// Takes the line of [`View::progress`] away.
    pub fn settle(self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
    /// One line of a terminal: what an agent reads and runs is long, and a wrapped command hides the others.
    fn does(self, text: &str) {
        let text = format!("    {text}");
        self.line(if self.terminal { cut(&text, columns(std::io::stderr())) } else { &text });
    }
    fn line(self, text: &str) {
        self.settle();
        eprintln!("{text}");
    }
}

fn verb(does: &Does) -> String {
    match does {
        Does::Reads => "reads".into(),
        Does::Edits => "edits".into(),
        Does::Runs => "runs".into(),
        Does::Other(name) => printable(name),
    }
}

/// `12 turns, 3.4k in, 1.2k out, $0.31`; what an agent does not say is left out.
pub fn used(usage: &Usage) -> String {
    let mut parts = Vec::new();
    if usage.turns > 0 {
        parts.push(crate::ui::text::count(usage.turns as usize, "turn"));
    }
    if usage.input_tokens + usage.output_tokens > 0 {
        parts.push(format!("{} in, {} out", short(usage.input_tokens), short(usage.output_tokens)));
    }
    if usage.cost_usd > 0.0 {
        parts.push(format!("${:.2}", usage.cost_usd));
    }
    parts.join(", ")
}

/// `claude ended: 12 turns, $0.31 (40s)`.
pub fn ended(agent: &str, usage: &Usage, seconds: u64) -> String {
    let used = used(usage);
    let used = if used.is_empty() { used } else { format!(": {used}") };
    format!("  {agent} ended{used} ({seconds}s)")
}

/// `950`, `3.4k`, `12M`.
pub fn short(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..100_000 => format!("{:.1}k", n as f64 / 1e3),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}
