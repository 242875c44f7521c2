//! git-coop: run coding agents nobody should trust, and land what they made.
//!
//! Dependencies point one way: `cli → flow → {state, sandbox, secret, agent, task}`, `state → git`,
//! `cli, flow → ui`. `sandbox`, `secret`, `agent` and `task` know neither each other nor git. The
//! single-file modules here (`env`, `error`, `exit`, `settings`, `time`) may be used from anywhere.
//! `tests/it/structure.rs` holds this table.

pub mod agent;
pub mod cli;
pub mod env;
pub mod error;
pub mod exit;
pub mod flow;
pub mod git;
pub mod sandbox;
pub mod secret;
pub mod settings;
pub mod state;
pub mod task;
pub mod time;
pub mod ui;
pub mod without;

pub use error::{Error, Result};
