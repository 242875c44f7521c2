//! A loop that outlives its terminal: a process of its own session, with its output in a log.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context as _, Error, Kind, Result};
use crate::state::{ForkName, Loop};

use super::super::Coop;
use super::start::Plan;
use super::{Options, owner};

/// How long a loop may take until its record says that it runs: making a large fork takes time.
const MAX_START: Duration = Duration::from_secs(300);

/// The log of a detached loop.
pub fn log_path(coop: &Coop, name: &ForkName) -> Result<PathBuf> {
    Ok(coop.dir("loops")?.join(format!("{name}.log")))
}

/// Starts `program` with `args` as the detached loop `name`, and waits until it is at work or has ended. The new process
/// has to call [`leave_terminal`] first. Gives its process id.
/// Errors: that of the loop where it ended at once.
pub fn start(coop: &Coop, name: &ForkName, program: &std::path::Path, args: &[OsString]) -> Result<u32> {
    let path = log_path(coop, name)?;
    let log = File::create(&path).context(Kind::Usage, format!("cannot write '{}'", path.display()))?;
    let copy = log.try_clone().or_bug("cannot copy a descriptor")?;
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(coop.env.iter())
        .current_dir(&coop.repo.work_tree)
        .stdin(Stdio::null())
        .stdout(Stdio::from(copy))
        .stderr(Stdio::from(log))
        .spawn()
        .context(Kind::Usage, format!("cannot start '{}'", program.display()))?;
    let pid = child.id();
    let end = Instant::now() + MAX_START;
    while Instant::now() < end {
        if let Some(code) = ended(&mut child)? {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            if code == 0 {
                return Ok(pid); // there was nothing to do, or it was quick
            }
            let line = said.lines().rfind(|l| l.starts_with("error: ")).unwrap_or("error: it ended at once");
            let hint = said.lines().rfind(|l| l.starts_with("hint: ")).unwrap_or("hint: git coop fork ls");
            let kind = [Kind::No, Kind::Usage, Kind::Conflict, Kind::Parked, Kind::NoRuntime];
            let kind = kind.into_iter().find(|k| i32::from(k.code()) == code).unwrap_or(Kind::Bug);
            return Err(Error::new(kind, line.trim_start_matches("error: ")).hint(hint.trim_start_matches("hint: ")));
        }
        let record = Loop::find(&coop.repo, &coop.env, name)?;
        if record.as_ref().and_then(|found| owner::of(&found.record)).is_some_and(|owner| owner.pid == pid) {
            return Ok(pid);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Error::conflict(format!("loop '{name}' has not begun after five minutes"))
        .hint(format!("less {}", path.display())))
}

fn ended(child: &mut Child) -> Result<Option<i32>> {
    let status = child.try_wait().or_bug("cannot wait for the loop")?;
    Ok(status.map(|status| status.code().unwrap_or(1)))
}

/// Leaves the terminal's session: a hangup does not reach this process any more.
pub fn leave_terminal() {
    let _ = rustix::process::setsid(); // it fails only for who leads a session already
}

/// The words after `git-coop-loop` that start the loop `plan` as a detached one.
pub fn args(plan: &Plan, options: &Options) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![plan.agent.clone().into(), "--detached".into()];
    let mut add = |flag: &str, value: OsString| words.extend([flag.into(), value]);
    add("--fork", plan.name.as_str().into());
    for file in &plan.files {
        add("--tasks", file.into());
    }
    add("--gate", plan.gate.clone().into());
    add("--rounds", options.rounds.to_string().into());
    for (flag, value) in [
        ("--profile", options.profile.clone()),
        ("--auditor", options.auditor.clone()),
        ("--base", options.base.clone()),
        ("--max-tasks", options.max_tasks.map(|n| n.to_string())),
    ] {
        if let Some(value) = value {
            add(flag, value.into());
        }
    }
    for (flag, given) in [("--no-wait", options.no_wait), ("--land", options.land)] {
        if given {
            words.push(flag.into());
        }
    }
    words
}
