//! Values that are plainly not a secret: templates, look-ups, examples, paths, sequences.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use bstr::ByteSlice as _;

/// Parts that make any value a placeholder, lower case.
const PARTS: &[&[u8]] = &[
    b"changeme",
    b"change_me",
    b"change-me",
    b"placeholder",
    b"redacted",
    b"xxxx",
    b"****",
    b"....",
    b"dummy",
    b"replace",
    b"insert",
    b"your_",
    b"your-",
    b"yourp",
    b"yourt",
    b"yours",
    b"youra",
    b"yourk",
    b"_here",
    b"-here",
    b"todo",
    b"fixme",
    b"example",
    b"<your",
    b"enter_",
    b"put_",
    b"undefined",
    b"notreal",
    b"not_real",
    b"not-a-",
    b"fake",
    b"mock",
    b"sample",
    b"my_secret",
    b"my-secret",
    b"mysecret",
    b"my_token",
    b"mytoken",
    b"mypassw",
    b"my_passw",
    b"your ",
    b"some_",
    b"somepass",
    b"foobar",
    b"lorem",
    b"\xe2\x80\xa6",
    b"---",
    b"___",
    b"===",
    b"censored",
    b"hidden",
    b"obfuscated",
    b"removed",
    b"secretsmanager",
    b"gplv",
];

/// Whole values that say nothing, lower case.
const WHOLE: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"secret",
    b"token",
    b"none",
    b"null",
    b"nil",
    b"true",
    b"false",
    b"default",
    b"test",
    b"testing",
    b"admin",
    b"root",
    b"user",
    b"username",
    b"guest",
    b"string",
    b"text",
    b"key",
    b"value",
    b"pass",
    b"foo",
    b"bar",
    b"baz",
    b"empty",
    b"unset",
    b"n/a",
    b"na",
    b"tbd",
    b"abc",
    b"xyz",
    b"qwerty",
    b"unknown",
    b"required",
    b"optional",
    b"hunter",
    b"passphrase",
    b"postgres",
    b"mysql",
    b"redis",
    b"guest1",
    b"a",
    b"s3cret",
    b"pwd",
    b"p4ssw0rd",
    b"pass123",
    b"login",
];

/// Whether `value` is a reference to the value or a template for it: `${X}`, `{{ x }}`, `%s`, `<x>`, `$(…)`, `env(…)`.
pub fn is_template(value: &[u8]) -> bool {
    let Some(&first) = value.first() else { return true };
    let last = value[value.len() - 1];
    let inner = |open: &[u8]| value.find(open).is_some();
    if inner(b"${")
        || inner(b"{{")
        || inner(b"$(")
        || inner(b"<%")
        || inner(b"#{")
        || inner(b"%(")
        || inner(b"{%")
        || inner(b"$[")
        || inner(b"@@")
        || inner(b"[[")
    {
        return true;
    }
    match first {
        b'$' => {
            !value[1..].contains(&b'$')
                && value[1..].iter().all(|b| b.is_ascii_alphanumeric() || b"_.:{}->[]'\"()".contains(b))
        }
        b'<' => last == b'>' || value.contains(&b'>'),
        b'{' => last == b'}' || value[1..].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'),
        b'[' => last == b']',
        b'%' => value.len() <= 3 || last == b'%' || value[1] == b'(',
        b'@' => {
            value[1..].iter().all(|b| b.is_ascii_alphanumeric() || b"_.@".contains(b))
                && !value.iter().any(u8::is_ascii_digit)
        }
        b'_' if value.starts_with(b"__") && value.ends_with(b"__") => true,
        b'*' => value.iter().all(|b| *b == b'*'),
        b'&' => inner(b"&lt;") || inner(b"&amp;lt;"),
        _ => {
            inner(b"%s") && value.len() < 24
                || inner(b"{}")
                || inner(b"{0}")
                || (inner(b"{") && inner(b"}") && brace_name(value))
        }
    }
}

/// `{name}` somewhere inside.
fn brace_name(value: &[u8]) -> bool {
    let (Some(open), Some(close)) = (value.find_byte(b'{'), value.rfind_byte(b'}')) else { return false };
    open < close && value[open + 1..close].iter().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(b))
}

fn has_part(lower: &[u8]) -> bool {
    static PARTS_IN: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    PARTS_IN.get_or_init(|| AhoCorasick::new(PARTS).ok()).as_ref().is_some_and(|all| all.is_match(lower))
}

/// Whether a part of `value` says that it is a placeholder.
pub fn has_stand_in(value: &[u8]) -> bool {
    let lower = value[..value.len().min(256)].to_ascii_lowercase();
    WHOLE.contains(&&lower[..]) || has_part(lower.as_ref())
}

/// Whether most of `value` counts up or down.
pub fn counts(value: &[u8]) -> bool {
    let steps = value.windows(2).filter(|w| w[0].abs_diff(w[1]) == 1 || (w[0], w[1]) == (b'9', b'0')).count();
    steps * 2 >= value.len()
}

/// Whether `value` is a stand-in that documentation and tests use.
pub fn is_stand_in(value: &[u8]) -> bool {
    let mut buffer = [0_u8; 256];
    let take = value.len().min(buffer.len());
    let lower = &mut buffer[..take];
    lower.copy_from_slice(&value[..take]);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let bare = lower.trim_end_with(|c| c.is_ascii_digit() || c == '!' || c == '.' || c == '_' || c == '-');
    WHOLE.contains(&lower)
        || WHOLE.contains(&bare) && lower.len() <= bare.len() + 4
        || has_part(lower)
        || is_monotone(value)
        || counts_in_hex(value)
}

/// Hexadecimal bytes that count: `000102030405…`, as test vectors do.
fn counts_in_hex(value: &[u8]) -> bool {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let steps = value.chunks_exact(2).zip(value.chunks_exact(2).skip(1));
    let up = steps.filter(|(a, b)| byte(a).is_some_and(|a| byte(b) == Some(a.wrapping_add(1)))).count();
    value.len() >= 16 && up * 3 >= value.len()
}

/// Repeated or counting bytes: `aaaaaaaa`, `12345678`, `abcdefgh`, `abababab`.
pub fn is_monotone(value: &[u8]) -> bool {
    if value.len() < 4 {
        return false;
    }
    let pairs = value.len() - 1;
    let step = |d: i16| value.windows(2).filter(|w| i16::from(w[1]) - i16::from(w[0]) == d).count();
    let same = step(0);
    let counting = step(1).max(step(-1));
    same * 10 >= pairs * 7 || counting * 10 >= pairs * 8 || distinct(value) <= 2 + usize::from(value.len() >= 12)
}

/// The number of different bytes.
pub fn distinct(value: &[u8]) -> usize {
    let mut seen = [0_u64; 4];
    for byte in value {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|w| w.count_ones() as usize).sum()
}

/// Whether `value` names a place: a path, a URL, a file, a host.
pub fn is_place(value: &[u8]) -> bool {
    let starts = [
        &b"/"[..],
        b"./",
        b"../",
        b"~/",
        b"http",
        b"file:",
        b"s3:",
        b"arn:",
        b"vault:",
        b"ssm:",
        b"op://",
        b"secret/",
        b"C:\\",
        b"refs/",
        b"@",
    ];
    let path_like = |v: &[u8]| v.iter().filter(|b| **b == b'/').count() >= 2 && super::language::letters(v).noise == 0;
    if value.find(b"://").is_some() || path_like(value) {
        return true;
    }
    if starts.iter().any(|s| value.starts_with(s)) && super::language::letters(value).noise < 8 {
        return true;
    }
    let ends = [
        &b".pem"[..],
        b".key",
        b".json",
        b".yaml",
        b".yml",
        b".txt",
        b".crt",
        b".cer",
        b".pub",
        b".p12",
        b".pfx",
        b".jks",
        b".env",
        b".com",
        b".org",
        b".net",
        b".io",
        b".local",
        b".conf",
        b".ini",
        b".xml",
        b".html",
        b".js",
        b".py",
        b".php",
        b".go",
        b".rs",
        b".asc",
        b".gpg",
        b".sh",
        b".toml",
        b".properties",
        b".md",
        b".log",
    ];
    ends.iter().any(|e| value.ends_with(e))
}

/// Whether `value` is words in capitals, as where a person is to write something else: `REPLACE_WITH_PASSWORD`.
pub fn is_shouted(value: &[u8]) -> bool {
    let words: Vec<&[u8]> = value.split(|b| *b == b'_').collect();
    words.len() > 1 && words.iter().all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_and_templates() {
        for v in [
            "${DB_PASS}",
            "{{ secret }}",
            "<password>",
            "$PASSWORD",
            "%s",
            "%(pass)s",
            "#{x}",
            "$(cat x)",
            "{token}",
            "&lt;x&gt;",
        ] {
            assert!(is_template(v.as_bytes()), "{v}");
        }
        for v in
            ["changeme", "your_token_here", "password", "Password1", "xxxxxxxx", "12345678", "abababab", "AKIAEXAMPLE"]
        {
            assert!(is_stand_in(v.as_bytes()), "{v}");
        }
        for v in ["super$ecret", "s3cr3t!x", "Tr0ub4dor", "a8f5f167f44f4964e6c998dee827110c"] {
            assert!(!is_template(v.as_bytes()) && !is_stand_in(v.as_bytes()), "{v}");
        }
        assert!(is_shouted(b"REPLACE_WITH_PASSWORD") && !is_shouted(b"HUNTER2_X") && !is_shouted(b"PASSWORD"));
        assert!(is_place(b"/etc/ssl/key.pem") && is_place(b"https://x") && !is_place(b"aB3/xQz9+Rk"));
    }
}
