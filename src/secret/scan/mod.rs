//! Secrets by content: bytes in, findings out.
//!
//! Three tiers share one pass over each buffer ([`engine`]). Provider formats are data (`rules.toml`) and are
//! found by their literals; names that tell of a secret are parsed with what is assigned to them, and a classifier judges the
//! value; structure (URLs, headers, key armour) is recognised by code. Findings never hold the secret ([`finding`]).
//! Nothing here knows git, opens a network connection or writes a file.

pub mod allow;
pub mod assign;
pub mod baseline;
pub mod checksum;
pub mod classify;
pub mod context;
pub mod engine;
mod expression;
mod files;
pub mod finding;
pub mod language;
pub mod mac;
mod names;
mod overlap;
pub mod pattern;
pub mod placeholder;
pub mod prefix;
#[cfg(test)]
mod rule_tests;
pub mod rules;
mod runs;
pub mod scanner;
pub mod structural;
pub mod text;

pub use engine::{Depth, Engine, Hit, Which};
pub use finding::{Confidence, Finding, Fingerprint, Key};
pub use rules::{Rule, RuleSet};
pub use scanner::{Scanned, Scanner, WINDOW, scan_all};

/// Counted up when the code finds other things in the same bytes: part of the cache key.
pub const ENGINE: u32 = 5;
