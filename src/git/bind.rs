//! Binds commits to what they were made for: each is written again with a trailer in its message, and with chosen paths
//! as they were before. Trees, authors, dates and every other byte stay.

use std::collections::HashMap;

use gix::ObjectId;

use crate::error::{Context as _, Error, Result};

use super::picks::Listed;
use super::recommit::Parts;
use super::{Oid, Repo, objects};
use crate::without::without;

/// Commits after [`bind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The last commit; the base where nothing was left.
    pub tip: Oid,
    /// Its tree.
    pub tree: Oid,
    /// All new commits, parents first.
    pub commits: Vec<Oid>,
}

/// Writes the commits of `range` (parents first, on top of `base`) again: `trailer` goes into each message, trailers of
/// the same family that somebody else wrote are taken out, `keep` are paths that stay as they are in `base`. A commit of
/// which nothing is left, or that was empty, is left out. Nothing refers to what is written.
pub fn bind(
    repo: &Repo,
    base: &Oid,
    head: &Oid,
    range: &[Listed],
    trailer: (&str, &str),
    keep: &[Vec<u8>],
    committer: &str,
) -> Result<Bound> {
    let opened = objects::open(repo)?;
    let tree_of = |id: &ObjectId| -> Result<ObjectId> {
        let commit = opened.find_commit(*id).or_bug("cannot read a commit")?;
        Ok(commit.tree_id().or_bug("a commit has no tree")?.detach())
    };
    let base_tree = tree_of(&base.to_gix()?)?;
    let mut made: HashMap<ObjectId, ObjectId> = HashMap::new();
    let mut commits = Vec::new();
    for listed in range {
        let old = listed.id.to_gix()?;
        let bytes = opened.find_object(old).or_bug("cannot read a commit")?.detach().data;
        let parts = Parts::of(&bytes)?;
        let tree = ObjectId::from_hex(parts.tree).or_bug("a commit names no tree")?;
        let tree = restored(&opened, tree, base_tree, keep)?;
        let mut parents = Vec::new();
        for parent in &parts.parents {
            let parent = ObjectId::from_hex(parent).or_bug("a commit names no parent")?;
            parents.push(made.get(&parent).copied().unwrap_or(parent));
        }
        if let [parent] = parents.as_slice()
            && tree_of(parent)? == tree
        {
            made.insert(old, *parent);
            continue;
        }
        let message = with_trailer(parts.message, trailer);
        let parts = Parts { message: &message, ..parts };
        let bytes = parts.with(tree, &parents, committer);
        let new = gix::objs::Write::write_buf(&opened.objects, gix::objs::Kind::Commit, &bytes)
            .or_bug("cannot write a commit")?;
        made.insert(old, new);
        commits.push(Oid::from(new));
    }
    let tip = match made.get(&head.to_gix()?) {
        Some(tip) => *tip,
        None if head == base => base.to_gix()?,
        None => return Err(Error::bug("the head is not in its own range")),
    };
    Ok(Bound { tree: tree_of(&tip)?.into(), tip: tip.into(), commits })
}

/// A commit on top of `base` whose tree is that of `tip` with `paths` as they are in `base` (away where they are not
/// there). Nothing refers to it.
pub fn with_paths_of(repo: &Repo, base: &Oid, tip: &Oid, paths: &[Vec<u8>], committer: &str) -> Result<Oid> {
    let opened = objects::open(repo)?;
    let bytes = opened.find_object(tip.to_gix()?).or_bug("cannot read a commit")?.detach().data;
    let parts = Parts::of(&bytes)?;
    let base_commit = opened.find_commit(base.to_gix()?).or_bug("cannot read a commit")?;
    let base_tree = base_commit.tree_id().or_bug("a commit has no tree")?.detach();
    let tree = ObjectId::from_hex(parts.tree).or_bug("a commit names no tree")?;
    let tree = restored(&opened, tree, base_tree, paths)?;
    let bytes = parts.with(tree, &[base.to_gix()?], committer);
    let id = gix::objs::Write::write_buf(&opened.objects, gix::objs::Kind::Commit, &bytes);
    Ok(id.or_bug("cannot write a commit")?.into())
}

/// `tree` with `paths` as they are in `from`.
fn restored(opened: &gix::Repository, tree: ObjectId, from: ObjectId, paths: &[Vec<u8>]) -> Result<ObjectId> {
    let wanted = opened.find_tree(from).or_bug("cannot read a tree")?;
    let current = opened.find_tree(tree).or_bug("cannot read a tree")?;
    let mut editor = None;
    for path in paths {
        let parts = || path.split(|b| *b == b'/');
        let old = wanted.lookup_entry(parts()).or_bug("cannot read a tree")?;
        let now = current.lookup_entry(parts()).or_bug("cannot read a tree")?;
        let same = match (&old, &now) {
            (None, None) => true,
            (Some(a), Some(b)) => a.object_id() == b.object_id() && a.mode() == b.mode(),
            _ => false,
        };
        if same {
            continue;
        }
        if editor.is_none() {
            editor = Some(opened.edit_tree(tree).or_bug("cannot edit a tree")?);
        }
        let Some(editor) = editor.as_mut() else { continue };
        let path = bstr::BStr::new(path);
        match old {
            Some(entry) => editor.upsert(path, entry.mode().kind(), entry.object_id()).or_bug("cannot edit a tree")?,
            None => editor.remove(path).or_bug("cannot edit a tree")?,
        };
    }
    match editor {
        Some(mut editor) => Ok(editor.write().or_bug("cannot write a tree")?.detach()),
        None => Ok(tree),
    }
}

/// The message with `key: value` as its last trailer. Lines that look like a trailer of the same family (`Coop-…`) go:
/// whoever wrote them was not the host.
fn with_trailer(message: &[u8], (key, value): (&str, &str)) -> Vec<u8> {
    let family: Vec<u8> = key.bytes().take_while(|b| *b != b'-').chain([b'-']).collect();
    let ours = |line: &[u8]| line.len() >= family.len() && line[..family.len()].eq_ignore_ascii_case(&family);
    let kept: Vec<&[u8]> =
        message.split(|b| *b == b'\n').filter(|line| !ours(line) || without("loop-trailer")).collect();
    let text = kept.join(&b'\n');
    let end = text.iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |at| at + 1);
    let mut out = text[..end].to_vec();
    if out.is_empty() {
        out.extend_from_slice(b"(no message)");
    }
    let lines: Vec<&[u8]> = out.split(|b| *b == b'\n').collect();
    let last = lines.rsplit(|line| line.trim_ascii().is_empty()).next().unwrap_or_default();
    let is_trailer = |line: &&[u8]| {
        let word = line.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        word > 0 && line[word..].starts_with(b": ")
    };
    let joins = last.len() < lines.len() && !last.is_empty() && last.iter().all(is_trailer);
    out.extend_from_slice(if joins { b"\n" } else { b"\n\n" });
    out.extend_from_slice(format!("{key}: {value}\n").as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailer_and_only_ours() {
        let with = |text: &str| String::from_utf8(with_trailer(text.as_bytes(), ("Coop-Task", "abc"))).expect("text");
        assert_eq!(with("subject\n"), "subject\n\nCoop-Task: abc\n");
        assert_eq!(with("fix: subject"), "fix: subject\n\nCoop-Task: abc\n");
        assert_eq!(with("s\n\nbody\n\nSigned-off-by: a\n\n"), "s\n\nbody\n\nSigned-off-by: a\nCoop-Task: abc\n");
        assert_eq!(with("s\n\ncoop-task: forged\nCoop-State: landed\n"), "s\n\nCoop-Task: abc\n");
        assert_eq!(with(" \n"), "(no message)\n\nCoop-Task: abc\n");
        assert_eq!(with("s\n\nnot: all\nof it"), "s\n\nnot: all\nof it\n\nCoop-Task: abc\n");
    }
}
