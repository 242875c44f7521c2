//! Decides whether a value that was assigned to a telling name is a secret.

use super::expression;
use super::finding::Confidence;
use super::language;
use super::placeholder as ph;

/// What the name of a value says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Names a thing around a secret (its id, its path, its length) or nothing at all.
    Other,
    /// `key`, `auth`, `access`, `salt`: secret only if the value looks very random.
    Weak,
    /// `token`, `secret`, `api_key`, `credential`.
    Secret,
    /// `password`, `passphrase`, `pwd`.
    Password,
}

/// What `name` says. Looks at its words only, so `dbPassword`, `DB_PASSWORD` and `db-password` are the same.
pub fn name(name: &[u8]) -> Name {
    let mut best = Name::Other;
    let mut last = [0_u8; 64];
    let mut last_len = 0;
    let mut public = false;
    let mut previous_api = false;
    let (mut short_last, mut long) = (false, Name::Other);
    language::for_each_word(name, |word| {
        let strength = word_strength(word, previous_api);
        previous_api = language::QUALIFIES_KEY.has(word);
        public |= language::PUBLIC.has(word);
        best = best.max(strength);
        // `pass` says password only at the end of a name: not in `pass_through`, not in `pwd_too_short`
        short_last = matches!(word, b"pass" | b"pwd" | b"psw" | b"pwds" | b"pw");
        if !short_last {
            long = long.max(strength);
        }
        last_len = word.len().min(64);
        last[..last_len].copy_from_slice(&word[..last_len]);
    });
    if language::AROUND.has(&last[..last_len]) || public {
        Name::Other
    } else if short_last {
        best
    } else {
        long
    }
}

fn word_strength(word: &[u8], after_api: bool) -> Name {
    let has = |part: &[u8]| word.windows(part.len()).any(|w| w == part);
    match word {
        b"pass" | b"pwd" | b"passwd" | b"psw" | b"passw" | b"pwds" | b"pw" => Name::Password,
        b"key" | b"keys" if after_api => Name::Secret,
        _ if language::INNOCENT.has(word) => Name::Other,
        _ if language::WEAK.has(word) => Name::Weak,
        _ if has(b"passw")
            || has(b"passphrase")
            || word.ends_with(b"pwd")
            || has(b"passwd")
            || word.ends_with(b"pass") && word.len() <= 8 =>
        {
            Name::Password
        }
        _ if has(b"secret")
            || word.ends_with(b"token")
            || has(b"apikey")
            || has(b"credential")
            || has(b"accesskey")
            || has(b"authkey")
            || has(b"privatekey")
            || has(b"privkey")
            || has(b"secretkey")
            || has(b"authtoken") =>
        {
            Name::Secret
        }
        _ if word.ends_with(b"key") && word.len() > 5 && !language::INNOCENT.has(word) => Name::Weak,
        _ => Name::Other,
    }
}

/// Where and how the value stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Quotes around it.
    pub quoted: bool,
    /// The operator is an assignment (not a comparison, an argument or mere neighbourhood).
    pub assigned: bool,
    /// Blanks around the operator: more like source code than like an environment file.
    pub spaced: bool,
    /// The byte after an unquoted value.
    pub next: Option<u8>,
    /// The name of a service stands near.
    pub vendor: bool,
}

/// Counts of byte classes.
#[derive(Debug, Default, Clone, Copy)]
struct Shape {
    lower: usize,
    upper: usize,
    digit: usize,
    joint: usize,
    other: usize,
    space: usize,
    high: usize,
}

fn shape(value: &[u8]) -> Shape {
    let mut s = Shape::default();
    for byte in value {
        *match byte {
            b'a'..=b'z' => &mut s.lower,
            b'A'..=b'Z' => &mut s.upper,
            b'0'..=b'9' => &mut s.digit,
            b'_' | b'-' | b'.' | b'/' | b':' => &mut s.joint,
            b' ' | b'\t' => &mut s.space,
            0x80.. => &mut s.high,
            _ => &mut s.other,
        } += 1;
    }
    s
}

/// Judges `value`; `None` is not a secret.
pub fn judge(value: &[u8], name: Name, place: Place) -> Option<Confidence> {
    if place.quoted && name >= Name::Secret && is_generated(value, shape(value)) {
        return Some(Confidence::Medium);
    }
    if value.len() < 4 || value.len() > super::assign::VALUE || ph::is_template(value) || ph::is_place(value) {
        return None;
    }
    if expression::is_code(value) && !(place.quoted && name == Name::Password) {
        return None;
    }
    if expression::has_escapes(value) || expression::has_format(value) || expression::is_pattern(value) {
        return None;
    }
    // the next name of a list of options, and what a usage text says of one
    let next_name = value.strip_suffix(b"=").is_some_and(|name| name.iter().all(u8::is_ascii_alphabetic));
    if !place.quoted && (next_name || value.starts_with(b"-[")) {
        return None;
    }
    let s = shape(value);
    if place.vendor && name > Name::Other && beside_vendor(value, s) {
        return Some(Confidence::Medium);
    }
    if ph::is_stand_in(value) {
        return None;
    }
    if s.high * 4 > value.len() || s.space > 0 && (name != Name::Password || s.space > 2) {
        return None;
    }
    let l = language::letters(value);
    match name {
        Name::Password => password(value, s, l, place),
        Name::Secret => token(value, s, l, place, 8),
        Name::Weak => token(value, s, l, place, 16),
        Name::Other => None,
    }
}

/// A long value of all classes without a blank: what a generator of keys gives, and nobody writes.
fn is_generated(value: &[u8], s: Shape) -> bool {
    (32..=160).contains(&value.len())
        && s.space + s.high == 0
        && s.digit >= 3
        && s.other * 6 >= value.len()
        && s.lower >= 4
        && ph::distinct(value) >= 18
        && language::letters(value).wordy * 3 < value.len()
        && !value.windows(2).any(|w| matches!(w, b"${" | b"{{" | b"%s" | b"()" | b"=>" | b"\\x" | b"\\u"))
}

/// Beside the name of a service a value need not look random: services number their keys, and documentation counts.
fn beside_vendor(value: &[u8], s: Shape) -> bool {
    let plain = s.space + s.high == 0 && value.iter().all(|b| b.is_ascii_alphanumeric() || b"_-.+/=".contains(b));
    if !plain
        || value.len() < 12
        || ph::has_stand_in(value)
        || ph::distinct(value) < 4
        || s.joint * 4 > value.len() && !is_uuid(value)
    {
        return false;
    }
    let letters = s.lower + s.upper;
    // a number with its type, a date
    if letters <= 3
        && s.joint + s.digit + letters == value.len()
        && s.digit < 20
        && !value.windows(2).any(|w| w.iter().all(u8::is_ascii_hexdigit) && w[0].is_ascii_alphabetic())
    {
        return false;
    }
    // a package or an interface that is named after a day
    let day = value.len().saturating_sub(8);
    let named = value[..day].iter().all(|b| b.is_ascii_lowercase() || *b == b'-');
    if named && s.digit == 8 && (value[day..].starts_with(b"20") || value[day..].starts_with(b"19")) {
        return false;
    }
    let l = language::letters(value);
    let counted = ph::counts(value);
    let words = l.wordy * 2 > letters && !counted;
    s.digit >= 4 && !words && letters > 0
        || s.digit >= 20
        || value.len() >= 20 && !words && (counted || l.noise * 2 > letters)
}

fn password(value: &[u8], s: Shape, l: language::Letters, place: Place) -> Option<Confidence> {
    let letters = s.lower + s.upper;
    if letters == 0 || s.space > 0 && l.noise == 0 || is_uuid(value) || value.starts_with(b"0x") {
        return None;
    }
    // a command in backticks, the address that anonymous FTP asks for
    if s.space > 0 && value.contains(&b'$') || is_address(value) {
        return None;
    }
    if !place.quoted {
        // unquoted text is an expression unless it looks like nothing that an expression could be
        let identifier = s.other == 0 && s.digit == 0;
        let ends_statement = matches!(place.next, Some(b';' | b')' | b',' | b'.' | b'\\'));
        if identifier && l.noise < 6
            || ends_statement && s.other == 0 && (l.noise < 8 || value.contains(&b'_')) && place.spaced
        {
            return None;
        }
        if value.iter().any(|b| b"(){}[]".contains(b)) && l.noise == 0 || !place.assigned && l.noise < 6 && s.digit == 0
        {
            return None;
        }
    }
    let strong_other = s.other > 0 && value.len() >= 6;
    let confidence = if l.noise >= 4 && value.len() >= 6
        || s.digit > 0 && value.len() >= 6 && (l.wordy == 0 || s.digit >= 2 || strong_other)
        || strong_other && letters >= 3 && (s.digit > 0 || s.upper > 0 && s.lower > 0 || interrupts(value))
    {
        Confidence::Medium
    } else {
        return None;
    };
    // words joined by punctuation: an identifier, a sentence, a message
    if l.noise == 0 && s.joint > 0 && s.other == 0 && s.digit * 4 < value.len() && l.wordy * 2 > letters {
        return None;
    }
    if value.ends_with(b":") || value.ends_with(b"?") || value.starts_with(b"--") {
        return None;
    }
    Some(confidence)
}

/// `name@host.tld`.
fn is_address(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|b| *b == b'@') else { return false };
    let host = &value[at + 1..];
    let dot = host.iter().rposition(|b| *b == b'.');
    dot.is_some_and(|dot| {
        host.len() - dot <= 5 && host[dot + 1..].iter().all(u8::is_ascii_lowercase) && host.len() > dot + 2
    }) && host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

/// A symbol between two letters or digits, as in `super$ecret`.
fn interrupts(value: &[u8]) -> bool {
    value
        .windows(3)
        .any(|w| w[0].is_ascii_alphanumeric() && b"$@!#^*%&~".contains(&w[1]) && w[2].is_ascii_alphanumeric())
}

/// Whether `value` is a UUID.
pub fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value
            .iter()
            .enumerate()
            .all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() })
}

fn token(value: &[u8], s: Shape, l: language::Letters, place: Place, least: usize) -> Option<Confidence> {
    let letters = s.lower + s.upper;
    let least = if place.vendor { 10 } else { least };
    if value.len() < least || letters == 0 && value.len() < 20 || s.space > 0 {
        return None;
    }
    let weak = least == 16;
    if place.next == Some(b':') && !place.quoted {
        return None;
    }
    if is_uuid(value) {
        return (!weak || place.vendor).then_some(Confidence::Medium);
    }
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    if hex {
        // 40 digits beside a mere `key` are a fingerprint or a commit
        if weak && value.len() == 40 && !place.vendor && !place.quoted {
            return None;
        }
        let usual = value.len() >= 16;
        let mixed = s.digit > 0 && letters > 0 && ph::distinct(value) >= 6;
        return (usual && mixed && (!weak || value.len() >= 24 || place.vendor)).then_some(Confidence::Medium);
    }
    // a short number in hexadecimal, a number with its type, a date
    if value.starts_with(b"0x") && value.len() < 34 || letters <= 3 && s.digit + s.joint + letters + 1 >= value.len() {
        return None;
    }
    if !place.quoted {
        let identifier = s.other == 0 && s.joint <= value.len() / 4;
        let code_end = matches!(place.next, Some(b';' | b')' | b',' | b'\\'));
        if identifier && code_end && place.spaced && (l.noise < 8 || s.digit < 2 || value.contains(&b'_')) {
            return None;
        }
        if value.iter().any(|b| b"(){}[]*!?".contains(b)) {
            return None;
        }
    }
    let few = ph::distinct(value) < 6.min(value.len() * 2 / 3 + 1);
    if few && !place.vendor {
        return None;
    }
    // the share of the value that no word explains
    let unexplained = l.noise + s.digit + s.other + if l.wordy * 2 < letters { l.short } else { l.short / 2 };
    let share = unexplained * 100 / value.len();
    let classes =
        usize::from(s.lower > 0) + usize::from(s.upper > 0) + usize::from(s.digit > 0) + usize::from(s.other > 0);
    let wanted = match (weak, value.len()) {
        (false, 0..16) => 65,
        (false, _) => 45,
        (true, _) => 65,
    };
    // capitals and small letters in turns as no identifier has them
    let turns = value.len() >= 16 && l.short * 2 >= letters && s.upper >= 4 && s.lower >= 4;
    let random =
        turns || share >= wanted && (classes >= 2 || l.noise >= 12) && (s.digit > 0 || l.noise * 2 >= letters.max(8));
    if random || place.vendor && share >= 30 && s.digit > 0 { Some(Confidence::Medium) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTED: Place = Place { quoted: true, assigned: true, spaced: true, next: Some(b'"'), vendor: false };

    #[test]
    fn names() {
        for n in ["password", "DB_PASSWORD", "dbPasswd", "user-pwd", "sshPassphrase"] {
            assert_eq!(name(n.as_bytes()), Name::Password, "{n}");
        }
        for n in ["api_key", "clientSecret", "ACCESS_TOKEN", "authToken", "aws_secret_access_key", "apikey"] {
            assert_eq!(name(n.as_bytes()), Name::Secret, "{n}");
        }
        for n in [
            "password_file",
            "token_type",
            "public_key",
            "keyboard",
            "bypass",
            "primaryKey",
            "secretName",
            "max_tokens",
        ] {
            assert_eq!(name(n.as_bytes()), Name::Other, "{n}");
        }
    }

    #[test]
    fn values() {
        for v in ["xkqpw7mt", "super$ecret", "s3cr3t!x", "qzvkxwpd", "Gk7#pLq2"] {
            assert!(judge(v.as_bytes(), Name::Password, QUOTED).is_some(), "{v}");
        }
        for v in ["password", "username", "Enter password:", "get_password", "my-password", "busybox@", "string"] {
            assert!(judge(v.as_bytes(), Name::Password, QUOTED).is_none(), "{v}");
        }
        for v in ["9e51341f8d87894c927d0150be0a9676", "Zx81kQpL02mNvB7tYw", "dqlblS2CmTOc5zYn4nZk"] {
            assert!(judge(v.as_bytes(), Name::Secret, QUOTED).is_some(), "{v}");
        }
        for v in ["access_token_secret", "getAccessToken2", "AuthenticationToken", "application/json", "12345678"] {
            assert!(judge(v.as_bytes(), Name::Secret, QUOTED).is_none(), "{v}");
        }
    }
}
