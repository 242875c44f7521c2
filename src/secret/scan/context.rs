//! The words near a value, and the keyed rules and services that they name.

use std::collections::HashMap;

use super::language;
use super::rules::RuleSet;

/// How far before a value its service may be named.
const REACH: usize = 72;

/// Words of the name and of the text before it on the same line, nearest last, with neighbours joined
/// (`secret access key` is also `secretaccesskey`).
pub fn words(text: &[u8], upto: usize) -> Vec<Vec<u8>> {
    let floor = upto.saturating_sub(REACH);
    let line = text[floor..upto].iter().rposition(|b| *b == b'\n').map_or(floor, |at| floor + at + 1);
    let mut singles: Vec<Vec<u8>> = Vec::new();
    let mut last = b' ';
    for &byte in &text[line..upto] {
        let hump = byte.is_ascii_uppercase() && last.is_ascii_lowercase();
        if (!byte.is_ascii_alphanumeric() || hump) && singles.last().is_some_and(|w| !w.is_empty()) {
            singles.push(Vec::new());
        }
        if byte.is_ascii_alphanumeric() {
            if singles.is_empty() {
                singles.push(Vec::new());
            }
            if let Some(word) = singles.last_mut() {
                word.push(byte.to_ascii_lowercase());
            }
        }
        last = byte;
    }
    singles.retain(|w| !w.is_empty());
    let mut all = Vec::with_capacity(singles.len() * 4);
    for at in 0..singles.len() {
        let mut joined = singles[at].clone();
        all.push(joined.clone());
        for next in singles.iter().skip(at + 1).take(3) {
            joined.extend(next);
            if joined.len() <= 32 {
                all.push(joined.clone());
            }
        }
    }
    all
}

/// Whether one of `words` is, or starts with, the name of a service.
pub fn names_vendor(words: &[Vec<u8>]) -> bool {
    words.iter().any(|word| {
        language::is_vendor(word)
            || word.len() > 7
                && (6..word.len()).any(|at| language::is_vendor(&word[..at]) && !language::is_common(word))
    })
}

/// Keyed rules by the words that call for them.
#[derive(Debug, Default)]
pub struct Keyed {
    by_word: HashMap<Vec<u8>, Vec<u16>, language::BuildFnv>,
    always: Vec<u16>,
}

impl Keyed {
    /// Indexes the keyed rules of `rules` that are on.
    pub fn new(rules: &RuleSet) -> Self {
        let mut out = Keyed::default();
        for (index, rule) in rules.rules().iter().enumerate().filter(|(i, r)| !r.keys.is_empty() && rules.is_on(*i)) {
            for key in &rule.keys {
                if key == "*" {
                    out.always.push(index as u16);
                } else {
                    out.by_word.entry(key.as_bytes().to_vec()).or_default().push(index as u16);
                }
            }
        }
        out
    }

    /// The first rule that one of `words` (or any telling name) calls for and whose pattern is the whole of `value`.
    ///
    /// A short word (`dd`, `mm`, `cf`) counts only as part of the name itself, of which `own` are the words.
    pub fn matching(&self, rules: &RuleSet, words: &[Vec<u8>], own: &[Vec<u8>], value: &[u8]) -> Option<usize> {
        if !value.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let fits = |index: &&u16| {
            let rule = &rules.rules()[usize::from(**index)];
            rule.keyed.iter().any(|p| p.is_match(value)) && super::placeholder::distinct(value) >= rule.floor
        };
        let named =
            words.iter().rev().filter(|w| w.len() > 4 || own.contains(w)).filter_map(|w| self.by_word.get(w)).flatten();
        named.chain(&self.always).find(fits).map(|index| usize::from(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_splits() {
        let all = words(b"\nx = Secret access_key myD7network ", 35);
        for wanted in ["secret", "secretaccesskey", "d7network", "my"] {
            assert!(all.iter().any(|w| w == wanted.as_bytes()), "{wanted}");
        }
        assert!(!all.iter().any(|w| w.is_empty()));
        assert!(names_vendor(&words(b"geocodifyaccess", 15)));
        assert!(!names_vendor(&words(b"configuration", 13)));
    }
}
