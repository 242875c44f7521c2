//! `git coop doctor`.

use std::io::IsTerminal as _;

use owo_colors::OwoColorize as _;

use crate::error::Result;
use crate::exit;
use crate::flow::doctor::{self, Check, Verdict};
use crate::ui::text;

use super::{Command, Context, out};

/// Attack the box that would be used here, and tell what holds
///
/// Starts boxes in a sample repository with planted secrets: with the runtime, image, user, limits and network that
/// runs in this repository have. From inside it tries to read and change the secrets, to leave the box, and to
/// reach what must not be there; then it makes a fork and looks for secrets in it. One line per check. Exit 1 if a
/// promise does not hold.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        // outside of a repository there is still a box to attack
        let coop = if context.repo().is_ok() { Some(context.coop()?) } else { None };
        let settings = match &coop {
            Some(coop) => coop.settings.clone(),
            None => context.settings(None)?,
        };
        let colour = std::io::stdout().is_terminal() && context.env.get("NO_COLOR").is_none();
        let quiet = self.json;
        let mut tell = |check: &Check| {
            if !quiet {
                println!("{}", line(check, colour));
            }
        };
        let report = doctor::run(&context.env, &settings, coop.as_ref(), &mut tell)?;
        if self.json {
            out::json(&report)?;
        } else {
            let bad = report.checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
            let image = report.image.as_deref().map(|image| format!(", image {image}")).unwrap_or_default();
            let summary = if bad == 0 {
                "every promise holds".to_owned()
            } else {
                format!("{}, not held", text::count(bad, "promise"))
            };
            out::write(|to| writeln!(to, "{}{image}: {summary}", report.runtime))?;
        }
        Ok(if report.is_bad() { exit::NO } else { exit::OK })
    }
}

fn line(check: &Check, colour: bool) -> String {
    let word = match check.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Note => "note",
        Verdict::Bad => "BAD ",
    };
    let word = match (colour, check.verdict) {
        (false, _) => word.to_owned(),
        (true, Verdict::Ok) => word.green().to_string(),
        (true, Verdict::Note) => word.yellow().to_string(),
        (true, Verdict::Bad) => word.red().to_string(),
    };
    format!("{word}  {:<20}  {}", check.name, check.detail)
}
