//! `git coop doctor --attack`: the corpus of `attacks/`, run against the boxes of this machine.
//!
//! Guarantees: everything happens in a throwaway home and repository, offline, through the same programs that a user
//! calls; an attack is held only if its payload ran to its end and left no mark of success. What could not run is said
//! and never counted as held. Reports are in the order of the corpus, whatever ran first.

pub mod corpus;
pub mod defences;
mod place;
mod scene;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::error::{Context as _, Error, Result};
use crate::flow::Coop;
use crate::git::refs;
use crate::state::{Event, Store};

use corpus::{Attack, Scene};
pub use place::Ground;

/// What came of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was tried, and did not succeed.
    Held,
    /// It succeeded.
    Escaped,
    /// It succeeded, as the documentation says it does.
    Known,
    /// This machine or image lacks what it takes to try.
    CannotRun,
    /// It is not about this runtime.
    NotApplicable,
    /// It broke before anything could be told.
    Failed,
}

impl Verdict {
    /// The word of the report.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Escaped => "ESCAPED",
            Verdict::Known => "known",
            Verdict::CannotRun => "cannot run",
            Verdict::NotApplicable => "not applicable",
            Verdict::Failed => "FAILED",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The attack.
    pub id: String,
    /// Its group.
    pub group: String,
    /// What it tried.
    pub tries: String,
    /// Where it is known from.
    pub source: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in one printable line; empty where it was held.
    pub detail: String,
    /// Its share of the time (milliseconds).
    pub millis: u64,
}

impl Outcome {
    fn new(scene: &Scene, attack: &Attack, verdict: Verdict, detail: &str, millis: u64) -> Outcome {
        let known = verdict == Verdict::Escaped && !attack.limit.is_empty();
        Outcome {
            id: attack.id.clone(),
            group: scene.group.clone(),
            tries: attack.tries.clone(),
            source: attack.source.clone(),
            verdict: if known { Verdict::Known } else { verdict },
            detail: crate::ui::text::printable(if known { &attack.limit } else { detail }.trim()),
            millis,
        }
    }
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of git-coop.
    pub version: &'static str,
    /// The runtime that was attacked.
    pub runtime: String,
    /// Its version, as its client says it.
    pub runtime_version: String,
    /// Image of its boxes; none under bubblewrap.
    pub image: Option<String>,
    /// The kernel.
    pub kernel: String,
    /// How many attacks came to each verdict.
    pub counts: BTreeMap<&'static str, usize>,
    /// The attacks.
    pub attacks: Vec<Outcome>,
}

impl Report {
    /// Whether something escaped, or broke so that nobody can tell.
    pub fn is_bad(&self) -> bool {
        self.attacks.iter().any(|a| matches!(a.verdict, Verdict::Escaped | Verdict::Failed))
    }
    /// `3 ESCAPED, 140 held, 2 cannot run`.
    pub fn summary(&self) -> String {
        let order = [
            Verdict::Escaped,
            Verdict::Failed,
            Verdict::Held,
            Verdict::Known,
            Verdict::CannotRun,
            Verdict::NotApplicable,
        ];
        let parts = order.iter().filter_map(|v| Some((self.counts.get(v.word())?, v.word())));
        parts.map(|(n, word)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
    }
}

/// Attacks with `scenes`; `tell` hears each outcome in the order of the corpus. `boxed` is false only to show that
/// attacks work where there is no box.
pub fn run(ground: &Ground, scenes: &[Scene], boxed: bool, tell: &mut (dyn FnMut(&Outcome) + Send)) -> Result<Report> {
    let batches = batches(ground, scenes, boxed);
    let results: Vec<Mutex<Option<Result<Vec<Outcome>>>>> = batches.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let told = Mutex::new((0, tell));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let (Some(batch), Some(slot)) = (batches.get(at), results.get(at)) else { return };
                    let outcome = batch.run(ground, boxed);
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(outcome);
                    }
                    let Ok(mut told) = told.lock() else { return };
                    let (from, tell) = &mut *told;
                    while let Some(Ok(slot)) = results.get(*from).map(Mutex::lock) {
                        let Some(result) = &*slot else { break };
                        result.iter().flatten().for_each(&mut **tell);
                        *from += 1;
                    }
                }
            });
        }
    });
    let mut attacks = Vec::new();
    for result in results {
        let result = result.into_inner().ok().flatten();
        attacks.extend(result.unwrap_or_else(|| Err(Error::bug("an attacking thread died")))?);
    }
    let mut counts = BTreeMap::new();
    for attack in &attacks {
        *counts.entry(attack.verdict.word()).or_insert(0) += 1;
    }
    let uname = rustix::system::uname();
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        runtime: ground.runtime.clone(),
        runtime_version: ground.version(),
        image: ground.image.clone(),
        kernel: format!("{} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy()),
        counts,
        attacks,
    })
}

/// Where reports are kept.
pub const REF: &str = "refs/coop/doctor";

/// Keeps the report as an event on [`REF`], whole in the event's tree. Errors: exit 3 where somebody else was faster.
pub fn record(coop: &Coop, report: &Report) -> Result<()> {
    let store = Store::open(&coop.repo, &coop.env)?;
    let old = refs::read(&coop.repo, &coop.env, REF)?;
    let json = serde_json::to_vec_pretty(report).or_bug("cannot write JSON")?;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let event = Event {
        subject: format!("doctor: {}: {}", report.runtime, report.summary()),
        trailers: vec![
            pair("Kind", "doctor"),
            pair("State", if report.is_bad() { "failed" } else { "passed" }),
            pair("Version", report.version),
            pair("Runtime", &report.runtime_version),
            pair("Image", report.image.as_deref().unwrap_or_default()),
            pair("Kernel", &report.kernel),
            pair("Host", &coop.host()),
        ],
        files: [("report.json".to_owned(), json)].into(),
        ..Event::default()
    };
    store.commit(REF, old.as_ref(), &event, Vec::new()).map(|_| ())
}

/// Attacks that happen together.
struct Batch<'a> {
    scene: &'a Scene,
    attacks: Vec<&'a Attack>,
    applies: bool,
}

impl Batch<'_> {
    fn run(&self, ground: &Ground, boxed: bool) -> Result<Vec<Outcome>> {
        if self.applies {
            return scene::run(ground, self.scene, &self.attacks, boxed);
        }
        let why = |attack: &Attack| format!("only on {}", attack.runtimes.join(", "));
        let of = |attack: &&Attack| Outcome::new(self.scene, attack, Verdict::NotApplicable, &why(attack), 0);
        Ok(self.attacks.iter().map(of).collect())
    }
}

/// One batch for the attacks of a scene that can be together, and one for each that cannot.
fn batches<'a>(ground: &Ground, scenes: &'a [Scene], boxed: bool) -> Vec<Batch<'a>> {
    let mut out: Vec<Batch<'a>> = Vec::new();
    for scene in scenes {
        let mut together = Vec::new();
        let mut alone = Vec::new();
        for attack in &scene.attacks {
            let applies = attack.runtimes.is_empty() || attack.runtimes.contains(&ground.runtime);
            match applies && boxed && !attack.alone {
                true => together.push(attack),
                false => alone.push(Batch { scene, attacks: vec![attack], applies }),
            }
        }
        if !together.is_empty() {
            out.push(Batch { scene, attacks: together, applies: true });
        }
        out.extend(alone);
    }
    out
}
