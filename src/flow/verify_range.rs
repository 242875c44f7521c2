//! `git coop verify` and `git coop merge --check`: which commits of a range came through a landing with a green gate.
//! Reads the events where `refs/coop/*` is there, else the notes; both are records of whoever keeps the repository.

use std::collections::{HashMap, HashSet};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::objects::Reader;
use crate::git::{Git, Oid, Repo};
use crate::state::Fork;
use crate::state::verdict;
use crate::without::without;

/// What is known of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The commit.
    pub commit: Oid,
    /// Subject.
    pub subject: String,
    /// Author's name.
    pub author: String,
    /// The fork it came from and who worked there; `None` for a commit that coop did not land.
    pub origin: Option<(String, String)>,
    /// The gate that passed, and the tree it passed on.
    pub green: Option<(String, Oid)>,
}

/// Describes every commit of the revisions, oldest first.
pub fn rows(repo: &Repo, env: &Env, revs: &[String]) -> Result<Vec<Row>> {
    let out = Git::isolated(repo, env)
        .args(["log", "-z", "--reverse", "--topo-order", "--no-show-signature"])
        .args(["--no-standard-notes", "--notes=refs/notes/coop/gate", "--format=%H%x1f%T%x1f%an%x1f%s%x1f%N"])
        .args(revs)
        .arg("--")
        .output()?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let line = text.lines().next().unwrap_or("no message").trim_start_matches("fatal: ").to_owned();
        return Err(
            Error::usage(format!("cannot read '{}': {line}", revs.join(" "))).hint("git coop verify main~10..main")
        );
    }
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut known = HashMap::new();
    for landing in verdict::landings(repo, env)? {
        let green = landing.verdict.as_ref().filter(|v| v.passed).map(|v| (v.command.clone(), v.tree.clone()));
        for commit in &landing.commits {
            let entry = known.entry(commit.clone()).or_insert((None, None));
            if entry.1.is_none() {
                *entry = (Some((landing.fork.clone(), landing.agent.clone())), green.clone());
            }
        }
    }
    let mut rows = Vec::new();
    let mut trees: HashMap<String, Oid> = HashMap::new();
    let mut noted = Vec::new();
    for entry in text.split('\0').filter(|e| !e.is_empty()) {
        let [id, tree, author, subject, note] = entry.splitn(5, '\u{1f}').collect::<Vec<_>>()[..] else { continue };
        let commit = Oid::parse(id)?;
        trees.insert(commit.short().to_owned(), Oid::parse(tree)?);
        let (origin, green) = known.get(&commit).cloned().unwrap_or_default();
        if origin.is_none() && !note.trim().is_empty() {
            noted.push((rows.len(), note.trim().to_owned()));
        }
        rows.push(Row { commit, subject: subject.to_owned(), author: author.to_owned(), origin, green });
    }
    for (at, note) in noted {
        let Some(note) = Note::parse(&note) else { continue };
        // a note counts only where the commit that was gated has the tree that the note names
        let tree = match trees.get(&note.tip) {
            Some(tree) => Some(tree.clone()),
            None => crate::git::refs::read(repo, env, &format!("{}^{{tree}}", note.tip))?,
        };
        rows[at].origin = Some((note.fork, note.agent));
        rows[at].green = note
            .command
            .filter(|_| tree.as_ref() == Some(&note.tree) || without("verdict-tree"))
            .map(|c| (c, note.tree));
    }
    Ok(rows)
}

/// The line that landing writes under each commit.
struct Note {
    command: Option<String>,
    tree: Oid,
    tip: String,
    fork: String,
    agent: String,
}

impl Note {
    fn parse(line: &str) -> Option<Note> {
        let line = line.lines().last()?;
        let (kind, rest) = line.split_once(": ")?;
        let (rest, who) = rest.rsplit_once(", fork ")?;
        let (rest, tip) = rest.rsplit_once(", tip ")?;
        let (gate, tree) = rest.rsplit_once(", tree ")?;
        let (fork, agent) = who.split_once(" by ")?;
        let command = match kind {
            "passed" => Some(gate.rsplit_once(", ")?.0.to_owned()),
            "none" => None,
            _ => return None,
        };
        let (tip, fork, agent) = (tip.to_owned(), fork.to_owned(), agent.to_owned());
        Some(Note { command, tree: Oid::parse(tree).ok()?, tip, fork, agent })
    }
}

/// Refuses (exit 1) revisions whose tip carries coop work that no gate has passed; with `all`, any commit.
/// `tip` is the commit that the branch would get.
pub fn check(repo: &Repo, env: &Env, revs: &[String], tip: &Oid, all: bool) -> Result<()> {
    let rows = rows(repo, env, revs)?;
    let mut open: Vec<&Row> = rows.iter().filter(|row| row.green.is_none()).collect();
    if !all && !open.is_empty() {
        let coops = unlanded(repo, env)?;
        open.retain(|row| row.origin.is_some() || coops.contains(&row.commit));
    }
    let Some(first) = open.first() else { return Ok(()) };
    let tree = Reader::open(repo)?.tree(tip)?;
    if verdict::green(repo, env, &tree)?.is_some() {
        return Ok(());
    }
    let whose = match &first.origin {
        Some((fork, agent)) => format!("fork '{fork}' by {agent}"),
        None if all => "no gate has seen it".to_owned(),
        None => "it was not landed by git coop merge".to_owned(),
    };
    let more = if open.len() > 1 { format!(" and {} more", open.len() - 1) } else { String::new() };
    Err(Error::no(format!(
        "commit {} \"{}\"{more} has no green verdict ({whose})",
        first.commit.short(),
        first.subject
    ))
    .hint("git coop merge NAME lands a fork through the gate; git coop config coop.gate COMMAND sets one"))
}

/// Commits of forks that no landing has brought anywhere.
fn unlanded(repo: &Repo, env: &Env) -> Result<HashSet<Oid>> {
    let forks = Fork::all(repo, env)?;
    if forks.is_empty() {
        return Ok(HashSet::new());
    }
    let mut revs = vec!["--glob=refs/coop/forks/*/head".to_owned(), "--glob=refs/coop/forks/*/kept".to_owned()];
    revs.push("--not".into());
    revs.extend(forks.iter().map(|fork| fork.base.to_string()));
    let text = Git::isolated(repo, env).arg("rev-list").args(revs).line()?;
    text.lines().map(Oid::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_back() {
        let tree = "a".repeat(40);
        let note =
            Note::parse(&format!("passed: make -j2, check, 4s, tree {tree}, tip 123456789012, fork x by claude"))
                .expect("parses");
        assert_eq!(
            (note.command.as_deref(), note.fork.as_str(), note.agent.as_str()),
            (Some("make -j2, check"), "x", "claude")
        );
        let note = Note::parse(&format!("none: no gate, tree {tree}, tip 123456789012, fork x by -")).expect("parses");
        assert_eq!(note.command, None);
        assert!(Note::parse("anything").is_none());
    }
}
