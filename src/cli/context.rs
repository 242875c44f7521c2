//! What every command is given: environment and directory, and lazily repository and settings.

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Context as _, Kind, Result};
use crate::flow::Coop;
use crate::git::Repo;
use crate::git::config::{self, Config};
use crate::settings::Settings;
use crate::ui::text::printable;

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
        match repo {
            Some(repo) => self.resolve(&config::read(repo, &self.env)?),
            None => self.resolve(&Config::default()),
        }
    }
    /// Everything about the repository around the current directory.
    pub fn coop(&self) -> Result<Coop> {
        let repo = self.repo()?;
        let config = config::read(&repo, &self.env)?;
        let settings = self.resolve(&config)?;
        Ok(Coop::new(&self.env, repo, config, settings))
    }
    fn resolve(&self, git: &Config) -> Result<Settings> {
        for setting in &git.refused {
            eprintln!("warning: {} is ignored: a file of the work tree cannot configure coop", printable(setting));
        }
        let file = match std::fs::read_to_string(self.env.config_dir().join("coop.conf")) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(err) => return Err(err).context(Kind::Usage, "cannot read coop.conf"),
        };
        let ours =
            git.iter().filter(|(key, _)| key.starts_with("coop.")).map(|(k, v)| (k.clone(), v.clone())).collect();
        Settings::resolve(&self.env, &ours, &file)
    }
}
