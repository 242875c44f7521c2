//! One run in a fork: open or re-enter, let the box work, bring back what it made.

use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};

use crate::error::{Context as _, Kind, Result};
use crate::sandbox::boxes;
use crate::sandbox::io::{Ended, How, Io};
use crate::sandbox::runtime::Usable;
use crate::state::{Fork, ForkName, ForkState};

use super::super::session::{self, Job, Scratch};
use super::super::{Coop, coop, shadows, verify};
use super::finish::{self, Report};
use super::spare;

/// A fork that this process has taken.
pub struct Opened {
    /// The record.
    pub fork: Fork,
    /// Whether it was made just now.
    pub created: bool,
    _lock: super::super::lock::Lock,
}

/// Opens the fork or makes it. Errors: exit 3 where another process is at work on it.
pub fn open(coop: &Coop, usable: &Usable, name: &ForkName, base: Option<&str>) -> Result<Opened> {
    let lock = super::take(coop, name)?;
    if let Some(fork) = Fork::find(&coop.repo, &coop.env, name)? {
        if base.is_some() {
            return Err(crate::Error::usage(format!("fork '{name}' is there already: its base cannot change"))
                .hint(format!("git coop fork {name} --fresh --base REV makes it anew")));
        }
        let mut opened = Opened { fork, created: false, _lock: lock };
        mend(coop, usable, &mut opened.fork)?;
        return Ok(opened);
    }
    let fork = super::create::create(coop, name, base)?;
    Ok(Opened { fork, created: true, _lock: lock })
}

/// A run that was killed: its box is ended and its commits are brought back, before anything new starts.
pub fn mend(coop: &Coop, usable: &Usable, fork: &mut Fork) -> Result<()> {
    if fork.state != ForkState::Working {
        return Ok(());
    }
    eprintln!("note: the last run of '{}' was killed; bringing back what it made", fork.name);
    boxes::stop(usable, &format!("fork:{}", fork.path.display()))?;
    match finish::finish(coop, usable, fork, "brought back after a kill", None) {
        Err(err) if err.kind() == Kind::No => {
            eprint!("{}", err.render()); // recorded; the fork can be entered to look
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// Makes the private git directory anew where the fork's commits were written again on the host: the box's own are the
/// old ones. What the box kept there besides was brought back before.
pub fn renew(coop: &Coop, fork: &mut Fork) -> Result<()> {
    if fork.get("Renew").is_some() {
        super::create::renew(coop, fork)?;
        fork.set("Renew", ""); // with the next event: doing it twice is the same as once
    }
    Ok(())
}

/// Runs `job` in the fork. `who` names it in the events (`claude`, or the command).
pub fn run(coop: &Coop, usable: &Usable, opened: &mut Opened, who: &str, job: Job) -> Result<(Ended, Report)> {
    let terminal = job.terminal;
    run_with(coop, usable, opened, who, job, |log| Ok(session::io(terminal, Some(log), None)))
}

/// As [`run`], with streams that the caller makes of the open log.
pub fn run_with<'a>(
    coop: &Coop,
    usable: &Usable,
    opened: &mut Opened,
    who: &str,
    job: Job,
    io: impl FnOnce(File) -> Result<Io<'a>>,
) -> Result<(Ended, Report)> {
    let id = coop::fresh_id()?;
    let scratch = Scratch::in_dir(coop, &super::own_dir(coop, &opened.fork.name))?;
    let fork = &mut opened.fork;
    renew(coop, fork)?;
    let workspace = super::workspace(coop, fork)?;
    super::hold_off(coop, &fork.path)?;
    unlock(&workspace.private, fork.name.as_str());
    let plan = shadows::plan(coop, &workspace.tree)?;
    let (spec, ready) = session::spec(coop, usable, &workspace, &plan, &id, scratch.path(), job)?;
    let log = File::create(super::log_path(coop, &fork.name)).or_bug("cannot write the log")?;
    let oddities = verify::walk(&workspace.tree);
    fork.state = ForkState::Working;
    fork.set("Box", &id);
    fork.set("Host", coop.host());
    // known before the start where the agent takes an id: after a kill the session can still be resumed
    if let Some(session) = ready.as_ref().and_then(|ready| ready.session.clone()) {
        fork.set("Session", session);
    }
    let store = coop.store()?;
    fork.record(&store, &format!("{who} at work"), Vec::new())?;
    let io = io(log)?;
    let ended = spare::meanwhile(coop, || session::run(usable, &spec, io));
    let (what, exit) = match &ended {
        Ok(ended) => (ending(who, ended), Some(ended.status)),
        Err(err) => (format!("{who} could not start: {}", err.message()), None),
    };
    if let Some(ready) = ready {
        fork.set("Session", ready.finish()?.session.unwrap_or_default());
    }
    let report = finish::finish(coop, usable, fork, &what, exit)?;
    super::super::live::report_new(&oddities, &verify::walk(&workspace.tree));
    Ok((ended?, report))
}

/// Removes lock files that a git left which was killed with its box: no box works here, and the next git would wait for a
/// person. The directory is one that boxes write: no link in it is followed.
fn unlock(private: &Path, branch: &str) {
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock", "config.lock"] {
        let _ = std::fs::remove_file(private.join(name));
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let refs = openat(CWD, private, flags, Mode::empty())
        .and_then(|dir| openat(dir, "refs", flags, Mode::empty()))
        .and_then(|dir| openat(dir, "heads", flags, Mode::empty()));
    if let (Ok(heads), false) = (refs, branch.contains('/')) {
        let _ = unlinkat(heads, format!("{branch}.lock"), AtFlags::empty());
    }
}

fn ending(who: &str, ended: &Ended) -> String {
    match ended.how {
        How::Exited if ended.status == 0 => format!("{who} ended"),
        How::Exited if ended.status > 128 => format!("{who} was killed by signal {}", ended.status - 128),
        How::Exited => format!("{who} ended with exit {}", ended.status),
        How::TimedOut => format!("{who} ran out of time"),
        How::OutputLimit => format!("{who} printed too much and was ended"),
        _ => format!("{who} was stopped"),
    }
}
