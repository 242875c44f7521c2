//! git's configuration of the user's repository, read once per command.

use std::collections::BTreeMap;

use crate::env::Env;
use crate::error::Result;

use super::{Git, Repo};

/// Every key in lower case (but for the middle part, as git has it) with its last value; a key without a
/// value is `true`, as git reads it.
pub type Config = BTreeMap<String, String>;

/// Reads all of it with one git process, includes and all scopes (`git help config`, `--list`).
pub fn read(repo: &Repo, env: &Env) -> Result<Config> {
    let output = Git::new(repo, env).args(["config", "--includes", "--null", "--list"]).output()?;
    if !output.status.success() {
        return Err(super::command::failed("config", &output));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .split('\0')
        .filter(|entry| !entry.is_empty())
        .map(|entry| match entry.split_once('\n') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (entry.to_owned(), "true".to_owned()),
        })
        .collect())
}
