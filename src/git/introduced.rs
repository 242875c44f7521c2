//! Which blobs the commits of a range introduce, also those that a later commit removes again.

use std::collections::{HashMap, HashSet};

use bstr::BString;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::blobs::{Blobs, ObjectId};
use super::{Git, Repo};

/// A blob with the first place where it appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduced {
    /// The blob.
    pub blob: ObjectId,
    /// Its path in that commit.
    pub path: BString,
    /// The commit, in the order of the range oldest first.
    pub commit: ObjectId,
}

/// Commits with their parents, oldest first.
pub type Commits = Vec<(ObjectId, Vec<ObjectId>)>;

/// Resolves what `git rev-list` understands. Errors: exit 2 with git's reason.
pub fn commits(repo: &Repo, env: &Env, revisions: &[&str]) -> Result<Commits> {
    let git = Git::new(repo, env).args(["rev-list", "--topo-order", "--reverse", "--parents"]);
    let output = git.args(revisions).arg("--").output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let why = text.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
        return Err(Error::usage(format!("'{}' does not resolve", revisions.join(" ")))
            .because(why)
            .hint("git rev-list A..B shows what git understands"));
    }
    let text = std::str::from_utf8(&output.stdout).or_bug("git printed no text")?;
    let mut out = Vec::new();
    for line in text.lines() {
        let mut ids = line.split(' ').map(|hex| gix::ObjectId::from_hex(hex.as_bytes()).map(ObjectId));
        let commit = ids.next().transpose().or_bug("git printed no object id")?;
        if let Some(commit) = commit {
            out.push((commit, ids.collect::<Result<_, _>>().or_bug("git printed no object id")?));
        }
    }
    Ok(out)
}

/// Walks `commits` and calls `found` for every blob that no parent has at its path and that was not found before.
/// What cannot be read is told to `broken` and passed over. `found` returns whether to go on.
pub fn introduced(
    blobs: &Blobs,
    commits: &Commits,
    mut found: impl FnMut(Introduced) -> bool,
    mut broken: impl FnMut(String),
) {
    let mut seen: HashSet<gix::ObjectId> = HashSet::new();
    let mut trees: HashMap<gix::ObjectId, Option<gix::ObjectId>> = HashMap::new();
    blobs.with(|handle| {
        for (commit, parents) in commits {
            let mut root = |id: gix::ObjectId, cut_off: bool| {
                *trees.entry(id).or_insert_with(|| {
                    match handle.find_commit(id).map(|c| c.tree_id().map(gix::Id::detach)) {
                        Ok(Ok(tree)) => Some(tree),
                        _ if cut_off => None, // the parent of a shallow boundary is not here
                        _ => {
                            broken(format!("commit {id} cannot be read"));
                            None
                        }
                    }
                })
            };
            let Some(tree) = root(commit.0, false) else { continue };
            let before: Vec<gix::ObjectId> = parents.iter().filter_map(|p| root(p.0, true)).collect();
            let mut walk = Walk { handle, commit: *commit, seen: &mut seen, found: &mut found, broken: &mut broken };
            if !walk.tree(tree, &before, &mut BString::default(), 0) {
                return;
            }
        }
    });
}

struct Walk<'a, F, B> {
    handle: &'a gix::Repository,
    commit: ObjectId,
    seen: &'a mut HashSet<gix::ObjectId>,
    found: &'a mut F,
    broken: &'a mut B,
}

/// Name, is a tree, is a blob, id.
type Entry = (BString, bool, bool, gix::ObjectId);

impl<F: FnMut(Introduced) -> bool, B: FnMut(String)> Walk<'_, F, B> {
    fn entries(&mut self, id: gix::ObjectId) -> Vec<Entry> {
        let Ok(object) = self.handle.find_object(id) else {
            (self.broken)(format!("tree {id} cannot be read"));
            return Vec::new();
        };
        let mut out = Vec::new();
        for entry in gix::objs::TreeRefIter::from_bytes(&object.data, id.kind()) {
            match entry {
                Ok(e) => {
                    out.push((e.filename.to_owned(), e.mode.is_tree(), e.mode.is_blob_or_symlink(), e.oid.to_owned()))
                }
                Err(_) => {
                    (self.broken)(format!("tree {id} is broken"));
                    break;
                }
            }
        }
        out
    }

    fn tree(&mut self, id: gix::ObjectId, before: &[gix::ObjectId], path: &mut BString, depth: usize) -> bool {
        if before.contains(&id) || depth > 256 {
            return true;
        }
        // a tree that was walked without parents has nothing new to give
        if before.is_empty() && !self.seen.insert(id) {
            return true;
        }
        let olds: Vec<HashMap<BString, gix::ObjectId>> = before
            .iter()
            .map(|old| self.entries(*old).into_iter().map(|(name, _, _, id)| (name, id)).collect())
            .collect();
        for (name, is_tree, is_blob, id) in self.entries(id) {
            let same: Vec<gix::ObjectId> = olds.iter().filter_map(|old| old.get(&name).copied()).collect();
            if same.contains(&id) || !(is_tree || is_blob) {
                continue;
            }
            let len = path.len();
            path.extend_from_slice(&name);
            let go_on = if is_tree {
                path.push(b'/');
                // only what was a tree before can be compared; a blob of that name gives no entries
                let trees: Vec<_> = same
                    .into_iter()
                    .filter(|id| self.handle.find_header(*id).is_ok_and(|h| h.kind().is_tree()))
                    .collect();
                self.tree(id, &trees, path, depth + 1)
            } else {
                !self.seen.insert(id)
                    || (self.found)(Introduced { blob: ObjectId(id), path: path.clone(), commit: self.commit })
            };
            path.truncate(len);
            if !go_on {
                return false;
            }
        }
        true
    }
}
