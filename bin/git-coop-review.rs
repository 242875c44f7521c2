//! `git-coop-review`.
fn main() {}
