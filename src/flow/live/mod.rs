//! A run on the live checkout: edits of the work tree are live, commits come back when the box ends, and
//! when it has been quiet after one.
//!
//! What can be in the way when a run is killed: a directory `coop/live/<id>` whose lock nobody holds (its
//! commits are collected by the next run), and refs `refs/coop/live/<id>/{from,to}` (the branch moved,
//! the index has still to follow; the next run does it). Both are idempotent.

mod back;
mod mend;
pub mod protect;
mod start;

use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::{Git, index, private};
use crate::sandbox::io::{Tick, Wish};
use crate::sandbox::runtime::Usable;
use crate::secret::shadow::Plan;

use super::lock::Lock;
use super::session::{self, Job, Scratch};
use super::watch::Watch;
use super::workspace::{DotGit, Workspace};
use super::{Coop, coop, shadows, verify};
use back::Return;
use protect::Protected;
use start::Start;

/// Runs `job` in a box on the live checkout; gives the inner exit status.
pub fn run(coop: &Coop, job: Job) -> Result<u8> {
    refuse_shapes(coop)?;
    let usable = coop.runtime()?;
    session::preflight(coop, &usable)?;
    mend::directories(coop, &usable)?;
    let id = coop::fresh_id()?;
    let dir = coop.dir("live")?.join(&id);
    let Some(lock) = Lock::take(&dir.join("lock"))? else {
        return Err(Error::bug("a fresh run id is in use"));
    };
    let result = run_locked(coop, &usable, &id, &dir, job);
    if matches!(&result, Err(err) if err.kind() == Kind::No) {
        eprintln!("note: what the box committed is kept; the next git coop run tries again to bring it back");
    } else {
        let _ = std::fs::remove_dir_all(&dir);
    }
    drop(lock);
    result
}

fn run_locked(coop: &Coop, usable: &Usable, id: &str, dir: &Path, job: Job) -> Result<u8> {
    let scratch = Scratch::in_dir(coop, dir)?;
    let start = Start::of(coop)?;
    mend::marks(coop, &start)?;
    let plan = shadows::plan(coop, &coop.repo.work_tree)?;
    let protected = Protected::settle(coop, &plan, dir)?;
    let workspace = workspace(coop, dir, &start, &plan, &protected)?;
    let terminal = job.terminal;
    let (spec, ready) = session::spec(coop, usable, &workspace, &plan, id, scratch.path(), job)?;
    if spec.purpose == "run" || spec.purpose == "shell" {
        shadows::announce(&plan);
    }
    let oddities = verify::walk(&workspace.tree);
    let watch = Watch::new(&workspace.tree, &plan, protected.read_only());
    let mut back = Return::new(coop, usable, id, &workspace, start);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| watch.guard(usable, id));
        let mut tick = |_: Tick| {
            back.on_tick(scope);
            Wish::Continue
        };
        let ended = session::run(usable, &spec, session::io(terminal, None, Some(&mut tick)));
        watch.end();
        ended
    });
    // the agent's home first: a login that was refreshed must not be lost to a commit that git refuses
    if let Some(ready) = ready {
        ready.finish()?;
    }
    back.finish()?;
    report_new(&oddities, &verify::walk(&workspace.tree));
    if let Some(path) = watch.end() {
        let path = path.strip_prefix(&workspace.tree).unwrap_or(&path).display().to_string();
        return Err(Error::conflict(format!(
            "'{path}' was replaced on the host while the box ran: the box was ended, and may have seen or written it"
        ))
        .hint("editors that save by rename do this; work in a fork, which has no such hole: git coop fork NAME"));
    }
    Ok(u8::try_from(ended?.status & 0xff).unwrap_or(1))
}

/// Says what the box left that could act on the host later.
pub fn report_new(
    before: &std::collections::BTreeSet<verify::Found>,
    after: &std::collections::BTreeSet<verify::Found>,
) {
    let new: Vec<_> = after.difference(before).collect();
    for found in new.iter().take(20) {
        eprintln!("warning: the box left a {}", found.shown());
    }
    if new.len() > 20 {
        eprintln!("warning: and {} more", new.len() - 20);
    }
    if !new.is_empty() {
        eprintln!("hint: look before you enter these with git or an editor; remove what you did not want");
    }
}

fn workspace(coop: &Coop, dir: &Path, start: &Start, plan: &Plan, protected: &Protected) -> Result<Workspace> {
    let repo = &coop.repo;
    let objects = repo.common_dir.join("objects");
    let alternates = crate::git::shape::alternates(&objects)?;
    let private = dir.join("git");
    let index_file = repo.git_dir.join("index");
    let mut exclude = std::fs::read(repo.common_dir.join("info/exclude")).unwrap_or_default();
    exclude.push(b'\n');
    exclude.extend(shadows::nested_excludes(plan));
    let seed = private::Seed {
        shape: &coop.shape,
        branch: start.branch.as_deref(),
        tip: start.tip.as_ref(),
        refs: &start.refs,
        index: Some(&index_file),
        exclude: &exclude,
        alternates: &alternates,
        live: true,
    };
    private::create(&private, &seed)?;
    let hidden: Vec<Vec<u8>> = plan.shadows.iter().map(|s| s.path.clone()).collect();
    let tracked = index::hide(repo, &coop.env, &coop.shape.object_format, &private.join("index"), &hidden)?;
    shadows::warn_tracked(tracked);
    let dot_git = if repo.work_tree.join(".git").is_dir() { DotGit::Directory } else { DotGit::File(gitfile(dir)?) };
    let owner = coop.owner()?;
    coop::give(&private, owner)?;
    Ok(Workspace {
        label: format!("live:{}", repo.work_tree.display()),
        tree: repo.work_tree.clone(),
        private,
        dot_git,
        objects,
        alternates,
        held: protected.mounts(&repo.work_tree),
        owner,
    })
}

/// The file that covers `.git` where that is a file; readable for the box.
pub fn gitfile(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("gitfile");
    std::fs::write(&path, Workspace::GITFILE).or_bug("cannot write the gitfile")?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444))
        .or_bug("cannot set permissions")?;
    Ok(path)
}

/// Cases that cannot work live: refused before anything starts.
fn refuse_shapes(coop: &Coop) -> Result<()> {
    if !coop.shape.submodules.is_empty() {
        let names = coop.shape.submodules.join(", ");
        return Err(Error::usage(format!(
            "this checkout has submodules ({names}), whose git directories a live box cannot have"
        ))
        .hint("git coop fork NAME works: submodules are empty there"));
    }
    if coop.shape.partial {
        let missing = Git::isolated(&coop.repo, &coop.env)
            .args(["rev-list", "--objects", "--no-walk", "--missing=print", "--ignore-missing", "HEAD"])
            .output()?;
        if !missing.status.success() || missing.stdout.split(|b| *b == b'\n').any(|l| l.starts_with(b"?")) {
            return Err(Error::usage(
                "this is a partial clone, and objects of HEAD are missing: a box cannot fetch them",
            )
            .hint("git fetch --refetch brings them, after git config --unset remote.origin.partialCloneFilter"));
        }
    }
    Ok(())
}
