//! `merge --all`: each fork onto the result of the last, scanned, rebased and gated anew.

use crate::error::{Error, Kind, Result};
use crate::state::{Fork, ForkName, ForkState};

use super::super::Coop;
use super::super::fork::list;
use super::{Ask, Landed, Options, land};

/// What became of one fork of the queue.
#[derive(Debug)]
pub enum Came {
    /// It landed.
    Landed(Box<Landed>),
    /// It did not.
    Failed(Error),
    /// It was not tried, because one before it failed.
    NotTried,
    /// It is at work, or has nothing to land.
    Skipped(&'static str),
}

/// Forks in the order in which they are tried: the one that has been ready longest first, then by name.
pub fn order(coop: &Coop) -> Result<Vec<(Fork, Option<&'static str>)>> {
    let mut forks = Fork::all(&coop.repo, &coop.env)?;
    forks.sort_by(|a, b| (a.updated, a.name.as_str()).cmp(&(b.updated, b.name.as_str())));
    Ok(forks
        .into_iter()
        .map(|fork| {
            let skip = match list::state(coop, &fork) {
                "working" => Some("at work"),
                "damaged" => Some("damaged"),
                _ if fork.state == ForkState::Landed => Some("landed"),
                _ if fork.head == fork.base && fork.state != ForkState::Working => Some("nothing to land"),
                _ => None,
            };
            (fork, skip)
        })
        .collect())
}

/// Lands them one after another; `each` is told before and after every one. Stops at the first failure unless
/// `keep_going`.
pub fn run(
    coop: &Coop,
    options: &Options,
    keep_going: bool,
    ask: &mut dyn Ask,
    each: &mut dyn FnMut(&ForkName, Option<&Came>),
) -> Result<Vec<(ForkName, Came)>> {
    let mut results = Vec::new();
    let mut stopped = false;
    for (fork, skip) in order(coop)? {
        let came = match skip {
            Some(why) => Came::Skipped(why),
            None if stopped => Came::NotTried,
            None => {
                each(&fork.name, None);
                match land(coop, &fork.name, options, ask) {
                    Ok(landed) => Came::Landed(Box::new(landed)),
                    Err(err) => {
                        // without a runtime, or with a bug of ours, the next one would fail alike
                        stopped = !keep_going || matches!(err.kind(), Kind::NoRuntime | Kind::Bug);
                        Came::Failed(err)
                    }
                }
            }
        };
        each(&fork.name, Some(&came));
        results.push((fork.name, came));
    }
    Ok(results)
}
