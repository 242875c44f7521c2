//! `git-coop-loop`.
fn main() {}
