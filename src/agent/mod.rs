//! Agents are data: one TOML file each (`builtin/*.toml`, and the user's own beside them), read by [`Registry`].
//!
//! This module turns a definition into what a box needs: a command line ([`argv`]), a home directory made of the
//! active profile and nothing else ([`home`]), and where the program lives on a host that has no image ([`locate`]).
//! It knows neither git nor boxes: it gives paths, arguments and variables.
//!
//! What an agent leaves behind in its home is hostile: everything read back goes through [`tree`], which follows no
//! symbolic link and takes no more than it was told to.

pub mod argv;
pub mod definition;
pub mod home;
pub mod install;
pub mod keys;
pub mod limits;
pub mod locate;
mod merge;
pub mod outcome;
pub mod outside;
mod refresh;
pub mod registry;
pub mod session;
pub mod signals;
pub mod tree;
pub mod usage;
pub mod vault;

pub use definition::Definition;
pub use home::{Prepare, Prepared};
pub use outside::Outside;
pub use registry::Registry;

#[cfg(test)]
mod tests;
