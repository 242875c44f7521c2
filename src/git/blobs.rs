//! Blobs by id, from several threads.

use std::fmt;
use std::sync::Mutex;

use crate::error::{Context as _, Error, Result};

use super::{Repo, objects};

/// The id of an object as the object database knows it: either hash, small, comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) gix::ObjectId);

impl ObjectId {
    /// The raw hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
    /// From the raw hash; `None` for any length that no hash has.
    pub fn from_bytes(bytes: &[u8]) -> Option<ObjectId> {
        gix::ObjectId::try_from(bytes).ok().map(ObjectId)
    }
    /// From hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<ObjectId> {
        gix::ObjectId::from_hex(hex.as_bytes()).ok().map(ObjectId)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A pool of handles on one object database.
#[derive(Debug)]
pub struct Blobs {
    shared: gix::ThreadSafeRepository,
    idle: Mutex<Vec<gix::Repository>>,
}

impl Blobs {
    /// Opens `repo` for objects.
    pub fn open(repo: &Repo) -> Result<Blobs> {
        let opened = objects::open(repo)?;
        Ok(Blobs { shared: opened.into_sync(), idle: Mutex::new(Vec::new()) })
    }

    /// A handle for this thread, back in the pool when `f` is done.
    pub(super) fn with<T>(&self, f: impl FnOnce(&gix::Repository) -> T) -> T {
        let handle = self.idle.lock().ok().and_then(|mut idle| idle.pop()).unwrap_or_else(|| {
            let mut handle = self.shared.to_thread_local();
            handle.object_cache_size(8 << 20);
            handle
        });
        let out = f(&handle);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(handle);
        }
        out
    }

    /// Puts the content of blob `id` into `buffer`. Errors: the object is missing, broken or no blob.
    pub fn read(&self, id: ObjectId, buffer: &mut Vec<u8>) -> Result<()> {
        self.with(|handle| {
            let object = handle.find_object(id.0).or_bug(format!("object {id} cannot be read"))?;
            if object.kind != gix::object::Kind::Blob {
                return Err(Error::bug(format!("object {id} is not a blob")));
            }
            buffer.clear();
            buffer.extend_from_slice(&object.data);
            Ok(())
        })
    }
}
