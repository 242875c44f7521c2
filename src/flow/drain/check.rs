//! What came back, judged from git alone: commits, what they change, what the scan finds, and what the gate says of the
//! exact tree. Nothing that the agent printed, wrote into the list of tasks or exited with is looked at.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::git::bind::{self, Bound};
use crate::git::diff::{self, Change};
use crate::git::objects::Reader;
use crate::git::{Oid, picks};
use crate::sandbox::runtime::Usable;
use crate::state::{Fork, Store};
use crate::task::Task;
use crate::task::protect::{self, Role};
use crate::ui::text::{count, printable_bytes, printable_lines};
use crate::without::without;

use super::super::land::{self, Candidate, Finding, GateCandidate, Judged, Policy};
use super::super::{Coop, fork};

/// More commits than this are no task.
const MAX_COMMITS: usize = 500;
/// Lines of a red gate's log that the next attempt is told.
const TOLD: usize = 40;

/// What the host says of an attempt.
pub enum Verdict {
    /// It holds.
    Good(Box<Good>),
    /// It does not.
    Bad(Bad),
}

/// Work that holds.
pub struct Good {
    /// The commits, bound to the task.
    pub bound: Bound,
    /// The gate on the tree of the last one.
    pub gate: Judged,
}

/// Why it does not hold.
pub struct Bad {
    /// For the next attempt, and for the person.
    pub why: String,
    /// Whether the next attempt goes on with what is there, or begins at what was accepted last.
    pub keep: bool,
    /// What the gate printed, where it ran.
    pub log: Option<Vec<u8>>,
}

impl Bad {
    fn new(why: impl Into<String>, keep: bool) -> Bad {
        Bad { why: why.into(), keep, log: None }
    }
}

/// What is needed to judge.
pub struct Case<'a> {
    /// Where.
    pub coop: &'a Coop,
    /// What holds boxes.
    pub usable: &'a Usable,
    /// Writes verdicts.
    pub store: &'a Store<'a>,
    /// What was asked for.
    pub task: &'a Task,
    /// What was accepted last.
    pub accepted: &'a Oid,
    /// The gate's command, of the host.
    pub gate: &'a str,
    /// Queue files, relative to the repository: they stay as they were.
    pub queues: &'a [Vec<u8>],
}

impl Case<'_> {
    /// Judges what is at the head of `fork`. Errors: exit 2 where the gate does not exist, exit 3 where it was
    /// interrupted, and failures of the system.
    pub fn judge(&self, fork: &mut Fork) -> Result<Verdict> {
        match self.commits(fork)? {
            Err(bad) => Ok(Verdict::Bad(bad)),
            Ok(bound) => self.gated(fork, bound),
        }
    }

    fn commits(&self, fork: &Fork) -> Result<Result<Bound, Bad>> {
        let (repo, env) = (&self.coop.repo, &self.coop.env);
        let bad = |why: String, keep| Ok(Err(Bad::new(why, keep)));
        if let Some(problem) = fork.get("Problem") {
            return bad(problem.to_owned(), false);
        }
        if fork.head == *self.accepted {
            return match fork.get("Uncommitted") {
                Some(n) => bad(format!("nothing was committed; {n} changed paths are not"), true),
                None => bad("nothing was committed".into(), true),
            };
        }
        if !picks::is_ancestor(repo, env, self.accepted, &fork.head)? && !without("loop-base") {
            return bad("commits that were accepted before are gone from the branch".into(), false);
        }
        let range = picks::range(repo, env, &fork.head, self.accepted, self.accepted)?;
        if range.len() > MAX_COMMITS {
            return bad(format!("{} commits for one task", range.len()), false);
        }
        let trailer = ("Coop-Task", self.task.id.as_str());
        let queues = if without("loop-queue") { &[] } else { self.queues };
        let bound = bind::bind(repo, self.accepted, &fork.head, &range, trailer, queues, self.store.ident())?;
        if bound.commits.is_empty() {
            return bad("the commits change nothing but the list of tasks, which is not yours".into(), false);
        }
        let mut policy = Policy::new(self.coop)?;
        let findings: Vec<Finding> = policy
            .check(&bound.commits)?
            .into_iter()
            // what runs on a host by itself is asked about at the landing, where the task meant it
            .filter(|f| f.kind != land::policy::Kind::Host || !self.names(&f.path))
            .collect();
        if !findings.is_empty() && !without("loop-scan") {
            let mut shown: Vec<String> = findings.iter().map(Finding::shown).collect();
            let more = shown.len().saturating_sub(10);
            shown.truncate(10);
            if more > 0 {
                shown.push(format!("and {more} more"));
            }
            return bad(format!("the scan found what must not be committed:\n{}", shown.join("\n")), false);
        }
        Ok(Ok(bound))
    }

    fn names(&self, path: &[u8]) -> bool {
        protect::named(&self.task.text(), &String::from_utf8_lossy(path))
    }

    fn gated(&self, fork: &mut Fork, bound: Bound) -> Result<Verdict> {
        let changes = diff::between(&self.coop.repo, self.accepted, &bound.tip)?;
        if changes.is_empty() && !without("loop-change") {
            return Ok(Verdict::Bad(Bad::new("the commits together change nothing", true)));
        }
        let candidate = Candidate {
            tip: bound.tip.clone(),
            tree: bound.tree.clone(),
            onto: self.accepted.clone(),
            picks: Vec::new(),
        };
        let gate = match land::judge(self.coop, self.store, fork, &candidate, self.gate, true) {
            Ok(gate) => gate,
            Err(err) if matches!(err.kind(), Kind::Usage | Kind::No) => return self.no_gate(fork, err),
            Err(err) => return Err(err),
        };
        if !gate.passed && !without("loop-gate") {
            let why = format!("the gate is red ({}); the end of its log:\n{}", gate.how, end_of(&gate.log));
            return Ok(Verdict::Bad(Bad { why, keep: true, log: Some(gate.log) }));
        }
        let guarded = self.guarded(&changes)?;
        if !guarded.is_empty() && !without("loop-guard") {
            let shown: Vec<String> = guarded.iter().take(10).map(|path| printable_bytes(path)).collect();
            let shown = shown.join(", ");
            let tip = bind::with_paths_of(&self.coop.repo, self.accepted, &bound.tip, &guarded, self.store.ident())?;
            let ran = self.run_gate(fork, &tip);
            let (passed, how, log) = match ran {
                Ok(ran) => (ran.passed, ran.how, ran.log),
                Err(err) if matches!(err.kind(), Kind::Usage | Kind::No) => {
                    (false, err.message().to_owned(), Vec::new())
                }
                Err(err) => return Err(err),
            };
            if !passed {
                let why = format!(
                    "the gate passes only because {shown} changed: with what was there before it is red ({how}). A task \
                     that means such a change names the file. The end of its log:\n{}",
                    end_of(&log)
                );
                return Ok(Verdict::Bad(Bad { why, keep: false, log: Some(log) }));
            }
            eprintln!("note: {shown} changed; the gate passes with what was there before as well");
        }
        Ok(Verdict::Good(Box::new(Good { bound, gate })))
    }

    /// The gate's program was not found: the agent's doing, or the user's?
    fn no_gate(&self, fork: &Fork, err: Error) -> Result<Verdict> {
        let before = self.run_gate(fork, self.accepted);
        match before {
            Err(same) if same.kind() == Kind::Usage => Err(same),
            Err(same) if same.kind() != Kind::No => Err(same),
            _ => Ok(Verdict::Bad(Bad::new(err.message().to_owned(), false))),
        }
    }

    fn run_gate(&self, fork: &Fork, commit: &Oid) -> Result<land::Ran> {
        let label = format!("fork:{}", fork.path.display());
        let base = Oid::parse(fork.get("Seed").unwrap_or(fork.base.as_str()))?;
        let own = fork::own_dir(self.coop, &fork.name);
        let candidate = GateCandidate { commit, base: &base, label: &label, own: &own };
        land::run_gate(self.coop, self.usable, &candidate, self.gate)
    }

    /// Changed files that hold the gate up and that the task does not name.
    fn guarded(&self, changes: &[Change]) -> Result<Vec<Vec<u8>>> {
        let reader = Reader::open(&self.coop.repo)?;
        let mut out = BTreeMap::new();
        for change in changes {
            let path = String::from_utf8_lossy(&change.path).into_owned();
            let wanted = match protect::role(&path, self.gate) {
                None => false,
                Some(Role::Gate) => true,
                Some(Role::Test) => change.old.is_some(),
                Some(Role::Manifest) => match (&change.old, &change.new) {
                    (Some(old), Some(new)) => {
                        protect::manifest_changed(&path, &reader.bytes(&old.id)?, &reader.bytes(&new.id)?)
                    }
                    (Some(_), None) => true,
                    (None, _) => false,
                },
            };
            if wanted && !self.names(&change.path) {
                out.insert(change.path.clone(), ());
            }
        }
        Ok(out.into_keys().collect())
    }
}

/// The end of a log, as an agent and a person may read it.
fn end_of(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log).replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TOLD)..];
    let cut = |line: &&str| printable_lines(line).chars().take(400).collect::<String>();
    if tail.is_empty() { count(0, "line") } else { tail.iter().map(cut).collect::<Vec<_>>().join("\n") }
}
