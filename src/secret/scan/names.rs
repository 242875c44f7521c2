//! Tier of names: a word that may tell of a secret, the name around it, the value beside it, and what that is.

use std::ops::Range;

use bstr::ByteSlice as _;

use super::assign::{self, Assignment, Join};
use super::classify::{self, Name, Place};
use super::context;
use super::engine::{Engine, Hit, Which, checked};
use super::finding::Confidence;
use super::placeholder as ph;
use super::structural;

/// Where the last name ended, so that `secret_access_key` is looked at once.
#[derive(Debug, Default)]
pub struct Names {
    done: usize,
}

impl Names {
    /// Looks at the name around `pos`, once.
    pub fn handle(&mut self, engine: &Engine, text: &[u8], pos: usize, hits: &mut Vec<Hit>) {
        if pos < self.done {
            return;
        }
        let name = assign::name_around(text, pos);
        self.done = name.end;
        let found = assign::after(text, name.clone()).filter(|f| may_be_secret(&text[f.value.clone()]));
        let mut any = false;
        if let Some(found) = &found {
            any = judge(engine, text, classify::name(&text[name.clone()]), found, hits);
        }
        if !any && name.len() >= 20 {
            let keyword = text[pos..name.end].iter().take_while(|b| b.is_ascii_alphabetic()).count();
            if let Some(found) = assign::glued(text, &name, pos + keyword) {
                any = beside(engine, text, &found, hits);
            }
        }
        if !any && found.as_ref().is_none_or(|f| f.join == Join::Beside) {
            near(engine, text, &name, hits);
        }
    }
}

/// The cheapest test, before anything is hashed: long enough, and not one plain word (nothing but small letters and
/// underscores is judged only where it is a quoted or odd password, and then it is short).
fn may_be_secret(value: &[u8]) -> bool {
    let plain =
        value.iter().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'.' | b'(' | b')' | b'>' | b'-' | b' '));
    value.len() >= 4 && !(plain && value.iter().any(|b| matches!(b, b'_' | b'.' | b'(' | b'>')))
}

fn generic(kind: Name, vendor: bool) -> &'static str {
    match (kind, vendor) {
        (Name::Password, _) => "generic-password",
        (_, true) => "vendor-credential",
        _ => "generic-secret",
    }
}

fn push(engine: &Engine, hits: &mut Vec<Hit>, id: &'static str, span: Range<usize>, confidence: Confidence) -> bool {
    let on = engine.rules.is_on_built_in(id);
    if on {
        hits.push(Hit { which: Which::BuiltIn(id), span, prefix: 0, confidence });
    }
    on
}

/// A keyed rule that the words before the value call for.
fn keyed(
    engine: &Engine,
    text: &[u8],
    words: &[Vec<u8>],
    name: &Range<usize>,
    span: &Range<usize>,
    hits: &mut Vec<Hit>,
) -> bool {
    let value = &text[span.clone()];
    if value.len() < 8 || value.len() > 512 {
        return false;
    }
    let Some(index) =
        engine.keyed().matching(&engine.rules, words, &context::words(&text[name.clone()], name.len()), value)
    else {
        return false;
    };
    let rule = &engine.rules.rules()[index];
    let stand_in = ph::is_stand_in(value) && ph::distinct(value) < 8;
    let confidence = if stand_in { Confidence::Low } else { checked(rule, value, 0) };
    hits.push(Hit { which: Which::Table(index as u16), span: span.clone(), prefix: 0, confidence });
    true
}

/// Whether the name is the name of something else: a part of an Amazon resource name, a resource type (`"AWS::AppSync::ApiKey"`),
/// the working directory of a shell, a pattern of `pwd$`.
fn names_a_thing(text: &[u8], name: &Range<usize>) -> bool {
    let before = &text[name.start.saturating_sub(100)..name.start];
    let joined = before.iter().rev().take_while(|b| !b.is_ascii_whitespace() && !b"\"'`,;<>".contains(b)).count();
    let before = &before[before.len() - joined..];
    let word = text[name.clone()].strip_prefix(b"$").unwrap_or(&text[name.clone()]);
    before.starts_with(b"arn:")
        || before.contains_str("=arn:")
        || before.ends_with(b"::") && text.get(name.end) == Some(&b'"')
        || matches!(word, b"PWD" | b"OLDPWD")
        || word.ends_with(b"$")
}

/// Whether the value is a checksum and says so: `sha256=…`, `sha512-…`, `md5:…`.
fn is_digest(text: &[u8], value: usize) -> bool {
    let before = text[value.saturating_sub(12)..value].trim_end_with(|c| "-=:\"' ".contains(c)).to_ascii_lowercase();
    [&b"sha1"[..], b"sha224", b"sha256", b"sha384", b"sha512", b"md5"].iter().any(|w| before.ends_with(w))
}

fn judge(engine: &Engine, text: &[u8], kind: Name, found: &Assignment, hits: &mut Vec<Hit>) -> bool {
    let mut span = found.value.clone();
    if names_a_thing(text, &found.name) || is_digest(text, span.start) {
        return false;
    }
    if !found.quoted {
        // a sentence or a list may go on after the value
        while span.len() > 1 && matches!(text[span.end - 1], b',' | b'.' | b':' | b')' | b']' | b'}') {
            span.end -= 1;
        }
        // several variables in one query string
        if let Some(cut) = text[span.clone()].iter().position(|b| *b == b'&') {
            span.end = span.start + cut;
        }
    }
    let value = &text[span.clone()];
    if value.len() < 4 {
        return false;
    }
    // `Authorization: Bearer x` and friends are the header's business
    let lower = value[..value.len().min(7)].to_ascii_lowercase();
    if lower.starts_with(b"bearer") || lower.starts_with(b"basic ") {
        return false;
    }
    if !found.quoted && matches!(&lower[..], b"token" | b"apikey" | b"ssws") {
        let place = structural::header(text, span.end, false);
        return place.is_some_and(|(span, sure)| push(engine, hits, "authorization-header", span, sure));
    }
    if kind == Name::Other && (value.len() < 14 || !value.iter().any(u8::is_ascii_digit) || value.contains(&b' ')) {
        return false;
    }
    let words = context::words(text, found.name.end);
    if keyed(engine, text, &words, &found.name, &span, hits) {
        return true;
    }
    if kind == Name::Password
        && structural::in_connection_string(text, found.name.start)
        && !ph::is_template(value)
        && !value.starts_with(b"$")
    {
        let sure = if ph::is_stand_in(value) { Confidence::Low } else { Confidence::Medium };
        return push(engine, hits, "connection-string-password", span, sure);
    }
    let only_quoted = matches!(found.join, Join::Compare | Join::Argument);
    if kind == Name::Other || only_quoted && !found.quoted {
        return false;
    }
    // `pass "x"` and `PASS: x` are a verb and a verdict; a password needs more than that
    let name = &text[found.name.clone()];
    let verb =
        name.eq_ignore_ascii_case(b"pass") || name.eq_ignore_ascii_case(b"psw") || name.eq_ignore_ascii_case(b"pw");
    if verb && !(found.join == Join::Assign && (found.quoted || !found.spaced)) {
        return false;
    }
    // in quotes after nothing but a blank, or as an argument: only what looks very random
    let loose = found.quoted && kind != Name::Password && found.join == Join::Beside
        || found.join == Join::Argument && kind == Name::Weak;
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"_-+/=".contains(b);
    if loose && (value.len() < 16 || !value.iter().any(u8::is_ascii_digit) || !value.iter().all(token)) {
        return false;
    }
    let kind = if loose { Name::Weak } else { kind };
    // a salt or a seed is worth a word only where it is written as a constant
    let public_number = [&b"salt"[..], b"seed", b"nonce"].iter().any(|w| name.to_ascii_lowercase().ends_with(w));
    if !found.quoted && (public_number || kind == Name::Weak && found.spaced && found.join == Join::Compare) {
        return false;
    }
    let vendor = context::names_vendor(&words);
    let place = Place {
        quoted: found.quoted,
        assigned: matches!(found.join, Join::Assign | Join::Element),
        spaced: found.spaced,
        next: text.get(span.end).copied(),
        vendor,
    };
    if found.join == Join::Beside && !found.quoted {
        return beside(engine, text, found, hits);
    }
    // docker's `"auth": "dXNlcjpwYXNz"`
    if found.quoted && value.len() >= 12 && text[found.name.clone()].eq_ignore_ascii_case(b"auth") {
        let pair = structural::decode64(value)
            .is_some_and(|raw| raw.is_ascii() && raw.contains(&b':') && !raw.contains(&b'\n'));
        if pair {
            return push(engine, hits, "docker-auth", span, Confidence::High);
        }
    }
    match classify::judge(value, kind, place) {
        Some(sure) => push(engine, hits, generic(kind, vendor), span, sure),
        None => false,
    }
}

/// A value with nothing but a blank or a dash before it must look very random, or stand beside a service.
fn beside(engine: &Engine, text: &[u8], found: &Assignment, hits: &mut Vec<Hit>) -> bool {
    let value = &text[found.value.clone()];
    if names_a_thing(text, &found.name) || is_digest(text, found.value.start) {
        return false;
    }
    let words = context::words(text, found.name.end);
    if keyed(engine, text, &words, &found.name, &found.value, hits) {
        return true;
    }
    let vendor = context::names_vendor(&words);
    let kind = classify::name(&text[found.name.clone()]);
    let login = kind == Name::Password && login_line(text, found);
    // the fingerprint of a key, a commit; a name of several words
    let joints = value.iter().filter(|b| **b == b'_').count();
    let apart = text[found.value.start - 1].is_ascii_whitespace();
    let digest = value.len() == 40 && value.iter().all(u8::is_ascii_hexdigit);
    if !login && !vendor && (apart && digest || joints > 1 || value[0] == b'_') {
        return false;
    }
    let place = Place { quoted: true, assigned: false, spaced: true, next: None, vendor };
    if login {
        let opens = !ph::is_stand_in(value) && !ph::is_template(value);
        return opens && push(engine, hits, "netrc-password", found.value.clone(), Confidence::Medium);
    }
    // `custom-key-store-1628627769469`: words and a number
    let l = super::language::letters(value);
    if l.noise + l.short == 0 && l.wordy > 0 && !ph::counts(value) {
        return false;
    }
    if value.len() < 12 || !value.iter().any(u8::is_ascii_digit) || !vendor && (value.len() < 20 || kind == Name::Other)
    {
        return false;
    }
    match classify::judge(value, if vendor { Name::Secret } else { Name::Weak }, place) {
        Some(sure) => push(engine, hits, generic(Name::Secret, vendor), found.value.clone(), sure),
        None => false,
    }
}

/// `machine h login u password p` on one line or on neighbouring lines.
fn login_line(text: &[u8], found: &Assignment) -> bool {
    let before = &text[found.name.start.saturating_sub(160)..found.name.start];
    let has = |word: &[u8]| before.windows(word.len()).any(|w| w == word);
    // `default` is one where it begins the line, and nothing is said of whom everybody may be
    let default = before.rfind(b"default login ").is_some_and(|at| {
        let line = before[..at].rfind_byte(b'\n').map_or(0, |end| end + 1);
        before[line..at].iter().all(|b| b" \t\"'".contains(b))
    });
    has(b"login ") && (has(b"machine ") || default) && !has(b"login anonymous") && !has(b"login ftp ")
}

/// The first long random value on the rest of the line, where a service is named before it.
fn near(engine: &Engine, text: &[u8], name: &Range<usize>, hits: &mut Vec<Hit>) {
    let window = &text[name.end..text.len().min(name.end + 64)];
    let line = window.iter().position(|b| *b == b'\n').unwrap_or(window.len());
    let mut at = 0;
    while at < line {
        let len = window[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-+/=.".contains(b)).count();
        // the next option of a command has its own name
        if window[at..].starts_with(b"--") {
            return;
        }
        if len >= 12
            && window[at..at + len].iter().any(u8::is_ascii_digit)
            && classify::name(&text[name.clone()]) > Name::Other
        {
            let start = name.end + at;
            let tail = text[start..text.len().min(start + 300)]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || b"_-+/=.".contains(b))
                .count();
            let found = Assignment {
                name: name.clone(),
                value: start..start + tail,
                quoted: false,
                join: Join::Beside,
                spaced: true,
            };
            if context::names_vendor(&context::words(text, start)) {
                beside(engine, text, &found, hits);
            }
            return;
        }
        at += len.max(1);
    }
}
