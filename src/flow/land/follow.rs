//! The checkout follows a branch that moved: at once, or by the next command where this one was killed.

use crate::error::Result;
use crate::git::follow as checkout;
use crate::git::{Oid, refs};
use crate::state::{Fork, ForkState};

use super::super::Coop;
use super::target::Target;

/// Notes in the record, before the branch moves, that this checkout has to follow from `old` to `new`.
pub fn promise(coop: &Coop, fork: &mut Fork, target: &Target, old: &Oid, new: &Oid) {
    keep(fork);
    if target.here && !crate::without::without("landing-promise") {
        fork.set("Follow", coop.repo.work_tree.to_string_lossy());
        fork.set("Follow-From", old.as_str());
        fork.set("Follow-To", new.as_str());
        fork.set("Follow-Branch", target.short());
    }
}

/// The checkout has followed.
pub fn keep(fork: &mut Fork) {
    for key in ["Follow", "Follow-From", "Follow-To", "Follow-Branch"] {
        fork.set(key, "");
    }
}

/// Index and files go from `old` to `new`; git's reason where they cannot.
pub fn follow(coop: &Coop, old: &Oid, new: &Oid) -> Result<std::result::Result<(), String>> {
    super::test_abort(coop, "following");
    checkout::checkout(&coop.repo, &coop.env, old, new)
}

/// Finishes landings of which the branch has moved and this checkout has not followed. Says what it did. Gives all
/// forks as they are afterwards.
pub fn pending(coop: &Coop) -> Result<Vec<Fork>> {
    let here = coop.repo.work_tree.to_string_lossy().into_owned();
    let mut forks = Fork::all(&coop.repo, &coop.env)?;
    for fork in forks.iter_mut().filter(|f| f.get("Follow") == Some(here.as_str())) {
        let id = |key: &str| fork.get(key).and_then(|oid| Oid::parse(oid).ok());
        let (Some(old), Some(new)) = (id("Follow-From"), id("Follow-To")) else { continue };
        if not_moved(coop, fork, &old, &new)? {
            continue;
        }
        let said = finish(coop, fork, &old, &new)?;
        match said {
            Ok(what) => {
                eprintln!("note: {what}");
                keep(fork);
                fork.record(&coop.store()?, &what, Vec::new())?;
            }
            Err(why) => {
                eprintln!(
                    "warning: fork '{}' landed as {}, but this checkout has not followed: {why}",
                    fork.name,
                    new.short()
                );
                eprintln!(
                    "hint: git stash; then any git coop merge finishes it; git reset --hard discards your changes"
                );
            }
        }
    }
    Ok(forks)
}

/// A git that was killed between two refs of the transaction has written the record, which comes first, and not the
/// branch: then the record says again what was true before.
fn not_moved(coop: &Coop, fork: &mut Fork, old: &Oid, new: &Oid) -> Result<bool> {
    let branch = fork.get("Follow-Branch").map(|b| format!("refs/heads/{b}")).unwrap_or_default();
    if old == new || refs::read(&coop.repo, &coop.env, &branch)?.as_ref() != Some(old) {
        return Ok(false);
    }
    let undoing = fork.get("Landed") == Some(old.as_str());
    fork.state = if undoing { ForkState::Landed } else { ForkState::Review };
    keep(fork);
    if !undoing {
        for key in ["Onto", "Landed", "Target", "Accepted"] {
            fork.set(key, "");
        }
    }
    let what = if undoing { "undoing the landing" } else { "the landing" };
    eprintln!("note: {what} of '{}' was interrupted before anything moved", fork.name);
    fork.record(&coop.store()?, "interrupted before anything moved", Vec::new())?;
    Ok(true)
}

fn finish(coop: &Coop, fork: &Fork, old: &Oid, new: &Oid) -> Result<std::result::Result<String, String>> {
    let branch = fork.get("Follow-Branch").map(|b| format!("refs/heads/{b}")).unwrap_or_default();
    let done = |what: &str| Ok(Ok(format!("{what} '{}'", fork.name)));
    if refs::head_branch(&coop.repo, &coop.env)?.as_deref() != Some(branch.as_str()) {
        return done("another branch is checked out since the landing of");
    }
    if checkout::index_is(&coop.repo, &coop.env, new)? {
        return done("the checkout has followed the landing of");
    }
    if !checkout::index_is(&coop.repo, &coop.env, old)? {
        let head = refs::read(&coop.repo, &coop.env, "HEAD")?;
        if head.as_ref() != Some(new) {
            return done("the branch went on after the landing of");
        }
        return Ok(Err("the index has changes of yours".into()));
    }
    let mut ended = follow(coop, old, new)?;
    // a git that was killed while it wrote files
    if ended.is_err() && checkout::take_back(&coop.repo, &coop.env, old, new)? > 0 {
        ended = follow(coop, old, new)?;
    }
    match ended {
        Ok(()) => done("the checkout now follows the interrupted landing of"),
        Err(why) => Ok(Err(why)),
    }
}
