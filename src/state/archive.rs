//! Closed things: their chains hang from one ref, so the number of live refs does not grow and
//! `git log refs/coop/archive` keeps the whole story.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::Repo;
use crate::git::objects::Reader;
use crate::git::refs::{self, Edit, Old, Outcome};

use super::event::{Event, Store};
use super::fork::{Fork, ForkState, of_event};
use super::name::ForkName;

const ARCHIVE: &str = "refs/coop/archive";

/// Ends a fork's chain with `what` and moves it under the archive; its refs disappear in the same
/// transaction. Errors: exit 3 where the fork was changed meanwhile.
pub fn close(store: &Store<'_>, fork: &Fork, state: ForkState, what: &str) -> Result<()> {
    let (repo, env) = (store.repo(), store.env());
    let mut closed = fork.clone();
    closed.state = state;
    let last = store.write(&closed.event(what), fork.tip.as_ref())?;
    for _ in 0..8 {
        let archive = refs::read(repo, env, ARCHIVE)?;
        let subject = format!("archive: fork {} {}", fork.name, state.as_str());
        let event = Event {
            subject,
            trailers: vec![("Kind".into(), "archive".into()), ("State".into(), state.as_str().into())],
            ..Event::default()
        };
        let parents: Vec<_> = archive.iter().cloned().chain([last.clone()]).collect();
        let tip = store.write_with_parents(&event, &parents)?;
        let mut edits = vec![Edit::set(ARCHIVE, Old::from(archive), tip)];
        if let Some(old) = &fork.tip {
            edits.push(Edit::delete(fork.name.meta_ref(), old.clone()));
        }
        for (name, oid) in
            refs::list(repo, env, &[&fork.name.head_ref(), &fork.name.allow_ref(), &fork.name.kept_prefix()])?
        {
            edits.push(Edit::delete(name, oid));
        }
        match refs::transaction(repo, env, &event.subject, &edits)? {
            Outcome::Done => return Ok(()),
            Outcome::Lost => {
                if refs::read(repo, env, &fork.name.meta_ref())? != fork.tip {
                    break;
                }
            }
        }
    }
    Err(Error::conflict(format!("fork '{}' was changed by somebody else meanwhile", fork.name))
        .hint("git coop fork ls"))
}

/// The fork `name` as it was when it was closed last; `None` where none of that name was.
pub fn find(repo: &Repo, env: &Env, name: &ForkName) -> Result<Option<Fork>> {
    let reader = Reader::open(repo)?;
    let mut at = refs::read(repo, env, ARCHIVE)?;
    while let Some(id) = at {
        // the archive before, unless this is its first event; then what was closed
        let mut parents = reader.commit(&id)?.parents;
        let Some(closed) = parents.pop() else { break };
        if reader.commit(&closed)?.message.starts_with(&format!("fork {name}: ")) {
            return of_event(&reader, name.clone(), closed).map(Some);
        }
        at = parents.pop();
    }
    Ok(None)
}
