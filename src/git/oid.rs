//! Object ids as git prints them. Opaque: 40 or 64 hex digits, never a fixed-size array.

use std::fmt;

use crate::error::{Error, Result};

/// A full object id in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(String);

impl Oid {
    /// Checks the form (40 or 64 lower-case hex digits). Errors: kind Bug, because only git prints these.
    pub fn parse(text: &str) -> Result<Oid> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && matches!(text.len(), 40 | 64) {
            Ok(Oid(text.to_owned()))
        } else {
            Err(Error::bug(format!("'{text}' is not an object id")))
        }
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
    /// For gix. Errors: kind Bug.
    pub fn to_gix(&self) -> Result<gix::ObjectId> {
        gix::ObjectId::from_hex(self.0.as_bytes()).map_err(|e| Error::bug("object id does not parse").because(e))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<gix::ObjectId> for Oid {
    fn from(id: gix::ObjectId) -> Self {
        Oid(id.to_string())
    }
}
