//! `git coop sync`.

use serde::Serialize;

use crate::error::Result;
use crate::exit;
use crate::flow::sync;
use crate::ui::text::count;

use super::{Command, Context, out};

/// Exchange state with a remote: forks, loops, verdicts, the archive
///
/// Fetches refs/coop/* of the remote to refs/coop-remote/REMOTE/*, where git log shows what other machines do, and pushes
/// what happened here. Nothing is overwritten: a name that means another thing there is named, and left alone (exit 3).
/// What looks like a secret is not pushed (exit 1). Without REMOTE: origin, or the only one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The remote
    remote: Option<String>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    remote: &'a str,
    fetched: usize,
    pushed: usize,
    removed: usize,
    collisions: &'a [String],
    behind: &'a [String],
    secrets: &'a [String],
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let coop = context.coop()?;
        let remote = sync::choose(&coop, self.remote.as_deref())?;
        let report = sync::sync(&coop, &remote)?;
        if self.json {
            let sync::Report { fetched, pushed, removed, collisions, behind, secrets } = &report;
            let (fetched, pushed, removed) = (*fetched, *pushed, *removed);
            out::json(&Json { remote: &remote, fetched, pushed, removed, collisions, behind, secrets })?;
        } else {
            let removed = if report.removed > 0 { format!(", {} removed", report.removed) } else { String::new() };
            eprintln!("{remote}: {} fetched, {} pushed{removed}", count(report.fetched, "ref"), report.pushed);
        }
        for line in &report.behind {
            eprintln!("note: {line}: git log refs/coop-remote/{remote}/{}", line.split(':').next().unwrap_or_default());
        }
        for line in &report.secrets {
            eprintln!("error: not pushed: {line}");
        }
        for line in &report.collisions {
            eprintln!("error: collision: {line}");
        }
        if !report.secrets.is_empty() {
            eprintln!("hint: git coop scan --range BASE..refs/coop/… shows it");
        }
        if !report.collisions.is_empty() {
            eprintln!(
                "hint: git log --oneline --glob=refs/coop-remote/{remote} shows theirs; yours needs another name"
            );
        }
        Ok(match (report.collisions.is_empty(), report.secrets.is_empty()) {
            (false, _) => exit::CONFLICT,
            (true, false) => exit::NO,
            (true, true) => exit::OK,
        })
    }
}
