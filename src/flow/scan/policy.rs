//! What is accepted, and which rules run: the command line, the user's configuration, and files in the tree that may
//! only make a scan stricter or accept single findings by their keyed hash.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};
use crate::secret::scan::allow::AllowList;
use crate::secret::scan::baseline::{self, Baseline};
use crate::secret::scan::{Finding, RuleSet, Scanner};

use super::{Report, least, read_bounded};

/// The list of accepted findings at the top of a work tree.
const ALLOW: &str = ".coopallow";
/// Rules that a tree switches on again.
const STRICT: &str = ".coopscan";
/// Lists are read up to this size.
const MAX: usize = 4 << 20;

/// What the user asked for.
#[derive(Debug, Default, Clone)]
pub struct Policy {
    /// The baseline.
    pub baseline: Option<PathBuf>,
    /// Write it instead of failing on what it does not know.
    pub update_baseline: bool,
    /// Neither comments nor `.coopallow` count.
    pub no_allow: bool,
    /// Report low confidence as well.
    pub all: bool,
    /// Rules switched off by the user (never by the tree).
    pub disable: Vec<String>,
}

/// A policy with its files read.
#[derive(Debug)]
pub(super) struct Prepared {
    pub scanner: Scanner,
    baseline: Option<(PathBuf, Baseline)>,
    update: bool,
    allow: AllowList,
}

impl Policy {
    /// Reads the files. Errors: exit 2 for a broken baseline or list and for an unknown rule.
    pub(super) fn prepare(&self, root: Option<&Path>, _env: &Env) -> Result<Prepared> {
        let mut rules = RuleSet::built_in();
        rules.disable(self.disable.iter().map(String::as_str))?;
        let mut all = self.all;
        if let Some(text) = root.map(|r| in_tree(r, STRICT)).transpose()?.flatten() {
            all |= stricter(&text, &mut rules)?;
        }
        let allow = match root.filter(|_| !self.no_allow).map(|r| in_tree(r, ALLOW)).transpose()?.flatten() {
            Some(text) => AllowList::parse(&text)?,
            None => AllowList::default(),
        };
        let baseline = self.baseline.as_ref().map(|path| load(path, self.update_baseline)).transpose()?;
        let mut scanner = Scanner::new(rules).reporting_from(least(all)).honouring_comments(!self.no_allow);
        if let Some((_, known)) = &baseline {
            scanner = scanner.with_key(known.key.clone());
        }
        Ok(Prepared { scanner, baseline, update: self.update_baseline, allow })
    }
}

impl Prepared {
    /// Whether the baseline or the list accepts `finding`.
    pub(super) fn accepts(&self, finding: &Finding) -> bool {
        self.allow.allows(finding)
            || !self.update && self.baseline.as_ref().is_some_and(|(_, known)| known.knows(finding))
    }

    /// Writes the baseline if that was asked for; its findings are then accepted. An incomplete scan writes nothing.
    pub(super) fn write_baseline(&self, report: &mut Report) -> Result<()> {
        let (true, Some((path, known))) = (self.update, &self.baseline) else { return Ok(()) };
        if report.is_incomplete() {
            return Ok(());
        }
        let mut known = known.clone();
        known.replace(report.findings.iter().map(|l| &l.finding));
        let shown = path.display();
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir).context(Kind::Usage, format!("cannot write '{shown}'"))?;
        std::io::Write::write_all(&mut file, known.to_json().as_bytes())
            .context(Kind::Usage, format!("cannot write '{shown}'"))?;
        file.persist(path).context(Kind::Usage, format!("cannot write '{shown}'"))?;
        report.accepted += report.findings.len() as u64;
        report.findings.clear();
        Ok(())
    }
}

fn load(path: &Path, may_be_new: bool) -> Result<(PathBuf, Baseline)> {
    if may_be_new && !path.exists() {
        let mut random = [0; 16];
        let source = fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut random));
        source.or_bug("cannot read random bytes")?;
        return Ok((path.to_owned(), Baseline::new(random)));
    }
    Ok((path.to_owned(), Baseline::parse(&read_bounded(path, baseline::MAX)?)?))
}

/// A small file at the top of the tree, not followed if it is a link; `None` where there is none.
fn in_tree(root: &Path, name: &str) -> Result<Option<String>> {
    let path = root.join(name);
    match path.symlink_metadata() {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(meta) if meta.is_file() => {
            let bytes = read_bounded(&path, MAX)?;
            String::from_utf8(bytes).context(Kind::Usage, format!("{name} is not UTF-8")).map(Some)
        }
        _ => Err(Error::usage(format!("{name} is not a regular file"))),
    }
}

/// `enable RULE` and `report low`, one per line: a tree can only ask for more. Returns whether low confidence is reported.
fn stricter(text: &str, rules: &mut RuleSet) -> Result<bool> {
    let mut all = false;
    for (number, line) in text.lines().enumerate() {
        match line.split('#').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            ["enable", rule] => rules.enable([rule])?,
            ["report", "low"] => all = true,
            _ => {
                return Err(Error::usage(format!("{STRICT} line {}: not understood", number + 1))
                    .hint("a tree can only ask for more: enable RULE, report low"));
            }
        }
    }
    Ok(all)
}
