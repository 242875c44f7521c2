//! `git coop init`.

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::hooks::{self, Done};

use super::{Command, Context};

/// Set up this repository
///
/// With --hooks: `git commit` looks for secrets in what is staged, and `git push` and `git merge` refuse work of
/// forks that no gate has passed (git coop merge --check). The lines go to where git runs hooks (core.hooksPath is
/// honoured) and beside a hook that is there. `--no-verify` passes them by.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Put the checks in place
    #[arg(long)]
    hooks: bool,
    /// Take them away again
    #[arg(long, requires = "hooks")]
    uninstall: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if !self.hooks {
            return Err(Error::usage("nothing to set up").hint("git coop init --hooks"));
        }
        let repo = context.repo()?;
        let run = if self.uninstall { hooks::uninstall } else { hooks::install };
        for (path, done) in run(&repo, &context.env)? {
            let path = crate::ui::text::printable(&path.to_string_lossy());
            match done {
                Done::Made => eprintln!("made {path}"),
                Done::Added => eprintln!("added the check to {path}"),
                Done::Removed => eprintln!("removed the check from {path}"),
                Done::Nothing if self.uninstall => eprintln!("there is no check in {path}"),
                Done::Nothing => eprintln!("the check is in {path} already"),
            }
        }
        Ok(exit::OK)
    }
}
