//! Objects through gix.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::{Context as _, Result};

use bstr::ByteSlice as _;

use super::{Oid, Repo};

thread_local! {
    /// Repositories that this thread has opened: the handle finds new packs by itself.
    static OPEN: RefCell<Vec<(PathBuf, gix::Repository)>> = const { RefCell::new(Vec::new()) };
}

/// Opens the user's repository for objects and refs only: no configuration but its own, none of it trusted to
/// name a program (`Trust::Reduced`: no filter, merge driver or hook fired in the measured attacks).
pub fn open(repo: &Repo) -> Result<gix::Repository> {
    let known = OPEN.with_borrow(|open| open.iter().find(|(dir, _)| *dir == repo.git_dir).map(|(_, r)| r.clone()));
    if let Some(opened) = known {
        return Ok(opened);
    }
    // a loop brings a pack with every task: with few slots the store stops finding objects in new ones
    let slots = gix::odb::store::init::Slots::AsNeededByDiskState { multiplier: 2.0, minimum: 1024 };
    let options = gix::open::Options::isolated().with(gix::sec::Trust::Reduced).object_store_slots(slots);
    let opened = gix::ThreadSafeRepository::open_opts(&repo.git_dir, options)
        .or_bug(format!("cannot open '{}'", repo.git_dir.display()))?
        .to_thread_local();
    OPEN.with_borrow_mut(|open| open.push((repo.git_dir.clone(), opened.clone())));
    Ok(opened)
}

/// Paths of all gitlinks (submodules) in the tree of a commit.
pub fn gitlinks(opened: &gix::Repository, commit: &Oid) -> Result<BTreeSet<Vec<u8>>> {
    let tree =
        opened.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?.tree().or_bug("cannot read a tree")?;
    let mut recorder = gix::traverse::tree::Recorder::default();
    tree.traverse().breadthfirst(&mut recorder).or_bug("cannot walk a tree")?;
    Ok(recorder.records.into_iter().filter(|e| e.mode.is_commit()).map(|e| e.filepath.to_vec()).collect())
}

/// What a commit says besides its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its parents in order.
    pub parents: Vec<Oid>,
    /// When it was committed, in seconds since the epoch.
    pub time: i64,
    /// The whole message.
    pub message: String,
}

/// Reads blobs and trees of the user's repository for the other parts of coop. One per thread.
pub struct Reader(gix::Repository);

impl Reader {
    /// Opens the object store.
    pub fn open(repo: &Repo) -> Result<Reader> {
        open(repo).map(Reader)
    }
    /// Size of an object in bytes, without reading it.
    pub fn size(&self, id: &Oid) -> Result<u64> {
        Ok(self.0.find_header(id.to_gix()?).or_bug(format!("cannot read object {}", id.short()))?.size())
    }
    /// The bytes of an object.
    pub fn bytes(&self, id: &Oid) -> Result<Vec<u8>> {
        Ok(self.0.find_object(id.to_gix()?).or_bug(format!("cannot read object {}", id.short()))?.detach().data)
    }
    /// The tree of a commit.
    pub fn tree(&self, commit: &Oid) -> Result<Oid> {
        let commit = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        Ok(commit.tree_id().or_bug("a commit has no tree")?.detach().into())
    }
    /// A commit without its tree.
    pub fn commit(&self, commit: &Oid) -> Result<Commit> {
        let commit = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        Ok(Commit {
            parents: commit.parent_ids().map(|id| id.detach().into()).collect(),
            time: commit.time().or_bug("a commit has no time")?.seconds,
            message: commit.message_raw_sloppy().to_str_lossy().into_owned(),
        })
    }
    /// The author's name and the subject of a commit as git shows them; `None` where its text is not UTF-8.
    pub fn subject(&self, commit: &Oid) -> Result<Option<(String, String)>> {
        let commit = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        let decoded = commit.decode().or_bug("cannot read a commit")?;
        let author = decoded.author().or_bug("a commit has no author")?.name.to_str().map(str::to_owned);
        let subject = decoded.message_summary();
        let text = author.ok().zip(subject.to_str().map(str::to_owned).ok());
        Ok(text.filter(|_| decoded.encoding.is_none()))
    }
    /// Whether a commit has the tree of its first parent.
    pub fn is_empty_commit(&self, commit: &Oid) -> Result<bool> {
        let found = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        let Some(parent) = found.parent_ids().next().map(|id| Oid::from(id.detach())) else { return Ok(false) };
        Ok(self.tree(commit)? == self.tree(&parent)?)
    }
    /// Every path of a commit's tree that is no directory.
    pub fn paths(&self, commit: &Oid) -> Result<Vec<Vec<u8>>> {
        let tree = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        let tree = tree.tree().or_bug("cannot read a tree")?;
        let mut recorder = gix::traverse::tree::Recorder::default();
        tree.traverse().breadthfirst(&mut recorder).or_bug("cannot walk a tree")?;
        Ok(recorder.records.into_iter().filter(|e| !e.mode.is_tree()).map(|e| e.filepath.to_vec()).collect())
    }
    /// The digest of `bytes` as git would name them as a blob: for commands in verdicts.
    pub fn blob_id(&self, bytes: &[u8]) -> Result<Oid> {
        let id = gix::objs::compute_hash(self.0.object_hash(), gix::objs::Kind::Blob, bytes).or_bug("cannot hash")?;
        Ok(id.into())
    }
}

impl Reader {
    /// A file at the top of a commit's tree, `None` where there is none.
    pub fn file(&self, commit: &Oid, name: &str) -> Result<Option<Vec<u8>>> {
        let commit = self.0.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?;
        let tree = commit.tree().or_bug("cannot read a tree")?;
        match tree.find_entry(name) {
            Some(entry) => Ok(Some(entry.object().or_bug("cannot read a file")?.detach().data)),
            None => Ok(None),
        }
    }
}
