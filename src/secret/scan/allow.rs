//! Accepted findings: comments beside the value, and the list in `.coopallow`.
//!
//! Both are for people. A file in the tree is written by whoever writes the tree, so landing and CI pass `--no-allow`.

use bstr::{BStr, ByteSlice as _};
use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};

use super::finding::{Finding, Fingerprint};

/// Comments that accept a finding on their own line, ours and those of other scanners.
const SAME_LINE: &[&str] = &[
    "coop:allow",
    "gitleaks:allow",
    "betterleaks:allow",
    "kingfisher:ignore",
    "trufflehog:ignore",
    "pragma: allowlist secret",
    "pragma:allowlist secret",
    "pragma: whitelist secret",
    "secretlint-disable-line",
    "noseyparker:ignore",
    "nosecret",
    "ripsecrets:allow",
];
/// Comments that accept a finding on the next line.
const NEXT_LINE: &[&str] =
    &["coop:allow-next", "pragma: allowlist nextline secret", "secretlint-disable-next-line", "betterleaks:allow-next"];

/// How far along a line a comment is looked for: a comment on a minified line does not cover megabytes.
const REACH: usize = 1024;

/// Whether a comment accepts the value at `span`. A value of several lines (a key) may have it on its first or last line
/// or on the line before or after it, because nothing can be written inside.
pub fn is_allowed_inline(text: &[u8], span: std::ops::Range<usize>) -> bool {
    // nothing outside of these is looked at, so many values on one endless line cost no more than on many
    let (floor, ceiling) = (span.start.saturating_sub(REACH), text.len().min(span.end + REACH));
    let line_start = |pos: usize| text[floor..pos].rfind_byte(b'\n').map_or(floor, |at| floor + at + 1);
    let line_end = |pos: usize| text[pos..ceiling].find_byte(b'\n').map_or(ceiling, |at| pos + at);
    let has = |from: usize, to: usize, marks: &[&str]| {
        from < to && {
            let line = text[from..to].to_ascii_lowercase();
            marks.iter().any(|m| line.find(m).is_some())
        }
    };
    let first = line_start(span.start);
    let last = line_end(span.end);
    if has(first, span.start, SAME_LINE) || has(span.end, last, SAME_LINE) {
        return true;
    }
    let before = (first > floor).then(|| (line_start(first - 1), first - 1));
    if before.is_some_and(|(from, to)| has(from, to, NEXT_LINE)) {
        return true;
    }
    let several = text[span.clone()].contains(&b'\n');
    let after = (last < ceiling).then(|| (last + 1, line_end(last + 1)));
    several
        && (before.is_some_and(|(from, to)| has(from, to, SAME_LINE))
            || after.is_some_and(|(from, to)| has(from, to, SAME_LINE)))
}

/// The entries of a `.coopallow`.
#[derive(Debug, Default)]
pub struct AllowList {
    fingerprints: Vec<Fingerprint>,
    places: Vec<(GlobMatcher, Option<String>)>,
}

impl AllowList {
    /// Parses one entry per line: a fingerprint, or `path GLOB`, or `path GLOB RULE`; `#` starts a comment.
    /// Errors: exit 2 with the line number; an entry that is not understood must not silently allow or forbid.
    pub fn parse(text: &str) -> Result<AllowList> {
        let mut out = AllowList::default();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let bad = |why: &str| {
                Error::usage(format!(".coopallow line {}: {why}", number + 1))
                    .hint("an entry is a fingerprint, or: path GLOB [RULE]")
            };
            match words[..] {
                [] => {}
                ["path", glob] => out.places.push((matcher(glob).map_err(|e| bad(&e))?, None)),
                ["path", glob, rule] => out.places.push((matcher(glob).map_err(|e| bad(&e))?, Some(rule.to_owned()))),
                [hex] => out.fingerprints.push(Fingerprint::parse(hex).ok_or_else(|| bad("not a fingerprint"))?),
                _ => return Err(bad("not understood")),
            }
        }
        Ok(out)
    }

    /// Whether `finding` is accepted.
    pub fn allows(&self, finding: &Finding) -> bool {
        let path: &BStr = finding.path.as_ref();
        self.fingerprints.contains(&finding.fingerprint)
            || self.places.iter().any(|(glob, rule)| {
                rule.as_ref().is_none_or(|r| *r == finding.rule) && glob.is_match(path.to_path_lossy())
            })
    }
}

fn matcher(glob: &str) -> Result<GlobMatcher, String> {
    GlobBuilder::new(glob).literal_separator(true).build().map(|g| g.compile_matcher()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_cover_their_line_and_keys() {
        let span = |text: &str| {
            let start = text.find("VALUE").expect("value");
            let end = text.rfind("VALUE").expect("value") + 5;
            is_allowed_inline(text.as_bytes(), start..end)
        };
        assert!(span("a = VALUE # coop:allow\n"));
        assert!(span("a = VALUE // pragma: allowlist secret"));
        assert!(span("# coop:allow-next\na = VALUE\n"));
        assert!(!span("a = VALUE\n# coop:allow\n") && !span("# coop:allow\na = VALUE\n"));
        assert!(
            span("# gitleaks:allow\nVALUE\nb\nVALUE\n")
                && span("VALUE\nb\nVALUE # coop:allow")
                && span("VALUE\nVALUE\n# coop:allow\n")
        );
    }

    #[test]
    fn list_entries_are_checked() {
        assert!(AllowList::parse("# c\n00112233445566778899aabbccddeeff\npath tests/** generic-secret\n").is_ok());
        for bad in ["0011", "path", "path a b c", "path [", "allow everything please"] {
            assert_eq!(AllowList::parse(bad).expect_err(bad).kind().code(), 2);
        }
    }
}
