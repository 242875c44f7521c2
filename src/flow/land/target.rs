//! Where a landing goes, and whether the checkout there may follow. Everything is known before anything moves.

use crate::error::{Error, Result};
use crate::git::Oid;
use crate::git::follow::{self, Branch};
use crate::state::Loop;
use crate::ui::text::{count, printable_bytes};
use crate::without::without;

use super::super::Coop;

/// The branch to land on.
#[derive(Debug, Clone)]
pub struct Target {
    /// The branch with its tip.
    pub branch: Branch,
    /// Whether it is checked out in the work tree that the command runs in.
    pub here: bool,
}

impl Target {
    /// `main` of `refs/heads/main`.
    pub fn short(&self) -> &str {
        self.branch.name.trim_start_matches("refs/heads/")
    }
}

/// The branch named `into`, or the current one. Errors: exit 2 for a detached HEAD, an unknown branch, and one
/// that another work tree has checked out.
pub fn find(coop: &Coop, into: Option<&str>) -> Result<Target> {
    let name = into.map(|name| format!("refs/heads/{}", name.trim_start_matches("refs/heads/")));
    let branch = follow::branch(&coop.repo, &coop.env, name.as_deref())?.ok_or_else(|| match into {
        Some(into) => Error::usage(format!("no branch '{into}'")).hint("git branch lists them"),
        None => Error::usage("HEAD is on no branch that has a commit")
            .hint("git coop merge NAME --into BRANCH, or git switch BRANCH first"),
    })?;
    let short = branch.name.trim_start_matches("refs/heads/").to_owned();
    if let Some((path, what)) = follow::in_use(&coop.repo, &branch.name).filter(|_| !without("landing-branch-in-use")) {
        return Err(Error::usage(format!("a {what} of branch '{short}' is under way in '{}'", path.display())).hint(
            format!(
                "git -C '{}' {what} {}",
                path.display(),
                if what == "bisect" { "reset" } else { "--continue or --abort" }
            ),
        ));
    }
    let here = match &branch.checked_out {
        None => false,
        Some(path) if path.canonicalize().ok().as_ref() == Some(&coop.repo.work_tree) => true,
        Some(path) => {
            return Err(Error::usage(format!("branch '{short}' is checked out in '{}'", path.display()))
                .hint(format!("run the command there: git -C '{}' coop merge NAME", path.display())));
        }
    };
    Ok(Target { branch, here })
}

/// Refuses (exit 2) where the checkout could not follow: something is under way, or tracked files have changes.
pub fn clean(coop: &Coop, target: &Target) -> Result<()> {
    if !target.here || without("landing-clean-checkout") {
        return Ok(());
    }
    if let Some(what) = follow::under_way(&coop.repo) {
        return Err(Error::usage(format!("a {what} is under way in this work tree"))
            .hint(format!("git {what} --continue or git {what} --abort, then again")));
    }
    let mut dirty = follow::dirty(&coop.repo, &coop.env, &target.branch.tip, 1_000)?;
    if !dirty.is_empty() {
        // the markers in a list of tasks are coop's own; whether git can keep them is seen in `room`
        let loops = Loop::all(&coop.repo, &coop.env)?;
        let lists: Vec<&str> =
            loops.iter().filter_map(|one| one.record.get("Tasks")).flat_map(|t| t.split(' ')).collect();
        dirty.retain(|path| !lists.iter().any(|list| list.as_bytes() == path.as_slice()));
    }
    if dirty.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<String> = dirty.iter().take(5).map(|path| printable_bytes(path)).collect();
    if dirty.len() > 5 {
        shown.push(format!("{} more", dirty.len() - 5));
    }
    Err(Error::usage(format!(
        "{} with changes that are not committed: {}",
        count(dirty.len(), "file"),
        shown.join(", ")
    ))
    .hint("git commit or git stash them; a branch that is not checked out needs neither: --into BRANCH"))
}

/// Refuses (exit 2) where files that git does not track are in the way of `new`.
pub fn room(coop: &Coop, target: &Target, new: &Oid) -> Result<()> {
    if !target.here || without("landing-clean-checkout") {
        return Ok(());
    }
    match follow::could(&coop.repo, &coop.env, &target.branch.tip, new)? {
        Ok(()) => Ok(()),
        Err(why) => Err(Error::usage(format!("the checkout cannot follow: {why}"))
            .hint("move the file away, or land with --into on a branch that is not checked out")),
    }
}
