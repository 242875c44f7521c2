//! What the boxes of a fork may reach besides the settings: `refs/coop/forks/<name>/allow`, whose last event has the
//! whole list. It is a ref of its own, because the fork's record has one writer, which is the process of a running box.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::refs;
use crate::git::{Git, Repo};

use super::ForkName;
use super::event::{Event, Store, get, parse_trailers};

/// How often a lost race is run again.
const TRIES: usize = 8;

/// The list, as it was written. One git process.
pub fn read(repo: &Repo, env: &Env, name: &ForkName) -> Result<Vec<String>> {
    let format = "--format=%(contents:trailers:only,unfold)";
    let text = Git::new(repo, env).args(["for-each-ref", format, &name.allow_ref()]).read()?;
    let trailers = parse_trailers(&String::from_utf8_lossy(&text))?;
    Ok(get(&trailers, "Hosts").unwrap_or_default().split_whitespace().map(str::to_owned).collect())
}

/// Adds `hosts` and gives the whole list. Errors: exit 3 where somebody else writes it all the time.
pub fn add(store: &Store<'_>, name: &ForkName, hosts: &[String]) -> Result<Vec<String>> {
    let (repo, env) = (store.repo(), store.env());
    for _ in 0..TRIES {
        let tip = refs::read(repo, env, &name.allow_ref())?;
        let mut all = read(repo, env, name)?;
        all.extend(hosts.iter().filter(|host| !all.contains(host)).cloned().collect::<Vec<_>>());
        let event = Event {
            subject: format!("fork {name}: may reach {}", hosts.join(" ")),
            trailers: vec![("Kind".into(), "allow".into()), ("Hosts".into(), all.join(" "))],
            ..Event::default()
        };
        match store.commit(&name.allow_ref(), tip.as_ref(), &event, Vec::new()) {
            Err(err) if err.kind() == crate::error::Kind::Conflict => {}
            other => return other.map(|_| all),
        }
    }
    Err(Error::conflict(format!("{} is being written by somebody else all the time", name.allow_ref()))
        .hint(format!("git log {}", name.allow_ref())))
}
