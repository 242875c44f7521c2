//! `git-coop-scan`.
fn main() {}
