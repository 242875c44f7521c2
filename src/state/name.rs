//! Names that are safe as ref component, directory, container name and on case-insensitive disks.

use std::fmt;

use crate::error::{Error, Result};

/// The name of a fork: `[a-z0-9][a-z0-9._-]{0,62}`, no `..`, no final `.` or `.lock`, no verb of `git coop fork`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForkName(String);

/// Words that `git coop fork` reads as verbs.
pub const VERBS: &[&str] =
    &["ls", "list", "open", "path", "logs", "stop", "rm", "review", "merge", "accept", "allow", "help"];

impl ForkName {
    /// Checks the form. Errors: exit 2.
    pub fn parse(text: &str) -> Result<ForkName> {
        let refuse = |why: &str| {
            Err(Error::usage(format!("'{text}' cannot be the name of a fork: {why}"))
                .hint("use lower-case letters, digits, '.', '_' and '-', at most 63 of them"))
        };
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let Some(first) = text.bytes().next() else { return refuse("it is empty") };
        if !(first.is_ascii_lowercase() || first.is_ascii_digit()) {
            return refuse("it must begin with a lower-case letter or a digit");
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii() || !good(*c as u8)) {
            return refuse(&format!("it has a '{c}'"));
        }
        if text.len() > 63 {
            return refuse("it is longer than 63 characters");
        }
        if text.contains("..") || text.ends_with('.') || text.ends_with(".lock") {
            return refuse("git refuses it as part of a ref name");
        }
        if VERBS.contains(&text) {
            return refuse("it is a verb of git coop fork");
        }
        Ok(ForkName(text.to_owned()))
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The ref of the fork's events.
    pub fn meta_ref(&self) -> String {
        format!("refs/coop/forks/{}/meta", self.0)
    }
    /// The ref of the fork's code.
    pub fn head_ref(&self) -> String {
        format!("refs/coop/forks/{}/head", self.0)
    }
    /// The ref of what its boxes may reach besides the settings.
    pub fn allow_ref(&self) -> String {
        format!("refs/coop/forks/{}/allow", self.0)
    }
    /// Where commits on other branches, tags, a stash and rewritten tips are kept.
    pub fn kept_prefix(&self) -> String {
        format!("refs/coop/forks/{}/kept/", self.0)
    }
}

impl fmt::Display for ForkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_safe_everywhere() {
        for good in ["a", "feature", "0-x_y.z", &"a".repeat(63)] {
            assert!(ForkName::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-a", ".a", "A", "a/b", "a b", "a..b", "a.", "a.lock", "ls", "merge", "é", "a\n", &"a".repeat(64)]
        {
            assert_eq!(ForkName::parse(bad).expect_err(bad).kind().code(), 2, "{bad:?}");
        }
    }
}
