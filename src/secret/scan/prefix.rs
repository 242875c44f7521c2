//! Finds where known literals may start, for any number of literals in one pass.
//!
//! Almost every token starts where a word starts: at an alphanumeric byte after one that is not, or at a
//! capital after a small letter. The pass computes those positions for 64 bytes at a time without branches (the
//! compiler vectorises it) and asks a bit set of hashed three-byte heads. Cost per byte does not depend on the number of literals.

/// A literal to find; the payload is what the caller wants to be told.
#[derive(Debug, Clone, Copy)]
pub struct Literal<T> {
    head: [u8; 3],
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

fn hash(head: u32) -> usize {
    (head.wrapping_mul(0x9e37_79b1) >> 16) as usize
}

fn load(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

impl<T: Copy> Heads<T> {
    /// Compiles `(literal, bytes that may follow it, payload)`. A literal of fewer than three bytes from its first
    /// alphanumeric one is expanded by what may follow.
    pub fn new<'a>(input: impl IntoIterator<Item = (&'a [u8], Vec<u8>, T)>) -> Self {
        let mut literals = Vec::new();
        for (literal, follow, what) in input {
            let lead = literal.iter().position(u8::is_ascii_alphanumeric).unwrap_or(0);
            expand(&literal[lead..], &follow, &mut |head| literals.push(Literal { head, lead: lead as u8, what }));
        }
        let mut bits = Box::new([0_u64; 1024]);
        for literal in &literals {
            let at = hash(load(&literal.head));
            bits[at >> 6] |= 1 << (at & 63);
        }
        literals.sort_by_key(|l| hash(load(&l.head)) >> 8);
        let mut buckets = vec![0_u32; 257];
        for literal in &literals {
            buckets[(hash(load(&literal.head)) >> 8) + 1] += 1;
        }
        for at in 1..buckets.len() {
            buckets[at] += buckets[at - 1];
        }
        Heads { bits, literals, buckets }
    }

    /// Calls `hit(position of the literal's first byte, payload)` for every word start in `from..to` that has one of
    /// the heads, in ascending order of word starts. The literal itself is for the caller to compare.
    pub fn find(&self, text: &[u8], from: usize, to: usize, hit: &mut impl FnMut(usize, T)) {
        let mut at = from;
        while at < to {
            let mut starts = starts64(text, at);
            if to - at < 64 {
                starts &= (1 << (to - at)) - 1;
            }
            while starts != 0 {
                let pos = at + starts.trailing_zeros() as usize;
                starts &= starts - 1;
                let Some(head) = text.get(pos..pos + 3) else { break };
                let slot = hash(load(head));
                if self.bits[slot >> 6] >> (slot & 63) & 1 == 1 {
                    self.verify(head, slot, pos, hit);
                }
            }
            at += 64;
        }
    }

    #[inline(never)]
    fn verify(&self, head: &[u8], slot: usize, pos: usize, hit: &mut impl FnMut(usize, T)) {
        let bucket = slot >> 8;
        for literal in &self.literals[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize] {
            if literal.head == *head && pos >= usize::from(literal.lead) {
                hit(pos - usize::from(literal.lead), literal.what);
            }
        }
    }
}

fn expand(rest: &[u8], follow: &[u8], push: &mut impl FnMut([u8; 3])) {
    match *rest {
        [a, b, c, ..] => push([a, b, c]),
        [a, b] => follow.iter().for_each(|c| push([a, b, *c])),
        [a] => follow.iter().for_each(|b| follow.iter().for_each(|c| push([a, *b, *c]))),
        [] => {}
    }
}

/// One bit per byte of `text[at..at + 64]`: whether a word starts there.
#[inline]
fn starts64(text: &[u8], at: usize) -> u64 {
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
    for i in 0..64 {
        start[i] = (word[i + 1] & (word[i] ^ 1)) | (upper[i + 1] & lower[i]);
    }
    let mut bits = 0;
    for (group, eight) in start.chunks_exact(8).enumerate() {
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
            let bits = starts64(&text, at);
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
        heads.find(text, 0, text.len(), &mut |pos, what| hits.push((pos, what)));
        assert_eq!(hits, [(2, 1), (7, 2), (17, 3), (28, 4), (35, 1)]);
    }
}
