//! Brings objects from memory to disk: a few as loose files, many as one pack that git itself checks and
//! indexes. Writing thousands of loose files is what makes a rebase slow.

use gix::objs::Kind;
use gix::odb::memory::Storage;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::{Git, Repo, objects};

/// Up to this many objects are written as loose files.
const LOOSE: usize = 40;

/// Brings what `opened` holds in memory into the user's object store.
pub fn take(repo: &Repo, env: &Env, mut opened: gix::Repository) -> Result<()> {
    match opened.objects.take_object_memory() {
        Some(memory) => persist(repo, env, &memory),
        None => Ok(()),
    }
}

/// Writes `objects` into the user's object store.
pub fn persist(repo: &Repo, env: &Env, objects: &Storage) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    if objects.len() <= LOOSE {
        let opened = objects::open(repo)?;
        for (kind, data) in objects.values() {
            gix::objs::Write::write_buf(&opened.objects, *kind, data).or_bug("cannot write an object")?;
        }
        return Ok(());
    }
    let kind = objects.keys().next().map(|id| id.kind()).ok_or_else(|| Error::bug("no object"))?;
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    let count = u32::try_from(objects.len()).or_bug("too many objects for one pack")?;
    pack.extend_from_slice(&count.to_be_bytes());
    for (kind, data) in objects.values() {
        header(&mut pack, *kind, data.len());
        stored(&mut pack, data);
    }
    let mut hasher = gix::hash::hasher(kind);
    hasher.update(&pack);
    let sum = hasher.try_finalize().or_bug("cannot hash a pack")?;
    pack.extend_from_slice(sum.as_slice());
    Git::isolated(repo, env).args(["index-pack", "--stdin"]).input(pack).read()?;
    Ok(())
}

/// Type and size, seven bits at a time (`gitformat-pack(5)`).
fn header(pack: &mut Vec<u8>, kind: Kind, size: usize) {
    let kind = match kind {
        Kind::Commit => 1u8,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut byte = (kind << 4) | (size & 15) as u8;
    let mut rest = size >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    pack.push(byte);
}

/// A zlib stream of stored blocks (RFC 1950 and 1951): `git gc` compresses it for good later.
fn stored(pack: &mut Vec<u8>, data: &[u8]) {
    pack.extend_from_slice(&[0x78, 0x01]);
    let blocks = data.len().div_ceil(0xffff).max(1);
    for at in 0..blocks {
        let block = &data[at * 0xffff..data.len().min((at + 1) * 0xffff)];
        let len = block.len() as u16;
        pack.push(u8::from(at + 1 == blocks));
        pack.extend_from_slice(&len.to_le_bytes());
        pack.extend_from_slice(&(!len).to_le_bytes());
        pack.extend_from_slice(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for chunk in data.chunks(5_000) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    pack.extend_from_slice(&((b << 16) | a).to_be_bytes());
}
