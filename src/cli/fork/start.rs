//! `git coop fork NAME [AGENT]`: open or go on.

use std::ffi::OsString;

use crate::agent::Registry;
use crate::error::{Error, Result};
use crate::flow::drain::Options;
use crate::flow::fork::{remove, work};
use crate::flow::session::{self, Asked, Job, Program};
use crate::flow::{Coop, agent};
use crate::state::{Fork, ForkName};
use crate::ui::text;

use super::super::{Command, Context, terminal};

/// The words after `git coop fork`, when they do not begin with a verb.
#[derive(Debug, clap::Parser)]
#[command(name = "git coop fork", disable_help_subcommand = true)]
#[command(about = "Open a fork and run an agent in it, or go on with one")]
pub struct Line {
    /// The arguments.
    #[command(flatten)]
    pub args: Args,
}

/// Open a fork, or go on with it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork: lower-case letters, digits, '.', '_' and '-'
    name: String,
    /// The agent; a fork remembers its agent
    agent: Option<String>,
    /// Start the agent afresh instead of going on with its last session
    #[arg(long, short = 'n')]
    new: bool,
    /// Remove the fork and make it anew, if nothing would be lost
    #[arg(long)]
    fresh: bool,
    /// With --fresh: even if something would be lost
    #[arg(long, requires = "fresh")]
    force: bool,
    /// Commit to start from (default: HEAD)
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Profile of the agent
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Work off a list of tasks, one fresh agent each (git coop help loop)
    #[arg(long = "loop")]
    looping: bool,
    #[command(flatten)]
    drain: super::super::drain::Shared,
    /// Put the agent's API key into the box, instead of on its requests outside of it
    #[arg(long)]
    key_in_box: bool,
    /// Arguments for the agent, or without an agent the command to run
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let name = ForkName::parse(&self.name)?;
        let mut coop = context.coop()?;
        if self.key_in_box {
            coop.settings.set("COOP_KEY_IN_BOX", "true")?;
        }
        if self.looping {
            return self.run_loop(&coop, &name, context);
        }
        let shared = &self.drain;
        if shared.detach
            || shared.no_wait
            || shared.land
            || !shared.tasks.is_empty()
            || shared.max_tasks.is_some()
            || shared.gate.is_some()
            || shared.auditor.is_some()
        {
            return Err(Error::usage("that option is of a loop").hint(format!("git coop fork {name} AGENT --loop")));
        }
        let before = Fork::find(&coop.repo, &coop.env, &name)?;
        let program = self.program(&name, before.as_ref())?;
        if let Program::Agent(asked) = &program {
            let registry = Registry::load(&context.env.config_dir())?;
            agent::check(&context.env, &registry, &asked.name, asked.profile.as_deref())?;
        }
        coop.shape.identity()?;
        let usable = coop.runtime()?;
        session::preflight(&coop, &usable)?;
        if self.fresh && before.is_some() {
            remove::remove(&coop, &name, self.force)?;
        }
        let mut opened = work::open(&coop, &usable, &name, self.base.as_deref())?;
        if opened.created {
            eprintln!("fork '{name}' at {} ({})", opened.fork.path.display(), opened.fork.base.short());
        }
        let who = match &program {
            Program::Agent(asked) => {
                opened.fork.set("Agent", &asked.name);
                opened.fork.set("Profile", asked.profile.clone().unwrap_or_default());
                asked.name.clone()
            }
            Program::Command(command) => shown(command),
        };
        let purpose = if matches!(program, Program::Agent(_)) { "agent" } else { "run" };
        let job = Job { purpose, program, terminal: terminal::both(), ..Job::default() };
        let (ended, report) = work::run(&coop, &usable, &mut opened, &who, job)?;
        summary(&opened.fork, &report);
        Ok(u8::try_from(ended.status & 0xff).unwrap_or(1))
    }
}

impl Args {
    fn run_loop(&self, coop: &Coop, name: &ForkName, context: &Context) -> Result<u8> {
        if self.new || self.fresh || !self.command.is_empty() {
            return Err(Error::usage("a loop starts its agents afresh, and takes no arguments for them")
                .hint(format!("git coop fork {name} AGENT --loop; git coop fork rm {name} removes the fork")));
        }
        let options = Options {
            name: Some(name.clone()),
            agent: self.agent.clone(),
            profile: self.profile.clone(),
            base: self.base.clone(),
            ..self.drain.options(context, coop)?
        };
        super::super::drain::run(coop, context, &options, self.drain.detach, false)
    }

    /// The agent that was named, the command after `--`, or the agent that the fork remembers.
    fn program(&self, name: &ForkName, fork: Option<&Fork>) -> Result<Program> {
        let remembered = fork.and_then(|f| f.get("Agent"));
        let agent = match (&self.agent, self.command.is_empty()) {
            (Some(agent), _) => agent.clone(),
            (None, false) => return Ok(Program::Command(self.command.clone())),
            (None, true) => remembered.map(str::to_owned).ok_or_else(|| {
                Error::usage(format!("fork '{name}' has no agent yet"))
                    .hint(format!("git coop fork {name} claude, or git coop fork {name} -- COMMAND"))
            })?,
        };
        let same = remembered == Some(agent.as_str());
        let old = |key: &str| fork.filter(|_| same && !self.fresh).and_then(|f| f.get(key)).map(str::to_owned);
        Ok(Program::Agent(Asked {
            profile: self.profile.clone().or_else(|| old("Profile")),
            session: if self.new { None } else { old("Session") },
            go_on: same && !self.new && !self.fresh,
            name: agent,
            args: self.command.clone(),
            fork: Some(name.to_string()),
            ..Asked::default()
        }))
    }
}

/// The program's name, for events.
fn shown(command: &[OsString]) -> String {
    let program = command.first().map(|c| c.to_string_lossy().into_owned()).unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default().chars().take(24).collect()
}

/// What came back, on stderr.
pub fn summary(fork: &Fork, report: &crate::flow::fork::finish::Report) {
    match report.ahead {
        0 => eprintln!("fork '{}': no commits", fork.name),
        n => {
            let changes = fork.get("Changes").unwrap_or_default();
            eprintln!("fork '{}': {}, {changes}", fork.name, text::count(n, "commit"));
        }
    }
    if report.uncommitted > 0 {
        let paths = text::count(report.uncommitted, "path");
        eprintln!("fork '{}': {paths} not committed in {}", fork.name, fork.path.display());
    }
    for name in &report.kept {
        eprintln!("fork '{}': other commits are kept in {name}", fork.name);
    }
    for found in &report.gitlinks {
        eprintln!("warning: the box committed a {}", found.shown());
        eprintln!("hint: git coop fork accept {} lets the host's work tree follow", fork.name);
    }
    if report.ahead > 0 {
        eprintln!("hint: git coop review {}", fork.name);
    }
}
