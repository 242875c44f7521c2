//! Landing: lock, scan, rebase in memory, gate in a box, one transaction, and only then the checkout.
//!
//! Before the transaction nothing that a person sees has moved, so a failure or a kill at any point leaves
//! nothing to undo. After it the one thing left is that the checkout follows, which the fork's state names until
//! it is done (`follow`).

mod candidate;
pub mod follow;
mod gate;
mod hostpaths;
mod judge;
pub mod policy;
pub mod queue;
pub mod target;
pub mod undo;

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::{Oid, picks};
use crate::state::event::Event;
use crate::state::notes::{self, Notes};
use crate::state::{Fork, ForkName, ForkState, Store};
use crate::ui::text::count;
use crate::without::without;

use super::Coop;

pub use candidate::{Candidate, Work, build, conflict as conflict_error, work};
pub use gate::{Candidate as GateCandidate, Ran, run as run_gate};
pub use hostpaths::why as host_path;
pub use judge::{Judged, gate_only};
pub(super) use judge::{KEYS as VERDICT_KEYS, judge};
pub use policy::{Finding, Policy};
pub use target::{Target, find as find_target};

/// How often a landing starts again because the branch moved.
const RETRIES: usize = 3;

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Branch; the current one where unset.
    pub into: Option<String>,
    /// Gate command instead of `coop.gate`; empty for none.
    pub gate: Option<String>,
    /// Do not reuse a verdict.
    pub regate: bool,
    /// Findings that are meant, as `KIND:PATH`.
    pub accept: BTreeSet<String>,
    /// Land a fork whose base the target does not have.
    pub from_base: bool,
    /// Drop the fork after it has landed.
    pub drop: bool,
}

impl Options {
    /// The gate's command: the host's configuration and the command line only, never the tree.
    pub fn gate(&self, coop: &Coop) -> Option<String> {
        let command = self.gate.as_deref().or_else(|| coop.settings.get("COOP_GATE")).unwrap_or_default().trim();
        (!command.is_empty()).then(|| command.to_owned())
    }
}

/// Questions to a person. Without one, everything has to be said on the command line.
pub trait Ask {
    /// Whether to land, given a sentence. Errors: exit 2 where nobody can be asked.
    fn land(&mut self, question: &str) -> Result<bool>;
    /// Whether a finding is meant; `false` where nobody can be asked.
    fn accept(&mut self, finding: &Finding) -> Result<bool>;
    /// Whether to drop the fork that has landed; `false` where nobody can be asked.
    fn drop(&mut self, question: &str) -> Result<bool>;
}

/// What a landing came to.
#[derive(Debug)]
pub struct Landed {
    /// The fork.
    pub fork: ForkName,
    /// The branch, short.
    pub target: String,
    /// The branch before.
    pub onto: Oid,
    /// The branch after.
    pub tip: Oid,
    /// The tree of `tip`.
    pub tree: Oid,
    /// Commits that landed.
    pub commits: usize,
    /// Commits that became empty, because the branch had their changes.
    pub skipped: usize,
    /// The gate, where there is one.
    pub gate: Option<Judged>,
    /// Findings that were accepted.
    pub accepted: Vec<String>,
    /// Why the checkout did not follow, where it should have.
    pub behind: Option<String>,
    /// Whether the fork was dropped.
    pub dropped: bool,
}

/// Ends the process where a test says so, to see what is left. It can do nothing else.
pub(super) fn test_abort(coop: &Coop, step: &str) {
    if coop.env.str("COOP_TEST_ABORT_AT") == Some(step) {
        std::process::abort();
    }
}

/// Lands one fork.
pub fn land(coop: &Coop, name: &ForkName, options: &Options, ask: &mut dyn Ask) -> Result<Landed> {
    let lock = super::fork::take(coop, name)?;
    let known = follow::pending(coop)?.into_iter().find(|fork| fork.name == *name);
    let mut fork = match known {
        Some(fork) => fork,
        None => Fork::load(&coop.repo, &coop.env, name)?,
    };
    match fork.state {
        ForkState::Working => super::fork::work::mend(coop, &coop.runtime()?, &mut fork)?,
        ForkState::Landing => eprintln!("note: the last landing of '{name}' was interrupted before anything moved"),
        _ => {}
    }
    let store = coop.store()?;
    store.prepare(&format!("coop: land {name}"))?;
    let before = match fork.state {
        ForkState::Landing => ForkState::Review,
        state => state,
    };
    let mut landing =
        Landing { coop, store: &store, fork, options, before, policy: Policy::new(coop)?, accepted: Vec::new() };
    let result = landing.run(ask);
    if result.is_err() && landing.fork.state == ForkState::Landing {
        landing.fork.state = landing.before;
        // best effort: a state that stays "landing" without a process is named by the next command
        let _ = landing.fork.record(&store, "not landed", Vec::new());
    }
    let (fork, mut landed) = (landing.fork, result?);
    landed.gate.as_mut().map(|gate| gate.leaving.take()); // before the lock goes
    if landed.behind.is_none() && (options.drop || ask.drop(&format!("Drop the fork '{name}', which has landed?"))?) {
        drop_landed(coop, &fork, &mut landed);
    }
    drop(lock);
    Ok(landed)
}

fn drop_landed(coop: &Coop, fork: &Fork, landed: &mut Landed) {
    let dropped = super::fork::remove::guard(coop, fork).and_then(|()| super::fork::remove::drop_fork(coop, fork));
    match dropped {
        Ok(()) => landed.dropped = true,
        Err(err) => eprint!("note: the fork stays\n{}", err.render()),
    }
}

struct Landing<'a> {
    coop: &'a Coop,
    store: &'a Store<'a>,
    fork: Fork,
    options: &'a Options,
    before: ForkState,
    policy: Policy<'a>,
    accepted: Vec<String>,
}

impl Landing<'_> {
    fn run(&mut self, ask: &mut dyn Ask) -> Result<Landed> {
        let mut asked = false;
        for attempt in 0..=RETRIES {
            let target = target::find(self.coop, self.options.into.as_deref())?;
            target::clean(self.coop, &target)?;
            let onto = target.branch.tip.clone();
            let work = candidate::work(self.coop, &self.fork, &onto, target.short(), self.options.from_base)?;
            self.judge_policy(&work.picks, ask)?;
            test_abort(self.coop, "scanned");
            let built = candidate::build(self.coop, &work, &onto, self.store.ident(), self.coop.shape.sign)
                .map_err(|err| candidate::damaged(&self.fork, err))?;
            let candidate = built.map_err(|c| candidate::conflict(self.coop, &self.fork, target.short(), &c))?;
            let commits = candidate.commits();
            if commits.is_empty() {
                return Err(Error::no(format!(
                    "fork '{}' has nothing to land: {} has all of it",
                    self.fork.name,
                    target.short()
                ))
                .hint(format!("git coop fork rm {}", self.fork.name)));
            }
            // a merge may have made content that is in neither side
            let fresh: Vec<Oid> = commits.iter().filter(|c| !work.picks.contains(c)).cloned().collect();
            self.judge_policy(&fresh, ask)?;
            test_abort(self.coop, "rebased");
            target::room(self.coop, &target, &candidate.tip)?;
            if !asked {
                self.question(&target, &candidate, ask)?;
                asked = true;
            }
            let gate = match self.options.gate(self.coop) {
                Some(command) => Some(self.gate(&target, &candidate, &command)?),
                None => None,
            };
            if let Some(red) = gate.as_ref().filter(|g| !g.passed) {
                return Err(judge::red(&self.fork, red));
            }
            test_abort(self.coop, "gated");
            match self.transaction(&target, &candidate, gate.as_ref())? {
                Outcome::Done => return self.afterwards(target, candidate, gate),
                Outcome::Lost if attempt < RETRIES => {
                    eprintln!("note: {} moved meanwhile; rebasing again", target.short());
                }
                Outcome::Lost => {}
            }
        }
        Err(Error::conflict(format!(
            "the branch moved {} times while fork '{}' was landing",
            RETRIES + 1,
            self.fork.name
        ))
        .hint(format!("git coop merge {}", self.fork.name)))
    }

    /// The gate takes its time, so the record says first what is under way. Without a gate the transaction itself is
    /// the first thing that shows, and nothing can be left half done.
    fn gate(&mut self, target: &Target, candidate: &Candidate, command: &str) -> Result<Judged> {
        if self.fork.state != ForkState::Landing {
            self.fork.state = ForkState::Landing;
            let commits = count(candidate.commits().len(), "commit");
            self.fork.record(self.store, &format!("landing {commits} on {}", target.short()), Vec::new())?;
            test_abort(self.coop, "landing");
        }
        judge::judge(self.coop, self.store, &mut self.fork, candidate, command, self.options.regate)
    }

    fn judge_policy(&mut self, commits: &[Oid], ask: &mut dyn Ask) -> Result<()> {
        let mut open = Vec::new();
        let found = self.policy.check(commits).map_err(|err| candidate::damaged(&self.fork, err))?;
        for finding in found {
            if self.options.accept.contains(&finding.key()) || ask.accept(&finding)? {
                if !self.accepted.contains(&finding.key()) {
                    self.accepted.push(finding.key());
                }
            } else {
                open.push(finding);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<String> = open.iter().map(Finding::key).collect();
        keys.dedup();
        for finding in &open {
            eprintln!("{}", finding.shown());
        }
        let mut err = Error::no(format!(
            "fork '{}' brings {} that somebody has to mean",
            self.fork.name,
            count(open.len(), "thing")
        ))
        .hint(format!("git coop review {} shows them", self.fork.name));
        let words: Vec<String> = keys.iter().take(8).map(|key| format!("--accept {}", quoted(key))).collect();
        err = err.hint(format!("git coop merge {} {}", self.fork.name, words.join(" ")));
        Err(err)
    }

    /// One sentence that says what will happen, and what was not reviewed.
    fn question(&self, target: &Target, candidate: &Candidate, ask: &mut dyn Ask) -> Result<()> {
        let fork = &self.fork;
        if let Some(reviewed) = fork.get("Reviewed").and_then(|oid| Oid::parse(oid).ok())
            && reviewed != fork.head
        {
            let forward = picks::is_ancestor(&self.coop.repo, &self.coop.env, &reviewed, &fork.head).unwrap_or(false);
            let how = if forward { "has gone on" } else { "was rewritten" };
            eprintln!("note: '{}' {how} since you reviewed {}; what is new:", fork.name, reviewed.short());
            eprint!("{}", super::review::stat(self.coop, &reviewed, &fork.head)?);
        }
        let commits = count(candidate.commits().len(), "commit");
        let question = format!("Land {commits} of '{}' on {}?", fork.name, target.short());
        if ask.land(&question)? {
            return Ok(());
        }
        Err(Error::no("not landed").hint(format!("git coop review {}", fork.name)))
    }

    /// The branch, the fork's record and the notes move in one step, or nothing does.
    fn transaction(&mut self, target: &Target, candidate: &Candidate, gate: Option<&Judged>) -> Result<Outcome> {
        let (repo, env) = (&self.coop.repo, &self.coop.env);
        let fork = self.landed(target, candidate, gate);
        let commits = candidate.commits();
        let what = count(commits.len(), "commit");
        let mut event: Event = fork.event(&format!("landed {what} on {} as {}", target.short(), candidate.tip.short()));
        let list = candidate.picks.iter().filter_map(|p| Some(format!("{} {}\n", p.new.as_ref()?, p.old)));
        event.files.insert("landed".into(), list.collect::<String>().into_bytes());
        let tip = self.store.write(&event, fork.tip.as_ref())?;
        let subject = format!("coop: land {}", fork.name);
        let sets = self.notes(candidate, gate);
        let mut locked = Vec::new();
        for _ in 0..=RETRIES {
            let old = match without("landing-old-value") {
                true => Old::from(refs::read(repo, env, &target.branch.name)?),
                false => Old::Is(candidate.onto.clone()),
            };
            // the record comes first: where git itself is killed between two refs, the next command knows (`follow`)
            let mut edits = vec![
                Edit::set(fork.name.meta_ref(), Old::from(fork.tip.clone()), tip.clone()),
                Edit::set(&target.branch.name, old, candidate.tip.clone()),
            ];
            match notes::edits(repo, env, self.store.ident(), &sets) {
                Ok(more) => edits.extend(more),
                // they are a display of what the record says
                Err(err) => eprint!("note: the notes are not written\n{}", err.render()),
            }
            test_abort(self.coop, "before-transaction");
            let outcome = self.store.transaction(&subject, &edits)?;
            test_abort(self.coop, "after-transaction");
            if outcome == Outcome::Done {
                self.fork = Fork { tip: Some(tip), updated: crate::time::now(env), ..fork };
                return Ok(Outcome::Done);
            }
            if refs::read(repo, env, &fork.name.meta_ref())? != self.fork.tip {
                return Err(Error::conflict(format!("fork '{}' was changed by somebody else meanwhile", fork.name))
                    .hint("git coop fork ls"));
            }
            if refs::read(repo, env, &target.branch.name)?.as_ref() != Some(&candidate.onto) {
                return Ok(Outcome::Lost);
            }
            // only the notes moved, or somebody held a lock for a moment
            let names: Vec<&str> = edits.iter().map(|edit| edit.name.as_str()).collect();
            locked = refs::locks(repo, &names);
        }
        match locked.first() {
            Some(lock) => {
                Err(Error::conflict(format!("'{}' is in the way: another git holds it, or was killed", lock.display()))
                    .hint(format!("if no git runs in this repository: rm '{}'", lock.display())))
            }
            None => Ok(Outcome::Lost),
        }
    }

    /// The record of the fork once it has landed.
    fn landed(&self, target: &Target, candidate: &Candidate, gate: Option<&Judged>) -> Fork {
        let mut fork = self.fork.clone();
        fork.state = ForkState::Landed;
        fork.set("Target", target.short());
        fork.set("Onto", candidate.onto.as_str());
        fork.set("Landed", candidate.tip.as_str());
        fork.set("Tree", candidate.tree.as_str());
        if gate.is_none() {
            for key in judge::KEYS {
                fork.set(key, "");
            }
        }
        fork.set("Accepted", self.accepted.join(" "));
        follow::promise(self.coop, &mut fork, target, &candidate.onto, &candidate.tip);
        fork
    }

    fn notes(&self, candidate: &Candidate, gate: Option<&Judged>) -> [Notes; 2] {
        let gate_line = judge::note(&self.fork, gate, candidate);
        let scan_line = match self.accepted.as_slice() {
            [] => format!("clean: {}, fork {}", count(self.policy.blobs, "blob"), self.fork.name),
            accepted => format!("accepted by hand: {}", accepted.join(" ")),
        };
        let all = |line: &str| candidate.commits().into_iter().map(|c| (c, line.to_owned())).collect();
        [Notes { kind: "gate", lines: all(&gate_line) }, Notes { kind: "scan", lines: all(&scan_line) }]
    }

    /// The branch has moved: the checkout follows, and the record says so. Nothing here can take the landing back.
    fn afterwards(&mut self, target: Target, candidate: Candidate, gate: Option<Judged>) -> Result<Landed> {
        let coop = self.coop;
        let behind = if target.here { follow::follow(coop, &candidate.onto, &candidate.tip)?.err() } else { None };
        test_abort(coop, "followed");
        if target.here && behind.is_none() {
            let mut fork = self.fork.clone();
            follow::keep(&mut fork);
            match fork.record(self.store, "checkout follows", Vec::new()) {
                Ok(()) => self.fork = fork,
                // the next command sees that it has
                Err(err) => eprint!("note: landed, but that is not recorded yet\n{}", err.render()),
            }
        }
        let commits = candidate.commits().len();
        Ok(Landed {
            fork: self.fork.name.clone(),
            target: target.short().to_owned(),
            onto: candidate.onto.clone(),
            tip: candidate.tip.clone(),
            tree: candidate.tree.clone(),
            commits,
            skipped: candidate.picks.len() - commits,
            gate,
            accepted: self.accepted.clone(),
            behind,
            dropped: false,
        })
    }
}

/// A word for a shell, quoted where it has to be.
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@,+".contains(&b);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
