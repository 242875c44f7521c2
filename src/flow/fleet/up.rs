//! Starting: everything is checked before the first box, and no more start than the machine can hold.

use std::path::Path;

use crate::agent::Registry;
use crate::agent::vault::Vault;
use crate::error::{Error, Result};
use crate::git::objects::Reader;
use crate::settings;
use crate::state::fleet::{Fleet, FleetState};
use crate::state::{ForkName, Loop, Store};
use crate::task::mark;
use crate::ui::text::count;

use super::super::Coop;
use super::super::drain::start::{self, Plan};
use super::super::drain::{Options, detach};
use super::super::lock::Lock;
use super::file::parse;
use super::{Member, at_work};

/// What a member is reckoned to need where no limit says it: agents were measured at up to 480 MiB (bytes).
const MEMBER: u64 = 600 << 20;

/// Seconds that a process waits for another one that starts members.
const PATIENCE: usize = 600;

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

/// Starts the loops of the members in `text` (of [`super::file`]) that do not run yet, with `program` (`git-coop-loop`),
/// as many as fit; `said` is told of each. Errors, before anything starts: what is wrong with one of them, named by its
/// line. Where one fails to start, the error says how many did.
pub fn up(coop: &Coop, text: &str, program: &Path, mut said: impl FnMut(&str)) -> Result<Up> {
    let members = parse(text)?;
    let _turn = take_turn(coop)?;
    let loops = Loop::all(&coop.repo, &coop.env)?;
    let mut up = Up::default();
    let mut plans: Vec<Planned<'_>> = Vec::new();
    for member in &members {
        if is_at_work(coop, &loops, &member.name) {
            up.running.push(member.name.to_string());
            continue;
        }
        match plan(coop, member)? {
            Some(planned) => plans.push(planned),
            None => up.idle.push(member.name.to_string()),
        }
    }
    let (room, why) = room(coop, up.running.len());
    up.why = why;
    up.waiting = plans.iter().skip(room).map(|(member, ..)| member.name.to_string()).collect();
    plans.truncate(room);
    let mut failed = None;
    for planned in &plans {
        match start(coop, planned, program) {
            Ok(()) => {
                said(planned.0.name.as_str());
                up.started.push(planned.0.name.to_string());
            }
            Err(err) => {
                let started = format!("{} of {} started", up.started.len(), count(plans.len(), "member"));
                failed = Some(err.hint(format!("{started}; git coop fleet status")));
                break;
            }
        }
    }
    record(coop, &members, text, &up)?;
    match failed {
        Some(err) => Err(err),
        None => Ok(up),
    }
}

/// The last act of a member's loop: its place is free, and members that wait for one are started, in their order. Nothing
/// happens unless the fleet is up, here, and its file is what `up` has read: it lies where an agent can write, and a
/// person meant it as it was then. Gives the names of those started. Errors: as [`up`].
pub fn next(coop: &Coop, program: &Path) -> Result<Vec<String>> {
    let waits = |fleet: &Fleet| fleet.state == FleetState::Up && fleet.record.get("Waiting").is_some();
    if !waits(&super::load(coop)?) {
        return Ok(Vec::new());
    }
    let _turn = take_turn(coop)?;
    let mut fleet = super::load(coop)?;
    let text = super::file::read(&coop.repo.work_tree)?;
    if !waits(&fleet) || fleet.record.get("Host") != Some(coop.host().as_str()) {
        return Ok(Vec::new());
    }
    if fleet.record.get("File") != Some(digest(coop, &text)?.as_str()) {
        return Err(Error::no(format!("{} has changed, and members wait", super::file::PATH))
            .hint("git coop fleet up starts them as it is now"));
    }
    let members = parse(&text)?;
    let loops = Loop::all(&coop.repo, &coop.env)?;
    let names = fleet.record.get("Waiting").unwrap_or_default().to_owned();
    let running = members.iter().filter(|member| is_at_work(coop, &loops, &member.name)).count();
    let (room, _) = room(coop, running);
    let (mut started, mut waiting) = (Vec::new(), Vec::new());
    for member in members.iter().filter(|member| names.split(' ').any(|name| name == member.name.as_str())) {
        let name = member.name.to_string();
        if is_at_work(coop, &loops, &member.name) {
            continue;
        }
        if started.len() == room {
            waiting.push(name);
            continue;
        }
        match plan(coop, member).and_then(|plan| plan.map(|plan| start(coop, &plan, program)).transpose()) {
            Ok(Some(())) => started.push(name),
            Ok(None) => {} // it has nothing to do
            Err(err) => {
                eprint!("{}", err.render()); // the others must not wait for it
                waiting.push(name);
            }
        }
    }
    if started.is_empty() {
        return Ok(started);
    }
    fleet.record.set("Waiting", waiting.join(" "));
    let store = Store::open(&coop.repo, &coop.env)?;
    fleet.record(&store, &format!("a place became free, {} started, {} waiting", started.join(" "), waiting.len()))?;
    Ok(started)
}

/// A member whose loop can start.
type Planned<'a> = (&'a Member, Plan, Options);

/// Held while members are started: no two processes fill the same place.
fn take_turn(coop: &Coop) -> Result<Lock> {
    let path = coop.dir("locks")?.join("fleet");
    for _ in 0..PATIENCE {
        if let Some(lock) = Lock::take(&path)? {
            return Ok(lock);
        }
    }
    Err(Error::conflict("another process has been starting members for minutes").hint("git coop fleet status"))
}

fn is_at_work(coop: &Coop, loops: &[Loop], name: &ForkName) -> bool {
    loops.iter().any(|found| found.name == *name && at_work(coop, found))
}

/// What is to be started, `None` where there is nothing to do. Errors name the member.
fn plan<'a>(coop: &Coop, member: &'a Member) -> Result<Option<Planned<'a>>> {
    let options = options(coop, member).map_err(|err| of(member, &err))?;
    let plan = start::plan(coop, &options).map_err(|err| of(member, &err))?;
    Ok(plan.map(|plan| (member, plan, options)))
}

fn start(coop: &Coop, (member, plan, options): &Planned<'_>, program: &Path) -> Result<()> {
    let started = detach::start(coop, &plan.name, program, &detach::args(plan, options));
    started.map(|_| ()).map_err(|err| of(member, &err))
}

/// What tells one text of the file from another.
fn digest(coop: &Coop, text: &str) -> Result<String> {
    Ok(Reader::open(&coop.repo)?.blob_id(text.as_bytes())?.to_string())
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

fn record(coop: &Coop, members: &[Member], text: &str, up: &Up) -> Result<()> {
    let mut fleet = super::load(coop)?;
    let told = |member: &Member| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{}:{}:{}", member.name, text(&member.agent), text(&member.profile))
    };
    let (all, waiting) = (members.iter().map(told).collect::<Vec<_>>().join(" "), up.waiting.join(" "));
    let digest = digest(coop, text)?;
    let same = fleet.record.get("Members").unwrap_or_default() == all
        && fleet.record.get("File") == Some(digest.as_str())
        && fleet.record.get("Waiting").unwrap_or_default() == waiting;
    if same && fleet.state == FleetState::Up && up.started.is_empty() {
        return Ok(());
    }
    fleet.state = FleetState::Up;
    fleet.record.set("Members", all);
    fleet.record.set("Waiting", waiting);
    fleet.record.set("File", digest);
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
