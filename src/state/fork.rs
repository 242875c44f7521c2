//! The record of a fork: what `refs/coop/forks/<name>/meta` says, and moving it on.

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::objects::Reader;
use crate::git::refs::Edit;
use crate::git::{Git, Oid, Repo, peek};

use super::event::{Event, Store, get, last_paragraph, parse_trailers};
use super::name::ForkName;

/// Where a fork is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkState {
    /// Made, nothing ran yet.
    Open,
    /// A box is at work; the process that holds the fork's lock owns it.
    Working,
    /// The last run ended without a commit.
    Idle,
    /// Commits are waiting to be reviewed.
    Review,
    /// The gate passed on the tree of this head.
    Gated,
    /// The gate failed, or the policy refused.
    Rejected,
    /// Being landed by the process that holds the fork's lock; nothing has moved yet.
    Landing,
    /// Landed on a branch.
    Landed,
    /// Dropped.
    Dropped,
}

const STATES: &[(ForkState, &str)] = &[
    (ForkState::Open, "open"),
    (ForkState::Working, "working"),
    (ForkState::Idle, "idle"),
    (ForkState::Review, "review"),
    (ForkState::Gated, "gated"),
    (ForkState::Rejected, "rejected"),
    (ForkState::Landing, "landing"),
    (ForkState::Landed, "landed"),
    (ForkState::Dropped, "dropped"),
];

impl ForkState {
    /// The word in `Coop-State`.
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(s, _)| *s == self).map_or("open", |(_, w)| w)
    }
    fn parse(word: &str) -> Result<Self> {
        STATES.iter().find(|(_, w)| *w == word).map(|(s, _)| *s).ok_or_else(|| {
            Error::usage(format!("a fork is in the unknown state '{word}'")).hint("install the newer git-coop")
        })
    }
}

/// A fork as its last event says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Its name.
    pub name: ForkName,
    /// The tip of its event chain; `None` before the first event is written.
    pub tip: Option<Oid>,
    /// Seconds since the epoch of the last event.
    pub updated: i64,
    /// State.
    pub state: ForkState,
    /// The commit it was made from.
    pub base: Oid,
    /// Its code as last imported; the base at first.
    pub head: Oid,
    /// The work tree.
    pub path: PathBuf,
    /// Every other trailer by key, unknown ones included: they are written again.
    pub more: Vec<(String, String)>,
}

const OWN: &[&str] = &["Kind", "State", "Base", "Head", "Path"];

impl Fork {
    /// A value besides the fields: `Agent`, `Branch`, `Session`, `Ahead`, `Files`, `Lines`, `Uncommitted`, `Exit`, `Note`, `Host`, ….
    pub fn get(&self, key: &str) -> Option<&str> {
        get(&self.more, key)
    }
    /// Sets or, with an empty value, removes one.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        self.more.retain(|(k, _)| k != key);
        if !value.is_empty() {
            self.more.push((key.to_owned(), value));
        }
    }
    /// The event of this snapshot.
    pub fn event(&self, what: &str) -> Event {
        let mut trailers = vec![
            ("Kind".to_owned(), "fork".to_owned()),
            ("State".to_owned(), self.state.as_str().to_owned()),
            ("Base".to_owned(), self.base.to_string()),
            ("Head".to_owned(), self.head.to_string()),
            ("Path".to_owned(), self.path.to_string_lossy().into_owned()),
        ];
        trailers.extend(self.more.iter().cloned());
        Event { subject: format!("fork {}: {what}", self.name), trailers, ..Event::default() }
    }
    /// Records this snapshot, with other refs in the same transaction. Errors: exit 3 on a lost race.
    pub fn record(&mut self, store: &Store<'_>, what: &str, more: Vec<Edit>) -> Result<()> {
        self.record_with(store, self.event(what), more)
    }
    /// As [`Fork::record`], with an event made by the caller (files, a body).
    pub fn record_with(&mut self, store: &Store<'_>, event: Event, more: Vec<Edit>) -> Result<()> {
        let tip = store.commit(&self.name.meta_ref(), self.tip.as_ref(), &event, more)?;
        self.tip = Some(tip);
        self.updated = crate::time::now(store.env());
        Ok(())
    }

    /// Reads one fork; `None` where there is none of this name.
    pub fn find(repo: &Repo, env: &Env, name: &ForkName) -> Result<Option<Fork>> {
        let tip = match peek::one(repo, &name.meta_ref()) {
            Some(Some(tip)) => tip,
            Some(None) => return Ok(None),
            None => return Ok(read(repo, env, &name.meta_ref())?.pop()),
        };
        of_event(&Reader::open(repo)?, name.clone(), tip).map(Some)
    }
    /// Reads one fork. Errors: exit 2 with the names there are.
    pub fn load(repo: &Repo, env: &Env, name: &ForkName) -> Result<Fork> {
        if let Some(fork) = Fork::find(repo, env, name)? {
            return Ok(fork);
        }
        let names: Vec<String> = Fork::all(repo, env)?.iter().map(|f| f.name.to_string()).collect();
        let hint = match crate::ui::nearest(name.as_str(), names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'? git coop fork ls shows them all"),
            None => "git coop fork ls".to_owned(),
        };
        Err(Error::usage(format!("no fork '{name}'")).hint(hint))
    }
    /// All forks in the order of their names.
    pub fn all(repo: &Repo, env: &Env) -> Result<Vec<Fork>> {
        if let Some(refs) = peek::below(repo, "refs/coop/forks/") {
            let reader = Reader::open(repo)?;
            let metas = refs.into_iter().filter_map(|(name, tip)| Some((short(&name)?.to_owned(), tip)));
            return metas.map(|(name, tip)| of_event(&reader, ForkName::parse(&name)?, tip)).collect();
        }
        read(repo, env, "refs/coop/forks/*/meta")
    }
}

/// `x` of `refs/coop/forks/x/meta`.
fn short(name: &str) -> Option<&str> {
    name.strip_prefix("refs/coop/forks/")?.strip_suffix("/meta").filter(|name| !name.contains('/'))
}

/// The fork `name` as the event `tip` says it is.
pub(super) fn of_event(reader: &Reader, name: ForkName, tip: Oid) -> Result<Fork> {
    let event = reader.commit(&tip)?;
    parse(name, tip, event.time, last_paragraph(&event.message))
}

/// Asks git, where refs are not files.
fn read(repo: &Repo, env: &Env, pattern: &str) -> Result<Vec<Fork>> {
    let format = "%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents:trailers:only,unfold)%00";
    let out = Git::new(repo, env).args(["for-each-ref", &format!("--format={format}"), pattern]).read()?;
    let text = String::from_utf8_lossy(&out);
    let mut forks = Vec::new();
    let mut fields = text.split('\0').map(|f| f.trim_start_matches('\n'));
    while let (Some(name), Some(tip), Some(time), Some(trailers)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    {
        let name = ForkName::parse(short(name).unwrap_or_default())?;
        forks.push(parse(name, Oid::parse(tip)?, time.parse().unwrap_or(0), trailers)?);
    }
    Ok(forks)
}

fn parse(name: ForkName, tip: Oid, updated: i64, paragraph: &str) -> Result<Fork> {
    let trailers = parse_trailers(paragraph)?;
    let need = |key: &str| {
        get(&trailers, key).ok_or_else(|| {
            Error::usage(format!("the state of fork '{name}' has no {key}"))
                .hint(format!("git log -p {} shows who wrote it; git update-ref -d removes it", name.meta_ref()))
        })
    };
    let (state, base, head, path) = (need("State")?, need("Base")?, need("Head")?, need("Path")?);
    let (state, base, head) = (ForkState::parse(state)?, Oid::parse(base)?, Oid::parse(head)?);
    let path = PathBuf::from(path);
    let more = trailers.into_iter().filter(|(k, _)| !OWN.contains(&k.as_str())).collect();
    Ok(Fork { name, tip: Some(tip), updated, state, base, head, path, more })
}
