//! Scanning for secrets by content: the work tree, what is staged, a range of commits, all of history, or standard input.
//!
//! The answer is never a clean bill when something could not be read: such places are counted and named, and the report
//! says that it is incomplete.

mod cache;
mod history;
mod policy;
mod staged;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bstr::{BStr, BString};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind as ErrorKind, Result};
use crate::git::Repo;
use crate::secret::scan::text::Kind;
use crate::secret::scan::{Confidence, Finding, Scanned};

pub use policy::Policy;

/// What to scan.
#[derive(Debug, Clone)]
pub enum What {
    /// Files and directories; empty is the whole work tree.
    Tree {
        /// What the user named, relative to the current directory.
        paths: Vec<PathBuf>,
        /// Also what git ignores, as a box would see it.
        include_ignored: bool,
    },
    /// The blobs in the index that differ from HEAD; only what they add.
    Staged,
    /// Every blob that a commit of the range introduces.
    Range(String),
    /// Every blob that any ref reaches.
    History,
    /// Standard input, under the given name.
    Stdin(OsString),
}

/// Where and how to scan.
#[derive(Debug)]
pub struct Request<'a> {
    /// The environment.
    pub env: &'a Env,
    /// The current directory.
    pub cwd: &'a Path,
    /// What to scan.
    pub what: What,
    /// Baseline, lists, comments, rules.
    pub policy: Policy,
    /// Set from outside to stop early; the report is then incomplete.
    pub cancel: &'a AtomicBool,
    /// Counted up as bytes are scanned, for a progress line.
    pub progress: &'a AtomicU64,
}

/// A finding with the commit that introduced it, where commits were scanned.
#[derive(Debug, Clone)]
pub struct Located {
    /// The finding.
    pub finding: Finding,
    /// The commit, as hex.
    pub commit: Option<String>,
}

/// What a scan gave.
#[derive(Debug, Default)]
pub struct Report {
    /// What is not accepted by a baseline, a list or a comment.
    pub findings: Vec<Located>,
    /// Files or blobs that were searched.
    pub scanned: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What was searched for provider formats only, or not at all, and why.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Findings that a comment, a list or the baseline accepted.
    pub accepted: u64,
    /// What could not be read. Not empty: the answer is incomplete.
    pub unreadable: Vec<(BString, String)>,
}

impl Report {
    /// Whether something is missing from the answer.
    pub fn is_incomplete(&self) -> bool {
        !self.unreadable.is_empty()
    }
}

/// Runs a scan. Errors: exit 2 where the request cannot be understood or nothing can be read at all.
pub fn run(request: Request<'_>) -> Result<Report> {
    let repo = Repo::discover(request.cwd, request.env);
    let root = repo.as_ref().ok().map(|r| r.work_tree.clone());
    let prepared = request.policy.prepare(root.as_deref(), request.env)?;
    let collector = Collector::new(&prepared, request.progress);
    let mut of_commits = None;
    match &request.what {
        What::Tree { paths, include_ignored } => {
            tree::scan(&request, repo, &prepared.scanner, &collector, paths, *include_ignored)?
        }
        What::Stdin(name) => {
            let mut buffer = Vec::new();
            let path = BString::from(std::os::unix::ffi::OsStringExt::into_vec(name.clone()));
            let scanned = prepared.scanner.scan_stream(path.as_ref(), &mut std::io::stdin().lock(), &mut buffer);
            collector.done(path.as_ref(), None, scanned.map_err(|e| e.to_string()));
        }
        What::Staged => staged::scan(&request, &repo?, &prepared.scanner, &collector)?,
        What::Range(range) => {
            let repo = of_commits.insert(repo?);
            history::range(&request, repo, &prepared.scanner, &collector, range)?;
        }
        What::History => history::all(&request, of_commits.insert(repo?), &prepared.scanner, &collector)?,
    }
    let cancelled = request.cancel.load(Ordering::Relaxed);
    let mut report = collector.finish();
    if let (Some(repo), true) = (&of_commits, report.findings.len() > 1) {
        history::sort(&request, repo, &mut report);
    }
    if cancelled {
        report.unreadable.push((BString::default(), "stopped before the end".into()));
    }
    prepared.write_baseline(&mut report)?;
    Ok(report)
}

/// Gathers results from several threads.
#[derive(Debug)]
struct Collector<'a> {
    policy: &'a policy::Prepared,
    progress: &'a AtomicU64,
    report: Mutex<Report>,
}

impl<'a> Collector<'a> {
    fn new(policy: &'a policy::Prepared, progress: &'a AtomicU64) -> Self {
        Collector { policy, progress, report: Mutex::new(Report::default()) }
    }

    fn done(&self, path: &BStr, commit: Option<&str>, scanned: Result<Scanned, String>) {
        let Ok(mut report) = self.report.lock() else { return };
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(why) => {
                report.unreadable.push((path.to_owned(), why));
                return;
            }
        };
        self.progress.fetch_add(scanned.bytes, Ordering::Relaxed);
        report.scanned += 1;
        report.bytes += scanned.bytes;
        report.accepted += scanned.allowed as u64;
        if let Some(reason) = reason(scanned.kind) {
            *report.skipped.entry(reason).or_default() += 1;
        }
        for finding in scanned.findings {
            if self.policy.accepts(&finding) {
                report.accepted += 1;
            } else {
                report.findings.push(Located { finding, commit: commit.map(str::to_owned) });
            }
        }
    }

    /// A blob of the history that was searched without its path.
    fn seen(&self, bytes: u64) {
        self.progress.fetch_add(bytes, Ordering::Relaxed);
        if let Ok(mut report) = self.report.lock() {
            report.scanned += 1;
            report.bytes += bytes;
        }
    }

    fn skipped(&self, reason: &'static str) {
        if let Ok(mut report) = self.report.lock() {
            *report.skipped.entry(reason).or_default() += 1;
        }
    }

    fn finish(self) -> Report {
        let mut report = self.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.findings.sort_by(|a, b| {
            let key = |l: &Located| (l.finding.path.clone(), l.finding.line, l.finding.column, l.commit.clone());
            key(a).cmp(&key(b))
        });
        report.unreadable.sort();
        report
    }
}

fn reason(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Text => None,
        Kind::Binary => Some("binary (provider formats only)"),
        Kind::Archive => Some("archive (content not unpacked)"),
        Kind::Generated => Some("generated (provider formats only)"),
    }
}

/// As many threads as there are processors to use.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(16)
}

/// Reads a whole file that is configuration of the scan, bounded. Errors: exit 2.
fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>> {
    let shown = path.display();
    let file = std::fs::File::open(path).context(ErrorKind::Usage, format!("cannot read '{shown}'"))?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).context(ErrorKind::Usage, format!("cannot read '{shown}'"))?;
    if bytes.len() > most {
        return Err(Error::usage(format!("'{shown}' is too large")));
    }
    Ok(bytes)
}

/// The confidence from which findings are reported.
fn least(all: bool) -> Confidence {
    if all { Confidence::Low } else { Confidence::Medium }
}
