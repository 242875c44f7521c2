//! Starting: everything is checked before the first box, and no more start than the machine can hold.

use std::path::Path;

use crate::agent::Registry;
use crate::agent::vault::Vault;
use crate::error::{Error, Result};
use crate::settings;
use crate::state::fleet::FleetState;
use crate::state::{Loop, Store};
use crate::task::mark;
use crate::ui::text::count;

use super::super::Coop;
use super::super::drain::start::{self, Plan};
use super::super::drain::{Options, detach};
use super::{Member, at_work};

/// What a member is reckoned to need where no limit says it: agents were measured at up to 480 MiB (bytes).
const MEMBER: u64 = 600 << 20;

/// What `up` did.
#[derive(Debug, Default)]
pub struct Up {
    /// Members whose loops it started.
    pub started: Vec<String>,
    /// Members whose loops were at work already.
    pub running: Vec<String>,
    /// Members that have nothing to do.
    pub idle: Vec<String>,
    /// Members that have to wait.
    pub waiting: Vec<String>,
    /// Why they have to.
    pub why: String,
}

/// Starts the loops of `members` that do not run yet, with `program` (`git-coop-loop`), as many as fit; `said` is told of
/// each. Errors, before anything starts: what is wrong with one of them, named by its line. Where one fails to start,
/// the error says how many did.
pub fn up(coop: &Coop, members: &[Member], program: &Path, mut said: impl FnMut(&str)) -> Result<Up> {
    let loops = Loop::all(&coop.repo, &coop.env)?;
    let mut up = Up::default();
    let mut plans: Vec<(&Member, Plan, Options)> = Vec::new();
    for member in members {
        let name = member.name.to_string();
        if loops.iter().any(|found| found.name == member.name && at_work(coop, found)) {
            up.running.push(name);
            continue;
        }
        let options = options(coop, member).map_err(|err| of(member, &err))?;
        match start::plan(coop, &options).map_err(|err| of(member, &err))? {
            Some(plan) => plans.push((member, plan, options)),
            None => up.idle.push(name),
        }
    }
    let (room, why) = room(coop, up.running.len());
    up.why = why;
    up.waiting = plans.iter().skip(room).map(|(member, ..)| member.name.to_string()).collect();
    plans.truncate(room);
    let mut failed = None;
    for (member, plan, options) in &plans {
        match detach::start(coop, &plan.name, program, &detach::args(plan, options)) {
            Ok(_) => {
                said(member.name.as_str());
                up.started.push(member.name.to_string());
            }
            Err(err) => {
                let started = format!("{} of {} started", up.started.len(), count(plans.len(), "member"));
                failed = Some(of(member, &err).hint(format!("{started}; git coop fleet status")));
                break;
            }
        }
    }
    record(coop, members, &up)?;
    match failed {
        Some(err) => Err(err),
        None => Ok(up),
    }
}

fn options(coop: &Coop, member: &Member) -> Result<Options> {
    let root = &coop.repo.work_tree;
    if let (Some(agent), Some(profile)) = (&member.agent, &member.profile) {
        let registry = Registry::load(&coop.env.config_dir())?;
        Vault::new(&coop.env.config_dir(), &registry.get(agent)?.name).active(Some(profile))?;
    }
    let tasks = member.tasks.iter().map(|file| mark::locate(root, root, file)).collect::<Result<_>>()?;
    Ok(Options {
        name: Some(member.name.clone()),
        agent: member.agent.clone(),
        profile: member.profile.clone(),
        tasks,
        max_tasks: member.max_tasks,
        rounds: member.rounds.unwrap_or(Options::ROUNDS),
        auditor: member.auditor.clone(),
        detached: true,
        ..Options::default()
    })
}

/// The error of one member, with its line.
fn of(member: &Member, err: &Error) -> Error {
    let place = format!("member '{}' ({} line {})", member.name, super::file::PATH, member.line);
    let mut named = Error::new(err.kind(), format!("{place}: {err}"));
    for hint in err.hints() {
        named = named.hint(hint.clone());
    }
    named
}

/// How many more may start: `coop.fleetMax`, and what the memory that is free now can hold.
fn room(coop: &Coop, running: usize) -> (usize, String) {
    let number = |name: &str| coop.settings.get(name).and_then(|value| value.parse::<usize>().ok());
    let most = number("COOP_FLEET_MAX").unwrap_or(8);
    let each = coop.settings.get("COOP_MEMORY").and_then(settings::bytes).unwrap_or(MEMBER).max(1);
    let places = most.saturating_sub(running);
    match available() {
        Some(free) if (free / each) < places as u64 => {
            let fit = usize::try_from(free / each).unwrap_or(usize::MAX);
            (fit, format!("{} MiB of memory are free, and a member is reckoned to need {}", free >> 20, each >> 20))
        }
        _ => (places, format!("coop.fleetMax is {most}")),
    }
}

/// Memory that a new process can have without swapping (`proc_meminfo(5)`), in bytes; `None` where nothing says so.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn record(coop: &Coop, members: &[Member], up: &Up) -> Result<()> {
    let mut fleet = super::load(coop)?;
    let told = |member: &Member| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{}:{}:{}", member.name, text(&member.agent), text(&member.profile))
    };
    let (all, waiting) = (members.iter().map(told).collect::<Vec<_>>().join(" "), up.waiting.join(" "));
    let same = fleet.record.get("Members").unwrap_or_default() == all
        && fleet.record.get("Waiting").unwrap_or_default() == waiting;
    if same && fleet.state == FleetState::Up && up.started.is_empty() {
        return Ok(());
    }
    fleet.state = FleetState::Up;
    fleet.record.set("Members", all);
    fleet.record.set("Waiting", waiting);
    fleet.record.set("Host", coop.host());
    let mut what = format!("up, {} started", count(up.started.len(), "member"));
    if !up.running.is_empty() {
        what += &format!(", {} at work", up.running.len());
    }
    if !up.waiting.is_empty() {
        what += &format!(", {} waiting", up.waiting.len());
    }
    let store = Store::open(&coop.repo, &coop.env)?;
    fleet.record(&store, &what)
}
