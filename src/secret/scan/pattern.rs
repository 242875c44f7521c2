//! The small pattern language of the rule table: a sequence of character classes with repetition.
//!
//! Matching is greedy, never backtracks, and therefore takes time linear in the text it covers.

/// A set of ASCII bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(u128);

impl Set {
    /// Whether `byte` is in the set; bytes above 127 never are.
    pub fn has(self, byte: u8) -> bool {
        byte < 128 && self.0 >> byte & 1 == 1
    }
    fn with(self, byte: u8) -> Set {
        Set(self.0 | 1 << (byte & 127))
    }
    fn range(mut self, from: u8, to: u8) -> Set {
        for byte in from..=to.min(127) {
            self = self.with(byte);
        }
        self
    }
    /// The members in ascending order.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        (0..128u8).filter(move |b| self.has(*b))
    }
}

/// A set, how often at least, and how often at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atom {
    /// The bytes that match.
    pub set: Set,
    /// Least number of repetitions.
    pub min: usize,
    /// Greatest number of repetitions.
    pub max: usize,
}

/// The longest run that an open repetition takes: bounds the work of one match.
const OPEN: usize = 8192;

/// A sequence of atoms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Atom>);

impl Pattern {
    /// Parses `[A-Z0-9]{16}`, `\d{2,4}`, `\w+`-like classes and literal characters; `{n,}` is open.
    /// Errors: what is wrong, for the author of the table.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut rest = text.as_bytes();
        let mut atoms = Vec::new();
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            let set = match first {
                b'[' => class(&mut rest)?,
                b'\\' => escape(&mut rest)?,
                _ => Set(0).with(first),
            };
            let (min, max) = if rest.first() == Some(&b'{') { repetition(&mut rest)? } else { (1, 1) };
            atoms.push(Atom { set, min, max });
        }
        Ok(Pattern(atoms))
    }

    /// The pattern that matches exactly `literal` and then `self`.
    #[must_use]
    pub fn after(&self, literal: &str) -> Pattern {
        let mut atoms: Vec<Atom> = literal.bytes().map(|b| Atom { set: Set(0).with(b), min: 1, max: 1 }).collect();
        atoms.extend(&self.0);
        Pattern(atoms)
    }

    /// The end of the match that starts at `pos`.
    pub fn match_at(&self, text: &[u8], mut pos: usize) -> Option<usize> {
        for atom in &self.0 {
            let limit = text.len().min(pos.saturating_add(atom.max));
            let taken = text.get(pos..limit)?.iter().take_while(|b| atom.set.has(**b)).count();
            if taken < atom.min {
                return None;
            }
            pos += taken;
        }
        Some(pos)
    }

    /// The start of the match that ends at `end`; atoms are taken greedily from the last to the first.
    pub fn match_back(&self, text: &[u8], mut end: usize) -> Option<usize> {
        for atom in self.0.iter().rev() {
            let floor = end.saturating_sub(atom.max);
            let taken = text.get(floor..end)?.iter().rev().take_while(|b| atom.set.has(**b)).count();
            if taken < atom.min {
                return None;
            }
            end -= taken;
        }
        Some(end)
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.match_at(text, 0) == Some(text.len())
    }

    /// Whether a match that ends before `next` really ends there: `next` neither continues the last class nor is alphanumeric.
    pub fn ends_before(&self, next: Option<u8>) -> bool {
        let Some(next) = next else { return true };
        let continues = self.0.iter().rev().find(|a| a.max > 1).is_some_and(|a| a.set.has(next) && is_token(next));
        !continues && !next.is_ascii_alphanumeric()
    }

    /// The first set, for dispatch by the bytes that may follow a prefix.
    pub fn first(&self) -> Option<Set> {
        self.0.first().map(|a| a.set)
    }

    /// The atoms in order.
    pub fn atoms(&self) -> &[Atom] {
        &self.0
    }

    /// The fewest bytes that match.
    pub fn min_len(&self) -> usize {
        self.0.iter().map(|a| a.min).sum()
    }
}

/// Bytes that join the parts of a token; `.`, `=` or `/` after a token usually belong to the text around it.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

fn class(rest: &mut &[u8]) -> Result<Set, String> {
    let mut set = Set(0);
    loop {
        let (&byte, tail) = rest.split_first().ok_or("'[' without ']'")?;
        *rest = tail;
        match (byte, *rest) {
            (b']', _) => return Ok(set),
            (b'\\', _) => set = Set(set.0 | escape(rest)?.0),
            (from, [b'-', to, after @ ..]) if *to != b']' => {
                *rest = after;
                set = set.range(from, *to);
            }
            _ => set = set.with(byte),
        }
    }
}

fn escape(rest: &mut &[u8]) -> Result<Set, String> {
    let (&byte, tail) = rest.split_first().ok_or("'\\' at the end")?;
    *rest = tail;
    Ok(match byte {
        b'd' => Set(0).range(b'0', b'9'),
        b'w' => Set(0).range(b'0', b'9').range(b'a', b'z').range(b'A', b'Z').with(b'_'),
        other => Set(0).with(other),
    })
}

fn repetition(rest: &mut &[u8]) -> Result<(usize, usize), String> {
    let close = rest.iter().position(|b| *b == b'}').ok_or("'{' without '}'")?;
    let inner = std::str::from_utf8(&rest[1..close]).map_err(|e| e.to_string())?;
    *rest = &rest[close + 1..];
    let number = |s: &str| s.parse::<usize>().map_err(|e| format!("'{{{inner}}}': {e}"));
    match inner.split_once(',') {
        None => number(inner).map(|n| (n, n)),
        Some((min, "")) => Ok((number(min)?, OPEN)),
        Some((min, max)) => Ok((number(min)?, number(max)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_both_ways_without_backtracking() {
        let p = Pattern::parse(r"[\w-]{2,4}.[0-9a-f]{3}={0,1}").expect("parses");
        assert_eq!(p.match_at(b"xa_-b.0af=!", 1), Some(10));
        assert_eq!(p.match_at(b"a.0af", 0), None);
        assert_eq!(p.match_back(b"xab.0af", 7), Some(0));
        assert!(p.is_match(b"ab.123") && !p.is_match(b"ab.123x"));
        assert!(p.ends_before(Some(b'"')) && p.ends_before(None));
        let open = Pattern::parse("[A-Z]{16}").expect("parses");
        assert!(!open.ends_before(Some(b'a')) && !open.ends_before(Some(b'Q')) && open.ends_before(Some(b'.')));
        assert!(Pattern::parse("[ab").is_err() && Pattern::parse("a{x}").is_err());
    }
}
