//! What every command is given: environment and directory, and lazily repository and settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Context as _, Kind, Result};
use crate::git::{Git, Repo};
use crate::settings::Settings;

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// The environment.
    pub env: Env,
    /// The current directory.
    pub cwd: PathBuf,
}

impl Context {
    /// Reads the current directory.
    pub fn of_process(env: Env) -> Result<Self> {
        let cwd = std::env::current_dir().context(Kind::Usage, "cannot read the current directory")?;
        Ok(Context { env, cwd })
    }
    /// The repository around the current directory.
    pub fn repo(&self) -> Result<Repo> {
        Repo::discover(&self.cwd, &self.env)
    }
    /// Settings with the repository's git config, or without where there is none.
    pub fn settings(&self, repo: Option<&Repo>) -> Result<Settings> {
        let git = match repo {
            Some(repo) => git_config(Git::new(repo, &self.env))?,
            None => BTreeMap::new(),
        };
        let file = match std::fs::read_to_string(self.env.config_dir().join("coop.conf")) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(err) => return Err(err).context(Kind::Usage, "cannot read coop.conf"),
        };
        Settings::resolve(&self.env, &git, &file)
    }
}

/// `coop.*` of git config; the last value of a key wins, as in `git config --get`.
fn git_config(git: Git) -> Result<BTreeMap<String, String>> {
    let output = git.args(["config", "--includes", "--null", "--get-regexp", r"^coop\."]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .split('\0')
        .filter_map(|entry| entry.split_once('\n'))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
        .collect())
}
