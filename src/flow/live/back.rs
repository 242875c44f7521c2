//! Commits come back to the user's branch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::{Git, Oid, index, named};
use crate::sandbox::runtime::Usable;
use crate::state::Event;
use crate::ui::text;

use super::super::import::{self, Incoming, Snapshot};
use super::super::workspace::Workspace;
use super::super::{Coop, verify};
use super::start::Start;

/// Brings commits back: when the box has been quiet after one, and at its end.
pub struct Return<'a> {
    coop: &'a Coop,
    usable: &'a Usable,
    id: &'a str,
    workspace: &'a Workspace,
    /// What the branch and the refs were after the last time.
    start: Arc<Mutex<Start>>,
    /// What the private refs were then.
    done: Snapshot,
    /// What they were at the last tick, and for how many ticks.
    seen: (Snapshot, u32),
    busy: Arc<AtomicBool>,
}

/// Ticks of half a second without a change, after which commits are brought back while the box lives.
const QUIET_TICKS: u32 = 6;

impl<'a> Return<'a> {
    pub fn new(coop: &'a Coop, usable: &'a Usable, id: &'a str, workspace: &'a Workspace, start: Start) -> Self {
        let now = import::snapshot(&workspace.private);
        let busy = Arc::new(AtomicBool::new(false));
        Return {
            coop,
            usable,
            id,
            workspace,
            start: Arc::new(Mutex::new(start)),
            done: now.clone(),
            seen: (now, 0),
            busy,
        }
    }

    pub fn on_tick<'s, 'e>(&mut self, scope: &'s std::thread::Scope<'s, 'e>)
    where
        'a: 's,
    {
        let now = import::snapshot(&self.workspace.private);
        self.seen.1 = if now == self.seen.0 { self.seen.1 + 1 } else { 0 };
        self.seen.0 = now;
        if self.seen.0 == self.done || self.seen.1 < QUIET_TICKS || self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        self.done = self.seen.0.clone();
        let (coop, usable, id, workspace) = (self.coop, self.usable, self.id, self.workspace);
        let (start, busy) = (Arc::clone(&self.start), Arc::clone(&self.busy));
        scope.spawn(move || {
            // a failure here is tried again at the end, which reports it
            let _ = bring_back(coop, usable, id, workspace, &start);
            busy.store(false, Ordering::SeqCst);
        });
    }

    pub fn finish(&self) -> Result<()> {
        let pristine =
            self.start.lock().is_ok_and(|s| s.rounds == 0) && import::snapshot(&self.workspace.private) == self.done;
        if pristine {
            return Ok(());
        }
        bring_back(self.coop, self.usable, self.id, self.workspace, &self.start)
    }
}

/// Collects commits and moves the user's branch forward if that is a fast-forward; whatever else came
/// stays below `refs/coop/live/<id>/`. Nothing the user did meanwhile is lost.
pub fn bring_back(coop: &Coop, usable: &Usable, id: &str, workspace: &Workspace, start: &Mutex<Start>) -> Result<()> {
    let mut start = start.lock().map_err(|_| Error::bug("a thread died while commits came back"))?;
    start.rounds += 1;
    let incoming = import::collect(coop, usable, workspace, &start.known())?;
    if incoming.refs.is_empty() {
        return Ok(());
    }
    let label = if start.rounds == 1 { id.to_owned() } else { format!("{id}-{}", start.rounds) };
    apply(coop, &label, &incoming, &start)?;
    // what came is known now; the branch goes on from where it was taken
    if let Some(new) = incoming.get(start.branch.as_deref().unwrap_or("HEAD")) {
        start.tip = Some(new.clone());
    }
    let fresh: Vec<_> = incoming.refs.iter().filter(|(name, _)| name != "HEAD").cloned().collect();
    start.refs.extend(fresh);
    Ok(())
}

fn apply(coop: &Coop, id: &str, incoming: &Incoming, start: &Start) -> Result<()> {
    let (repo, env) = (&coop.repo, &coop.env);
    let prefix = format!("refs/coop/live/{id}");
    let target = start.branch.as_deref().unwrap_or("HEAD");
    let new = incoming.get(target).cloned();
    let forward = match (&new, &start.tip) {
        (Some(new), Some(old)) => {
            Git::isolated(repo, env).args(["merge-base", "--is-ancestor", old.as_str(), new.as_str()]).succeeds()?
        }
        (Some(_), None) => true,
        (None, _) => false,
    };
    let forward = forward && !changes_named(coop, start.tip.as_ref(), new.as_ref())?;
    let forward = forward && !brings_submodules(coop, start.tip.as_ref(), new.as_ref())?;
    // the branch may have been checked out elsewhere or moved by the user: then nothing is taken over
    let still_there = refs::head_branch(repo, env)? == start.branch;
    let mut moved = false;
    if let (Some(new), true, true) = (&new, forward, still_there) {
        let mut edits = vec![
            Edit::set(target, Old::from(start.tip.clone()), new.clone()),
            Edit::set(format!("{prefix}/to"), Old::Missing, new.clone()),
        ];
        if let Some(old) = &start.tip {
            edits.push(Edit::set(format!("{prefix}/from"), Old::Missing, old.clone()));
        }
        moved = refs::transaction(repo, env, "coop: commits of the box", &edits)? == Outcome::Done;
    }
    if moved && let Some(new) = &new {
        let range = start.tip.as_ref().map_or_else(|| new.to_string(), |old| format!("{old}..{new}"));
        let count = Git::isolated(repo, env).args(["rev-list", "--count", &range]).line()?;
        finish_follow(coop, id, start.tip.as_ref(), new)?;
        let commits = text::count(count.parse().unwrap_or(0), "commit");
        eprintln!("{commits} of the box on {}", target.trim_start_matches("refs/heads/"));
    }
    let rest: Vec<_> = incoming
        .refs
        .iter()
        .filter(|(name, oid)| !(moved && (name == target || (name == "HEAD" && Some(oid) == new.as_ref()))))
        .collect();
    let rest: Vec<_> = rest
        .into_iter()
        .filter(|(name, oid)| name != "HEAD" || !incoming.refs.iter().any(|(n, o)| n != "HEAD" && o == oid))
        .collect();
    if rest.is_empty() {
        return Ok(());
    }
    let mut edits = Vec::new();
    for (name, oid) in &rest {
        edits.push(Edit::set(format!("{prefix}/{}", name.trim_start_matches("refs/")), Old::Missing, (*oid).clone()));
    }
    let store = coop.store()?;
    let event = Event {
        subject: format!("live {id}: {} kept, not on a branch of yours", text::count(rest.len(), "ref")),
        trailers: vec![
            ("Kind".into(), "live".into()),
            ("State".into(), "kept".into()),
            ("Path".into(), repo.work_tree.to_string_lossy().into_owned()),
            ("Host".into(), coop.host()),
        ],
        ..Event::default()
    };
    store.commit(&format!("{prefix}/meta"), None, &event, edits)?;
    for (name, oid) in &rest {
        eprintln!(
            "warning: commits of the box are kept in {prefix}/{} ({})",
            name.trim_start_matches("refs/"),
            oid.short()
        );
    }
    eprintln!("hint: git log {prefix}/… shows them; git merge or git branch takes them over");
    Ok(())
}

/// Whether the commits change a file that git's configuration names. The box could not write it in the work tree, so
/// it was put into a commit by other means, and would run on the host at the next checkout.
fn changes_named(coop: &Coop, old: Option<&Oid>, new: Option<&Oid>) -> Result<bool> {
    let named = named::in_tree(&coop.repo, Some(&coop.env.home()), &coop.config);
    let Some(new) = new.filter(|_| !named.is_empty()) else { return Ok(false) };
    let git = Git::isolated(&coop.repo, &coop.env);
    let names = match old {
        Some(old) => git.args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", old.as_str(), new.as_str()]),
        None => git.args(["ls-tree", "-r", "-z", "--name-only", new.as_str()]),
    };
    let names = names.read()?;
    let hit = names
        .split(|b| *b == 0)
        .filter(|path| !path.is_empty())
        .find_map(|path| named.iter().find(|one| one.covers(path)).map(|one| (text::printable_bytes(path), &one.key)));
    if let Some((path, key)) = &hit {
        eprintln!("warning: the box committed a change of '{path}', which {key} of git's configuration names");
    }
    Ok(hit.is_some())
}

/// Whether the commits bring a submodule. An index that has it would send the user's next `git status` into a directory
/// of the box, to do what the configuration there says.
fn brings_submodules(coop: &Coop, old: Option<&Oid>, new: Option<&Oid>) -> Result<bool> {
    let Some(new) = new.filter(|_| !crate::without::without("gitlinks")) else { return Ok(false) };
    let links = verify::gitlinks(coop, old, new)?;
    for link in &links {
        eprintln!("warning: the box committed a {}", link.shown());
    }
    Ok(!links.is_empty())
}

/// Lets the index follow and removes the marks; safe to do again.
pub fn finish_follow(coop: &Coop, id: &str, from: Option<&Oid>, to: &Oid) -> Result<()> {
    index::follow(&coop.repo, &coop.env, from, to)?;
    let prefix = format!("refs/coop/live/{id}");
    let mut edits = vec![Edit::delete(format!("{prefix}/to"), to.clone())];
    if let Some(from) = from {
        edits.push(Edit::delete(format!("{prefix}/from"), from.clone()));
    }
    let _ = refs::transaction(&coop.repo, &coop.env, "coop: index follows", &edits)?;
    Ok(())
}
