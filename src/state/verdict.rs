//! Verdicts and landings, found again in the chains of forks, live and archived. A verdict belongs to a tree and
//! a command, not to a commit: rebasing onto the same tree keeps it, and the same tree is never gated twice.

use crate::env::Env;
use crate::error::Result;
use crate::git::objects::Reader;
use crate::git::{Git, Oid, Repo};

use super::event::{get, parse_trailers};

/// Where events are: never the code beside them. The brackets make git take a full name as a pattern.
const CHAINS: &[&str] = &["--glob=refs/coop/forks/*/meta", "--glob=refs/coop/loops", "--glob=refs/coop/archiv[e]"];

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

/// Events whose message contains all of `needles`, newest first; the needles are only a filter, trailers decide.
fn search(repo: &Repo, env: &Env, needles: &[String]) -> Result<Vec<Found>> {
    let out = Git::isolated(repo, env)
        .args(["log", "-z", "--no-show-signature", "--fixed-strings", "--all-match"])
        .arg("--format=%H%x1f%s%x1f%(trailers:only,unfold)")
        .args(needles.iter().map(|n| format!("--grep={n}")))
        .args(CHAINS)
        .read()?;
    let text = String::from_utf8_lossy(&out).into_owned();
    let mut found = Vec::new();
    for entry in text.split('\0').filter(|e| !e.is_empty()) {
        let mut fields = entry.splitn(3, '\u{1f}');
        let (Some(event), Some(subject), Some(trailers)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        found.push(Found {
            event: Oid::parse(event)?,
            subject: subject.to_owned(),
            trailers: parse_trailers(trailers)?,
        });
    }
    Ok(found)
}

/// The verdict on `tree` by the command with `digest`.
pub fn find(repo: &Repo, env: &Env, tree: &Oid, digest: &Oid) -> Result<Option<Verdict>> {
    let found = search(repo, env, &[format!("Coop-Tree: {tree}"), format!("Coop-Gate: {digest}")])?;
    let matching: Vec<&Found> = found
        .iter()
        .filter(|f| f.get("Tree") == Some(tree.as_str()) && f.get("Gate") == Some(digest.as_str()))
        .collect();
    let Some(mut verdict) = matching.iter().find_map(|f| f.verdict()) else { return Ok(None) };
    verdict.logs.extend(matching.iter().map(|f| f.event.clone()));
    Ok(Some(verdict))
}

/// A green verdict on `tree` by whatever command.
pub fn green(repo: &Repo, env: &Env, tree: &Oid) -> Result<Option<Verdict>> {
    let found = search(repo, env, &[format!("Coop-Tree: {tree}"), "Coop-Verdict: passed".into()])?;
    Ok(found.iter().filter(|f| f.get("Tree") == Some(tree.as_str())).filter_map(Found::verdict).find(|v| v.passed))
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
    for found in search(repo, env, &["Coop-Landed: ".into()])? {
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
