//! `git coop init`.

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::hooks::{self, Done};

use super::{Command, Context};

/// Set up this repository
///
/// With --hooks: `git commit` looks for secrets in what is staged. The lines go to where git runs hooks (core.hooksPath is
/// honoured) and beside a hook that is there. `git commit --no-verify` passes them by.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Put the pre-commit check in place
    #[arg(long)]
    hooks: bool,
    /// Take it away again
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
        let (path, done) = run(&repo, &context.env)?;
        let path = crate::ui::text::printable(&path.to_string_lossy());
        match done {
            Done::Made => eprintln!("made {path}"),
            Done::Added => eprintln!("added the check to {path}"),
            Done::Removed => eprintln!("removed the check from {path}"),
            Done::Nothing if self.uninstall => eprintln!("there is no check in {path}"),
            Done::Nothing => eprintln!("the check is in {path} already"),
        }
        Ok(exit::OK)
    }
}
