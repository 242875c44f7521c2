//! An agent for a box: definition, account, home, command line and, without an image, the program on the host, put
//! together as the parts of a box that depend on the agent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::agent::argv::{self, Invocation, Task, Which};
use crate::agent::home::Kept;
use crate::agent::vault::{Account, Vault};
use crate::agent::{Definition, Prepare, Prepared, Registry, locate, session};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::sandbox::spec::{Mount, Runtime, User};

/// Which session is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A new one.
    New,
    /// The one with this stored id, if its history is still there; otherwise a new one.
    Stored(&'a str),
    /// The latest one of this workspace, if there is any; otherwise a new one.
    Latest,
}

/// What an agent is to be made ready for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The environment of the user.
    pub env: &'a Env,
    /// All agents.
    pub registry: &'a Registry,
    /// The agent's name.
    pub name: &'a str,
    /// The profile asked for, if any.
    pub profile: Option<&'a str>,
    /// What it is to do.
    pub task: Task<'a>,
    /// In which session.
    pub wanted: Wanted<'a>,
    /// What holds the box.
    pub runtime: Runtime,
    /// The port at which the box will find its provider, if keys are to stay outside.
    pub outside: Option<u16>,
    /// Host directory of this run alone; a subdirectory of it is used.
    pub scratch: &'a Path,
    /// Host directory that keeps the session history of this workspace; see [`history_dir`].
    pub history_dir: &'a Path,
    /// Top of the work tree, as the box sees it.
    pub workspace: &'a Path,
    /// `$HOME` in the box.
    pub home: &'a Path,
    /// Who the box runs as.
    pub user: User,
}

/// The parts of a box that an agent brings.
#[derive(Debug)]
pub struct Ready {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Variables.
    pub env: Vec<(String, OsString)>,
    /// The agent's home, writable, and under bubblewrap its program, read-only. They come after the workspace's own.
    pub mounts: Vec<Mount>,
    /// Directories for the front of `PATH`.
    pub path_prefix: Vec<PathBuf>,
    /// The id of the session, where it is known before the start.
    pub session: Option<String>,
    /// Whether a stored session is continued.
    pub resumed: bool,
    /// Hosts that it needs, as its definition says.
    pub hosts: Vec<String>,
    /// The variables that may name an endpoint of the user's own.
    pub endpoints: Vec<String>,
    /// The home directory; [`Ready::finish`] brings back what is kept.
    pub prepared: Prepared,
    definition: Definition,
    history_dir: PathBuf,
    workspace: PathBuf,
}

/// What an agent left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The id of its session: the one it was told, or the one found in its history.
    pub session: Option<String>,
    /// What came back.
    pub kept: Kept,
}

/// Where the session history of `agent` is kept, below coop's own directory in the common git directory: that of a fork
/// goes with the fork.
pub fn history_dir(coop_dir: &Path, fork: Option<&str>, agent: &str) -> PathBuf {
    let base = fork.map_or_else(|| coop_dir.to_owned(), |name| coop_dir.join("forks").join(name));
    base.join("history").join(agent)
}

/// A fresh id for a box.
pub(super) fn box_id() -> Result<String> {
    Ok(session::new_id()?.replace('-', "")[..12].to_owned())
}

/// Checks that `name` is a known agent with an account, without making anything. Errors: exit 2 (unknown, not signed
/// in, unclear profile).
pub fn check<'r>(env: &Env, registry: &'r Registry, name: &str, profile: Option<&str>) -> Result<&'r Definition> {
    let definition = registry.get(name)?;
    let vault = Vault::new(&env.config_dir(), name);
    let profile = vault.active(profile)?;
    if vault.account(definition, profile.as_deref())? == Account::None {
        return Err(not_signed_in(definition, profile.as_deref()));
    }
    Ok(definition)
}

fn not_signed_in(definition: &Definition, profile: Option<&str>) -> Error {
    let name = &definition.name;
    let login = match profile {
        Some(profile) => format!("git coop login {name} --profile {profile}"),
        None => format!("git coop login {name}"),
    };
    let err = Error::usage(format!("{} is not signed in", definition.display)).hint(login);
    match definition.env.keys.first() {
        Some(key) => err.hint(format!("or put {key}=… into ~/.config/coop/agents/env")),
        None => err,
    }
}

/// Makes an agent ready. Errors (exit 2): unknown agent, not signed in, broken profile; exit 5: its program is not on a
/// host without images.
pub fn ready(request: &Request<'_>) -> Result<Ready> {
    let config_dir = request.env.config_dir();
    let definition = match request.task {
        // asking an agent for its help or its version needs no account, and neither does signing in
        Task::Interactive { args } if talks_to_no_model(request.registry.get(request.name)?, args) => {
            request.registry.get(request.name)?
        }
        Task::Login => request.registry.get(request.name)?,
        _ => check(request.env, request.registry, request.name, request.profile)?,
    };
    let (which, resumed) = which(definition, request)?;
    let invocation = Invocation::build(definition, request.task, &which).ok_or_else(|| {
        Error::usage(format!("{} cannot do that: its definition has no such command line", definition.display))
            .hint("git coop profiles")
    })?;
    let mut command = invocation.command;
    let (mut mounts, mut path_prefix) = (Vec::new(), Vec::new());
    if !request.runtime.needs_image() {
        let found = locate::locate(definition, request.env)?;
        mounts.extend(found.mounts.into_iter().map(|path| Mount::ro(path.clone(), path)));
        path_prefix = found.path_prefix;
        if command.first().is_some_and(|word| word == definition.program()) {
            command[0] = found.program.into_os_string();
        }
    }
    let prepared = Prepared::new(&Prepare {
        definition,
        profile: request.profile,
        login: request.task == Task::Login,
        outside: request.outside,
        config_dir: &config_dir,
        history_dir: request.history_dir,
        scratch: &request.scratch.join("agent"),
        workspace: request.workspace,
        box_home: request.home,
        box_uid: request.user.uid,
        box_gid: request.user.gid,
    })?;
    mounts.extend(prepared.binds.iter().map(|(host, below)| Mount::rw(host, request.home.join(below))));
    Ok(Ready {
        command,
        env: prepared.env.clone(),
        mounts,
        path_prefix,
        session: invocation.session,
        resumed,
        hosts: definition.hosts.clone(),
        endpoints: definition.env.endpoint.clone(),
        prepared,
        definition: definition.clone(),
        history_dir: request.history_dir.to_owned(),
        workspace: request.workspace.to_owned(),
    })
}

fn talks_to_no_model(definition: &Definition, args: &[OsString]) -> bool {
    let asks = |word: &OsString| ["--help", "-h", "--version", "-V", "-v"].iter().any(|known| word == known);
    argv::takes_no_flags(definition, args) || args.first().is_some_and(asks)
}

/// A stored id is only used if its session is there: an agent told to resume an unknown one fails, or silently starts
/// another.
fn which(definition: &Definition, request: &Request<'_>) -> Result<(Which, bool)> {
    let (history, workspace) = (request.history_dir, request.workspace);
    // sessions without files of their own (a database): that there is any history has to do
    let unlisted = definition.session.store.is_empty()
        && definition.home.history.iter().any(|path| history.join(path).symlink_metadata().is_ok());
    let stored = match request.wanted {
        Wanted::New => None,
        Wanted::Stored(id) if unlisted => Some(id.to_owned()),
        Wanted::Stored(id) => session::exists(definition, history, workspace, id).then(|| id.to_owned()),
        Wanted::Latest => session::latest(definition, history, workspace),
    };
    if let Some(id) = stored.filter(|_| !definition.argv.resume.is_empty()) {
        return Ok((Which::Resume { id }, true));
    }
    let interactive = matches!(request.task, Task::Interactive { .. });
    if request.wanted != Wanted::New && unlisted && interactive && !definition.argv.resume_latest.is_empty() {
        return Ok((Which::Latest, true));
    }
    Ok((Which::New { id: session::new_id()? }, false))
}

impl Ready {
    /// Brings history and refreshed credentials back, removes the copy, and says which session it was. The box must be
    /// gone. What was not taken is reported on stderr.
    pub fn finish(self) -> Result<Left> {
        let kept = self.prepared.finish()?;
        if kept.refused > 0 {
            eprintln!(
                "warning: {} left a credential that is not the same account's newer one; the profile keeps its own",
                self.definition.display
            );
        }
        if kept.history.skipped > 0 {
            eprintln!("warning: {} entries of the session history were not kept", kept.history.skipped);
        }
        let found = || session::latest(&self.definition, &self.history_dir, &self.workspace);
        Ok(Left { session: self.session.or_else(found), kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        registry: Registry,
    }

    impl World {
        fn new() -> World {
            let dir = tempfile::tempdir().expect("a directory");
            let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
            World { dir, registry }
        }
        fn put(&self, path: &str, text: &str) {
            let file = self.dir.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
            std::fs::write(file, text).expect("a file");
        }
        fn ready(&self, name: &str, args: &[&str], wanted: Wanted<'_>) -> Result<Ready> {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let env = Env::from_pairs([("XDG_CONFIG_HOME", self.dir.path().join("config"))]);
            ready(&Request {
                env: &env,
                registry: &self.registry,
                name,
                profile: None,
                task: Task::Interactive { args: &args },
                wanted,
                runtime: Runtime::Docker,
                outside: None,
                scratch: &self.dir.path().join("scratch"),
                history_dir: &self.dir.path().join("history"),
                workspace: Path::new("/w"),
                home: Path::new("/home/agent"),
                user: User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
            })
        }
    }

    #[test]
    fn nobody_starts_without_an_account() {
        let world = World::new();
        let err = world.ready("claude", &[], Wanted::New).expect_err("not signed in");
        assert_eq!(err.kind().code(), 2);
        assert!(err.hints()[0].contains("git coop login claude"), "{}", err.render());
        assert!(!world.dir.path().join("scratch").exists(), "nothing is made");
        assert!(world.ready("claude", &["--version"], Wanted::New).is_ok());
        world.put("config/coop/agents/env", "OPENAI_API_KEY=other\n");
        assert!(world.ready("claude", &[], Wanted::New).is_err(), "another agent's key signs nobody in");
    }

    #[test]
    fn a_session_is_told_its_id_then_resumed_by_it() {
        let world = World::new();
        world.put("config/coop/agents/env", "ANTHROPIC_API_KEY=k\n");
        let first = world.ready("claude", &[], Wanted::Latest).expect("ready");
        let id = first.session.clone().expect("chosen up front");
        assert!(!first.resumed && first.command.contains(&OsString::from(&id)));
        assert!(first.mounts.iter().any(|m| m.target() == Path::new("/home/agent/.claude")));
        world.put(&format!("scratch/agent/home/.claude/projects/-w/{id}.jsonl"), "{}\n");
        assert_eq!(first.finish().expect("finishes").session.as_ref(), Some(&id));

        let second = world.ready("claude", &[], Wanted::Stored(&id)).expect("ready");
        assert!(second.resumed && second.command.contains(&"--resume".into()));
        second.finish().expect("finishes");
        let lost = "99999999-2222-4333-8444-555555555555";
        let third = world.ready("claude", &[], Wanted::Stored(lost)).expect("ready");
        assert!(!third.resumed && !third.command.contains(&lost.into()), "an unknown id is not resumed");
    }

    #[test]
    fn sessions_without_files_are_gone_on_with() {
        let world = World::new();
        world.put("config/coop/agents/env", "OPENAI_API_KEY=k\nANTHROPIC_API_KEY=k\n");
        let first = world.ready("aider", &[], Wanted::Latest).expect("ready");
        assert!(!first.resumed && !first.command.contains(&"--restore-chat-history".into()), "there is none yet");
        world.put("scratch/agent/home/.aider/chat.history.md", "# aider\n");
        first.finish().expect("finishes");
        let second = world.ready("aider", &[], Wanted::Latest).expect("ready");
        assert!(second.resumed && second.command.contains(&"--restore-chat-history".into()));
        second.finish().expect("finishes");
        let fresh = world.ready("aider", &[], Wanted::New).expect("ready");
        assert!(!fresh.resumed && !fresh.command.contains(&"--restore-chat-history".into()));
        fresh.finish().expect("finishes");
        world.put("history/.local/share/opencode/opencode.db", "db");
        let known = world.ready("opencode", &[], Wanted::Stored("ses_1")).expect("ready");
        assert!(known.resumed && known.command.ends_with(&["--session".into(), "ses_1".into()]), "{:?}", known.command);
    }

    #[test]
    fn a_session_that_cannot_be_told_is_found_afterwards() {
        let world = World::new();
        world.put("config/coop/agents/env", "OPENAI_API_KEY=k\n");
        let ready = world.ready("codex", &[], Wanted::New).expect("ready");
        assert_eq!(ready.session, None);
        let line = r#"{"payload":{"id":"01a1","cwd":"/w"}}"#;
        world.put("scratch/agent/home/.codex/sessions/2026/11/21/rollout-x.jsonl", line);
        assert_eq!(ready.finish().expect("finishes").session.as_deref(), Some("01a1"));
        let again = world.ready("codex", &[], Wanted::Latest).expect("ready");
        assert_eq!((again.resumed, again.session.as_deref()), (true, Some("01a1")));
    }
}
