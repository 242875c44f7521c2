//! Remembers which objects were found clean, so that the next scan of the history costs only what is new.
//!
//! A file under the git directory, keyed by the hash of the rule set: raw object ids and where the others stand. It is a cache:
//! whatever is wrong with it, it is ignored and written anew.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::git::Repo;
use crate::git::blobs::ObjectId;
use crate::secret::scan::Scanner;

const MAGIC: &[u8; 8] = b"coopscn1";

/// Where a blob that has findings was introduced; `None`: no ref reaches it.
pub type Places = BTreeMap<String, Option<(Vec<u8>, String)>>;

/// What is remembered.
#[derive(Debug, Default)]
pub struct Cache {
    /// Sorted: every object that needs no second look.
    pub clean: Vec<ObjectId>,
    /// What the refs pointed at.
    pub tips: Vec<u8>,
    /// For the blobs with findings, valid for `tips`.
    pub places: Places,
}

#[derive(Serialize, Deserialize)]
struct Tail {
    tips: Vec<u8>,
    places: Places,
}

/// The file of `repo` for the rules and the least confidence of `scanner`.
pub fn file(repo: &Repo, scanner: &Scanner) -> PathBuf {
    repo.coop_dir().join(format!("scan-{:016x}-{}", scanner.rules().hash(), scanner.least().word()))
}

/// Reads the cache; an empty one if it is not there or not whole.
pub fn load(path: &Path) -> Cache {
    fs::read(path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default()
}

/// Layout: magic, CRC-32 of the rest, length of an id, number of ids, ids, JSON.
fn parse(bytes: &[u8]) -> Option<Cache> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (width, rest) = rest.split_first()?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let size = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(usize::from(*width))?;
    let (ids, tail) = rest.split_at_checked(size)?;
    let clean: Option<Vec<ObjectId>> = ids.chunks_exact(usize::from(*width).max(1)).map(ObjectId::from_bytes).collect();
    let clean = clean.filter(|ids| ids.is_sorted())?;
    let Tail { tips, places } = serde_json::from_slice(tail).ok()?;
    Some(Cache { clean, tips, places })
}

/// Writes it in one step. A cache that cannot be written is no error: the next scan takes longer.
pub fn save(path: &Path, cache: &Cache) {
    let _ = write(path, cache);
}

fn write(path: &Path, cache: &Cache) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let width = cache.clean.first().map_or(20, |id| id.as_bytes().len());
    let mut rest = vec![width as u8];
    rest.extend((cache.clean.len() as u64).to_le_bytes());
    cache.clean.iter().for_each(|id| rest.extend(id.as_bytes()));
    rest.extend(serde_json::to_vec(&Tail { tips: cache.tips.clone(), places: cache.places.clone() })?);
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(&rest).to_le_bytes())?;
    file.write_all(&rest)?;
    file.persist(path).map(|_| ()).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_ignores_damage() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("sub/cache");
        let ids: Vec<ObjectId> = (0..3).filter_map(|n| ObjectId::from_bytes(&[n; 20])).collect();
        let places =
            Places::from([("aa".to_owned(), Some((b"p\xff".to_vec(), "c".to_owned()))), ("bb".to_owned(), None)]);
        save(&path, &Cache { clean: ids.clone(), tips: b"t".to_vec(), places });
        let back = load(&path);
        assert_eq!((back.clean, back.places.len(), back.tips), (ids, 2, b"t".to_vec()));
        let whole = fs::read(&path).expect("written");
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x41;
            assert!(parse(&broken).is_none(), "byte {at}");
            assert!(parse(&whole[..at]).is_none());
        }
    }
}
