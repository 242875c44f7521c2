//! Values that are source code, a pattern or a format, and no literal.

use bstr::ByteSlice as _;

/// Whether `value` is code: a call, a subscript, a member, an expression.
pub fn is_code(value: &[u8]) -> bool {
    let has = |part: &[u8]| value.find(part).is_some();
    if has(b"()")
        || has(b"->")
        || has(b"::")
        || has(b"=>")
        || has(b"[\"")
        || has(b"['")
        || has(b"\" +")
        || has(b"' +")
        || has(b"+ ")
    {
        return true;
    }
    // name(…  name[…  name.member
    let head = value.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count();
    if head > 2 && matches!(value.get(head), Some(b'(' | b'[')) && super::language::letters(&value[..head]).noise == 0 {
        return true;
    }
    let lookups = [
        &b"process.env"[..],
        b"os.environ",
        b"getenv",
        b"env.",
        b"config.",
        b"self.",
        b"this.",
        b"request.",
        b"req.",
        b"params.",
        b"settings.",
        b"secrets.",
        b"vars.",
        b"var.",
        b"local.",
        b"data.",
        b"props.",
        b"options.",
        b"args.",
        b"ctx.",
        b"credentials.",
        b"module.",
        b"opts.",
        b"user.",
        b"input.",
        b"ENV[",
        b"values.",
        b"Values.",
        b"System.",
    ];
    lookups.iter().any(|l| value.starts_with(l))
}

/// Whether `value` is a regular expression: a range in brackets, a group, parentheses and bars that are escaped.
pub fn is_pattern(value: &[u8]) -> bool {
    const RANGES: &[&[u8]] = &[b"a-z", b"A-Z", b"0-9", b"a-f", b"A-F", b"\\d", b"\\w", b"\\s"];
    let bracket = value.find_byte(b'[').and_then(|open| Some(&value[open..open + value[open..].find_byte(b']')?]));
    let escaped = value.windows(2).filter(|w| w[0] == b'\\' && matches!(w[1], b'(' | b')' | b'|' | b'.')).count();
    bracket.is_some_and(|set| RANGES.iter().any(|range| set.find(range).is_some()))
        || value.find(b"(?:").is_some()
        || escaped >= 2
}

/// Whether bytes are written as escapes: test vectors and magic numbers.
pub fn has_escapes(value: &[u8]) -> bool {
    let escapes = |of: fn(u8) -> bool| value.windows(2).filter(|w| w[0] == b'\\' && of(w[1])).count();
    escapes(|b| matches!(b, b'x' | b'0'..=b'7' | b'u')) >= 2 || escapes(|b| matches!(b, b'n' | b't')) >= 1
}

/// Whether there is a conversion of printf: `%02x`, `%s`, `%.16llx`.
pub fn has_format(value: &[u8]) -> bool {
    if value.windows(2).filter(|w| w[0] == b'%' && b"cdsuxo".contains(&w[1])).count() > 2 {
        return true;
    }
    value.iter().enumerate().filter(|(_, b)| **b == b'%').any(|(at, _)| {
        let rest = &value[at + 1..value.len().min(at + 8)];
        let flags = rest.iter().take_while(|b| b"0123456789.*#lhz-".contains(b)).count();
        let hex_pair = rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
        (!hex_pair || flags > 2)
            && rest.get(flags).is_some_and(|b| b"dsxXuipc".contains(b))
            && (flags > 0 || value.len() < 16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_patterns() {
        for v in ["[0-9A-Fa-f]{1,4}", "(?:[0-9]{1,3}\\.){3}", "\\.\\(Z\\|gz\\)$", "[a-zA-Z](?:[a-zA-Z0-9-]*)"] {
            assert!(is_pattern(v.as_bytes()), "{v}");
        }
        assert!(!is_pattern(b"aB3[xQz]9+Rk") && !is_pattern(b"s3cr3t\\.x"));
        assert!(is_code(b"os.environ.get(") && is_code(b"get_token()") && !is_code(b"q8(x!Z"));
    }
}
