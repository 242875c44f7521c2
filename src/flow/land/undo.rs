//! Takes a landing back while nothing came on top of it.

use crate::error::{Error, Result};
use crate::git::Oid;
use crate::git::refs::{Edit, Old, Outcome};
use crate::state::{Fork, ForkName, ForkState, archive};

use super::super::Coop;
use super::super::fork::create;
use super::{follow, target};

/// What an undo did.
#[derive(Debug, Clone)]
pub struct Undone {
    /// The branch, short.
    pub target: String,
    /// Where it was.
    pub from: Oid,
    /// Where it is again.
    pub to: Oid,
    /// Whether the fork had been dropped and is there again.
    pub again: bool,
    /// Why the checkout did not follow.
    pub behind: Option<String>,
}

/// Puts the branch back where it was before fork `name` landed. A fork that was dropped since is there again. Errors: exit 1 where it did not land, exit 3 where
/// something came on top, exit 2 for a dirty checkout.
pub fn undo(coop: &Coop, name: &ForkName) -> Result<Undone> {
    let _lock = super::super::fork::take(coop, name)?;
    follow::pending(coop)?;
    let (mut fork, dropped) = match Fork::find(&coop.repo, &coop.env, name)? {
        Some(fork) => (fork, false),
        None => match archive::find(&coop.repo, &coop.env, name)? {
            Some(fork) => (fork, true),
            None => (Fork::load(&coop.repo, &coop.env, name)?, false),
        },
    };
    let id = |key: &str| fork.get(key).and_then(|oid| Oid::parse(oid).ok());
    let (Some(onto), Some(tip), Some(short), ForkState::Landed) =
        (id("Onto"), id("Landed"), fork.get("Target"), fork.state)
    else {
        return Err(Error::no(format!("fork '{name}' has not landed")).hint("git coop fork ls"));
    };
    let short = short.to_owned();
    let target = target::find(coop, Some(&short))?;
    if target.branch.tip != tip {
        return Err(Error::conflict(format!("{short} has gone on since '{name}' landed as {}", tip.short()))
            .hint(format!("git revert --no-commit {}..{} takes the changes back", onto.short(), tip.short())));
    }
    target::clean(coop, &target)?;
    target::room(coop, &target, &onto)?;
    let store = coop.store()?;
    store.prepare(&format!("coop: undo landing of {name}"))?;
    fork.state = ForkState::Review;
    follow::promise(coop, &mut fork, &target, &tip, &onto);
    let mut edits = Vec::new();
    if dropped {
        // as it landed: what it was before the rebase may be gone
        (fork.base, fork.head) = (onto.clone(), tip.clone());
        fork.set("Seed", tip.as_str());
        create::again(coop, &fork)?;
        edits.push(Edit::set(name.head_ref(), Old::Missing, tip.clone()));
    }
    let event = fork.event(&format!("landing on {short} undone"));
    let last = store.write(&event, fork.tip.as_ref())?;
    let before = if dropped { Old::Missing } else { Old::from(fork.tip.clone()) };
    // the record first, as in a landing
    edits.push(Edit::set(name.meta_ref(), before, last.clone()));
    edits.push(Edit::set(&target.branch.name, Old::Is(tip.clone()), onto.clone()));
    match store.transaction(&format!("coop: undo landing of {name}"), &edits)? {
        Outcome::Done => {}
        Outcome::Lost => {
            return Err(Error::conflict(format!("{short} or the fork moved meanwhile")).hint("git coop fork ls"));
        }
    }
    fork.tip = Some(last);
    let behind = if target.here { follow::follow(coop, &tip, &onto)?.err() } else { None };
    if behind.is_none() {
        follow::keep(&mut fork);
        for key in ["Onto", "Landed", "Target", "Accepted"] {
            fork.set(key, "");
        }
        fork.record(&store, "open for review again", Vec::new())?;
    }
    Ok(Undone { target: short, from: tip, to: onto, again: dropped, behind })
}
