//! git's configuration of the user's repository, read once per command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::Result;

use super::{Git, Repo};

/// Keys whose values add up, with a space between them.
const LISTS: [&str; 2] = ["coop.allowhost", "coop.scandisable"];

/// What git's configuration says, and where it says so.
#[derive(Debug, Clone, Default)]
pub struct Config {
    values: BTreeMap<String, String>,
    entries: Vec<Entry>,
    /// Settings of coop that were found in files of the work tree, as `key in file`: they do not count.
    pub refused: Vec<String>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, with every link resolved; `None` for the command line and blobs.
    pub origin: Option<PathBuf>,
    /// Key in lower case (but for the middle part, as git has it).
    pub key: String,
    /// Value; `true` where there is none, as git reads it.
    pub value: String,
}

impl Config {
    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&String> {
        self.values.get(key)
    }
    /// Every key with its last value; of a list all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.values.iter()
    }
    fn add(&mut self, entry: &Entry) {
        match self.values.get_mut(&entry.key).filter(|_| LISTS.contains(&entry.key.as_str())) {
            Some(all) => *all = format!("{all} {}", entry.value),
            None => drop(self.values.insert(entry.key.clone(), entry.value.clone())),
        }
    }
    /// Every value in the order git reads them, shadowed ones too.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    /// From entries. A setting of coop in a file of the work tree does not count: agents write there.
    pub fn of(entries: Vec<Entry>, repo: &Repo) -> Config {
        let mut config = Config::default();
        for entry in &entries {
            let file = entry.origin.as_deref().filter(|file| in_work_tree(repo, file));
            match file.filter(|_| entry.key.starts_with("coop.")) {
                Some(file) => config.refused.push(format!("{} in '{}'", entry.key, file.display())),
                None => config.add(entry),
            }
        }
        config.entries = entries;
        config
    }
}

/// Whether `path` (canonical) lies in the work tree and not in a git directory of the host.
pub fn in_work_tree(repo: &Repo, path: &Path) -> bool {
    path.starts_with(&repo.work_tree) && !path.starts_with(&repo.git_dir) && !path.starts_with(&repo.common_dir)
}

/// Reads all of it with one git process, includes and all scopes (`git help config`, `--list`, `--show-origin`).
pub fn read(repo: &Repo, env: &Env) -> Result<Config> {
    let git = Git::new(repo, env).args(["config", "--includes", "--show-origin", "--null", "--list"]);
    let output = git.output()?;
    if !output.status.success() {
        return Err(super::command::failed("config", &output));
    }
    Ok(Config::of(parse(&output.stdout), repo))
}

fn parse(bytes: &[u8]) -> Vec<Entry> {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\0');
    let mut resolved: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
    let mut entries = Vec::new();
    while let (Some(origin), Some(entry)) = (words.next(), words.next()) {
        let file = resolved.entry(origin.to_owned()).or_insert_with_key(|origin| {
            let file = Path::new(origin.strip_prefix("file:")?);
            Some(file.canonicalize().unwrap_or_else(|_| file.to_owned()))
        });
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        entries.push(Entry { origin: file.clone(), key: key.to_owned(), value: value.to_owned() });
    }
    entries
}
