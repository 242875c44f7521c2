//! The dossier of a fork: commits, files in the order of risk, findings, the agent's claim, and whether it would land.

use std::io::{Read, Seek, SeekFrom};

use crate::error::{Error, Result};
use crate::git::objects::Reader;
use crate::git::{Git, Oid, diff, picks};
use crate::state::Fork;
use crate::state::verdict::{self, Verdict};
use crate::ui::text::{count, printable, printable_bytes};

use super::super::Coop;
use super::super::land::{self, Finding, Options, Policy};
use super::Risk;

/// Lines of the agent's log that are shown.
const CLAIM: usize = 12;
/// Commits that are listed.
const COMMITS: usize = 200;

/// A file of the fork.
#[derive(Debug, Clone)]
pub struct File {
    /// Path.
    pub path: Vec<u8>,
    /// How much it matters.
    pub risk: Risk,
    /// Lines added and removed; `None` for binary.
    pub lines: Option<(u64, u64)>,
}

/// Whether it would rebase.
#[derive(Debug)]
pub enum Lands {
    /// Cleanly, with this tree.
    Cleanly {
        /// The tree.
        tree: Oid,
        /// Whether nothing has to be rebased.
        as_is: bool,
    },
    /// It would not, and why.
    Not(Error),
}

/// Everything a reviewer is told.
#[derive(Debug)]
pub struct Dossier {
    /// The fork.
    pub fork: Fork,
    /// Branch it would land on; empty where there is none.
    pub target: String,
    /// The branch's commit.
    pub onto: Option<Oid>,
    /// Where the diff begins: the base, or what it shares with the target.
    pub from: Oid,
    /// Id, author and subject, oldest first.
    pub commits: Vec<(Oid, String, String)>,
    /// Files by risk, then churn.
    pub files: Vec<File>,
    /// What landing would want to be meant.
    pub findings: Vec<Finding>,
    /// The tail of the agent's log: its claim.
    pub claim: Vec<String>,
    /// Whether it would land.
    pub lands: Lands,
    /// The gate's command.
    pub gate: Option<String>,
    /// The last verdict on the tree that would land.
    pub verdict: Option<Verdict>,
}

/// Puts it together. `into` as for landing.
pub fn dossier(coop: &Coop, fork: Fork, options: &Options) -> Result<Dossier> {
    let gate = options.gate(coop);
    let from = fork.base.clone();
    let mut dossier = Dossier {
        target: String::new(),
        onto: None,
        commits: Vec::new(),
        files: Vec::new(),
        findings: Vec::new(),
        claim: claim(coop, &fork),
        lands: Lands::Not(Error::no("nothing to land")),
        gate,
        verdict: None,
        from,
        fork,
    };
    dossier.commits = commits(coop, &dossier.fork.base, &dossier.fork.head)?;
    let mut picks: Vec<Oid> = dossier.commits.iter().map(|(id, ..)| id.clone()).collect();
    match prospects(coop, &mut dossier, options) {
        Ok((list, lands)) => {
            picks = list;
            dossier.lands = lands;
        }
        Err(err) => dossier.lands = Lands::Not(err),
    }
    let mut policy = Policy::new(coop)?;
    dossier.findings = policy.check(&picks)?;
    let gate = dossier.gate.clone();
    dossier.files = diff::churn(&coop.repo, &coop.env, &dossier.from, &dossier.fork.head)?
        .into_iter()
        .map(|(path, lines)| File { risk: Risk::of(&path, gate.as_deref()), path, lines })
        .collect();
    let churn = |file: &File| std::cmp::Reverse(file.lines.map_or(u64::MAX, |(plus, minus)| plus + minus));
    dossier.files.sort_by(|a, b| (a.risk, churn(a), &a.path).cmp(&(b.risk, churn(b), &b.path)));
    if let (Lands::Cleanly { tree, .. }, Some(gate)) = (&dossier.lands, &dossier.gate) {
        let digest = Reader::open(&coop.repo)?.blob_id(gate.as_bytes())?;
        dossier.verdict = verdict::find(&coop.repo, &coop.env, tree, &digest)?;
    }
    Ok(dossier)
}

fn prospects(coop: &Coop, dossier: &mut Dossier, options: &Options) -> Result<(Vec<Oid>, Lands)> {
    let target = land::find_target(coop, options.into.as_deref())?;
    dossier.target = target.short().to_owned();
    let onto = target.branch.tip.clone();
    dossier.onto = Some(onto.clone());
    let work = land::work(coop, &dossier.fork, &onto, target.short(), options.from_base)?;
    let committer = coop.store()?;
    let lands = match land::build(coop, &work, &onto, committer.ident(), false)? {
        Ok(candidate) => Lands::Cleanly { tree: candidate.tree, as_is: work.straight },
        Err(conflict) => Lands::Not(land::conflict_error(coop, &dossier.fork, target.short(), &conflict)),
    };
    Ok((work.picks, lands))
}

fn commits(coop: &Coop, base: &Oid, head: &Oid) -> Result<Vec<(Oid, String, String)>> {
    let range = picks::range(&coop.repo, &coop.env, head, base, base)?;
    let reader = Reader::open(&coop.repo)?;
    let newest = &range[range.len().saturating_sub(COMMITS)..];
    let described = newest.iter().map(|commit| {
        let described = reader.subject(&commit.id)?;
        Ok(described.map(|(author, subject)| (commit.id.clone(), author, subject)))
    });
    if let Some(commits) = described.collect::<Result<Option<Vec<_>>>>()? {
        return Ok(commits);
    }
    // git knows how to read other encodings
    let out = Git::isolated(&coop.repo, &coop.env)
        .args(["log", "-z", "--no-show-signature", "--topo-order", &format!("-{COMMITS}")])
        .args(["--format=%H%x1f%an%x1f%s", &format!("{base}..{head}")])
        .read()?;
    let text = String::from_utf8_lossy(&out).into_owned();
    let mut commits = Vec::new();
    for entry in text.split('\0').filter(|e| !e.is_empty()) {
        if let [id, author, subject] = entry.splitn(3, '\u{1f}').collect::<Vec<_>>().as_slice() {
            commits.push((Oid::parse(id)?, (*author).to_owned(), (*subject).to_owned()));
        }
    }
    commits.reverse();
    Ok(commits)
}

/// The last lines of the log that the host kept of the box's output.
fn claim(coop: &Coop, fork: &Fork) -> Vec<String> {
    let Ok(mut file) = std::fs::File::open(super::super::fork::log_path(coop, &fork.name)) else { return Vec::new() };
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(16 << 10))).is_err()
        || file.take(16 << 10).read_to_end(&mut bytes).is_err()
    {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(CLAIM)..].iter().map(|l| l.chars().take(400).collect()).collect()
}

impl Dossier {
    /// For people; every byte of an agent is escaped.
    pub fn render(&self) -> String {
        let fork = &self.fork;
        let mut out = format!(
            "fork {}  {}  {} at {}\n",
            fork.name,
            fork.get("Agent").unwrap_or("-"),
            fork.state.as_str(),
            fork.head.short()
        );
        out.push_str(&format!("\n{} since {}:\n", count(self.commits.len(), "commit"), fork.base.short()));
        for (id, author, subject) in &self.commits {
            out.push_str(&format!("  {} {} ({})\n", id.short(), printable(subject), printable(author)));
        }
        let mut risk = None;
        out.push_str(&format!("\n{}:\n", count(self.files.len(), "file")));
        for file in &self.files {
            if risk != Some(file.risk) {
                out.push_str(&format!("  {}\n", file.risk.word()));
                risk = Some(file.risk);
            }
            let lines = file.lines.map_or_else(|| "binary".to_owned(), |(plus, minus)| format!("+{plus} -{minus}"));
            out.push_str(&format!("  {lines:>14}  {}\n", printable_bytes(&file.path)));
        }
        if !self.findings.is_empty() {
            out.push_str("\nto be meant before it lands:\n");
            for finding in &self.findings {
                out.push_str(&format!("  {}\n    --accept {}\n", finding.shown(), land::quoted(&finding.key())));
            }
        }
        if !self.claim.is_empty() {
            out.push_str("\nwhat the agent printed last (its claim):\n");
            for line in &self.claim {
                out.push_str(&format!("  | {}\n", printable(line)));
            }
        }
        out.push('\n');
        match &self.lands {
            Lands::Cleanly { as_is: true, .. } => out.push_str(&format!("lands on {} as it is\n", self.target)),
            Lands::Cleanly { .. } => {
                out.push_str(&format!("rebases cleanly onto {} ({})\n", self.target, self.onto_short()))
            }
            Lands::Not(err) => out.push_str(&format!("would not land: {}\n", printable(err.message()))),
        }
        out.push_str(&match (&self.verdict, &self.gate) {
            (Some(v), _) => format!(
                "gate: {} on this tree ({}, {}s)\n",
                if v.passed { "passed" } else { "failed" },
                printable(&v.command),
                v.seconds
            ),
            (None, Some(gate)) => format!("gate: '{}' has not seen this tree\n", printable(gate)),
            (None, None) => "gate: none is configured (git coop config coop.gate COMMAND)\n".to_owned(),
        });
        out
    }

    fn onto_short(&self) -> &str {
        self.onto.as_ref().map_or("", Oid::short)
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (lands, why) = match &self.lands {
            Lands::Cleanly { .. } => (true, None),
            Lands::Not(err) => (false, Some(err.message().to_owned())),
        };
        serde_json::json!({
            "fork": self.fork.name.as_str(),
            "state": self.fork.state.as_str(),
            "agent": self.fork.get("Agent"),
            "base": self.fork.base.as_str(),
            "head": self.fork.head.as_str(),
            "target": self.target,
            "onto": self.onto.as_ref().map(Oid::as_str),
            "commits": self.commits.iter().map(|(id, author, subject)| serde_json::json!({
                "id": id.as_str(), "author": author, "subject": subject,
            })).collect::<Vec<_>>(),
            "files": self.files.iter().map(|f| serde_json::json!({
                "path": text(&f.path), "risk": f.risk.word(),
                "added": f.lines.map(|l| l.0), "removed": f.lines.map(|l| l.1),
            })).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(|f| serde_json::json!({
                "kind": f.kind.word(), "path": text(&f.path), "line": f.line, "commit": f.commit.as_str(),
                "what": f.what, "accept": f.key(),
            })).collect::<Vec<_>>(),
            "claim": self.claim,
            "lands": lands,
            "why": why,
            "gate": self.gate,
            "verdict": self.verdict.as_ref().map(|v| serde_json::json!({
                "passed": v.passed, "command": v.command, "seconds": v.seconds, "tree": v.tree.as_str(),
            })),
        })
    }
}
