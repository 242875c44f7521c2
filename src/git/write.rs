//! Writes commits and trees through gix. The kind of hash is the repository's, checked by construction:
//! ids come from the same object database.

use std::collections::BTreeMap;

use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{self, Commit};

use crate::error::{Context as _, Error, Result};

use super::{Oid, Repo, objects};

/// A commit to be written.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    /// `Name <email> seconds zone`, as `git var GIT_COMMITTER_IDENT` prints it; author and committer.
    pub ident: &'a str,
    /// Parents in order.
    pub parents: &'a [Oid],
    /// The whole message.
    pub message: &'a str,
    /// Files of the commit's tree, flat names; empty for the empty tree.
    pub files: &'a BTreeMap<String, Vec<u8>>,
}

/// The user's object store, open for writing.
pub struct Writer(gix::Repository);

impl Writer {
    /// Opens it.
    pub fn open(repo: &Repo) -> Result<Writer> {
        objects::open(repo).map(Writer)
    }
    /// Writes blobs, tree and commit into the user's object store; nothing refers to them yet.
    pub fn commit(&self, new: &NewCommit<'_>) -> Result<Oid> {
        commit(&self.0, new.ident, new.parents, new.message, Tree::Of(new.files))
    }
}

/// The tree of a commit.
pub(super) enum Tree<'a> {
    /// One that is there.
    Is(gix::ObjectId),
    /// Files by their flat names.
    Of(&'a BTreeMap<String, Vec<u8>>),
}

pub(super) fn commit(
    objects: &gix::Repository,
    ident: &str,
    parents: &[Oid],
    message: &str,
    tree: Tree<'_>,
) -> Result<Oid> {
    let tree = match tree {
        Tree::Is(id) => id,
        Tree::Of(files) => flat(objects, files)?,
    };
    let who = gix::actor::SignatureRef::from_bytes(ident.as_bytes())
        .or_bug("git printed an identity that does not parse")?
        .to_owned()
        .or_bug("git printed a time that does not parse")?;
    let commit = Commit {
        tree,
        parents: parents.iter().map(Oid::to_gix).collect::<Result<_>>()?,
        author: who.clone(),
        committer: who,
        encoding: None,
        message: message.into(),
        extra_headers: Vec::new(),
    };
    Ok(objects.write_object(commit).or_bug("cannot write a commit")?.detach().into())
}

fn flat(objects: &gix::Repository, files: &BTreeMap<String, Vec<u8>>) -> Result<gix::ObjectId> {
    let mut entries = Vec::new();
    for (name, bytes) in files {
        if name.is_empty() || name.contains('/') || name == ".git" {
            return Err(Error::bug(format!("'{name}' is no file name of an event")));
        }
        let oid = objects.write_blob(bytes).or_bug("cannot write a blob")?.detach();
        entries.push(Entry { mode: EntryKind::Blob.into(), filename: name.as_str().into(), oid });
    }
    Ok(objects.write_object(objs::Tree { entries }).or_bug("cannot write a tree")?.detach())
}
