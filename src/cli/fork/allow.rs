//! `git coop fork allow`.

use crate::error::Result;
use crate::exit;
use crate::sandbox::egress::Rule;
use crate::state::{Store, allow};

use super::super::{Command, Context};

/// Let the boxes of a fork reach more hosts
///
/// A box of the fork that runs reaches them at once, without losing a connection. The list is kept with the fork, and is
/// only asked with COOP_EGRESS=allowlist (or public, for addresses that you choose); see git-coop-egress(1).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
    /// Hosts: example.com, example.com:8443, *.example.com, or a set such as npm
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let (coop, fork) = super::load(context, &self.name)?;
        for host in &self.hosts {
            Rule::list(host)?;
        }
        let hosts: Vec<String> = self.hosts.iter().flat_map(|host| host.split([' ', ','])).map(str::to_owned).collect();
        let store = Store::open(&coop.repo, &coop.env)?;
        let all = allow::add(&store, &fork.name, &hosts)?;
        eprintln!("fork '{}' may reach besides the settings: {}", fork.name, all.join(" "));
        Ok(exit::OK)
    }
}
