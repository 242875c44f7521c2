//! Ending, with proof.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::state::fleet::FleetState;
use crate::state::{Loop, Store};
use crate::ui::text::count;

use super::super::Coop;
use super::super::drain::stop::{How, ask, prove};
use super::at_work;

/// How long a loop may take to end its box and to record what came back.
const LIMIT: Duration = Duration::from_secs(60);

/// What `down` did.
#[derive(Debug, Default)]
pub struct Down {
    /// Members that were at work, and are not any more.
    pub stopped: Vec<String>,
    /// Members that finish their task first.
    pub draining: Vec<String>,
}

/// Ends the loops of all members: now, or with `finish` after the tasks at hand. Errors: exit 3 where one has not ended.
pub fn down(coop: &Coop, finish: bool) -> Result<Down> {
    let mut fleet = super::load(coop)?;
    let members = super::rows::members(&fleet);
    if members.is_empty() {
        return Err(Error::no("no fleet is up").hint("git coop fleet up"));
    }
    let ours = |found: &&Loop| members.iter().any(|member| member.name == found.name.as_str());
    let all = Loop::all(&coop.repo, &coop.env)?;
    let active: Vec<&Loop> = all.iter().filter(ours).filter(|found| at_work(coop, found)).collect();
    let names: Vec<String> = active.iter().map(|found| found.name.to_string()).collect();
    let store = Store::open(&coop.repo, &coop.env)?;
    fleet.record.set("Waiting", "");
    if !active.is_empty() {
        fleet.state = FleetState::Draining;
        let how = if finish { "after their tasks" } else { "now" };
        fleet.record(&store, &format!("{} to end {how}", count(active.len(), "member")))?;
    }
    // all of them are asked before the first is waited for
    for found in &active {
        ask(coop, &found.name, if finish { How::Finish } else { How::Now })?;
    }
    if finish && !active.is_empty() {
        return Ok(Down { draining: names, ..Down::default() });
    }
    let mut late = Vec::new();
    for found in all.iter().filter(ours) {
        // members that seem to be gone are proved as well: a killed loop may have left a box
        late.extend(prove(coop, &found.name, LIMIT).err());
    }
    if let Some(err) = late.into_iter().next() {
        return Err(err);
    }
    if fleet.state != FleetState::Down {
        fleet.state = FleetState::Down;
        fleet.record(&store, "down")?;
    }
    Ok(Down { stopped: names, ..Down::default() })
}
