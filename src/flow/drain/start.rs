//! Before the first box and after the last: what would keep a loop from working is found before anything is made.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::agent::vault::{Account, Vault};
use crate::agent::{Registry, registry};
use crate::error::{Error, Result};
use crate::git::refs;
use crate::git::{Oid, transactions, worktree};
use crate::sandbox::interrupts::Interrupts;
use crate::state::{Claim, ClaimState, Fork, ForkName, ForkState, Loop, LoopState, claim};
use crate::task::Mark;
use crate::task::prompt::Prompts;

use super::super::cooldown::Accounts;
use super::super::fork::{self, remove, work};
use super::super::land::target;
use super::super::lock::Lock;
use super::super::{Coop, agent, session};
use super::view::View;
use super::watchdog::Patience;
use super::{Drain, Ended, Fate, Options, Summary, audit, notify, owner, queue};

/// The agents that are asked first where the user names none.
const FIRST: &[&str] = &["claude", "codex", "gemini"];
/// What `Unproved` says: commits that a loop found in its fork, and some that it accepted without an audit.
const FOREIGN: &str = "foreign";
const UNAUDITED: &str = "unaudited";
/// Loops in one repository that get a name by themselves.
const MAX_LOOPS: usize = 64;

/// A loop that can start: what the user asked for, with everything decided that had to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: ForkName,
    /// Its agent.
    pub agent: String,
    /// Queue files.
    pub files: Vec<PathBuf>,
    /// The gate.
    pub gate: String,
    /// The branch to land on, where that is asked for.
    pub land: Option<String>,
}

/// Checks everything that can be wrong. `None` where there is nothing to do, which is said. Errors, before any box
/// starts: exit 2 (no tasks, a malformed marker, an unknown agent, nobody signed in, no gate, a dirty checkout), exit 1
/// (only blocked tasks), exit 3 (the fork is at work), exit 5 (no runtime).
pub fn plan(coop: &Coop, options: &Options) -> Result<Option<Plan>> {
    let files = match options.tasks.as_slice() {
        [] => vec![queue::default_file(coop)],
        some => some.to_vec(),
    };
    queue::lint(coop, &files)?;
    let tasks = queue::list(coop, &files)?;
    if tasks.is_empty() {
        return Err(Error::usage(format!("there are no tasks in {}", queue::shown(coop, &files[0])))
            .hint("git coop tasks add 'What is to be done'"));
    }
    let open = |mark: Mark| matches!(mark, Mark::Todo | Mark::Claimed);
    let registry = Registry::load(&coop.env.config_dir())?;
    let name = name(coop, options.name.as_ref())?;
    let to_audit = options.rounds > 0 && !audit::unaudited(coop, name.as_str())?.is_empty();
    // killed at its very end: it still has to tidy up
    let unfinished = Loop::find(&coop.repo, &coop.env, &name)?.is_some_and(|found| found.state.is_active());
    if !tasks.iter().any(|listed| open(listed.task.mark)) && !to_audit && !unfinished {
        let blocked = tasks.iter().filter(|listed| listed.task.mark == Mark::Blocked).count();
        if blocked > 0 {
            return Err(Error::no(format!("every task that is left is blocked ({blocked})"))
                .hint("git coop tasks says why; change [B] to [ ] to have one tried again"));
        }
        eprintln!("every task is done");
        // one that was killed before it landed
        if options.land && Fork::find(&coop.repo, &coop.env, &name)?.is_some_and(|fork| fork.state == ForkState::Review)
        {
            eprintln!("hint: git coop merge {name} lands what is in its fork");
        }
        return Ok(None);
    }
    let before = Fork::find(&coop.repo, &coop.env, &name)?;
    let agent = agent_of(coop, options, &registry, before.as_ref())?;
    let definition = registry.get(&agent)?;
    Accounts::open(&coop.env)?.candidates(definition, options.profile.as_deref())?;
    if let Some(auditor) = &options.auditor {
        agent::check(&coop.env, &registry, auditor, None)?;
    }
    let gate = options.gate.as_deref().or_else(|| coop.settings.get("COOP_GATE")).unwrap_or_default().trim().to_owned();
    if gate.is_empty() {
        return Err(Error::usage("there is no gate, and without one nothing can be proved done")
            .hint("git config coop.gate 'make check', or --gate COMMAND"));
    }
    coop.shape.identity()?;
    Prompts::load(&coop.env.config_dir())?;
    let usable = coop.runtime()?;
    session::preflight(coop, &usable)?;
    if Lock::is_held(&fork::lock_path(coop, &name)) {
        fork::take(coop, &name)?;
    }
    if options.base.is_none() && before.is_none() {
        clean(coop, &files)?;
    }
    let land = options.land.then(|| target::find(coop, None)).transpose()?;
    let land = land.map(|target| target.short().to_owned());
    Ok(Some(Plan { name, agent, files, gate, land }))
}

/// The name asked for, or `loop`, `loop-2`, …: the first that no process has.
fn name(coop: &Coop, asked: Option<&ForkName>) -> Result<ForkName> {
    if let Some(name) = asked {
        return Ok(name.clone());
    }
    for n in 1..=MAX_LOOPS {
        let name = ForkName::parse(&if n == 1 { "loop".to_owned() } else { format!("loop-{n}") })?;
        if !is_busy(coop, &name)? {
            return Ok(name);
        }
    }
    Err(Error::conflict(format!("{MAX_LOOPS} loops are at work")).hint("git coop fork ls"))
}

/// Whether a process has the fork `name`. A loop that was just killed may hold the lock for a moment, through a child that
/// it was starting: its work is to be gone on with, not begun anew under another name.
fn is_busy(coop: &Coop, name: &ForkName) -> Result<bool> {
    let lock = fork::lock_path(coop, name);
    if !Lock::is_held(&lock) {
        return Ok(false);
    }
    let alive = Loop::find(&coop.repo, &coop.env, name)?.is_some_and(|found| owner::alive(coop, &found.record));
    Ok(alive || Lock::take(&lock)?.is_none())
}

fn agent_of(coop: &Coop, options: &Options, registry: &registry::Registry, fork: Option<&Fork>) -> Result<String> {
    let named = options.agent.as_deref().or_else(|| fork.and_then(|fork| fork.get("Agent")));
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    signed_in(coop, registry)?.into_iter().next().ok_or_else(|| {
        Error::usage("no agent is signed in").hint("git coop login claude; git coop profiles shows the agents")
    })
}

/// Agents with an account, those that most people have first.
pub fn signed_in(coop: &Coop, registry: &Registry) -> Result<Vec<String>> {
    let rest = registry.names().filter(|name| !FIRST.contains(name));
    let mut out = Vec::new();
    for name in FIRST.iter().copied().chain(rest) {
        let Ok(definition) = registry.get(name) else { continue };
        let vault = Vault::new(&coop.env.config_dir(), name);
        let mut profiles: Vec<Option<String>> = vault.profiles()?.into_iter().map(Some).collect();
        profiles.push(None);
        for profile in profiles {
            if vault.account(definition, profile.as_deref())? != Account::None {
                out.push(name.to_owned());
                break;
            }
        }
    }
    Ok(out)
}

/// A new fork begins at the last commit: what is not committed would be missing there. Errors: exit 2.
fn clean(coop: &Coop, files: &[PathBuf]) -> Result<()> {
    let queues: Vec<&[u8]> = files
        .iter()
        .filter_map(|f| f.strip_prefix(&coop.repo.work_tree).ok())
        .map(|p| p.as_os_str().as_bytes())
        .collect();
    let changed = worktree::modified(&coop.repo, &coop.env)?;
    match changed.iter().find(|path| !queues.contains(&path.as_slice())) {
        None => Ok(()),
        Some(path) => Err(Error::usage(format!(
            "'{}' is not committed, and the loop's fork begins at the last commit",
            crate::ui::text::printable_bytes(path)
        ))
        .hint("git commit or git stash it, or --base HEAD to go without it")),
    }
}

/// Runs a loop to its end. Errors: as [`plan`]; exit 3 where somebody else moved its refs.
pub fn run(coop: &Coop, options: &Options) -> Result<Option<Summary>> {
    let Some(plan) = plan(coop, options)? else { return Ok(None) };
    let usable = coop.runtime()?;
    let registry = Registry::load(&coop.env.config_dir())?;
    let definition = registry.get(&plan.agent)?;
    let interrupts = Interrupts::watch()?;
    renew_landed(coop, &plan.name)?;
    let before = Fork::find(&coop.repo, &coop.env, &plan.name)?;
    let killed = before.as_ref().is_some_and(|fork| fork.state == ForkState::Working);
    let mut opened = work::open(coop, &usable, &plan.name, before.map_or(options.base.as_deref(), |_| None))?;
    let store = coop.store()?;
    let _kept = transactions::keep(&coop.repo, &coop.env, &format!("coop: loop {}", plan.name));
    let old = Loop::find(&coop.repo, &coop.env, &plan.name)?;
    let resumed = old.as_ref().is_some_and(|old| old.state.is_active() || old.record.get("Partial").is_some());
    let head_then = old.as_ref().and_then(|old| old.record.get("Head")).map(str::to_owned);
    let unproved = old.as_ref().and_then(|old| old.record.get("Unproved")).map(str::to_owned);
    let mut record = Loop::new(&plan.name);
    record.record.tip = old.as_ref().and_then(|old| old.record.tip.clone());
    let mut accepted = opened.fork.head.clone();
    if let Some(old) = old.filter(|_| resumed) {
        for key in ["Done", "Blocked", "Input", "Output", "Cost", "Began", "Partial"] {
            record.record.set(key, old.record.get(key).unwrap_or_default());
        }
        if let (true, Some(task)) = (old.state.is_active(), old.record.get("Task")) {
            record.record.set("Partial", task);
        }
        if let Some(head) = old.record.get("Head").and_then(|oid| Oid::parse(oid).ok())
            && crate::git::picks::is_ancestor(&coop.repo, &coop.env, &head, &opened.fork.head)?
        {
            accepted = head;
        }
    } else {
        record.record.set("Began", crate::time::now(&coop.env).to_string());
    }
    let ahead = crate::git::picks::range(&coop.repo, &coop.env, &accepted, &opened.fork.base, &opened.fork.base)?.len();
    let unjudged = resumed && !killed && opened.fork.head != accepted && opened.fork.get("Exit") == Some("0");
    record.record.set("Agent", &plan.agent);
    record.record.set("Profile", options.profile.as_deref().unwrap_or_default());
    let shown: Vec<String> = plan.files.iter().map(|file| queue::shown(coop, file)).collect();
    record.record.set("Tasks", shown.join(" "));
    record.record.set("Head", accepted.as_str());
    let unproved = match () {
        _ if accepted == opened.fork.base => String::new(),
        _ if head_then.as_deref() != Some(accepted.as_str()) => FOREIGN.to_owned(),
        _ => unproved.unwrap_or_default(),
    };
    record.record.set("Unproved", unproved);
    owner::stamp(coop, &mut record.record);
    opened.fork.set("Agent", &plan.agent);
    opened.fork.set("Loop", "1");
    let queues = plan.files.iter().filter_map(|f| f.strip_prefix(&coop.repo.work_tree).ok());
    let attempts = coop.settings.get("COOP_LOOP_ATTEMPTS").and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut drain = Drain {
        coop,
        usable: &usable,
        options,
        queues: queues.map(|path| path.as_os_str().as_bytes().to_vec()).collect(),
        files: plan.files,
        gate: plan.gate,
        land: plan.land,
        definition,
        registry: &registry,
        prompts: Prompts::load(&coop.env.config_dir())?,
        store,
        interrupts,
        opened,
        record,
        accepted,
        ahead,
        unjudged,
        accounts: Accounts::open(&coop.env)?,
        refused: false,
        crowded: false,
        attempts,
        patience: Patience::of(&coop.settings),
        rows: Vec::new(),
        view: View::new(options.detached, &coop.env),
    };
    let what = if resumed { "goes on" } else { "begins" };
    drain.state(LoopState::Running, &format!("{what} with {} in {}", plan.agent, shown.join(", ")))?;
    let result = drain.all();
    drain.end(result).map(Some)
}

/// A fork whose work has landed, or that never had any, begins anew at the last commit.
fn renew_landed(coop: &Coop, name: &ForkName) -> Result<()> {
    let Some(fork) = Fork::find(&coop.repo, &coop.env, name)? else { return Ok(()) };
    let idle = matches!(fork.state, ForkState::Idle | ForkState::Open) && fork.head == fork.base;
    let moved = refs::head(&coop.repo, &coop.env)?.is_some_and(|head| head != fork.base);
    let waiting = Loop::find(&coop.repo, &coop.env, name)?
        .is_some_and(|l| l.state.is_active() || l.record.get("Partial").is_some());
    if fork.state == ForkState::Landed || (idle && moved && !waiting) {
        remove::remove(coop, name, false)?;
    }
    Ok(())
}

impl Drain<'_> {
    /// Whether every commit that the fork has is of a task that is done, and confirmed where there is an audit.
    fn proved(&self) -> Result<bool> {
        let audited = self.options.rounds > 0;
        if self.record.record.get("Unproved").is_some_and(|what| what == FOREIGN || audited) {
            return Ok(false);
        }
        let claims = Claim::all(&self.coop.repo, &self.coop.env)?;
        let own = |claim: &&Claim| {
            claim.record.get("Loop") == Some(self.record.name.as_str()) && claim.record.get("Commits").is_some()
        };
        let settled =
            |claim: &Claim| claim.state == ClaimState::Done && (!audited || claim.record.get("Audit").is_some());
        Ok(claims.iter().filter(own).all(settled))
    }

    /// Records the end, tidies claims up, and tells the user's command.
    fn end(mut self, result: Result<Ended>) -> Result<Summary> {
        let name = self.record.name.clone();
        let ended = match result {
            Ok(ended) => ended,
            Err(err) => {
                self.record.record.set("Reason", super::settle::line(err.message()));
                let _ = self.state(LoopState::Failed, &format!("failed: {}", super::settle::line(err.message())));
                notify::notify(self.coop, "failed", name.as_str(), err.message());
                return Err(err);
            }
        };
        let tasks = queue::list(self.coop, &self.files)?;
        let count = |mark: Mark| tasks.iter().filter(|listed| listed.task.mark == mark).count();
        let summary = Summary {
            name: name.clone(),
            agent: self.definition.name.clone(),
            ended,
            rows: std::mem::take(&mut self.rows),
            blocked: count(Mark::Blocked),
            todo: count(Mark::Todo),
            audited: self.options.rounds > 0,
            land: match ended {
                Ended::Drained if self.opened.fork.head != self.opened.fork.base && self.proved()? => self.land.take(),
                _ => None,
            },
        };
        self.record.record.set("Todo", summary.todo.to_string());
        if !summary.audited && summary.rows.iter().any(|row| row.fate == Fate::Done) {
            let foreign = self.record.record.get("Unproved") == Some(FOREIGN);
            self.record.record.set("Unproved", if foreign { FOREIGN } else { UNAUDITED });
        }
        match ended {
            Ended::Drained => {
                let audited = summary.audited;
                let settled = |claim: &Claim| {
                    let marked = tasks.iter().find(|l| l.task.id == claim.id).is_none_or(|l| l.task.mark == Mark::Done);
                    claim.state == ClaimState::Done
                        && claim.record.get("Loop") == Some(name.as_str())
                        && (!audited || claim.record.get("Audit").is_some())
                        && marked
                };
                let claims = Claim::all(&self.coop.repo, &self.coop.env)?;
                claim::archive(&self.store, &claims.into_iter().filter(settled).collect::<Vec<_>>())?;
                let blocked =
                    if summary.blocked > 0 { format!(", {} blocked", summary.blocked) } else { String::new() };
                let done = self.record.record.number("Done");
                self.state(LoopState::Finished, &format!("finished, {done} done{blocked}"))?;
            }
            Ended::Stopped => self.state(LoopState::Stopped, "stopped")?,
            Ended::Parked(until) => {
                self.record.state = LoopState::Parked;
                self.record.record.set("Wake", until.as_second().to_string());
                self.record.record(&self.store, &format!("parked until {until}"), Vec::new())?;
            }
        }
        let event = match ended {
            Ended::Drained => "finished",
            Ended::Stopped => "stopped",
            Ended::Parked(_) => "parked",
        };
        notify::notify(self.coop, event, name.as_str(), &format!("{} done", self.record.record.number("Done")));
        Ok(summary)
    }
}
