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
    /// Base image, instead of coop.baseImage
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
    /// Certificate bundle (PEM) that the image and its build trust, instead of coop.buildCA
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// Network of the build, instead of coop.buildNetwork; for example host
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Only these agents
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let Args { base, ca, network, agents, json } = self;
        let options = Options { base, ca, network, json };
        options.run(context, &Wanted { agents, newest: true, fresh: true })
    }
}
