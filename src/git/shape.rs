//! What kind of repository this is, as far as boxes care: the cases that work in a special way or are
//! refused before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Error, Result};

use super::Repo;
use super::config::Config;

/// Facts about a repository, read once from its configuration and files.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// Some remote is a promisor: objects may be missing (`git help partial-clone`).
    pub partial: bool,
    /// Content of `shallow`, where history is cut.
    pub shallow: Option<Vec<u8>>,
    /// `core.sparseCheckout` patterns of this work tree, and whether in cone mode.
    pub sparse: Option<(Vec<u8>, bool)>,
    /// `user.name` and `user.email`.
    pub identity: (Option<String>, Option<String>),
    /// `Name <email>` of the committer, where the configuration says so plainly.
    pub committer: Option<String>,
    /// `core.fileMode`, `core.ignoreCase`, `core.precomposeUnicode`, `core.symlinks` as set, for private git directories.
    pub core: BTreeMap<String, String>,
    /// Names of submodules with a git directory of their own.
    pub submodules: Vec<String>,
    /// `init.defaultBranch`, `core.excludesFile` of the user.
    pub excludes_file: Option<PathBuf>,
    /// `core.editor` of the user.
    pub editor: Option<String>,
    /// `commit.gpgSign` is on.
    pub sign: bool,
    /// `filter.lfs.*` is configured: Git LFS is in use by this user.
    pub lfs: bool,
}

const CORE: &[&str] =
    &["core.filemode", "core.ignorecase", "core.precomposeunicode", "core.symlinks", "core.autocrlf", "core.eol"];

impl Shape {
    /// Facts from the configuration and a few files.
    pub fn of(repo: &Repo, env: &Env, config: &Config) -> Shape {
        let get = |key: &str| config.get(key).cloned().filter(|v| !v.is_empty());
        let on = |key: &str| {
            get(key).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1"))
        };
        let sparse = if on("core.sparsecheckout") {
            let patterns = std::fs::read(repo.git_dir.join("info/sparse-checkout")).unwrap_or_default();
            Some((patterns, on("core.sparsecheckoutcone")))
        } else {
            None
        };
        Shape {
            object_format: get("extensions.objectformat").unwrap_or_else(|| "sha1".into()),
            partial: config.iter().any(|(key, value)| {
                key == "extensions.partialclone"
                    || (key.starts_with("remote.") && key.ends_with(".promisor") && value == "true")
            }),
            shallow: std::fs::read(repo.common_dir.join("shallow")).ok(),
            sparse,
            identity: (
                env.str("GIT_AUTHOR_NAME").map(str::to_owned).or_else(|| get("user.name")),
                env.str("GIT_AUTHOR_EMAIL").map(str::to_owned).or_else(|| get("user.email")),
            ),
            committer: super::ident::configured(|key| config.get(key).cloned()),
            core: CORE.iter().filter_map(|key| Some(((*key).to_owned(), get(key)?))).collect(),
            submodules: modules(&repo.common_dir.join("modules")),
            excludes_file: excludes(get("core.excludesfile"), env),
            editor: get("core.editor"),
            sign: on("commit.gpgsign"),
            lfs: config.iter().any(|(key, _)| key.starts_with("filter.lfs.")),
        }
    }

    /// Name and email for commits. Errors: exit 2, as git itself refuses.
    pub fn identity(&self) -> Result<(&str, &str)> {
        match &self.identity {
            (Some(name), Some(email)) => Ok((name, email)),
            _ => Err(Error::usage("git does not know who you are: user.name or user.email is not set")
                .hint("git config --global user.name \"Your Name\"; git config --global user.email you@example.org")),
        }
    }
}

fn modules(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn excludes(configured: Option<String>, env: &Env) -> Option<PathBuf> {
    let path = match configured {
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => env.home().join(rest),
            None => PathBuf::from(path),
        },
        None => match env.get("XDG_CONFIG_HOME") {
            Some(dir) => PathBuf::from(dir).join("git/ignore"),
            None => env.home().join(".config/git/ignore"),
        },
    };
    path.is_file().then_some(path)
}

/// Directories that `store` borrows objects from, found recursively (`objects/info/alternates`).
/// Errors: exit 2 where a chain is deeper than git's own limit of five.
pub fn alternates(store: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut queue = vec![(store.to_owned(), 0)];
    while let Some((dir, depth)) = queue.pop() {
        let Ok(text) = std::fs::read_to_string(dir.join("info/alternates")) else { continue };
        if depth >= 5 {
            return Err(Error::usage("the repository borrows objects through more than five others")
                .hint("git repack -a -d && rm .git/objects/info/alternates"));
        }
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let path = dir.join(line);
            if let Ok(path) = path.canonicalize()
                && !found.contains(&path)
            {
                found.push(path.clone());
                queue.push((path, depth + 1));
            }
        }
    }
    Ok(found)
}
