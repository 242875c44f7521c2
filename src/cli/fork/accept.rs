//! `git coop fork accept`.

use crate::error::Result;
use crate::flow::fork::finish;

use super::super::{Command, Context};

/// Let the host's view of a fork follow commits that add submodules
///
/// A git command of yours in a work tree with a submodule runs what the submodule's configuration names, so
/// the work tree stays at the last harmless commit until you have looked: git log -p refs/coop/forks/NAME/head
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let (coop, mut fork) = super::load(context, &self.name)?;
        let _lock = crate::flow::fork::take(&coop, &fork.name)?;
        finish::accept(&coop, &mut fork)?;
        Ok(0)
    }
}
