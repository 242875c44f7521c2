//! Finds where known literals may start, for any number of literals, and long runs of token characters, in one pass.
//!
//! Almost every token starts where a word starts: at an alphanumeric byte after one that is not, or at a
//! capital after a small letter. The pass computes those positions for 64 bytes at a time without branches (the
//! compiler vectorises it) and asks a bit set of hashed three-byte heads. Cost per byte does not depend on the number of literals.

/// A literal to find; the payload is what the caller wants to be told.
#[derive(Debug, Clone, Copy)]
pub struct Literal<T> {
    /// Its first eight bytes from the word start.
    start: u64,
    /// Which of those it has.
    mask: u64,
    /// Bytes of the literal that stand before the word start.
    lead: u8,
    what: T,
}

/// The compiled set.
#[derive(Debug)]
pub struct Heads<T> {
    bits: Box<[u64; 1024]>,
    literals: Vec<Literal<T>>,
    /// First literal of each hash bucket of 256, into `literals` sorted by bucket.
    buckets: Vec<u32>,
}

/// The shortest run of token characters that [`Heads::find`] tells of.
pub const RUN: usize = 20;

fn hash(head: u32) -> usize {
    (head.wrapping_mul(0x9e37_79b1) >> 16) as usize
}

fn load(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

/// Up to eight bytes from `pos`, zero where the text ends.
fn load_eight(text: &[u8], pos: usize) -> u64 {
    if let Some(eight) = text[pos..].first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    let mut out = [0; 8];
    out[..text.len() - pos].copy_from_slice(&text[pos..]);
    u64::from_le_bytes(out)
}

impl<T: Copy> Heads<T> {
    /// Compiles `(literal, bytes that may follow it, payload)`. A literal of fewer than three bytes from its first
    /// alphanumeric one is expanded by what may follow.
    pub fn new<'a>(input: impl IntoIterator<Item = (&'a [u8], Vec<u8>, T)>) -> Self {
        let mut literals = Vec::new();
        for (literal, follow, what) in input {
            let lead = literal.iter().position(u8::is_ascii_alphanumeric).unwrap_or(0);
            expand(&literal[lead..], &follow, &mut |bytes| {
                let mask = u64::MAX >> (64 - 8 * bytes.len().min(8));
                literals.push(Literal { start: load_eight(bytes, 0) & mask, mask, lead: lead as u8, what });
            });
        }
        let slot = |l: &Literal<T>| hash(l.start as u32 & 0xff_ffff);
        let mut bits = Box::new([0_u64; 1024]);
        for literal in &literals {
            let at = slot(literal);
            bits[at >> 6] |= 1 << (at & 63);
        }
        literals.sort_by_key(|l| slot(l) >> 8);
        let mut buckets = vec![0_u32; 257];
        for literal in &literals {
            buckets[(slot(literal) >> 8) + 1] += 1;
        }
        for at in 1..buckets.len() {
            buckets[at] += buckets[at - 1];
        }
        Heads { bits, literals, buckets }
    }

    /// Calls `hit(position of the literal's first byte, payload)` for every word start in `from..to` where one of the
    /// literals stands, in ascending order of word starts. Eight bytes are compared, the rest is for the caller.
    /// `runs` gets the start of every run of [`RUN`] and more token characters that starts in `from..to`.
    pub fn find(&self, text: &[u8], from: usize, to: usize, runs: &mut Vec<usize>, hit: &mut impl FnMut(usize, T)) {
        let mut at = from;
        let mut ahead = if from < text.len() { marks(text, from) } else { Marks::default() };
        let mut in_run = from > 0 && text[from - 1..].iter().take(RUN).filter(|b| is_token(**b)).count() == RUN;
        while at < to {
            let here = ahead;
            ahead = if at + 64 < text.len() { marks(text, at + 64) } else { Marks::default() };
            let inside = if to - at < 64 { (1 << (to - at)) - 1 } else { u64::MAX };
            let mut starts = here.starts & inside;
            while starts != 0 {
                let pos = at + starts.trailing_zeros() as usize;
                starts &= starts - 1;
                let Some(head) = text.get(pos..pos + 3) else { break };
                let slot = hash(load(head));
                if self.bits[slot >> 6] >> (slot & 63) & 1 == 1 {
                    self.verify(text, slot, pos, hit);
                }
            }
            let long = long_runs(here.tokens, ahead.tokens);
            let mut first = long & !(long << 1 | u64::from(in_run)) & inside;
            in_run = long >> 63 == 1;
            while first != 0 {
                runs.push(at + first.trailing_zeros() as usize);
                first &= first - 1;
            }
            at += 64;
        }
    }

    #[inline(never)]
    fn verify(&self, text: &[u8], slot: usize, pos: usize, hit: &mut impl FnMut(usize, T)) {
        let bucket = slot >> 8;
        let start = load_eight(text, pos);
        for literal in &self.literals[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize] {
            if start & literal.mask == literal.start && pos >= usize::from(literal.lead) {
                hit(pos - usize::from(literal.lead), literal.what);
            }
        }
    }
}

fn expand(rest: &[u8], follow: &[u8], push: &mut impl FnMut(&[u8])) {
    match *rest {
        [_, _, _, ..] => push(rest),
        [a, b] => follow.iter().for_each(|c| push(&[a, b, *c])),
        [a] => follow.iter().for_each(|b| follow.iter().for_each(|c| push(&[a, *b, *c]))),
        [] => {}
    }
}

/// Bytes of a token.
pub fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

/// One bit per byte of 64.
#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    /// A word starts there.
    starts: u64,
    /// It is a byte of a token.
    tokens: u64,
}

/// A bit for each byte of `tokens` at which [`RUN`] bytes of a token start; `next` are the 64 bytes after it.
fn long_runs(tokens: u64, next: u64) -> u64 {
    let all = u128::from(tokens) | u128::from(next) << 64;
    let two = all & all >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let sixteen = eight & eight >> 8;
    (sixteen & four >> 16) as u64
}

/// The marks of `text[at..at + 64]`.
#[inline]
fn marks(text: &[u8], at: usize) -> Marks {
    // bytes before the text and after it are not part of a word
    let mut window = [b' '; 65];
    if at > 0 && at + 64 <= text.len() {
        window.copy_from_slice(&text[at - 1..at + 64]);
    } else {
        let end = text.len().min(at + 64);
        window[1..1 + end - at].copy_from_slice(&text[at..end]);
        if at > 0 {
            window[0] = text[at - 1];
        }
    }
    let mut word = [0_u8; 65];
    let mut lower = [0_u8; 65];
    let mut upper = [0_u8; 65];
    for i in 0..65 {
        let b = window[i];
        let small = u8::from(b.wrapping_sub(b'a') < 26);
        let capital = u8::from(b.wrapping_sub(b'A') < 26);
        lower[i] = small;
        upper[i] = capital;
        word[i] = small | capital | u8::from(b.wrapping_sub(b'0') < 10);
    }
    let mut start = [0_u8; 64];
    let mut token = [0_u8; 64];
    for i in 0..64 {
        start[i] = (word[i + 1] & (word[i] ^ 1)) | (upper[i + 1] & lower[i]);
        token[i] = word[i + 1] | u8::from(window[i + 1] == b'_') | u8::from(window[i + 1] == b'-');
    }
    Marks { starts: gather(&start), tokens: gather(&token) }
}

/// The lowest bit of each of 64 bytes.
#[inline]
fn gather(ones: &[u8; 64]) -> u64 {
    let mut bits = 0;
    for (group, eight) in ones.chunks_exact(8).enumerate() {
        let lanes =
            u64::from_le_bytes([eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7]]);
        // gathers the lowest bit of each byte into the top byte
        bits |= (lanes.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (group * 8);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(text: &[u8]) -> Vec<usize> {
        let word = |i: usize| text[i].is_ascii_alphanumeric();
        (0..text.len())
            .filter(|&i| {
                word(i) && (i == 0 || !word(i - 1) || text[i].is_ascii_uppercase() && text[i - 1].is_ascii_lowercase())
            })
            .collect()
    }

    #[test]
    fn starts_agree_with_the_definition() {
        let mut text = Vec::new();
        let mut seed = 7_u64;
        for _ in 0..1000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push(b"aZ9 _-.Bz0\n\xff"[(seed >> 60) as usize % 12]);
        }
        let mut found = Vec::new();
        for at in (0..text.len()).step_by(64) {
            let bits = marks(&text, at).starts;
            found.extend((0..64).filter(|i| bits >> i & 1 == 1).map(|i| at + i));
        }
        assert_eq!(found, naive(&text));
    }

    #[test]
    fn short_and_led_literals_are_found() {
        let heads = Heads::new([
            (&b"sk-"[..], vec![], 1),
            (b"SK", b"0123456789abcdef".to_vec(), 2),
            (b".atlasv1.", vec![], 3),
            (b"$6$", b"abc".to_vec(), 4),
        ]);
        let mut hits = Vec::new();
        let text = b"x=sk-1 SKf0 SKz x.atlasv1.y $6$ab \"sk-";
        heads.find(text, 0, text.len(), &mut Vec::new(), &mut |pos, what| hits.push((pos, what)));
        assert_eq!(hits, [(2, 1), (7, 2), (17, 3), (28, 4), (35, 1)]);
    }

    #[test]
    fn runs_agree_with_the_definition() {
        let mut text = Vec::new();
        let mut seed = 11_u64;
        while text.len() < 30_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend(std::iter::repeat_n(b'a', (seed >> 58) as usize));
            text.push(b"_- ."[(seed >> 40) as usize % 4]);
        }
        let wanted: Vec<usize> = (0..text.len())
            .filter(|&i| {
                (i == 0 || !is_token(text[i - 1]))
                    && text[i..].len() >= RUN
                    && text[i..i + RUN].iter().all(|b| is_token(*b))
            })
            .collect();
        let heads: Heads<u8> = Heads::new([]);
        for block in [64, 640, 4099, 100_000] {
            let mut runs = Vec::new();
            for from in (0..text.len()).step_by(block) {
                heads.find(&text, from, text.len().min(from + block), &mut runs, &mut |_, _| {});
            }
            assert_eq!(runs, wanted, "{block}");
        }
        assert!(wanted.len() > 100);
    }
}
