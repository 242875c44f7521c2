//! Ending a loop from outside, with proof.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::sandbox::boxes;
use crate::state::{ForkName, Loop};

use super::super::lock::Lock;
use super::super::{Coop, fork};
use super::owner;

/// How to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// When its task is finished.
    Finish,
    /// Now: its box is ended and its claim released.
    Now,
}

/// Asks the loop `name` to end; gives whether a process was there to be asked. It may not have ended yet.
pub fn ask(coop: &Coop, name: &ForkName, how: How) -> Result<bool> {
    let Some(found) = Loop::find(&coop.repo, &coop.env, name)? else { return Ok(false) };
    let here = found.record.get("Host") == Some(coop.host().as_str());
    let Some(owner) = owner::of(&found.record).filter(|owner| here && found.state.is_active() && owner.alive()) else {
        return Ok(false);
    };
    let signal = match how {
        How::Finish => rustix::process::Signal::INT,
        How::Now => rustix::process::Signal::TERM,
    };
    let pid = i32::try_from(owner.pid).ok().and_then(rustix::process::Pid::from_raw);
    Ok(pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok()))
}

/// Waits until no process holds the loop's fork and no box of it runs. Errors: exit 3 where one still does after `limit`.
pub fn prove(coop: &Coop, name: &ForkName, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    let path = fork::lock_path(coop, name);
    while Lock::is_held(&path) {
        if Instant::now() > end {
            return Err(
                Error::conflict(format!("loop '{name}' has not ended")).hint(format!("git coop fork stop {name}"))
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if let Some(found) = crate::state::Fork::find(&coop.repo, &coop.env, name)? {
        boxes::stop(&coop.runtime()?, &format!("fork:{}", found.path.display()))?;
    }
    Ok(())
}
