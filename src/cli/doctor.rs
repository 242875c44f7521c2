//! `git coop doctor`.

use std::io::IsTerminal as _;

use owo_colors::OwoColorize as _;

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::Coop;
use crate::flow::attack::{self, Ground, Outcome, corpus};
use crate::flow::doctor::{self, Check};
use crate::settings::Settings;
use crate::ui::text;

use super::{Command, Context, out};

/// Attack the box that would be used here, and tell what holds
///
/// Starts boxes in a sample repository with planted secrets: with the runtime, image, user, limits and network that
/// runs in this repository have. From inside it tries to read and change the secrets, to leave the box, and to
/// reach what must not be there; then it makes a fork and looks for secrets in it. One line per check. Exit 1 if a
/// promise does not hold. The notes at the end are advice: what the configuration leaves weaker than it could be, and
/// which keys and logins agents can read in their boxes.
///
/// With --attack it goes through the whole corpus that gitcoop-attacks(7) lists, in a throwaway home and repository
/// and without a network: what an agent would plant, what you, your editor or git coop would do next, and whether
/// anything came of it. Exit 1 if an attack escaped, or broke so that nobody can tell. What cannot run on this machine
/// is said and never counted as held.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run the attacks
    #[arg(long)]
    attack: bool,
    /// Only attacks of this group (repeatable)
    #[arg(long, requires = "attack", value_name = "GROUP")]
    group: Vec<String>,
    /// Only these attacks
    #[arg(requires = "attack", value_name = "NAME")]
    names: Vec<String>,
    /// List the attacks instead of running them
    #[arg(long, requires = "attack")]
    list: bool,
    /// Attack this runtime instead of the one that would be used
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// Keep the report as an event of refs/coop/doctor, where git log shows it
    #[arg(long, requires = "attack")]
    record: bool,
    /// Also print what held
    #[arg(long, short, requires = "attack")]
    verbose: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if self.list {
            return self.list();
        }
        // outside of a repository there is still a box to attack
        let mut coop = if context.repo().is_ok() { Some(context.coop()?) } else { None };
        let mut settings = match &coop {
            Some(coop) => coop.settings.clone(),
            None => context.settings(None)?,
        };
        if let Some(runtime) = &self.runtime {
            settings.set("COOP_RUNTIME", runtime)?;
            if let Some(coop) = &mut coop {
                coop.settings.set("COOP_RUNTIME", runtime)?;
            }
        }
        match self.attack {
            true => self.attack(context, &settings, coop.as_ref()),
            false => self.check(context, &settings, coop.as_ref()),
        }
    }
}

impl Args {
    /// The quick checks.
    fn check(&self, context: &Context, settings: &Settings, coop: Option<&Coop>) -> Result<u8> {
        let colour = colour(context);
        let quiet = self.json;
        let mut tell = |check: &Check| {
            if !quiet {
                let word = match check.verdict {
                    doctor::Verdict::Ok => "ok  ",
                    doctor::Verdict::Note => "note",
                    doctor::Verdict::Bad => "BAD ",
                };
                println!("{}  {:<20}  {}", paint(word, colour), check.name, check.detail);
            }
        };
        let report = doctor::run(&context.env, settings, coop, &mut tell)?;
        if self.json {
            out::json(&report)?;
        } else {
            let bad = report.checks.iter().filter(|check| check.verdict == doctor::Verdict::Bad).count();
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

    /// The corpus.
    fn attack(&self, context: &Context, settings: &Settings, coop: Option<&Coop>) -> Result<u8> {
        let scenes = corpus::chosen(&self.group, &self.names)?;
        if self.record && coop.is_none() {
            return Err(Error::usage("there is no repository to record the report in").hint("run it in a repository"));
        }
        let ground = Ground::of(&context.env, settings, coop)?;
        let colour = colour(context);
        let (quiet, verbose) = (self.json, self.verbose || !self.names.is_empty());
        let mut tell = |outcome: &Outcome| {
            if !quiet && (verbose || outcome.verdict != attack::Verdict::Held) {
                let word = format!("{:<14}", outcome.verdict.word());
                let detail = if outcome.detail.is_empty() { &outcome.tries } else { &outcome.detail };
                println!("{}  {:<24}  {detail}", paint(&word, colour), outcome.id);
            }
        };
        let report = attack::run(&ground, &scenes, true, &mut tell)?;
        if self.json {
            out::json(&report)?;
        } else {
            let image = report.image.as_deref().map(|image| format!(", image {image}")).unwrap_or_default();
            out::write(|to| {
                writeln!(
                    to,
                    "git-coop {}, {}{image}, kernel {}: {}",
                    report.version,
                    report.runtime_version,
                    report.kernel,
                    report.summary()
                )
            })?;
        }
        if let (true, Some(coop)) = (self.record, coop) {
            attack::record(coop, &report)?;
        }
        Ok(if report.is_bad() { exit::NO } else { exit::OK })
    }

    fn list(&self) -> Result<u8> {
        let scenes = corpus::chosen(&self.group, &self.names)?;
        let attacks = || scenes.iter().flat_map(|scene| scene.attacks.iter().map(move |attack| (scene, attack)));
        out::write(|to| {
            for (scene, attack) in attacks() {
                writeln!(to, "{:<12}  {:<28}  {}", scene.group, attack.id, attack.tries)?;
            }
            Ok(())
        })?;
        Ok(exit::OK)
    }
}

fn colour(context: &Context) -> bool {
    std::io::stdout().is_terminal() && context.env.get("NO_COLOR").is_none()
}

/// A word of a verdict in its colour.
fn paint(word: &str, colour: bool) -> String {
    match word.trim() {
        _ if !colour => word.to_owned(),
        "ok" | "held" => word.green().to_string(),
        "BAD" | "ESCAPED" | "FAILED" => word.red().to_string(),
        _ => word.yellow().to_string(),
    }
}
