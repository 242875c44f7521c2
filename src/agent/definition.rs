//! What coop knows of one agent CLI. The fields are the file format: `serde` refuses an unknown key, so that a typo
//! in a user's file is an error and not a protection that silently went missing.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};

use super::signals::{LiveRules, OutcomeRule, UsageRule};

/// One agent CLI, as its TOML file says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The word after `git coop`: `[a-z][a-z0-9-]{0,31}`, the same as the file's name.
    pub name: String,
    /// What people call it.
    pub display: String,
    /// How it gets into an image, or onto a host.
    pub install: Install,
    /// Command lines.
    pub argv: Argv,
    /// What it keeps under `$HOME`.
    pub home: Home,
    /// Variables.
    #[serde(default)]
    pub env: Variables,
    /// Hosts that it needs where a box reaches listed ones only: `host:port`, as `coop.allowHost` has them.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How its keys stay outside of the box. Only what was tried with the real program stands here.
    #[serde(default)]
    pub outside: Option<super::outside::Keys>,
    /// How its sessions are found and named.
    #[serde(default)]
    pub session: Session,
    /// How its structured output shows failures, for whatever drives it unattended.
    #[serde(default)]
    pub outcome: Vec<OutcomeRule>,
    /// How its structured output shows what a run used.
    #[serde(default)]
    pub usage: Option<UsageRule>,
    /// How its structured output shows what it does.
    #[serde(default)]
    pub live: LiveRules,
}

/// How an agent is installed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// Which registry `package` is in.
    pub manager: Manager,
    /// Package name.
    pub package: String,
    /// The exact version that a build installs; an update takes the newest one.
    pub version: String,
    /// Prints the version; a build asserts that it is the pinned one.
    pub check: Vec<String>,
    /// Smallest major version of node that runs it; 0 where it is not a node program.
    #[serde(default)]
    pub node: u32,
    /// Packages of the image's distribution that it needs.
    #[serde(default)]
    pub system: Vec<String>,
}

/// A package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// `npm install -g`.
    Npm,
    /// A virtual environment of its own and pip.
    Pypi,
}

/// Command lines; the first word is the program. `{prompt}` and `{session}` are whole words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argv {
    /// Interactive, most autonomous flags. What the user adds comes after it.
    pub start: Vec<String>,
    /// As `start`, in a new session whose id is `{session}`; empty where the agent cannot be told an id.
    #[serde(default)]
    pub start_with_id: Vec<String>,
    /// Interactive, in the stored session `{session}`.
    #[serde(default)]
    pub resume: Vec<String>,
    /// Interactive, in the latest session, for agents whose sessions have no id that can be found.
    #[serde(default)]
    pub resume_latest: Vec<String>,
    /// One prompt without a terminal, structured output.
    pub headless: Vec<String>,
    /// As `headless`, in a new session whose id is `{session}`.
    #[serde(default)]
    pub headless_with_id: Vec<String>,
    /// As `headless`, in the stored session `{session}`.
    #[serde(default)]
    pub headless_resume: Vec<String>,
    /// One prompt that may read and not write. The box's mounts are read-only as well: the flags are only a courtesy.
    #[serde(default)]
    pub consult: Vec<String>,
    /// Signs in; needs a terminal.
    #[serde(default)]
    pub login: Vec<String>,
    /// Speaks the Agent Client Protocol on stdin and stdout.
    #[serde(default)]
    pub acp: Vec<String>,
    /// First words with which the user names a command of the agent that takes none of `start`'s flags.
    #[serde(default)]
    pub subcommands: Vec<String>,
    /// Words with which the user chooses the session himself, so that coop adds no id.
    #[serde(default)]
    pub own_session: Vec<String>,
}

/// What an agent keeps under `$HOME`. All paths are relative to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// Directories that a box gets, each a copy that lives as long as the box.
    pub dirs: Vec<String>,
    /// Files and directories that are session history: kept per workspace.
    #[serde(default)]
    pub history: Vec<String>,
    /// Files that a login writes and that belong to the profile.
    #[serde(default)]
    pub vault: Vec<String>,
    /// Those of `vault` that the agent refreshes while it runs, and how a refreshed one is told from a forged one.
    #[serde(default)]
    pub refresh: Vec<Refresh>,
    /// Any of these in the profile means that somebody signed in.
    #[serde(default)]
    pub signed_in: Vec<String>,
    /// Files written before the start: no first-run dialogs, no telemetry.
    #[serde(default)]
    pub file: Vec<QuietFile>,
}

/// A credential that may come back from a box.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Path relative to `$HOME`, a JSON object.
    pub path: String,
    /// Dotted paths that must keep their value: they say whose credential it is.
    #[serde(default)]
    pub same: Vec<String>,
    /// Dotted path of a number or RFC 3339 text that must grow.
    pub newer: String,
}

/// A file that is merged into the profile's own before a start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietFile {
    /// Path relative to `$HOME`.
    pub path: String,
    /// How it is written.
    pub format: Format,
    /// Variables that must all be set, or the merge is left out.
    #[serde(default)]
    pub when: Vec<String>,
    /// The text. In strings and keys `{workspace}` and `{home}` stand for paths, `{env:NAME}` for a variable and
    /// `{tail20:NAME}` for its last 20 characters.
    pub merge: String,
}

/// A configuration format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

/// Variables of an agent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variables {
    /// Set in every box. `{home}` stands for the home directory in the box.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Set as well where the box runs as user 0.
    #[serde(default)]
    pub set_as_root: BTreeMap<String, String>,
    /// API keys and tokens it may take from the user's `agents/env`; one of them signs it in.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Endpoint variables it may take from there.
    #[serde(default)]
    pub endpoint: Vec<String>,
    /// Other variables it may take from there.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Variables that make a key unnecessary (an endpoint of one's own).
    #[serde(default)]
    pub keyless: Vec<String>,
}

impl Variables {
    /// Whether the agent may take `name` from the user's file.
    pub fn accepts(&self, name: &str) -> bool {
        [&self.keys, &self.endpoint, &self.accept, &self.keyless].iter().any(|list| list.iter().any(|v| v == name))
    }
}

/// Where session files are and what in them is the id.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Fields that the event naming the session has, and their values.
    #[serde(default)]
    pub event: BTreeMap<String, String>,
    /// Dotted path of the id in that event.
    #[serde(default)]
    pub id: String,
    /// Directory of session files relative to `$HOME`, searched downwards.
    #[serde(default)]
    pub store: String,
    /// How the name of a session file begins.
    #[serde(default)]
    pub prefix: String,
    /// How it ends.
    #[serde(default)]
    pub suffix: String,
    /// Dotted path of the id in the first line of a session file; without it the id is the name between `prefix` and
    /// `suffix`.
    #[serde(default)]
    pub line_id: String,
    /// Dotted path of the working directory in the first line, compared where it is there.
    #[serde(default)]
    pub line_cwd: String,
}

impl Definition {
    /// Reads and checks one file. `origin` is what an error calls it. Errors: exit 2.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let wrong = |what: String| Error::usage(what).hint(format!("mend or remove '{origin}'"));
        let definition: Definition = toml::from_str(text).map_err(|err| {
            let line = err.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map(|line| format!(" line {line}")).unwrap_or_default();
            wrong(format!("'{origin}'{place}: {}", err.message().replace('\n', ", ")))
        })?;
        definition.check().map_err(|what| wrong(format!("'{origin}': {what}")))?;
        Ok(definition)
    }

    /// The program that is run.
    pub fn program(&self) -> &str {
        self.argv.start.first().map_or("", String::as_str)
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("name '{}' is not like [a-z][a-z0-9-]*", self.name));
        }
        if self.argv.start.is_empty() || self.install.check.is_empty() {
            return Err("argv.start and install.check need a program".into());
        }
        for (key, argv, placeholder) in [
            ("start_with_id", &self.argv.start_with_id, "{session}"),
            ("resume", &self.argv.resume, "{session}"),
            ("headless", &self.argv.headless, "{prompt}"),
            ("headless_with_id", &self.argv.headless_with_id, "{session}"),
            ("headless_resume", &self.argv.headless_resume, "{session}"),
            ("consult", &self.argv.consult, "{prompt}"),
        ] {
            if !argv.is_empty() && !argv.iter().any(|word| word.contains(placeholder)) {
                return Err(format!("argv.{key} has no word {placeholder}"));
            }
        }
        let package = |c: char| c.is_ascii_alphanumeric() || "@/._-+".contains(c);
        if !self.install.package.chars().all(package) || !self.install.version.chars().all(package) {
            return Err("install.package or install.version has a character that no package name has".into());
        }
        if !self.install.system.iter().all(|name| name.chars().all(package)) {
            return Err("install.system has a character that no package name has".into());
        }
        let home = &self.home;
        if home.dirs.is_empty() {
            return Err("home.dirs is empty".into());
        }
        let lists = [&home.dirs, &home.history, &home.vault, &home.signed_in];
        let singles = home.file.iter().map(|f| &f.path).chain(home.refresh.iter().map(|r| &r.path));
        for path in lists.into_iter().flatten().chain(singles) {
            if !is_relative(path) {
                return Err(format!("home path '{path}' is not a plain relative path"));
            }
            // only the directories are mounted: anything beside them would be written for nobody
            if !home.dirs.iter().any(|dir| path == dir || path.starts_with(&format!("{dir}/"))) {
                return Err(format!("home path '{path}' is outside of home.dirs"));
            }
        }
        if let Some(other) = home.refresh.iter().find(|r| !home.vault.contains(&r.path)) {
            return Err(format!("home.refresh path '{}' is not in home.vault", other.path));
        }
        if let Some(outside) = &self.outside {
            outside.check(&self.env)?;
        }
        self.outcome.iter().try_for_each(OutcomeRule::check)
    }
}

/// Whether `text` can be the name of an agent or a profile: `[a-z][a-z0-9-]{0,31}`.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.len() <= 32
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// A relative path of plain components: no `..`, no `.`, no empty one.
fn is_relative(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
}
