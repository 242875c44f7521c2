//! What index and work tree say without a git process, for the plain case: every entry is as its file is on disk, and
//! the index is a commit's tree. `false` never means "dirty", it means that git has to look: for what is sparse, split,
//! racy, a submodule or large, and wherever one byte of the stored file times differs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gix::index::entry::{Flags, Mode, stat};
use gix::index::{File, decode, fs::Metadata};

use super::diff::Change;
use super::{Oid, Repo, follow, objects};

/// git looks at larger work trees with several threads.
const MAX_ENTRIES: usize = 20_000;
/// git looks at larger files that are racy (bytes).
const MAX_RACY: u64 = 1 << 20;

/// As strict as it gets: what passes this is unchanged under every configuration.
const STRICT: stat::Options = stat::Options { trust_ctime: true, check_stat: true, use_nsec: true, use_stdev: false };

/// The index with what is needed to compare it.
fn read(repo: &Repo) -> Option<(gix::Repository, File)> {
    let opened = objects::open(repo).ok()?;
    let path = repo.git_dir.join("index");
    let index = File::at(path, opened.object_hash(), false, decode::Options::default()).ok()?;
    let odd = Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::INTENT_TO_ADD | Flags::STAGE_MASK;
    let plain = index.link().is_none()
        && !index.is_sparse()
        && index.entries().len() <= MAX_ENTRIES
        && index.entries().iter().all(|e| !e.flags.intersects(odd) && e.mode != Mode::COMMIT && e.mode != Mode::DIR);
    plain.then_some((opened, index))
}

/// Whether the index is plainly the tree of `commit`.
fn is_tree_of(opened: &gix::Repository, index: &File, commit: &Oid) -> Option<bool> {
    let tree = opened.find_commit(commit.to_gix().ok()?).ok()?.tree_id().ok()?.detach();
    if let Some(root) = index.tree().filter(|root| root.num_entries.is_some()) {
        return Some(root.id == tree);
    }
    let other = opened.index_from_tree(&tree).ok()?;
    let same = |(a, b): (&gix::index::Entry, &gix::index::Entry)| {
        a.id == b.id && a.mode == b.mode && a.path(index) == b.path(&other)
    };
    Some(index.entries().len() == other.entries().len() && index.entries().iter().zip(other.entries()).all(same))
}

/// Whether the index is plainly the tree of `commit`.
pub fn index_is(repo: &Repo, commit: &Oid) -> bool {
    read(repo).is_some_and(|(opened, index)| is_tree_of(&opened, &index, commit) == Some(true))
}

/// Whether index and tracked files are plainly those of `commit`.
pub fn is(repo: &Repo, commit: &Oid) -> bool {
    let Some((opened, index)) = read(repo) else { return false };
    if is_tree_of(&opened, &index, commit) != Some(true) {
        return false;
    }
    let mut path = PathBuf::new();
    index.entries().iter().all(|entry| {
        let name = Path::new(OsStr::from_bytes(entry.path(&index)));
        path.clone_from(&repo.work_tree);
        path.push(name);
        let Ok(meta) = Metadata::from_path_no_follow(&path) else { return false };
        let mode = match entry.mode {
            Mode::SYMLINK => meta.is_symlink(),
            Mode::FILE => meta.is_file() && !meta.is_executable(),
            Mode::FILE_EXECUTABLE => meta.is_file() && meta.is_executable(),
            _ => false,
        };
        let Ok(now) = gix::index::entry::Stat::from_fs(&meta) else { return false };
        // written in the same tick of the clock as the index: only its content tells, as for git
        let racy = entry.stat.is_racy(index.timestamp(), STRICT);
        mode && entry.stat.matches(&now, STRICT) && (!racy || holds(repo, name, &entry.id))
    })
}

/// Whether the file or link at `path` holds exactly the blob `id`.
fn holds(repo: &Repo, path: &Path, id: &gix::oid) -> bool {
    let hash = |bytes: Vec<u8>| gix::objs::compute_hash(id.kind(), gix::object::Kind::Blob, &bytes).ok();
    follow::plain(&repo.work_tree, path, MAX_RACY).and_then(hash).is_some_and(|found| found == id)
}

/// Whether `changes` can plainly be checked out where [`is`] holds for their old side: nothing stands where they add a
/// file, and no directory and file change places.
pub fn has_room(repo: &Repo, changes: &[Change]) -> bool {
    let mut known = HashSet::new();
    changes.iter().filter(|change| change.new.is_some()).all(|change| {
        let path = Path::new(OsStr::from_bytes(&change.path));
        let free = |path: &Path| {
            let found = repo.work_tree.join(path).symlink_metadata();
            found.is_err_and(|err| err.kind() == std::io::ErrorKind::NotFound)
        };
        let real_dir = |dir: &Path| {
            let found = repo.work_tree.join(dir).symlink_metadata();
            found.is_ok_and(|meta| meta.is_dir())
        };
        let mut dirs = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        let plain = dirs.all(|dir| {
            known.contains(dir) || {
                let plain = free(dir) || real_dir(dir);
                if plain {
                    known.insert(dir.to_owned());
                }
                plain
            }
        });
        let side = |side: &Option<super::diff::Side>| side.as_ref().is_some_and(|side| side.mode == "160000");
        plain && !side(&change.old) && !side(&change.new) && (change.old.is_some() || free(path))
    })
}
