//! Three-way merge of trees in memory, for one pick of a rebase.
//!
//! Says "clean" only where `git merge-ort` would say so too with the same tree: renames are not looked
//! for, so everything in which a rename could play a part (both sides deleted a path, one side added
//! below a directory that the other removed) is [`Merged::Unclear`] and git decides. No merge driver runs: a file
//! for which the target's attributes could choose how it is merged is unclear as well.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::diff::blob::{Algorithm, Diff, InternedInput};
use gix::merge::plumbing::blob::builtin_driver::text;
use gix::objs::tree::{Entry, EntryKind, EntryMode};
use gix::objs::{Tree, TreeRefIter};

use crate::error::{Context as _, Result};

use super::attributes::Attributes;

/// Larger files are merged by git under a time limit (bytes): a crafted one keeps a diff busy for minutes.
const MAX_TEXT: usize = 512 << 10;

/// Changes of the two sides this near to each other (in lines) are left to git.
const NEAR: u32 = 8;
/// Trees nested deeper than this are git's business.
const MAX_DEPTH: usize = 256;

/// What a merge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// The tree, written through the repository's object writer.
    Clean(ObjectId),
    /// A conflict, or a case that only git decides.
    Unclear,
}

/// Merges trees of one repository.
pub struct Merger<'a> {
    repo: &'a gix::Repository,
    attributes: &'a Attributes,
}

type Side = Option<(EntryMode, ObjectId)>;

/// A path that ends a merge early.
enum Stop {
    Unclear,
    Failed(crate::Error),
}

impl From<crate::Error> for Stop {
    fn from(err: crate::Error) -> Self {
        Stop::Failed(err)
    }
}

impl<'a> Merger<'a> {
    /// Over `repo`, whose object memory takes the results where it is on.
    pub fn new(repo: &'a gix::Repository, attributes: &'a Attributes) -> Self {
        Merger { repo, attributes }
    }

    /// The tree that results from applying `base → theirs` to `ours`; `base` is `None` for a root commit.
    pub fn merge(&self, base: Option<ObjectId>, ours: ObjectId, theirs: ObjectId) -> Result<Merged> {
        if Some(ours) == base || ours == theirs {
            return Ok(Merged::Clean(theirs));
        }
        if Some(theirs) == base {
            return Ok(Merged::Clean(ours));
        }
        match self.trees([base, Some(ours), Some(theirs)], b"", 0) {
            Ok(Some(tree)) => Ok(Merged::Clean(tree)),
            Ok(None) => {
                Ok(Merged::Clean(self.repo.write_object(Tree::empty()).or_bug("cannot write the empty tree")?.detach()))
            }
            Err(Stop::Unclear) => Ok(Merged::Unclear),
            Err(Stop::Failed(err)) => Err(err),
        }
    }

    /// Merges directories; a missing one counts as empty. `None` is the empty result.
    fn trees(&self, ids: [Option<ObjectId>; 3], dir: &[u8], depth: usize) -> Result<Option<ObjectId>, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Unclear);
        }
        let [base, ours, theirs] = ids;
        let mut names: BTreeMap<Vec<u8>, [Side; 3]> = BTreeMap::new();
        for (side, id) in ids.iter().enumerate() {
            let Some(id) = id else { continue };
            let object = self.repo.find_object(*id).or_bug("cannot read a tree")?;
            for entry in TreeRefIter::from_bytes(&object.data, self.repo.object_hash()) {
                let entry = entry.or_bug("a tree is damaged")?;
                names.entry(entry.filename.to_vec()).or_default()[side] = Some((entry.mode, entry.oid.to_owned()));
            }
        }
        let mut entries = Vec::with_capacity(names.len());
        for (name, sides) in names {
            let [was, our, their] = sides;
            // one side removed the whole directory, the other adds to it: git may see a renamed directory
            let added_to_removed = was.is_none()
                && base.is_some()
                && ((ours.is_none() && their.is_some()) || (theirs.is_none() && our.is_some()));
            // both removed it: it may have been renamed to two names, or renamed and deleted
            let both_removed = was.is_some() && our.is_none() && their.is_none();
            if added_to_removed || both_removed {
                return Err(Stop::Unclear);
            }
            let path = if dir.is_empty() { name.clone() } else { [dir, b"/", &name].concat() };
            if let Some((mode, oid)) = self.entry(&path, sides, depth)? {
                entries.push(Entry { mode, filename: name.into(), oid });
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        entries.sort();
        Ok(Some(self.repo.write_object(Tree { entries }).or_bug("cannot write a tree")?.detach()))
    }

    fn entry(&self, path: &[u8], [was, our, their]: [Side; 3], depth: usize) -> Result<Side, Stop> {
        let tree = |side: Side| side.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
        let maybe_tree = |side: Side| side.is_none_or(|(mode, _)| mode.is_tree());
        if our == their {
            // the same on both sides; looked into only for paths that both removed
            if was != our && tree(was).is_some() && tree(our).is_some() {
                self.trees([tree(was), tree(our), tree(their)], path, depth + 1)?;
            }
            return Ok(our);
        }
        if was == our {
            return Ok(their);
        }
        if was == their {
            return Ok(our);
        }
        if maybe_tree(was) && maybe_tree(our) && maybe_tree(their) {
            let merged = self.trees([tree(was), tree(our), tree(their)], path, depth + 1)?;
            return Ok(merged.map(|id| (EntryKind::Tree.into(), id)));
        }
        let (Some(was), Some(our), Some(their)) = (was, our, their) else { return Err(Stop::Unclear) };
        if [was, our, their].iter().any(|(mode, _)| !mode.is_blob()) || path.ends_with(b".gitattributes") {
            return Err(Stop::Unclear);
        }
        let mode = pick(was.0, our.0, their.0).ok_or(Stop::Unclear)?;
        let blob = match pick(was.1, our.1, their.1) {
            Some(id) => id,
            None if self.attributes.may_name(self.repo, path)? => return Err(Stop::Unclear),
            None => self.text(was.1, our.1, their.1)?,
        };
        Ok(Some((mode, blob)))
    }

    fn text(&self, was: ObjectId, our: ObjectId, their: ObjectId) -> Result<ObjectId, Stop> {
        let read = |id: ObjectId| -> Result<Vec<u8>, Stop> {
            let header = self.repo.find_header(id).or_bug("cannot read a blob")?;
            if header.size() > MAX_TEXT as u64 {
                return Err(Stop::Unclear);
            }
            let bytes = self.repo.find_object(id).or_bug("cannot read a blob")?.detach().data;
            if super::diff::is_binary(&bytes) { Err(Stop::Unclear) } else { Ok(bytes) }
        };
        let (was, our, their) = (read(was)?, read(our)?, read(their)?);
        if !apart(&was, &our, &their) {
            return Err(Stop::Unclear);
        }
        let mut out = Vec::new();
        let mut input = InternedInput::new(&[][..], &[][..]);
        let options = text::Options { diff_algorithm: Algorithm::Histogram, ..text::Options::default() };
        let resolution = gix::merge::plumbing::blob::builtin_driver::text(
            &mut out,
            &mut input,
            text::Labels::default(),
            &our,
            &was,
            &their,
            options,
        );
        if resolution != gix::merge::plumbing::blob::Resolution::Complete {
            return Err(Stop::Unclear);
        }
        Ok(self.repo.write_blob(&out).or_bug("cannot write a blob")?.detach())
    }
}

/// Whether the two sides change places that are at least [`NEAR`] lines apart. Nearer ones are git's to merge: among lines
/// that repeat, such as those of a lock file, git may see a change a few lines further up or down than we do, and then
/// finds a conflict where there is none for us (found in a real history).
fn apart(was: &[u8], our: &[u8], their: &[u8]) -> bool {
    let changed = |side: &[u8]| -> Vec<std::ops::Range<u32>> {
        let input = InternedInput::new(was, side);
        Diff::compute(Algorithm::Histogram, &input).hunks().map(|hunk| hunk.before).collect()
    };
    let (ours, theirs) = (changed(our), changed(their));
    let mut theirs = theirs.iter().peekable();
    for hunk in &ours {
        // those that end well before this one are before all that follow, too
        while theirs.next_if(|other| other.end + NEAR <= hunk.start).is_some() {}
        if theirs.peek().is_some_and(|other| other.start < hunk.end + NEAR) {
            return false;
        }
    }
    true
}

/// The three-way rule for one value: what only one side changed wins; `None` where both did.
fn pick<T: PartialEq>(was: T, our: T, their: T) -> Option<T> {
    if our == their || was == their { Some(our) } else { (was == our).then_some(their) }
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn what_is_near_is_left_to_git() {
        let lines = |change: &[usize]| -> Vec<u8> {
            (0..60).flat_map(|n| format!("{n}{}\n", if change.contains(&n) { "!" } else { "" }).into_bytes()).collect()
        };
        let was = lines(&[]);
        assert!(apart(&was, &lines(&[5, 50]), &lines(&[20, 35])));
        assert!(apart(&was, &lines(&[]), &lines(&[1])));
        for (our, their) in [(10, 10), (10, 11), (10, 17), (30, 24)] {
            assert!(!apart(&was, &lines(&[our]), &lines(&[their])), "{our} {their}");
        }
        assert!(!apart(&was, &lines(&[5, 40]), &lines(&[20, 43])));
    }
}
