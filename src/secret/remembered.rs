//! What the host saw hidden last. A box can write the work tree, so it could empty a `.coopignore`, rename the
//! parent of a hidden file or remove a link to it; what was hidden once stays hidden until the user says
//! otherwise (`git coop config --forget-shadows`).
//!
//! One memory per repository is right: paths are relative to the work tree, so that a fork hides what the
//! live checkout hid. The store is JSON; bytes of paths that are not printable text are written as `%XX`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error, Kind, Result};

/// A file or directory as the disk knows it, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Inode number.
    pub ino: u64,
    /// Device number. It may change from boot to boot, so it only counts where there is no birth time.
    pub dev: u64,
    /// Birth time in nanoseconds since the epoch, where the file system has one: an inode number is
    /// given away again when a file is deleted, this is not.
    pub born: Option<u64>,
}

impl Identity {
    /// The identity in the result of a `stat`.
    pub fn of(meta: &Metadata) -> Self {
        let born = meta.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Identity { ino: meta.ino(), dev: meta.dev(), born: born.and_then(|d| u64::try_from(d.as_nanos()).ok()) }
    }
    /// Whether both are the same file.
    pub fn is(&self, other: &Identity) -> bool {
        match (self.born, other.born) {
            (Some(a), Some(b)) => self.ino == other.ino && a == b,
            _ => self.ino == other.ino && self.dev == other.dev,
        }
    }
}

/// The memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Directory of a `.coopignore` (relative, empty for the root) to its lines and their numbers.
    pub(super) ignores: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, usize>>,
    /// Paths that were hidden for another reason than their name.
    pub(super) paths: BTreeSet<Vec<u8>>,
    /// What stood there.
    pub(super) ids: BTreeSet<Identity>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    ignores: BTreeMap<String, BTreeMap<String, usize>>,
    paths: Vec<String>,
    ids: Vec<Identity>,
}

impl Remembered {
    /// Reads what [`Remembered::to_bytes`] wrote. Empty bytes are an empty memory; anything else that is not
    /// whole is an error (exit 2), because starting without it would show what was hidden.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Remembered::default());
        }
        let broken = "the memory of hidden paths is damaged";
        let hint = "check .coopignore, then: git coop config --forget-shadows";
        let stored: Stored = serde_json::from_slice(bytes).context(Kind::Usage, broken).map_err(|e| e.hint(hint))?;
        if stored.version != 1 {
            return Err(Error::usage(format!("the memory of hidden paths has version {}", stored.version))
                .hint("update git-coop"));
        }
        let lines = |lines: BTreeMap<String, usize>| lines.into_iter().map(|(l, n)| (decoded(&l), n)).collect();
        Ok(Remembered {
            ignores: stored.ignores.into_iter().map(|(dir, l)| (decoded(&dir), lines(l))).collect(),
            paths: stored.paths.iter().map(|p| decoded(p)).collect(),
            ids: stored.ids.into_iter().collect(),
        })
    }

    /// The memory as JSON with a final newline; equal memories give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lines = |lines: &BTreeMap<Vec<u8>, usize>| lines.iter().map(|(l, n)| (encoded(l), *n)).collect();
        let stored = Stored {
            version: 1,
            ignores: self.ignores.iter().map(|(dir, l)| (encoded(dir), lines(l))).collect(),
            paths: self.paths.iter().map(|p| encoded(p)).collect(),
            ids: self.ids.iter().copied().collect(),
        };
        let mut out = serde_json::to_vec_pretty(&stored).expect("strings and numbers always serialise");
        out.push(b'\n');
        out
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.ignores.is_empty() && self.paths.is_empty() && self.ids.is_empty()
    }

    /// Adds everything that `other` knows: two runs at once both count.
    pub fn merge(&mut self, other: &Remembered) {
        for (dir, lines) in &other.ignores {
            let mine = self.ignores.entry(dir.clone()).or_default();
            mine.extend(lines.iter().map(|(line, number)| (line.clone(), *number)));
        }
        self.paths.extend(other.paths.iter().cloned());
        self.ids.extend(other.ids.iter().copied());
    }
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                let mut buf = [0; 4];
                c.encode_utf8(&mut buf).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("%{b:02X}")));
    }
    out
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_survive(path in proptest::collection::vec(any::<u8>(), 0..40), line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let memory = Remembered {
                ignores: [(path.clone(), [(line, 7)].into())].into(),
                paths: [path].into(),
                ids: [Identity { ino: 1, dev: 2, born: None }].into(),
            };
            let bytes = memory.to_bytes();
            prop_assert!(bytes.is_ascii() || std::str::from_utf8(&bytes).is_ok());
            prop_assert_eq!(Remembered::from_bytes(&bytes).expect("reads back"), memory);
        }
        #[test]
        fn damage_is_an_error_and_never_an_empty_memory(cut in 1usize..60) {
            let memory = Remembered { paths: [b"config/x".to_vec()].into(), ..Remembered::default() };
            let bytes = memory.to_bytes();
            let cut = cut.min(bytes.len() - 2);
            prop_assert!(Remembered::from_bytes(&bytes[..bytes.len() - 1 - cut]).is_err());
        }
    }

    #[test]
    fn merging_keeps_both_and_a_birth_time_settles_identity() {
        let mut memory = Remembered { paths: [b"a/b".to_vec()].into(), ..Remembered::default() };
        let other = Remembered { paths: [b"c".to_vec()].into(), ..Remembered::default() };
        memory.merge(&other);
        assert_eq!(memory.paths.len(), 2);
        let young = Identity { ino: 5, dev: 1, born: Some(2) };
        assert!(young.is(&Identity { dev: 9, ..young }) && !young.is(&Identity { born: Some(3), ..young }));
        assert!(!young.is(&Identity { born: None, dev: 9, ..young }));
    }
}
