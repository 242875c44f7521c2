//! Long runs of token characters that are assigned to the bare name of a service: `heroku = "…"`, with no word
//! that tells of a secret. Almost no text has such runs, so they are found first and the name is read backwards.

use super::classify::{self, Name, Place};
use super::context;
use super::engine::{Engine, Hit, Which};
use super::language;
use super::prefix::is_token;

/// The longest one.
const MOST: usize = 160;
/// Bytes between the name and the value: an operator, blanks, quotes.
const GAP: usize = 8;

/// Looks at the run that starts at `start`.
pub fn look(engine: &Engine, text: &[u8], start: usize, hits: &mut Vec<Hit>) {
    if start == 0 || !is_between(text[start - 1]) {
        return;
    }
    let len = text[start..].iter().take(MOST + 1).take_while(|b| is_token(**b)).count();
    if len <= MOST {
        judge(engine, text, start, start + len, hits);
    }
}

/// Bytes that join a name and its value.
fn is_between(b: u8) -> bool {
    b" \t\"'`=:>".contains(&b)
}

fn judge(engine: &Engine, text: &[u8], start: usize, end: usize, hits: &mut Vec<Hit>) {
    let value = &text[start..end];
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let joints = value.iter().filter(|b| matches!(b, b'-' | b'_')).count();
    // the name of a constant, a number
    let one_case = !value.iter().any(u8::is_ascii_lowercase) || !value.iter().any(u8::is_ascii_uppercase);
    let named = joints > 4 || joints > 1 && one_case && !classify::is_uuid(value);
    if digits < 3 || named || digits + joints == value.len() {
        return;
    }
    let floor = start.saturating_sub(GAP);
    let gap = text[floor..start].iter().rev().take_while(|b| is_between(**b)).count();
    let joined = text[start - gap..start].iter().any(|b| b"=:>".contains(b));
    if gap == 0 || gap == GAP || text[start - gap..start].ends_with(b"::") {
        return;
    }
    let name = super::assign::name_around(text, start - gap);
    if name.is_empty() || name.end > start {
        return;
    }
    let words = context::words(text[..name.end].get(name.start..).unwrap_or_default(), name.len());
    let around = words.iter().any(|w| language::AROUND.has(w) || language::PUBLIC.has(w));
    let whole = text[name.clone()].iter().all(u8::is_ascii_alphanumeric);
    if around || !(joined || whole) || !context::names_vendor(&words) {
        return;
    }
    let quoted = matches!(text[start - 1], b'"' | b'\'' | b'`');
    let place = Place { quoted, assigned: joined, spaced: gap > 1, next: text.get(end).copied(), vendor: true };
    let id = "vendor-credential";
    let found = classify::judge(value, Name::Secret, place).filter(|_| engine.rules().is_on_built_in(id));
    if let Some(confidence) = found {
        hits.push(Hit { which: Which::BuiltIn(id), span: start..end, prefix: 0, confidence });
    }
}
