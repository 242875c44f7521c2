//! After a run: the commits come back, the host's view of the work tree follows, and one transaction
//! records it all.

use crate::error::{Kind, Result};
use crate::git::refs::{self, Edit, Old};
use crate::git::{Oid, diff, picks, worktree};
use crate::sandbox::runtime::Usable;
use crate::state::{Fork, ForkState};
use crate::ui::text::{count, printable};
use crate::without::without;

use super::super::import::{self, Incoming};
use super::super::{Coop, verify};

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Commits on the fork that the base does not have.
    pub ahead: usize,
    /// Paths in the work tree that are not committed.
    pub uncommitted: usize,
    /// Submodules that the box committed.
    pub gitlinks: Vec<verify::Found>,
    /// Refs kept besides the head: other branches, tags, a stash, a rewritten tip.
    pub kept: Vec<String>,
}

/// Collects commits of the fork's private git directory and records the state. `what` is the start of the
/// event's subject (`claude ended`); `exit` the status to record.
pub fn finish(coop: &Coop, usable: &Usable, fork: &mut Fork, what: &str, exit: Option<i32>) -> Result<Report> {
    let workspace = super::workspace(coop, fork)?;
    let (incoming, problem) = match import::collect(coop, usable, &workspace, &known(coop, fork)?) {
        Ok(incoming) => (incoming, None),
        // what the box wrote cannot be taken: the fork is not stuck for it, and a person can look in a box
        Err(err) if err.kind() == Kind::No => (Incoming::default(), Some(err)),
        Err(err) => return Err(err),
    };
    fork.set("Problem", problem.as_ref().map(|err| err.message().to_owned()).unwrap_or_default());
    let report = record(coop, fork, &incoming, what, exit)?;
    match problem {
        Some(err) => Err(err),
        None => Ok(report),
    }
}

/// Commits the host has of this fork: what a bundle need not bring.
fn known(coop: &Coop, fork: &Fork) -> Result<Vec<Oid>> {
    let kept = refs::below(&coop.repo, &coop.env, &fork.name.kept_prefix())?;
    Ok([fork.base.clone(), fork.head.clone()].into_iter().chain(kept.into_iter().map(|(_, oid)| oid)).collect())
}

/// Records what came. The new head is the fork's own branch, or else what the box had checked out.
pub fn record(coop: &Coop, fork: &mut Fork, incoming: &Incoming, what: &str, exit: Option<i32>) -> Result<Report> {
    let (repo, env) = (&coop.repo, &coop.env);
    let own = format!("refs/heads/{}", fork.name);
    let old = fork.head.clone();
    let tag = without("full-ref-names").then(|| incoming.get(&format!("refs/tags/{}", fork.name))).flatten();
    let new =
        tag.or_else(|| incoming.get(&own)).or_else(|| incoming.get("HEAD")).cloned().unwrap_or_else(|| old.clone());
    let mut report = Report::default();
    let mut edits = Vec::new();
    let mut keep = |name: String, oid: &Oid| -> Result<()> {
        let mut name = format!("{}{name}", fork.name.kept_prefix());
        if without("own-ref-names") {
            name = name.replacen(&fork.name.kept_prefix(), "refs/", 1);
        }
        let before = refs::read(repo, env, &name)?;
        if before.as_ref() != Some(oid) {
            edits.push(Edit::set(&name, Old::from(before), oid.clone()));
        }
        report.kept.push(name);
        Ok(())
    };
    for (name, oid) in &incoming.refs {
        let elsewhere = incoming.refs.iter().any(|(n, o)| n != name && o == oid);
        if *name != own && *oid != new && !(name == "HEAD" && elsewhere) {
            keep(name.trim_start_matches("refs/").to_owned(), oid)?;
        }
    }
    if new != old {
        if old != fork.base && !picks::is_ancestor(repo, env, &old, &new)? {
            keep(format!("rewritten/{}", old.short()), &old)?; // the box rewrote history: the old tip stays
        }
        edits.push(Edit::set(fork.name.head_ref(), Old::Is(old.clone()), new.clone()));
        report.gitlinks = verify::gitlinks(coop, Some(&old), &new)?.into_iter().collect();
    }
    follow(coop, fork, &old, &new, &mut report)?;
    report.ahead = picks::range(repo, env, &new, &fork.base, &fork.base)?.len();
    fork.head = new;
    fork.state = if report.ahead > 0 { ForkState::Review } else { ForkState::Idle };
    describe(coop, fork, &report, exit)?;
    let store = coop.store()?;
    let subject = match (report.ahead, report.uncommitted) {
        (0, 0) => format!("{what}, nothing changed"),
        (0, files) => format!("{what}, no commit, {files} uncommitted"),
        (n, 0) => format!("{what}, {} ahead", count(n, "commit")),
        (n, files) => format!("{what}, {} ahead, {files} uncommitted", count(n, "commit")),
    };
    fork.record(&store, &subject, edits)?;
    Ok(report)
}

/// HEAD and index of the host's work tree follow, except where that would make a host git enter a
/// submodule that the box made: then they stay, and the person is told.
fn follow(coop: &Coop, fork: &Fork, old: &Oid, new: &Oid, report: &mut Report) -> Result<()> {
    let Ok(tree) = worktree::as_repo(&coop.repo, &fork.path) else { return Ok(()) }; // the directory was removed by hand
    if report.gitlinks.is_empty() || without("gitlinks") {
        // the commits are not held up by an index that cannot follow, such as one that a killed git left locked
        if let Err(err) = worktree::follow(&tree, &coop.env, old, new) {
            let why = printable(err.message());
            eprintln!("warning: the index of '{}' has not followed: {why}", fork.path.display());
            eprintln!("hint: git -C '{}' reset", fork.path.display());
        }
    }
    report.uncommitted = worktree::uncommitted(&tree, &coop.env, 10_000).map_or(0, |paths| paths.len());
    Ok(())
}

/// The person has looked: HEAD and index follow whatever the head is. Nothing to accept is fine.
pub fn accept(coop: &Coop, fork: &mut Fork) -> Result<()> {
    let tree = worktree::as_repo(&coop.repo, &fork.path)?;
    let at = refs::read(&tree, &coop.env, "HEAD")?;
    if let Some(at) = at.filter(|at| *at != fork.head) {
        worktree::follow(&tree, &coop.env, &at, &fork.head)?;
    }
    if fork.get("Found").is_some() {
        fork.set("Found", "");
        let store = coop.store()?;
        fork.record(&store, "submodules accepted", Vec::new())?;
    }
    Ok(())
}

fn describe(coop: &Coop, fork: &mut Fork, report: &Report, exit: Option<i32>) -> Result<()> {
    fork.set("Ahead", report.ahead.to_string());
    fork.set("Uncommitted", if report.uncommitted > 0 { report.uncommitted.to_string() } else { String::new() });
    fork.set("Changes", changes(coop, &fork.base, &fork.head)?);
    fork.set("Exit", exit.map(|e| e.to_string()).unwrap_or_default());
    fork.set("Kept", if report.kept.is_empty() { String::new() } else { report.kept.len().to_string() });
    fork.set("Found", report.gitlinks.iter().map(verify::Found::shown).collect::<Vec<_>>().join("; "));
    fork.set("Box", "");
    Ok(())
}

/// `3 files +10 -2` between base and head; no driver or textconv of anybody runs.
fn changes(coop: &Coop, base: &Oid, head: &Oid) -> Result<String> {
    if base == head {
        return Ok(String::new());
    }
    let churn = diff::churn(&coop.repo, &coop.env, base, head)?;
    let (plus, minus) = churn.values().flatten().fold((0, 0), |sum, lines| (sum.0 + lines.0, sum.1 + lines.1));
    Ok(format!("{} +{plus} -{minus}", count(churn.len(), "file")))
}
