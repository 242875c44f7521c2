//! The properties of the fuzz targets under changed samples, a bounded number of them in every run of the tests; `make fuzz`
//! and CI look for longer, with coverage (libFuzzer).
//!
//! `COOP_TEST_SEED` repeats a failure, `COOP_FUZZ_SECONDS` goes on until then.

use std::time::{Duration, Instant};

use crate::scan::{other, token};

#[path = "../../fuzz/properties.rs"]
mod properties;

/// A repeatable source of numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

/// What the parsers look for: inserted whole, because chance does not spell it.
const WORDS: &[&[u8]] = &[
    b"password",
    b"secret_key",
    b"token",
    b"Authorization: Bearer ",
    b"Basic ",
    b"://",
    b"@",
    b"-----BEGIN RSA PRIVATE KEY-----",
    b"-----END",
    b"\"kty\":\"RSA\"",
    b"\"d\":\"",
    b"kind: Secret\n",
    b"\ndata:\n",
    b"machine x login y password ",
    b"curl -u ",
    b"coop:allow",
    b"hooks.slack.com/services/",
    b"AZDO",
    b"eyJhbGci",
    b"\\\"",
    b"\xff\xfe",
    b"\0",
    b"${",
    b" = ",
    b"<",
    b"'",
    b"\n",
    b"findings",
    b"fingerprint ",
    b"path **\n",
];

fn changed(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut text = seeds[random.next(seeds.len())].clone();
    for _ in 0..=random.next(8) {
        let at = random.next(text.len() + 1);
        let to = at + random.next(text.len() - at + 1).min(64);
        match random.next(7) {
            0 if at < text.len() => text[at] = random.next(256) as u8,
            1 => drop(text.splice(at..at, WORDS[random.next(WORDS.len())].iter().copied())),
            2 => drop(text.drain(at..to)),
            3 => {
                let part = text[at..to].repeat(random.next(20));
                text.splice(at..at, part);
            }
            4 => {
                let other = &seeds[random.next(seeds.len())];
                let from = random.next(other.len());
                text.splice(at..at, other[from..].iter().copied());
            }
            5 => text.truncate(at),
            _ => text.splice(at..at, (0..random.next(40)).map(|_| b"aZ9_-+/=. \"'"[random.next(12)])).for_each(drop),
        }
        text.truncate(8192);
    }
    text
}

fn drive(seeds: &[Vec<u8>], rounds: usize, property: fn(&[u8])) {
    #[allow(clippy::disallowed_methods)] // a test, not the library
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seconds = number("COOP_FUZZ_SECONDS").map(Duration::from_secs);
    let mut random = Random(number("COOP_TEST_SEED").unwrap_or(1));
    let start = Instant::now();
    let mut round = 0;
    while round < rounds || seconds.is_some_and(|s| start.elapsed() < s) {
        let text = changed(&mut random, seeds);
        if let Err(panic) = std::panic::catch_unwind(|| property(&text)) {
            println!("round {round}: {:?}", bstr::BStr::new(&text));
            std::panic::resume_unwind(panic);
        }
        round += 1;
    }
    println!("{round} rounds");
}

#[test]
fn content() {
    let line = |text: String| text.into_bytes();
    let seeds = [
        line(format!("k = '{}' # coop:allow\nl = \"{}\"\n", token(), other())),
        line(format!("db_{}: {}\nurl: postgres://u:{}@host/db\n", "password", "q7Vx2kdZr9", "q7Vx2kdZr9")),
        line(format!("Authorization: Bearer {}\n{{\"auth\": \"dXNlcjpxN1Z4MmtkWnI5\"}}", "q7Vx2kdZr9Lw4Tb6Yc8N")),
        line(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", "MIIEvQIBADANBgkq".repeat(9))),
        b"db.internal:5432:shop:app:q7Vx2kdZr9\n*:*:*:root:zz81kfQm\n".to_vec(),
        b"kind: Secret\nmetadata:\n  name: x\ndata:\n  password: cTdWeDJrZFpyOQ==\n".to_vec(),
        b"\x30\x81\x3b\x02\x01\x03\x30\x36\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\0\0\0\0".to_vec(),
        format!("\u{feff}api_key = '{}'", token()).encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ];
    drive(&seeds, 3000, properties::content);
}

#[test]
fn baseline() {
    let id = "00112233445566778899aabbccddeeff";
    let seeds = [
        format!("{{\"version\": 1, \"key\": \"{id}\", \"findings\": {{\"{id}\": \"jwt\"}}}}").into_bytes(),
        format!("# accepted\npath tests/**\npath a*b.c jwt\n{id} # a test\n").into_bytes(),
    ];
    drive(&seeds, 20_000, properties::baseline);
}
