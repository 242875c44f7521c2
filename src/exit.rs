//! Exit codes, the whole of them. They are public interface: documented in `git-coop(1)`, asserted in tests.

/// Everything worked and the answer is yes.
pub const OK: u8 = 0;
/// The answer is no: a secret was found, a gate is red, an audit reopened a task, a check failed.
pub const NO: u8 = 1;
/// Wrong usage or configuration.
pub const USAGE: u8 = 2;
/// A conflict, or somebody else won a race; nothing was changed.
pub const CONFLICT: u8 = 3;
/// Parked: every account is cooling down.
pub const PARKED: u8 = 4;
/// No usable container runtime, or no image.
pub const NO_RUNTIME: u8 = 5;
/// A bug in git-coop.
pub const BUG: u8 = 70;
/// The reader of standard output went away: what a shell shows for a program that SIGPIPE ended.
pub const BROKEN_PIPE: u8 = 141;

/// All codes with the sentence that the man page prints.
pub const TABLE: &[(u8, &str)] = &[
    (OK, "success"),
    (NO, "the answer is no: a secret was found, the gate is red, a check failed"),
    (USAGE, "wrong usage or configuration"),
    (CONFLICT, "a conflict or a lost race; nothing was changed"),
    (PARKED, "parked: every account is cooling down"),
    (NO_RUNTIME, "no usable container runtime, or no image"),
    (BUG, "a bug in git-coop"),
    (BROKEN_PIPE, "the reader of standard output went away"),
];
