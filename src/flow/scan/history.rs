//! Ranges and all of history: every blob once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use bstr::{BString, ByteSlice as _};

use crate::error::Result;
use crate::git::blobs::{Blobs, ObjectId};
use crate::git::introduced::{Introduced, commits, introduced};
use crate::git::store::{Store, missing, tips};
use crate::git::{Git, Repo};
use crate::secret::scan::{RuleSet, Scanner, scan_all};

use super::cache::{self, Cache, Places};
use super::{Collector, Report, Request, threads};

/// Every blob that a commit of `range` introduces.
pub(super) fn range(
    request: &Request<'_>,
    repo: &Repo,
    scanner: &Scanner,
    collector: &Collector<'_>,
    range: &str,
) -> Result<()> {
    let commits = commits(repo, request.env, &[range])?;
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
    // what an earlier scan of the history found clean is clean
    let known = cache::load(&cache::file(repo, scanner)).clean;
    items.retain(|item| known.binary_search(&item.blob).is_err());
    scan_blobs(request, scanner, collector, &blobs, items);
    Ok(())
}

/// Sorts findings by the dates of their commits, the oldest first: where a secret came in is what a person looks for. What
/// cannot be sorted stays as it is.
pub(super) fn sort(request: &Request<'_>, repo: &Repo, report: &mut Report) {
    let mut ids: Vec<&str> = report.findings.iter().filter_map(|found| found.commit.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    let git = Git::new(repo, request.env).args(["rev-list", "--no-walk=sorted", "--reverse", "--stdin"]);
    let Ok(sorted) = git.input(ids.join("\n").into_bytes()).read() else { return };
    let sorted = String::from_utf8_lossy(&sorted).into_owned();
    let order: HashMap<&str, usize> = sorted.lines().enumerate().map(|(at, id)| (id, at)).collect();
    report.findings.sort_by_key(|found| found.commit.as_deref().and_then(|id| order.get(id)).copied());
}

fn scan_blobs(
    request: &Request<'_>,
    scanner: &Scanner,
    collector: &Collector<'_>,
    blobs: &Blobs,
    items: Vec<Introduced>,
) {
    let load = |scanner: &Scanner, item: &Introduced, buffer: &mut Vec<u8>| {
        blobs.read(item.blob, buffer).map_err(std::io::Error::other)?;
        Ok(scanner.scan_buffer(item.path.as_bstr(), buffer))
    };
    scan_all(scanner, items.into_iter(), threads(), request.cancel, load, |item, scanned| {
        collector.done(item.path.as_bstr(), Some(&item.commit.to_string()), scanned.map_err(|e| e.to_string()));
    });
}

/// Every blob that a ref reaches: first all that the object database has and that is not known to be clean, then,
/// for those with findings only, the commit and path that introduced them.
pub(super) fn all(request: &Request<'_>, repo: &Repo, scanner: &Scanner, collector: &Collector<'_>) -> Result<()> {
    let tips = tips(repo, request.env)?;
    let blobs = Blobs::open(repo)?;
    let path = cache::file(repo, scanner);
    let mut cache = cache::load(&path);
    // nothing is accepted here, so that what is remembered as clean is clean under any policy
    let strict = Scanner::new(RuleSet::built_in()).reporting_from(scanner.least()).honouring_comments(false);
    let found: Mutex<HashSet<ObjectId>> = Mutex::default();
    let mut present = Vec::new();
    let gaps =
        Store::of(repo)?.visit(&blobs, &cache.clean, &mut present, request.cancel, threads(), &|id, bytes| {
            let scanned = strict.scan_buffer(b"".as_bstr(), bytes);
            if !scanned.findings.is_empty()
                && let Ok(mut found) = found.lock()
            {
                found.insert(id);
            }
            collector.seen(scanned.bytes);
        })?;
    for why in &gaps.broken {
        collector.done(b"".as_bstr(), None, Err(why.clone()));
    }
    let lost = cache.clean.iter().any(|id| present.binary_search(id).is_err());
    if gaps.dangling || lost {
        for why in missing(repo, request.env)? {
            collector.done(b"".as_bstr(), None, Err(why));
        }
    }
    let found = found.into_inner().unwrap_or_default();
    if !is_current(&cache, &tips, &found) {
        cache.places = places(request, repo, &blobs, &found)?;
        cache.tips = tips;
    }
    let items = found.iter().filter_map(|id| {
        let (path, commit) = cache.places.get(&id.to_string())?.clone()?;
        Some(Introduced { blob: *id, path: BString::from(path), commit: ObjectId::from_hex(&commit)? })
    });
    scan_blobs(request, scanner, collector, &blobs, items.collect());
    if gaps.broken.is_empty() && !request.cancel.load(Ordering::Relaxed) {
        present.retain(|id| !found.contains(id));
        if present != cache.clean || !path.exists() {
            cache.clean = present;
        }
        cache::save(&path, &cache);
    }
    Ok(())
}

fn is_current(cache: &Cache, tips: &[u8], found: &HashSet<ObjectId>) -> bool {
    cache.tips == tips && found.iter().all(|id| cache.places.contains_key(&id.to_string()))
}

/// Where each of `found` was introduced; what no ref reaches is remembered as such.
fn places(request: &Request<'_>, repo: &Repo, blobs: &Blobs, found: &HashSet<ObjectId>) -> Result<Places> {
    let mut out: BTreeMap<_, _> = found.iter().map(|id| (id.to_string(), None)).collect();
    if found.is_empty() || Git::new(repo, request.env).args(["for-each-ref", "--count=1"]).read()?.is_empty() {
        return Ok(out);
    }
    let commits = commits(repo, request.env, &["--all"])?;
    let mut open = found.len();
    introduced(
        blobs,
        &commits,
        |blob| {
            if found.contains(&blob.blob) {
                out.insert(blob.blob.to_string(), Some((blob.path.to_vec(), blob.commit.to_string())));
                open -= 1;
            }
            open > 0
        },
        |_| {}, // what is missing was told already
    );
    Ok(out)
}
