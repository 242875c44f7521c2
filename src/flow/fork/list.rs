//! `git coop fork ls`: what the refs say, and which owner is alive.

use crate::error::Result;
use crate::state::{Fork, ForkState};

use super::super::Coop;
use super::super::lock::Lock;

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The fork.
    pub fork: Fork,
    /// The state to show: `killed` where the record says working and no process is.
    pub state: &'static str,
}

/// All forks by name.
pub fn rows(coop_dir_of: &Coop) -> Result<Vec<Row>> {
    let forks = Fork::all(&coop_dir_of.repo, &coop_dir_of.env)?;
    Ok(forks
        .into_iter()
        .map(|fork| {
            let state = state(coop_dir_of, &fork);
            Row { fork, state }
        })
        .collect())
}

/// The state of one fork in a word.
pub fn state(coop: &Coop, fork: &Fork) -> &'static str {
    if fork.get("Problem").is_some() {
        return "damaged";
    }
    if fork.state == ForkState::Landing && !Lock::is_held(&super::lock_path(coop, &fork.name)) {
        return ForkState::Review.as_str(); // the landing was killed before anything moved
    }
    if fork.state != ForkState::Working {
        return fork.state.as_str();
    }
    let elsewhere = fork.get("Host").is_some_and(|host| host != coop.host());
    if elsewhere || Lock::is_held(&super::lock_path(coop, &fork.name)) { "working" } else { "killed" }
}
