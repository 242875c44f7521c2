//! What a box reached and what it was denied, counted while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A box that asks for more places than this has the others counted together.
const MOST: usize = 1_000;
/// The name of all others.
const OTHERS: &str = "(others)";

/// Counts of one place.
#[derive(Debug, Default)]
pub struct Count {
    reached: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

impl Count {
    /// A request or tunnel that was let through.
    pub fn add_reached(&self) {
        self.reached.fetch_add(1, Ordering::Relaxed);
    }
    /// Bytes from the box.
    pub fn add_up(&self, bytes: usize) {
        self.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    /// Bytes to the box so far.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
    /// Bytes to the box.
    pub fn add_down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// All counts of one run.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    count: Arc<Count>,
    reason: String,
}

/// One place at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `host:port`, as it was asked for.
    pub place: String,
    /// How often it was reached.
    pub reached: u64,
    /// How often it was denied.
    pub denied: u64,
    /// How often it was allowed and could not be reached.
    pub failed: u64,
    /// Bytes from the box.
    pub up: u64,
    /// Bytes to the box.
    pub down: u64,
    /// Why it was last denied or failed.
    pub reason: String,
}

impl Tally {
    /// The counts of `place`.
    pub fn of(&self, place: &str) -> Arc<Count> {
        self.with(place, |entry| entry.count.clone())
    }
    /// `place` was denied.
    pub fn denied(&self, place: &str, reason: &str) {
        self.with(place, |entry| {
            entry.count.denied.fetch_add(1, Ordering::Relaxed);
            reason.clone_into(&mut entry.reason);
        });
    }
    /// `place` could not be reached.
    pub fn failed(&self, place: &str, reason: &str) {
        self.with(place, |entry| {
            entry.count.failed.fetch_add(1, Ordering::Relaxed);
            reason.clone_into(&mut entry.reason);
        });
    }
    fn with<T>(&self, place: &str, work: impl FnOnce(&mut Entry) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = if all.len() < MOST || all.contains_key(place) { place } else { OTHERS };
        work(all.entry(place.to_owned()).or_default())
    }
    /// Everything so far, in the order of the places' names.
    pub fn lines(&self) -> Vec<Line> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let lines = all.iter().map(|(place, entry)| Line {
            place: place.clone(),
            reached: get(&entry.count.reached),
            denied: get(&entry.count.denied),
            failed: get(&entry.count.failed),
            up: get(&entry.count.up),
            down: get(&entry.count.down),
            reason: entry.reason.clone(),
        });
        lines.filter(|line| line.reached + line.denied + line.failed > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_is_bounded() {
        let tally = Tally::default();
        for n in 0..3 * MOST {
            tally.denied(&format!("host{n}.example:443"), "not on the list");
        }
        let lines = tally.lines();
        assert_eq!(lines.len(), MOST + 1);
        assert_eq!(lines.iter().map(|l| l.denied).sum::<u64>(), 3 * MOST as u64);
    }
}
