//! The pre-commit check: the staged blobs, and of those only what HEAD does not have already.

use std::collections::HashMap;

use bstr::ByteSlice as _;

use crate::error::Result;
use crate::git::Repo;
use crate::git::blobs::Blobs;
use crate::git::staged::{Staged, staged};
use crate::secret::scan::{Fingerprint, Scanned, Scanner};

use super::{Collector, Request};

pub(super) fn scan(request: &Request<'_>, repo: &Repo, scanner: &Scanner, collector: &Collector<'_>) -> Result<()> {
    // git gives hooks the index that the commit is made of, which is another one for `git commit -a` and `git commit PATH`
    let index = request.env.get("GIT_INDEX_FILE").map(|name| request.cwd.join(name));
    let changes = staged(repo, request.env, index.as_deref())?;
    if changes.is_empty() {
        return Ok(());
    }
    let blobs = Blobs::open(repo)?;
    let mut buffer = Vec::new();
    for change in &changes {
        let scanned = added(scanner, &blobs, change, &mut buffer).map_err(|e| e.to_string());
        collector.done(change.path.as_bstr(), None, scanned);
    }
    Ok(())
}

/// The findings of the new blob that the old one has not: a value counts as often as it stands there, so a second copy is
/// reported and a moved line is not.
fn added(scanner: &Scanner, blobs: &Blobs, change: &Staged, buffer: &mut Vec<u8>) -> Result<Scanned> {
    blobs.read(change.new, buffer)?;
    let mut scanned = scanner.scan_buffer(change.path.as_bstr(), buffer);
    if scanned.findings.is_empty() {
        return Ok(scanned);
    }
    for old in &change.old {
        blobs.read(*old, buffer)?;
        let mut known: HashMap<Fingerprint, usize> = HashMap::new();
        for finding in scanner.scan(change.path.as_bstr(), buffer) {
            *known.entry(finding.fingerprint).or_default() += 1;
        }
        scanned.findings.retain(|f| match known.get_mut(&f.fingerprint) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
    }
    Ok(scanned)
}
