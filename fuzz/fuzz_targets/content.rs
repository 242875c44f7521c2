//! The content scanner on any bytes: no panic, spans in order and inside, and no finding that shows its value.
#![no_main]

use std::sync::LazyLock;

use coop::secret::scan::{Depth, Engine, RuleSet, Scanner};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(RuleSet::built_in()));
static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(RuleSet::built_in()));

fuzz_target!(|bytes: &[u8]| {
    let hits = ENGINE.scan(bytes, Depth::Full);
    assert!(hits.iter().all(|h| h.span.start < h.span.end && h.span.end <= bytes.len() && h.prefix <= h.span.len()));
    assert!(hits.windows(2).all(|w| w[0].span.end <= w[1].span.start));
    for finding in SCANNER.scan("file".into(), bytes) {
        assert!(finding.line >= 1 && finding.column >= 1 && finding.end_line >= finding.line);
    }
});
