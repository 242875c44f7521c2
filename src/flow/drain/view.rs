//! What a person sees while a loop works: lines on standard error, all of them harmless.

use std::io::IsTerminal as _;

use crate::agent::usage::{Does, Live, Usage};
use crate::ui::text::printable;

/// Lines for a person.
#[derive(Debug, Clone, Copy)]
pub struct View {
    live: bool,
}

impl View {
    /// Shows what the agent does on a terminal, and in the log of a detached loop.
    pub fn new(detached: bool) -> View {
        View { live: detached || std::io::stderr().is_terminal() }
    }
    /// A line about the loop.
    pub fn say(self, text: &str) {
        eprintln!("{}", printable(text));
    }
    /// What the agent just did.
    pub fn live(self, live: &Live) {
        if !self.live {
            return;
        }
        match live {
            Live::Begins { does, what, .. } | Live::Did { does, what, failed: false } => {
                eprintln!("    {} {}", verb(does), printable(what));
            }
            Live::Did { does, what, failed: true } => eprintln!("    {} {}: failed", verb(does), printable(what)),
            Live::Ends { failed: true, .. } => eprintln!("    failed"),
            Live::Ends { .. } => {}
            Live::Says(text) => eprintln!("    {}", printable(text)),
        }
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

/// `950`, `3.4k`, `12M`.
pub fn short(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..100_000 => format!("{:.1}k", n as f64 / 1e3),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}
