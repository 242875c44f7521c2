//! The auditor: a fresh agent in a box that can write nothing but its answer. What it answers counts only where it names
//! the commits and trees that the host knows; and the host looks again itself, whatever it says.

use std::collections::HashSet;

use crate::agent::Definition;
use crate::agent::outcome::Outcome;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::refs;
use crate::git::{Oid, picks};
use crate::sandbox::interrupts::Asked;
use crate::sandbox::spec::Mount;
use crate::state::{Claim, ClaimState, LoopState, notes};
use crate::task::Mark;
use crate::task::receipt::{self, Known, Said};
use crate::ui::text::count;

use super::super::session::{Job, Program};
use super::super::{coop, fork};
use super::attempt::{self, CLEAN, Order};
use super::queue::{self, Listed};
use super::{Drain, Ended, Fate, Row, account, start, view};

/// Where the answer goes, as the box sees it.
const ANSWER: &str = "/coop/answer";
/// Tasks in one prompt.
const AT_ONCE: usize = 20;
/// Characters of a task's text in it.
const TEXT: usize = 4_000;
/// How often an auditor may answer: the second time it is told what was wrong.
const TURNS: u32 = 2;

/// What an audit came to.
pub(super) enum Audited {
    /// Nothing is to be worked again.
    Settled,
    /// Some tasks are open again.
    Reopened,
    /// The loop ends.
    Stopped(Ended),
}

impl Drain<'_> {
    /// Audits what this loop has done and nobody has audited. In the last round what does not hold is blocked.
    pub(super) fn audit(&mut self, last: bool) -> Result<Audited> {
        let done = unaudited(self.coop, self.record.name.as_str())?;
        if done.is_empty() {
            return Ok(Audited::Settled);
        }
        if self.interrupts.asked() != Asked::GoOn {
            return Ok(Audited::Stopped(Ended::Stopped));
        }
        for key in ["Task", "Title", "Attempt"] {
            self.record.record.set(key, "");
        }
        let auditor = self.auditor()?;
        self.state(LoopState::Auditing, &format!("{} audits {}", auditor.name, count(done.len(), "task")))?;
        self.view.say(&format!("{} audits {}", auditor.name, count(done.len(), "task")));
        self.opened.fork.set("Renew", "1");
        let job = Job {
            purpose: "run",
            program: Program::Command(vec!["true".into()]),
            before: Some(CLEAN),
            ..Job::default()
        };
        fork::work::run(self.coop, self.usable, &mut self.opened, "clean-up", job)?;
        let tasks = queue::list(self.coop, &self.files)?;
        let mut reopened = false;
        for part in done.chunks(AT_ONCE) {
            let said = match self.ask(&auditor, part, &tasks)? {
                Ok(said) => said,
                Err(ended) => return Ok(Audited::Stopped(ended)),
            };
            reopened |= self.settle_audit(&auditor, part, &tasks, said, last)?;
        }
        Ok(if reopened { Audited::Reopened } else { Audited::Settled })
    }

    /// Another agent than the one that worked, where another is signed in.
    fn auditor(&self) -> Result<Definition> {
        let name = match &self.options.auditor {
            Some(name) => name.clone(),
            None => {
                let all = start::signed_in(self.coop, self.registry)?;
                let other = all.into_iter().find(|name| *name != self.definition.name);
                other.unwrap_or_else(|| self.definition.name.clone())
            }
        };
        self.registry.get(&name).cloned()
    }

    /// Lets the auditor answer. `None` for all where it gives no valid answer; the inner error says how the loop ends.
    fn ask(
        &mut self,
        auditor: &Definition,
        claims: &[Claim],
        tasks: &[Listed],
    ) -> Result<std::result::Result<Option<Vec<Said>>, Ended>> {
        let known: Vec<Known> = claims.iter().map(known).collect();
        let mut text = String::new();
        for (claim, known) in claims.iter().zip(&known) {
            let task = tasks.iter().find(|listed| listed.task.id == claim.id).map(|listed| listed.task.text());
            let task = task.or_else(|| claim.record.get("Title").map(str::to_owned)).unwrap_or_default();
            let task: String = task.chars().take(TEXT).collect();
            text.push_str(&format!(
                "## Task {}\n{task}\ncommits: {}\ntree: {}\n\n",
                known.id,
                known.commits.join(" "),
                known.tree
            ));
        }
        let answer = fork::own_dir(self.coop, &self.record.name).join("answer");
        let (mut turn, mut breaths, mut reason) = (0, 0, String::new());
        while turn < TURNS {
            let asked = self.options.profile.as_deref().filter(|_| auditor.name == self.definition.name);
            let profile = match self.account(auditor, asked)? {
                Ok(profile) => profile,
                Err(ended) => return Ok(Err(ended)),
            };
            if answer.symlink_metadata().is_ok() {
                crate::agent::tree::remove(&answer).or_bug("cannot remove an earlier answer")?;
            }
            std::fs::create_dir_all(&answer).or_bug("cannot make a directory for the answer")?;
            coop::give(&answer, self.coop.owner()?)?;
            let order = Order {
                definition: auditor,
                profile: profile.clone(),
                prompt: self.prompts.audit(&[
                    ("tasks", &text),
                    ("gate", &self.gate),
                    ("receipt", &format!("{ANSWER}/receipt.json")),
                    ("reason", &reason),
                    ("workspace", &self.opened.fork.path.display().to_string()),
                ])?,
                clean: false,
                read_only: true,
                mounts: vec![Mount::rw(&answer, ANSWER)],
                patience: self.patience,
            };
            let ran = attempt::run(self.coop, self.usable, &mut self.opened, order, (self.view, &self.interrupts))?;
            if ran.stopped {
                return Ok(Err(Ended::Stopped));
            }
            self.view.say(&view::ended(&auditor.name, &ran.usage, ran.seconds));
            match ran.outcome {
                Outcome::Limited { until, why } => {
                    self.used_up(auditor, profile.as_deref(), until, &why)?;
                    continue;
                }
                Outcome::LoggedOut { why } => {
                    self.expired(auditor, profile.as_deref(), &why)?;
                    continue;
                }
                Outcome::Overloaded { after, .. } if breaths < 12 => {
                    breaths += 1;
                    let pause = account::breath(&self.coop.env, breaths, after);
                    account::sleep_until(jiff::Timestamp::now() + pause, &self.interrupts);
                    continue;
                }
                _ => self.worked(auditor, profile.as_deref())?,
            }
            turn += 1;
            let checked = receipt::read(&answer.join("receipt.json")).and_then(|bytes| receipt::check(&bytes, &known));
            match checked {
                Ok(said) => return Ok(Ok(Some(said))),
                Err(why) => {
                    self.view.say(&format!("  the receipt does not hold: {why}"));
                    reason = format!("\nYour last answer did not count: {why}\n");
                }
            }
        }
        Ok(Ok(None))
    }

    /// Records what was said. Gives whether a task is open again.
    fn settle_audit(
        &mut self,
        auditor: &Definition,
        claims: &[Claim],
        tasks: &[Listed],
        said: Option<Vec<Said>>,
        last: bool,
    ) -> Result<bool> {
        let ours = picks::range(
            &self.coop.repo,
            &self.coop.env,
            &self.accepted,
            &self.opened.fork.base,
            &self.opened.fork.base,
        )?;
        let ours: HashSet<String> = ours.into_iter().map(|listed| listed.id.to_string()).collect();
        let (mut edits, mut marks, mut lines, mut words) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut any = false;
        for claim in claims {
            let gone = known(claim).commits.iter().any(|commit| !ours.contains(commit));
            let word = said.as_ref().and_then(|all| all.iter().find(|one| one.id == claim.id));
            let (fate, why) = match word {
                _ if gone => (Fate::Reopened, "its commits are not on the branch any more".to_owned()),
                Some(one) if one.confirmed => (Fate::Confirmed, one.why.clone()),
                Some(one) => (Fate::Reopened, one.why.clone()),
                None => (Fate::Unconfirmed, "the auditor gave no answer that holds".to_owned()),
            };
            let fate = if fate == Fate::Reopened && last { Fate::Blocked } else { fate };
            self.view.say(&format!("  {} {}: {why}", fate.word(), claim.id));
            let mut claim = claim.clone();
            let line = super::settle::line(&why);
            let mark = match fate {
                Fate::Confirmed => {
                    claim.record.set("Audit", format!("confirmed by {}", auditor.name));
                    None
                }
                Fate::Reopened => {
                    claim.state = ClaimState::Held;
                    claim.record.set("Attempt", "1");
                    claim.record.set("Reason", format!("an auditor reopened it: {line}"));
                    any = true;
                    Some(Mark::Claimed)
                }
                Fate::Blocked => {
                    claim.state = ClaimState::Blocked;
                    claim.record.set("Reason", format!("an auditor does not agree: {line}"));
                    Some(Mark::Blocked)
                }
                _ => None,
            };
            edits.push(claim.write(&self.store, &format!("{} by {}: {line}", fate.word(), auditor.name))?);
            if let (Some(mark), Some(listed)) = (mark, tasks.iter().find(|listed| listed.task.id == claim.id)) {
                marks.push((listed.clone(), mark));
            }
            let commits: Vec<Oid> = known(&claim).commits.iter().filter_map(|c| Oid::parse(c).ok()).collect();
            let note = format!("{} by {}: {why} (task {})", fate.word(), auditor.name, claim.id);
            lines.extend(commits.iter().filter(|c| ours.contains(c.as_str())).map(|c| (c.clone(), note.clone())));
            words.push(format!("{} {}", claim.id, fate.word()));
            self.fate(&claim, fate, &line, commits);
        }
        let mut event = self.record.event(&format!("audit by {}: {}", auditor.name, words.join(", ")));
        event.body = lines.iter().map(|(_, note)| note.clone()).collect::<Vec<_>>().join("\n");
        self.record.record_with(&self.store, event, edits).map_err(|err| match err.kind() {
            Kind::Conflict => self.lost(),
            _ => err,
        })?;
        for (listed, mark) in marks {
            queue::try_marked(self.coop, &listed, &[Mark::Done], mark)?;
        }
        if let Err(err) = self.note(lines) {
            eprint!("note: the audit stands, but its notes were not written\n{}", err.render());
        }
        Ok(any)
    }

    /// Notes under the commits; other loops write there as well.
    fn note(&self, lines: Vec<(Oid, String)>) -> Result<()> {
        let (repo, env) = (&self.coop.repo, &self.coop.env);
        let sets = [notes::Notes { kind: "audit", lines }];
        for _ in 0..16 {
            let edits = notes::edits(repo, env, self.store.ident(), &sets)?;
            if refs::transaction(repo, env, "coop: audit notes", &edits)? == refs::Outcome::Done {
                return Ok(());
            }
        }
        Err(Error::conflict("the notes are written by somebody else all the time"))
    }

    /// The table says what the audit said.
    fn fate(&mut self, claim: &Claim, fate: Fate, why: &str, commits: Vec<Oid>) {
        let why = if fate == Fate::Confirmed { String::new() } else { why.to_owned() };
        if let Some(row) = self.rows.iter_mut().rfind(|row| row.id == claim.id) {
            (row.fate, row.why) = (fate, why);
            return;
        }
        // done by an earlier process of this loop
        self.rows.push(Row {
            id: claim.id.clone(),
            title: claim.record.get("Title").unwrap_or_default().to_owned(),
            fate,
            attempts: claim.record.number("Attempt"),
            commits,
            gate_seconds: 0,
            usage: Default::default(),
            seconds: 0,
            why,
        });
    }
}

/// What the loop `name` has done and nobody has audited.
pub(super) fn unaudited(coop: &super::super::Coop, name: &str) -> Result<Vec<Claim>> {
    let mut claims = Claim::all(&coop.repo, &coop.env)?;
    claims.retain(|claim| {
        claim.state == ClaimState::Done && claim.record.get("Loop") == Some(name) && claim.record.get("Audit").is_none()
    });
    Ok(claims)
}

fn known(claim: &Claim) -> Known {
    Known {
        id: claim.id.clone(),
        commits: claim.record.get("Commits").unwrap_or_default().split(' ').map(str::to_owned).collect(),
        tree: claim.record.get("Tree").unwrap_or_default().to_owned(),
    }
}
