//! Signatures on landed commits, made by git itself on the host: it knows `gpg.format`, `user.signingKey`,
//! `gpg.<format>.program` and `gpg.ssh.defaultKeyCommand` of the user, and coop need not.

use crate::env::Env;
use crate::error::{Error, Result};

use super::recommit::Parts;
use super::{Git, Oid, Repo};

/// What gpg, ssh-keygen and their agents need to find each other and the user.
const PASSED: &[&str] = &[
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_AGENT_PID",
    "PINENTRY_USER_DATA",
    "TERM",
    "USER",
    "LOGNAME",
];

/// Writes the commit of `parts` again on `parent` with `tree`, signed. Errors: exit 2 where git cannot sign.
pub fn commit(repo: &Repo, env: &Env, parts: &Parts<'_>, tree: &Oid, parent: &Oid, committer: &str) -> Result<Oid> {
    let author = String::from_utf8_lossy(parts.author).into_owned();
    let mut git = Git::new(repo, env);
    if let Some(encoding) = parts.header("encoding") {
        git = git.config(&format!("i18n.commitEncoding={}", String::from_utf8_lossy(encoding)));
    } else {
        git = git.config("i18n.commitEncoding=UTF-8");
    }
    git = git.args(["commit-tree", "-S", "-p", parent.as_str(), tree.as_str()]).input(parts.message);
    for key in PASSED {
        if let Some(value) = env.get(key) {
            git = git.env(key, value);
        }
    }
    for (role, ident) in [("AUTHOR", author.as_str()), ("COMMITTER", committer)] {
        let (name, email, date) = split(ident)?;
        git = git.env(&format!("GIT_{role}_NAME"), name);
        git = git.env(&format!("GIT_{role}_EMAIL"), email);
        git = git.env(&format!("GIT_{role}_DATE"), format!("@{date}"));
    }
    let output = git.output()?;
    if output.status.success() {
        return Oid::parse(String::from_utf8_lossy(&output.stdout).trim_end());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|l| l.starts_with("error:") || l.starts_with("fatal:")).unwrap_or("no message");
    let line = line.trim_start_matches("error: ").trim_start_matches("fatal: ").trim_end_matches(['?', ':']);
    Err(Error::usage(format!("cannot sign a commit: {line}"))
        .hint("git config user.signingKey names the key; git config commit.gpgSign false lands unsigned"))
}

/// Name, email and `seconds zone` of an identity line.
fn split(ident: &str) -> Result<(&str, &str, &str)> {
    let parts = ident.rsplit_once('>').and_then(|(who, date)| {
        let (name, email) = who.split_once('<')?;
        Some((name.trim_end(), email, date.trim()))
    });
    parts.ok_or_else(|| Error::bug("a commit names its author in a way that git would not"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        assert_eq!(split("A B <a@b> 1 +0200").expect("splits"), ("A B", "a@b", "1 +0200"));
        assert_eq!(split("<> 1 +0200").expect("splits"), ("", "", "1 +0200"));
        assert!(split("nobody").is_err());
    }
}
