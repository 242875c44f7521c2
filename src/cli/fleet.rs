//! `git coop fleet`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command as Process;

use crate::agent::Registry;
use crate::error::{Context as _, Error, Kind, Result};
use crate::exit;
use crate::flow::drain::{queue, start};
use crate::flow::fleet::{self, file, rows};
use crate::flow::{Coop, fork};
use crate::sandbox::interrupts::{Asked, Interrupts};
use crate::sandbox::runtime::Usable;
use crate::state::{Fork, ForkName};
use crate::task::{Mark, Queue, mark, split};
use crate::time;
use crate::ui::board::{self, Action, Row, Source, tokens};
use crate::ui::table::Table;
use crate::ui::text::{count, printable};
use crate::without::without;

use super::{Command, Context, out, sibling, terminal};

/// Many loops at once, each in a fork of its own, and a board to watch them
///
/// .agent/fleet says who works on what: one section for each member, with agent, profile, tasks (a file or a list of
/// files), max_tasks, rounds and auditor; or one line, NAME [AGENT] TASKS. It lies in the work tree, so it names no
/// program, no gate and no image: those come from your git configuration.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write .agent/fleet with a member for each agent that is signed in, where there is none
    Init,
    /// Start the members that do not run, as many as fit; the others follow as places become free
    Up,
    /// End all members and prove it
    Down {
        /// After the tasks at hand, instead of now
        #[arg(long)]
        finish: bool,
    },
    /// What every member does
    Status {
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
    },
    /// The board; without a terminal the table of status
    Watch,
    /// Deal the todo tasks of .agent/TASKS.md out to N lists, and write .agent/fleet with a member for each
    Split {
        /// How many members
        n: usize,
        /// The agent of each
        agent: Option<String>,
    },
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let coop = context.coop()?;
        match self.verb {
            Verb::Init => init(&coop),
            Verb::Up => up(&coop, context),
            Verb::Down { finish } => down(&coop, finish),
            Verb::Status { json } => status(&coop, json),
            Verb::Watch if terminal::both() => watch(&coop, context),
            Verb::Watch => status(&coop, false),
            Verb::Split { n, agent } => split(&coop, n, agent.as_deref()),
        }
    }
}

fn init(coop: &Coop) -> Result<u8> {
    let path = coop.repo.work_tree.join(file::PATH);
    if path.symlink_metadata().is_ok() {
        eprintln!("{} is there already", file::PATH);
        return Ok(exit::OK);
    }
    let registry = Registry::load(&coop.env.config_dir())?;
    let mut members: Vec<_> = start::signed_in(coop, &registry)?
        .into_iter()
        .map(|agent| (agent.clone(), Some(agent), ".agent/TASKS.md".to_owned()))
        .collect();
    if members.is_empty() {
        members.push(("one".into(), None, ".agent/TASKS.md".into()));
    }
    write_new(&path, &file::text(&members))?;
    eprintln!("wrote {} with {}", file::PATH, count(members.len(), "member"));
    Ok(exit::OK)
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    if dir.is_symlink() {
        return Err(Error::usage(format!("'{}' is a symbolic link", dir.display())).hint("make it a directory"));
    }
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::File::options().write(true).create_new(true).open(path))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .context(Kind::Usage, format!("cannot write '{}'", path.display()))
}

fn up(coop: &Coop, context: &Context) -> Result<u8> {
    let text = file::read(&coop.repo.work_tree)?;
    let program = sibling::program("loop", &context.env)?;
    let up = fleet::up(coop, &text, &program, |name| eprintln!("{name}: started"))?;
    for name in &up.running {
        eprintln!("{name}: at work already");
    }
    for name in &up.idle {
        eprintln!("{name}: nothing to do");
    }
    if !up.waiting.is_empty() {
        eprintln!("waiting: {} ({})", up.waiting.join(", "), up.why);
        eprintln!("hint: they start when others have finished");
    }
    eprintln!("hint: git coop fleet watch");
    Ok(exit::OK)
}

fn down(coop: &Coop, finish: bool) -> Result<u8> {
    let down = fleet::down(coop, finish)?;
    for name in &down.draining {
        eprintln!("{name}: ends after its task");
    }
    for name in &down.stopped {
        eprintln!("{name}: ended");
    }
    if down.draining.is_empty() {
        eprintln!("no member of the fleet runs");
    }
    Ok(exit::OK)
}

fn status(coop: &Coop, json: bool) -> Result<u8> {
    let usable = coop.runtime().ok();
    let rows = rows::rows(coop, usable.as_ref())?;
    if json {
        let fleet = fleet::load(coop)?;
        out::json(&serde_json::json!({"state": fleet.state.as_str(), "members": rows}))?;
        return Ok(exit::OK);
    }
    if rows.is_empty() {
        eprintln!("no fleet is up\nhint: git coop fleet up");
    }
    let now = time::now(&coop.env);
    let mut table = Table::new(&["NAME", "AGENT", "STATE", "DONE", "AHEAD", "TOKENS", "COST", "AGE", "TASK"]);
    for row in &rows {
        let used = if row.input + row.output > 0 { tokens(row.input + row.output) } else { "-".into() };
        let cost = if row.cost > 0.0 { format!("${:.2}", row.cost) } else { "-".into() };
        let age = if row.updated > 0 { time::age(now - row.updated) } else { "-".into() };
        let task = [&row.reason, &row.task, &row.event].into_iter().find(|text| !text.is_empty());
        table.row(&[
            &row.name,
            &row.account(),
            &row.condition(now),
            &format!("{}/{}", row.done, row.total),
            &row.ahead.to_string(),
            &used,
            &cost,
            &age,
            &task.map(|text| text.chars().take(60).collect::<String>()).unwrap_or_default(),
        ]);
    }
    out::write(|stdout| stdout.write_all(table.render().as_bytes()))?;
    Ok(exit::OK)
}

fn split(coop: &Coop, n: usize, agent: Option<&str>) -> Result<u8> {
    let root = &coop.repo.work_tree;
    if let Some(agent) = agent {
        Registry::load(&coop.env.config_dir())?.get(agent)?;
    }
    let source = mark::locate(root, root, ".agent/TASKS.md".as_ref())?;
    queue::lint(coop, std::slice::from_ref(&source))?;
    let bytes = mark::read(&source)?;
    let todo = Queue::parse(&bytes).tasks.iter().filter(|task| task.mark == Mark::Todo).count();
    if n == 0 || todo < n {
        return Err(Error::usage(format!("{} cannot be dealt out to {n} lists", count(todo, "task")))
            .hint("git coop tasks shows them"));
    }
    let fleet = root.join(file::PATH);
    let member = |at: usize| (format!("part-{at}"), agent.map(str::to_owned), format!(".agent/tasks/part-{at}.md"));
    let members: Vec<_> = (1..=n).map(member).collect();
    let there = members
        .iter()
        .map(|(.., list)| root.join(list))
        .chain([fleet.clone()])
        .find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there {
        return Err(Error::usage(format!("'{}' is there already", path.display())).hint("move it away first"));
    }
    for ((.., list), part) in members.iter().zip(split::split(&bytes, n)) {
        write_new(&root.join(list), &String::from_utf8_lossy(&part))?;
    }
    write_new(&fleet, &file::text(&members))?;
    eprintln!("dealt {} out to {} in .agent/tasks, and wrote {}", count(todo, "task"), count(n, "list"), file::PATH);
    eprintln!("hint: the tasks stay in .agent/TASKS.md as well: no other loop should work on it now");
    Ok(exit::OK)
}

fn watch(coop: &Coop, context: &Context) -> Result<u8> {
    let interrupts = Interrupts::watch()?;
    let mut live = Live { coop, context, usable: coop.runtime().ok(), interrupts };
    let color = context.env.get("NO_COLOR").is_none();
    board::watch(&mut live, color).context(Kind::Usage, "cannot use the terminal")?;
    Ok(exit::OK)
}

/// The board's view of this repository.
struct Live<'a> {
    coop: &'a Coop,
    context: &'a Context,
    usable: Option<Usable>,
    interrupts: Interrupts,
}

impl Source for Live<'_> {
    fn rows(&mut self) -> std::result::Result<Vec<Row>, String> {
        assert!(!without("board-stands"), "a test wants to see what is left of the terminal");
        rows::rows(self.coop, self.usable.as_ref()).map_err(|err| err.to_string())
    }
    fn now(&self) -> i64 {
        time::now(&self.context.env)
    }
    fn is_over(&self) -> bool {
        self.interrupts.asked() != Asked::GoOn
    }
    fn act(&mut self, action: Action, name: &str) -> String {
        let done = match action {
            Action::Log => self.log(name),
            Action::Diff => self.program("review", &[name], true),
            Action::Review => self.program("review", &[name, "--stat"], true),
            Action::Merge => self.program("merge", &[name], true),
            Action::Stop => self.program("fork", &["stop", name], false),
        };
        done.err().map(|err| err.to_string()).unwrap_or_default()
    }
}

impl Live<'_> {
    /// The log of the loop, or of the fork where it has no own, through the user's pager.
    fn log(&self, name: &str) -> Result<()> {
        let parsed = ForkName::parse(name)?;
        let known = Fork::find(&self.coop.repo, &self.coop.env, &parsed)?;
        if known.is_none() || !fork::log_path(self.coop, &parsed).exists() {
            return Err(Error::no(format!("'{name}' has no log yet")));
        }
        self.program("fork", &["logs", name], true)
    }

    /// Runs a program of ours on the terminal; where its output would be gone at once, a key is waited for.
    fn program(&self, command: &str, args: &[&str], wait: bool) -> Result<()> {
        let program = sibling::program(command, &self.context.env)?;
        let status = Process::new(program)
            .args(args)
            .current_dir(&self.coop.repo.work_tree)
            .status()
            .context(Kind::Usage, format!("cannot run git coop {command}"))?;
        if wait {
            eprint!("{}", printable("-- return to the board: Enter "));
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).or_bug("cannot read the terminal")?;
        }
        match status.code() {
            Some(0) => Ok(()),
            code => Err(Error::no(format!("git coop {command}: exit {}", code.unwrap_or(-1)))),
        }
    }
}
