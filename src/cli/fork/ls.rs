//! `git coop fork ls`.

use crate::error::Result;
use crate::flow::fork::list::{Row, rows};
use crate::ui::table::Table;

use super::super::{Command, Context, out};

/// List forks: agent, state, commits ahead, changes, age
///
/// The state `killed` means that the last run did not end properly: the next command on the fork brings back
/// what it made. `damaged` means that git refused what the box committed: it stays in the fork, look at it with
/// `git coop fork NAME -- git fsck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let coop = context.coop()?;
        let rows = rows(&coop)?;
        if self.json {
            out::json(&rows.iter().map(json).collect::<Vec<_>>())?;
            return Ok(0);
        }
        let now = crate::time::now(&context.env);
        let mut table = Table::new(&["NAME", "AGENT", "STATE", "AHEAD", "CHANGES", "AGE"]);
        for row in &rows {
            let fork = &row.fork;
            let changes = match (fork.get("Changes"), fork.get("Uncommitted")) {
                (None, None) => String::new(),
                (Some(done), None) => done.to_owned(),
                (None, Some(open)) => format!("{open} uncommitted"),
                (Some(done), Some(open)) => format!("{done}, {open} uncommitted"),
            };
            table.row(&[
                fork.name.as_str(),
                fork.get("Agent").unwrap_or("-"),
                row.state,
                fork.get("Ahead").unwrap_or("0"),
                &changes,
                &crate::time::age(now - fork.updated),
            ]);
        }
        out::write(|stdout| stdout.write_all(table.render().as_bytes()))?;
        Ok(0)
    }
}

fn json(row: &Row) -> serde_json::Value {
    let fork = &row.fork;
    let number = |key: &str| fork.get(key).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    serde_json::json!({
        "name": fork.name.as_str(),
        "state": row.state,
        "agent": fork.get("Agent"),
        "base": fork.base.as_str(),
        "head": fork.head.as_str(),
        "branch": fork.get("Branch"),
        "path": fork.path.to_string_lossy(),
        "ahead": number("Ahead"),
        "changes": fork.get("Changes"),
        "uncommitted": number("Uncommitted"),
        "kept": number("Kept"),
        "problem": fork.get("Problem"),
        "exit": fork.get("Exit").and_then(|v| v.parse::<i64>().ok()),
        "updated": fork.updated,
        "host": fork.get("Host"),
    })
}
