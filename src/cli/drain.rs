//! `git coop loop`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use crate::error::{Context as _, Error, Kind, Result};
use crate::exit;
use crate::flow::Coop;
use crate::flow::drain::{self, Ended, Options, Row, Summary, detach, start};
use crate::flow::fleet;
use crate::state::ForkName;
use crate::task::mark;
use crate::ui::table::Table;
use crate::ui::text::printable;

use super::{Command, Context, out, sibling};

/// Work off a list of tasks with fresh agents, and prove each one done
///
/// Each task of .agent/TASKS.md gets an agent of its own in a box, in a fork. A task is done when git says so: a commit,
/// a green gate on exactly that tree, a clean scan, and tests and gate as strong as before. Then an auditor, another
/// agent where there is one, checks it again. What does not hold is tried again, and blocked after some attempts.
///
/// The work is in the fork, watched or not: its commits are written again with the task's name, and what an agent does
/// before it is proved must not move a branch that you are on. git coop merge brings it into your checkout; with --land
/// the loop does so itself, as git coop merge --yes would, where all that the fork has is proved and confirmed.
///
/// One interrupt ends the loop after the task at hand, a second one ends it at once. A loop that was killed goes on where
/// it was with the same command. Several loops may share a list.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent: the one that the fork remembers, or one that is signed in
    agent: Option<String>,
    /// The fork to work in (default: loop, or the first of loop-2, loop-3, ... that is free)
    #[arg(long, value_name = "NAME")]
    fork: Option<String>,
    /// Commit that a new fork begins at (default: HEAD, of a clean checkout)
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// One account only, instead of all of the agent's in turn
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    shared: Shared,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// This is the process of a detached loop
    #[arg(long, hide = true)]
    detached: bool,
}

/// What `git coop loop` and `git coop fork --loop` have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct Shared {
    /// A list of tasks; may be given several times (default: .agent/TASKS.md)
    #[arg(long, value_name = "FILE")]
    pub tasks: Vec<PathBuf>,
    /// Take at most so many tasks
    #[arg(long, value_name = "N")]
    pub max_tasks: Option<usize>,
    /// Audit at most so many times; 0 for no audit
    #[arg(long, value_name = "N", default_value_t = Options::ROUNDS)]
    pub rounds: u32,
    /// The agent that audits (default: another one that is signed in, else the same)
    #[arg(long, value_name = "AGENT")]
    pub auditor: Option<String>,
    /// Command that must pass in a box on every task's tree, instead of coop.gate
    #[arg(long, value_name = "COMMAND")]
    pub gate: Option<String>,
    /// Land what was done on the current branch, once everything in the fork is confirmed
    #[arg(long)]
    pub land: bool,
    /// Exit 4 where every account is used up, instead of waiting
    #[arg(long)]
    pub no_wait: bool,
    /// Go on without this terminal
    #[arg(long, short)]
    pub detach: bool,
}

impl Shared {
    /// As options of a loop.
    pub fn options(&self, context: &Context, coop: &Coop) -> Result<Options> {
        let tasks = self.tasks.iter().map(|file| mark::locate(&coop.repo.work_tree, &context.cwd, file));
        Ok(Options {
            tasks: tasks.collect::<Result<_>>()?,
            max_tasks: self.max_tasks,
            rounds: self.rounds,
            auditor: self.auditor.clone(),
            gate: self.gate.clone(),
            no_wait: self.no_wait,
            land: self.land,
            ..Options::default()
        })
    }
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if self.detached {
            detach::leave_terminal();
        }
        let coop = context.coop()?;
        let options = Options {
            name: self.fork.as_deref().map(ForkName::parse).transpose()?,
            agent: self.agent.clone(),
            profile: self.profile.clone(),
            base: self.base.clone(),
            detached: self.detached,
            ..self.shared.options(context, &coop)?
        };
        run(&coop, context, &options, self.shared.detach, self.json)
    }
}

/// Runs the loop here, or starts it without the terminal.
pub fn run(coop: &Coop, context: &Context, options: &Options, away: bool, json: bool) -> Result<u8> {
    if away {
        let Some(plan) = start::plan(coop, options)? else { return Ok(exit::OK) };
        let program = sibling::program("loop", &context.env)?;
        let pid = detach::start(coop, &plan.name, &program, &detach::args(&plan, options))?;
        eprintln!("loop '{}' works with {} (process {pid})", plan.name, plan.agent);
        eprintln!("hint: git coop fork logs -f {0} shows it; git coop fork stop {0} ends it", plan.name);
        return Ok(exit::OK);
    }
    let ended = drain::run(coop, options);
    if options.detached {
        hand_on(coop, context);
    }
    let Some(summary) = ended? else { return Ok(exit::OK) };
    let text = if json { self::json(&summary) } else { table(&summary) };
    out::write(|stdout| stdout.write_all(text.as_bytes()))?;
    let landed = match &summary.land {
        Some(branch) => land(context, &summary.name, branch, options.gate.as_deref())?,
        None if options.land && summary.rows.iter().any(|row| !row.commits.is_empty()) => Kind::No.code(),
        None => exit::OK,
    };
    last_words(&summary, options.land, landed);
    Ok(summary.code().max(landed))
}

/// Lands the fork by the program that people use for it: it scans, gates and refuses as there. Gives its exit code.
fn land(context: &Context, name: &ForkName, branch: &str, gate: Option<&str>) -> Result<u8> {
    let program = sibling::program("merge", &context.env)?;
    let mut command = Process::new(&program);
    command.args([name.as_str(), "--yes", "--into", branch]).args(gate.map(|gate| format!("--gate={gate}")));
    // standard output is for the loop's result alone
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().or_bug("cannot copy a descriptor")?;
    command.env_clear().envs(context.env.iter()).current_dir(&context.cwd).stdin(Stdio::null()).stdout(stderr);
    let status = command.status().context(Kind::Usage, format!("cannot run '{}'", program.display()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Members of a fleet that wait for a place get this one's. What is in the way is for the log: this loop is over.
fn hand_on(coop: &Coop, context: &Context) {
    match sibling::program("loop", &context.env).and_then(|program| fleet::next(coop, &program)) {
        Ok(started) => started.iter().for_each(|name| eprintln!("{name}: started, a place was free")),
        Err(err) => eprint!("{}", err.render()),
    }
}

fn table(summary: &Summary) -> String {
    let mut table = Table::new(&["TASK", "RESULT", "TRIES", "COMMITS", "GATE", "TOKENS", "COST", "TIME", "TEXT"]);
    for row in &summary.rows {
        let tokens = match row.usage.input_tokens + row.usage.output_tokens {
            0 => "-".to_owned(),
            _ => format!("{}/{}", drain::short(row.usage.input_tokens), drain::short(row.usage.output_tokens)),
        };
        let cost = if row.usage.cost_usd > 0.0 { format!("${:.2}", row.usage.cost_usd) } else { "-".into() };
        table.row(&[
            &row.id,
            row.fate.word(),
            &row.attempts.to_string(),
            &row.commits.len().to_string(),
            &format!("{}s", row.gate_seconds),
            &tokens,
            &cost,
            &format!("{}s", row.seconds),
            &row.title,
        ]);
    }
    let why = summary.rows.iter().filter(|row| !row.why.is_empty());
    let why = why.map(|row| format!("{} {}: {}\n", row.id, row.fate.word(), printable(&row.why)));
    std::iter::once(table.for_stdout()).chain(why).collect()
}

fn json(summary: &Summary) -> String {
    let row = |row: &Row| {
        serde_json::json!({
            "id": row.id, "title": row.title, "result": row.fate.word(), "attempts": row.attempts,
            "commits": row.commits.iter().map(|c| c.as_str()).collect::<Vec<_>>(), "gateSeconds": row.gate_seconds,
            "turns": row.usage.turns, "inputTokens": row.usage.input_tokens, "outputTokens": row.usage.output_tokens,
            "costUsd": row.usage.cost_usd, "seconds": row.seconds, "why": row.why,
        })
    };
    let (ended, wake) = match summary.ended {
        Ended::Drained => ("finished", None),
        Ended::Stopped => ("stopped", None),
        Ended::Parked(until) => ("parked", Some(until.to_string())),
    };
    let value = serde_json::json!({
        "loop": summary.name.as_str(), "agent": summary.agent, "ended": ended, "wake": wake,
        "blocked": summary.blocked, "todo": summary.todo, "tasks": summary.rows.iter().map(row).collect::<Vec<_>>(),
    });
    format!("{value}\n")
}

fn last_words(summary: &Summary, land: bool, landed: u8) {
    if let Ended::Parked(until) = summary.ended {
        let err = Error::new(Kind::Parked, format!("every account of {} is used up until {until}", summary.agent));
        eprint!("{}", err.hint("git coop loop goes on then; git coop login adds an account").render());
    }
    let waits = summary.land.is_none() || landed != 0;
    if waits && summary.rows.iter().any(|row| !row.commits.is_empty()) {
        if land && summary.land.is_none() {
            eprintln!("note: nothing landed: not all that the fork has is confirmed");
        }
        eprintln!("hint: git coop review {0}; git coop merge {0}", summary.name);
    }
    if summary.blocked > 0 {
        eprintln!("hint: git coop tasks says why tasks are blocked");
    }
}
