//! What would land: the fork's commits on top of the target, made in memory.

use crate::error::{Error, Kind, Result};
use crate::git::objects::Reader;
use crate::git::picks;
use crate::git::rebase::{self, Conflict, Pick, Rebased};
use crate::git::{Git, Oid};
use crate::state::Fork;
use crate::ui::text::{count, printable_bytes};

use super::super::Coop;

/// A line of commits on top of a target, in the object store, with no ref to it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its last commit.
    pub tip: Oid,
    /// The tree of `tip`.
    pub tree: Oid,
    /// What it is built on.
    pub onto: Oid,
    /// The fork's commits and what became of them, oldest first.
    pub picks: Vec<Pick>,
}

impl Candidate {
    /// The commits that land.
    pub fn commits(&self) -> Vec<Oid> {
        self.picks.iter().filter_map(|p| p.new.clone()).collect()
    }
}

/// The commits of a fork that a target does not have.
#[derive(Debug, Clone)]
pub struct Work {
    /// What a rebase would pick, oldest first.
    pub picks: Vec<Oid>,
    /// Whether they lie on the target already, in a line.
    pub straight: bool,
}

/// Finds them. Errors: exit 1 where there is nothing, exit 2 for unrelated histories and for a base that the
/// target does not have (unless `from_base`), exit 1 for damaged objects.
pub fn work(coop: &Coop, fork: &Fork, onto: &Oid, target: &str, from_base: bool) -> Result<Work> {
    let (repo, env) = (&coop.repo, &coop.env);
    let name = &fork.name;
    let nothing = || {
        Error::no(format!("fork '{name}' has nothing to land on {target}"))
            .hint(format!("git coop fork ls; git coop fork {name} AGENT goes on"))
    };
    if fork.head == fork.base {
        return Err(nothing());
    }
    let damaged = |err: Error| damaged(fork, err);
    let knows_base = picks::is_ancestor(repo, env, &fork.base, onto).map_err(damaged)?;
    if !knows_base {
        if picks::merge_base(repo, env, &fork.head, onto).map_err(damaged)?.is_none() {
            return Err(Error::usage(format!("fork '{name}' and {target} have no common history"))
                .hint(format!("git coop merge {name} --into BRANCH names another branch")));
        }
        if !from_base {
            return Err(Error::usage(format!(
                "fork '{name}' began at {}, which is not on {target}: it was rewritten, or the fork came from elsewhere",
                fork.base.short()
            ))
            .hint(format!("git coop merge {name} --from-base lands what the fork itself committed since")));
        }
    }
    let range = picks::range(repo, env, &fork.head, onto, &fork.base).map_err(damaged)?;
    if range.is_empty() {
        return Err(nothing());
    }
    let straight = picks::is_straight(&range, onto);
    let list = if straight {
        range.into_iter().map(|c| c.id).collect()
    } else {
        picks::picks(repo, env, &range, &fork.head, onto, &fork.base).map_err(damaged)?
    };
    if list.is_empty() {
        return Err(nothing());
    }
    Ok(Work { picks: list, straight })
}

/// What a failure to read the fork's objects is: no bug of ours, and a person has to decide.
pub fn damaged(fork: &Fork, err: Error) -> Error {
    if err.kind() != Kind::Bug {
        return err;
    }
    let name = &fork.name;
    Error::no(format!("the commits of fork '{name}' cannot be read: {}", err.message()))
        .because(err)
        .hint(format!("git fsck {}; git coop fork rm --force {name} drops it", fork.head.short()))
}

/// Builds the candidate. The inner error is a conflict; nothing refers to what was written then.
pub fn build(coop: &Coop, work: &Work, onto: &Oid, committer: &str, sign: bool) -> Result<Result<Candidate, Conflict>> {
    let (repo, env) = (&coop.repo, &coop.env);
    let (tip, picks) = if work.straight && !sign {
        let picks: Vec<Pick> = work.picks.iter().map(|id| Pick { old: id.clone(), new: Some(id.clone()) }).collect();
        (work.picks.last().cloned().unwrap_or_else(|| onto.clone()), picks)
    } else {
        let options = rebase::Options { sign, ..rebase::Options::new(committer) };
        match rebase::rebase(repo, env, onto, &work.picks, &options)? {
            Rebased::Done { tip, picks } => (tip, picks),
            Rebased::Conflict(conflict) => return Ok(Err(conflict)),
        }
    };
    let tree = Reader::open(repo)?.tree(&tip)?;
    Ok(Ok(Candidate { tip, tree, onto: onto.clone(), picks }))
}

/// The error for a conflict: paths, commit, and what a person can do.
pub fn conflict(coop: &Coop, fork: &Fork, target: &str, conflict: &Conflict) -> Error {
    let subject = Git::isolated(&coop.repo, &coop.env)
        .args(["log", "-1", "--no-show-signature", "--format=%s", conflict.commit.as_str()])
        .line()
        .unwrap_or_default();
    let commit = format!("commit {} \"{subject}\"", conflict.commit.short());
    let name = &fork.name;
    let by_hand =
        format!("git switch -c {name} {} && git rebase {target} shows it, for you to resolve", name.head_ref());
    if conflict.timed_out {
        return Error::conflict(format!("{commit} of fork '{name}' takes too long to apply on {target}")).hint(by_hand);
    }
    let mut shown: Vec<String> = conflict.paths.iter().take(10).map(|p| printable_bytes(p)).collect();
    if conflict.paths.len() > 10 {
        shown.push(format!("{} more", conflict.paths.len() - 10));
    }
    Error::conflict(format!(
        "{commit} of fork '{name}' does not apply on {target}: {} in conflict: {}",
        count(conflict.paths.len(), "path"),
        shown.join(", ")
    ))
    .hint(by_hand)
}
