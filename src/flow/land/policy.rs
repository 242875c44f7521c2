//! What may not reach a branch unseen: every blob of every commit is looked at, by path, kind, size and content.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Result;
use crate::git::diff::{self, Change};
use crate::git::named::{self, Named};
use crate::git::objects::Reader;
use crate::git::{Oid, Repo};
use crate::secret::decide::Decider;
use crate::secret::scan::{RuleSet, Scanner};
use crate::secret::shadow::Rules;
use crate::ui::text::{count, printable, printable_bytes};
use crate::without::without;

use super::super::{Coop, shadows, verify};
use super::hostpaths;

/// The kinds of findings, and the words of `--accept KIND:PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A secret by its content.
    Secret,
    /// Larger than `coop.maxBlob`.
    Blob,
    /// Runs on the host or in CI by itself.
    Host,
    /// A symlink that leaves the tree.
    Symlink,
    /// A path that boxes do not see.
    Shadowed,
    /// Another repository.
    Submodule,
}

impl Kind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Blob => "blob",
            Kind::Host => "host",
            Kind::Symlink => "symlink",
            Kind::Shadowed => "shadowed",
            Kind::Submodule => "submodule",
        }
    }
    const ALL: [Kind; 6] = [Kind::Secret, Kind::Blob, Kind::Host, Kind::Symlink, Kind::Shadowed, Kind::Submodule];
    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that a person has to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Kind.
    pub kind: Kind,
    /// The commit that brings it.
    pub commit: Oid,
    /// The path.
    pub path: Vec<u8>,
    /// Line in the file, for secrets.
    pub line: Option<u32>,
    /// What it is, without the secret.
    pub what: String,
}

impl Finding {
    /// What `--accept` takes to let it pass: `KIND:PATH`, harmless for a terminal.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind.word(), printable_bytes(&self.path))
    }
    /// One line for people.
    pub fn shown(&self) -> String {
        let line = self.line.map(|n| format!(":{n}")).unwrap_or_default();
        let path = printable_bytes(&self.path);
        format!("{} {path}{line}: {} (commit {})", self.kind.word(), self.what, self.commit.short())
    }
}

/// Looks at commits once each: blobs that it has seen are not read again.
pub struct Policy<'a> {
    coop: &'a Coop,
    scanner: Scanner,
    max: u64,
    seen: BTreeSet<(Vec<u8>, Oid)>,
    named: Vec<Named>,
    /// Blobs that were scanned for secrets.
    pub blobs: usize,
}

impl<'a> Policy<'a> {
    /// Compiles the rules without those that the user's configuration switches off. Comments in the files do not count: an
    /// agent writes them. Errors: exit 2 for a rule that does not exist.
    pub fn new(coop: &'a Coop) -> Result<Self> {
        let max = coop.settings.get("COOP_MAX_BLOB").and_then(crate::settings::bytes).unwrap_or(5 << 20);
        let mut rules = RuleSet::built_in();
        rules.disable(coop.settings.get("COOP_SCAN_DISABLE").unwrap_or_default().split_whitespace())?;
        let scanner = Scanner::new(rules).honouring_comments(false);
        let named = named::in_tree(&coop.repo, Some(&coop.env.home()), &coop.config);
        Ok(Policy { coop, scanner, max, seen: BTreeSet::new(), named, blobs: 0 })
    }

    /// What `commits` bring, in their order. Where `reported` is false only content that was not seen before counts.
    pub fn check(&mut self, commits: &[Oid]) -> Result<Vec<Finding>> {
        let commits =
            if without("landing-every-commit") { &commits[commits.len().saturating_sub(1)..] } else { commits };
        let changes: Vec<Change> = diff::changes(&self.coop.repo, &self.coop.env, commits)?
            .into_iter()
            .filter(|change| match &change.new {
                Some(new) => self.seen.insert((change.path.clone(), new.id.clone())),
                None => false,
            })
            .collect();
        let remembered = shadows::remembered(self.coop)?;
        let rules = Rules::default();
        let decider = Decider::new(&rules, &remembered);
        let mut findings = Vec::new();
        for change in &changes {
            self.by_path(change, &decider, &mut findings);
        }
        findings.extend(self.by_content(&changes)?);
        findings.retain(|finding| !crate::without::without(&format!("policy-{}", finding.kind.word())));
        let order: HashMap<&Oid, usize> = commits.iter().enumerate().map(|(at, id)| (id, at)).collect();
        findings.sort_by(|a, b| (order.get(&a.commit), a.kind, &a.path).cmp(&(order.get(&b.commit), b.kind, &b.path)));
        findings.retain(|f| !without(&format!("landing-{}", f.kind.word())));
        findings.dedup_by(|a, b| a.kind == b.kind && a.path == b.path && a.line == b.line && a.commit == b.commit);
        Ok(findings)
    }

    fn by_path(&self, change: &Change, decider: &Decider<'_>, findings: &mut Vec<Finding>) {
        let Some(new) = &change.new else { return };
        let mut add = |kind, what: String| findings.push(of(change, kind, None, what));
        if new.mode == "160000" {
            add(Kind::Submodule, format!("another repository at {}", new.id.short()));
        }
        if let Some(why) = hostpaths::why(&change.path) {
            add(Kind::Host, why.to_owned());
        } else if let Some(named) = self.named.iter().find(|named| named.covers(&change.path)) {
            add(Kind::Host, format!("{} of git's configuration names it", printable(&named.key)));
        }
        if let Some(why) = decider.why(&change.path) {
            add(Kind::Shadowed, format!("hidden from boxes ({why})"));
        }
    }

    /// Reads blobs, in as many threads as there are processors where it is worth it.
    fn by_content(&mut self, changes: &[Change]) -> Result<Vec<Finding>> {
        let blobs: Vec<&Change> =
            changes.iter().filter(|c| c.new.as_ref().is_some_and(|new| new.mode != "160000")).collect();
        self.blobs += blobs.len();
        let threads = if blobs.len() < 64 { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
        let repo = &self.coop.repo;
        let this = &*self;
        if threads == 1 {
            return this.read(repo, &blobs);
        }
        let chunks: Vec<&[&Change]> = blobs.chunks(blobs.len().div_ceil(threads)).collect();
        let results: Vec<Result<Vec<Finding>>> = std::thread::scope(|scope| {
            let started: Vec<_> = chunks.iter().map(|chunk| scope.spawn(|| this.read(repo, chunk))).collect();
            started
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err(crate::Error::bug("a scanning thread died"))))
                .collect()
        });
        let mut findings = Vec::new();
        for result in results {
            findings.extend(result?);
        }
        Ok(findings)
    }

    fn read(&self, repo: &Repo, changes: &[&Change]) -> Result<Vec<Finding>> {
        let reader = Reader::open(repo)?;
        let mut findings = Vec::new();
        for change in changes {
            let Some(new) = &change.new else { continue };
            let size = reader.size(&new.id)?;
            if size > self.max {
                findings.push(of(change, Kind::Blob, None, count(size as usize, "byte")));
            }
            let bytes = reader.bytes(&new.id)?;
            if new.mode == "120000" {
                let dir = Path::new(OsStr::from_bytes(&change.path)).parent().unwrap_or(Path::new(""));
                if verify::text_leaves(dir, Path::new(OsStr::from_bytes(&bytes)), &self.coop.repo.work_tree) {
                    findings.push(of(change, Kind::Symlink, None, format!("points to {}", printable_bytes(&bytes))));
                }
            }
            let old =
                || change.old.as_ref().filter(|old| old.mode != "160000").map(|old| reader.bytes(&old.id)).transpose();
            if change.path.ends_with(b"package.json")
                && hostpaths::install_scripts(&change.path, old()?.as_deref(), &bytes)
            {
                findings.push(of(change, Kind::Host, None, "scripts that npm runs at install".into()));
            }
            let path = bstr::BStr::new(&change.path);
            let mut found = self.scanner.scan(path, &bytes);
            if !found.is_empty()
                && let Some(old) = old()?
            {
                // what the file had before is not what these commits bring
                let before = self.scanner.scan(path, &old);
                found.retain(|f| !before.iter().any(|b| b.fingerprint == f.fingerprint));
            }
            findings.extend(
                found
                    .into_iter()
                    .map(|f| of(change, Kind::Secret, Some(f.line), format!("{}, {}", f.about, f.redacted))),
            );
        }
        Ok(findings)
    }
}

fn of(change: &Change, kind: Kind, line: Option<u32>, what: String) -> Finding {
    Finding { kind, commit: change.commit.clone(), path: change.path.clone(), line, what }
}
