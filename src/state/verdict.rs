//! Verdicts and landings, found again in the chains of forks, live and archived. A verdict belongs to a tree and
//! a command, not to a commit: rebasing onto the same tree keeps it, and the same tree is never gated twice.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::env::Env;
use crate::error::Result;
use crate::git::objects::Reader;
use crate::git::{Oid, Repo, refs};

use super::event::{get, last_paragraph, parse_trailers};

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it passed.
    pub passed: bool,
    /// The tree.
    pub tree: Oid,
    /// The command as it was typed.
    pub command: String,
    /// Seconds it took.
    pub seconds: u64,
    /// `exit 1`, `ran out of time`.
    pub how: String,
    /// The newest event that says so.
    pub event: Oid,
    /// Events that may keep the log, the likeliest first.
    pub logs: Vec<Oid>,
}

/// One landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The event.
    pub event: Oid,
    /// The fork.
    pub fork: String,
    /// Who worked in it.
    pub agent: String,
    /// The new tip.
    pub tip: Oid,
    /// What it landed on.
    pub onto: Oid,
    /// The gate's verdict on the tip's tree.
    pub verdict: Option<Verdict>,
    /// Every landed commit, oldest first.
    pub commits: Vec<Oid>,
}

struct Found {
    event: Oid,
    time: i64,
    subject: String,
    trailers: Vec<(String, String)>,
}

impl Found {
    fn get(&self, key: &str) -> Option<&str> {
        get(&self.trailers, key)
    }
    fn verdict(&self) -> Option<Verdict> {
        Some(Verdict {
            passed: match self.get("Verdict")? {
                "passed" => true,
                "failed" => false,
                _ => return None,
            },
            tree: Oid::parse(self.get("Tree")?).ok()?,
            command: self.get("Gate-Command").unwrap_or_default().to_owned(),
            seconds: self.get("Seconds").and_then(|s| s.parse().ok()).unwrap_or(0),
            how: self.get("Gate-How").unwrap_or_default().to_owned(),
            event: self.event.clone(),
            logs: self.get("Log").and_then(|oid| Oid::parse(oid).ok()).into_iter().collect(),
        })
    }
}

thread_local! {
    /// Events that this thread has read, by id: they never change. Only those that carry a verdict or a landing are kept
    /// whole.
    static READ: RefCell<HashMap<Oid, Read>> = RefCell::default();
}

#[derive(Clone)]
struct Read {
    parents: Vec<Oid>,
    found: Option<Rc<Found>>,
}

/// Every event that carries a verdict or a landing, newest first.
fn events(repo: &Repo, env: &Env) -> Result<Vec<Rc<Found>>> {
    let mut tips = Vec::new();
    for (name, tip) in refs::below(repo, env, "refs/coop/")? {
        let chain = name.strip_prefix("refs/coop/").unwrap_or_default();
        let is_fork = chain.starts_with("forks/") && chain.ends_with("/meta");
        if is_fork || chain == "archive" || chain.starts_with("loops/") {
            tips.push(tip);
        }
    }
    let reader = Reader::open(repo)?;
    let mut seen: HashSet<Oid> = tips.iter().cloned().collect();
    let (mut found, mut queue) = (Vec::new(), tips);
    while let Some(id) = queue.pop() {
        let known = READ.with_borrow(|read| read.get(&id).cloned());
        let read = match known {
            Some(read) => read,
            None => {
                let read = one(&reader, &id)?;
                READ.with_borrow_mut(|all| all.insert(id.clone(), read.clone()));
                read
            }
        };
        found.extend(read.found);
        queue.extend(read.parents.into_iter().filter(|parent| seen.insert(parent.clone())));
    }
    found.sort_by_key(|event| std::cmp::Reverse(event.time));
    Ok(found)
}

fn one(reader: &Reader, id: &Oid) -> Result<Read> {
    let event = reader.commit(id)?;
    let trailers = parse_trailers(last_paragraph(&event.message))?;
    let told = get(&trailers, "Verdict").is_some() || get(&trailers, "Landed").is_some();
    let subject = event.message.lines().next().unwrap_or_default().to_owned();
    let found = told.then(|| Rc::new(Found { event: id.clone(), time: event.time, subject, trailers }));
    Ok(Read { parents: event.parents, found })
}

/// The verdict on `tree` by the command with `digest`.
pub fn find(repo: &Repo, env: &Env, tree: &Oid, digest: &Oid) -> Result<Option<Verdict>> {
    let found = events(repo, env)?;
    let matching: Vec<&Rc<Found>> = found
        .iter()
        .filter(|f| {
            f.get("Tree") == Some(tree.as_str())
                && (f.get("Gate") == Some(digest.as_str()) || crate::without::without("verdict-command"))
        })
        .collect();
    let Some(mut verdict) = matching.iter().find_map(|f| f.verdict()) else { return Ok(None) };
    verdict.logs.extend(matching.iter().map(|f| f.event.clone()));
    Ok(Some(verdict))
}

/// A green verdict on `tree` by whatever command.
pub fn green(repo: &Repo, env: &Env, tree: &Oid) -> Result<Option<Verdict>> {
    let found = events(repo, env)?;
    let on_tree = found.iter().filter(|f| f.get("Tree") == Some(tree.as_str()));
    Ok(on_tree.filter_map(|f| f.verdict()).find(|v| v.passed))
}

/// The log of a verdict as it was kept, and the event that keeps it.
pub fn log(repo: &Repo, verdict: &Verdict) -> Result<Option<(Oid, Vec<u8>)>> {
    let reader = Reader::open(repo)?;
    for event in &verdict.logs {
        if let Some(log) = reader.file(event, "gate.log")? {
            return Ok(Some((event.clone(), log)));
        }
    }
    Ok(None)
}

/// All landings, newest first, each once.
pub fn landings(repo: &Repo, env: &Env) -> Result<Vec<Landing>> {
    let reader = Reader::open(repo)?;
    let mut landings: Vec<Landing> = Vec::new();
    for found in events(repo, env)? {
        let id = |key: &str| found.get(key).and_then(|oid| Oid::parse(oid).ok());
        let (Some(tip), Some(onto)) = (id("Landed"), id("Onto")) else { continue };
        let Some(list) = reader.file(&found.event, "landed")? else { continue };
        if landings.iter().any(|l| l.tip == tip) {
            continue;
        }
        let commits = String::from_utf8_lossy(&list)
            .lines()
            .filter_map(|line| Oid::parse(line.split(' ').next()?).ok())
            .collect();
        let fork = found.subject.strip_prefix("fork ").and_then(|s| s.split(':').next()).unwrap_or("?").to_owned();
        let tree = reader.tree(&tip).ok();
        landings.push(Landing {
            event: found.event.clone(),
            fork,
            agent: found.get("Agent").unwrap_or("-").to_owned(),
            tip,
            onto,
            verdict: found.verdict().filter(|v| tree.as_ref() == Some(&v.tree)),
            commits,
        });
    }
    Ok(landings)
}
