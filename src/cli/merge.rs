//! `git coop merge`.

mod check;
mod person;

use std::collections::BTreeSet;
use std::io::IsTerminal;

use crate::error::{Error, Kind, Result};
use crate::flow::Coop;
use crate::flow::land::policy;
use crate::flow::land::queue::{self, Came};
use crate::flow::land::undo::undo;
use crate::flow::land::{Ask, Landed, Options, land};
use crate::state::ForkName;
use crate::ui::table::Table;
use crate::ui::text::count;

use super::{Command, Context, out};
use person::Person;

/// Land a fork on a branch: scan, rebase, gate, and then one step
///
/// Every commit is scanned for secrets and for files that act on the host, rebased in memory onto the branch, and
/// gated in a box (coop.gate) as the exact tree that would land. Only then the branch moves, and the checkout
/// follows. Merge commits are brought into a line and commits that become empty are left out, as git rebase does.
/// Unlike there, merge attributes count as the branch has them, and a file that they give to a merge driver is a
/// conflict where both sides changed it: no driver runs.
/// Nothing changes when anything fails: exit 1 for a red gate or a finding, 3 for a conflict or a lost race.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    #[arg(required_unless_present_any = ["all", "check"], conflicts_with = "all")]
    name: Option<String>,
    /// Land every fork that is ready, the one that has waited longest first
    #[arg(long)]
    all: bool,
    /// With --all, go on after a fork that fails
    #[arg(long, requires = "all")]
    keep_going: bool,
    /// Branch to land on instead of the current one
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,
    /// Gate command instead of coop.gate
    #[arg(long, value_name = "CMD")]
    gate: Option<String>,
    /// Run the gate even if it has seen this tree
    #[arg(long)]
    regate: bool,
    /// Do not ask (needed without a terminal)
    #[arg(long, short)]
    yes: bool,
    /// A finding that is meant; KIND is secret, blob, host, symlink, shadowed or submodule
    #[arg(long, value_name = "KIND:PATH")]
    accept: Vec<String>,
    /// Land what the fork committed although the branch does not have its base
    #[arg(long)]
    from_base: bool,
    /// Drop the fork after it has landed
    #[arg(long)]
    drop: bool,
    /// Put the branch back where it was before the fork landed; a fork that was dropped is there again
    #[arg(long, conflicts_with_all = ["all", "check", "into", "gate", "accept"])]
    undo: bool,
    /// Only say whether REVISIONS (A..B) carry coop work without a green verdict: for hooks; `-` reads what git
    /// gives to pre-push
    #[arg(long, value_name = "REVISIONS", num_args = 1.., conflicts_with_all = ["name", "all"])]
    check: Vec<String>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if !self.check.is_empty() {
            return check::run(context, &self.check);
        }
        let accept = self.accept.iter().map(|word| accepted(word)).collect::<Result<BTreeSet<_>>>()?;
        let name = self.name.as_deref().map(ForkName::parse).transpose()?;
        let coop = context.coop()?;
        if let (true, Some(name)) = (self.undo, &name) {
            return self.undo(&coop, name);
        }
        let options = Options {
            into: self.into.clone(),
            gate: self.gate.clone(),
            regate: self.regate,
            accept,
            from_base: self.from_base,
            drop: self.drop,
        };
        let mut person = Person::new(self.yes);
        match &name {
            Some(name) => {
                let landed = land(&coop, name, &options, &mut person)?;
                self.show(&landed)?;
                Ok(0)
            }
            None => self.queue(&coop, &options, &mut person),
        }
    }
}

/// Checks the form of `KIND:PATH`.
fn accepted(word: &str) -> Result<String> {
    match word.split_once(':') {
        Some((kind, path)) if policy::Kind::parse(kind).is_some() && !path.is_empty() => Ok(word.to_owned()),
        _ => Err(Error::usage(format!("'{word}' is not KIND:PATH"))
            .hint("the command that a refused landing prints has the right words")),
    }
}

impl Args {
    fn show(&self, landed: &Landed) -> Result<()> {
        if self.json {
            return out::json(&json(landed));
        }
        let skipped = match landed.skipped {
            0 => String::new(),
            n => format!(" ({} had nothing new)", count(n, "more commit")),
        };
        let gate = landed.gate.as_ref().map_or(String::new(), |g| {
            format!(", gate passed{}", if g.reused { " before".to_owned() } else { format!(" in {}s", g.seconds) })
        });
        let text = format!(
            "landed {} of '{}' on {} as {}{skipped}{gate}\n",
            count(landed.commits, "commit"),
            landed.fork,
            landed.target,
            landed.tip.short()
        );
        out::write(|stdout| stdout.write_all(text.as_bytes()))?;
        if let Some(why) = &landed.behind {
            eprintln!("warning: the checkout has not followed: {}", crate::ui::text::printable(why));
            eprintln!("hint: git stash; then any git coop merge finishes it");
        }
        Ok(())
    }

    fn undo(&self, coop: &Coop, name: &ForkName) -> Result<u8> {
        let undone = undo(coop, name)?;
        if self.json {
            out::json(&serde_json::json!({
                "fork": name.as_str(), "target": undone.target, "from": undone.from.as_str(), "to": undone.to.as_str(),
            }))?;
        } else {
            let text = format!(
                "{} is back at {} (was {}); fork '{name}' is {}\n",
                undone.target,
                undone.to.short(),
                undone.from.short(),
                if undone.again { "there again" } else { "kept" }
            );
            out::write(|stdout| stdout.write_all(text.as_bytes()))?;
        }
        if let Some(why) = undone.behind {
            eprintln!("warning: the checkout has not followed: {}", crate::ui::text::printable(&why));
        }
        Ok(0)
    }

    fn queue(&self, coop: &Coop, options: &Options, person: &mut Person) -> Result<u8> {
        let ready: Vec<String> =
            queue::order(coop)?.iter().filter(|(_, skip)| skip.is_none()).map(|(f, _)| f.name.to_string()).collect();
        if ready.is_empty() {
            return Err(Error::no("no fork has anything to land").hint("git coop fork ls"));
        }
        eprintln!("order: {} (longest ready first)", ready.join(", "));
        person
            .land(&format!("Land {}?", count(ready.len(), "fork")))?
            .then_some(())
            .ok_or_else(|| Error::no("nothing landed").hint("git coop review NAME"))?;
        person.said_yes();
        let total = ready.len();
        let mut done = 0;
        let progress = std::io::stderr().is_terminal();
        let results = queue::run(coop, options, self.keep_going, person, &mut |name, came| match came {
            None => {
                done += 1;
                if progress {
                    eprintln!("[{done}/{total}] {name}");
                }
            }
            Some(Came::Failed(err)) => eprint!("{name}: {}", err.render()),
            Some(_) => {}
        })?;
        self.table(&results)
    }

    fn table(&self, results: &[(ForkName, Came)]) -> Result<u8> {
        let word = |came: &Came| match came {
            Came::Landed(_) => "landed",
            Came::Failed(err) if err.kind() == Kind::Conflict => "conflict",
            Came::Failed(_) => "failed",
            Came::NotTried => "not tried",
            Came::Skipped(_) => "skipped",
        };
        let detail = |came: &Came| match came {
            Came::Landed(l) => format!("{} as {}", count(l.commits, "commit"), l.tip.short()),
            Came::Failed(err) => err.message().to_owned(),
            Came::NotTried => String::new(),
            Came::Skipped(why) => (*why).to_owned(),
        };
        if self.json {
            let rows: Vec<_> = results
                .iter()
                .map(|(name, came)| {
                    let landed = if let Came::Landed(l) = came { Some(json(l)) } else { None };
                    serde_json::json!({ "fork": name.as_str(), "result": word(came), "detail": detail(came), "landed": landed })
                })
                .collect();
            out::json(&rows)?;
        } else {
            let mut table = Table::new(&["FORK", "RESULT", "DETAIL"]);
            for (name, came) in results {
                table.row(&[name.as_str(), word(came), &detail(came)]);
            }
            out::write(|stdout| stdout.write_all(table.render().as_bytes()))?;
        }
        let failed = results
            .iter()
            .find_map(|(_, came)| if let Came::Failed(err) = came { Some(err.kind().code()) } else { None });
        Ok(failed.unwrap_or(0))
    }
}

fn json(landed: &Landed) -> serde_json::Value {
    serde_json::json!({
        "fork": landed.fork.as_str(),
        "target": landed.target,
        "onto": landed.onto.as_str(),
        "tip": landed.tip.as_str(),
        "tree": landed.tree.as_str(),
        "commits": landed.commits,
        "skipped": landed.skipped,
        "gate": landed.gate.as_ref().map(|g| serde_json::json!({
            "command": g.command, "passed": g.passed, "seconds": g.seconds, "reused": g.reused,
        })),
        "accepted": landed.accepted,
        "followed": landed.behind.is_none(),
        "dropped": landed.dropped,
    })
}
