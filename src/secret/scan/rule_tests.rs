//! Every rule of the table: a sample made from its own data is found, one that is too short or has a wrong byte is not,
//! and neither is one that goes on where the format ends. No secret-shaped text is written down here.

use proptest::prelude::*;

use super::engine::{Depth, Engine, Which};
use super::finding::redact;
use super::pattern::{Pattern, Set};
use super::rules::{Rule, RuleSet};
use super::scanner::{Scanner, WINDOW};

/// A repeatable source of numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

/// Bytes that match `pattern`, of the shortest length that is not empty, without runs that look like filler.
fn sample(pattern: &Pattern, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for atom in pattern.atoms() {
        let all: Vec<u8> = atom.set.bytes().collect();
        let solid: Vec<u8> = all.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let from = if solid.is_empty() { &all } else { &solid };
        for _ in 0..atom.min {
            out.push(from[random.next(from.len())]);
        }
    }
    out
}

fn literal(text: &str) -> Pattern {
    Pattern::parse("").expect("an empty pattern").after(text)
}

/// What stands before the value, the value's patterns in order.
fn shapes(rule: &Rule) -> Vec<(String, Vec<Pattern>)> {
    if rule.keys.is_empty() {
        let before = rule.before.clone();
        rule.prefixes
            .iter()
            .map(|p| ("x = \"".to_owned(), before.iter().cloned().chain([literal(p), rule.body.clone()]).collect()))
            .collect()
    } else {
        let key = if rule.keys[0] == "*" { "my_secret" } else { rule.keys[0].as_str() };
        rule.keyed.iter().map(|p| (format!("{key}_token = \""), vec![p.clone()])).collect()
    }
}

fn found(engine: &Engine, text: &[u8], rule: usize) -> bool {
    engine.scan(text, Depth::Full).iter().any(|h| h.which == Which::Table(rule as u16))
}

#[test]
fn the_table_is_large_and_documented() {
    let rules = RuleSet::built_in();
    assert!(rules.rules().len() >= 400);
    for rule in rules.rules() {
        assert!(
            !rule.about.is_empty()
                && rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{}",
            rule.id
        );
        assert!(rule.prefixes.iter().all(|p| p.len() >= 2), "{}", rule.id);
    }
    let mut ids: Vec<&str> = rules.rules().iter().map(|r| r.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rules.rules().len());
}

#[test]
fn every_rule_finds_its_format() {
    let engine = engine();
    let mut random = Random(11);
    let mut missed = Vec::new();
    for (index, rule) in engine.rules().rules().iter().enumerate() {
        for (lead, patterns) in shapes(rule) {
            // a random sample may happen to have too few different bytes or to spell a word: three tries
            let hit = (0..8).any(|_| {
                let value: Vec<u8> = patterns.iter().flat_map(|p| sample(p, &mut random)).collect();
                let text = [lead.as_bytes(), &value, b"\"\n"].concat();
                found(engine, &text, index)
            });
            if !hit {
                missed.push(rule.id.clone());
            }
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn near_misses_and_boundaries_are_refused() {
    let engine = engine();
    let mut random = Random(5);
    for (index, rule) in engine.rules().rules().iter().enumerate() {
        let Some(last) = rule.body.atoms().last().copied() else { continue };
        for (lead, patterns) in shapes(rule).into_iter().take(2) {
            let value: Vec<u8> = patterns.iter().flat_map(|p| sample(p, &mut random)).collect();
            let text = |value: &[u8]| [lead.as_bytes(), value, b"\"\n"].concat();
            // one byte short of a fixed length
            if last.min == last.max && last.min > 1 && rule.body.min_len() > 4 {
                let short = &value[..value.len() - 1];
                assert!(!found(engine, &text(short), index), "{}: one byte short", rule.id);
                // goes on after the end
                let long = [&value[..], b"Qq9"].concat();
                assert!(!found(engine, &text(&long), index), "{}: goes on", rule.id);
            }
            // a byte that the alphabet has not, in the middle of the last class
            if last.min > 4 && rule.body.atoms().iter().all(|a| !has(a.set, b'!')) {
                let mut wrong = value.clone();
                let at = wrong.len() - last.min / 2 - 1;
                wrong[at] = b'!';
                assert!(!found(engine, &text(&wrong), index) || last.max > last.min, "{}: wrong byte", rule.id);
            }
        }
    }
}

fn has(set: Set, byte: u8) -> bool {
    set.has(byte)
}

/// Compiled once: a debug build takes its time for it.
fn engine() -> &'static Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(RuleSet::built_in()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_fires_on_redacted_output(seed: u64, rule in 0_usize..1000) {
        let engine = engine();
        let rule = rule % engine.rules().rules().len();
        let mut random = Random(seed);
        for (lead, patterns) in shapes(&engine.rules().rules()[rule]) {
            let value: Vec<u8> = patterns.iter().flat_map(|p| sample(p, &mut random)).collect();
            let text = [lead.as_bytes(), &value, b"\"\n"].concat();
            let mut redacted = Vec::new();
            let mut at = 0;
            for hit in engine.scan(&text, Depth::Full) {
                redacted.extend(&text[at..hit.span.start]);
                let secret = hit.span.len() - hit.prefix;
                redacted.extend(redact(&text[hit.span.start..][..hit.prefix], secret).as_bytes());
                at = hit.span.end;
            }
            redacted.extend(&text[at..]);
            let again = engine.scan(&redacted, Depth::Full);
            prop_assert!(again.is_empty(), "{:?} in {}", again, String::from_utf8_lossy(&redacted));
        }
    }

    #[test]
    fn any_bytes_give_ordered_disjoint_hits_inside(bytes in proptest::collection::vec(any::<u8>(), 0..4000), tail in "[a-z_]{0,8}(key|token|password)[ =:\"']{0,4}[!-~]{0,60}") {
        let engine = engine();
        let text = [&bytes[..], tail.as_bytes()].concat();
        let hits = engine.scan(&text, Depth::Full);
        prop_assert!(hits.iter().all(|h| h.span.start < h.span.end && h.span.end <= text.len()));
        prop_assert!(hits.windows(2).all(|w| w[0].span.end <= w[1].span.start));
    }
}

/// Processor time of this thread: the machine may be busy with something else.
fn cpu() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    std::time::Duration::from_nanos(nanoseconds)
}

#[test]
fn hostile_lines_take_linear_time() {
    let scanner = Scanner::new(RuleSet::built_in());
    let one = |unit: &str, size: usize| {
        let text = unit.repeat(size / unit.len());
        let start = cpu();
        scanner.scan("line".into(), text.as_bytes());
        cpu() - start
    };
    let token = format!("k='gh{}_{}' ", "p", "Zk3Qp9Lw2Xv7Rt5Nb8Mc4Yd6Hf1Gj0SaEuWi");
    for unit in [
        "\"",
        "password=",
        "key=\"",
        "secret:'",
        "://",
        "eyJhbGci",
        "-----BEGIN PRIVATE KEY-----",
        "{\"kty\":",
        "a@b:c://",
        "token=token=x1",
        "\\",
        "AKIA",
        "curl -u ",
        &token,
    ] {
        // four times the text may take four times the time, with room for a busy machine, not sixteen times
        let small = one(unit, 1 << 15).max(std::time::Duration::from_millis(10));
        let large = one(unit, 1 << 17);
        assert!(large < small * 12, "{unit:?}: {small:?} then {large:?}");
    }
}

/// A line without end, made as it is read: `fill` over and over, then `end`.
struct Endless<'a> {
    fill: &'a [u8],
    left: usize,
    end: &'a [u8],
}

impl std::io::Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return self.end.read(into);
        }
        let take = into.len().min(self.left);
        for (at, byte) in into[..take].iter_mut().enumerate() {
            *byte = self.fill[(self.left - at) % self.fill.len()];
        }
        self.left -= take;
        Ok(take)
    }
}

#[test]
fn one_endless_line_needs_bounded_memory() {
    // a build without optimisation is thirty times slower; what is measured does not depend on the length
    let size = if cfg!(debug_assertions) { 9 << 20 } else { 100 << 20 };
    let scanner = Scanner::new(RuleSet::built_in());
    let token = format!(" k='gl{}-{}' ", "pat", "Q7w2E9r4T1y8U3i6O5p0");
    for fill in [&b"\""[..], b"a", b"k=1;"] {
        let mut buffer = Vec::new();
        let mut line = Endless { fill, left: size, end: token.as_bytes() };
        let scanned = scanner.scan_stream("line".into(), &mut line, &mut buffer).expect("nothing fails here");
        let found: Vec<(u32, usize)> = scanned.findings.iter().map(|f| (f.line, f.column as usize)).collect();
        assert_eq!(found, [(1, size + 5)]);
        assert_eq!(scanned.bytes as usize, size + token.len());
        assert!(buffer.capacity() <= 2 * WINDOW, "{}", buffer.capacity());
    }
}
