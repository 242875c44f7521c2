//! What the index has that HEAD has not, without reading what both have.
//!
//! The cache tree in the index says for most directories which tree they would become; where that is the tree in HEAD
//! the whole directory is passed over. git itself compares this way, so the cost is about that of `git diff --cached`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};

use super::blobs::ObjectId;
use super::{Git, Repo, objects};

/// One staged blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Where it is.
    pub path: BString,
    /// What the index has.
    pub new: ObjectId,
    /// What HEAD has there; for a new path what it had under names that are gone now, of which one may be the same file.
    pub old: Vec<ObjectId>,
}

/// The staged blobs of `repo`. `index` names another index file, as `GIT_INDEX_FILE` does in a hook.
/// Errors: exit 2 where HEAD or the index cannot be read.
pub fn staged(repo: &Repo, env: &Env, index: Option<&Path>) -> Result<Vec<Staged>> {
    let opened = objects::open(repo)?;
    let path = index.map_or_else(|| repo.git_dir.join("index"), Path::to_owned);
    if !path.exists() {
        return Ok(Vec::new()); // nothing was ever added
    }
    let options = gix::index::decode::Options { thread_limit: Some(1), ..Default::default() };
    let file = gix::index::File::at(&path, opened.object_hash(), true, options)
        .context(Kind::Usage, format!("cannot read the index '{}'", path.display()))?;
    let mut walk = Walk { opened: &opened, index: &file, changes: Vec::new(), gone: Vec::new() };
    let head = head_tree(&opened, repo, env)?;
    walk.directory(BStr::new(b""), head, file.tree(), 0..file.entries().len())?;
    Ok(walk.renamed())
}

/// The tree of HEAD, `None` before the first commit.
fn head_tree(opened: &gix::Repository, repo: &Repo, env: &Env) -> Result<Option<gix::ObjectId>> {
    if repo.common_dir.join("reftable").is_dir() {
        // gix does not see refs there
        let line = Git::new(repo, env).args(["rev-parse", "-q", "--verify", "HEAD^{tree}"]).output()?;
        let hex = line.stdout.trim_end();
        return if line.status.success() {
            gix::ObjectId::from_hex(hex).map(Some).or_bug("git printed no object id")
        } else {
            Ok(None)
        };
    }
    let head = opened.head().context(Kind::Usage, "cannot read HEAD")?;
    if head.is_unborn() {
        return Ok(None);
    }
    Ok(Some(opened.head_tree_id().context(Kind::Usage, "cannot read the tree of HEAD")?.detach()))
}

struct Walk<'a> {
    opened: &'a gix::Repository,
    index: &'a gix::index::File,
    changes: Vec<Staged>,
    /// Blobs of HEAD that the index has no longer, for renames.
    gone: Vec<(BString, gix::ObjectId)>,
}

type Entry = (gix::object::tree::EntryMode, gix::ObjectId);

impl Walk<'_> {
    fn tree(&self, id: Option<gix::ObjectId>) -> Result<BTreeMap<BString, Entry>> {
        let Some(id) = id else { return Ok(BTreeMap::new()) };
        let object = self.opened.find_object(id).context(Kind::Usage, "cannot read a tree of HEAD")?;
        let entries = gix::objs::TreeRefIter::from_bytes(&object.data, id.kind());
        let mut out = BTreeMap::new();
        for entry in entries {
            let entry = entry.context(Kind::Usage, "a tree of HEAD is broken")?;
            out.insert(entry.filename.to_owned(), (entry.mode, entry.oid.to_owned()));
        }
        Ok(out)
    }

    /// Compares one directory; `prefix` ends with a slash, `range` are its entries in the index.
    fn directory(
        &mut self,
        prefix: &BStr,
        head: Option<gix::ObjectId>,
        cache: Option<&gix::index::extension::Tree>,
        range: Range<usize>,
    ) -> Result<()> {
        let mut old = self.tree(head)?;
        let mut at = range.start;
        while at < range.end {
            let entry = &self.index.entries()[at];
            let path = entry.path(self.index);
            let rest = &path[prefix.len()..];
            match rest.find_byte(b'/') {
                None => {
                    self.entry(path.to_owned(), entry, old.remove(rest.as_bstr()));
                    at += 1;
                }
                Some(slash) => {
                    let name = rest[..slash].as_bstr();
                    let below = &path[..prefix.len() + slash + 1];
                    let before = old.remove(name).filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
                    let child = cache.and_then(|c| c.children.iter().find(|c| c.name.as_slice() == name.as_bytes()));
                    let known = child.and_then(|c| c.num_entries.map(|n| (n as usize, c.id)));
                    let end = match known {
                        Some((n, _)) if n > 0 && at + n <= range.end => at + n,
                        _ => {
                            at + self.index.entries()[at..range.end]
                                .partition_point(|e| e.path(self.index).starts_with(below))
                        }
                    };
                    if known.is_none_or(|(_, id)| Some(id) != before) {
                        let below = below.as_bstr().to_owned();
                        self.directory(below.as_ref(), before, child, at..end)?;
                    }
                    at = end;
                }
            }
        }
        for (name, (mode, id)) in old {
            let mut path = prefix.to_owned();
            path.extend_from_slice(&name);
            self.lost(path, mode, id, 0)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: BString, entry: &gix::index::Entry, old: Option<Entry>) {
        let old = old.filter(|(mode, _)| mode.is_blob_or_symlink()).map(|(_, id)| id);
        // unmerged entries are looked at by every side; an intent to add has no content yet; a submodule has none at all
        let nothing = entry.flags.contains(gix::index::entry::Flags::INTENT_TO_ADD)
            || entry.mode == gix::index::entry::Mode::COMMIT;
        if !nothing && old != Some(entry.id) {
            self.changes.push(Staged { path, new: ObjectId(entry.id), old: old.map(ObjectId).into_iter().collect() });
        }
    }

    fn lost(
        &mut self,
        path: BString,
        mode: gix::object::tree::EntryMode,
        id: gix::ObjectId,
        depth: usize,
    ) -> Result<()> {
        if mode.is_blob_or_symlink() {
            self.gone.push((path, id));
        } else if mode.is_tree() {
            if depth > 128 || self.gone.len() > 100_000 {
                return Err(Error::usage("too many deleted files to compare"));
            }
            for (name, (mode, id)) in self.tree(Some(id))? {
                let mut below = path.clone();
                below.push(b'/');
                below.extend_from_slice(&name);
                self.lost(below, mode, id, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Gives every new path what it may have been before: the same content, else whatever is gone, a bounded number of it.
    fn renamed(mut self) -> Vec<Staged> {
        for change in self.changes.iter_mut().filter(|c| c.old.is_empty()) {
            let same = self.gone.iter().find(|(_, id)| *id == change.new.0);
            change.old = match same {
                Some((_, id)) => vec![ObjectId(*id)],
                None => {
                    let name = |path: &BString| path.rsplit_str("/").next().unwrap_or_default().to_vec();
                    let (alike, rest): (Vec<_>, Vec<_>) =
                        self.gone.iter().partition(|(path, _)| name(path) == name(&change.path));
                    alike.into_iter().chain(rest).take(RENAMES).map(|(_, id)| ObjectId(*id)).collect()
                }
            };
        }
        self.changes
    }
}

/// Deleted files that a new one is compared with.
const RENAMES: usize = 32;
