//! `git coop review`.

use std::io::{IsTerminal, Write};
use std::process::{Command as Process, Stdio};

use crate::error::Result;
use crate::flow::Coop;
use crate::flow::land::{self, Options};
use crate::flow::review::{self, outside};
use crate::git::Git;
use crate::state::{Fork, ForkName};

use super::{Command, Context, fork, out};

/// Show what a fork would bring: a dossier, then the diff
///
/// The dossier has the commits, the files in the order of risk, every finding that landing would want to be meant,
/// what the agent printed last, and whether it would rebase cleanly. The diff goes through your pager. What you
/// reviewed is recorded by commit; when the fork moves, merge says so.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
    /// Only the dossier
    #[arg(long, conflicts_with_all = ["json", "tool", "open"])]
    stat: bool,
    /// The dossier as one JSON document
    #[arg(long, conflicts_with_all = ["tool", "open"])]
    json: bool,
    /// Every changed file in your difftool
    #[arg(long, conflicts_with = "open")]
    tool: bool,
    /// The reviewed commit in your editor, in a directory that no box has seen
    #[arg(long)]
    open: bool,
    /// Also run the gate on the tree that would land; nothing moves
    #[arg(long)]
    gate: bool,
    /// Branch it would land on instead of the current one
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let name = ForkName::parse(&self.name)?;
        let coop = context.coop()?;
        let mut fork = Fork::load(&coop.repo, &coop.env, &name)?;
        let options = Options { into: self.into.clone(), ..Options::default() };
        let mut red = 0;
        if self.gate {
            red = u8::from(!land::gate_only(&coop, &mut fork, &options)?);
        }
        let dossier = review::dossier(&coop, fork.clone(), &options)?;
        if self.json {
            out::json(&dossier.json())?;
            return Ok(red);
        }
        if self.stat {
            out::write(|stdout| stdout.write_all(dossier.render().as_bytes()))?;
            return Ok(red);
        }
        if self.tool {
            outside::tool(&coop, &dossier)?;
        } else if self.open {
            let dir = outside::check_out(&coop, &fork)?;
            if let Some(first) = dossier.findings.iter().find(|f| f.kind == land::policy::Kind::Host) {
                eprintln!("warning: an editor may run what it finds there: {}", first.shown());
            }
            let words = fork::open::editor(context, &coop)?;
            eprintln!("note: {} in {}", fork.head.short(), dir.display());
            let code = fork::open::start(&words, &dir)?;
            review::record(&coop, &mut fork)?;
            return Ok(code.max(red));
        } else if let Some(command) = coop.settings.get("COOP_REVIEW_CMD") {
            let code = outside::command(&coop, &dossier, command)?;
            if code != 0 {
                return Ok(code);
            }
        } else {
            let terminal = std::io::stdout().is_terminal();
            let colour = terminal && coop.env.get("NO_COLOR").is_none();
            let mut text = dossier.render();
            text.push('\n');
            text.push_str(&review::patch(&coop, &dossier.from, &fork.head, colour)?);
            page(&coop, &text, terminal)?;
        }
        review::record(&coop, &mut fork)?;
        Ok(red)
    }
}

/// Through the pager of the user's configuration, as git finds it; straight out where there is no terminal.
fn page(coop: &Coop, text: &str, terminal: bool) -> Result<()> {
    let pager = if terminal { pager(coop)? } else { String::new() };
    if pager.is_empty() || pager == "cat" {
        return out::write(|stdout| stdout.write_all(text.as_bytes()));
    }
    let mut command = Process::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if coop.env.get("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else { return out::write(|stdout| stdout.write_all(text.as_bytes())) };
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(text.as_bytes()); // a pager that was left early has seen enough
    }
    let _ = child.wait();
    Ok(())
}

fn pager(coop: &Coop) -> Result<String> {
    if let Some(pager) = coop.env.str("GIT_PAGER") {
        return Ok(pager.to_owned());
    }
    let output = Git::configured(&coop.repo, &coop.env).args(["config", "--get", "core.pager"]).output()?;
    let configured = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !configured.is_empty() {
        return Ok(configured);
    }
    Ok(coop.env.str("PAGER").unwrap_or("less").to_owned())
}
