//! Event commits: subject for people, last paragraph for machines.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::packed;
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::transactions::Transactions;
use crate::git::write::{NewCommit, Writer};
use crate::git::{Oid, Repo, ident};

/// The schema this program reads and writes.
pub const SCHEMA: u32 = 1;

/// One change of an entity, with the whole snapshot after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `<kind> <name>: <what happened>`, at most 72 columns.
    pub subject: String,
    /// Free text that is never parsed.
    pub body: String,
    /// The snapshot: keys without the `Coop-` in front, in the order they are written.
    pub trailers: Vec<(String, String)>,
    /// Bulk: files of the event's tree.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Event {
    /// The commit message. Values lose control characters, so that the last paragraph stays ours.
    pub fn message(&self) -> String {
        let mut out: String = clean(&self.subject).chars().take(100).collect();
        out.push('\n');
        if !self.body.trim().is_empty() {
            out.push('\n');
            out.push_str(&crate::ui::text::printable_lines(self.body.trim()));
            out.push('\n');
        }
        out.push_str(&format!("\nCoop-Schema: {SCHEMA}\n"));
        for (key, value) in &self.trailers {
            let value = clean(value);
            if !value.is_empty() {
                out.push_str(&format!("Coop-{key}: {value}\n"));
            }
        }
        out
    }
}

fn clean(text: &str) -> String {
    crate::ui::text::printable(text).trim().to_owned()
}

/// The paragraph of a message that holds the trailers.
pub fn last_paragraph(message: &str) -> &str {
    message.trim_end().rsplit("\n\n").next().unwrap_or_default()
}

/// Reads the trailers of the last paragraph of a message: `Coop-Key: value` lines, `Coop-` removed.
/// Errors where the schema is newer than ours (exit 2).
pub fn parse_trailers(paragraph: &str) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    for line in paragraph.lines() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        let Some(key) = key.strip_prefix("Coop-") else { continue };
        if key == "Schema" {
            let version: u32 = value.trim().parse().unwrap_or(u32::MAX);
            if version > SCHEMA {
                return Err(Error::usage(format!("the state was written by a newer git-coop (schema {value})"))
                    .hint("install the newer git-coop"));
            }
        } else {
            out.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(out)
}

/// Writes events into one repository. Holds what every event needs, read once.
pub struct Store<'a> {
    repo: &'a Repo,
    env: &'a Env,
    objects: Writer,
    ident: String,
    /// The git of [`Store::prepare`].
    refs: RefCell<Option<Transactions>>,
}

impl<'a> Store<'a> {
    /// Opens the object store and asks git who the user is.
    pub fn open(repo: &'a Repo, env: &'a Env) -> Result<Self> {
        Store::of(repo, env, None)
    }
    /// As [`Store::open`], for `known` as [`ident::configured`] gave it.
    pub fn of(repo: &'a Repo, env: &'a Env, known: Option<&str>) -> Result<Self> {
        let ident = ident::committer(repo, env, known)?;
        let ident = at(&ident, crate::time::now(env));
        Ok(Store { repo, env, objects: Writer::open(repo)?, ident, refs: RefCell::new(None) })
    }
    /// Starts the git that will move refs, so that it is ready by then, and is the only one for all transactions from
    /// now on. The reflogs say `message`.
    pub fn prepare(&self, message: &str) -> Result<()> {
        *self.refs.borrow_mut() = Some(Transactions::begin(self.repo, self.env, message)?);
        Ok(())
    }
    /// Several refs in one step, or none.
    pub fn transaction(&self, message: &str, edits: &[Edit]) -> Result<Outcome> {
        match self.refs.borrow_mut().as_mut() {
            Some(refs) => refs.run(edits),
            None => refs::transaction(self.repo, self.env, message, edits),
        }
    }
    /// Writes the event commit on top of `previous`; no ref refers to it yet.
    pub fn write(&self, event: &Event, previous: Option<&Oid>) -> Result<Oid> {
        let parents: Vec<Oid> = previous.into_iter().cloned().collect();
        self.write_with_parents(event, &parents)
    }
    /// Writes a commit with any parents (the archive).
    pub fn write_with_parents(&self, event: &Event, parents: &[Oid]) -> Result<Oid> {
        let message = event.message();
        self.objects.commit(&NewCommit { ident: &self.ident, parents, message: &message, files: &event.files })
    }
    /// Writes `event` on `name` and moves `name` from `old`, with `more` edits in the same transaction.
    /// Gives the new tip. Errors: exit 3 where somebody else moved one of the refs.
    pub fn commit(&self, name: &str, old: Option<&Oid>, event: &Event, more: Vec<Edit>) -> Result<Oid> {
        let tip = self.write(event, old)?;
        let mut edits = vec![Edit::set(name, Old::from(old.cloned()), tip.clone())];
        edits.extend(more);
        match self.transaction(&event.subject, &edits)? {
            Outcome::Done => {
                packed::when_many(self.repo, self.env, name);
                Ok(tip)
            }
            Outcome::Lost => Err(Error::conflict(format!("{name} was changed by somebody else meanwhile"))
                .hint(format!("git log -3 {name}; then try again"))),
        }
    }
    /// `Name <email> seconds zone` of the user, now.
    pub fn ident(&self) -> &str {
        &self.ident
    }
    /// The repository.
    pub fn repo(&self) -> &Repo {
        self.repo
    }
    /// The environment.
    pub fn env(&self) -> &Env {
        self.env
    }
}

/// Replaces the time of an identity line by `now`, so that tests with a fixed clock get fixed commits.
fn at(ident: &str, now: i64) -> String {
    let mut parts: Vec<&str> = ident.rsplitn(3, ' ').collect();
    parts.reverse();
    match parts.as_slice() {
        [who, _, zone] => format!("{who} {now} {zone}"),
        _ => ident.to_owned(),
    }
}

/// A lookup over trailers.
pub fn get<'a>(trailers: &'a [(String, String)], key: &str) -> Option<&'a str> {
    trailers.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_trailer() {
        let event = Event {
            subject: "fork x: open".into(),
            body: "Coop-State: landed".into(),
            trailers: vec![("State".into(), "open\nCoop-State: landed".into()), ("Empty".into(), String::new())],
            files: BTreeMap::new(),
        };
        let message = event.message();
        let trailers = parse_trailers(last_paragraph(&message)).expect("parses");
        assert_eq!(trailers.len(), 1);
        assert_eq!(get(&trailers, "State"), Some("open\\u{a}Coop-State: landed"));
        assert!(parse_trailers("Coop-Schema: 2").is_err());
    }
}
