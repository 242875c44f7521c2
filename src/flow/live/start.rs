//! What git looked like when a live run began.

use crate::error::Result;
use crate::git::{Oid, refs};

use super::super::Coop;

/// How one live run starts from git's point of view.
#[derive(Debug, Clone)]
pub struct Start {
    /// The branch HEAD is on, in full; `None` when detached.
    pub branch: Option<String>,
    /// The commit of HEAD; `None` on an unborn branch.
    pub tip: Option<Oid>,
    /// Every ref the box sees.
    pub refs: Vec<(String, Oid)>,
    /// coop's own refs of live runs.
    pub marks: Vec<(String, Oid)>,
    /// How often commits were asked for.
    pub rounds: u32,
}

impl Start {
    pub fn of(coop: &Coop) -> Result<Start> {
        let (repo, env) = (&coop.repo, &coop.env);
        let (all, head) = refs::list_with_head(repo, env, &["refs"])?;
        let branch = match head {
            Some(name) => Some(name),
            None => refs::head_branch(repo, env)?, // detached, or on a branch without a commit
        };
        let hidden = ["refs/coop", "refs/notes/coop", "refs/stash", "refs/bisect", "refs/worktree"];
        let keep = |name: &str| !hidden.iter().any(|h| name.starts_with(h));
        let marks = all.iter().filter(|(name, _)| name.starts_with("refs/coop/live/")).cloned().collect();
        let refs: Vec<_> = all.into_iter().filter(|(name, _)| keep(name)).collect();
        let tip = match &branch {
            Some(name) => refs.iter().find(|(n, _)| n == name).map(|(_, oid)| oid.clone()),
            None => refs::read(repo, env, "HEAD")?,
        };
        Ok(Start { branch, tip, refs, marks, rounds: 0 })
    }
    pub fn known(&self) -> Vec<Oid> {
        self.refs.iter().map(|(_, oid)| oid.clone()).chain(self.tip.clone()).collect()
    }
}
