//! `git coop fork rm`.

use crate::error::Result;
use crate::flow::fork::remove;
use crate::state::ForkName;

use super::super::{Command, Context};

/// Remove a fork, if nothing would be lost
///
/// Refuses commits that have not landed and work that is not committed. The fork's events stay in
/// refs/coop/archive.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of forks
    #[arg(required = true)]
    names: Vec<String>,
    /// Remove it even if commits or uncommitted work are lost
    #[arg(long, short)]
    force: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let names = self.names.iter().map(|name| ForkName::parse(name)).collect::<Result<Vec<_>>>()?;
        let coop = context.coop()?;
        for name in &names {
            let fork = remove::remove(&coop, name, self.force)?;
            eprintln!("removed fork '{name}' (was {})", fork.head.short());
        }
        Ok(0)
    }
}
