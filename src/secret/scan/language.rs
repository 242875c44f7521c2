//! Tells words from random letters: a trigram table over identifiers and prose, and a list of common words.
//!
//! Both are data that was counted over free software installed on a development machine (`words/`). The table holds
//! -log2 P(c | a, b) as `a` to `p` for 0 to 15 bits, rows and columns in the order ^, a to z, where ^ is the edge of a word.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

const TRIGRAMS: &str = include_str!("words/trigrams.txt");
/// FNV-1a: the words are short, compiled in, and nobody can choose them.
#[derive(Debug, Clone, Copy)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u8(n as u8);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Builds [`Fnv`].
pub type BuildFnv = BuildHasherDefault<Fnv>;

/// A list of words, hashed when it is first asked.
#[derive(Debug)]
pub struct Words {
    text: &'static str,
    set: OnceLock<HashSet<&'static [u8], BuildFnv>>,
}

impl Words {
    const fn new(text: &'static str) -> Self {
        Words { text, set: OnceLock::new() }
    }
    /// Whether `word` (lower case) is in the list.
    pub fn has(&self, word: &[u8]) -> bool {
        let lines = || self.text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::as_bytes);
        self.set.get_or_init(|| lines().collect()).contains(word)
    }
}

static COMMON: Words = Words::new(include_str!("words/common.txt"));
static VENDORS: Words = Words::new(include_str!("words/vendors.txt"));
/// Last words of a name that make it something around a secret.
pub static AROUND: Words = Words::new(include_str!("words/around.txt"));
/// Words after which a `key` is a secret.
pub static QUALIFIES_KEY: Words = Words::new(include_str!("words/qualifies-key.txt"));
/// Words that make a name public.
pub static PUBLIC: Words = Words::new(include_str!("words/public.txt"));
/// Words that tell nothing although they look like it.
pub static INNOCENT: Words = Words::new(include_str!("words/innocent.txt"));
/// Words that make a name worth a look.
pub static WEAK: Words = Words::new(include_str!("words/weak.txt"));

/// Whether `word` (lower case) is common in code or prose.
pub fn is_common(word: &[u8]) -> bool {
    COMMON.has(word)
}

/// Whether `word` (lower case, letters and digits) is the name of a service.
pub fn is_vendor(word: &[u8]) -> bool {
    VENDORS.has(word)
}

/// Mean bits per letter of a word in lower case, edges included: about 3 for words, 7 for random letters.
pub fn surprise(word: &[u8]) -> f32 {
    let table = TRIGRAMS.as_bytes();
    let code = |b: u8| usize::from(b.wrapping_sub(b'a')) + 1;
    let (mut a, mut b, mut bits) = (0, 0, 0_u32);
    for c in word.iter().map(|c| code(*c)).chain([0]) {
        // one line of 729 letters and a newline per first letter
        bits += u32::from(table[a * 730 + b * 27 + c] - b'a');
        (a, b) = (b, c);
    }
    bits as f32 / (word.len() + 1) as f32
}

/// How the letters of a value divide into words and noise.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Letters {
    /// Letters in words of the list, or that read like one.
    pub wordy: usize,
    /// Letters in runs of four and more that read like noise.
    pub noise: usize,
    /// Letters in runs too short to tell.
    pub short: usize,
    /// The number of runs.
    pub runs: usize,
}

/// Splits `value` into runs of letters (also at capitals after small letters) and judges each.
pub fn letters(value: &[u8]) -> Letters {
    let mut out = Letters::default();
    for_each_word(value, |word| {
        out.runs += 1;
        match word.len() {
            0..=2 => out.short += word.len(),
            3 => *(if is_common(word) { &mut out.wordy } else { &mut out.short }) += 3,
            n => {
                // short words are judged more generously: four random letters may well read like a word
                let limit = if n < 6 { 5.3 } else { 4.75 };
                let known = is_common(word) || surprise(word) < limit || compound(word);
                *(if known { &mut out.wordy } else { &mut out.noise }) += n;
            }
        }
    });
    out
}

/// Calls `each` with every run of letters in lower case.
pub fn for_each_word(value: &[u8], mut each: impl FnMut(&[u8])) {
    let mut buffer = [0_u8; 64];
    let mut len = 0;
    let mut last = 0_u8;
    for (at, &byte) in value.iter().enumerate() {
        let hump = byte.is_ascii_uppercase()
            && (last.is_ascii_lowercase()
                || last.is_ascii_uppercase() && value.get(at + 1).is_some_and(u8::is_ascii_lowercase));
        if (!byte.is_ascii_alphabetic() || hump || len == buffer.len()) && len > 0 {
            each(&buffer[..len]);
            len = 0;
        }
        if byte.is_ascii_alphabetic() {
            buffer[len] = byte.to_ascii_lowercase();
            len += 1;
        }
        last = byte;
    }
    if len > 0 {
        each(&buffer[..len]);
    }
}

/// Whether `word` is two or three common words written together.
fn compound(word: &[u8]) -> bool {
    fn split(word: &[u8], depth: usize) -> bool {
        (3..=word.len().min(14)).rev().any(|at| {
            is_common(&word[..at])
                && (at == word.len() || depth > 0 && word.len() - at >= 3 && split(&word[at..], depth - 1))
        })
    }
    word.len() <= 32 && split(word, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_words_from_noise() {
        for word in ["configuration", "authentication", "changeme", "password", "username"] {
            assert!(surprise(word.as_bytes()) < 4.2, "{word}");
        }
        for noise in ["xkqpwmtz", "jflsdkqw", "zqvxbnkd"] {
            assert!(surprise(noise.as_bytes()) > 5.0, "{noise}");
        }
        let mixed = letters(b"getUserName-xqzvkdw");
        assert_eq!((mixed.wordy, mixed.noise), (11, 7));
        assert!(TRIGRAMS.lines().count() == 27 && TRIGRAMS.lines().all(|l| l.len() == 729));
    }
}
