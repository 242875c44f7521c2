//! Runs git: one builder, so that every protection is in one place.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};

use super::Repo;

/// A git command on the user's repository.
///
/// The environment is rebuilt from nothing: `PATH`, `HOME` and what git needs to find the user's own
/// configuration, so that no `GIT_*` variable of a hook or an alias can redirect it.
#[derive(Debug)]
pub struct Git {
    command: Command,
    shown: String,
    input: Option<Vec<u8>>,
}

/// Settings forced on every git that coop runs, each with its reason.
const FORCED: &[&str] = &[
    "core.fsmonitor=false",         // names a program
    "core.hooksPath=/dev/null",     // may point into the work tree, which an agent writes
    "core.pager=cat",               // names a program
    "core.editor=false",            // names a program
    "gc.auto=0",                    // no background process after a small command
    "maintenance.auto=false",       // the same
    "core.alternateRefsCommand=",   // names a program
    "protocol.allow=never",         // nothing here talks to a network
    "protocol.file.allow=always",   // a bundle is a file
    "submodule.recurse=false",      // never enters a nested repository
    "diff.ignoreSubmodules=all",    // the same, for status and diff
    "safe.bareRepository=explicit", // never a bare repository that was found by walking
    "advice.detachedHead=false",    // quiet
];

impl Git {
    /// git on `repo` with the user's configuration (identity, excludes, signing), hooks off.
    pub fn new(repo: &Repo, env: &Env) -> Self {
        let mut git = Git::bare(env);
        for key in [
            "HOME",
            "XDG_CONFIG_HOME",
            "GNUPGHOME",
            "SSH_AUTH_SOCK",
            "GPG_TTY",
            "GIT_CONFIG_GLOBAL",
            "GIT_CONFIG_SYSTEM",
            "GIT_CONFIG_NOSYSTEM",
            "GIT_COMMITTER_DATE",
            "GIT_AUTHOR_DATE",
            "TMPDIR",
        ] {
            if let Some(value) = env.get(key) {
                git.command.env(key, value);
            }
        }
        git.on(&repo.git_dir)
    }

    /// git on `repo` for reading the user's configuration as it is, without the settings that coop forces.
    pub fn configured(repo: &Repo, env: &Env) -> Self {
        let mut git = Git::new(repo, env);
        let mut plain = Command::new("git");
        plain.env_clear().current_dir("/");
        for (key, value) in git.command.get_envs() {
            if let Some(value) = value {
                plain.env(key, value);
            }
        }
        git.command = plain;
        git.on(&repo.git_dir)
    }

    /// git on `repo` for talking to one of the user's remotes: their transports, credential helpers and proxies, and
    /// nothing else that [`Git::new`] forbids. Never prompts.
    pub fn network(repo: &Repo, env: &Env) -> Self {
        let mut git = Git::new(repo, env);
        for key in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            for key in [key.to_owned(), key.to_ascii_lowercase()] {
                if let Some(value) = env.get(&key) {
                    git.command.env(key, value);
                }
            }
        }
        // `ext` and what else names a program stays out
        for protocol in ["https", "http", "ssh", "git"] {
            git = git.config(&format!("protocol.{protocol}.allow=always"));
        }
        git
    }

    /// git on `repo` that reads no configuration but the repository's own: for imports, and for every
    /// command that looks at what a box produced.
    pub fn isolated(repo: &Repo, env: &Env) -> Self {
        let mut git = Git::bare(env);
        git.command
            .env("HOME", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1");
        git.on(&repo.git_dir)
    }

    fn bare(env: &Env) -> Self {
        // by its path: with a name alone the standard library forks this whole process to look for it
        let mut command = Command::new(env.which("git").unwrap_or_else(|| "git".into()));
        command
            .env_clear()
            .env("PATH", env.get("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin")))
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1") // replacement refs would fake history
            .current_dir("/"); // never a directory a box can write
        let mut git = Git { command, shown: "git".into(), input: None };
        for setting in FORCED {
            git.command.arg("-c").arg(setting);
        }
        git
    }

    fn on(mut self, git_dir: &Path) -> Self {
        let mut arg = OsString::from("--git-dir=");
        arg.push(git_dir);
        self.command.arg(arg);
        self
    }

    /// One more `-c key=value`; must come before the first [`Git::arg`].
    #[must_use]
    pub fn config(mut self, setting: &str) -> Self {
        self.command.arg("-c").arg(setting);
        self
    }
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }
    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }
    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }
    /// Names the work tree for commands that need one. They run in it, so never with a repository whose
    /// git directory is not the host's own.
    #[must_use]
    pub fn in_work_tree(mut self, repo: &Repo) -> Self {
        self.command.env("GIT_WORK_TREE", &repo.work_tree).current_dir(&repo.work_tree);
        self
    }
    /// Bytes for standard input; without them it is empty.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Runs it and gives status and output. Errors only if git cannot be started.
    pub fn output(mut self) -> Result<Output> {
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(cannot_start)?;
        let feeder = match (self.input.take(), child.stdin.take()) {
            // a thread, because git may fill its output pipe before it has read everything
            (Some(bytes), Some(mut stdin)) => Some(std::thread::spawn(move || {
                let _ = stdin.write_all(&bytes); // git says itself why it stopped reading
            })),
            _ => None,
        };
        let output = child.wait_with_output().or_bug("cannot wait for git")?;
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        Ok(output)
    }
    /// Runs it; standard output on success. Errors: kind Bug with git's own message when it exits non-zero.
    pub fn read(self) -> Result<Vec<u8>> {
        let shown = self.shown.clone();
        let output = self.output()?;
        if output.status.success() { Ok(output.stdout) } else { Err(failed(&shown, &output)) }
    }
    /// As [`Git::read`], as text without the final newline.
    pub fn line(self) -> Result<String> {
        let bytes = self.read()?;
        let text = String::from_utf8(bytes).or_bug("git printed bytes that are not UTF-8")?;
        Ok(text.trim_end_matches('\n').to_owned())
    }
    /// As [`Git::output`], ended after `limit`: `None` where the time was not enough. For commands whose
    /// work depends on what a box made.
    pub fn output_within(mut self, limit: std::time::Duration) -> Result<Option<Output>> {
        use std::io::Read;
        if limit.is_zero() {
            return Ok(None); // no time is left: not even started
        }
        let deadline = std::time::Instant::now() + limit;
        let input = self.input.take();
        self.command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(cannot_start)?;
        let feeder = input.zip(child.stdin.take()).map(|(bytes, mut stdin)| {
            std::thread::spawn(move || {
                let _ = stdin.write_all(&bytes); // git says itself why it stopped reading
            })
        });
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let drain = |pipe: &mut dyn Read| {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        };
        let stdout = std::thread::spawn(move || out.as_mut().map(|p| drain(p)).unwrap_or_default());
        let stderr = std::thread::spawn(move || err.as_mut().map(|p| drain(p)).unwrap_or_default());
        let mut nap = std::time::Duration::from_micros(500);
        let status = loop {
            if let Some(status) = child.try_wait().or_bug("cannot wait for git")? {
                break Some(status);
            }
            if std::time::Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(std::time::Duration::from_millis(20));
        };
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        Ok(status.map(|status| Output { status, stdout, stderr }))
    }
    /// Whether it exits 0; any other exit is `false`.
    pub fn succeeds(self) -> Result<bool> {
        Ok(self.output()?.status.success())
    }
    /// The plain command, for callers that stream. Standard input is empty unless they set it.
    pub fn into_command(mut self) -> Command {
        self.command.stdin(Stdio::null());
        self.command
    }
}

/// The error for a git that exited non-zero: the first line it wrote, and nothing about how we called it.
pub fn failed(shown: &str, output: &Output) -> Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with("hint:")).unwrap_or("no message");
    let line = text.lines().find(|l| l.contains("No space left on device")).unwrap_or(line); // that is why
    let verb = shown.split(' ').find(|w| *w != "git" && !w.starts_with('-')).unwrap_or("git");
    Error::bug(format!("git {verb} failed: {}", line.trim_start_matches("fatal: ").trim_start_matches("error: ")))
}

fn cannot_start(err: std::io::Error) -> Error {
    Error::new(Kind::Usage, "cannot run git").because(err).hint("install git 2.41 or later")
}

/// Lets git decide whether a repository of another owner may be used.
pub(super) fn dubious_ownership(repo: &Repo, env: &Env) -> Result<()> {
    let mut git = Git::bare(env);
    for key in ["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "SUDO_UID"] {
        if let Some(value) = env.get(key) {
            git.command.env(key, value);
        }
    }
    git.command.current_dir(&repo.work_tree);
    let output = git.args(["rev-parse", "--git-dir"]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let quoted = repo.work_tree.display();
    Err(Error::usage(format!("'{quoted}' belongs to somebody else, and git does not trust it"))
        .hint(format!("git config --global --add safe.directory '{quoted}'")))
}
