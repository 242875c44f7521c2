//! `git coop update`.

use crate::error::Result;
use crate::flow::image::Wanted;

use super::build::Options;
use super::{Command, Context};

/// Rebuild the image with the newest agent CLIs
///
/// As git coop build, with the newest release of every agent instead of the one that this version of git coop was
/// tried with, and every layer made anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// Only these agents
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let Args { options, agents } = self;
        options.run(context, &Wanted { agents, newest: true, fresh: true })
    }
}
