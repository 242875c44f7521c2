//! A baseline: findings that are known. It holds keyed hashes and no line numbers, so it survives moved lines
//! and says nothing about the secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::finding::{Finding, Fingerprint, Key};

/// The largest baseline that is read.
pub const MAX: usize = 64 << 20;

/// Known findings and the key of their fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// The key: with it the scan has to compute its fingerprints.
    pub key: Key,
    known: BTreeMap<Fingerprint, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    key: String,
    findings: BTreeMap<String, String>,
}

impl Baseline {
    /// An empty one with a key made of `random`.
    pub fn new(random: [u8; 16]) -> Baseline {
        Baseline { key: Key(random), known: BTreeMap::new() }
    }

    /// Parses the JSON that [`Baseline::to_json`] wrote. Errors: exit 2; a broken baseline accepts nothing.
    pub fn parse(bytes: &[u8]) -> Result<Baseline> {
        let broken = || {
            Error::usage("the baseline cannot be read")
                .hint("write it anew: git coop scan --baseline FILE --update-baseline")
        };
        if bytes.len() > MAX {
            return Err(broken().because("it is larger than 64 MiB"));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|e| broken().because(e))?;
        if file.version != 1 {
            return Err(broken().because(format!("version {} is not known", file.version)));
        }
        let key =
            Fingerprint::parse(&file.key).ok_or_else(|| broken().because("its key is not 32 hexadecimal digits"))?;
        let mut known = BTreeMap::new();
        for (hex, rule) in file.findings {
            let fingerprint =
                Fingerprint::parse(&hex).ok_or_else(|| broken().because("an entry is not a fingerprint"))?;
            known.insert(fingerprint, rule);
        }
        Ok(Baseline { key: Key(key.0), known })
    }

    /// Sorted, so that two runs on the same findings give the same bytes.
    pub fn to_json(&self) -> String {
        let findings = self.known.iter().map(|(f, rule)| (f.to_string(), rule.clone())).collect();
        let file = File { version: 1, key: Fingerprint(self.key.0).to_string(), findings };
        let mut text = serde_json::to_string_pretty(&file).expect("strings and numbers are always serialisable");
        text.push('\n');
        text
    }

    /// Whether `finding` is known.
    pub fn knows(&self, finding: &Finding) -> bool {
        self.known.contains_key(&finding.fingerprint)
    }

    /// Replaces what is known by `findings`.
    pub fn replace<'a>(&mut self, findings: impl IntoIterator<Item = &'a Finding>) {
        self.known = findings.into_iter().map(|f| (f.fingerprint, f.rule.clone())).collect();
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_broken_ones() {
        let mut base = Baseline::new([9; 16]);
        base.known.insert(Fingerprint([1; 16]), "jwt".into());
        assert_eq!(Baseline::parse(base.to_json().as_bytes()).expect("parses"), base);
        for bad in
            ["", "{}", "[1]", r#"{"version":2,"key":"","findings":{}}"#, r#"{"version":1,"key":"zz","findings":{}}"#]
        {
            assert_eq!(Baseline::parse(bad.as_bytes()).expect_err(bad).kind().code(), 2);
        }
    }
}
