//! `git coop sync`: coop's state on another machine, through any git remote.
//!
//! What others did appears below `refs/coop-remote/<remote>/` and nowhere else: every entity keeps its one writer. What
//! happened here is pushed, each ref only from the value that was fetched a moment before. A name that means another
//! thing there is a collision: it is named and left alone. Only the archive belongs to everybody: two of them become one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::error::{Error, Result};
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::remote::{self, Move};
use crate::git::{Git, Oid, picks};
use crate::state::{Event, Fork, Store};
use crate::ui::text::count;

use super::Coop;
use super::scan::{self, Policy, What};

const OURS: &str = "refs/coop/";
const ARCHIVE: &str = "refs/coop/archive";

/// What a sync did.
#[derive(Debug, Default)]
pub struct Report {
    /// Refs of the remote that are new or changed here.
    pub fetched: usize,
    /// Refs that the remote got.
    pub pushed: usize,
    /// Refs that went from the remote because what they stood for is in the archive.
    pub removed: usize,
    /// What means another thing there, in words.
    pub collisions: Vec<String>,
    /// What was written by another machine after this one: left alone.
    pub behind: Vec<String>,
    /// What was kept back because the scan found something.
    pub secrets: Vec<String>,
}

/// The remote to use where none is named: `origin`, or the only one. Errors: exit 2.
pub fn choose(coop: &Coop, asked: Option<&str>) -> Result<String> {
    let names = remote::names(&coop.repo, &coop.env)?;
    let found = match asked {
        Some(name) => names.iter().find(|n| *n == name),
        None => names.iter().find(|n| *n == "origin").or(if names.len() == 1 { names.first() } else { None }),
    };
    let plain = |name: &&String| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)) && !name.starts_with('-')
    };
    match (found.filter(plain), asked) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(name)) => Err(Error::usage(format!("there is no remote '{name}'")).hint(match crate::ui::nearest(
            name,
            names.iter().map(String::as_str),
        ) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "git remote -v".into(),
        })),
        (None, None) => {
            Err(Error::usage("it is not clear which remote is meant").hint("git coop sync REMOTE; git remote -v"))
        }
    }
}

/// Fetches, then pushes. Errors: exit 2 where the remote cannot be reached. Collisions are in the report.
pub fn sync(coop: &Coop, remote: &str) -> Result<Report> {
    let prefix = remote::prefix(remote);
    let before: BTreeSet<_> = refs::list(&coop.repo, &coop.env, &[&prefix])?.into_iter().collect();
    remote::fetch(&coop.repo, &coop.env, remote)?;
    let there = refs::list(&coop.repo, &coop.env, &[&prefix])?;
    let mut report = Report { fetched: there.iter().filter(|r| !before.contains(*r)).count(), ..Report::default() };
    let there: BTreeMap<String, Oid> = there
        .into_iter()
        .filter_map(|(name, oid)| Some((format!("{OURS}{}", name.strip_prefix(&prefix)?), oid)))
        .collect();
    one_archive(coop, remote, there.get(ARCHIVE))?;
    let here: BTreeMap<String, Oid> = refs::list(&coop.repo, &coop.env, &[OURS])?.into_iter().collect();
    let mut side = Sides { coop, remote, here: &here, there: &there, report: &mut report };
    let mut moves = side.pushes()?;
    let gone = side.closed()?;
    let removed = gone.len();
    moves.extend(gone);
    let refused = remote::push(&coop.repo, &coop.env, remote, &moves)?;
    for (name, why) in &refused {
        report.collisions.push(format!("{}: the remote refused it: {}", short(name), crate::ui::text::printable(why)));
    }
    let lost = |name: &String| refused.iter().any(|(refused, _)| refused == name);
    let kept = moves.iter().filter(|m| m.new.is_none() && lost(&m.name)).count();
    report.removed = removed - kept;
    report.pushed = moves.len() - removed - (refused.len() - kept);
    // what the remote has now, so that the next look needs no network
    remote::fetch(&coop.repo, &coop.env, remote)?;
    Ok(report)
}

/// Two archives become one: nothing in them can contradict.
fn one_archive(coop: &Coop, remote: &str, theirs: Option<&Oid>) -> Result<()> {
    let (repo, env) = (&coop.repo, &coop.env);
    for _ in 0..8 {
        let ours = refs::read(repo, env, ARCHIVE)?;
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
        if picks::is_ancestor(repo, env, theirs, &ours)? {
            return Ok(());
        }
        let (new, what) = if picks::is_ancestor(repo, env, &ours, theirs)? {
            (theirs.clone(), "archive: forwarded")
        } else {
            let trailers = vec![("Kind".into(), "archive".into()), ("State".into(), "merged".into())];
            let event =
                Event { subject: format!("archive: joined with that of {remote}"), trailers, ..Event::default() };
            let store = Store::open(repo, env)?;
            (store.write_with_parents(&event, &[ours.clone(), theirs.clone()])?, "archive: joined")
        };
        if refs::transaction(repo, env, what, &[Edit::set(ARCHIVE, Old::Is(ours), new)])? == Outcome::Done {
            return Ok(());
        }
    }
    Err(Error::conflict("the archive is written by others all the time").hint("git coop sync"))
}

/// Both sides, and what is found on the way.
struct Sides<'a> {
    coop: &'a Coop,
    remote: &'a str,
    here: &'a BTreeMap<String, Oid>,
    there: &'a BTreeMap<String, Oid>,
    report: &'a mut Report,
}

/// How a ref here stands to the one there.
enum Stand {
    Same,
    Newer,
    Older,
    Other,
}

impl Sides<'_> {
    fn stand(&self, here: &Oid, there: &Oid) -> Result<Stand> {
        let (repo, env) = (&self.coop.repo, &self.coop.env);
        Ok(if here == there {
            Stand::Same
        } else if picks::is_ancestor(repo, env, there, here)? {
            Stand::Newer
        } else if picks::is_ancestor(repo, env, here, there)? {
            Stand::Older
        } else {
            Stand::Other
        })
    }

    /// What the remote gets. A fork's code goes with its events or not at all.
    fn pushes(&mut self) -> Result<Vec<Move>> {
        let forks: BTreeMap<String, Fork> =
            Fork::all(&self.coop.repo, &self.coop.env)?.into_iter().map(|f| (f.name.to_string(), f)).collect();
        let mut held: BTreeSet<String> = BTreeSet::new(); // forks that stay behind
        let mut moves = Vec::new();
        let (events, code): (Vec<_>, Vec<_>) = self.here.iter().partition(|(name, _)| fork_of_code(name).is_none());
        for (name, new) in events {
            if name.starts_with("refs/coop/live/") && (name.ends_with("/from") || name.ends_with("/to")) {
                continue; // they live for milliseconds
            }
            let old = self.there.get(name);
            let stand = old.map_or(Ok(Stand::Newer), |old| self.stand(new, old))?;
            let say = match stand {
                Stand::Same => continue,
                Stand::Newer if self.clean(name, old, new)? => {
                    moves.push(Move { name: name.clone(), old: old.cloned(), new: Some(new.clone()) });
                    continue;
                }
                Stand::Newer => None,
                Stand::Older => Some((false, format!("{}: {} has newer events", short(name), self.remote))),
                Stand::Other => Some((true, self.collision(name)?)),
            };
            if let Some(fork) = fork_of(name) {
                held.insert(fork.to_owned());
            }
            match say {
                Some((true, text)) => self.report.collisions.push(text),
                Some((false, text)) => self.report.behind.push(text),
                None => {}
            }
        }
        for (name, new) in code {
            let Some(fork) = fork_of_code(name).filter(|fork| !held.contains(*fork)) else { continue };
            let old = self.there.get(name);
            let base = forks.get(fork).map(|f| &f.base);
            if old != Some(new) && self.clean(name, base, new)? {
                moves.push(Move { name: name.clone(), old: old.cloned(), new: Some(new.clone()) });
            }
        }
        Ok(moves)
    }

    /// What is closed here goes there: its events are in the archive.
    fn closed(&mut self) -> Result<Vec<Move>> {
        let Some(archive) = self.here.get(ARCHIVE) else { return Ok(Vec::new()) };
        let mut moves = Vec::new();
        let mut forks = BTreeSet::new();
        let gone = |(name, _): &(&String, &Oid)| !self.here.contains_key(*name);
        for (name, old) in self.there.iter().filter(gone) {
            let closed = match fork_of_code(name) {
                Some(fork) => forks.contains(fork),
                None => picks::is_ancestor(&self.coop.repo, &self.coop.env, old, archive)?,
            };
            if closed {
                forks.extend(fork_of(name).map(str::to_owned));
                moves.push(Move { name: name.clone(), old: Some(old.clone()), new: None });
            }
        }
        // `head` sorts before `meta`: the code of what was just closed
        for (name, old) in self.there.iter().filter(gone) {
            if fork_of_code(name).is_some_and(|fork| forks.contains(fork)) && !moves.iter().any(|m| m.name == *name) {
                moves.push(Move { name: name.clone(), old: Some(old.clone()), new: None });
            }
        }
        Ok(moves)
    }

    /// Whether nothing between `old` and `new` looks like a secret; what does stays here and is named.
    fn clean(&mut self, name: &str, old: Option<&Oid>, new: &Oid) -> Result<bool> {
        let range = old.map_or_else(|| new.to_string(), |old| format!("{old}..{new}"));
        let found = scan::run(scan::Request {
            env: &self.coop.env,
            cwd: &self.coop.repo.work_tree,
            what: What::Range(range),
            policy: Policy::default(),
            cancel: &AtomicBool::new(false),
            progress: &AtomicU64::new(0),
        })?;
        if found.findings.is_empty() && !found.is_incomplete() {
            return Ok(true);
        }
        let what = match found.findings.len() {
            0 => "it could not be scanned".to_owned(),
            n => count(n, "secret"),
        };
        self.report.secrets.push(format!("{}: {what}", short(name)));
        Ok(false)
    }

    fn collision(&self, name: &str) -> Result<String> {
        let there = format!("{}{}", remote::prefix(self.remote), short(name));
        let format = "--format=%(trailers:key=Coop-Host,valueonly,separator=)";
        let host =
            Git::new(&self.coop.repo, &self.coop.env).args(["log", "-1", format, "--end-of-options", &there]).line()?;
        let from = if host.is_empty() { String::new() } else { format!(" (of {})", crate::ui::text::printable(&host)) };
        Ok(format!("{}: {} has another one{from}", short(name), self.remote))
    }
}

/// The name without what all have in common.
fn short(name: &str) -> &str {
    name.strip_prefix(OURS).unwrap_or(name)
}

fn fork_of(name: &str) -> Option<&str> {
    short(name).strip_prefix("forks/")?.split('/').next()
}

/// The fork whose code `name` is; `None` for events.
fn fork_of_code(name: &str) -> Option<&str> {
    fork_of(name).filter(|_| !name.ends_with("/meta"))
}
