//! Interrupts for a process that runs many boxes one after the other: the first one is for the process, which ends when
//! the work at hand is done; the second kills the box.

use crate::error::{Context as _, Result};

use super::sys::{self, Signals};

/// What signals so far ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Nothing.
    GoOn,
    /// One interrupt: to end after the work at hand.
    Finish,
    /// Another interrupt, SIGTERM or SIGHUP: to end now.
    Stop,
}

/// While it lives, an interrupt does not end this process, and the first one reaches no box. One per process.
#[derive(Debug)]
pub struct Interrupts {
    signals: Signals,
    asked: std::cell::Cell<Asked>,
}

impl Interrupts {
    /// Begins to watch.
    pub fn watch() -> Result<Interrupts> {
        let signals = Signals::install().or_bug("cannot watch for signals")?;
        sys::spare_first(true);
        Ok(Interrupts { signals, asked: std::cell::Cell::new(Asked::GoOn) })
    }
    /// What was asked for up to now.
    pub fn asked(&self) -> Asked {
        let mut buffer = [0u8; 64];
        while let Ok(count) = rustix::io::read(self.signals.fd(), &mut buffer) {
            if count == 0 {
                break;
            }
            for signal in &buffer[..count] {
                let now = match (i32::from(*signal), self.asked.get()) {
                    (libc::SIGINT, Asked::GoOn) => Asked::Finish,
                    (libc::SIGINT | libc::SIGTERM | libc::SIGHUP, _) => Asked::Stop,
                    (_, before) => before,
                };
                self.asked.set(now.max(self.asked.get()));
            }
        }
        self.asked.get()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        sys::spare_first(false);
    }
}
