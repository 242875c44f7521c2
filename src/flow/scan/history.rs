//! Ranges and all of history: every blob once.

use std::sync::atomic::Ordering;

use bstr::ByteSlice as _;

use crate::error::Result;
use crate::git::Repo;
use crate::git::blobs::Blobs;
use crate::git::introduced::{Introduced, commits, introduced};
use crate::secret::scan::{Scanner, scan_all};

use super::{Collector, Request, threads};

pub(super) fn range(
    request: &Request<'_>,
    repo: &Repo,
    scanner: &Scanner,
    collector: &Collector<'_>,
    range: &str,
) -> Result<()> {
    scan(request, repo, scanner, collector, &[range])
}

pub(super) fn all(request: &Request<'_>, repo: &Repo, scanner: &Scanner, collector: &Collector<'_>) -> Result<()> {
    scan(request, repo, scanner, collector, &["--all"])
}

fn scan(
    request: &Request<'_>,
    repo: &Repo,
    scanner: &Scanner,
    collector: &Collector<'_>,
    revisions: &[&str],
) -> Result<()> {
    let commits = commits(repo, request.env, revisions)?;
    let blobs = Blobs::open(repo)?;
    let mut items: Vec<Introduced> = Vec::new();
    introduced(
        &blobs,
        &commits,
        |blob| {
            items.push(blob);
            !request.cancel.load(Ordering::Relaxed)
        },
        |why| collector.done(b"".as_bstr(), None, Err(why)),
    );
    let load = |scanner: &Scanner, item: &Introduced, buffer: &mut Vec<u8>| {
        blobs.read(item.blob, buffer).map_err(std::io::Error::other)?;
        Ok(scanner.scan_buffer(item.path.as_bstr(), buffer))
    };
    scan_all(scanner, items.into_iter(), threads(), request.cancel, load, |item, scanned| {
        collector.done(item.path.as_bstr(), Some(&item.commit.to_string()), scanned.map_err(|e| e.to_string()));
    });
    Ok(())
}
