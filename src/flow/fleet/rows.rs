//! What the board shows: read from refs and the labels of boxes, and from nothing else.

use crate::error::{Error, Result};
use crate::sandbox::boxes::{self, RunningBox};
use crate::sandbox::runtime::Usable;
use crate::state::fleet::Fleet;
use crate::state::{Fork, Loop, LoopState};
use crate::ui::board::Row;

use super::super::Coop;
use super::at_work;

/// A member as the record of the fleet names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The agent that was asked for; empty where none was.
    pub agent: String,
    /// The account that was asked for; empty where none was.
    pub profile: String,
}

/// The members in a fleet's record.
pub fn members(fleet: &Fleet) -> Vec<Named> {
    let words = fleet.record.get("Members").unwrap_or_default().split(' ').filter(|word| !word.is_empty());
    let named = |word: &str| {
        let mut parts = word.splitn(3, ':').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Named { name: next(), agent: next(), profile: next() }
    };
    words.map(named).collect()
}

/// All members, then loops that belong to no fleet. `usable` is the runtime whose boxes are looked at.
pub fn rows(coop: &Coop, usable: Option<&Usable>) -> Result<Vec<Row>> {
    // boxes are looked for in all processes of the machine: that takes as long as reading the refs
    let (fleet, loops, forks, running) = std::thread::scope(|scope| {
        let boxes = scope.spawn(|| usable.and_then(|usable| boxes::running(usable).ok()).unwrap_or_default());
        let refs = (super::load(coop), Loop::all(&coop.repo, &coop.env), Fork::all(&coop.repo, &coop.env));
        (refs.0, refs.1, refs.2, boxes.join())
    });
    let (fleet, loops, forks) = (fleet?, loops?, forks?);
    let running = running.map_err(|_| Error::bug("the thread that looks for boxes has ended"))?;
    let waiting: Vec<&str> = fleet.record.get("Waiting").unwrap_or_default().split(' ').collect();
    let members = members(&fleet);
    let mut rows: Vec<Row> = Vec::new();
    for member in &members {
        let found = loops.iter().find(|found| found.name.as_str() == member.name);
        let mut row = found.map(|found| row(coop, found, &forks, &running)).unwrap_or_default();
        let waits = waiting.contains(&member.name.as_str()) && found.is_none_or(|found| !at_work(coop, found));
        if waits || found.is_none() {
            row.state = if waits { "waiting" } else { "new" }.into();
        }
        row.name.clone_from(&member.name);
        if row.agent.is_empty() {
            row.agent.clone_from(&member.agent);
        }
        if row.profile.is_empty() {
            row.profile.clone_from(&member.profile);
        }
        rows.push(row);
    }
    let others = loops.iter().filter(|found| !members.iter().any(|member| member.name == found.name.as_str()));
    rows.extend(others.map(|found| row(coop, found, &forks, &running)));
    Ok(rows)
}

fn row(coop: &Coop, found: &Loop, forks: &[Fork], running: &[RunningBox]) -> Row {
    let record = &found.record;
    let text = |key: &str| record.get(key).unwrap_or_default().to_owned();
    let fork = forks.iter().find(|fork| fork.name == found.name);
    let label = fork.map(|fork| format!("fork:{}", fork.path.display()));
    let working = running.iter().find(|b| Some(&b.workspace) == label.as_ref() && b.alive_owner);
    let active = found.state.is_active();
    let killed = active && !at_work(coop, found);
    let (done, blocked) = (record.number("Done"), record.number("Blocked"));
    let at_hand = u64::from(record.get("Task").is_some());
    let wake = record.get("Wake").and_then(|seconds| seconds.parse().ok());
    Row {
        name: found.name.to_string(),
        agent: text("Agent"),
        profile: text("Profile"),
        state: if killed { "killed" } else { found.state.as_str() }.into(),
        purpose: working.map(|b| b.purpose.clone()).unwrap_or_default(),
        done,
        blocked,
        total: done + blocked + record.number("Todo") + at_hand,
        task: text("Title"),
        attempt: record.number("Attempt"),
        ahead: fork.and_then(|fork| fork.get("Ahead")).and_then(|n| n.parse().ok()).unwrap_or(0),
        event: record.subject.split_once(": ").map_or(record.subject.clone(), |(_, what)| what.to_owned()),
        updated: record.updated,
        input: record.number("Input"),
        output: record.number("Output"),
        cost: record.get("Cost").and_then(|text| text.parse().ok()).unwrap_or(0.0),
        wake: wake.filter(|_| found.state == LoopState::Parked).unwrap_or(0),
        reason: text("Reason"),
    }
}
