//! Notes trees in memory (`git help notes`): the layout, its fan-out and what others wrote stay as git has them.

use gix::note::plumbing::State;

use crate::env::Env;
use crate::error::{Context as _, Result};

use super::write::{self, Tree};
use super::{Oid, Repo, objects, pack_out};

/// Writes a commit on `old` in which each of `lines` is the note of its commit, in the place of an older one. No ref
/// refers to it yet. Errors: kind Bug where `old` holds no notes.
pub fn commit(
    repo: &Repo,
    env: &Env,
    old: Option<&Oid>,
    ident: &str,
    message: &str,
    lines: &[(Oid, String)],
) -> Result<Oid> {
    let opened = objects::open(repo)?.with_object_memory();
    let root = match old {
        Some(old) => {
            let commit = opened.find_commit(old.to_gix()?).or_bug("cannot read the notes")?;
            commit.tree_id().or_bug("the notes have no tree")?.detach()
        }
        None => opened.write_object(gix::objs::Tree::empty()).or_bug("cannot write the empty tree")?.detach(),
    };
    let mut notes = State::new(root, &opened.objects).or_bug("cannot read the notes")?;
    for (commit, line) in lines {
        let blob = opened.write_blob(line).or_bug("cannot write a note")?.detach();
        notes.edit(commit.to_gix()?, Some(blob), &opened.objects).or_bug("cannot add a note")?;
    }
    let tree = notes.write(&opened.objects).or_bug("cannot write the notes")?;
    let parents: Vec<Oid> = old.into_iter().cloned().collect();
    let tip = write::commit(&opened, ident, &parents, message, Tree::Is(tree))?;
    pack_out::take(repo, env, opened)?;
    Ok(tip)
}
