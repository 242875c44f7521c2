//! All objects of a repository, each once, in the order that is cheapest to decode.
//!
//! Packs are walked along their delta chains, so that every base is decoded once and is at hand for what builds on it:
//! this is what makes a scan of all history cheaper than `git cat-file --batch-all-objects`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use gix::odb::pack;

use crate::env::Env;
use crate::error::{Context as _, Kind, Result};

use super::blobs::{Blobs, ObjectId};
use super::{Git, Repo, objects};

/// Where the objects are: found once, before anything is decoded.
#[derive(Debug)]
pub struct Store {
    packs: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    hash: gix::hash::Kind,
}

/// What a visit could not do.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Objects that are there and cannot be decoded, with the reason.
    pub broken: Vec<String>,
    /// Whether something that was decoded names an object that is not there.
    pub dangling: bool,
}

/// More than this share of new objects in a pack, and walking the pack is cheaper than asking for each.
const WALK_SHARE: usize = 20;

impl Store {
    /// Lists packs and object directories, alternates included. Errors: exit 2.
    pub fn of(repo: &Repo) -> Result<Store> {
        let opened = objects::open(repo)?;
        let store = opened.objects.store_ref();
        let mut directories = vec![store.path().to_owned()];
        directories.extend(store.alternate_db_paths().context(Kind::Usage, "cannot read the alternates")?);
        let mut packs = Vec::new();
        for dir in &directories {
            let Ok(entries) = std::fs::read_dir(dir.join("pack")) else { continue };
            packs.extend(
                entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "idx")),
            );
        }
        packs.sort();
        Ok(Store { packs, directories, hash: opened.object_hash() })
    }

    /// Calls `blob` (from several threads) for every blob that `known` does not hold, and adds every object that was
    /// seen to `present`. `known` is sorted.
    pub fn visit(
        &self,
        blobs: &Blobs,
        known: &[ObjectId],
        present: &mut Vec<ObjectId>,
        stop: &AtomicBool,
        threads: usize,
        blob: &(impl Fn(ObjectId, &[u8]) + Sync),
    ) -> Result<Gaps> {
        let mut gaps = Gaps::default();
        let named = Mutex::new(HashSet::new());
        for path in &self.packs {
            let index = pack::index::File::at(path, self.hash)
                .context(Kind::Usage, format!("cannot read '{}'", path.display()))?;
            let all: Vec<ObjectId> =
                (0..index.num_objects()).map(|at| ObjectId(index.oid_at_index(at).to_owned())).collect();
            let new: Vec<ObjectId> = all.iter().filter(|id| known.binary_search(id).is_err()).copied().collect();
            present.extend(&all);
            if new.is_empty() {
                continue;
            }
            let walked = new.len() * WALK_SHARE > all.len()
                && self.walk(&index, path, known, &named, stop, threads, blob).is_ok();
            if !walked {
                one_by_one(blobs, &new, &named, &mut gaps, blob);
            }
        }
        for dir in &self.directories {
            let loose = gix::odb::loose::Store::at(dir, self.hash);
            let new: Vec<ObjectId> = loose.iter().filter_map(|id| id.ok().map(ObjectId)).collect();
            present.extend(&new);
            let new: Vec<ObjectId> = new.into_iter().filter(|id| known.binary_search(id).is_err()).collect();
            one_by_one(blobs, &new, &named, &mut gaps, blob);
        }
        present.sort_unstable();
        present.dedup();
        let named = named.into_inner().unwrap_or_default();
        gaps.dangling = named.iter().any(|id| present.binary_search(&ObjectId(*id)).is_err());
        Ok(gaps)
    }

    #[allow(clippy::too_many_arguments)] // one caller
    fn walk(
        &self,
        index: &pack::index::File,
        path: &std::path::Path,
        known: &[ObjectId],
        named: &Mutex<HashSet<gix::ObjectId>>,
        stop: &AtomicBool,
        threads: usize,
        blob: &(impl Fn(ObjectId, &[u8]) + Sync),
    ) -> Result<()> {
        let data = pack::data::File::at(path.with_extension("pack"), self.hash).or_bug("cannot open a pack")?;
        let seen = Seen { shared: named, own: HashSet::new() };
        let mut seen = seen;
        let options = pack::index::traverse::with_index::Options {
            thread_limit: Some(threads),
            check: pack::index::traverse::SafetyCheck::SkipFileAndObjectChecksumVerification,
            alloc_limit_bytes: None,
        };
        let each = move |kind: gix::objs::Kind,
                         bytes: &[u8],
                         entry: &pack::index::Entry,
                         _: &dyn gix::Progress|
              -> gix::Result<()> {
            if kind == gix::objs::Kind::Blob {
                let id = ObjectId(entry.oid);
                if known.binary_search(&id).is_err() {
                    blob(id, bytes);
                }
            } else if kind == gix::objs::Kind::Tree {
                seen.tree(bytes, entry.oid.kind());
            }
            Ok(())
        };
        index
            .traverse_with_index(&data, each, &mut gix::progress::Discard, stop, options)
            .map(|_| ())
            .or_bug("a pack is broken")
    }
}

/// Reads what is new in few: each object by its id.
fn one_by_one(
    blobs: &Blobs,
    ids: &[ObjectId],
    named: &Mutex<HashSet<gix::ObjectId>>,
    gaps: &mut Gaps,
    blob: &impl Fn(ObjectId, &[u8]),
) {
    let mut seen = Seen { shared: named, own: HashSet::new() };
    blobs.with(|handle| {
        for id in ids {
            match handle.find_object(id.0) {
                Ok(object) if object.kind == gix::object::Kind::Blob => blob(*id, &object.data),
                Ok(object) if object.kind == gix::object::Kind::Tree => seen.tree(&object.data, id.0.kind()),
                Ok(_) => {}
                Err(_) => gaps.broken.push(format!("object {id} cannot be read")),
            }
        }
    });
}

/// The objects that trees name; each thread has its own set, joined when it is done.
struct Seen<'a> {
    shared: &'a Mutex<HashSet<gix::ObjectId>>,
    own: HashSet<gix::ObjectId>,
}

impl Seen<'_> {
    fn tree(&mut self, bytes: &[u8], hash: gix::hash::Kind) {
        for entry in gix::objs::TreeRefIter::from_bytes(bytes, hash).flatten() {
            if !entry.mode.is_commit() {
                self.own.insert(entry.oid.to_owned());
            }
        }
    }
}

impl Clone for Seen<'_> {
    fn clone(&self) -> Self {
        Seen { shared: self.shared, own: HashSet::new() }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.extend(self.own.drain());
        }
    }
}

/// Objects that a ref reaches and that are not there, as git sees it.
pub fn missing(repo: &Repo, env: &Env) -> Result<Vec<String>> {
    let output = Git::new(repo, env).args(["rev-list", "--objects", "--all", "--missing=print"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut out: Vec<String> =
        text.lines().filter_map(|l| l.strip_prefix('?')).map(|id| format!("object {id} is missing")).collect();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        out.push(why.lines().next().unwrap_or("git cannot walk the history").to_owned());
    }
    Ok(out)
}

/// What every ref points at: the same text means the same history.
pub fn tips(repo: &Repo, env: &Env) -> Result<Vec<u8>> {
    Git::new(repo, env).args(["for-each-ref", "--format=%(objectname)"]).read()
}
