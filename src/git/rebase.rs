//! Rebases commits in memory: no work tree, no index, no ref is touched, and nothing reaches the disk
//! before it is known to be needed.
//!
//! The rules are those of `git rebase` with its defaults: merges are left out and their commits brought
//! into a line; a commit that was empty stays; one that becomes empty is left out. Author, dates, message,
//! encoding and other headers of each commit stay byte for byte; the committer is the user, now. Where the
//! merge is not plainly clean, `git merge-tree` decides under a time limit.
//!
//! Where this differs from `git rebase`: `merge` attributes count as the target has them, not as the fork's own
//! commits change them; a file that they give to a merge driver is a conflict where both sides changed it, and the
//! driver does not run; attributes of the user's own configuration (`core.attributesFile`) do not count.

use std::time::{Duration, Instant};

use gix::ObjectId;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::attributes::{self, Attributes};
use super::merge3::{Merged, Merger};
use super::recommit::Parts;
use super::{Git, Oid, Repo, objects, pack_out, sign};

/// How a rebase is done.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// `Name <email> seconds zone` of who lands.
    pub committer: &'a str,
    /// Whether each new commit is signed as the user's configuration says.
    pub sign: bool,
    /// How long git may take for one commit.
    pub each: Duration,
    /// How long git may take for all commits together.
    pub all: Duration,
}

impl<'a> Options<'a> {
    /// Unsigned, with 20 seconds for one commit and two minutes for all.
    pub fn new(committer: &'a str) -> Self {
        Options { committer, sign: false, each: Duration::from_secs(20), all: Duration::from_secs(120) }
    }
}

/// One commit, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The commit that was picked.
    pub old: Oid,
    /// What it became; `None` where the target had its changes already.
    pub new: Option<Oid>,
}

/// Why a rebase stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The commit that does not apply.
    pub commit: Oid,
    /// The paths in conflict; empty where the time ran out.
    pub paths: Vec<Vec<u8>>,
    /// Whether git was ended because it took too long.
    pub timed_out: bool,
}

/// What a rebase came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// Every commit applied; the objects are in the user's store, nothing refers to them.
    Done {
        /// The last commit of the new line: `onto` itself where nothing was left.
        tip: Oid,
        /// All commits in order.
        picks: Vec<Pick>,
    },
    /// A commit does not apply; nothing refers to what was written.
    Conflict(Conflict),
}

/// Applies `commits`, oldest first, on `onto`.
pub fn rebase(repo: &Repo, env: &Env, onto: &Oid, commits: &[Oid], options: &Options<'_>) -> Result<Rebased> {
    let mut opened = objects::open(repo)?.with_object_memory();
    opened.object_cache_size_if_unset(64 << 20);
    let tree = tree_of(&opened, &onto.to_gix()?)?;
    let mut line = Line {
        repo,
        env,
        opened,
        options,
        left: options.all,
        tip: onto.clone(),
        tree,
        attributes: Attributes::of(repo, tree),
    };
    let mut picks = Vec::with_capacity(commits.len());
    for commit in commits {
        match line.pick(commit)? {
            Ok(new) => picks.push(Pick { old: commit.clone(), new }),
            Err(conflict) => return Ok(Rebased::Conflict(conflict)),
        }
    }
    line.flush()?;
    Ok(Rebased::Done { tip: line.tip, picks })
}

struct Line<'a> {
    repo: &'a Repo,
    env: &'a Env,
    opened: gix::Repository,
    options: &'a Options<'a>,
    left: Duration,
    tip: Oid,
    tree: ObjectId,
    attributes: Attributes,
}

fn tree_of(opened: &gix::Repository, commit: &ObjectId) -> Result<ObjectId> {
    let commit = opened.find_commit(*commit).or_bug("cannot read a commit")?;
    Ok(commit.tree_id().or_bug("a commit has no tree")?.detach())
}

impl Line<'_> {
    fn pick(&mut self, commit: &Oid) -> Result<Result<Option<Oid>, Conflict>> {
        let bytes = self.opened.find_object(commit.to_gix()?).or_bug("cannot read a commit")?.detach().data;
        let parts = Parts::of(&bytes)?;
        let theirs = ObjectId::from_hex(parts.tree).or_bug("a commit names no tree")?;
        let parent = match parts.parents.as_slice() {
            [] => None,
            [one] => Some(ObjectId::from_hex(one).or_bug("a commit names no parent")?),
            _ => return Err(Error::bug("a merge commit cannot be picked")),
        };
        let base = parent.map(|p| tree_of(&self.opened, &p)).transpose()?;
        let merged = Merger::new(&self.opened, &self.attributes).merge(base, self.tree, theirs)?;
        let tree = match merged {
            Merged::Clean(tree) => tree,
            Merged::Unclear => match self.ask_git(commit, parent)? {
                Ok(tree) => tree,
                Err(conflict) => return Ok(Err(conflict)),
            },
        };
        let was_empty = base == Some(theirs);
        if tree == self.tree && !was_empty {
            return Ok(Ok(None));
        }
        let on = self.tip.to_gix()?;
        self.tip = if self.options.sign {
            self.flush()?;
            sign::commit(self.repo, self.env, &parts, &tree.into(), &self.tip, self.options.committer)?
        } else {
            let bytes = parts.with(tree, &[on], self.options.committer);
            let id = gix::objs::Write::write_buf(&self.opened.objects, gix::objs::Kind::Commit, &bytes);
            id.or_bug("cannot write a commit")?.into()
        };
        self.tree = tree;
        Ok(Ok(Some(self.tip.clone())))
    }

    /// `git merge-tree` is the authority where the quick merge does not see a clean result.
    fn ask_git(&mut self, commit: &Oid, parent: Option<ObjectId>) -> Result<Result<ObjectId, Conflict>> {
        self.flush()?;
        let empty = ObjectId::empty_tree(self.opened.object_hash());
        let base = parent.unwrap_or(empty);
        let limit = self.options.each.min(self.left);
        let started = Instant::now();
        let mut git = Git::isolated(self.repo, self.env);
        for setting in attributes::no_drivers(self.repo, self.env)? {
            git = git.config(&setting);
        }
        let output = git
            .config("merge.renames=true")
            .config("merge.directoryRenames=conflict")
            .config("merge.renormalize=false")
            .config("merge.conflictStyle=merge")
            .arg(format!("--attr-source={}", self.attributes.tree()))
            .args(["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z"])
            .arg(format!("--merge-base={base}"))
            .args([self.tip.as_str(), commit.as_str()])
            .output_within(limit)?;
        self.left = self.left.saturating_sub(started.elapsed());
        let Some(output) = output else {
            return Ok(Err(Conflict { commit: commit.clone(), paths: Vec::new(), timed_out: true }));
        };
        let mut fields = output.stdout.split(|b| *b == 0).filter(|f| !f.is_empty());
        let tree = fields.next().and_then(|hex| ObjectId::from_hex(hex.trim_ascii_end()).ok());
        match (output.status.code(), tree) {
            (Some(0), Some(tree)) => Ok(Ok(tree)),
            (Some(1), Some(_)) => {
                // where kinds of files clash, git names the sides by what we gave it
                let sides = [format!("~{}", self.tip), format!("~{commit}")];
                let plain = |path: &[u8]| {
                    let cut = sides.iter().find_map(|side| path.strip_suffix(side.as_bytes()));
                    cut.unwrap_or(path).to_vec()
                };
                let mut paths: Vec<Vec<u8>> = fields.map(plain).collect();
                paths.sort();
                paths.dedup();
                Ok(Err(Conflict { commit: commit.clone(), paths, timed_out: false }))
            }
            _ => Err(super::command::failed("merge-tree", &output)),
        }
    }

    /// Brings what is in memory to disk, where git sees it.
    fn flush(&mut self) -> Result<()> {
        if let Some(memory) = self.opened.objects.reset_object_memory() {
            pack_out::persist(self.repo, self.env, &memory)?;
        }
        Ok(())
    }
}
