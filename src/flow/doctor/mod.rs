//! `git coop doctor`: attacks the box that would really be used, and tells what held.
//!
//! Guarantees: the boxes go through the same functions as every other run (`live::run`, `fork::work::run`), with
//! the user's runtime, image, user, limits and egress; only the repository is a sample, in a temporary directory.
//! A check that did not report is a failure.

mod advice;
mod host;
mod sample;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;

use crate::agent::{Registry, locate};
use crate::env::Env;
use crate::error::{Kind, Result};
use crate::sandbox::runtime::Usable;
use crate::sandbox::spec::{Mount, Runtime};
use crate::settings::{self, Settings};
use crate::state::ForkName;

use super::session::{Job, Program};
use super::{Coop, fork, live, session};
use host::Listeners;
use sample::Sample;

/// What came out of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The promise holds.
    Ok,
    /// Something worth knowing that breaks no promise.
    Note,
    /// It does not hold.
    Bad,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// A stable name.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// One line, printable.
    pub detail: String,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Runtime that was attacked.
    pub runtime: String,
    /// Image of its boxes; none under bubblewrap.
    pub image: Option<String>,
    /// The checks in the order they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether a promise is broken.
    pub fn is_bad(&self) -> bool {
        self.checks.iter().any(|check| check.verdict == Verdict::Bad)
    }
}

/// What the box on the live checkout, the limited one and the one of a fork must report.
const INSIDE: &[&str] = &[
    "secrets-unreadable",
    "shadows-hold",
    "secrets-nowhere",
    "secrets-unwritable",
    "environment",
    "templates",
    "sources",
    "home",
    "other-repositories",
    "sockets",
    "user",
    "capabilities",
    "no-new-privileges",
    "seccomp",
    "system",
    "processes",
    "objects",
    "git-works",
    "network",
];
const LIMITED: &[&str] = &["memory-of-secrets", "memory", "processes-limit"];
const FORKED: &[&str] = &["fork-secrets", "fork-push", "fork-objects", "fork-sources"];

/// Memory of the box whose memory is tried, where the user set no limit (bytes).
const TRIED_MEMORY: u64 = 128 << 20;
/// No report is longer (bytes).
const LONGEST: u64 = 256 << 10;

/// Attacks the box of `user`'s repository (or, outside of a repository, of any) and tells each check as it is known.
/// Errors, not checks: no runtime or no image (exit 5), a sample repository that cannot be made.
pub fn run(env: &Env, settings: &Settings, user: Option<&Coop>, tell: &mut dyn FnMut(&Check)) -> Result<Report> {
    let mut sample = Sample::new(env, settings.clone(), user)?;
    let usable = sample.coop.runtime()?;
    let image = session::image(user.unwrap_or(&sample.coop), &usable)?;
    if let Some(image) = &image {
        sample.coop.settings.set("COOP_IMAGE", image)?;
    }
    let mut doctor = Doctor { sample, usable, tell, checks: Vec::new() };
    for reason in doctor.usable.passed_over.clone() {
        doctor.note("runtime", reason);
    }
    doctor.attack()?;
    doctor.limits()?;
    doctor.fork()?;
    doctor.agents(env)?;
    for (name, detail) in user.map(advice::of).transpose()?.into_iter().flatten() {
        doctor.note(name, detail);
    }
    Ok(Report { runtime: doctor.usable.runtime.name().to_owned(), image, checks: doctor.checks })
}

struct Doctor<'a> {
    sample: Sample,
    usable: Usable,
    tell: &'a mut dyn FnMut(&Check),
    checks: Vec<Check>,
}

impl Doctor<'_> {
    fn add(&mut self, name: &str, verdict: Verdict, detail: impl AsRef<str>) {
        let detail = crate::ui::text::printable(detail.as_ref().trim());
        let check = Check { name: name.to_owned(), verdict, detail };
        (self.tell)(&check);
        self.checks.push(check);
    }
    fn note(&mut self, name: &str, detail: impl AsRef<str>) {
        self.add(name, Verdict::Note, detail);
    }
    /// `problem` empty is fine, and then `detail` says what was tried.
    fn judge(&mut self, name: &str, problem: Option<String>, detail: &str) {
        match problem {
            Some(problem) => self.add(name, Verdict::Bad, problem),
            None => self.add(name, Verdict::Ok, detail),
        }
    }

    /// The box on the live checkout.
    fn attack(&mut self) -> Result<()> {
        let listeners = Listeners::open()?;
        let args = self.sample.attack_args(&listeners);
        match self.live(include_str!("attack.sh"), args) {
            // the box was ended because a secret on the host was replaced, or its commits were refused
            Err(err) if matches!(err.kind(), Kind::Conflict | Kind::No) => self.add("box", Verdict::Bad, err.message()),
            ended => ended?,
        }
        self.collect(&self.sample.coop.repo.work_tree.clone(), INSIDE)?;
        let (loopback, everywhere) = listeners.close();
        let reached = loopback.then(|| "a service on this machine's loopback was reached from the box".to_owned());
        self.judge("host-loopback", reached, "services on this machine's loopback are out of reach");
        if everywhere {
            let name = self.usable.runtime.name();
            self.note(
                "host-services",
                format!("{name}'s network reaches services of this machine that listen on all addresses; COOP_EGRESS=none does not"),
            );
        }
        let changed = self.sample.changed_secrets();
        self.judge("secrets-intact", changed, "the secrets on this machine are as they were");
        let touched = self.sample.touched_git();
        self.judge(
            "git-directory",
            touched,
            "hooks and configuration that the box planted did not reach the repository",
        );
        let missing = self.sample.missing_commit()?;
        self.judge("commits-return", missing, "the box's commit came back to the branch, with you as its author");
        Ok(())
    }

    /// A second box, with a limit of memory; it also finds what the first did to `.coopignore`.
    fn limits(&mut self) -> Result<()> {
        let set = self.sample.coop.settings.get("COOP_MEMORY").and_then(settings::bytes);
        let limit = set.map_or(TRIED_MEMORY, |bytes| bytes.min(TRIED_MEMORY));
        let before = self.sample.coop.settings.clone();
        self.sample.coop.settings.set("COOP_MEMORY", &limit.to_string())?;
        let pids = self.sample.coop.limits().pids;
        let args = [pids.to_string(), (limit * 3).to_string()].map(OsString::from);
        let ended = self.live(include_str!("limits.sh"), args.to_vec());
        self.sample.coop.settings = before;
        ended?;
        self.collect(&self.sample.coop.repo.work_tree.clone(), LIMITED)?;
        Ok(())
    }

    /// The box of a fork.
    fn fork(&mut self) -> Result<()> {
        let name = ForkName::parse("doctor")?;
        let job = script(include_str!("fork.sh"), self.sample.fork_args());
        let coop = &self.sample.coop;
        let mut opened = fork::work::open(coop, &self.usable, &name, Some("HEAD"))?;
        let path = opened.fork.path.clone();
        fork::work::run(coop, &self.usable, &mut opened, "doctor", job)?;
        drop(opened);
        let collected = self.collect(&path, FORKED);
        fork::remove::remove(&self.sample.coop, &name, true)?;
        collected
    }

    fn live(&mut self, text: &'static str, args: Vec<OsString>) -> Result<()> {
        live::run(&self.sample.coop, script(text, args)).map(|_| ())
    }

    /// Takes the report that a script left in `dir`: every name of `wanted` must be there.
    fn collect(&mut self, dir: &Path, wanted: &[&str]) -> Result<()> {
        let mut lines = self.report(dir)?;
        for name in wanted {
            match lines.remove(*name) {
                Some((verdict, detail)) if verdict == "ok" => self.add(name, Verdict::Ok, detail),
                Some((verdict, detail)) if verdict == "note" => self.add(name, Verdict::Note, detail),
                Some((_, detail)) => self.add(name, Verdict::Bad, detail),
                None => self.add(name, Verdict::Bad, "the box did not report it"),
            }
        }
        Ok(())
    }

    /// `name TAB verdict TAB detail` lines of the report in `dir`, which is removed.
    fn report(&self, dir: &Path) -> Result<BTreeMap<String, (String, String)>> {
        let path = dir.join("doctor-report");
        let text = host::read(&path, LONGEST)?;
        let _ = std::fs::remove_file(&path); // the next box writes a new one
        let text = String::from_utf8_lossy(&text).into_owned();
        let split = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            Some((parts.next()?, (parts.next()?, parts.next()?)))
        };
        Ok(text.lines().filter_map(split).collect())
    }

    /// Versions of the agents' CLIs, in one box; what is not installed is not worth a line each.
    fn agents(&mut self, env: &Env) -> Result<()> {
        let registry = Registry::load(&env.config_dir())?;
        let mut job = script(VERSIONS, Vec::new());
        let Program::Command(command) = &mut job.program else { return Ok(()) };
        for agent in registry.iter() {
            let mut program = OsString::from(agent.program());
            if self.usable.runtime == Runtime::Bwrap {
                let Ok(found) = locate::locate(agent, env) else { continue };
                let new = found.mounts.iter().map(|path| Mount::ro(path, path));
                job.mounts.extend(new.filter(|mount| !job.mounts.contains(mount)).collect::<Vec<_>>());
                job.path_prefix.extend(found.path_prefix);
                program = found.program.into_os_string();
            }
            command.extend([OsString::from(&agent.name), program]);
        }
        live::run(&self.sample.coop, job)?;
        let versions = self.report(&self.sample.coop.repo.work_tree)?;
        for agent in registry.iter() {
            if let Some((_, version)) = versions.get(&agent.name) {
                self.add(&format!("agent-{}", agent.name), Verdict::Ok, version);
            }
        }
        let missing: Vec<&str> = registry.names().filter(|name| !versions.contains_key(*name)).collect();
        if !missing.is_empty() {
            let place = if self.usable.runtime == Runtime::Bwrap { "on this machine" } else { "in the image" };
            self.note("agents-missing", format!("not {place}: {}", missing.join(", ")));
        }
        Ok(())
    }
}

/// Prints the versions of pairs of name and program to the report.
const VERSIONS: &str = r#": >doctor-report
while [ $# -gt 1 ]; do
    if command -v "$2" >/dev/null; then
        version=$("$2" --version </dev/null 2>/dev/null | head -n 1)
        printf '%s\tok\t%s\n' "$1" "${version:-is there, but does not print its version}" >>doctor-report
    fi
    shift 2
done"#;

fn script(text: &'static str, args: Vec<OsString>) -> Job {
    let mut command: Vec<OsString> = vec!["sh".into(), "-c".into(), text.into(), "doctor".into()];
    command.extend(args);
    Job { purpose: "doctor", program: Program::Command(command), ..Job::default() }
}
