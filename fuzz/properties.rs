//! What must hold for any bytes. The fuzz targets call these, and so does `tests/it/fuzz.rs` in every test run.

use std::sync::LazyLock;

use coop::secret::scan::allow::AllowList;
use coop::secret::scan::baseline::Baseline;
use coop::secret::scan::{Depth, Engine, RuleSet, Scanner};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(RuleSet::built_in()));
static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(RuleSet::built_in()));

/// The content scanner: no panic, spans in order and inside, and no finding that shows its value.
pub fn content(bytes: &[u8]) {
    for depth in [Depth::Full, Depth::Formats] {
        let hits = ENGINE.scan(bytes, depth);
        assert!(
            hits.iter().all(|h| h.span.start < h.span.end && h.span.end <= bytes.len() && h.prefix <= h.span.len())
        );
        assert!(hits.windows(2).all(|w| w[0].span.end <= w[1].span.start));
    }
    for finding in SCANNER.scan("file".into(), bytes) {
        assert!(finding.line >= 1 && finding.column >= 1 && finding.end_line >= finding.line);
        assert!(finding.redacted.ends_with("bytes redacted>"), "{}", finding.redacted);
    }
}

/// The parsers of baselines and lists: they refuse, or what they read is written and read again as the same.
pub fn baseline(bytes: &[u8]) {
    if let Ok(baseline) = Baseline::parse(bytes) {
        assert_eq!(Baseline::parse(baseline.to_json().as_bytes()).expect("its own output"), baseline);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = AllowList::parse(text);
    }
}
