//! Who commits: the user's name and email as git would write them.

use crate::env::Env;
use crate::error::{Error, Result};

use super::{Git, Repo};

/// `Name <email>` from the configuration that `get` reads, where git would take both from there and change no character of them
/// (`git help commit-tree`, "commit information").
pub fn configured(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let of = |what: &str| get(&format!("committer.{what}")).or_else(|| get(&format!("user.{what}")));
    let (name, email) = (of("name")?, of("email")?);
    let odd = |c: char| c <= ' ' || ".,:;<>\"\\'".contains(c);
    let plain = |text: &str| {
        !text.is_empty() && !text.starts_with(odd) && !text.ends_with(odd) && !text.contains(['<', '>', '\n'])
    };
    (plain(&name) && plain(&email)).then(|| format!("{name} <{email}>"))
}

/// `Name <email> seconds zone`, now. `known` is what [`configured`] gave; git is asked without it. Errors: exit 2 where
/// git does not know either.
pub fn committer(repo: &Repo, env: &Env, known: Option<&str>) -> Result<String> {
    if let (Some(known), Some(zone)) = (known, zone(env)) {
        return Ok(format!("{known} {} {zone}", crate::time::now(env)));
    }
    let output = Git::new(repo, env).args(["var", "GIT_COMMITTER_IDENT"]).output()?;
    if !output.status.success() {
        return Err(Error::usage("git does not know who you are: user.name or user.email is not set")
            .hint("git config --global user.name \"Your Name\"; git config --global user.email you@example.org"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The zone of a commit made now: of `GIT_COMMITTER_DATE` in git's own form (`@seconds zone`), or the local one.
fn zone(env: &Env) -> Option<String> {
    if let Some(date) = env.get("GIT_COMMITTER_DATE") {
        let (_, zone) = date.to_str()?.strip_prefix('@')?.split_once(' ')?;
        let plain = zone.len() == 5 && zone.starts_with(['+', '-']) && zone[1..].bytes().all(|b| b.is_ascii_digit());
        return plain.then(|| zone.to_owned());
    }
    let seconds = jiff::Zoned::now().offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    Some(format!("{sign}{:02}{:02}", minutes / 60, minutes % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_would_write_unchanged() {
        let config = |pairs: &[(&str, &str)]| {
            configured(|key| pairs.iter().rfind(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
        };
        let user = [("user.name", "Una User"), ("user.email", "una@example.com")];
        assert_eq!(config(&user).as_deref(), Some("Una User <una@example.com>"));
        let committer = [user[0], user[1], ("committer.name", "C")];
        assert_eq!(config(&committer).as_deref(), Some("C <una@example.com>"));
        for name in ["", " x", "x.", "a <b", "a\nb", "'q'"] {
            assert_eq!(config(&[("user.name", name), user[1]]), None, "{name:?}");
        }
        assert_eq!(config(&user[..1]), None);
        let date = |date: &str| zone(&Env::from_pairs([("GIT_COMMITTER_DATE", date)]));
        assert_eq!(date("@1 +0230").as_deref(), Some("+0230"));
        assert_eq!(date("yesterday"), None);
        assert_eq!(date("@1 +02x0"), None);
    }
}
