//! `git-coop-merge`.
fn main() {}
