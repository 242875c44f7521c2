//! One finding per secret: where several detectors hit the same bytes, the most specific one is kept.

use super::engine::{Hit, Which};
use super::finding::Confidence;

fn rank(hit: &Hit) -> (bool, u8, usize, Confidence) {
    let kind = match hit.which {
        Which::Table(_) => 3,
        Which::BuiltIn("generic-secret" | "generic-password" | "vendor-credential") => 1,
        Which::BuiltIn(_) => 2,
    };
    (hit.confidence > Confidence::Low, kind, hit.span.len(), hit.confidence)
}

/// Sorts by position and drops what overlaps something better.
pub fn resolve(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
    let mut kept: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match kept.last_mut() {
            Some(last) if hit.span.start < last.span.end => {
                if rank(&hit) > rank(last) {
                    *last = hit;
                }
            }
            _ => kept.push(hit),
        }
    }
    kept
}
