//! Objects through gix.

use crate::error::{Context as _, Result};

use super::Repo;

/// Opens the user's repository for objects only: no configuration but its own, none of it trusted to
/// name a program (`Trust::Reduced`: no filter, merge driver or hook fired in the measured attacks).
pub fn open(repo: &Repo) -> Result<gix::Repository> {
    let options = gix::open::Options::isolated().with(gix::sec::Trust::Reduced);
    let opened = gix::ThreadSafeRepository::open_opts(&repo.git_dir, options)
        .or_bug(format!("cannot open '{}'", repo.git_dir.display()))?;
    Ok(opened.to_thread_local())
}
