//! Makes bytes that came from a box harmless for a terminal.

/// `text` with every control character (C0, DEL, C1), bidirectional override and other invisible
/// format character written as `\u{…}`. Newline and tab are escaped too: the result is one line.
pub fn printable(text: &str) -> String {
    escape(text, |_| false)
}

/// As [`printable`], keeping newlines and tabs: for logs and diffs.
pub fn printable_lines(text: &str) -> String {
    escape(text, |c| c == '\n' || c == '\t')
}

/// As [`printable`], for bytes of any encoding; invalid UTF-8 becomes `\xNN`.
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// `text` without colours (`ESC [ … m`): for output of a build, which is shown line by line and escaped.
pub fn without_colour(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').strip_prefix('m') {
            Some(rest) => out.push_str(rest),
            None => out.extend(["\u{1b}[", part]),
        }
    }
    out
}

/// As [`printable_lines`] for a JSON document, which stays the same document: JSON has an escape of its own.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let mut units = [0; 2];
    for c in document.chars() {
        if c == '\n' || !acts(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) || !acts(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
    out
}

/// Whether a terminal does something else than show it.
fn acts(c: char) -> bool {
    (c.is_control() || is_deceptive(c)) && !crate::without::without("terminal-escaping")
}

/// Bidirectional controls, zero-width characters and tag characters: they change what a reader sees
/// without being seen (Unicode Technical Report 36, "Trojan Source").
fn is_deceptive(c: char) -> bool {
    matches!(u32::from(c), 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

/// `1 commit`, `3 commits`: a number with its noun (regular plurals only).
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_are_taken_out() {
        assert_eq!(without_colour("a\u{1b}[91mb\u{1b}[0;1mc\u{1b}[m"), "abc");
        assert_eq!(without_colour("\u{1b}[2J\u{1b}]0;x"), "\u{1b}[2J\u{1b}]0;x");
    }

    #[test]
    fn control_and_bidi_never_pass() {
        let hostile = "a\u{1b}]52;c;AAAA\u{7}\u{9b}31m\u{202e}b\r\n";
        let shown = printable(hostile);
        assert!(shown.chars().all(|c| !c.is_control()), "{shown}");
        assert!(!shown.contains('\u{202e}'));
        assert_eq!(printable_lines("a\tb\nc\r"), "a\tb\nc\\u{d}");
        assert_eq!(printable_bytes(b"x\xff\x1b"), "x\\xff\\u{1b}");
        assert_eq!(printable("héllo wörld"), "héllo wörld");
        let value = serde_json::json!({"a": "x\u{9b}2J \u{202e} \u{e0041} ö"});
        let shown = json(&value.to_string());
        assert_eq!(shown, "{\"a\":\"x\\u009b2J \\u202e \\udb40\\udc41 ö\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
