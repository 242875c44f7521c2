//! The home directory of an agent's box: an ephemeral copy of the active profile, the files that keep the agent quiet,
//! and the session history of the workspace. When the box is gone, the history and a refreshed credential come back,
//! and the copy is removed.
//!
//! Guarantees: the box sees no other profile and no other agent; a file it plants (a link, a pipe, a million files) is
//! never followed or waited for; a credential comes back only into the profile it came from, only if it was there
//! before, names the same account and is newer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Kind, Result};
use crate::without::without;

use super::merge::{self, Values};
use super::tree::{self, Copied, Limits};
use super::vault::{Account, Vault};
use super::{Definition, Outside, Registry, keys, outside};

/// No credential file is larger.
pub(super) const MAX_CREDENTIAL: u64 = 1 << 20;
/// The profile's own files.
const PROFILE: Limits = Limits { files: 2_000, file_bytes: 16 << 20, bytes: 64 << 20 };
/// Session history, in both directions; the newest files come first.
const HISTORY: Limits = Limits { files: 5_000, file_bytes: 128 << 20, bytes: 512 << 20 };
/// Says in a scratch directory whose it is, for [`recover`]. No box sees it.
const NOTE: &str = "agent.json";

/// What [`Prepared`] is made from.
#[derive(Debug)]
pub struct Prepare<'a> {
    /// The agent.
    pub definition: &'a Definition,
    /// The profile asked for, if any.
    pub profile: Option<&'a str>,
    /// Whether this is for a login: no profile and no key goes in, so that the agent asks.
    pub login: bool,
    /// The port of the box's loopback at which a provider will be, if its keys are to stay outside.
    pub outside: Option<u16>,
    /// `~/.config/coop`.
    pub config_dir: &'a Path,
    /// Directory on the host that keeps the session history of this workspace and agent; made if missing.
    pub history_dir: &'a Path,
    /// Directory on the host for this run alone, on a path that no box can write; made if missing, must be empty.
    pub scratch: &'a Path,
    /// The work tree, as the box sees it.
    pub workspace: &'a Path,
    /// `$HOME` in the box.
    pub box_home: &'a Path,
    /// Who the box runs as.
    pub box_uid: u32,
    /// See `box_uid`.
    pub box_gid: u32,
}

/// A home directory ready to be mounted. Dropping it does what [`Prepared::finish`] does, without a report.
#[derive(Debug)]
pub struct Prepared {
    /// Directories to bind writable: (path on the host, path relative to `$HOME` in the box).
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Variables of the box.
    pub env: Vec<(String, OsString)>,
    /// The profile in use; `None` where the agent has none.
    pub profile: Option<String>,
    /// What signs the agent in.
    pub account: Account,
    /// The provider and its keys, where they stay outside.
    pub outside: Option<Outside>,
    source: Source,
    finished: bool,
}

/// Where things came from and go back to.
#[derive(Debug)]
struct Source {
    definition: Definition,
    vault: Vault,
    profile: Option<String>,
    history_dir: PathBuf,
    scratch: PathBuf,
}

/// What came back from a box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Session history.
    pub history: Copied,
    /// Credential files that were refreshed.
    pub credentials: usize,
    /// Refreshed credential files that were not taken, because they were not the same account's newer ones.
    pub refused: usize,
}

impl Prepared {
    /// Makes the copy. Errors (exit 2): an unknown profile, a broken `agents/env`, an unreadable directory.
    pub fn new(prepare: &Prepare<'_>) -> Result<Prepared> {
        let definition = prepare.definition;
        let vault = Vault::new(prepare.config_dir, &definition.name);
        let (profile, mut vars) = match prepare.login {
            true => (None, BTreeMap::new()),
            false => (vault.active(prepare.profile)?, keys::for_agent(definition, prepare.config_dir)?),
        };
        let account = vault.account_with(definition, profile.as_deref(), &vars);
        // from here on the keys are not in `vars`, out of which everything in the box is made
        let outside = prepare
            .outside
            .filter(|_| !without("keys-outside"))
            .and_then(|port| outside::take(definition, &mut vars, port));

        let home = prepare.scratch.join("home");
        let owner = prepare.owner();
        private_dir(prepare.history_dir, owner)?;
        private_dir(prepare.scratch, owner)?;
        if home.symlink_metadata().is_ok() {
            return Err(Error::bug(format!("'{}' is already in use", prepare.scratch.display())));
        }
        private_dir(&home, owner)?;
        // from here on an error drops `prepared`, and with it the copies
        let mut prepared = Prepared {
            binds: definition.home.dirs.iter().map(|dir| (home.join(dir), PathBuf::from(dir))).collect(),
            env: Vec::new(),
            profile: profile.clone(),
            account,
            outside,
            source: Source {
                definition: definition.clone(),
                vault,
                profile,
                history_dir: prepare.history_dir.to_owned(),
                scratch: prepare.scratch.to_owned(),
            },
            finished: false,
        };
        prepared.source.fill(&home, prepare, &vars)?;
        prepared.env = variables(definition, prepare, vars)?;
        Ok(prepared)
    }

    /// Brings history and refreshed credentials back and removes the copy. The box must be gone.
    pub fn finish(mut self) -> Result<Kept> {
        self.finished = true;
        self.source.finish()
    }

    /// After a login: takes the files that it left into the profile, which is made if it is new, and removes the copy.
    /// Gives the number of files taken; 0 where there is no credential among them, and then none is taken.
    pub fn finish_login(mut self, profile: &str) -> Result<usize> {
        self.finished = true;
        let taken = self.source.take_login(profile);
        tree::remove(&self.source.scratch).or_bug("cannot remove the login's directory")?;
        taken
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.source.finish(); // whoever dropped it has an error of its own to report
        }
    }
}

/// Brings back what a killed run left in `scratch`, as [`Prepared::finish`] would have, and removes it. A directory
/// that is not one is only removed. The box must be gone.
pub fn recover(registry: &Registry, config_dir: &Path, scratch: &Path) -> Result<Kept> {
    let note = std::fs::read(scratch.join(NOTE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let note: Option<(String, Option<String>, PathBuf)> = note;
    if let Some((agent, profile, history_dir)) = note
        && let Ok(definition) = registry.get(&agent)
    {
        let vault = Vault::new(config_dir, &agent);
        return Source { definition: definition.clone(), vault, profile, history_dir, scratch: scratch.to_owned() }
            .finish();
    }
    tree::remove(scratch).or_bug(format!("cannot remove '{}'", scratch.display()))?;
    Ok(Kept::default())
}

impl Source {
    fn fill(&self, home: &Path, prepare: &Prepare<'_>, vars: &BTreeMap<String, OsString>) -> Result<()> {
        let owner = prepare.owner();
        let failed = || format!("cannot prepare the home of {}", self.definition.display);

        let note = serde_json::to_vec(&(&self.definition.name, &self.profile, &self.history_dir)).or_bug(failed())?;
        let scratch = tree::open_root(&self.scratch).context(Kind::Usage, failed())?;
        tree::write(&scratch, Path::new(NOTE), &note, None).context(Kind::Usage, failed())?;

        let root = tree::open_root(home).context(Kind::Usage, failed())?;
        for dir in &self.definition.home.dirs {
            tree::make_dir(&root, Path::new(dir), owner).context(Kind::Usage, failed())?;
        }
        if let Some(profile) = &self.profile {
            let dir = self.vault.dir(profile);
            let from = tree::open_root(&dir).context(Kind::Usage, format!("cannot open '{}'", dir.display()))?;
            for dir in &self.definition.home.dirs {
                let copied = tree::copy(&from, &root, Path::new(dir), PROFILE, owner, true);
                if copied.skipped > 0 {
                    // half of a profile would be a puzzle inside the box
                    return Err(Error::usage(format!(
                        "{} files of the profile '{profile}' cannot be copied: links, special files, or too much",
                        copied.skipped
                    ))
                    .hint(format!("look into '{}'", self.vault.dir(profile).display())));
                }
            }
        }
        let from = tree::open_root(&self.history_dir).context(Kind::Usage, failed())?;
        for path in &self.definition.home.history {
            tree::copy(&from, &root, Path::new(path), HISTORY, owner, false);
        }
        let values = Values { workspace: prepare.workspace, home: prepare.box_home, vars };
        for file in self.definition.home.file.iter().filter(|file| merge::applies(file, &values)) {
            let path = Path::new(&file.path);
            let old = tree::read(&root, path, PROFILE.file_bytes).context(Kind::Usage, failed())?;
            let new = merge::merged(file, old.as_deref(), &values)?;
            tree::write(&root, path, &new, owner).context(Kind::Usage, failed())?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<Kept> {
        let mut kept = Kept::default();
        if let (Ok(home), Ok(history)) =
            (tree::open_root(&self.scratch.join("home")), tree::open_root(&self.history_dir))
        {
            let owner = as_root().then(|| std::fs::metadata(&self.history_dir).ok()).flatten();
            let owner = owner.map(|meta| (meta.uid(), meta.gid()));
            for path in &self.definition.home.history {
                let copied = tree::copy(&home, &history, Path::new(path), HISTORY, owner, false);
                kept.history.files += copied.files;
                kept.history.bytes += copied.bytes;
                kept.history.skipped += copied.skipped;
            }
            let profile = self.profile.as_ref().and_then(|name| tree::open_root(&self.vault.dir(name)).ok());
            for rule in self.definition.home.refresh.iter().filter(|_| profile.is_some()) {
                let (Some(profile), path) = (&profile, Path::new(&rule.path)) else { continue };
                let (Ok(Some(new)), Ok(Some(old))) =
                    (tree::read(&home, path, MAX_CREDENTIAL), tree::read(profile, path, MAX_CREDENTIAL))
                else {
                    continue; // gone, replaced by a link, or never there: the profile keeps what it has
                };
                if new == old {
                    continue;
                }
                if super::refresh::is_refreshed(rule, &old, &new) && tree::write(profile, path, &new, None).is_ok() {
                    kept.credentials += 1;
                } else {
                    kept.refused += 1;
                }
            }
        }
        tree::remove(&self.scratch).or_bug(format!("cannot remove '{}'", self.scratch.display()))?;
        Ok(kept)
    }

    fn take_login(&self, profile: &str) -> Result<usize> {
        let home = tree::open_root(&self.scratch.join("home")).or_bug("the login's directory is gone")?;
        let mut files = Vec::new();
        for path in &self.definition.home.vault {
            match tree::read(&home, Path::new(path), MAX_CREDENTIAL) {
                Ok(Some(bytes)) if !bytes.is_empty() => files.push((path, bytes)),
                Ok(_) => {}
                Err(err) => return Err(err).context(Kind::Usage, format!("the login left an odd file '{path}'")),
            }
        }
        if !files.iter().any(|(path, _)| self.definition.home.signed_in.contains(path)) {
            return Ok(0);
        }
        let dir = self.vault.create(profile)?;
        let root = tree::open_root(&dir).context(Kind::Usage, format!("cannot open '{}'", dir.display()))?;
        for (path, bytes) in &files {
            tree::write(&root, Path::new(path), bytes, None)
                .context(Kind::Usage, format!("cannot write the profile '{profile}'"))?;
        }
        Ok(files.len())
    }
}

/// The fixed variables of the definition and those of the user's file.
fn variables(
    definition: &Definition,
    prepare: &Prepare<'_>,
    vars: BTreeMap<String, OsString>,
) -> Result<Vec<(String, OsString)>> {
    let values = Values { workspace: prepare.workspace, home: prepare.box_home, vars: &vars };
    let mut out = BTreeMap::new();
    let as_root = definition.env.set_as_root.iter().filter(|_| prepare.box_uid == 0);
    for (name, value) in definition.env.set.iter().chain(as_root) {
        out.insert(name.clone(), OsString::from(merge::filled(value, &values)?));
    }
    out.extend(vars);
    Ok(out.into_iter().collect())
}

impl Prepare<'_> {
    /// Files are given away only by root: anybody else runs boxes as himself.
    fn owner(&self) -> tree::Owner {
        as_root().then_some((self.box_uid, self.box_gid))
    }
}

fn as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes `path` with its parents (0700); what is new belongs to `owner`, who must be able to walk there.
fn private_dir(path: &Path, owner: tree::Owner) -> Result<()> {
    let new: Vec<&Path> = path.ancestors().take_while(|dir| dir.symlink_metadata().is_err()).collect();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| match owner {
        Some((uid, gid)) => new.iter().try_for_each(|dir| std::os::unix::fs::lchown(dir, Some(uid), Some(gid))),
        None => Ok(()),
    })
    .context(Kind::Usage, format!("cannot create '{}'", path.display()))
}
