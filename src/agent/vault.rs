//! Accounts: `<config_dir>/agents/<agent>/profiles/<name>/` holds what one login left, laid out as `$HOME` is. No box
//! ever sees this directory: it gets a copy of one profile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Kind, Result};

use super::definition::is_name;
use super::{Definition, keys, tree};

/// The profiles of one agent.
#[derive(Debug, Clone)]
pub struct Vault {
    agent: String,
    config_dir: PathBuf,
}

/// What signs an agent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The credential file of this profile.
    Profile(String),
    /// A variable of the user's `agents/env`.
    Variable(String),
    /// Nothing.
    None,
}

impl Vault {
    /// The vault of the agent called `agent`.
    pub fn new(config_dir: &Path, agent: &str) -> Self {
        Vault { agent: agent.to_owned(), config_dir: config_dir.to_owned() }
    }

    /// Where `profile` is, whether it exists or not.
    pub fn dir(&self, profile: &str) -> PathBuf {
        self.base().join("profiles").join(profile)
    }

    fn base(&self) -> PathBuf {
        self.config_dir.join("agents").join(&self.agent)
    }

    /// All profiles in alphabetical order.
    pub fn profiles(&self) -> Result<Vec<String>> {
        let dir = self.base().join("profiles");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(err).context(Kind::Usage, format!("cannot read '{}'", dir.display())),
        };
        let mut out: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_name(name) && dir.join(name).is_dir())
            .collect();
        out.sort();
        Ok(out)
    }

    /// The profile that the user marked as the default.
    pub fn marked(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.base().join("default")).ok()?;
        Some(text.trim().to_owned()).filter(|name| is_name(name))
    }

    /// The profile to use: `asked`, or the marked one, or the only one, or the one called `default`; `None` where the
    /// agent has no profile at all. Errors (exit 2): the profile does not exist, or it is not clear which one.
    pub fn active(&self, asked: Option<&str>) -> Result<Option<String>> {
        let profiles = self.profiles()?;
        let login = |name: &str| format!("git coop login {} --profile {name}", self.agent);
        if let Some(name) = asked {
            valid(name)?;
            return if profiles.iter().any(|p| p == name) {
                Ok(Some(name.to_owned()))
            } else {
                Err(Error::usage(format!("{} has no profile '{name}'", self.agent)).hint(login(name)))
            };
        }
        if let Some(name) = self.marked() {
            return if profiles.contains(&name) {
                Ok(Some(name))
            } else {
                Err(Error::usage(format!("the default profile '{name}' of {} is gone", self.agent)).hint(login(&name)))
            };
        }
        match profiles.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            many => match many.iter().find(|p| *p == "default") {
                Some(name) => Ok(Some(name.clone())),
                None => Err(Error::usage(format!(
                    "{} has several profiles and no default: {}",
                    self.agent,
                    many.join(", ")
                ))
                .hint(format!("git coop profiles default {} {}", self.agent, many[0]))),
            },
        }
    }

    /// Whether a login left a credential in `profile`.
    pub fn signed_in(&self, agent: &Definition, profile: &str) -> bool {
        let Ok(root) = tree::open_root(&self.dir(profile)) else { return false };
        agent.home.signed_in.iter().any(|path| {
            matches!(tree::read(&root, Path::new(path), super::home::MAX_CREDENTIAL), Ok(Some(bytes)) if !bytes.is_empty())
        })
    }

    /// What signs `agent` in, given the profile that is active.
    pub fn account(&self, agent: &Definition, profile: Option<&str>) -> Result<Account> {
        let vars = keys::for_agent(agent, &self.config_dir)?;
        Ok(self.account_with(agent, profile, &vars.into_iter().collect()))
    }

    pub(super) fn account_with(
        &self,
        agent: &Definition,
        profile: Option<&str>,
        vars: &BTreeMap<String, OsString>,
    ) -> Account {
        if let Some(profile) = profile.filter(|profile| self.signed_in(agent, profile)) {
            return Account::Profile(profile.to_owned());
        }
        let mut able = agent.env.keys.iter().chain(&agent.env.keyless);
        able.find(|name| vars.contains_key(*name)).map_or(Account::None, |name| Account::Variable(name.clone()))
    }

    /// Makes the directory of `profile` (0700) and gives it. Errors: exit 2 for a name that cannot be one.
    pub fn create(&self, profile: &str) -> Result<PathBuf> {
        valid(profile)?;
        let dir = self.dir(profile);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .context(Kind::Usage, format!("cannot create '{}'", dir.display()))?;
        Ok(dir)
    }

    /// Marks `profile` as the default. Errors (exit 2): it does not exist.
    pub fn mark(&self, profile: &str) -> Result<()> {
        self.active(Some(profile))?;
        let root = tree::open_root(&self.base()).context(Kind::Usage, "cannot open the profiles")?;
        tree::write(&root, Path::new("default"), format!("{profile}\n").as_bytes(), None)
            .context(Kind::Usage, "cannot write the default profile")
    }

    /// Removes `profile` with its credentials, and the mark if it was the default.
    pub fn remove(&self, profile: &str) -> Result<()> {
        self.active(Some(profile))?;
        tree::remove(&self.dir(profile)).context(Kind::Usage, format!("cannot remove the profile '{profile}'"))?;
        if self.marked().as_deref() == Some(profile) {
            std::fs::remove_file(self.base().join("default")).context(Kind::Usage, "cannot remove the default mark")?;
        }
        Ok(())
    }
}

fn valid(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::usage(format!("'{name}' cannot be the name of a profile"))
        .hint("lower-case letters, digits and '-', a letter first, 32 at most"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn which_profile_is_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let vault = Vault::new(dir.path(), "claude");
        assert_eq!(vault.active(None).expect("none is fine"), None);
        let made = vault.create("work").expect("creates");
        assert_eq!(std::fs::metadata(&made).expect("is there").permissions().mode() & 0o777, 0o700);
        assert_eq!(vault.active(None).expect("one").as_deref(), Some("work"));
        vault.create("personal").expect("creates");
        assert_eq!(vault.active(None).expect_err("which?").kind().code(), 2);
        assert_eq!(vault.active(Some("personal")).expect("asked").as_deref(), Some("personal"));
        vault.mark("work").expect("marks");
        assert_eq!(vault.active(None).expect("marked").as_deref(), Some("work"));
        assert!(
            vault.active(Some("nope")).expect_err("unknown").render().contains("git coop login claude --profile nope")
        );
        assert!(vault.create("../evil").is_err() && vault.mark("nope").is_err());
        vault.remove("work").expect("removes");
        assert_eq!((vault.marked(), vault.profiles().expect("lists")), (None, vec!["personal".to_owned()]));
    }

    #[test]
    fn a_credential_file_or_a_variable_signs_in() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::load(dir.path()).expect("loads");
        let claude = registry.get("claude").expect("known");
        let vault = Vault::new(dir.path(), "claude");
        assert_eq!(vault.account(claude, None).expect("reads"), Account::None);
        let profile = vault.create("default").expect("creates");
        assert_eq!(vault.account(claude, Some("default")).expect("reads"), Account::None);
        std::fs::create_dir(profile.join(".claude")).expect("a directory");
        std::fs::write(profile.join(".claude/.credentials.json"), "").expect("a file");
        assert!(!vault.signed_in(claude, "default"), "an empty file is no credential");
        std::fs::write(profile.join(".claude/.credentials.json"), "{}").expect("a file");
        assert_eq!(vault.account(claude, Some("default")).expect("reads"), Account::Profile("default".into()));
        std::fs::write(dir.path().join("agents/env"), "ANTHROPIC_API_KEY=k\n").expect("a file");
        assert_eq!(vault.account(claude, None).expect("reads"), Account::Variable("ANTHROPIC_API_KEY".into()));
    }
}
