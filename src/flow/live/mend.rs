//! Finishes what killed runs left.

use std::path::Path;
use std::sync::Mutex;

use crate::error::{Context as _, Kind, Result};
use crate::sandbox::boxes;
use crate::sandbox::runtime::Usable;

use super::super::Coop;
use super::super::lock::Lock;
use super::super::session::Scratch;
use super::super::workspace::{DotGit, Workspace};
use super::back::{bring_back, finish_follow};
use super::start::Start;

/// Lets the index follow branches that moved in runs which then died, or could not lock it.
pub fn marks(coop: &Coop, start: &Start) -> Result<()> {
    let value = |name: &str| start.marks.iter().find(|(n, _)| n == name).map(|(_, oid)| oid);
    for (name, to) in &start.marks {
        let Some(label) = name.strip_prefix("refs/coop/live/").and_then(|n| n.strip_suffix("/to")) else { continue };
        let id = label.split('-').next().unwrap_or(label);
        if !Lock::is_held(&coop.repo.coop_dir().join("live").join(id).join("lock")) {
            finish_follow(coop, label, value(&format!("refs/coop/live/{label}/from")), to)?;
        }
    }
    Ok(())
}

/// Commits in private directories whose box and owner are gone.
pub fn directories(coop: &Coop, usable: &Usable) -> Result<()> {
    let root = coop.repo.coop_dir().join("live");
    let Ok(entries) = std::fs::read_dir(&root) else { return Ok(()) };
    for entry in entries.flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        let dir = entry.path();
        let Some(_lock) = Lock::at_once(&dir.join("lock"))? else { continue };
        eprintln!("note: a run was ended without a chance to clean up; finishing it");
        boxes::stop(usable, &id)?;
        Scratch::finish_killed(coop, &dir)?;
        if dir.join("git/HEAD").symlink_metadata().is_ok() {
            match salvage(coop, usable, &id, &dir) {
                Err(err) if err.kind() == Kind::No => {
                    eprint!("{}", err.render());
                    set_aside(coop, &id, &dir)?;
                    continue;
                }
                other => other?,
            }
        }
        std::fs::remove_dir_all(&dir).or_bug(format!("cannot remove '{}'", dir.display()))?;
    }
    Ok(())
}

/// Commits that could not be taken stay on disk, out of the way of the next run.
pub fn set_aside(coop: &Coop, id: &str, dir: &Path) -> Result<()> {
    let lost = coop.dir("lost")?.join(id);
    std::fs::rename(dir, &lost).or_bug(format!("cannot move '{}'", dir.display()))?;
    eprintln!("warning: what that run committed is kept in '{}'; look at it in a box only", lost.display());
    Ok(())
}

fn salvage(coop: &Coop, usable: &Usable, id: &str, dir: &Path) -> Result<()> {
    let start = Start::of(coop)?;
    let objects = coop.repo.common_dir.join("objects");
    let workspace = Workspace {
        label: format!("live:{}", coop.repo.work_tree.display()),
        tree: coop.repo.work_tree.clone(),
        private: dir.join("git"),
        dot_git: DotGit::Directory,
        alternates: crate::git::shape::alternates(&objects)?,
        objects,
        held: Vec::new(), // only what bundles is mounted
        owner: coop.owner()?,
    };
    bring_back(coop, usable, id, &workspace, &Mutex::new(start))
}
