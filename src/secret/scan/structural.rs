//! Secrets that are known by the structure around them: URLs, headers, key armour, JSON web keys, command lines.
//!
//! Each function is called at a trigger, looks at a bounded window and gives the span of the secret.

use std::ops::Range;

use bstr::ByteSlice as _;
use data_encoding::{BASE64, BASE64_NOPAD};

use super::classify::{self, Name, Place};
use super::finding::Confidence;
use super::placeholder as ph;

/// A span and how sure it is.
pub type Span = (Range<usize>, Confidence);

/// The password of `scheme://user:password@host` whose `://` is at `pos`.
pub fn url(text: &[u8], pos: usize) -> Option<Span> {
    let start = pos + 3;
    let window = &text[start..text.len().min(start + 512)];
    let end =
        window.iter().position(|b| b.is_ascii_whitespace() || b"\"'`<>\\^|,;".contains(b)).unwrap_or(window.len());
    let authority = &window[..end];
    // a password may hold `/` or `#` where somebody forgot to escape it, but then the `@` must still come before a path
    let hard = authority.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(authority.len());
    let at = authority[..hard].rfind_byte(b'@').or_else(|| late_at(authority, hard))?;
    let info = &authority[..at];
    let host = &authority[at + 1..];
    if host.first().is_none_or(|b| !(b.is_ascii_alphanumeric() || b"[{$<%.(".contains(b))) {
        return None;
    }
    match info.find_byte(b':') {
        Some(colon) => {
            let password = &info[colon + 1..];
            let span = start + colon + 1..start + at;
            password_in_url(&info[..colon], password).map(|sure| (span, sure))
        }
        None => {
            let place = Place { quoted: true, assigned: true, spaced: false, next: None, vendor: false };
            let sure = if info.len() >= 20 { classify::judge(info, Name::Weak, place)? } else { return None };
            Some((start..start + at, sure))
        }
    }
}

fn late_at(authority: &[u8], hard: usize) -> Option<usize> {
    let colon = authority[..hard].find_byte(b':')?;
    let port = authority[colon + 1..hard].iter().all(u8::is_ascii_digit);
    let at = authority.find_byte(b'@')?;
    (!port && at < hard + 40 && at > colon && !authority[colon..at].contains(&b'=')).then_some(at)
}

fn password_in_url(user: &[u8], password: &[u8]) -> Option<Confidence> {
    if password.is_empty() || password.len() > 256 || ph::is_template(password) || password.starts_with(b"$") {
        return None;
    }
    let lower = password.to_ascii_lowercase();
    let masked = password.iter().all(|b| b"*x.X#-_".contains(b))
        || lower.find(b"xxxx").is_some()
        || lower.find(b"your").is_some();
    let braces = password.iter().any(|b| b"{}()[]".contains(b)) && classify_noise(password) == 0;
    if masked
        || braces
        || ph::is_shouted(password)
        || lower.find(b"redacted").is_some()
        || lower.find(b"placeholder").is_some()
    {
        return None;
    }
    let stand_in = matches!(
        &lower[..],
        b"password"
            | b"pass"
            | b"passwd"
            | b"pwd"
            | b"secret"
            | b"token"
            | b"p"
            | b"pw"
            | b"user"
            | b"bar"
            | b"foo"
            | b"test"
    );
    Some(if stand_in || user.eq_ignore_ascii_case(password) || user.is_empty() && password.len() < 6 {
        Confidence::Low
    } else {
        Confidence::Medium
    })
}

fn classify_noise(value: &[u8]) -> usize {
    super::language::letters(value).noise
}

/// The credentials after `Bearer `, `Basic ` or another scheme word that ends at `pos`.
pub fn header(text: &[u8], pos: usize, basic: bool) -> Option<Span> {
    let blank = text[pos..text.len().min(pos + 8)].iter().take_while(|b| **b == b' ' || **b == b'\t').count();
    let start = pos + blank;
    let window = &text[start..text.len().min(start + 4096)];
    let len = window.iter().take_while(|b| b.is_ascii_alphanumeric() || b"._~+/=-:|".contains(b)).count();
    let value = &window[..len];
    if blank == 0 || ph::is_template(window) || ph::is_stand_in(value) {
        return None;
    }
    if basic {
        let user_and_password = decode64(value).filter(|raw| raw.is_ascii())?;
        let colon = user_and_password.find_byte(b':')?;
        let printable = user_and_password.iter().all(|b| (b' '..=b'~').contains(b));
        return (printable && colon + 1 < user_and_password.len() && value.len() >= 8)
            .then_some((start..start + len, Confidence::High));
    }
    if value.len() < 12 || ph::distinct(value) < 6 {
        return None;
    }
    let letters = super::language::letters(value);
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let random = letters.noise + digits + letters.short / 2;
    (random * 100 >= value.len() * 40 && (digits > 0 || letters.noise >= 10))
        .then_some((start..start + len, Confidence::Medium))
}

/// Base64 with or without padding.
pub fn decode64(value: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(value).or_else(|_| BASE64_NOPAD.decode(value.trim_end_with(|c| c == '='))).ok()
}

/// The private key whose `BEGIN ` is at `pos`: from the dashes to the end mark, at most 16 KiB.
pub fn private_key(text: &[u8], pos: usize) -> Option<Span> {
    let dashes = text[..pos].iter().rev().take(6).take_while(|b| **b == b'-' || **b == b' ').count();
    let label = &text[pos..text.len().min(pos + 64)];
    let kind = label.find(b"PRIVATE KEY")?;
    if dashes < 3 || label[..kind].contains(&b'\n') {
        return None;
    }
    let mut body = pos + kind + 11;
    body += text[body..text.len().min(body + 16)].iter().take_while(|b| b"- BLOCK".contains(b)).count();
    let window = &text[body..text.len().min(body + 16384)];
    // up to the next dashes: another key's beginning ends this one as well
    let end = window.find(b"-----").or_else(|| window.find(b"---- END")).unwrap_or(window.len().min(4096));
    let content = &window[..end];
    let mut payload = 0_usize;
    let mut seen = [0_u8; 4096];
    let mut escaped = false;
    for &b in content {
        let skip = escaped;
        escaped = b == b'\\' && !escaped;
        if !skip && (b.is_ascii_alphanumeric() || b == b'+' || b == b'/') && payload < seen.len() {
            seen[payload] = b;
            payload += 1;
        } else if b == b'.' && content.find(b"...").is_some() && payload < 64 {
            return None;
        }
    }
    let used = &seen[..payload];
    if payload < 24 || ph::distinct(used) < 12 && payload < 200 || ph::is_monotone(used) && payload < 200 {
        return None;
    }
    let letters = super::language::letters(&used[..payload.min(200)]);
    if letters.noise * 3 < letters.wordy && payload < 100 {
        return None;
    }
    let known = used.starts_with(b"MI") || used.starts_with(b"b3BlbnNzaC1rZXktdjE") || used.starts_with(b"lQ");
    let sure = if known && payload > 64 { Confidence::Certain } else { Confidence::High };
    Some((pos - dashes..body + end, sure))
}

/// The private part of the JSON web key whose `kty` is at `pos`.
pub fn jwk(text: &[u8], pos: usize) -> Option<Span> {
    let floor = pos.saturating_sub(4096);
    let from = text[floor..pos].rfind_byte(b'{').map_or(floor, |at| floor + at);
    let window = &text[from..text.len().min(pos + 4096)];
    // another object's beginning ends this one as well, so many in a row cost no more than one
    let after = pos - from;
    let close = window[after..].iter().position(|b| matches!(b, b'{' | b'}')).map_or(window.len(), |at| after + at);
    let object = &window[..close];
    for member in [&b"d"[..], b"k"] {
        let mut at = 0;
        while let Some(found) = object[at..].find(member) {
            let name = at + found;
            at = name + 1;
            let quote = name.checked_sub(1).map(|q| object[q]);
            let open = object.get(name + 1).copied();
            if !matches!(quote, Some(b'"' | b'\'')) || !(open == quote || open == Some(b'\\')) {
                continue;
            }
            let gap = object[name + 2..].iter().take_while(|b| b" \t\r\n:\"'\\".contains(b)).count();
            let start = name + 2 + gap;
            let len = object[start..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-+/=".contains(b)).count();
            let colon = object[name + 2..start].contains(&b':');
            if colon && len >= 20 && ph::distinct(&object[start..start + len]) >= 8 {
                return Some((from + start..from + start + len, Confidence::High));
            }
        }
    }
    None
}

/// `-u user:password` and the like on the command line whose program name ends at `pos`.
pub fn command_line(text: &[u8], pos: usize) -> Option<Span> {
    let window = &text[pos..text.len().min(pos + 400)];
    let mut end = 0;
    while let Some(newline) = window[end..].find_byte(b'\n') {
        end += newline + 1;
        if newline == 0 || !window[..end - 1].trim_end().ends_with(b"\\") {
            break;
        }
    }
    let line = if end == 0 { window } else { &window[..end] };
    for (flag, pair) in [(&b" -u"[..], true), (b" --user", true), (b" -p", false), (b" --password", false)] {
        let Some(found) = line.find(flag) else { continue };
        let mut at = found + flag.len();
        let before = at;
        at += line[at..].iter().take_while(|b| b" =\"'".contains(b)).count();
        if at == before {
            continue;
        }
        let len = line[at..].iter().take_while(|b| !b.is_ascii_whitespace() && !b"\"'`\\|;".contains(b)).count();
        let word = &line[at..at + len];
        let skip = if pair { word.find_byte(b':').map(|c| c + 1) } else { Some(0) };
        let Some(skip) = skip else { continue };
        let value = &word[skip..];
        let plain = value.len() >= 4
            && !ph::is_template(value)
            && !ph::is_stand_in(value)
            && !value.starts_with(b"$")
            && !value.starts_with(b"-");
        let telling = value.iter().any(u8::is_ascii_digit) || classify_noise(value) > 0 || pair && value.len() >= 6;
        if plain
            && telling
            && !value.iter().all(|b| b.is_ascii_digit() || *b == b':')
            && !ph::is_place(value)
            && !value.starts_with(b"//")
        {
            return Some((pos + at + skip..pos + at + len, Confidence::Medium));
        }
    }
    None
}

/// Whether the assignment at `name` is a member of a connection string: `Server=…;Uid=…;Pwd=…`.
pub fn in_connection_string(text: &[u8], name: usize) -> bool {
    let floor = name.saturating_sub(320);
    let before = &text[floor..name];
    let line = before.rfind_byte(b'\n').map_or(before, |at| &before[at + 1..]).to_ascii_lowercase();
    let telling = [
        &b"server="[..],
        b"data source=",
        b"datasource=",
        b"uid=",
        b"user id=",
        b"userid=",
        b"user=",
        b"host=",
        b"username=",
        b"driver={",
        b"initial catalog=",
        b"database=",
        b"address=",
        b"provider=",
    ];
    line.trim_end().ends_with(b";") && telling.iter().any(|t| line.find(t).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(text: &'a str, mark: &str, f: impl Fn(&[u8], usize) -> Option<Span>) -> Option<&'a str> {
        let pos = text.find(mark).expect("the mark is in the sample");
        f(text.as_bytes(), pos).filter(|s| s.1 > Confidence::Low).map(|s| &text[s.0])
    }

    #[test]
    fn urls() {
        assert_eq!(at("x postgres://u:s3cr3tZ@db:5432/x", "://", url), Some("s3cr3tZ"));
        assert_eq!(at("amqp://u:a/b#c9@host/", "://", url), Some("a/b#c9"));
        for clean in [
            "http://h:8080/a@b",
            "https://u:${P}@h",
            "https://u:$P@h",
            "http://h/x:y@z",
            "ftp://u:****@h",
            "http://a:b",
        ] {
            assert_eq!(at(clean, "://", url), None, "{clean}");
        }
    }

    #[test]
    fn headers_and_command_lines() {
        let basic = format!("Basic {}", BASE64.encode(b"user:pa55word"));
        assert!(header(basic.as_bytes(), 5, true).is_some());
        assert!(header(b"Basic authentication is", 5, true).is_none());
        assert!(header(b"Bearer 38bb7b318cc6898c80317decb345", 6, false).is_some());
        assert!(header(b"Bearer authentication_tokens", 6, false).is_none());
        assert_eq!(at("curl -u me:hx73kdq http://x", " -u", |t, _| command_line(t, 4)), Some("hx73kdq"));
        assert_eq!(at("curl -u me:$PASS http://x", " -u", |t, _| command_line(t, 4)), None);
    }

    #[test]
    fn jwk_private_part() {
        let key = r#"{"kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
        assert_eq!(at(key, "kty", jwk).map(str::len), Some(43));
        assert_eq!(at(r#"{"kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}"#, "kty", jwk), None);
    }
}
