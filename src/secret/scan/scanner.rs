//! The public face: bytes with a path in, findings out; whole buffers, streams, or many of them in parallel.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bstr::BStr;

use super::allow;
use super::engine::{Engine, Hit, Which};
use super::finding::{Confidence, Finding, Fingerprint, Key, redact};
use super::rules::{BUILT_IN, RuleSet};
use super::text::{self, Kind};

/// Bytes that are read at a time; a file up to this size is scanned as one buffer.
pub const WINDOW: usize = 4 << 20;
/// Text that is seen again at the start of the next window, as context and for values that straddle.
const LEAD: usize = 16 << 10;
const TAIL: usize = 48 << 10;

/// A compiled rule set with the switches of one run. Cheap to share between threads.
#[derive(Debug)]
pub struct Scanner {
    engine: Engine,
    key: Key,
    least: Confidence,
    inline: bool,
}

/// What the scan of one buffer or stream gave.
#[derive(Debug)]
pub struct Scanned {
    /// In order of position.
    pub findings: Vec<Finding>,
    /// What kind of content it was, that is, how much of it was searched.
    pub kind: Kind,
    /// Bytes that were read.
    pub bytes: u64,
    /// Findings that a comment accepted.
    pub allowed: usize,
}

impl Scanner {
    /// A scanner with the default key that honours comments and reports from medium confidence up.
    pub fn new(rules: RuleSet) -> Scanner {
        Scanner { engine: Engine::new(rules), key: Key::default(), least: Confidence::Medium, inline: true }
    }
    /// Uses the key of a baseline.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }
    /// Reports from `least` up.
    #[must_use]
    pub fn reporting_from(mut self, least: Confidence) -> Self {
        self.least = least;
        self
    }
    /// Whether comments beside a value accept it.
    #[must_use]
    pub fn honouring_comments(mut self, yes: bool) -> Self {
        self.inline = yes;
        self
    }
    /// The least confidence that it reports.
    pub fn least(&self) -> Confidence {
        self.least
    }
    /// The rules it runs.
    pub fn rules(&self) -> &RuleSet {
        self.engine.rules()
    }

    /// Everything that is found in `bytes`. Never fails; `path` decides how generated files and archives are treated.
    pub fn scan(&self, path: &BStr, bytes: &[u8]) -> Vec<Finding> {
        self.scan_buffer(path, bytes).findings
    }

    /// As [`Scanner::scan`], with what was skipped.
    pub fn scan_buffer(&self, path: &BStr, bytes: &[u8]) -> Scanned {
        let decoded = text::decoded(bytes);
        let kind = text::kind(path, &decoded);
        let mut out = Scanned { findings: Vec::new(), kind, bytes: bytes.len() as u64, allowed: 0 };
        let hits = self.engine.scan(&decoded, kind.depth());
        let mut lines = Lines { line: 1, at: 0, start: 0, points: 0 };
        self.report(path, &decoded, &hits, &mut lines, &mut out);
        out
    }

    /// Scans a stream in windows: memory does not grow with its length. Errors: those of `reader`.
    pub fn scan_stream(&self, path: &BStr, reader: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<Scanned> {
        fill(reader, buffer, WINDOW)?;
        if buffer.len() < WINDOW || matches!(buffer[..2], [0xff, 0xfe] | [0xfe, 0xff]) {
            if buffer.len() >= WINDOW {
                fill(reader, buffer, 16 * WINDOW)?; // UTF-16 is decoded whole, up to 64 MiB
            }
            return Ok(self.scan_buffer(path, buffer));
        }
        let kind = text::kind(path, buffer);
        let mut out = Scanned { findings: Vec::new(), kind, bytes: 0, allowed: 0 };
        let mut lines = Lines { line: 1, at: 0, start: 0, points: 0 };
        let mut lead = 0;
        loop {
            let end = buffer.len() < WINDOW;
            let upto = if end { buffer.len() } else { buffer.len() - TAIL };
            let hits: Vec<Hit> = self
                .engine
                .scan(buffer, kind.depth())
                .into_iter()
                .filter(|h| h.span.start >= lead && h.span.start < upto)
                .collect();
            self.report(path, buffer, &hits, &mut lines, &mut out);
            if end {
                out.bytes += buffer.len() as u64;
                return Ok(out);
            }
            let keep = upto - LEAD;
            lines.count(buffer, upto);
            lines.shift(keep);
            out.bytes += keep as u64;
            buffer.drain(..keep);
            lead = LEAD;
            fill(reader, buffer, WINDOW)?;
        }
    }

    fn report(&self, path: &BStr, text: &[u8], hits: &[Hit], lines: &mut Lines, out: &mut Scanned) {
        for hit in hits.iter().filter(|h| h.confidence >= self.least) {
            if self.inline && allow::is_allowed_inline(text, hit.span.clone()) {
                out.allowed += 1;
                continue;
            }
            let (rule, about) = match hit.which {
                Which::Table(index) => {
                    let rule = &self.engine.rules().rules()[usize::from(index)];
                    (rule.id.clone(), rule.about.clone())
                }
                Which::BuiltIn(id) => {
                    (id.to_owned(), BUILT_IN.iter().find(|b| b.0 == id).map_or(id, |b| b.1).to_owned())
                }
            };
            let value = &text[hit.span.clone()];
            let (line, column) = lines.place(text, hit.span.start);
            let column_in_points = lines.points.saturating_add(1);
            let inner = memchr::memchr_iter(b'\n', value).count();
            out.findings.push(Finding {
                rule,
                about,
                path: path.to_owned(),
                line,
                column,
                column_in_points,
                end_line: line + u32::try_from(inner).unwrap_or(u32::MAX),
                redacted: redact(&value[..hit.prefix], value.len() - hit.prefix),
                confidence: hit.confidence,
                fingerprint: Fingerprint::of(&self.key, value),
            });
        }
    }
}

/// Fills `buffer` up to `size` bytes or the end of the stream.
fn fill(reader: &mut dyn Read, buffer: &mut Vec<u8>, size: usize) -> io::Result<()> {
    let missing = size.saturating_sub(buffer.len());
    reader.take(missing as u64).read_to_end(buffer).map(|_| ())
}

/// Counts lines forward only.
struct Lines {
    line: u32,
    at: usize,
    /// Where the current line starts; negative when that is in a window that is gone.
    start: isize,
    /// Code points of the current line before `at`.
    points: u32,
}

impl Lines {
    fn count(&mut self, text: &[u8], to: usize) {
        if to <= self.at {
            return;
        }
        let mut rest = self.at;
        for newline in memchr::memchr_iter(b'\n', &text[self.at..to]) {
            self.line = self.line.saturating_add(1);
            rest = self.at + newline + 1;
            self.start = rest as isize;
            self.points = 0;
        }
        let points = text[rest..to].iter().filter(|b| **b & 0xc0 != 0x80).count();
        self.points = self.points.saturating_add(u32::try_from(points).unwrap_or(u32::MAX));
        self.at = to;
    }
    fn place(&mut self, text: &[u8], pos: usize) -> (u32, u32) {
        self.count(text, pos);
        (self.line, u32::try_from(pos as isize - self.start + 1).unwrap_or(u32::MAX))
    }
    fn shift(&mut self, by: usize) {
        self.at -= by;
        self.start -= by as isize;
    }
}

/// Scans everything that `items` yields on `threads` threads.
///
/// `load` fills a buffer that is reused, or gives a stream for what is too large; `done` is told in any order. Memory is
/// bounded by one window per thread. Setting `cancel` ends it after the items in work. Items are pulled one batch at a time.
pub fn scan_all<T, I, L, D>(scanner: &Scanner, items: I, threads: usize, cancel: &AtomicBool, load: L, done: D)
where
    T: Send,
    I: Iterator<Item = T> + Send,
    L: Fn(&Scanner, &T, &mut Vec<u8>) -> io::Result<Scanned> + Sync,
    D: Fn(T, io::Result<Scanned>) + Sync,
{
    let items = Mutex::new(items);
    let work = || {
        let mut buffer = Vec::new();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if let Ok(mut items) = items.lock() {
                batch.extend(items.by_ref().take(BATCH));
            }
            if batch.is_empty() {
                return;
            }
            for item in batch.drain(..) {
                if cancel.load(Ordering::Relaxed) {
                    return;
                }
                buffer.clear();
                let scanned = load(scanner, &item, &mut buffer);
                done(item, scanned);
                if buffer.capacity() > 2 * WINDOW {
                    buffer = Vec::new();
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
}

/// Items that a thread takes at a time.
const BATCH: usize = 16;
