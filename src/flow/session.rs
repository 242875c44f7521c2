//! One run in a box on a workspace: every agent, shell, gate and command goes through [`run`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;

use crate::agent::argv::Task;
use crate::agent::{Registry, home, tree};
use crate::error::{Context as _, Error, Kind, Result};
use crate::sandbox::io::{Ended, Io, Log, Stdin, Tick, Wish};
use crate::sandbox::launch::{caveats, launch};
use crate::sandbox::runtime::{Usable, pasta};
use crate::sandbox::spec::{BoxSpec, Egress, Mount, Runtime};
use crate::secret::shadow::Plan;
use crate::without::without;

use super::agent::{Ready, Wanted};
use super::egress::{self, Wants};
use super::workspace::Workspace;
use super::{Coop, agent, identity};

/// Home of the user in a box.
pub const HOME: &str = "/home/agent";

/// What runs in a box.
#[derive(Debug)]
pub enum Program {
    /// A program and its arguments.
    Command(Vec<OsString>),
    /// A registered agent.
    Agent(Asked),
}

impl Default for Program {
    fn default() -> Self {
        Program::Command(Vec::new())
    }
}

/// An agent as the user asked for it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// The account, where one was named.
    pub profile: Option<String>,
    /// Arguments that pass through.
    pub args: Vec<OsString>,
    /// The one prompt of a run without a terminal, with structured output; `args` are unused then.
    pub prompt: Option<OsString>,
    /// The session to go on with, where its history is still there.
    pub session: Option<String>,
    /// Whether to go on with its latest session, where no id of one is known.
    pub go_on: bool,
    /// The fork that its history belongs to; `None` for the live checkout.
    pub fork: Option<String>,
}

/// What a run is for, and what it runs.
#[derive(Debug, Default)]
pub struct Job {
    /// `agent`, `run`, `shell`, `gate`, `doctor`.
    pub purpose: &'static str,
    /// What runs.
    pub program: Program,
    /// More environment.
    pub env: Vec<(String, OsString)>,
    /// More mounts (an agent's home), after those of the workspace.
    pub mounts: Vec<Mount>,
    /// Directories in front of `PATH`.
    pub path_prefix: Vec<PathBuf>,
    /// Directory to start in, below the work tree; the top where unset.
    pub workdir: Option<PathBuf>,
    /// A terminal of its own; without one the streams are forwarded as they are.
    pub terminal: bool,
    /// The work tree cannot be written (auditors).
    pub read_only: bool,
    /// Lines of a shell that run in the box first; the program starts in any case.
    pub before: Option<&'static str>,
    /// Another egress than the settings'.
    pub egress: Option<Egress>,
}

/// The specification of the box for `job` on `workspace`, and the agent whose home it holds: it has to be
/// finished after the box. `scratch` is a fresh host directory of this run.
pub fn spec(
    coop: &Coop,
    usable: &Usable,
    workspace: &Workspace,
    plan: &Plan,
    id: &str,
    scratch: &Path,
    job: Job,
) -> Result<(BoxSpec, Option<Ready>)> {
    let home = PathBuf::from(HOME);
    let mut mounts = workspace.mounts(plan, job.read_only);
    match without("identity-only") {
        true => mounts.push(Mount::ro(coop.env.home().join(".gitconfig"), home.join(".gitconfig"))),
        false => mounts.extend(identity::mounts(scratch, &home, &coop.shape)?),
    }
    mounts.extend(job.mounts);
    let (mut env, mut path_prefix) = (job.env, job.path_prefix);
    let (mut command, ready) = match job.program {
        Program::Command(command) => (command, None),
        Program::Agent(asked) => {
            let outside = if job.egress.is_none() { egress::outside(coop)? } else { None };
            let mut ready = make_ready(coop, usable, workspace, scratch, &home, &asked, outside)?;
            mounts.append(&mut ready.mounts);
            env.extend(ready.env.iter().cloned());
            if without("one-profile") {
                mounts.push(Mount::ro(coop.env.config_dir().join("agents"), "/coop/logins"));
            }
            path_prefix.append(&mut ready.path_prefix);
            (std::mem::take(&mut ready.command), Some(ready))
        }
    };
    if command.is_empty() {
        return Err(Error::usage("no command to run").hint("git coop run -- COMMAND"));
    }
    if let Some(lines) = job.before {
        let script = format!("{lines}\nexec \"$@\"");
        let words = ["sh".into(), "-c".into(), script.into(), "sh".into()];
        command.splice(0..0, words);
    }
    let (egress, proxy) = match job.egress {
        Some(egress) => (egress, None),
        None => (coop.egress()?, egress::proxy(coop, &workspace.label, job.purpose, &wants(ready.as_ref()))?),
    };
    let workdir = job.workdir.filter(|dir| dir.starts_with(&workspace.tree)).unwrap_or_else(|| workspace.tree.clone());
    let spec = BoxSpec {
        id: id.to_owned(),
        purpose: job.purpose.to_owned(),
        workspace: workspace.label.clone(),
        mounts,
        workdir,
        home,
        env,
        path_prefix,
        command,
        user: workspace.owner,
        limits: coop.limits(),
        egress,
        proxy,
        image: image(coop, usable)?,
    };
    Ok((spec, ready))
}

/// What an agent wants of the network.
fn wants(ready: Option<&Ready>) -> Wants<'_> {
    ready.map_or_else(Wants::default, |ready| Wants {
        hosts: &ready.hosts,
        env: &ready.env,
        endpoints: &ready.endpoints,
        outside: ready.prepared.outside.as_ref(),
    })
}

fn make_ready(
    coop: &Coop,
    usable: &Usable,
    workspace: &Workspace,
    scratch: &Path,
    home: &Path,
    asked: &Asked,
    outside: Option<u16>,
) -> Result<Ready> {
    let registry = Registry::load(&coop.env.config_dir())?;
    agent::ready(&agent::Request {
        env: &coop.env,
        registry: &registry,
        name: &asked.name,
        profile: asked.profile.as_deref(),
        task: match &asked.prompt {
            Some(prompt) => Task::Headless { prompt },
            None => Task::Interactive { args: &asked.args },
        },
        wanted: match (&asked.session, asked.go_on) {
            (Some(id), _) => Wanted::Stored(id),
            (None, true) => Wanted::Latest,
            (None, false) => Wanted::New,
        },
        runtime: usable.runtime,
        outside,
        scratch,
        history_dir: &agent::history_dir(&coop.repo.coop_dir(), asked.fork.as_deref(), &asked.name),
        workspace: &workspace.tree,
        home,
        user: workspace.owner,
    })
}

/// The image that boxes of this repository start from; `None` under bubblewrap. Errors: exit 5 where it was not built.
pub fn image(coop: &Coop, usable: &Usable) -> Result<Option<String>> {
    if usable.runtime == Runtime::Bwrap {
        return Ok(None);
    }
    super::image::for_run(coop, usable).map(Some)
}

/// What would keep a box from starting is found before anything is made. Errors: exit 5, or exit 2 for a setting.
pub fn preflight(coop: &Coop, usable: &Usable) -> Result<()> {
    image(coop, usable)?;
    egress::preflight(coop, usable)?;
    if coop.egress()? == Egress::Open && usable.runtime == Runtime::Bwrap {
        pasta::find(&coop.env)?;
    }
    Ok(())
}

/// A host directory of one run, removed when dropped: generated files that a box reads, and the copy of an agent's
/// home. One that a killed run left is finished by the next in the same place, which holds the same lock.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `scratch` in `dir`, readable for the user of boxes.
    pub fn in_dir(coop: &Coop, dir: &Path) -> Result<Scratch> {
        Scratch::finish_killed(coop, dir)?;
        let path = dir.join("scratch");
        std::fs::create_dir_all(&path).or_bug("cannot make a scratch directory")?;
        for dir in [dir, &path] {
            std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .or_bug("cannot set permissions")?;
        }
        Ok(Scratch(path))
    }
    /// Brings back what the agent of a killed run left in `dir` (session history, a refreshed login) and removes its
    /// scratch directory. Its box must be gone.
    pub fn finish_killed(coop: &Coop, dir: &Path) -> Result<()> {
        let path = dir.join("scratch");
        if path.symlink_metadata().is_ok() {
            let config = coop.env.config_dir();
            home::recover(&Registry::load(&config)?, &config, &path.join("agent"))?;
            tree::remove(&path).or_bug("cannot remove the files of an earlier run")?;
        }
        let _ = tree::remove(&dir.join(LEAVING)); // a thread may be at it
        Ok(())
    }
    /// Removes it beside other work: it has many small files. Its box must be gone.
    pub fn leave(mut self) -> Leaving {
        let aside = self.0.with_file_name(LEAVING);
        if std::fs::rename(&self.0, &aside).is_ok() {
            self.0 = aside;
        }
        // without another thread it is removed here and now
        let thread = std::thread::Builder::new().spawn(move || drop(self));
        Leaving(thread.ok())
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What a [`Scratch`] is called while it is removed.
const LEAVING: &str = "scratch.old";

/// A removal that is under way; dropping it waits for the end.
#[derive(Debug)]
pub struct Leaving(Option<JoinHandle<()>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.0.take().map(JoinHandle::join);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = tree::remove(&self.0);
    }
}

/// A log keeps this much of what a box prints (bytes).
pub const LOG_LIMIT: u64 = 64 << 20;

/// The streams of a job: the user's terminal or pipes, a copy in `log`, and `tick` about twice a second.
pub fn io<'a>(terminal: bool, log: Option<File>, tick: Option<&'a mut dyn FnMut(Tick) -> Wish>) -> Io<'a> {
    let log = log.map(|file| Log { file, limit: LOG_LIMIT });
    Io { stdin: Stdin::Inherit, terminal, log, tick, ..Io::default() }
}

/// Starts the box and waits for its end.
pub fn run(usable: &Usable, spec: &BoxSpec, io: Io<'_>) -> Result<Ended> {
    for caveat in caveats(usable, spec) {
        // once, however many boxes this process starts
        static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        if SAID.lock().is_ok_and(|mut said| said.insert(caveat.clone())) {
            eprintln!("warning: {caveat}");
        }
    }
    launch(usable, spec, io).map_err(|err| if err.kind() == Kind::Bug { err.hint("git coop doctor") } else { err })
}
