//! Offline tests of a token: a checksum or a structure that the provider's format carries.
//!
//! A test never hides a finding: tokens in documentation and fixtures are often made up. It moves the confidence.

use bstr::ByteSlice as _;
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

/// The tests that the rule table may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// No test.
    None,
    /// The last six characters are the CRC-32 of those before, in base 62 (GitHub, npm).
    Crc32Base62,
    /// Twelve-digit account number inside the base-32 part (AWS key ids).
    AwsId,
    /// Base64 of 64 bytes.
    Base64Of64,
    /// Base64 of 32 bytes.
    Base64Of32,
    /// Numeric segments (Slack).
    Slack,
    /// JSON header that names an algorithm, JSON payload.
    Jwt,
    /// Macaroon header (PyPI).
    Pypi,
    /// Bech32 checksum (age).
    Age,
    /// CRC-16 (NATS NKEY).
    Nkey,
    /// The mark that every key of OpenAI carries.
    OpenAi,
    /// The length and the end of a key of Anthropic.
    Anthropic,
    /// Letters only, which do not read like an identifier (Hugging Face).
    Letters,
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Only a real token passes.
    Valid,
    /// No token of this provider looks like this.
    Invalid,
    /// The test does not apply.
    Unknown,
}

impl Check {
    /// The test with the name that the table uses.
    pub fn by_name(name: &str) -> Option<Check> {
        Some(match name {
            "crc32-base62" => Check::Crc32Base62,
            "aws-id" => Check::AwsId,
            "base64-64" => Check::Base64Of64,
            "base64-32" => Check::Base64Of32,
            "slack" => Check::Slack,
            "jwt" => Check::Jwt,
            "pypi" => Check::Pypi,
            "age" => Check::Age,
            "nkey" => Check::Nkey,
            "openai" => Check::OpenAi,
            "anthropic" => Check::Anthropic,
            "letters" => Check::Letters,
            _ => return None,
        })
    }

    /// Tests `token`, of which the first `prefix` bytes are the provider's prefix.
    pub fn run(self, token: &[u8], prefix: usize) -> Verdict {
        let body = &token[prefix..];
        let sure = |ok: bool| if ok { Verdict::Valid } else { Verdict::Invalid };
        match self {
            Check::None => Verdict::Unknown,
            Check::Crc32Base62 => sure(crc32_base62(body)),
            Check::AwsId => aws_id(token),
            Check::Base64Of64 => sure(BASE64.decode(body).is_ok_and(|raw| raw.len() == 64)),
            Check::Base64Of32 => sure(BASE64.decode(body).is_ok_and(|raw| raw.len() == 32)),
            Check::Slack => slack(body),
            Check::Jwt => sure(jwt(token)),
            Check::Pypi => sure(pypi(&token[5.min(token.len())..])),
            Check::Age => sure(bech32(token)),
            Check::Nkey => sure(nkey(token)),
            Check::OpenAi => sure(body.find(b"T3BlbkFJ").is_some()),
            Check::Anthropic => anthropic(body),
            Check::Letters => letters(body),
        }
    }
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether the last six of 36 characters are the CRC-32 of the first 30 in base 62, zero-padded (confirmed on
/// real tokens of GitHub and npm; the prefix is not part of it).
fn crc32_base62(body: &[u8]) -> bool {
    let Some((value, sum)) = body.split_at_checked(30) else { return false };
    sum == crc32_sum(value)
}

/// The six check characters for `value`.
pub fn crc32_sum(value: &[u8]) -> [u8; 6] {
    let mut crc = crc32fast::hash(value) as usize;
    let mut out = [b'0'; 6];
    for digit in out.iter_mut().rev() {
        *digit = BASE62[crc % 62];
        crc /= 62;
    }
    out
}

fn aws_id(token: &[u8]) -> Verdict {
    if token.ends_with(b"EXAMPLE") {
        return Verdict::Invalid;
    }
    // ids from before 2019 carry no account number and use letters and digits outside base 32
    match token.get(4..).map(|id| BASE32_NOPAD.decode(id)) {
        Some(Ok(raw)) if raw.len() == 10 => {
            let number = raw[..6].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
            let account = (number & 0x7fff_ffff_ff80) >> 7;
            if account < 1_000_000_000_000 { Verdict::Unknown } else { Verdict::Invalid }
        }
        _ => Verdict::Unknown,
    }
}

fn slack(body: &[u8]) -> Verdict {
    let numeric = body.split(|b| *b == b'-').filter(|p| p.len() >= 9 && p.iter().all(u8::is_ascii_digit)).count();
    let digits = body.iter().filter(|b| b.is_ascii_digit()).count();
    match (numeric, digits) {
        (1.., _) => Verdict::Valid,
        (_, 2..) => Verdict::Unknown,
        _ => Verdict::Invalid, // `xoxo-holiday-card.jpg`
    }
}

/// Kind and version, then 93 characters and `AA`.
fn anthropic(body: &[u8]) -> Verdict {
    match body.iter().position(|b| *b == b'-').map(|dash| &body[dash + 1..]) {
        Some(key) if key.len() == 95 && key.ends_with(b"AA") => Verdict::Valid,
        Some(key) if key.len() < 40 || key.len() >= 95 => Verdict::Invalid,
        _ => Verdict::Unknown,
    }
}

/// Random letters change their case all the time; `requiredTypesForDisplay` does not.
fn letters(body: &[u8]) -> Verdict {
    let l = super::language::letters(body);
    if l.runs * 5 <= body.len() && l.wordy * 2 > body.len() { Verdict::Invalid } else { Verdict::Unknown }
}

fn decode_loose(part: &[u8]) -> Option<Vec<u8>> {
    let trimmed = part.strip_suffix(b"==").or(part.strip_suffix(b"=")).unwrap_or(part);
    BASE64URL_NOPAD.decode(trimmed).or_else(|_| BASE64_NOPAD.decode(trimmed)).ok()
}

fn jwt(token: &[u8]) -> bool {
    let mut parts = token.split(|b| *b == b'.');
    let mut json = || {
        let raw = decode_loose(parts.next()?)?;
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&raw).ok()
    };
    let header = json().is_some_and(|h| h.contains_key("alg") || h.contains_key("enc"));
    header && json().is_some()
}

fn pypi(body: &[u8]) -> bool {
    decode_loose(&body[..body.len() - body.len() % 4]).is_some_and(|raw| raw.starts_with(&[2, 1, 8]))
}

const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The checksum of BIP 173, as age uses it.
fn bech32(token: &[u8]) -> bool {
    let lower = token.to_ascii_lowercase();
    let Some(one) = lower.iter().rposition(|b| *b == b'1') else { return false };
    let (human, data) = (&lower[..one], &lower[one + 1..]);
    let values = data.iter().map(|b| BECH32.iter().position(|c| c == b).map(|v| v as u32));
    let Some(values) = values.collect::<Option<Vec<u32>>>() else { return false };
    let high = human.iter().map(|b| u32::from(b >> 5));
    let low = human.iter().map(|b| u32::from(b & 31));
    let all = high.chain([0]).chain(low).chain(values);
    let sum = all.fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x1ff_ffff) << 5 ^ value;
        let generators = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        (0..5).filter(|i| top >> i & 1 == 1).fold(next, |n, i| n ^ generators[i as usize])
    });
    sum == 1
}

/// CRC-16 (XMODEM), little endian, over everything before it.
fn nkey(token: &[u8]) -> bool {
    let Ok(raw) = BASE32_NOPAD.decode(token) else { return false };
    let Some((data, sum)) = raw.split_last_chunk::<2>() else { return false };
    crc16(data).to_le_bytes() == *sum
}

/// CRC-16 with polynomial 0x1021 and start value 0.
pub fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |c, _| if c & 0x8000 == 0 { c << 1 } else { c << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_accept_the_right_sum_only() {
        let value = [b'a'; 30];
        let mut body = value.to_vec();
        body.extend(crc32_sum(&value));
        assert_eq!(Check::Crc32Base62.run(&body, 0), Verdict::Valid);
        body[35] ^= 1;
        assert_eq!(Check::Crc32Base62.run(&body, 0), Verdict::Invalid);
        assert_eq!(crc16(b"123456789"), 0x31c3); // the check value of CRC-16/XMODEM
        let mut seed = vec![0x90, 0xa0];
        seed.extend([42; 32]);
        let sum = crc16(&seed).to_le_bytes();
        seed.extend(sum);
        assert_eq!(Check::Nkey.run(BASE32_NOPAD.encode(&seed).as_bytes(), 0), Verdict::Valid);
        assert!(bech32(b"a12uel5l") && !bech32(b"a12uel5m")); // vector of BIP 173
    }

    #[test]
    fn shapes_of_providers() {
        let key = |end: &str| format!("sk-ant-api03-{}{end}", "q7".repeat(46) + "x");
        assert_eq!(Check::Anthropic.run(key("AA").as_bytes(), 7), Verdict::Valid);
        assert_eq!(Check::Anthropic.run(key("BB").as_bytes(), 7), Verdict::Invalid);
        assert_eq!(Check::OpenAi.run(b"sk-proj-qqqqT3BlbkFJqqqq", 8), Verdict::Valid);
        assert_eq!(Check::Slack.run(b"xoxo-holiday-card-1.jpg", 5), Verdict::Invalid);
        assert_eq!(Check::Slack.run(b"xoxb-262541194339-x", 5), Verdict::Valid);
        assert_eq!(Check::Letters.run(b"hf_requiredCharacteristicTypesForDispl", 3), Verdict::Invalid);
        assert_eq!(Check::Letters.run(b"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", 3), Verdict::Unknown);
    }

    #[test]
    fn jwt_needs_json_in_both_parts() {
        let part = |s: &str| BASE64URL_NOPAD.encode(s.as_bytes());
        let good = format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(r#"{"sub":"x"}"#));
        assert_eq!(Check::Jwt.run(good.as_bytes(), 0), Verdict::Valid);
        let bad = format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part("not json"));
        assert_eq!(Check::Jwt.run(bad.as_bytes(), 0), Verdict::Invalid);
    }
}
