//! `git coop init`.

use crate::error::Result;
use crate::exit;
use crate::flow::hooks::{self, Done};
use crate::flow::init;
use crate::git::Repo;
use crate::ui::text::printable;

use super::{Command, Context};

/// Set up this repository
///
/// Makes AGENTS.md with CLAUDE.md and GEMINI.md as links to it, .agent/ (TASKS.md, LOG.md and BACKLOG.md stay local, rules/
/// is for everybody), the checks in git's hooks, and the configuration that makes `git log` show verdicts. Nothing that is
/// there is overwritten; --undo takes back what was made and is still as it was made.
///
/// The checks: `git commit` looks for secrets in what is staged, and `git push` and `git merge` refuse work of forks that
/// no gate has passed (git coop merge --check). The lines go to where git runs hooks (core.hooksPath is honoured) and
/// beside a hook that is there. `--no-verify` passes them by.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Put the checks in place, and nothing else
    #[arg(long)]
    hooks: bool,
    /// Take the checks away again
    #[arg(long, requires = "hooks")]
    uninstall: bool,
    /// Take back what git coop init has made
    #[arg(long, conflicts_with = "hooks")]
    undo: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let repo = context.repo()?;
        if !self.hooks {
            let report = if self.undo { init::undo(&repo, &context.env)? } else { init::init(&repo, &context.env)? };
            let (changed, kept) = (if self.undo { "took back" } else { "made" }, "left as it is");
            for (word, list) in [(changed, &report.changed), (kept, &report.kept)] {
                if !list.is_empty() {
                    eprintln!("{word}: {}", list.join(", "));
                }
            }
            if !self.undo {
                rewritten(&repo, context)?;
            }
            if !self.undo && !report.changed.is_empty() {
                eprintln!("hint: write tasks into .agent/TASKS.md, then: git coop loop");
            }
            return Ok(exit::OK);
        }
        let run = if self.uninstall { hooks::uninstall } else { hooks::install };
        for (path, done) in run(&repo, &context.env)? {
            let path = printable(&path.to_string_lossy());
            match done {
                Done::Made => eprintln!("made {path}"),
                Done::Added => eprintln!("added the check to {path}"),
                Done::Removed => eprintln!("removed the check from {path}"),
                Done::Nothing if self.uninstall => eprintln!("there is no check in {path}"),
                Done::Nothing => eprintln!("the check is in {path} already"),
            }
        }
        if !self.uninstall {
            rewritten(&repo, context)?;
        }
        Ok(exit::OK)
    }
}

/// Says so where the check will not stay.
fn rewritten(repo: &Repo, context: &Context) -> Result<()> {
    if let Some((manager, how)) = hooks::rewritten_by(repo, &context.env)? {
        eprintln!("warning: {manager} writes these hooks anew at times, and the check is gone then");
        eprintln!("hint: {how}");
    }
    Ok(())
}
