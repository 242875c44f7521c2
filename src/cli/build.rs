//! `git coop build`.

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::image::{self, Report, Wanted};
use crate::sandbox::{System, detect};
use crate::ui::text::{printable, without_colour};

use super::{Command, Context};

/// Build the image of the boxes
///
/// Makes the built-in image: a base of the Debian family, Node 22 or later, git, and each agent CLI in a layer of its
/// own. An agent that cannot be installed is reported and does not sink the others. Where the repository has a
/// Dockerfile.agent, its image is built instead (and the built-in one too, if it starts from coop-box).
///
/// bubblewrap needs no image.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// Only these agents
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
    /// Make every layer anew
    #[arg(long)]
    no_cache: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let Args { options, agents, no_cache } = self;
        options.run(context, &Wanted { agents, newest: false, fresh: no_cache })
    }
}

/// What building and updating have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Base image, instead of coop.baseImage
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
    /// Certificate bundle (PEM) that the image and its build trust, instead of coop.buildCA
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// Network of the build, instead of coop.buildNetwork; for example host
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Builds and reports. Exit 1 when an agent is missing in the result.
    pub fn run(&self, context: &Context, wanted: &Wanted) -> Result<u8> {
        // an image can be built outside of any repository
        let repo = context.repo().ok();
        let mut settings = context.settings(repo.as_ref())?;
        let ca = self.ca.as_ref().map(|file| context.cwd.join(file).to_string_lossy().into_owned());
        for (name, value) in
            [("COOP_BASE_IMAGE", &self.base), ("COOP_BUILD_CA", &ca), ("COOP_BUILD_NETWORK", &self.network)]
        {
            if let Some(value) = value {
                settings.set(name, value)?;
            }
        }
        let usable = detect(&context.env, settings.get("COOP_RUNTIME"), &System::new(&context.env))?;
        if !usable.runtime.needs_image() {
            return Err(Error::no_runtime("bubblewrap needs no image: its boxes use the programs of this machine")
                .hint("COOP_RUNTIME=docker git coop build, where docker is installed"));
        }
        if let Some(repo) = &repo
            && image::untracked_dockerfile(repo, &context.env)?
        {
            eprintln!("note: Dockerfile.agent is not tracked by git: look at it, an agent may have written it");
        }
        let mut line = |text: &str| eprintln!("{}", printable(&without_colour(text)));
        let reports = image::make(&context.env, &settings, repo.as_ref(), &usable, wanted, &mut line)?;
        if self.json {
            println!("{}", serde_json::to_string(&reports).map_err(|e| Error::bug("cannot print JSON").because(e))?);
        } else {
            reports.iter().for_each(show);
        }
        let failed = reports.iter().any(|r| !r.failed.is_empty());
        Ok(if failed { exit::NO } else { exit::OK })
    }
}

fn show(report: &Report) {
    println!("{}", report.image);
    for agent in &report.agents {
        println!("  {}", printable(agent));
    }
    for agent in &report.failed {
        eprintln!("warning: {} could not be installed; git coop build --no-cache tries again", printable(agent));
    }
}
