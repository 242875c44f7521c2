//! Objects through gix.

use crate::error::{Context as _, Result};

use std::collections::BTreeSet;

use super::{Oid, Repo};

/// Opens the user's repository for objects only: no configuration but its own, none of it trusted to
/// name a program (`Trust::Reduced`: no filter, merge driver or hook fired in the measured attacks).
pub fn open(repo: &Repo) -> Result<gix::Repository> {
    let options = gix::open::Options::isolated().with(gix::sec::Trust::Reduced);
    let opened = gix::ThreadSafeRepository::open_opts(&repo.git_dir, options)
        .or_bug(format!("cannot open '{}'", repo.git_dir.display()))?;
    Ok(opened.to_thread_local())
}

/// Paths of all gitlinks (submodules) in the tree of a commit.
pub fn gitlinks(opened: &gix::Repository, commit: &Oid) -> Result<BTreeSet<Vec<u8>>> {
    let tree =
        opened.find_commit(commit.to_gix()?).or_bug("cannot read a commit")?.tree().or_bug("cannot read a tree")?;
    let mut recorder = gix::traverse::tree::Recorder::default();
    tree.traverse().breadthfirst(&mut recorder).or_bug("cannot walk a tree")?;
    Ok(recorder.records.into_iter().filter(|e| e.mode.is_commit()).map(|e| e.filepath.to_vec()).collect())
}
