//! The queue: `TASKS.md` read and marked without losing a byte ([`file`], [`mark`]), which files hold a gate up
//! ([`protect`]), what agents are told ([`prompt`]), the auditor's answer ([`receipt`]), and the files that
//! `git coop init` writes ([`scaffold`]).
//!
//! This module knows neither git nor boxes nor agents: it gets paths and bytes.

pub mod file;
pub mod mark;
pub mod prompt;
pub mod protect;
pub mod receipt;
pub mod scaffold;
pub mod split;

pub use file::{Mark, Problem, Queue, Task};
