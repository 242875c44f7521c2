//! `git coop tasks`.

use std::path::PathBuf;

use crate::error::{Context as _, Error, Kind, Result};
use crate::exit;
use crate::flow::Coop;
use crate::flow::drain::{owner, queue};
use crate::state::{Claim, ClaimState};
use crate::task::{Mark, Queue, mark, split};
use crate::ui::table::Table;
use crate::ui::text::count;

use super::{Command, Context, out};

/// Show and mend the list of tasks
///
/// Tasks are list items of .agent/TASKS.md: `- [ ] text` todo, `[w]` claimed, `[x]` done, `[B]` blocked. What is indented
/// below one belongs to it. The file is yours: only the markers are ever changed. An id is a hash of the text.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// A list of tasks; may be given several times (default: .agent/TASKS.md)
    #[arg(long, value_name = "FILE", global = true)]
    tasks: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List tasks with their ids, and who has them
    Ls,
    /// Add a task at the end
    Add {
        /// The text
        #[arg(required = true)]
        text: Vec<String>,
        /// More lines, which belong to it
        #[arg(long, short = 'm', default_value = "", hide_default_value = true)]
        body: String,
    },
    /// Name malformed lines
    Lint,
    /// Take a task for yourself: loops leave it alone
    Claim {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Give a task back that you took, or whose loop is gone
    Release {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Deal the todo tasks out to N files beside the list; here they are marked [w] then
    Split {
        /// How many files
        n: usize,
    },
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let coop = context.coop()?;
        let mut files = Vec::new();
        for file in &self.tasks {
            files.push(mark::locate(&coop.repo.work_tree, &context.cwd, file)?);
        }
        if files.is_empty() {
            files.push(mark::locate(&coop.repo.work_tree, &coop.repo.work_tree, ".agent/TASKS.md".as_ref())?);
        }
        match self.verb {
            None | Some(Verb::Ls) => list(&coop, &files, self.json),
            Some(Verb::Add { text, body }) => {
                mark::add(&files[0], &text.join(" "), &body)?;
                let queue = Queue::parse(&mark::read(&files[0])?);
                let id = queue.tasks.last().map(|task| task.id.clone()).unwrap_or_default();
                out::write(|stdout| writeln!(stdout, "{id}"))?;
                Ok(exit::OK)
            }
            Some(Verb::Lint) => lint(&coop, &files, self.json),
            Some(Verb::Claim { id }) => claim(&coop, &files, &id),
            Some(Verb::Release { id }) => release(&coop, &files, &id),
            Some(Verb::Split { n }) => split(&coop, &files[0], n),
        }
    }
}

fn list(coop: &Coop, files: &[PathBuf], json: bool) -> Result<u8> {
    let tasks = queue::list(coop, files)?;
    let reason = |listed: &queue::Listed| {
        let claim =
            listed.claim.as_ref().filter(|c| c.state == ClaimState::Blocked && listed.task.mark == Mark::Blocked);
        claim.and_then(|c| c.record.get("Reason")).unwrap_or_default().to_owned()
    };
    if json {
        let rows: Vec<serde_json::Value> = tasks
            .iter()
            .map(|listed| {
                serde_json::json!({
                    "id": listed.task.id, "state": listed.task.mark.word(), "title": listed.task.title,
                    "body": listed.task.body, "file": queue::shown(coop, &listed.path), "line": listed.task.line,
                    "holder": listed.holder(coop), "reason": reason(listed),
                })
            })
            .collect();
        out::write(|stdout| writeln!(stdout, "{}", serde_json::Value::from(rows)))?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(&["ID", "STATE", "LINE", "HOLDER", "TEXT"]);
    for listed in &tasks {
        let text = match reason(listed) {
            why if why.is_empty() => listed.task.title.clone(),
            why => format!("{} ({why})", listed.task.title),
        };
        let holder = listed.holder(coop).unwrap_or_else(|| "-".into());
        table.row(&[&listed.task.id, listed.task.mark.word(), &listed.task.line.to_string(), &holder, &text]);
    }
    out::write(|stdout| stdout.write_all(table.render().as_bytes()))?;
    for path in files {
        let problems = Queue::parse(&mark::read(path)?).problems.len();
        if problems > 0 {
            eprintln!("warning: {} in {}", count(problems, "malformed line"), queue::shown(coop, path));
            eprintln!("hint: git coop tasks lint");
        }
    }
    Ok(exit::OK)
}

fn lint(coop: &Coop, files: &[PathBuf], json: bool) -> Result<u8> {
    let (mut rows, mut text) = (Vec::new(), String::new());
    for path in files {
        let shown = queue::shown(coop, path);
        for problem in Queue::parse(&mark::read(path)?).problems {
            rows.push(serde_json::json!({"file": shown, "line": problem.line, "what": problem.what}));
            let line = crate::ui::text::printable(&format!("{shown}:{}: {}", problem.line, problem.what));
            text.push_str(&line);
            text.push('\n');
        }
    }
    let code = if rows.is_empty() { exit::OK } else { exit::NO };
    out::write(|stdout| {
        if json { writeln!(stdout, "{}", serde_json::Value::from(rows)) } else { stdout.write_all(text.as_bytes()) }
    })?;
    Ok(code)
}

/// The one task whose id begins so. Errors: exit 2.
fn find(coop: &Coop, files: &[PathBuf], id: &str) -> Result<queue::Listed> {
    let mut found: Vec<queue::Listed> =
        queue::list(coop, files)?.into_iter().filter(|listed| listed.task.id.starts_with(id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) if !id.is_empty() => Ok(one),
        (None, _) => Err(Error::usage(format!("no task '{id}'")).hint("git coop tasks shows the ids")),
        _ => Err(Error::usage(format!("'{id}' is the beginning of several ids")).hint("git coop tasks shows the ids")),
    }
}

fn claim(coop: &Coop, files: &[PathBuf], id: &str) -> Result<u8> {
    let listed = find(coop, files, id)?;
    if let Some(holder) = listed.holder(coop) {
        return Err(Error::conflict(format!("task {} is claimed by {holder}", listed.task.id)).hint("git coop tasks"));
    }
    let store = coop.store()?;
    let mut claim = Claim::new(&listed.task.id);
    claim.record.tip = listed.claim.as_ref().and_then(|old| old.record.tip.clone());
    claim.record.set("Title", listed.task.title.chars().take(200).collect::<String>());
    claim.record.set("Host", coop.host());
    if !claim.take(&store, "claimed by hand")? {
        return Err(
            Error::conflict(format!("somebody else was quicker with task {}", listed.task.id)).hint("git coop tasks")
        );
    }
    queue::try_marked(coop, &listed, &[Mark::Todo, Mark::Blocked], Mark::Claimed)?;
    eprintln!("task {} is yours: {}", listed.task.id, crate::ui::text::printable(&listed.task.title));
    Ok(exit::OK)
}

fn release(coop: &Coop, files: &[PathBuf], id: &str) -> Result<u8> {
    let listed = find(coop, files, id)?;
    let claim = listed.claim.as_ref().filter(|claim| claim.state == ClaimState::Held);
    if let Some(claim) = claim {
        if !claim.is_persons() && owner::alive(coop, &claim.record) {
            let name = claim.record.get("Loop").unwrap_or("?");
            return Err(Error::conflict(format!("loop '{name}' works on task {}", listed.task.id))
                .hint(format!("git coop fork stop {name} ends it")));
        }
        let edits: Vec<_> = claim.release().into_iter().collect();
        if crate::git::refs::transaction(&coop.repo, &coop.env, "task given back", &edits)?
            == crate::git::refs::Outcome::Lost
        {
            return Err(
                Error::conflict(format!("task {} was changed meanwhile", listed.task.id)).hint("git coop tasks")
            );
        }
    } else if listed.task.mark != Mark::Claimed {
        return Err(Error::no(format!("nobody has task {}", listed.task.id)).hint("git coop tasks"));
    }
    queue::try_marked(coop, &listed, &[Mark::Claimed], Mark::Todo)?;
    Ok(exit::OK)
}

fn split(coop: &Coop, file: &PathBuf, n: usize) -> Result<u8> {
    if !(2..=100).contains(&n) {
        return Err(Error::usage(format!("a list cannot be split into {n} files")).hint("git coop tasks split 4"));
    }
    queue::lint(coop, std::slice::from_ref(file))?;
    let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let paths: Vec<PathBuf> = (1..=n).map(|at| file.with_file_name(format!("{stem}-{at}.md"))).collect();
    if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::usage(format!("'{}' is there already", path.display())).hint("move it away first"));
    }
    let bytes = mark::read(file)?;
    for (path, part) in paths.iter().zip(split::split(&bytes, n)) {
        std::fs::write(path, part).context(Kind::Usage, format!("cannot write '{}'", path.display()))?;
        out::write(|stdout| writeln!(stdout, "{}", queue::shown(coop, path)))?;
    }
    for task in Queue::parse(&bytes).tasks.into_iter().filter(|task| task.mark == Mark::Todo) {
        let listed = queue::Listed { path: file.clone(), task, claim: None };
        queue::try_marked(coop, &listed, &[Mark::Todo], Mark::Claimed)?;
    }
    Ok(exit::OK)
}
