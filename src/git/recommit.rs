//! Writes a commit again with another tree, parents and committer, every other byte as it was.

use gix::ObjectId;

use crate::error::{Error, Result};

/// Headers that speak about the old commit alone: a signature over it, and the tags it merged.
const DROPPED: &[&[u8]] = &[b"gpgsig", b"gpgsig-sha256", b"mergetag"];

/// The bytes of a commit object, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The value of `tree`.
    pub tree: &'a [u8],
    /// The values of `parent`.
    pub parents: Vec<&'a [u8]>,
    /// `Name <email> seconds zone` of the author, as written.
    pub author: &'a [u8],
    /// All other headers but the committer, each with its continuation lines and final newline.
    pub extra: Vec<&'a [u8]>,
    /// Everything after the empty line.
    pub message: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes the bytes of a commit apart. Errors: kind Bug where they are not a commit's.
    pub fn of(bytes: &'a [u8]) -> Result<Parts<'a>> {
        let damaged = || Error::bug("a commit object is damaged");
        let mut parts = Parts { tree: b"", parents: Vec::new(), author: b"", extra: Vec::new(), message: b"" };
        let mut at = 0;
        loop {
            let line_end = end_of_line(bytes, at).ok_or_else(damaged)?;
            if line_end == at {
                parts.message = &bytes[at + 1..];
                break;
            }
            let mut end = line_end;
            while bytes.get(end + 1) == Some(&b' ') {
                end = end_of_line(bytes, end + 1).ok_or_else(damaged)?;
            }
            let line = &bytes[at..line_end];
            let space = line.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
            let value = &line[space + 1..];
            match &line[..space] {
                b"tree" => parts.tree = value,
                b"parent" => parts.parents.push(value),
                b"author" => parts.author = value,
                b"committer" => {}
                key if DROPPED.contains(&key) => {}
                _ => parts.extra.push(&bytes[at..=end]),
            }
            at = end + 1;
        }
        if parts.tree.is_empty() || parts.author.is_empty() {
            return Err(damaged());
        }
        Ok(parts)
    }

    /// The commit again, on other parents.
    pub fn with(&self, tree: ObjectId, parents: &[ObjectId], committer: &str) -> Vec<u8> {
        let mut out = format!("tree {tree}\n").into_bytes();
        for parent in parents {
            out.extend_from_slice(format!("parent {parent}\n").as_bytes());
        }
        out.extend_from_slice(b"author ");
        out.extend_from_slice(self.author);
        out.extend_from_slice(format!("\ncommitter {committer}\n").as_bytes());
        for line in &self.extra {
            out.extend_from_slice(line);
        }
        out.push(b'\n');
        out.extend_from_slice(self.message);
        out
    }

    /// The value of one header, such as `encoding`.
    pub fn header(&self, key: &str) -> Option<&'a [u8]> {
        let line = self.extra.iter().find(|l| l.starts_with(key.as_bytes()) && l.get(key.len()) == Some(&b' '))?;
        Some(line[key.len() + 1..].trim_ascii_end())
    }
}

fn end_of_line(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b'\n', bytes.get(from..)?).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_byte_that_is_not_about_the_place() {
        let old = b"tree 1111111111111111111111111111111111111111\nparent 2222222222222222222222222222222222222222\n\
            author J\xf6rg <j@x> 1 +0200\ncommitter a <b> 2 +0000\ngpgsig -----BEGIN\n more\n \n end\nencoding latin1\n\
            change-id abc\n\nsubject \xe4\n\nTrailer: x\n\n\n";
        let parts = Parts::of(old).expect("a commit");
        assert_eq!(parts.header("encoding"), Some(&b"latin1"[..]));
        let new = parts.with(ObjectId::null(gix::hash::Kind::Sha1), &[], "me <m@x> 3 +0000");
        let expected = b"tree 0000000000000000000000000000000000000000\nauthor J\xf6rg <j@x> 1 +0200\n\
            committer me <m@x> 3 +0000\nencoding latin1\nchange-id abc\n\nsubject \xe4\n\nTrailer: x\n\n\n";
        assert_eq!(new, expected);
        assert!(Parts::of(b"tree 1").is_err());
        assert!(Parts::of(b"author x\n\nno tree").is_err());
    }
}
