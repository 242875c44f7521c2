//! A progress line on a terminal, for scans that take longer than a second.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::env::Env;

/// Runs `work`, showing how many bytes were scanned.
pub fn shown<T: Send>(env: &Env, bytes: &AtomicU64, quiet: bool, work: impl FnOnce() -> T + Send) -> T {
    if quiet || !std::io::stderr().is_terminal() || env.str("TERM") == Some("dumb") {
        return work();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shower = scope.spawn(|| show(bytes, &done));
        let out = work();
        done.store(true, Ordering::Relaxed);
        shower.thread().unpark();
        let _ = shower.join(); // a progress line that failed is not worth an error
        out
    })
}

fn show(bytes: &AtomicU64, done: &AtomicBool) {
    std::thread::park_timeout(Duration::from_secs(1));
    if done.load(Ordering::Relaxed) {
        return;
    }
    let style = indicatif::ProgressStyle::with_template("{spinner} scanned {bytes} ({bytes_per_sec})");
    let bar = indicatif::ProgressBar::new_spinner();
    if let Ok(style) = style {
        bar.set_style(style);
    }
    while !done.load(Ordering::Relaxed) {
        bar.set_position(bytes.load(Ordering::Relaxed));
        bar.tick();
        std::thread::park_timeout(Duration::from_millis(120));
    }
    bar.finish_and_clear();
}
