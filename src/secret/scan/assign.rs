//! Reads what stands after a name: `name = "value"` in the many ways in which source, configuration, shells and markup say it.
//!
//! Every step looks at a bounded number of bytes, so a hit costs the same on a line of 80 bytes and on one of 100 MB.

use std::ops::Range;

/// How name and value are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// `=`, `:`, `=>`, `:=` and the like.
    Assign,
    /// `==`, `!=`.
    Compare,
    /// A comma or an opening parenthesis: an argument.
    Argument,
    /// `<name>value</name>`.
    Element,
    /// Only space, or the value is glued to the name by a dash.
    Beside,
}

/// One name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name, with everything that is joined to it by `_`, `-`, `.`.
    pub name: Range<usize>,
    /// The value without quotes.
    pub value: Range<usize>,
    /// Whether quotes stood around it.
    pub quoted: bool,
    /// What joins them.
    pub join: Join,
    /// Whether blanks stood around the operator.
    pub spaced: bool,
}

const NAME: usize = 80;
const GAP: usize = 48;
/// The longest value that is read: a JWT or an encrypted blob, not a picture.
pub const VALUE: usize = 2048;
/// The longest value without quotes.
const BARE: usize = 768;

fn in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$')
}

/// The extent of the name around `pos`.
pub fn name_around(text: &[u8], pos: usize) -> Range<usize> {
    let floor = pos.saturating_sub(NAME);
    let left = text[floor..pos].iter().rev().take_while(|b| in_name(**b)).count();
    let ceiling = text.len().min(pos + NAME);
    let right = text[pos..ceiling].iter().take_while(|b| in_name(**b)).count();
    pos - left..pos + right
}

/// The assignment whose name is `name`, if there is one on the same line, or on the next one in the shapes that formats give it there.
pub fn after(text: &[u8], name: Range<usize>) -> Option<Assignment> {
    let mut at = name.end;
    let limit = text.len().min(at + GAP);
    // `${NAME:s/a/b/}` reads the variable; `${NAME:-value}` says what it is without it
    if text[..name.start].ends_with(b"${") {
        let default = [&b":-"[..], b":=", b"-", b"="].into_iter().find(|mark| text[at..limit].starts_with(mark))?;
        let found = value(text, name, at + default.len(), Join::Assign, false)?;
        let close = text[found.value.clone()].iter().position(|b| *b == b'}').map(|len| found.value.start + len);
        let end = close.filter(|_| !found.quoted).unwrap_or(found.value.end);
        return Some(Assignment { value: found.value.start..end, ..found });
    }
    let mut join = None;
    let mut spaced = false;
    // the quote that closes the name, brackets around a subscript
    while at < limit && matches!(text[at], b'"' | b'\'' | b'`' | b'\\' | b']' | b')' | b'*' | b'}') {
        at += 1;
    }
    while at < limit {
        let next = text.get(at + 1).copied();
        match text[at] {
            b' ' | b'\t' => spaced = true,
            b'=' if next == Some(b'=') => {
                join = Some(Join::Compare);
                at += if text.get(at + 2) == Some(&b'=') { 2 } else { 1 };
            }
            b'!' if next == Some(b'=') => {
                join = Some(Join::Compare);
                at += 1;
            }
            b'=' | b':' if join != Some(Join::Compare) => join = Some(Join::Assign),
            // `x <- "v"`, `x || "v"`, `x ?? "v"`
            b'<' if next == Some(b'-') && join.is_none() => {
                join = Some(Join::Assign);
                at += 1;
            }
            b'<' if next == Some(b'/') && join.is_none() => return value_in_next_element(text, name, at),
            b'|' | b'?' if next == Some(text[at]) && join.is_none() => {
                join = Some(Join::Assign);
                at += 1;
            }
            b'>' if join.is_none() => join = Some(Join::Element),
            b'>' | b'?' | b'|' | b'&' | b'+' | b'~' => {}
            b'-' if next == Some(b'>') => {}
            b'-' if matches!(next, Some(b'\n' | b'\r')) && matches!(text[at - 1], b'>' | b'|') => {}
            b'\\' if matches!(next, Some(b'\n' | b'\r')) => {}
            b',' if join.is_none() => match value_of_next_member(text, name.clone(), at) {
                None => join = Some(Join::Argument),
                found => return found,
            },
            b'(' if join.is_none() => join = Some(Join::Argument),
            b'(' | b'[' | b'{' if join.is_some() => {}
            b'{' if text[..name.start].ends_with(b"variable \"") => return value_of_default(text, name, at),
            b'\r' | b'\n' if matches!(join, Some(Join::Assign | Join::Element)) => {
                return value_below(text, name, at, join?);
            }
            b'\r' | b'\n' | b',' => return value_of_next_member(text, name, at),
            b'\'' if text[..at].ends_with(b"&") && next.is_some_and(|b| b.is_ascii_lowercase()) => {} // a lifetime
            b'"' | b'\'' | b'`' | b'\\' => break,
            _ => {
                let Some(skip) = filler(text, at, join) else { break };
                at = skip;
                spaced = true;
                continue;
            }
        }
        at += 1;
    }
    if at >= limit {
        return None;
    }
    let join = join.unwrap_or(if is_set(text, name.start) { Join::Assign } else { Join::Beside });
    value(text, name, at, join, spaced)
}

/// Whether the word before a name says that a value is set: `ENV X v`, `setx X v`, `-x v`, `--x v`.
fn is_set(text: &[u8], name: usize) -> bool {
    let flag = text[name..].starts_with(b"-") && name.checked_sub(1).is_none_or(|at| text[at].is_ascii_whitespace());
    if flag {
        return true;
    }
    let before = &text[name.saturating_sub(12)..name];
    let words = [&b"ENV "[..], b"ARG ", b"setx ", b"SET ", b"set ", b"export "];
    words.iter().any(|w| before.ends_with(w))
}

/// Words and type annotations that stand between a name and its value.
fn filler(text: &[u8], at: usize, join: Option<Join>) -> Option<usize> {
    let rest = &text[at..text.len().min(at + GAP)];
    // FileZilla's `<Pass encoding="base64">`
    let attribute = b"encoding=\"base64\"";
    if join.is_none() && rest.starts_with(attribute) {
        return Some(at + attribute.len());
    }
    let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    if word == 0 {
        // `&str = "…"` after a colon
        return (rest[0] == b'&' && join == Some(Join::Assign)).then_some(at + 1);
    }
    let lower = rest[..word].to_ascii_lowercase();
    if join.is_none()
        && matches!(
            &lower[..],
            b"value" | b"default" | b"is" | b"to" | b"as" | b"val" | b"content" | b"by" | b"env" | b"equals"
        )
    {
        return Some(at + word);
    }
    // a type: identifier characters, brackets and blanks up to one `=` that opens a quoted value
    if join == Some(Join::Assign) || join.is_none() && text[at - 1] == b' ' {
        let equals = rest.iter().position(|b| *b == b'=')?;
        let kind = &rest[..equals];
        let is_type = kind.iter().all(|b| b.is_ascii_alphanumeric() || b"_ <>[]&'.|?:*".contains(b));
        let opens =
            rest[equals + 1..].iter().find(|b| **b != b' ').is_some_and(|b| matches!(b, b'"' | b'\'' | b'`' | b'@'));
        return (is_type && kind.ends_with(b" ") && opens).then_some(at + equals);
    }
    None
}

/// `name: DB_PASSWORD` and below it, or after a comma, `value: …`, as in container specifications.
fn value_of_next_member(text: &[u8], name: Range<usize>, at: usize) -> Option<Assignment> {
    let window = &text[at..text.len().min(at + GAP)];
    let blank = window.iter().take_while(|b| b" \t\r\n,\"'-".contains(b)).count();
    let rest = &window[blank..];
    let word = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let key = rest[..word].to_ascii_lowercase();
    if !matches!(&key[..], b"value" | b"defaultvalue" | b"default" | b"string")
        || window[..blank].iter().filter(|b| **b == b'\n').count() > 1
    {
        return None;
    }
    value_of_key(text, name, at + blank + word)
}

/// The value of the member whose key ends at `end`.
fn value_of_key(text: &[u8], name: Range<usize>, mut end: usize) -> Option<Assignment> {
    let limit = text.len().min(end + GAP);
    let mut joined = false;
    while end < limit && b" \t\"':=>".contains(&text[end]) {
        if joined && matches!(text[end], b'"' | b'\'') {
            break;
        }
        joined |= matches!(text[end], b':' | b'=' | b'>');
        end += 1;
    }
    if joined { value(text, name, end, Join::Assign, true) } else { None }
}

/// `<key>name</key>` and then `<string>…`, as in property lists.
fn value_in_next_element(text: &[u8], name: Range<usize>, at: usize) -> Option<Assignment> {
    let window = &text[at..text.len().min(at + GAP)];
    let close = window.iter().position(|b| *b == b'>')? + 1;
    let blank = window[close..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let open = &window[close + blank..];
    let tag = open.iter().position(|b| *b == b'>')?;
    let known = [&b"<string"[..], b"<value", b"<td", b"<data"].iter().any(|t| open.starts_with(t));
    if known { value(text, name, at + close + blank + tag + 1, Join::Element, false) } else { None }
}

/// `variable "db_password" { … default = "…" }`.
fn value_of_default(text: &[u8], name: Range<usize>, at: usize) -> Option<Assignment> {
    let window = &text[at..text.len().min(at + 4 * GAP)];
    let block = &window[..window.iter().position(|b| *b == b'}').unwrap_or(window.len())];
    let found = block.windows(8).position(|w| &w[..7] == b"default" && matches!(w[7], b' ' | b'='))?;
    value_of_key(text, name, at + found + 7)
}

/// The value on the line below its operator: in quotes, in an element, or as a YAML block.
fn value_below(text: &[u8], name: Range<usize>, at: usize, join: Join) -> Option<Assignment> {
    let window = &text[at..text.len().min(at + GAP)];
    let blank = window.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let start = at + blank;
    if window[..blank].iter().filter(|b| **b == b'\n').count() != 1 {
        return None;
    }
    let block = matches!(text[..at].iter().rev().find(|b| **b != b'-'), Some(b'|' | b'>'));
    let quoted = matches!(text.get(start), Some(b'"' | b'\'' | b'`'));
    // the `>` of an element is a block mark as well, so the element is asked first
    let found = value(text, name, start, join, true).filter(|_| quoted || block)?;
    let ends = text[found.value.end..].iter().take(GAP).find(|b| !b.is_ascii_whitespace()) == Some(&b'<');
    (join != Join::Element || ends).then_some(found)
}

fn value(text: &[u8], name: Range<usize>, mut at: usize, join: Join, spaced: bool) -> Option<Assignment> {
    // string prefixes of several languages: b'', r"", f"", @"", $"", N''
    let prefix = text[at..text.len().min(at + 3)].iter().take_while(|b| b"bBrRuUfF@N".contains(b)).count();
    if prefix > 0 && matches!(text.get(at + prefix), Some(b'"' | b'\'')) {
        at += prefix;
    }
    let escaped = text.get(at) == Some(&b'\\') && matches!(text.get(at + 1), Some(b'"' | b'\''));
    if escaped {
        at += 1;
    }
    let first = *text.get(at)?;
    let limit = text.len().min(at + 1 + VALUE);
    if matches!(first, b'"' | b'\'' | b'`') {
        let mut start = at + 1;
        while start < limit && (text[start] == first || escaped && text[start] == b'\\') && start - at < 4 {
            start += 1; // triple quotes, doubled quotes
        }
        let mut end = start;
        while end < limit && text[end] != first && !matches!(text[end], b'\n' | b'\r') {
            end += if text[end] == b'\\' && !escaped { 2 } else { 1 };
        }
        let mut end = end.min(limit);
        if end >= limit && limit < text.len() {
            return None; // too long for a secret
        }
        if escaped && text[..end].ends_with(b"\\") {
            end -= 1;
        }
        return Some(Assignment { name, value: start..end, quoted: true, join, spaced });
    }
    let limit = limit.min(at + BARE);
    let taken = text[at..limit].iter().take_while(|b| !ends_bare(**b)).count();
    let rest = &text[at + taken..];
    // `NAME: TYPE = …`, `{name!r}` in a string that is a template
    let typed = rest.starts_with(b" = ");
    let field = text[..at].ends_with(b"={") && text[at..at + taken].contains(&b'}');
    if taken == BARE || typed || field {
        return None;
    }
    Some(Assignment { name, value: at..at + taken, quoted: false, join, spaced })
}

fn ends_bare(b: u8) -> bool {
    b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b'>' | b'&' | b'|' | b'\\' | 0)
}

/// The value inside a name such as `vendorSECRET-0123456789abcdef`: what follows the keyword that ends at `end`, and
/// other words that tell of a secret, as in `vendor_secret_key-0123456789abcdef`.
pub fn glued(text: &[u8], name: &Range<usize>, mut end: usize) -> Option<Assignment> {
    let is_joint = |b: &u8| matches!(b, b'-' | b'_' | b'.');
    let (start, joint) = loop {
        let tail = &text[end..name.end.max(end)];
        let dash = tail.iter().position(is_joint)?;
        let start = end + dash + 1;
        let word = text[start..name.end].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let telling = [&b"key"[..], b"token", b"secret", b"value"]
            .iter()
            .any(|w| text[start..start + word].eq_ignore_ascii_case(w));
        if !telling || !text.get(start + word).is_some_and(is_joint) {
            break (start, tail[dash]);
        }
        end = start + word;
    };
    let rest =
        text[start..text.len().min(start + 256)].iter().take_while(|b| in_name(**b) || b"+/=".contains(b)).count();
    let value = &text[start..start + rest];
    // `KEY_COL4__OTHER` is one identifier
    let identifier = value.contains(&b'_') || joint == b'_' && value.iter().filter(|b| b.is_ascii_digit()).count() < 4;
    // `<` begins a template, or what we printed of a secret ourselves
    let template = text.get(start + rest) == Some(&b'<');
    (rest >= 16 && !identifier && !template).then(|| Assignment {
        name: name.start..start - 1,
        value: start..start + rest,
        quoted: false,
        join: Join::Beside,
        spaced: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, bool, Join)> {
        let lower = text.to_ascii_lowercase();
        let pos = lower.find("passw").expect("a name in the sample");
        let found = after(text.as_bytes(), name_around(text.as_bytes(), pos))?;
        Some((text[found.value].to_owned(), found.quoted, found.join))
    }

    #[test]
    fn reads_the_usual_shapes() {
        let quoted = |v: &str, j| Some((v.to_owned(), true, j));
        let bare = |v: &str, j| Some((v.to_owned(), false, j));
        assert_eq!(read("db.password = \"v1\";"), quoted("v1", Join::Assign));
        assert_eq!(read("'password' => 'v1',"), quoted("v1", Join::Assign));
        assert_eq!(read("PASSWORD=v1 next"), bare("v1", Join::Assign));
        assert_eq!(read("password: v1 # c"), bare("v1", Join::Assign));
        assert_eq!(read("let password: &'static str = \"v1\";"), quoted("v1", Join::Assign));
        assert_eq!(read("password: string = 'v1'"), quoted("v1", Join::Assign));
        assert_eq!(read("const SubmitPasswordCreds: SUBMIT_TYPE = 2i32;"), None);
        assert_eq!(read("print(f\"password={password!r}\")"), None);
        assert_eq!(read("echo ${FTP_PASSWD:s!a!b!}"), None);
        assert_eq!(read("echo ${FTP_PASSWD:-v1}"), bare("v1", Join::Assign));
        assert_eq!(read("<password>v1</password>"), bare("v1", Join::Element));
        assert_eq!(read("<add key=\"password\" value=\"v1\"/>"), quoted("v1", Join::Assign));
        assert_eq!(read("set_password(\"v1\")"), quoted("v1", Join::Argument));
        assert_eq!(read("if password == \"v1\""), quoted("v1", Join::Compare));
        assert_eq!(read("{\\\"password\\\":\\\"v1\\\"}"), quoted("v1", Join::Assign));
        assert_eq!(read("- name: PASSWORD\n  value: v1\n"), bare("v1", Join::Assign));
        assert_eq!(read("IDENTIFIED password by 'v1'"), quoted("v1", Join::Beside));
        assert_eq!(read("the password\nnext line"), None);
    }

    #[test]
    fn bounded_on_a_line_without_end() {
        let mut text = b"password=\"".to_vec();
        text.resize(1 << 20, b'"');
        assert!(after(&text, 0..8).is_some_and(|a| a.value.len() < VALUE));
        let mut open = b"password=\"".to_vec();
        open.resize(1 << 20, b'a');
        assert_eq!(after(&open, 0..8), None);
    }
}
