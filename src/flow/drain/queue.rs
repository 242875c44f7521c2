//! The queue as the host keeps it: files of the user, claims in refs. The next task is the first that nobody has.

use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::refs::Edit;
use crate::state::{Claim, ClaimState, ForkName, Store};
use crate::task::{Mark, Queue, Task, mark};
use crate::ui::text::count;

use super::super::Coop;
use super::super::lock::Lock;
use super::owner;

/// A task and where it stands.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// The task.
    pub task: Task,
    /// The claim on it, if there is one.
    pub claim: Option<Claim>,
}

impl Listed {
    /// Whether somebody has it: `None` where nobody does, or only one who is gone.
    pub fn holder(&self, coop: &Coop) -> Option<String> {
        let Some(claim) = &self.claim else {
            return (self.task.mark == Mark::Claimed).then(|| "a person".to_owned());
        };
        if claim.state != ClaimState::Held {
            return None;
        }
        match claim.record.get("Loop") {
            None => Some("a person".into()),
            Some(name) => owner::alive(coop, &claim.record).then(|| format!("loop {name}")),
        }
    }
}

/// The queue file where none is named.
pub fn default_file(coop: &Coop) -> PathBuf {
    coop.repo.work_tree.join(".agent/TASKS.md")
}

/// All tasks of `files`, each with its claim. Malformed lines are left out.
pub fn list(coop: &Coop, files: &[PathBuf]) -> Result<Vec<Listed>> {
    let mut claims = Claim::all(&coop.repo, &coop.env)?;
    let mut out: Vec<Listed> = Vec::new();
    for path in files {
        for task in Queue::parse(&mark::read(path)?).tasks {
            let at = claims.iter().position(|claim| claim.id == task.id);
            let claim = at.map(|at| claims.swap_remove(at));
            if !out.iter().any(|other| other.task.id == task.id) {
                out.push(Listed { path: path.clone(), task, claim });
            }
        }
    }
    Ok(out)
}

/// Refuses malformed markers, by file and line. Errors: exit 2.
pub fn lint(coop: &Coop, files: &[PathBuf]) -> Result<()> {
    for path in files {
        let problems = Queue::parse(&mark::read(path)?).problems;
        let Some(first) = problems.first() else { continue };
        let more = match problems.len() {
            1 => String::new(),
            n => format!(", and {} more", count(n - 1, "line")),
        };
        return Err(Error::usage(format!("{} line {}: {}{more}", shown(coop, path), first.line, first.what))
            .hint("git coop tasks lint names every line"));
    }
    Ok(())
}

/// A path as people see it, relative to the repository.
pub fn shown(coop: &Coop, path: &Path) -> String {
    path.strip_prefix(&coop.repo.work_tree).unwrap_or(path).display().to_string()
}

/// Marks a task, one process of the repository at a time. Gives whether it is marked so now.
pub fn marked(coop: &Coop, listed: &Listed, from: &[Mark], to: Mark) -> Result<bool> {
    let path = coop.dir("locks")?.join("tasks");
    for _ in 0..30 {
        if let Some(_lock) = Lock::take(&path)? {
            return mark::set(&listed.path, &listed.task.id, from, to);
        }
    }
    Err(Error::conflict("the list of tasks is being marked by another process all the time").hint("git coop tasks"))
}

/// As [`marked`], where a file that is gone or was changed must not end the loop: git has what is true.
pub fn try_marked(coop: &Coop, listed: &Listed, from: &[Mark], to: Mark) -> Result<()> {
    match marked(coop, listed, from, to) {
        Ok(true) => Ok(()),
        Ok(false) => {
            eprintln!(
                "note: '{}' is not in {} as it was; its marker stays",
                listed.task.title,
                shown(coop, &listed.path)
            );
            Ok(())
        }
        Err(err) if err.kind() == Kind::Usage => {
            eprint!("{}", err.render());
            Ok(())
        }
        Err(err) => Err(err),
    }
}

/// Tasks of `files` that the loop `name` may take, in order; its own unfinished one first. Markers that a killed loop
/// left behind what git says are put right on the way.
pub fn candidates(coop: &Coop, files: &[PathBuf], name: &ForkName) -> Result<Vec<Listed>> {
    let (mut own, mut free) = (Vec::new(), Vec::new());
    for listed in list(coop, files)? {
        let state = listed.claim.as_ref().map(|claim| claim.state);
        match (listed.task.mark, state) {
            (Mark::Claimed, Some(ClaimState::Done)) => try_marked(coop, &listed, &[Mark::Claimed], Mark::Done)?,
            (Mark::Claimed, Some(ClaimState::Blocked)) => try_marked(coop, &listed, &[Mark::Claimed], Mark::Blocked)?,
            (Mark::Todo | Mark::Claimed, _) => {
                let mine = listed
                    .claim
                    .as_ref()
                    .is_some_and(|c| c.state == ClaimState::Held && c.record.get("Loop") == Some(name.as_str()));
                if mine {
                    own.push(listed);
                } else if listed.holder(coop).is_none() {
                    free.push(listed);
                }
            }
            (Mark::Done | Mark::Blocked, _) => {}
        }
    }
    own.extend(free);
    Ok(own)
}

/// A claim on a task that `listed` says is free, for the loop `name`, not yet moved: the event and its edit.
pub fn claim(coop: &Coop, store: &Store<'_>, listed: &Listed, name: &ForkName, attempt: u64) -> Result<(Claim, Edit)> {
    let mut claim = Claim::new(&listed.task.id);
    claim.record.tip = listed.claim.as_ref().and_then(|old| old.record.tip.clone());
    claim.record.set("Loop", name.as_str());
    claim.record.set("Title", listed.task.title.chars().take(200).collect::<String>());
    claim.record.set("Attempt", attempt.to_string());
    owner::stamp(coop, &mut claim.record);
    let edit = claim.write(store, &format!("claimed by loop {name}"))?;
    Ok((claim, edit))
}

/// A random number below `count`.
pub fn somewhere(count: usize) -> Result<usize> {
    let mut bytes = [0u8; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .or_bug("the kernel gave no random bytes")?;
    Ok(u32::from_le_bytes(bytes) as usize % count.max(1))
}
