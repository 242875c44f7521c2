//! What commits change, path by path. Renames off, no driver, no textconv, no attribute of anybody: the
//! answer depends on trees alone, and paths are bytes between NULs.

use std::collections::{BTreeMap, HashMap};

use gix::diff::blob::{Algorithm, Diff, InternedInput};
use gix::diff::tree::recorder::Change as Recorded;
use gix::objs::TreeRefIter;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::objects::Reader;
use super::{Git, Oid, Repo, objects};

/// Larger changes are counted by git (bytes, all files together).
const MAX_COUNTED: u64 = 1 << 20;

/// One side of a change: mode as git prints it, and object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// `100644`, `100755`, `120000`, `160000`.
    pub mode: String,
    /// The blob, or the commit of a submodule.
    pub id: Oid,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit that changes it.
    pub commit: Oid,
    /// The path.
    pub path: Vec<u8>,
    /// Before, in the first parent; `None` where it is new.
    pub old: Option<Side>,
    /// After; `None` where it is removed.
    pub new: Option<Side>,
}

/// What each of `commits` changes; of a merge only what differs from every parent.
pub fn changes(repo: &Repo, env: &Env, commits: &[Oid]) -> Result<Vec<Change>> {
    let opened = objects::open(repo)?;
    let mut all = Vec::new();
    for commit in commits {
        match of_one(&opened, commit)? {
            Some(changes) => all.extend(changes),
            None => return by_git(repo, env, commits),
        }
    }
    Ok(all)
}

/// What a commit with at most one parent changes, paths in order; `None` for a merge.
pub(super) fn of_one(opened: &gix::Repository, id: &Oid) -> Result<Option<Vec<Change>>> {
    let commit = opened.find_commit(id.to_gix()?).or_bug("cannot read a commit")?;
    let parents: Vec<_> = commit.parent_ids().map(|p| p.detach()).collect();
    let tree = |id: gix::ObjectId| opened.find_tree(id).or_bug("cannot read a tree");
    let old = match parents.as_slice() {
        [] => None,
        [one] => {
            let parent = opened.find_commit(*one).or_bug("cannot read a commit")?;
            Some(tree(parent.tree_id().or_bug("a commit has no tree")?.detach())?)
        }
        _ => return Ok(None),
    };
    let new = tree(commit.tree_id().or_bug("a commit has no tree")?.detach())?;
    of_trees(opened, id, old.as_ref(), &new).map(Some)
}

/// What differs between two trees, paths in order.
fn of_trees(
    opened: &gix::Repository,
    commit: &Oid,
    old: Option<&gix::Tree<'_>>,
    new: &gix::Tree<'_>,
) -> Result<Vec<Change>> {
    let hash = opened.object_hash();
    let mut recorder = gix::diff::tree::Recorder::default();
    gix::diff::tree(
        TreeRefIter::from_bytes(old.map_or(&[], |tree| &tree.data), hash),
        TreeRefIter::from_bytes(&new.data, hash),
        gix::diff::tree::State::default(),
        &opened.objects,
        &mut recorder,
    )
    .or_bug("cannot compare trees")?;
    // where a directory and a file change places, both are told: one path, two sides
    let mut paths: BTreeMap<Vec<u8>, [Option<Side>; 2]> = BTreeMap::new();
    let mut add = |path: bstr::BString, at: usize, mode: gix::objs::tree::EntryMode, id: gix::ObjectId| {
        if !mode.is_tree() {
            let mode = String::from_utf8_lossy(mode.kind().as_octal_str()).into_owned();
            paths.entry(path.into()).or_default()[at] = Some(Side { mode, id: id.into() });
        }
    };
    for record in recorder.records {
        match record {
            Recorded::Addition { entry_mode, oid, path, .. } => add(path, 1, entry_mode, oid),
            Recorded::Deletion { entry_mode, oid, path, .. } => add(path, 0, entry_mode, oid),
            Recorded::Modification { previous_entry_mode, previous_oid, entry_mode, oid, path } => {
                add(path.clone(), 0, previous_entry_mode, previous_oid);
                add(path, 1, entry_mode, oid);
            }
        }
    }
    Ok(paths.into_iter().map(|(path, [old, new])| Change { commit: commit.clone(), path, old, new }).collect())
}

/// As [`changes`], for merges as well.
fn by_git(repo: &Repo, env: &Env, commits: &[Oid]) -> Result<Vec<Change>> {
    let mut input = String::new();
    for commit in commits {
        input.push_str(&format!("{commit}\n"));
    }
    let out = Git::isolated(repo, env)
        .args(["diff-tree", "--stdin", "--root", "-c", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"])
        .arg("--ignore-submodules=none")
        .input(input)
        .read()?;
    parse(&out)
}

/// What differs between two commits, paths in order.
pub fn between(repo: &Repo, old: &Oid, new: &Oid) -> Result<Vec<Change>> {
    let opened = objects::open(repo)?;
    let tree = |id: &Oid| -> Result<_> {
        opened.find_commit(id.to_gix()?).or_bug("cannot read a commit")?.tree().or_bug("cannot read a tree")
    };
    of_trees(&opened, new, Some(&tree(old)?), &tree(new)?)
}

fn parse(out: &[u8]) -> Result<Vec<Change>> {
    let bad = || Error::bug("git diff-tree printed a line that is none");
    let mut commit = None;
    let mut changes = Vec::new();
    let mut fields = out.split(|b| *b == 0).filter(|f| !f.is_empty());
    while let Some(field) = fields.next() {
        let text = std::str::from_utf8(field).map_err(|_| bad())?;
        let parents = text.bytes().take_while(|b| *b == b':').count();
        if parents == 0 {
            commit = Some(Oid::parse(text)?);
            continue;
        }
        // `:mode… mode id… id status`: as many old modes and ids as there are parents
        let words: Vec<&str> = text[parents..].split(' ').collect();
        if words.len() < 2 * parents + 3 {
            return Err(bad());
        }
        let side = |mode: &str, id: &str| -> Result<Option<Side>> {
            if mode == "000000" { Ok(None) } else { Ok(Some(Side { mode: mode.into(), id: Oid::parse(id)? })) }
        };
        let old = side(words[0], words[parents + 1])?;
        let new = side(words[parents], words[2 * parents + 1])?;
        let path = fields.next().ok_or_else(bad)?.to_vec();
        changes.push(Change { commit: commit.clone().ok_or_else(bad)?, path, old, new });
    }
    Ok(changes)
}

/// Lines added and removed per path between two commits; `None` for binary files.
pub type Churn = HashMap<Vec<u8>, Option<(u64, u64)>>;

/// Counts lines between two commits.
pub fn churn(repo: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<Churn> {
    if let Some(churn) = plain_churn(repo, old, new) {
        return Ok(churn);
    }
    let out =
        plain(repo, env)?.args(["-r", "-z", "--numstat", "--no-renames"]).args([old.as_str(), new.as_str()]).read()?;
    let mut churn = Churn::new();
    for line in out.split(|b| *b == 0).filter(|l| !l.is_empty()) {
        let mut words = line.splitn(3, |b| *b == b'\t');
        let (Some(plus), Some(minus), Some(path)) = (words.next(), words.next(), words.next()) else { continue };
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|t| t.parse::<u64>().ok());
        churn.insert(path.to_vec(), number(plus).zip(number(minus)));
    }
    Ok(churn)
}

/// As git counts, where only small files changed and none its kind; `None` where git has to count.
fn plain_churn(repo: &Repo, old: &Oid, new: &Oid) -> Option<Churn> {
    let reader = Reader::open(repo).ok()?;
    let mut left = MAX_COUNTED;
    let mut read = |side: &Option<Side>| -> Option<Vec<u8>> {
        let Some(side) = side else { return Some(Vec::new()) };
        left = left.checked_sub(reader.size(&side.id).ok()?)?;
        reader.bytes(&side.id).ok()
    };
    let mut churn = Churn::new();
    for change in between(repo, old, new).ok()? {
        let sides = [&change.old, &change.new];
        let file = |side: &Option<Side>| side.as_ref().is_none_or(|side| side.mode.starts_with("100"));
        if !sides.into_iter().all(file) {
            return None;
        }
        let (was, is) = (read(&change.old)?, read(&change.new)?);
        let binary = is_binary(&was) || is_binary(&is);
        churn.insert(change.path, (!binary).then(|| lines(&was, &is)));
    }
    Some(churn)
}

/// git's own rule: a NUL in the first 8,000 bytes.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(8_000).any(|b| *b == 0)
}

/// Lines added and removed.
fn lines(was: &[u8], is: &[u8]) -> (u64, u64) {
    let input = InternedInput::new(was, is);
    let diff = Diff::compute(Algorithm::Myers, &input);
    (diff.count_additions().into(), diff.count_removals().into())
}

/// The patch between two commits as git prints it, without colours. At most `limit` bytes; `true` where cut.
pub fn patch(repo: &Repo, env: &Env, old: &Oid, new: &Oid, limit: usize) -> Result<(Vec<u8>, bool)> {
    use std::io::Read;
    let mut command = plain(repo, env)?
        .args(["-r", "-p", "--stat", "--find-renames", "--full-index", "--no-color"])
        .args([old.as_str(), new.as_str()])
        .into_command();
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().or_bug("cannot run git diff-tree")?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(limit as u64 + 1).read_to_end(&mut bytes).or_bug("cannot read the patch")?;
    }
    let cut = bytes.len() > limit;
    if cut {
        bytes.truncate(limit);
        let _ = child.kill();
    }
    let status = child.wait().or_bug("cannot wait for git")?;
    if !cut && !status.success() {
        return Err(Error::bug("git diff-tree failed"));
    }
    Ok((bytes, cut))
}

/// `git diff-tree` with every program that attributes could name switched off.
fn plain(repo: &Repo, env: &Env) -> Result<Git> {
    let opened = super::objects::open(repo)?;
    let empty = gix::ObjectId::empty_tree(opened.object_hash());
    let git = Git::isolated(repo, env).config("diff.renameLimit=200").arg(format!("--attr-source={empty}"));
    Ok(git.args(["diff-tree", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_combined_lines() {
        let (a, b, c, d) = ("a".repeat(40), "b".repeat(40), "c".repeat(40), "d".repeat(40));
        let out = format!(
            "{d}\0:000000 100644 {} {a} A\0na me\n\0:100644 000000 {a} {} D\0x\0{c}\0::100644 100644 100755 {a} {b} {c} MM\0y\0",
            "0".repeat(40),
            "0".repeat(40)
        );
        let changes = parse(out.as_bytes()).expect("parses");
        assert_eq!(changes.len(), 3);
        assert_eq!((changes[0].path.as_slice(), changes[0].old.is_none()), (&b"na me\n"[..], true));
        assert!(changes[1].new.is_none());
        assert_eq!(changes[2].new.as_ref().map(|s| (s.mode.as_str(), s.id.as_str())), Some(("100755", c.as_str())));
        assert_eq!(changes[2].old.as_ref().map(|s| s.id.as_str()), Some(a.as_str()));
        assert!(parse(b":x\0").is_err());
    }
}
