//! Boxes: a [`spec::BoxSpec`] says what a box is, `argv` turns it into a command line per runtime, and
//! `launch` is the only function in the project that starts one.
//!
//! This module knows neither git nor agents nor forks: it gets paths and commands.

pub mod spec;
