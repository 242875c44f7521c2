//! What a scan reports. A finding never holds the secret: only where it is, a redacted form and a keyed hash.

use std::fmt;

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::mac;

/// How sure a rule is. Ordered: `Low` is only reported on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Probably a fixture, a placeholder or an identifier.
    Low,
    /// Looks like a secret from its shape and its name.
    Medium,
    /// Has a provider's format.
    High,
    /// Has a provider's format and passed its offline check.
    Certain,
}

impl Confidence {
    /// One step up.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Confidence::Low => Confidence::Medium,
            Confidence::Medium => Confidence::High,
            _ => Confidence::Certain,
        }
    }
    /// One step down, but never out of sight: a failed check lowers, it does not hide.
    #[must_use]
    pub fn lowered(self) -> Self {
        match self {
            Confidence::Certain => Confidence::High,
            Confidence::High => Confidence::Medium,
            Confidence::Medium | Confidence::Low => Confidence::Low,
        }
    }
    /// The word that reports print.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
            Confidence::Certain => "certain",
        }
    }
}

/// The key of fingerprints: a baseline carries its own, so that a fingerprint says nothing about a secret
/// to somebody who has only another repository's baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl Default for Key {
    /// The key where no baseline is given: the same everywhere, so that reports of two runs can be compared.
    fn default() -> Self {
        Key(*b"coop-scan-key-v1")
    }
}

/// Keyed hash of rule and value: the same for the same secret wherever it moves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// The fingerprint of `value`. The rule is not part of it, so a rule that is renamed or refined
    /// does not bring an accepted finding back.
    pub fn of(key: &Key, value: &[u8]) -> Self {
        Fingerprint(mac::keyed(&key.0, value))
    }
    /// Parses 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut out = [0; 16];
        if text.len() != 32 {
            return None;
        }
        for (at, pair) in text.as_bytes().chunks(2).enumerate() {
            let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
            out[at] = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Fingerprint(out))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One secret at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Identifier of the rule.
    pub rule: String,
    /// What the secret opens.
    pub about: String,
    /// The path as given to the scan, any bytes.
    pub path: BString,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// The same in code points of UTF-8.
    pub column_in_points: u32,
    /// The last line of a value that spans several.
    pub end_line: u32,
    /// The redacted value: what kind of thing it is and how long, nothing that helps to use it.
    pub redacted: String,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// Keyed hash of the value.
    pub fingerprint: Fingerprint,
}

/// Shows at most the provider's prefix, never a byte of the secret part.
pub fn redact(prefix: &[u8], secret_len: usize) -> String {
    let shown: String = prefix.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
    format!("{shown}<{secret_len} bytes redacted>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_keyed_and_round_trip() {
        let a = Fingerprint::of(&Key::default(), b"value");
        assert_eq!(a, Fingerprint::of(&Key::default(), b"value"));
        assert_ne!(a, Fingerprint::of(&Key([7; 16]), b"value"));
        assert_ne!(a, Fingerprint::of(&Key::default(), b"valuf"));
        assert_eq!(Fingerprint::parse(&a.to_string()), Some(a));
        assert_eq!(Fingerprint::parse("zz"), None);
        assert_eq!(Confidence::High.lowered(), Confidence::Medium);
        assert_eq!(Confidence::Medium.lowered(), Confidence::Low);
        assert_eq!(redact(b"ghp_", 36), "ghp_<36 bytes redacted>");
    }
}
