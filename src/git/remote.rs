//! coop's refs on a remote: fetched under a name of their own, pushed with the value that each one replaces.
//!
//! No hook runs on this side (a hooks path may lead into the work tree), no tag and no submodule is followed, and what is
//! fetched is checked.

use crate::env::Env;
use crate::error::{Error, Result};

use super::{Git, Oid, Repo};

/// What one ref of the remote becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Full name there and here.
    pub name: String,
    /// The value there now; `None`: it must not exist.
    pub old: Option<Oid>,
    /// The new value; `None` deletes.
    pub new: Option<Oid>,
}

/// More refs than this go in several pushes: a command line has an end.
const BATCH: usize = 200;

/// The prefix of what was fetched from `remote`.
pub fn prefix(remote: &str) -> String {
    format!("refs/coop-remote/{remote}/")
}

/// All names of remotes.
pub fn names(repo: &Repo, env: &Env) -> Result<Vec<String>> {
    Ok(Git::new(repo, env).args(["remote"]).line()?.lines().map(str::to_owned).collect())
}

/// Fetches `refs/coop/*` of `remote` to [`prefix`]. Errors: exit 2 with git's reason.
pub fn fetch(repo: &Repo, env: &Env, remote: &str) -> Result<()> {
    let spec = format!("+refs/coop/*:{}*", prefix(remote));
    let git = Git::network(repo, env).config("fetch.fsckObjects=true").args([
        "fetch",
        "--quiet",
        "--prune",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--refmap=",
        "--",
        remote,
        &spec,
    ]);
    let output = git.output()?;
    if output.status.success() { Ok(()) } else { Err(unreachable(remote, &output.stderr)) }
}

/// Pushes `moves`, each only where the remote still has the old value. Gives the names that were refused, with the
/// remote's reason. Errors: exit 2 where the remote cannot be reached.
pub fn push(repo: &Repo, env: &Env, remote: &str, moves: &[Move]) -> Result<Vec<(String, String)>> {
    let mut refused = Vec::new();
    for batch in moves.chunks(BATCH) {
        let text = |oid: &Option<Oid>| oid.as_ref().map(Oid::to_string).unwrap_or_default();
        let leases = batch.iter().map(|m| format!("--force-with-lease={}:{}", m.name, text(&m.old)));
        let specs = batch.iter().map(|m| format!("{}:{}", text(&m.new), m.name));
        let git = Git::network(repo, env).args(["push", "--porcelain", "--no-verify", "--no-signed"]);
        let git = git.args(["--recurse-submodules=no", "--no-follow-tags"]).args(leases);
        let output = git.args(["--", remote]).args(specs).output()?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut answered = 0;
        for line in lines.lines() {
            // <flag> TAB <from>:<to> TAB <summary> (<reason>)
            let mut fields = line.splitn(3, '\t');
            let (Some(flag), Some(names), Some(summary)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            answered += 1;
            if flag == "!" {
                let name = names.rsplit(':').next().unwrap_or(names);
                refused.push((name.to_owned(), summary.to_owned()));
            }
        }
        if !output.status.success() && answered == 0 {
            return Err(unreachable(remote, &output.stderr));
        }
    }
    Ok(refused)
}

fn unreachable(remote: &str, stderr: &[u8]) -> Error {
    let text = String::from_utf8_lossy(stderr);
    let why = text.lines().find(|l| l.starts_with("fatal:") || l.starts_with("error:")).or(text.lines().next());
    let why = why.unwrap_or("no message").trim_start_matches("fatal: ").trim_start_matches("error: ");
    Error::usage(format!("cannot talk to the remote '{remote}': {}", crate::ui::text::printable(why)))
        .hint(format!("git ls-remote {remote} 'refs/coop/*'"))
}
