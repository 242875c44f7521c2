//! `git coop scan`.

mod human;
mod json;
mod progress;
mod sarif;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::scan::{self, Policy, Report, Request, What};
use crate::secret::scan::RuleSet;

use super::{Command, Context, out};

/// Find secrets by content
///
/// Without options: every file of the work tree that git tracks or would track. Findings never show the secret. Exit code
/// 0: nothing found; 1: something found; 2: the answer would be incomplete, or wrong usage. No network connection is ever made.
///
/// A finding is accepted by the comment coop:allow (or gitleaks:allow, pragma: allowlist secret, ...) on its line, by its
/// fingerprint in .coopallow at the top of the tree, or by a baseline.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories; works outside a repository as well
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What is staged, and of that only what HEAD has not: for a pre-commit hook
    #[arg(long, group = "what", conflicts_with = "paths")]
    staged: bool,
    /// The work tree (the default)
    #[arg(long, group = "what")]
    worktree: bool,
    /// Every blob that a commit of the range introduces, also those removed again later
    #[arg(long, value_name = "A..B", group = "what", conflicts_with = "paths")]
    range: Option<String>,
    /// Every blob that any ref reaches
    #[arg(long, group = "what", conflicts_with = "paths")]
    history: bool,
    /// Standard input
    #[arg(long, group = "what", conflicts_with = "paths")]
    stdin: bool,
    /// Also what git ignores: all that a box would see
    #[arg(long, conflicts_with_all = ["staged", "range", "history", "stdin"])]
    include_ignored: bool,
    /// Known findings, which are accepted
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the findings of this scan into the baseline
    #[arg(long, requires = "baseline")]
    update_baseline: bool,
    /// Neither comments nor .coopallow accept anything: for CI
    #[arg(long)]
    no_allow: bool,
    /// Also report what has low confidence: placeholders, examples, public identifiers
    #[arg(long)]
    all: bool,
    /// Switch a rule off, for this run; coop.scanDisable in your git configuration does it for good
    #[arg(long, value_name = "RULE")]
    disable: Vec<String>,
    /// Print JSON
    #[arg(long, group = "format")]
    json: bool,
    /// Print SARIF 2.1.0
    #[arg(long, group = "format")]
    sarif: bool,
    /// Print nothing, only exit with the answer
    #[arg(long, short, group = "format")]
    quiet: bool,
    /// List the rules and end
    #[arg(long)]
    list_rules: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if self.list_rules {
            let rules = RuleSet::built_in();
            out::write(|w| rules.describe().iter().try_for_each(|(id, about)| writeln!(w, "{id:32} {about}")))?;
            return Ok(exit::OK);
        }
        let settings = context.settings(context.repo().ok().as_ref())?;
        let switched_off = settings.get("COOP_SCAN_DISABLE").unwrap_or_default().split_whitespace().map(str::to_owned);
        let (cancel, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
        let request = Request {
            env: &context.env,
            cwd: &context.cwd,
            what: self.what(),
            policy: Policy {
                baseline: self.baseline.clone(),
                update_baseline: self.update_baseline,
                no_allow: self.no_allow,
                all: self.all,
                disable: self.disable.iter().cloned().chain(switched_off).collect(),
            },
            cancel: &cancel,
            progress: &bytes,
        };
        let quiet = self.quiet || self.staged;
        let report = progress::shown(&context.env, &bytes, quiet, || scan::run(request))?;
        self.print(context, &report)?;
        answer(&report)
    }
}

impl Args {
    fn what(&self) -> What {
        match &self.range {
            Some(range) => What::Range(range.clone()),
            None if self.staged => What::Staged,
            None if self.history => What::History,
            None if self.stdin => What::Stdin("stdin".into()),
            None => What::Tree { paths: self.paths.clone(), include_ignored: self.include_ignored },
        }
    }

    fn print(&self, context: &Context, report: &Report) -> Result<()> {
        if self.json {
            return out::json(&json::document(report));
        }
        if self.sarif {
            return out::json(&sarif::document(report));
        }
        if self.quiet {
            return Ok(());
        }
        human::print(&context.env, report, self.staged)
    }
}

/// Incomplete is never a clean bill, and says so even where something was found.
fn answer(report: &Report) -> Result<u8> {
    if report.is_incomplete() {
        let n = report.unreadable.len();
        return Err(Error::usage(format!("the scan is incomplete: {n} could not be read"))
            .hint("the report names what and why"));
    }
    Ok(if report.findings.is_empty() { exit::OK } else { exit::NO })
}
