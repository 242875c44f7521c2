//! Files that hold secrets without any name beside them: `.pgpass`, `.htpasswd` and Kubernetes secrets, known by their shape,
//! because a blob of the history has no name of its own.

use std::ops::Range;

use bstr::ByteSlice as _;

use super::placeholder as ph;
use super::structural;

/// Lines that are read at the start of a file before it is something else.
const LINES: usize = 200;
/// The longest line of such a file.
const LINE: usize = 512;

/// The passwords of a file that is nothing but `host:port:database:user:password` lines and comments.
pub fn pgpass(text: &[u8]) -> Vec<Range<usize>> {
    lines(text, |line| {
        let fields: Vec<&[u8]> = line.splitn(5, |b| *b == b':').collect();
        let [host, port, database, user, password] = fields[..] else { return None };
        let word = |f: &[u8]| !f.is_empty() && !f.iter().any(u8::is_ascii_whitespace);
        let number = (3..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
        let address = host == b"*" || host.iter().any(u8::is_ascii_alphabetic) || host.contains(&b'.');
        let known = address && (number || port == b"*") && [host, database, user, password].into_iter().all(word);
        known.then(|| line.len() - password.len()..line.len())
    })
}

/// The hashes of a file that is nothing but `user:hash` lines with traditional crypt hashes (other hashes have formats of
/// their own).
pub fn htpasswd(text: &[u8]) -> Vec<Range<usize>> {
    lines(text, |line| {
        let colon = line.find_byte(b':')?;
        let (user, hash) = (&line[..colon], &line[colon + 1..]);
        let mixed = hash.iter().any(u8::is_ascii_uppercase)
            && hash.iter().any(u8::is_ascii_lowercase)
            && ph::distinct(hash) >= 8
            && super::language::letters(hash).wordy * 2 < hash.len();
        let known = !user.is_empty()
            && user.iter().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(b))
            && hash.len() == 13
            && hash.iter().all(|b| b.is_ascii_alphanumeric() || b"./".contains(b))
            && mixed;
        known.then(|| colon + 1..line.len())
    })
}

/// What `entry` gives for every line, if it gives something for each that is not blank or a comment.
fn lines(text: &[u8], entry: impl Fn(&[u8]) -> Option<Range<usize>>) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut at = 0;
    for _ in 0..LINES {
        let window = text.get(at..text.len().min(at + LINE)).unwrap_or_default();
        if window.is_empty() {
            break;
        }
        let Some(len) = window.find_byte(b'\n').or((window.len() < LINE).then_some(window.len())) else {
            return Vec::new();
        };
        let line = window[..len].trim_end();
        if !line.is_empty() && line[0] != b'#' {
            let Some(span) = entry(line) else { return Vec::new() };
            let value = &line[span.clone()];
            if !ph::is_template(value) && !ph::has_stand_in(value) {
                out.push(at + span.start..at + span.end);
            }
        }
        at += len + 1;
    }
    out
}

/// The whole of a key store with a private key: PKCS#12 (RFC 7292: version 3, then content of type data or signed data; the
/// identifier of a key bag stands in clear), or Java's JKS and JCEKS (the first entry is not a certificate alone).
/// What protects the key in it is a password, which is often known or short.
pub fn key_store(bytes: &[u8]) -> Option<Range<usize>> {
    let magic = |m: u8, n: u8| bytes.starts_with(&[m, n, m, n, 0, 0, 0]);
    let java = (magic(0xfe, 0xed) || magic(0xce, 0xce)) && bytes.get(12..16).is_some_and(|tag| tag != [0, 0, 0, 2]);
    let pkcs12 = || {
        let rest = after_length(bytes.strip_prefix(&[0x30])?)?.strip_prefix(&[2, 1, 3, 0x30])?;
        after_length(rest)?.strip_prefix(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")?;
        let bag = bytes.find(b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01")?;
        bytes.get(bag + 10).filter(|kind| matches!(kind, 1 | 2)).map(|_| ())
    };
    (java || pkcs12().is_some()).then_some(0..bytes.len())
}

/// What follows the length of a DER or BER element that is not cut off.
fn after_length(bytes: &[u8]) -> Option<&[u8]> {
    let (first, rest) = bytes.split_first()?;
    let (length, content) = rest.split_at_checked(if *first < 0x80 { 0 } else { usize::from(first & 0x7f) })?;
    let length = if *first < 0x80 { u64::from(*first) } else { length.iter().fold(0, |n, b| n << 8 | u64::from(*b)) };
    (content.len() as u64 >= length).then_some(content)
}

/// The values of the Kubernetes secret whose `kind: Secret` is at `pos`.
pub fn kubernetes(text: &[u8], pos: usize) -> Vec<Range<usize>> {
    const REACH: usize = 8192;
    let floor = pos.saturating_sub(REACH);
    let from = text[floor..pos].rfind(b"\n---").map_or(floor, |at| floor + at + 1);
    let window = &text[from..text.len().min(pos + REACH)];
    let window = &window[..window[pos - from..].find(b"\n---").map_or(window.len(), |at| pos - from + at)];
    let mut out = Vec::new();
    for (block, encoded) in [(&b"\ndata:"[..], true), (b"\nstringData:", false)] {
        let Some(start) = window.find(block) else { continue };
        let mut at = start + block.len();
        at += window[at..].find_byte(b'\n').map_or(window.len() - at, |end| end + 1);
        while at < window.len() && matches!(window[at], b' ' | b'\t') {
            let len = window[at..].find_byte(b'\n').unwrap_or(window.len() - at);
            if let Some(span) = entry(&window[at..at + len], encoded) {
                out.push(from + at + span.start..from + at + span.end);
            }
            at += len + 1;
        }
    }
    out
}

/// The value of `  name: value`, if it is one that opens something.
fn entry(line: &[u8], encoded: bool) -> Option<Range<usize>> {
    let colon = line.find(b": ")?;
    let value = line[colon + 2..].trim();
    let value = value.trim_with(|c| c == '"' || c == '\'');
    let start = colon + 2 + line[colon + 2..].find(value)?;
    if value.len() < 6 || ph::is_template(value) {
        return None;
    }
    let plain = if encoded { structural::decode64(value)? } else { value.to_vec() };
    let name = super::classify::name(&line[..colon]) > super::classify::Name::Other;
    let opens = plain.len() >= 6 && !ph::is_stand_in(&plain) && !ph::is_place(&plain) && !ph::is_template(&plain);
    (opens && (name || super::language::letters(&plain).noise >= 6)).then_some(start..start + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, f: impl Fn(&[u8]) -> Vec<Range<usize>>) -> Vec<&str> {
        f(text.as_bytes()).into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn pgpass_is_known_by_every_line() {
        let text = "# host:port:database:user:password\ndb.internal:5432:shop:app:q7:Vx2kd\n\n*:*:*:root:zz81kfQm\n";
        assert_eq!(values(text, pgpass), ["q7:Vx2kd", "zz81kfQm"]);
        for clean in [
            "src/a.c:120:5: error: no\n",
            "root:x:0:0:root:/root:/bin/sh\n",
            "db:5432:shop:app:q7Vx2kd\nprose\n",
            "00:11:22:33:44:55\n",
            "db:5432:shop:app:${PGPASSWORD}\n",
            "db:5432:shop:app:changeme\n",
        ] {
            assert!(values(clean, pgpass).is_empty(), "{clean}");
        }
    }

    #[test]
    fn htpasswd_is_known_by_every_line() {
        assert_eq!(values("ann:rX8.kQz1Wv/mT\nbob:aZ3kf.Qx9Lw2E\n", htpasswd).len(), 2);
        for clean in ["ann:configuration\n", "key:aZ3kf.Qx9Lw2E\nother line\n", "time:12345678.0123\n"] {
            assert!(values(clean, htpasswd).is_empty(), "{clean}");
        }
    }

    #[test]
    fn key_stores_are_known_by_their_first_bytes() {
        let mut store = b"\x30\x81\x3b\x02\x01\x03\x30\x36\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01".to_vec();
        store.extend([7; 32]);
        store.extend(b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02");
        assert_eq!(key_store(&store), Some(0..store.len()));
        assert_eq!(key_store(b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x01rest"), Some(0..20));
        // certificates alone are public
        assert_eq!(key_store(b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x02rest"), None);
        assert_eq!(key_store(&[&store[..store.len() - 1], b"\x03"].concat()), None);
        assert!(key_store(&store[..store.len() - 1]).is_none());
        store[5] = 1; // a certificate request or a key of version 1 is something else
        assert!(key_store(&store).is_none() && key_store(b"\x30").is_none() && key_store(b"").is_none());
        assert!(key_store(b"\xfe\xed\xfe\xed text").is_none());
    }

    #[test]
    fn kubernetes_secret_values() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: cTdWeDJrZFpyOQ==\n  host: ZGIuaW50ZXJuYWw=\n---\nkind: ConfigMap\ndata:\n  password: cTdWeDJrZFpyOQ==\n";
        let at = |text: &[u8]| kubernetes(text, text.find(b"kind: Secret").expect("the mark"));
        assert_eq!(values(text, at), ["cTdWeDJrZFpyOQ=="]);
        let plain = "kind: Secret\nstringData:\n  api-token: \"q7Vx2kdZr9\"\n  empty: \"\"\n  other: {{ .Values.x }}\n";
        assert_eq!(values(plain, at), ["q7Vx2kdZr9"]);
    }
}
