//! Boxes: a [`spec::BoxSpec`] says what a box is, `argv` turns it into a command line per runtime, and
//! `launch` is the only function in the project that starts one.
//!
//! This module knows neither git nor agents nor forks: it gets paths and commands.

pub mod argv;
pub mod boxes;
pub mod build;
mod cgroup;
pub mod egress;
mod etc;
pub mod image;
pub mod interrupts;
pub mod io;
pub mod launch;
mod marker;
pub mod owner;
mod process;
pub mod runtime;
mod seccomp;
pub mod spec;
pub mod support;
mod sys;
mod terminal;

pub use boxes::{RunningBox, running, stop, sweep};
pub use io::{Ended, How, Io, Log, Out, Stdin, Tick, Wish};
pub use launch::{caveats, launch};
pub use runtime::{System, Usable, detect};
