//! `git coop verify`.

use crate::error::{Error, Result};
use crate::flow::verify_range::{Row, rows};
use crate::git::Repo;
use crate::ui::table::Table;

use super::{Command, Context, out};

/// Say for each commit of a range who wrote it and which gate passed on it
///
/// Exits 1 if a commit has no green verdict. Works in any clone that fetched refs/coop/* or refs/notes/coop/*:
/// git fetch origin 'refs/notes/coop/*:refs/notes/coop/*'
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Revisions as git log takes them, such as main~10..main
    #[arg(required = true, value_name = "RANGE")]
    range: Vec<String>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let repo = Repo::discover_or_bare(&context.cwd, &context.env)?;
        if let Some(word) = self.range.iter().find(|w| w.starts_with('-')) {
            return Err(Error::usage(format!("'{word}' is no range")).hint("git coop verify main~10..main"));
        }
        let rows = rows(&repo, &context.env, &self.range)?;
        let good = rows.iter().all(|row| row.green.is_some());
        if self.json {
            out::json(&rows.iter().map(json).collect::<Vec<_>>())?;
            return Ok(u8::from(!good));
        }
        let mut table = Table::new(&["COMMIT", "GATE", "TREE", "FORK", "AGENT", "SUBJECT"]);
        for row in &rows {
            let (gate, tree) = row.green.as_ref().map_or(("none", "-"), |(gate, tree)| (gate.as_str(), tree.short()));
            let (fork, agent) =
                row.origin.as_ref().map_or(("-", row.author.as_str()), |(f, a)| (f.as_str(), a.as_str()));
            table.row(&[row.commit.short(), gate, tree, fork, agent, &row.subject]);
        }
        out::write(|stdout| stdout.write_all(table.render().as_bytes()))?;
        Ok(u8::from(!good))
    }
}

fn json(row: &Row) -> serde_json::Value {
    serde_json::json!({
        "commit": row.commit.as_str(),
        "subject": row.subject,
        "author": row.author,
        "fork": row.origin.as_ref().map(|(fork, _)| fork),
        "agent": row.origin.as_ref().map(|(_, agent)| agent),
        "gate": row.green.as_ref().map(|(gate, _)| gate),
        "tree": row.green.as_ref().map(|(_, tree)| tree.as_str()),
    })
}
