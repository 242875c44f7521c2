//! What claims and loops have in common: a ref whose newest event holds the whole snapshot as trailers.

use std::collections::BTreeMap;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::objects::Reader;
use crate::git::{Git, Oid, Repo, peek};

use super::event::{Event, get, last_paragraph, parse_trailers};

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The newest event; `None` before the first is written.
    pub tip: Option<Oid>,
    /// When it was written, in seconds since the epoch.
    pub updated: i64,
    /// Its subject, for people.
    pub subject: String,
    /// All trailers but `Kind`, unknown ones included: they are written again.
    pub trailers: Vec<(String, String)>,
}

impl Record {
    /// A value.
    pub fn get(&self, key: &str) -> Option<&str> {
        get(&self.trailers, key)
    }
    /// A number; 0 where there is none.
    pub fn number(&self, key: &str) -> u64 {
        self.get(key).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
    /// Sets or, with an empty value, removes one.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        match self.trailers.iter_mut().find(|(k, _)| k == key) {
            Some(found) => found.1 = value,
            None => self.trailers.push((key.to_owned(), value)),
        }
        self.trailers.retain(|(_, v)| !v.is_empty());
    }
    /// The event of this snapshot.
    pub fn event(&self, kind: &str, subject: String) -> Event {
        let mut trailers = vec![("Kind".to_owned(), kind.to_owned())];
        trailers.extend(self.trailers.iter().cloned());
        Event { subject, body: String::new(), trailers, files: BTreeMap::new() }
    }
}

/// The record of the ref `<prefix><name>`; `None` where there is none. Read without a git process where refs are files.
pub fn one(repo: &Repo, env: &Env, prefix: &str, name: &str) -> Result<Option<Record>> {
    match peek::one(repo, &format!("{prefix}{name}")) {
        Some(Some(tip)) => of_event(&Reader::open(repo)?, tip).map(Some),
        Some(None) => Ok(None),
        None => Ok(ask(repo, env, prefix, name)?.pop().map(|(_, record)| record)),
    }
}

/// The records of all refs below `prefix` that have `levels` parts there (1 is `<prefix>x`), by those parts. Read without
/// a git process where refs are files.
pub fn all(repo: &Repo, env: &Env, prefix: &str, levels: usize) -> Result<Vec<(String, Record)>> {
    let Some(refs) = peek::below(repo, prefix) else {
        return ask(repo, env, prefix, &vec!["*"; levels].join("/"));
    };
    let reader = Reader::open(repo)?;
    let names = refs.into_iter().filter_map(|(name, tip)| Some((name.strip_prefix(prefix)?.to_owned(), tip)));
    let wanted = names.filter(|(name, _)| name.split('/').count() == levels);
    wanted.map(|(name, tip)| Ok((name, of_event(&reader, tip)?))).collect()
}

/// What the event `tip` says.
fn of_event(reader: &Reader, tip: Oid) -> Result<Record> {
    let event = reader.commit(&tip)?;
    let subject = event.message.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    of(tip, event.time, subject, last_paragraph(&event.message))
}

fn of(tip: Oid, updated: i64, subject: String, paragraph: &str) -> Result<Record> {
    let mut trailers = parse_trailers(paragraph)?;
    trailers.retain(|(key, _)| key != "Kind");
    Ok(Record { tip: Some(tip), updated, subject, trailers })
}

/// Asks git for the records of all refs that `pattern` names below `prefix`.
fn ask(repo: &Repo, env: &Env, prefix: &str, pattern: &str) -> Result<Vec<(String, Record)>> {
    let format = "%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents:subject)%00%(contents:trailers:only,unfold)%00";
    let pattern = format!("{prefix}{pattern}");
    let out = Git::new(repo, env).args(["for-each-ref", &format!("--format={format}"), &pattern]).read()?;
    let text = String::from_utf8_lossy(&out);
    let mut records = Vec::new();
    let mut fields = text.split('\0').map(|f| f.trim_start_matches('\n'));
    while let (Some(name), Some(tip), Some(time), Some(subject), Some(trailers)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    {
        let record = of(Oid::parse(tip)?, time.parse().unwrap_or(0), subject.to_owned(), trailers)?;
        records.push((name.strip_prefix(prefix).unwrap_or(name).to_owned(), record));
    }
    Ok(records)
}

/// The error for a record whose state this version does not know.
pub fn unknown(what: &str, word: &str) -> Error {
    Error::usage(format!("{what} is in the unknown state '{word}'")).hint("install the newer git-coop")
}
