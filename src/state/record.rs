//! What claims and loops have in common: a ref whose newest event holds the whole snapshot as trailers.

use std::collections::BTreeMap;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::{Git, Oid, Repo};

use super::event::{Event, get, parse_trailers};

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

/// The records of all refs that `pattern` names, by the part of their names after `prefix`: one git process.
pub fn read(repo: &Repo, env: &Env, prefix: &str, pattern: &str) -> Result<Vec<(String, Record)>> {
    let format = "%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents:subject)%00%(contents:trailers:only,unfold)%00";
    let pattern = format!("{prefix}{pattern}");
    let out = Git::new(repo, env).args(["for-each-ref", &format!("--format={format}"), &pattern]).read()?;
    let text = String::from_utf8_lossy(&out);
    let mut records = Vec::new();
    let mut fields = text.split('\0').map(|f| f.trim_start_matches('\n'));
    while let (Some(name), Some(tip), Some(time), Some(subject), Some(trailers)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    {
        let mut trailers = parse_trailers(trailers)?;
        trailers.retain(|(key, _)| key != "Kind");
        let record = Record {
            tip: Some(Oid::parse(tip)?),
            updated: time.parse().unwrap_or(0),
            subject: subject.to_owned(),
            trailers,
        };
        records.push((name.strip_prefix(prefix).unwrap_or(name).to_owned(), record));
    }
    Ok(records)
}

/// The error for a record whose state this version does not know.
pub fn unknown(what: &str, word: &str) -> Error {
    Error::usage(format!("{what} is in the unknown state '{word}'")).hint("install the newer git-coop")
}
