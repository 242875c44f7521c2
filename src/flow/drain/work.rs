//! One task: claimed, tried a bounded number of times, and settled.

use std::time::Instant;

use jiff::Timestamp;

use crate::agent::outcome::Outcome;
use crate::error::{Kind, Result};
use crate::git::refs;
use crate::sandbox::interrupts::Asked;
use crate::state::{Claim, LoopState};
use crate::task::Mark;
use crate::without::without;

use super::account;
use super::attempt::{self, Order};
use super::check::{Bad, Case, Verdict};
use super::queue::{self, Listed};
use super::{Drain, Ended, Fate, Row, Step, Totals, view};

/// So many refusals of an overloaded service in a row are a failed attempt.
const MAX_BREATHS: u32 = 12;

/// So often is one attempt refused for a limit or a login. An agent can print what its service prints (or have a tool
/// print it), and then costs no more than this and the rest of its own account, which `limits` bounds.
const MAX_REFUSALS: u32 = 20;

/// Loops that meet at the top of a list take from its first so many.
const CROWD: usize = 32;

impl Drain<'_> {
    /// The next task, claimed; unfinished ones of this loop first. New ones only where `new`.
    pub(super) fn take(&mut self, new: bool) -> Result<Option<(Listed, Claim)>> {
        for _ in 0..1_000 {
            let mut list = queue::candidates(self.coop, &self.files, &self.record.name)?;
            let partial = self.record.record.get("Partial").map(str::to_owned);
            list.sort_by_key(|listed| Some(listed.task.id.as_str()) != partial.as_deref());
            let own = |listed: &Listed| {
                listed.claim.as_ref().is_some_and(|c| {
                    c.state == crate::state::ClaimState::Held && c.record.get("Loop") == Some(self.record.name.as_str())
                })
            };
            let left = list.len().saturating_sub(1);
            list.retain(|listed| new || own(listed));
            // from the top, unless others take from there as well
            let at = match list.first() {
                None => return Ok(None),
                Some(first) if !self.crowded || own(first) => 0,
                Some(_) => queue::somewhere(list.len().min(CROWD))?,
            };
            let listed = list.swap_remove(at);
            let mine = own(&listed);
            let attempt = listed.claim.as_ref().filter(|_| mine).map_or(1, |c| c.record.number("Attempt").max(1));
            let (mut claim, edit) = queue::claim(self.coop, &self.store, &listed, &self.record.name, attempt)?;
            let old = listed.claim.as_ref().filter(|_| mine);
            for key in ["Reason", "Reopened"] {
                claim.record.set(key, old.and_then(|c| c.record.get(key)).unwrap_or_default());
            }
            self.record.state = LoopState::Running;
            self.record.record.set("Task", &listed.task.id);
            self.record.record.set("Title", listed.task.title.chars().take(200).collect::<String>());
            self.record.record.set("Attempt", attempt.to_string());
            self.record.record.set("Todo", left.to_string());
            self.record.record.set("Wake", "");
            let tip = edit.new.clone();
            let what = format!("task {}: {}", listed.task.id, listed.task.title);
            match self.record.record(&self.store, &what, vec![edit]) {
                Ok(()) => {}
                Err(err) if err.kind() == Kind::Conflict => {
                    let now = refs::read(&self.coop.repo, &self.coop.env, &self.record.ref_name())?;
                    if now != self.record.record.tip {
                        return Err(self.lost());
                    }
                    self.crowded = true; // somebody else was quicker
                    continue;
                }
                Err(err) => return Err(err),
            }
            claim.moved(tip, &self.store);
            queue::try_marked(self.coop, &listed, &[Mark::Todo], Mark::Claimed)?;
            return Ok(Some((listed, claim)));
        }
        Ok(None)
    }

    /// Works on one task until it is settled.
    pub(super) fn work(&mut self, listed: &Listed, claim: Claim) -> Result<Step> {
        let started = Instant::now();
        let mut totals = Totals::default();
        let mut held = Some(claim);
        let result = self.tries(listed, &mut held, &mut totals, started);
        let (Err(err), Some(claim)) = (&result, held.take()) else { return result };
        let attempts = claim.record.number("Attempt").max(1);
        // best effort: a claim that stays belongs to a process that is gone, and is taken over
        let given = self.give_back(listed, claim, &totals);
        if err.kind() == Kind::Conflict && given.is_ok() && self.interrupts.asked() == Asked::Stop {
            let row = self.row(listed, Fate::GivenBack, attempts, started);
            self.rows.push(Row { usage: totals.usage, ..row });
            return Ok(Step::Stop(Ended::Stopped)); // a box was ended because somebody asked for it
        }
        result
    }

    fn tries(
        &mut self,
        listed: &Listed,
        held: &mut Option<Claim>,
        totals: &mut Totals,
        started: Instant,
    ) -> Result<Step> {
        let Some(mut claim) = held.clone() else { return Ok(Step::On) };
        let task = &listed.task;
        let mut attempt = claim.record.number("Attempt").max(1);
        let resumed = self.record.record.get("Partial") == Some(task.id.as_str());
        self.record.record.set("Partial", "");
        let mut unjudged = std::mem::take(&mut self.unjudged) && resumed;
        let mut keep = resumed;
        let mut reason = claim.record.get("Reason").unwrap_or_default().to_owned();
        if !keep && self.opened.fork.head != self.accepted {
            // what an earlier task left, or a loop that was killed and whose task somebody else has now
            let edits = self.put_back(&task.id)?;
            self.opened.fork.record(&self.store, "back to what was accepted", edits)?;
        }
        self.view.say(&format!("task {}: {}", task.id, task.title));
        let (mut breaths, mut refusals) = (0, 0);
        loop {
            let row = |this: &Self, fate| this.row(listed, fate, attempt, started);
            let mut verdict = None;
            if self.interrupts.asked() == Asked::Stop {
                *held = None;
                self.give_back(listed, claim, totals)?;
                self.rows.push(Row { usage: totals.usage, ..row(self, Fate::GivenBack) });
                return Ok(Step::Stop(Ended::Stopped));
            }
            if !std::mem::take(&mut unjudged) {
                let profile = match self.account(self.definition, self.options.profile.as_deref())? {
                    Ok(profile) => profile,
                    Err(ended) => {
                        *held = None;
                        self.give_back(listed, claim, totals)?;
                        let row = Row { usage: totals.usage, ..row(self, Fate::GivenBack) };
                        self.rows.push(row);
                        return Ok(Step::Stop(ended));
                    }
                };
                let order = Order {
                    definition: self.definition,
                    profile: profile.clone(),
                    prompt: self.prompt(listed, attempt, &reason)?,
                    clean: !keep,
                    read_only: false,
                    mounts: Vec::new(),
                    patience: self.patience,
                };
                if !keep {
                    self.opened.fork.set("Renew", "1");
                }
                let ran = attempt::run(self.coop, self.usable, &mut self.opened, order, (self.view, &self.interrupts))?;
                totals.usage += ran.usage;
                keep = true;
                if ran.stopped {
                    *held = None;
                    self.give_back(listed, claim, totals)?;
                    self.rows.push(Row { usage: totals.usage, ..row(self, Fate::GivenBack) });
                    return Ok(Step::Stop(Ended::Stopped));
                }
                self.view.say(&view::ended(&self.definition.name, &ran.usage, ran.seconds));
                let bad = |why: String, keep| Some(Verdict::Bad(Bad { why, keep, log: None }));
                let name = profile.as_deref();
                match ran.outcome {
                    Outcome::Limited { until, why } => {
                        self.used_up(self.definition, name, until, &why)?;
                        refusals += 1;
                        if refusals < MAX_REFUSALS {
                            continue;
                        }
                        verdict = bad(format!("refused {refusals} times: {why}"), true);
                    }
                    Outcome::LoggedOut { why } => {
                        self.expired(self.definition, name, &why)?;
                        continue;
                    }
                    Outcome::Overloaded { why, after } => {
                        breaths += 1;
                        if breaths < MAX_BREATHS {
                            let pause = account::breath(&self.coop.env, breaths, after);
                            self.view
                                .say(&format!("  the service is overloaded, again in {}s: {why}", pause.as_secs()));
                            account::sleep_until(Timestamp::now() + pause, &self.interrupts);
                            continue;
                        }
                        breaths = 0;
                        verdict = bad(format!("the service is overloaded: {why}"), true);
                    }
                    Outcome::ContextFull { why } => {
                        verdict = bad(format!("the conversation became too long: {why}"), true)
                    }
                    Outcome::Failed { .. } if without("loop-exit") => {}
                    Outcome::Failed { why } => verdict = bad(format!("{} failed: {why}", self.definition.name), true),
                    Outcome::Hung { why } => verdict = bad(format!("{} was ended: {why}", self.definition.name), true),
                    Outcome::Interrupted | Outcome::Finished => self.worked(self.definition, name)?,
                }
                if let Err(err) = ran.report {
                    verdict = bad(err.message().to_owned(), false);
                }
            }
            let gate_started = Instant::now();
            let verdict = match verdict {
                Some(verdict) => verdict,
                None => {
                    let case = Case {
                        coop: self.coop,
                        usable: self.usable,
                        store: &self.store,
                        task,
                        accepted: &self.accepted,
                        gate: &self.gate,
                        queues: &self.queues,
                    };
                    case.judge(&mut self.opened.fork)?
                }
            };
            totals.gate_seconds += gate_started.elapsed().as_secs();
            match verdict {
                Verdict::Good(good) => {
                    *held = None;
                    self.accept(listed, claim, &good, totals)?;
                    self.view.say(&format!("  done: {} {}", task.id, task.title));
                    self.rows.push(Row {
                        commits: good.bound.commits.clone(),
                        gate_seconds: totals.gate_seconds,
                        usage: totals.usage,
                        ..row(self, Fate::Done)
                    });
                    return Ok(Step::On);
                }
                Verdict::Bad(bad) => {
                    self.view.say(&format!("  attempt {attempt} failed: {}", super::settle::line(&bad.why)));
                    if attempt >= self.attempts {
                        *held = None;
                        self.block(listed, claim, &bad, totals)?;
                        self.rows.push(Row {
                            gate_seconds: totals.gate_seconds,
                            usage: totals.usage,
                            why: super::settle::line(&bad.why),
                            ..row(self, Fate::Blocked)
                        });
                        return Ok(Step::On);
                    }
                    claim = self.again(listed, claim, &bad, attempt)?;
                    *held = Some(claim.clone());
                    attempt += 1;
                    refusals = 0;
                    keep = bad.keep;
                    reason = bad.why;
                }
            }
        }
    }

    /// A line of the table, with nothing used yet.
    fn row(&self, listed: &Listed, fate: Fate, attempts: u64, started: Instant) -> Row {
        Row {
            id: listed.task.id.clone(),
            title: listed.task.title.clone(),
            fate,
            attempts,
            commits: Vec::new(),
            gate_seconds: 0,
            usage: Default::default(),
            seconds: started.elapsed().as_secs(),
            why: String::new(),
        }
    }

    fn prompt(&self, listed: &Listed, attempt: u64, reason: &str) -> Result<String> {
        let reason = match reason {
            "" => String::new(),
            why => format!("\nIt was tried before, and that did not hold:\n{why}\n"),
        };
        self.prompts.task(&[
            ("id", &listed.task.id),
            ("task", &listed.task.text()),
            ("attempt", &attempt.to_string()),
            ("attempts", &self.attempts.to_string()),
            ("gate", &self.gate),
            ("reason", &reason),
            ("workspace", &self.opened.fork.path.display().to_string()),
        ])
    }
}
