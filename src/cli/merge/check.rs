//! `git coop merge --check`: what hooks ask.

use std::io::Read;

use crate::error::{Context as _, Error, Result};
use crate::flow::verify_range::check;
use crate::git::{Repo, refs};

use super::super::Context;

/// Checks ranges `A..B`, or with `-` the lines that git gives to a pre-push hook.
pub fn run(context: &Context, words: &[String]) -> Result<u8> {
    let repo = Repo::discover_or_bare(&context.cwd, &context.env)?;
    let settings = context.settings(Some(&repo))?;
    let all = settings.get("COOP_REQUIRE_VERDICT") == Some("true");
    let ranges = if words == ["-"] {
        pushed(&repo)?
    } else {
        words.iter().map(|word| range(&repo, word)).collect::<Result<_>>()?
    };
    for (revs, tip) in ranges {
        let tip = refs::resolve_commit(&repo, &context.env, &tip)?;
        check(&repo, &context.env, &revs, &tip, all)?;
    }
    Ok(0)
}

/// `A..B` with its tip `B`; of a new branch (`A` is all zeros) what no other ref has.
fn range(repo: &Repo, word: &str) -> Result<(Vec<String>, String)> {
    if word.starts_with('-') {
        return Err(Error::usage(format!("'{word}' names no commits")).hint("git coop merge --check A..B"));
    }
    Ok(match word.split_once("..") {
        Some((old, new)) if !old.is_empty() && old.bytes().all(|b| b == b'0') => {
            (new_branch(repo, new), new.to_owned())
        }
        Some((_, new)) if !new.is_empty() => (vec![word.to_owned()], new.to_owned()),
        Some(_) => (vec![word.to_owned()], "HEAD".to_owned()),
        None => (new_branch(repo, word), word.to_owned()),
    })
}

/// On a server the other branches are what was checked before, in a clone what the remotes have.
fn new_branch(repo: &Repo, tip: &str) -> Vec<String> {
    let others = if repo.work_tree == repo.git_dir { "--branches" } else { "--remotes" };
    [tip, "--not", others, "--tags"].iter().map(|w| (*w).to_owned()).collect()
}

/// `<local ref> <local id> <remote ref> <remote id>` per line (`githooks(5)`, pre-push).
fn pushed(repo: &Repo) -> Result<Vec<(Vec<String>, String)>> {
    let mut text = String::new();
    std::io::stdin().take(1 << 20).read_to_string(&mut text).or_bug("cannot read standard input")?;
    let mut ranges = Vec::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let [_, new, name, old] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(Error::usage("standard input is not what git gives to a pre-push hook").hint("git help hooks"));
        };
        // deleting is no work; events and notes are no code
        if new.bytes().all(|b| b == b'0') || name.starts_with("refs/coop/") || name.starts_with("refs/notes/") {
            continue;
        }
        ranges.push(range(repo, &format!("{old}..{new}"))?);
    }
    Ok(ranges)
}
