//! Configuration: one table that drives parsing, `git coop config` and the man page.
//!
//! Strongest first: command line, `COOP_*` environment, git config `coop.*`, `~/.config/coop/coop.conf`
//! (`KEY=VALUE`), defaults. Resolution is pure: it takes the sources as values.

use std::collections::BTreeMap;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::ui::nearest;

/// One knob.
#[derive(Debug)]
pub struct Setting {
    /// The name in the environment and in `coop.conf`.
    pub env: &'static str,
    /// The name in git config, as a person writes it.
    pub git: &'static str,
    /// Default value; empty is unset.
    pub default: &'static str,
    /// One line for `git coop config` and the man page.
    pub doc: &'static str,
    /// Checks a value and says what is accepted, so that a typo is an error and never the permissive choice.
    pub check: fn(&str) -> std::result::Result<(), &'static str>,
}

impl Setting {
    /// Whether `value` is accepted; empty is unset. Errors: exit 2 with what is.
    pub fn accept(&self, value: &str) -> Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        (self.check)(value).map_err(|want| {
            Error::usage(format!("{} ({}) is '{value}', which is not {want}", self.env, self.git))
                .hint(format!("git coop config {}", self.git))
        })
    }
}

/// The table.
pub const SETTINGS: &[Setting] = &[
    Setting {
        env: "COOP_RUNTIME",
        git: "coop.runtime",
        default: "",
        doc: "force a runtime instead of detecting one",
        check: |v| one_of(v, &["container", "docker", "podman", "bwrap"], "container, docker, podman or bwrap"),
    },
    Setting {
        env: "COOP_EGRESS",
        git: "coop.egress",
        default: "open",
        doc: "what a box may reach: open, public, allowlist or none (see git-coop-egress(1))",
        check: |v| one_of(v, &["open", "public", "allowlist", "none"], "open, public, allowlist or none"),
    },
    Setting {
        env: "COOP_ALLOW_HOST",
        git: "coop.allowHost",
        default: "",
        doc: "hosts that boxes with an allow-list may reach, several with spaces between them; in git config also many times",
        check: |_| Ok(()), // what reads it says which entry is wrong
    },
    Setting {
        env: "COOP_EGRESS_CA",
        git: "coop.egressCA",
        default: "",
        doc: "certificate bundle that is trusted for the providers of models, besides those of the system",
        check: |v| if v.starts_with('/') { Ok(()) } else { Err("an absolute path") },
    },
    Setting {
        env: "COOP_KEY_IN_BOX",
        git: "coop.keyInBox",
        default: "false",
        doc: "whether API keys go into boxes, instead of being put on requests outside of them",
        check: |v| one_of(v, &["true", "false"], "true or false"),
    },
    Setting {
        env: "COOP_MEMORY",
        git: "coop.memory",
        default: "",
        doc: "memory of a box, for example 4g",
        check: |v| bytes(v).map(|_| ()).ok_or("a size such as 512m or 4g"),
    },
    Setting {
        env: "COOP_CPUS",
        git: "coop.cpus",
        default: "",
        doc: "processors of a box, for example 2 or 1.5",
        check: |v| millicpus(v).map(|_| ()).ok_or("a number such as 2 or 1.5"),
    },
    Setting {
        env: "COOP_PIDS",
        git: "coop.pids",
        default: "512",
        doc: "processes of a box",
        check: |v| v.parse::<u32>().ok().filter(|n| *n >= 16).map(|_| ()).ok_or("a number of at least 16"),
    },
    Setting {
        env: "COOP_GATE",
        git: "coop.gate",
        default: "",
        doc: "command that must pass in a box before a landing",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_GATE_TIMEOUT",
        git: "coop.gateTimeout",
        default: "60m",
        doc: "how long the gate may take, for example 90s or 20m",
        check: |v| seconds(v).map(|_| ()).ok_or("a time such as 90s, 20m or 2h"),
    },
    Setting {
        env: "COOP_LOOP_ATTEMPTS",
        git: "coop.loopAttempts",
        default: "3",
        doc: "how often a loop tries a task before it is blocked",
        check: |v| v.parse::<u8>().ok().filter(|n| *n > 0).map(|_| ()).ok_or("a number from 1 to 255"),
    },
    Setting {
        env: "COOP_LOOP_SILENCE",
        git: "coop.loopSilence",
        default: "15m",
        doc: "how long an agent of a loop may be silent",
        check: |v| seconds(v).map(|_| ()).ok_or("a time such as 90s, 20m or 2h"),
    },
    Setting {
        env: "COOP_LOOP_TOOL",
        git: "coop.loopTool",
        default: "60m",
        doc: "the same while one of its tools runs",
        check: |v| seconds(v).map(|_| ()).ok_or("a time such as 90s, 20m or 2h"),
    },
    Setting {
        env: "COOP_LOOP_CEILING",
        git: "coop.loopCeiling",
        default: "4h",
        doc: "how long one run of an agent of a loop may take",
        check: |v| seconds(v).map(|_| ()).ok_or("a time such as 90s, 20m or 2h"),
    },
    Setting {
        env: "COOP_FLEET_MAX",
        git: "coop.fleetMax",
        default: "8",
        doc: "how many loops of a fleet work at once",
        check: |v| {
            v.parse::<usize>().ok().filter(|n| (1..=200).contains(n)).map(|_| ()).ok_or("a number from 1 to 200")
        },
    },
    Setting {
        env: "COOP_NOTIFY",
        git: "coop.notify",
        default: "",
        doc: "command that runs on the host when a loop ends, parks or blocks a task, with COOP_EVENT, COOP_NAME and COOP_TEXT",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_MAX_BLOB",
        git: "coop.maxBlob",
        default: "5m",
        doc: "largest file that lands without being accepted by name",
        check: |v| bytes(v).map(|_| ()).ok_or("a size such as 512k or 5m"),
    },
    Setting {
        env: "COOP_SCAN_DISABLE",
        git: "coop.scanDisable",
        default: "",
        doc: "rules that no scan and no landing applies, several with spaces between them; in git config also many times",
        check: |_| Ok(()), // the scan says which rule it does not know
    },
    Setting {
        env: "COOP_REQUIRE_VERDICT",
        git: "coop.requireVerdict",
        default: "false",
        doc: "whether git coop merge --check wants a green verdict for commits of people as well",
        check: |v| one_of(v, &["true", "false"], "true or false"),
    },
    Setting {
        env: "COOP_REVIEW_CMD",
        git: "coop.reviewCmd",
        default: "",
        doc: "program that git coop review runs instead of the pager, with COOP_NAME, COOP_BASE and COOP_HEAD",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_FORK_ROOT",
        git: "coop.forkRoot",
        default: "",
        doc: "directory that holds the forks (default ../<repository>-forks)",
        check: |v| if v.starts_with('/') || v.starts_with("~/") { Ok(()) } else { Err("an absolute path") },
    },
    Setting {
        env: "COOP_SPARE",
        git: "coop.spare",
        default: "true",
        doc: "keep a work tree ready for the next fork (one more checkout on the disk, in the git directory)",
        check: |v| one_of(v, &["true", "false"], "true or false"),
    },
    Setting {
        env: "COOP_IMAGE",
        git: "coop.image",
        default: "",
        doc: "image of the box, instead of the one that git coop build makes",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_BASE_IMAGE",
        git: "coop.baseImage",
        default: "debian:bookworm-slim",
        doc: "base of the built-in image",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_BUILD_CA",
        git: "coop.buildCA",
        default: "",
        doc: "certificate bundle that the image and its build trust",
        check: |v| if v.starts_with('/') { Ok(()) } else { Err("an absolute path") },
    },
    Setting {
        env: "COOP_BUILD_NETWORK",
        git: "coop.buildNetwork",
        default: "",
        doc: "network of an image build, for example host where the bridge reaches nothing",
        check: |v| if v.starts_with('-') { Err("a network of the runtime") } else { Ok(()) },
    },
    Setting {
        env: "COOP_EDITOR",
        git: "coop.editor",
        default: "",
        doc: "editor for git coop fork open",
        check: |_| Ok(()),
    },
    Setting {
        env: "COOP_SHELL",
        git: "coop.shell",
        default: "bash",
        doc: "shell of git coop shell",
        check: |_| Ok(()),
    },
];

/// Resolved values with where each one came from.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<&'static str, (String, Source)>);

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An option on the command line.
    CommandLine,
    /// A `COOP_*` variable.
    Environment,
    /// git config.
    GitConfig,
    /// `coop.conf`.
    File,
    /// Built in.
    Default,
}

impl Source {
    /// As `git coop config` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Source::CommandLine => "command line",
            Source::Environment => "environment",
            Source::GitConfig => "git config",
            Source::File => "coop.conf",
            Source::Default => "default",
        }
    }
}

impl Settings {
    /// Resolves every setting. `git` holds lower-cased keys (`coop.forkroot`), `file` the text of `coop.conf`.
    /// Errors: exit 2 for an unknown value, or an unknown key in `file`.
    pub fn resolve(env: &Env, git: &BTreeMap<String, String>, file: &str) -> Result<Self> {
        let file = parse_file(file)?;
        refuse_slips(env, git)?;
        let mut out = BTreeMap::new();
        for s in SETTINGS {
            let (value, source) = if let Some(v) = env.str(s.env) {
                (v.to_owned(), Source::Environment)
            } else if let Some(v) = git.get(&s.git.to_ascii_lowercase()).filter(|v| !v.is_empty()) {
                (v.clone(), Source::GitConfig)
            } else if let Some(v) = file.get(s.env).filter(|v| !v.is_empty()) {
                (v.clone(), Source::File)
            } else {
                (s.default.to_owned(), Source::Default)
            };
            s.accept(&value)?;
            out.insert(s.env, (value, source));
        }
        Ok(Settings(out))
    }
    /// The value of `env` name, `None` when unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(v, _)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// Where the value of `name` came from.
    pub fn source(&self, name: &str) -> Source {
        self.0.get(name).map_or(Source::Default, |(_, s)| *s)
    }
    /// Overrides one value from the command line. Errors: exit 2.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = SETTINGS
            .iter()
            .find(|s| s.env == name)
            .ok_or_else(|| Error::usage(format!("unknown setting '{name}'")).hint("git coop config"))?;
        setting.accept(value)?;
        self.0.insert(setting.env, (value.to_owned(), Source::CommandLine));
        Ok(())
    }
}

/// A misspelt name would be the permissive choice (`COOP_EGRES=none`): names that are nearly right are
/// errors. Others may belong to another version.
fn refuse_slips(env: &Env, git: &BTreeMap<String, String>) -> Result<()> {
    let slip = |name: &str, near: &str, what: &str| {
        Err(Error::usage(format!("unknown setting '{name}' in {what}")).hint(format!("did you mean {near}?")))
    };
    for (name, _) in env.iter() {
        let Some(name) = name.to_str().filter(|n| n.starts_with("COOP_") && !n.starts_with("COOP_TEST_")) else {
            continue;
        };
        if !SETTINGS.iter().any(|s| s.env == name)
            && let Some(near) = nearest(name, SETTINGS.iter().map(|s| s.env))
        {
            return slip(name, near, "the environment");
        }
    }
    for name in git.keys().filter(|key| key.matches('.').count() == 1) {
        if !SETTINGS.iter().any(|s| s.git.eq_ignore_ascii_case(name))
            && let Some(near) = nearest(name, SETTINGS.iter().map(|s| s.git))
        {
            return slip(name, near, "git config");
        }
    }
    Ok(())
}

fn parse_file(text: &str) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| {
            Error::usage(format!("coop.conf line {}: not KEY=VALUE", number + 1)).hint("git coop config")
        })?;
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if !SETTINGS.iter().any(|s| s.env == key) {
            let near = nearest(key, SETTINGS.iter().map(|s| s.env));
            let hint = near.map_or("git coop config".to_owned(), |near| format!("did you mean {near}?"));
            return Err(Error::usage(format!("coop.conf line {}: unknown key '{key}'", number + 1)).hint(hint));
        }
        out.insert(key.to_owned(), value.to_owned());
    }
    Ok(out)
}

fn one_of(value: &str, accepted: &[&str], words: &'static str) -> std::result::Result<(), &'static str> {
    if accepted.contains(&value) { Ok(()) } else { Err(words) }
}

/// `4g`, `512m`, `65536k`, `1048576` in bytes.
pub fn bytes(value: &str) -> Option<u64> {
    let (digits, unit) = match value.trim_end_matches(['b', 'B']).chars().last()? {
        'k' | 'K' => (&value[..value.len() - 1], 1u64 << 10),
        'm' | 'M' => (&value[..value.len() - 1], 1 << 20),
        'g' | 'G' => (&value[..value.len() - 1], 1 << 30),
        _ => (value, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|n| *n > 0)
}

/// `90s`, `20m`, `2h` or plain seconds.
pub fn seconds(value: &str) -> Option<u64> {
    let (digits, unit) = match value.chars().last()? {
        's' => (&value[..value.len() - 1], 1),
        'm' => (&value[..value.len() - 1], 60),
        'h' => (&value[..value.len() - 1], 3_600),
        _ => (value, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|n| (1..=7 * 86_400).contains(n))
}

/// `2` or `1.5` processors in thousandths.
pub fn millicpus(value: &str) -> Option<u32> {
    let n: f64 = value.parse().ok()?;
    (n.is_finite() && (0.01..=4096.0).contains(&n)).then(|| (n * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests;
