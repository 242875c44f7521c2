//! What a box reaches: from the settings, the agent's definition and the fork's own list to the proxy of a box, and
//! from what it reached to the log.

pub mod log;

use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::Outside;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::git::config;
use crate::sandbox::egress::policy::{Policy, Reread};
use crate::sandbox::egress::provider::{Key, Secret};
use crate::sandbox::egress::{Forward, Provider, Proxy, Rule, Upstream, possible};
use crate::sandbox::runtime::Usable;
use crate::settings::{Settings, Source};
use crate::state::{ForkName, allow};

use super::Coop;

/// The port of the box's loopback at which it finds the provider of its agent.
pub const PROVIDER_PORT: u16 = 3129;

/// What boxes reach, as the user says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The runtime's own network.
    Open,
    /// Every public host, by the proxy.
    Public,
    /// Listed hosts, by the proxy.
    Allowlist,
    /// Nothing.
    None,
}

impl Mode {
    /// Errors: exit 2 for a word that is none (fail closed).
    pub fn of(settings: &Settings) -> Result<Mode> {
        match settings.get("COOP_EGRESS") {
            Some("open") => Ok(Mode::Open),
            Some("public") => Ok(Mode::Public),
            Some("allowlist") => Ok(Mode::Allowlist),
            Some("none") => Ok(Mode::None),
            other => Err(Error::usage(format!("COOP_EGRESS is '{}', which it cannot be", other.unwrap_or("")))
                .hint("open, public, allowlist or none: git coop config COOP_EGRESS")),
        }
    }
}

/// The port at which an agent of this run is to find its provider, so that its keys stay outside; `None` where they go
/// in: the user said so, or the box reaches nothing at all.
pub fn outside(coop: &Coop) -> Result<Option<u16>> {
    let none = Mode::of(&coop.settings)? == Mode::None;
    let inside = coop.settings.get("COOP_KEY_IN_BOX") == Some("true");
    Ok((!none && !inside).then_some(PROVIDER_PORT))
}

/// What would keep a box's proxy from starting. Errors: exit 2 for a list that cannot be read; exit 5 where this runtime
/// or installation can have none.
pub fn preflight(coop: &Coop, usable: &Usable) -> Result<()> {
    if matches!(Mode::of(&coop.settings)?, Mode::Public | Mode::Allowlist) {
        Rule::list(coop.settings.get("COOP_ALLOW_HOST").unwrap_or_default())?;
        possible(usable, coop.owner()?)?;
    }
    Ok(())
}

/// What an agent brings.
#[derive(Debug, Default)]
pub struct Wants<'a> {
    /// Hosts of its definition.
    pub hosts: &'a [String],
    /// The variables of its box: an endpoint of the user's own stands there.
    pub env: &'a [(String, std::ffi::OsString)],
    /// Names of endpoint variables.
    pub endpoints: &'a [String],
    /// Its provider, where its keys stay outside.
    pub outside: Option<&'a Outside>,
}

/// The proxy of a box on the workspace called `label`, if it has one. Errors: exit 2 for a list that cannot be read.
pub fn proxy(coop: &Coop, label: &str, purpose: &str, wants: &Wants<'_>) -> Result<Option<Proxy>> {
    let mode = Mode::of(&coop.settings)?;
    let providers: Vec<Provider> = wants.outside.map(provider).transpose()?.into_iter().collect();
    let forward = match mode {
        Mode::Open | Mode::None => None,
        Mode::Public | Mode::Allowlist => Some(forward(coop, label, mode == Mode::Public, wants)?),
    };
    if forward.is_none() && providers.is_empty() {
        return Ok(None);
    }
    Ok(Some(Proxy {
        forward,
        providers,
        ca: coop.settings.get("COOP_EGRESS_CA").map(PathBuf::from),
        report: Some(log::report(coop, label, purpose)),
    }))
}

fn provider(outside: &Outside) -> Result<Provider> {
    let key = |(header, stand_in, real): &(String, String, String)| Key {
        header: header.clone(),
        stand_in: stand_in.clone(),
        real: Secret(real.clone()),
    };
    let upstream = Upstream::parse(&outside.upstream, outside.own)
        .map_err(|err| err.hint("the endpoint variable in ~/.config/coop/agents/env"))?;
    Ok(Provider { port: PROVIDER_PORT, upstream, keys: outside.headers.iter().map(key).collect() })
}

fn forward(coop: &Coop, label: &str, public: bool, wants: &Wants<'_>) -> Result<Forward> {
    // an agent whose provider is passed on reaches it that way only: with an account of somebody else it gets nowhere
    let mut own = Vec::new();
    if wants.outside.is_none() {
        for host in wants.hosts {
            own.extend(Rule::parse(host)?);
        }
        for (_, url) in wants.env.iter().filter(|(name, _)| wants.endpoints.contains(name)) {
            own.push(Upstream::parse(&url.to_string_lossy(), true)?.rule());
        }
    }
    if let Some(name) = needed_proxy(&coop.env) {
        eprintln!(
            "warning: {name} is set: hosts of this box are reached directly all the same, not through that proxy"
        );
    }
    let fork = fork_of(label);
    let settings = coop.settings.get("COOP_ALLOW_HOST").unwrap_or_default().to_owned();
    let mut rules = own.clone();
    rules.extend(Rule::list(&settings)?);
    if let Some(fork) = &fork {
        rules.extend(Rule::list(&allow::read(&coop.repo, &coop.env, fork)?.join(" "))?);
    }
    let allow = match &fork {
        Some(fork) => format!("git coop fork allow {fork} {{host}}"),
        None => "git config --add coop.allowHost {host}".to_owned(),
    };
    // what a variable or the command line says does not change while a box runs; git config and the fork's list do
    let fixed = !matches!(coop.settings.source("COOP_ALLOW_HOST"), Source::GitConfig | Source::Default);
    let (repo, env) = (coop.repo.clone(), coop.env.clone());
    let reread: Reread = Arc::new(move || {
        let config = config::read(&repo, &env).ok()?;
        let listed = if fixed { Some(&settings) } else { config.get("coop.allowhost") };
        let mut rules = own.clone();
        rules.extend(Rule::list(listed.map_or("", String::as_str)).ok()?);
        if let Some(fork) = &fork {
            rules.extend(Rule::list(&allow::read(&repo, &env, fork).ok()?.join(" ")).ok()?);
        }
        Some(rules)
    });
    Ok(Forward { policy: Policy::new(public, rules, Some(reread)), allow })
}

/// The variable that says that this machine itself reaches the web through a proxy. Boxes' proxies do not go through it:
/// what an address leads to could not be looked at there.
pub fn needed_proxy(env: &Env) -> Option<&'static str> {
    let set = |name: &&str| env.str(name).is_some_and(|value| !value.is_empty());
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(set)
}

/// The fork whose workspace is called `label`.
pub fn fork_of(label: &str) -> Option<ForkName> {
    let path = label.strip_prefix("fork:")?;
    ForkName::parse(path.rsplit('/').next()?).ok()
}
