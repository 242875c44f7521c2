//! The process environment as a value, read once at the start, so that everything below `cli` can be
//! tested with another one. `clippy.toml` forbids reading the environment anywhere else.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The environment that the user gave us.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The environment of this process.
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn of_process() -> Self {
        Env(std::env::vars_os().collect())
    }
    /// An environment made of the given pairs, for tests.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Env(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
    /// The value of `name`; an empty value counts as unset.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }
    /// As [`Env::get`], where the value is UTF-8.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }
    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str()))
    }
    /// `$HOME`, or `/` where it is unset.
    pub fn home(&self) -> PathBuf {
        self.get("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }
    /// `$XDG_CONFIG_HOME/coop`, by default `~/.config/coop`.
    pub fn config_dir(&self) -> PathBuf {
        self.xdg("XDG_CONFIG_HOME", ".config")
    }
    /// `$XDG_STATE_HOME/coop`, by default `~/.local/state/coop`.
    pub fn state_dir(&self) -> PathBuf {
        self.xdg("XDG_STATE_HOME", ".local/state")
    }
    /// `$XDG_CACHE_HOME/coop`, by default `~/.cache/coop`.
    pub fn cache_dir(&self) -> PathBuf {
        self.xdg("XDG_CACHE_HOME", ".cache")
    }
    /// The directories of `$PATH`, absolute ones only: a relative entry would let the work tree name a program.
    pub fn path_dirs(&self) -> Vec<PathBuf> {
        let path = self.get("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        std::env::split_paths(path).filter(|p| p.is_absolute()).collect()
    }
    /// The first executable file called `name` in [`Env::path_dirs`].
    pub fn which(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        self.path_dirs()
            .into_iter()
            .map(|dir| dir.join(name))
            .find(|file| std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
    }
    fn xdg(&self, name: &str, default: &str) -> PathBuf {
        match self.get(name).map(PathBuf::from) {
            Some(dir) if dir.is_absolute() => dir.join("coop"),
            _ => self.home().join(default).join("coop"),
        }
    }
}
