//! Verdicts: an old one for the same tree and command, or the gate's new one, recorded before anything uses it.

use crate::error::{Error, Result};
use crate::git::Oid;
use crate::git::objects::Reader;
use crate::state::{Fork, ForkState, Store, verdict};
use crate::ui::text::printable_lines;

use super::super::Coop;
use super::super::session::Leaving;
use super::candidate::{self, Candidate};
use super::{Options, gate, target};

/// The trailers of a verdict.
pub const KEYS: &[&str] = &["Gate", "Gate-Command", "Gate-How", "Verdict", "Seconds", "Log"];
/// Lines of a red log that are shown.
const SHOWN: usize = 20;

/// What the gate says of a tree.
#[derive(Debug)]
pub struct Judged {
    /// Green.
    pub passed: bool,
    /// The command.
    pub command: String,
    /// `exit 2`, `ran out of time`.
    pub how: String,
    /// Seconds it took.
    pub seconds: u64,
    /// Whether it is an old verdict.
    pub reused: bool,
    /// The log, bounded.
    pub log: Vec<u8>,
    /// The event that says so.
    pub event: Oid,
    /// The files of its box go meanwhile.
    pub leaving: Option<Leaving>,
}

/// The digest of a command: what verdicts are found by.
pub fn digest(coop: &Coop, command: &str) -> Result<Oid> {
    Reader::open(&coop.repo)?.blob_id(command.as_bytes())
}

/// The verdict on the candidate. A new one is recorded in the fork's chain with its log before this returns;
/// the state becomes gated or rejected.
pub fn judge(
    coop: &Coop,
    store: &Store<'_>,
    fork: &mut Fork,
    candidate: &Candidate,
    command: &str,
    regate: bool,
) -> Result<Judged> {
    let digest = digest(coop, command)?;
    if !regate && let Some(old) = verdict::find(&coop.repo, &coop.env, &candidate.tree, &digest)? {
        eprintln!("note: the gate has seen this tree: {}", if old.passed { "passed" } else { "failed" });
        let kept = verdict::log(&coop.repo, &old)?;
        let (event, log) = kept.unwrap_or_else(|| (old.event.clone(), Vec::new()));
        let judged = Judged {
            passed: old.passed,
            command: command.to_owned(),
            how: old.how.clone(),
            seconds: old.seconds,
            reused: true,
            log,
            event,
            leaving: None,
        };
        write(fork, &judged, candidate, &digest, Some(&judged.event));
        if !judged.passed {
            fork.record(store, &format!("gate failed, {} (seen before)", judged.how), Vec::new())?;
        }
        return Ok(judged);
    }
    let usable = coop.runtime()?;
    let label = format!("fork:{}", fork.path.display());
    // a fork that was not opened here may have no seed store yet
    let base = Oid::parse(fork.get("Seed").unwrap_or(fork.base.as_str()))?;
    let own = super::super::fork::own_dir(coop, &fork.name);
    let wanted = gate::Candidate { commit: &candidate.tip, base: &base, label: &label, own: &own };
    let ran = gate::run(coop, &usable, &wanted, command)?;
    let mut judged = Judged {
        passed: ran.passed,
        command: command.to_owned(),
        how: ran.how,
        seconds: ran.seconds,
        reused: false,
        log: ran.log,
        event: candidate.tip.clone(),
        leaving: Some(ran.leaving),
    };
    write(fork, &judged, candidate, &digest, None);
    let word = if judged.passed { "passed" } else { "failed" };
    let short: String = command.chars().take(40).collect();
    let mut event = fork.event(&format!("gate {word}, {short} in {}s", judged.seconds));
    event.files.insert("gate.log".into(), judged.log.clone());
    fork.record_with(store, event, Vec::new())?;
    if let Some(tip) = fork.tip.clone() {
        judged.event = tip.clone();
        fork.set("Log", tip.as_str());
    }
    Ok(judged)
}

fn write(fork: &mut Fork, judged: &Judged, candidate: &Candidate, digest: &Oid, log: Option<&Oid>) {
    fork.state = if judged.passed { ForkState::Gated } else { ForkState::Rejected };
    fork.set("Tree", candidate.tree.as_str());
    fork.set("Gate", digest.as_str());
    fork.set("Gate-Command", judged.command.clone());
    fork.set("Gate-How", judged.how.clone());
    fork.set("Verdict", if judged.passed { "passed" } else { "failed" });
    fork.set("Seconds", judged.seconds.to_string());
    fork.set("Log", log.map(Oid::to_string).unwrap_or_default());
}

/// The error of a red gate; the end of its log goes to standard error first where it was not just shown.
pub fn red(fork: &Fork, judged: &Judged) -> Error {
    let text = String::from_utf8_lossy(&judged.log).replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    if judged.reused && !lines.is_empty() {
        eprintln!("the end of the gate's log:");
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            eprintln!("  {}", printable_lines(line));
        }
    }
    let last = lines.iter().rfind(|l| !l.trim().is_empty()).map(|l| format!(": {}", l.trim())).unwrap_or_default();
    let mut err =
        Error::no(format!("the gate '{}' is red for fork '{}' ({}){last}", judged.command, fork.name, judged.how));
    if let Some(log) = fork.get("Log").or(Some(judged.event.as_str())) {
        err = err.hint(format!("git show {}:gate.log shows the whole log", &log[..12]));
    }
    if judged.reused {
        err = err.hint(format!("git coop merge {} --regate runs it again", fork.name));
    }
    err
}

/// The line of the gate's note under landed commits.
pub fn note(fork: &Fork, gate: Option<&Judged>, candidate: &Candidate) -> String {
    let who = format!("fork {} by {}", fork.name, fork.get("Agent").unwrap_or("-"));
    match gate {
        Some(gate) => format!(
            "passed: {}, {}s, tree {}, tip {}, {who}",
            gate.command,
            gate.seconds,
            candidate.tree,
            candidate.tip.short()
        ),
        None => format!("none: no gate, tree {}, tip {}, {who}", candidate.tree, candidate.tip.short()),
    }
}

/// What the gate says of the tree that would land; the verdict is recorded, and nothing moves. Gives whether it is green.
pub fn gate_only(coop: &Coop, fork: &mut Fork, options: &Options) -> Result<bool> {
    let _lock = super::super::fork::take(coop, &fork.name)?;
    let command = options
        .gate(coop)
        .ok_or_else(|| Error::usage("no gate is configured").hint("git coop config coop.gate COMMAND"))?;
    let target = target::find(coop, options.into.as_deref())?;
    let onto = target.branch.tip.clone();
    let work = candidate::work(coop, fork, &onto, target.short(), options.from_base)?;
    let store = coop.store()?;
    let built = candidate::build(coop, &work, &onto, store.ident(), false)?;
    let candidate = built.map_err(|c| candidate::conflict(coop, fork, target.short(), &c))?;
    let judged = judge(coop, &store, fork, &candidate, &command, options.regate)?;
    if !judged.passed {
        eprint!("{}", red(fork, &judged).render());
    }
    Ok(judged.passed)
}
