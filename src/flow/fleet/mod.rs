//! The fleet: many loops at once, each in a fork of its own.
//!
//! Nothing runs besides the loops themselves: `up` starts them, `down` ends them, and what they do is read from refs and
//! the labels of boxes, by any number of boards at once.

pub mod file;
pub mod rows;
mod up;

mod down;

use crate::error::Result;
use crate::state::Loop;
use crate::state::fleet::Fleet;

use super::Coop;
use super::drain::owner;

pub use down::{Down, down};
pub use file::Member;
pub use up::{Up, next, up};

/// The name of the one fleet that a repository has.
pub const NAME: &str = "fleet";

/// The record of the fleet.
pub fn load(coop: &Coop) -> Result<Fleet> {
    Fleet::load(&coop.repo, &coop.env, NAME)
}

/// Whether a process is behind the loop.
pub fn at_work(coop: &Coop, found: &Loop) -> bool {
    found.state.is_active() && owner::alive(coop, &found.record)
}
