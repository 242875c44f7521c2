//! Moving on: a task is done, tried again, blocked or given back. Each is one transaction over the fork, the claim and the
//! loop; the marker in the file follows, and where it does not (a kill, a full disk), the next loop puts it right.

use std::io::{Read as _, Seek as _, SeekFrom};

use crate::error::{Error, Kind, Result};
use crate::git::refs::{self, Edit, Old};
use crate::git::{Oid, worktree};
use crate::state::{Claim, ClaimState, ForkState, event::Event};
use crate::task::Mark;
use crate::ui::text::count;

use super::super::fork;
use super::check::{Bad, Good};
use super::queue::{self, Listed};
use super::{Drain, Totals};

/// What is kept of an agent's output in an event: beginning and end (bytes).
const HEAD: u64 = 64 << 10;
const TAIL: u64 = 256 << 10;

/// The most of a reason that is one line of a record (characters).
const LINE: usize = 300;

impl Drain<'_> {
    /// The work holds: the commits are the task's now, and the fork's head.
    pub(super) fn accept(&mut self, listed: &Listed, mut claim: Claim, good: &Good, totals: &Totals) -> Result<Claim> {
        let commits = &good.bound.commits;
        claim.state = ClaimState::Done;
        claim.record.set("Reason", "");
        let ids: Vec<&str> = commits.iter().map(Oid::as_str).collect();
        claim.record.set("Commits", ids.join(" "));
        claim.record.set("Tree", good.bound.tree.as_str());
        claim.record.set("Base", self.accepted.as_str());
        claim.record.set("Gate-Event", good.gate.event.as_str());
        let what = format!("done in {}", count(commits.len(), "commit"));
        let mut edits = Vec::new();
        let fork = &mut self.opened.fork;
        let (old, new) = (fork.head.clone(), good.bound.tip.clone());
        if old != new {
            edits.push(Edit::set(fork.name.head_ref(), Old::Is(old.clone()), new.clone()));
        }
        self.record.record.set("Head", new.as_str());
        self.record.record.set("Done", (self.record.record.number("Done") + 1).to_string());
        self.use_up(totals);
        let subject = format!("task {} done: {}", listed.task.id, listed.task.title);
        self.opened.fork.head = new.clone();
        self.opened.fork.set("Renew", "1");
        self.opened.fork.set("Ahead", (self.ahead + commits.len()).to_string());
        let claim = self.move_all(claim, &what, subject, Some(&good.gate.log), edits)?;
        self.ahead += commits.len();
        self.follow(&old, &new)?;
        self.accepted = new;
        queue::try_marked(self.coop, listed, &[Mark::Todo, Mark::Claimed], Mark::Done)?;
        Ok(claim)
    }

    /// The attempt failed, and there will be another.
    pub(super) fn again(&mut self, listed: &Listed, mut claim: Claim, bad: &Bad, attempt: u64) -> Result<Claim> {
        claim.record.set("Attempt", (attempt + 1).to_string());
        claim.record.set("Reason", line(&bad.why));
        self.opened.fork.set("Exit", ""); // this run is judged: a killed loop does not judge it again
        let edits = if bad.keep { Vec::new() } else { self.put_back(&listed.task.id)? };
        self.record.record.set("Attempt", (attempt + 1).to_string());
        let subject = format!("task {} attempt {attempt} failed: {}", listed.task.id, line(&bad.why));
        let what = format!("attempt {attempt} failed: {}", line(&bad.why));
        self.move_all(claim, &what, subject, bad.log.as_deref(), edits)
    }

    /// A person has to look.
    pub(super) fn block(&mut self, listed: &Listed, mut claim: Claim, bad: &Bad, totals: &Totals) -> Result<()> {
        claim.state = ClaimState::Blocked;
        claim.record.set("Reason", line(&bad.why));
        let edits = self.put_back(&listed.task.id)?;
        self.record.record.set("Blocked", (self.record.record.number("Blocked") + 1).to_string());
        self.use_up(totals);
        let subject = format!("task {} blocked: {}", listed.task.id, line(&bad.why));
        self.move_all(claim, &format!("blocked: {}", line(&bad.why)), subject, bad.log.as_deref(), edits)?;
        queue::try_marked(self.coop, listed, &[Mark::Todo, Mark::Claimed], Mark::Blocked)?;
        super::notify::notify(self.coop, "blocked", self.record.name.as_str(), &listed.task.title);
        Ok(())
    }

    /// Nobody works on it any more, and nothing is said about it. What was begun stays in the private git directory and
    /// in the work tree, for this loop to go on with; the fork's head is what was accepted.
    pub(super) fn give_back(&mut self, listed: &Listed, claim: Claim, totals: &Totals) -> Result<()> {
        self.use_up(totals);
        let mut edits: Vec<Edit> = claim.release().into_iter().collect();
        let (old, new) = (self.opened.fork.head.clone(), self.accepted.clone());
        if old != new {
            edits.push(Edit::set(self.opened.fork.name.head_ref(), Old::Is(old.clone()), new.clone()));
            self.opened.fork.head = new.clone();
            self.opened.fork.set("Ahead", self.ahead.to_string());
        }
        self.record.record.set("Partial", listed.task.id.as_str());
        let event = self.record.event(&format!("task {} given back", listed.task.id));
        let edit = self.loop_edit(&event)?;
        edits.push(edit.clone());
        self.opened.fork.record(&self.store, "a task was given back", edits)?;
        self.record.record.tip = edit.new;
        self.follow(&old, &new)?;
        queue::try_marked(self.coop, listed, &[Mark::Claimed], Mark::Todo)
    }

    /// One transaction: claim, loop and fork with `more`. `log` is the gate's.
    fn move_all(
        &mut self,
        mut claim: Claim,
        what: &str,
        subject: String,
        log: Option<&[u8]>,
        more: Vec<Edit>,
    ) -> Result<Claim> {
        let claim_edit = claim.write(&self.store, what)?;
        let mut event = self.record.event(&subject);
        if let Some(bytes) = self.agent_log() {
            event.files.insert("agent.log".into(), bytes);
        }
        if let Some(bytes) = log {
            event.files.insert("gate.log".into(), bytes.to_vec());
        }
        let loop_edit = self.loop_edit(&event)?;
        let mut edits = more;
        edits.extend([claim_edit.clone(), loop_edit.clone()]);
        self.opened.fork.record(&self.store, &format!("task {}: {what}", claim.id), edits).map_err(|err| match err
            .kind()
        {
            Kind::Conflict => {
                Error::conflict(format!("the fork of loop '{}' was changed by somebody else", self.record.name))
                    .hint(format!("git log --oneline refs/coop/forks/{}/meta; then git coop loop", self.record.name))
            }
            _ => err,
        })?;
        claim.moved(claim_edit.new, &self.store);
        self.record.record.tip = loop_edit.new;
        Ok(claim)
    }

    fn loop_edit(&self, event: &Event) -> Result<Edit> {
        let tip = self.store.write(event, self.record.record.tip.as_ref())?;
        Ok(Edit::set(self.record.ref_name(), Old::from(self.record.record.tip.clone()), tip))
    }

    /// Edits that put the fork's head to what was accepted last; what was there is kept under a ref of its own. The box's
    /// git directory is made anew before the next run.
    pub(super) fn put_back(&mut self, id: &str) -> Result<Vec<Edit>> {
        let (old, new) = (self.opened.fork.head.clone(), self.accepted.clone());
        self.opened.fork.set("Renew", "1");
        self.opened.fork.set("Problem", "");
        if old == new {
            return Ok(Vec::new());
        }
        let fork = &mut self.opened.fork;
        let kept = format!("{}task-{id}/{}", fork.name.kept_prefix(), old.short());
        let mut edits = vec![Edit::set(fork.name.head_ref(), Old::Is(old.clone()), new.clone())];
        if refs::read(&self.coop.repo, &self.coop.env, &kept)?.is_none() {
            edits.push(Edit::set(kept, Old::Missing, old.clone()));
        }
        fork.head = new.clone();
        fork.state = if self.ahead > 0 { ForkState::Review } else { ForkState::Idle };
        fork.set("Ahead", self.ahead.to_string());
        for key in crate::flow::land::VERDICT_KEYS {
            fork.set(key, "");
        }
        self.follow(&old, &new)?;
        Ok(edits)
    }

    /// HEAD and index of the host's work tree follow; its files are put right in the next box.
    fn follow(&self, old: &Oid, new: &Oid) -> Result<()> {
        if let Ok(tree) = worktree::as_repo(&self.coop.repo, &self.opened.fork.path) {
            worktree::follow(&tree, &self.coop.env, old, new)?;
        }
        Ok(())
    }

    fn use_up(&mut self, totals: &Totals) {
        let record = &mut self.record.record;
        for (key, more) in [("Input", totals.usage.input_tokens), ("Output", totals.usage.output_tokens)] {
            record.set(key, record.number(key).saturating_add(more).to_string());
        }
        let cost = record.get("Cost").and_then(|c| c.parse::<f64>().ok()).unwrap_or(0.0) + totals.usage.cost_usd;
        record.set("Cost", if cost > 0.0 { format!("{cost:.4}") } else { String::new() });
    }

    /// What the agent printed, bounded.
    fn agent_log(&self) -> Option<Vec<u8>> {
        let mut file = std::fs::File::open(fork::log_path(self.coop, &self.opened.fork.name)).ok()?;
        let length = file.metadata().ok()?.len();
        let mut bytes = Vec::new();
        if length <= HEAD + TAIL {
            file.take(HEAD + TAIL).read_to_end(&mut bytes).ok()?;
            return Some(bytes);
        }
        (&mut file).take(HEAD).read_to_end(&mut bytes).ok()?;
        bytes.extend_from_slice(b"\n[... cut ...]\n");
        file.seek(SeekFrom::Start(length - TAIL)).ok()?;
        file.take(TAIL).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// A reason in one line of a record.
pub(super) fn line(why: &str) -> String {
    why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LINE).collect()
}
