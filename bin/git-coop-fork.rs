//! `git-coop-fork`.
fn main() {}
