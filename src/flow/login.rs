//! Signs an agent in: its own login runs in a box that holds nothing but an empty home; what it leaves there becomes a
//! profile.

use std::path::PathBuf;

use crate::agent::Registry;
use crate::agent::argv::Task;
use crate::agent::vault::Vault;
use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::Repo;
use crate::sandbox::egress::{Forward, Policy, Proxy};
use crate::sandbox::io::{Io, Stdin};
use crate::sandbox::launch::launch;
use crate::sandbox::runtime::{System, detect};
use crate::sandbox::spec::{BoxSpec, Egress, Limits, User};
use crate::settings::Settings;

use super::agent::{Request, Wanted, ready};
use super::egress::Mode;
use super::image;

/// Home of the user in the box.
const HOME: &str = "/home/agent";

/// Runs the login of the agent called `name` on this terminal and keeps what it leaves as `profile`.
///
/// Errors: exit 2 where the agent has no login or the settings cut boxes off the network; exit 5 without a runtime,
/// image or program; exit 1 where the login left no credential.
pub fn login(env: &Env, settings: &Settings, repo: Option<&Repo>, name: &str, profile: &str) -> Result<()> {
    let registry = Registry::load(&env.config_dir())?;
    let definition = registry.get(name)?;
    if definition.argv.login.is_empty() {
        let err = Error::usage(format!("{} has no login", definition.display));
        let key = definition.env.keys.first().map_or("KEY", String::as_str);
        return Err(err.hint(format!("put {key}=… into ~/.config/coop/agents/env")));
    }
    let (egress, proxy) = network(settings, name)?;
    let usable = detect(env, settings.get("COOP_RUNTIME"), &System::new(env))?;
    let image = image::choose(env, settings, repo, &usable)?.image;
    let user = User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let state = env.state_dir();
    std::fs::create_dir_all(&state).context(Kind::Usage, format!("cannot write '{}'", state.display()))?;
    let scratch = tempfile::Builder::new().prefix("login-").tempdir_in(&state).or_bug("cannot make a directory")?;
    let home = PathBuf::from(HOME);
    let ready = ready(&Request {
        env,
        registry: &registry,
        name,
        profile: None,
        task: Task::Login,
        wanted: Wanted::New,
        runtime: usable.runtime,
        outside: None,
        scratch: scratch.path(),
        history_dir: &scratch.path().join("history"),
        workspace: &home,
        home: &home,
        user,
    })?;
    let spec = BoxSpec {
        id: super::agent::box_id()?,
        purpose: "login".into(),
        workspace: format!("login:{name}"),
        mounts: ready.mounts,
        workdir: home.clone(),
        home,
        env: ready.env,
        path_prefix: ready.path_prefix,
        command: ready.command,
        user,
        limits: Limits { memory: None, millicpus: None, pids: 512 },
        egress,
        proxy,
        image,
    };
    launch(&usable, &spec, Io { stdin: Stdin::Inherit, terminal: true, ..Io::default() })?;
    // the exit status does not matter: some agents are left with Ctrl-C once they are signed in
    if ready.prepared.finish_login(profile)? == 0 {
        return Err(Error::no(format!("the login of {} left no credential", definition.display))
            .hint(format!("git coop login {name}")));
    }
    let dir = Vault::new(&env.config_dir(), name).dir(profile);
    eprintln!("{} is signed in; profile '{profile}' is in {}", definition.display, dir.display());
    Ok(())
}

/// A login goes to pages that no list has: where boxes have a proxy, it reaches every public host by it. There is nothing
/// in its box that could leave.
fn network(settings: &Settings, name: &str) -> Result<(Egress, Option<Proxy>)> {
    let forward = || Forward { policy: Policy::new(true, Vec::new(), None), allow: "COOP_EGRESS=open".to_owned() };
    match Mode::of(settings)? {
        Mode::Open => Ok((Egress::Open, None)),
        Mode::Public | Mode::Allowlist => {
            let proxy = Proxy { forward: Some(forward()), providers: Vec::new(), ca: None, report: None };
            Ok((Egress::None, Some(proxy)))
        }
        Mode::None => Err(Error::usage("a login needs the network, and COOP_EGRESS says that boxes have none")
            .hint(format!("COOP_EGRESS=public git coop login {name}"))),
    }
}
