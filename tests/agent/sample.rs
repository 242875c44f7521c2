//! A user with a home directory and a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{run, try_run};

/// Key that the user put into `agents/env`.
pub const KEY: &str = "sk-test-0123456789-abcdefghij";

/// A user.
pub struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    /// Ada, with a repository of one commit and a secret in it.
    pub fn new() -> Sample {
        let dir = tempfile::tempdir().expect("a directory");
        let sample = Sample { dir };
        fs::create_dir_all(sample.home()).expect("a directory");
        fs::create_dir_all(sample.repo()).expect("a directory");
        for (key, value) in [("user.name", "Ada Lovelace"), ("user.email", "ada@example.invalid")] {
            sample.git(&["config", "--global", key, value]);
        }
        sample.git(&["init", "--quiet", "--initial-branch=main"]);
        fs::write(sample.repo().join("README.md"), "A sample.\n").expect("a file");
        fs::write(sample.repo().join(".gitignore"), ".env\n").expect("a file");
        fs::write(sample.repo().join(".env"), "SECRET=do-not-read\n").expect("a file");
        sample.git(&["add", "-A"]);
        sample.git(&["commit", "--quiet", "-m", "Start"]);
        sample
    }
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }
    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("work/sample")
    }
    pub fn fork(&self, name: &str) -> PathBuf {
        self.dir.path().join("work/sample-forks").join(name)
    }
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
    /// Writes `agents/env`, so that agents talk to `endpoint`.
    pub fn use_endpoint(&self, endpoint: &str) {
        let file = self.home().join(".config/coop/agents/env");
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        let text = format!(
            "ANTHROPIC_API_KEY={KEY}\nANTHROPIC_BASE_URL={endpoint}\n\
             OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={endpoint}/v1\nCODEX_MODEL=gpt-5-codex\n\
             GEMINI_API_KEY={KEY}\nGOOGLE_GEMINI_BASE_URL={endpoint}\nOPENAI_MODEL=scripted\n\
             COPILOT_PROVIDER_API_KEY={KEY}\nCOPILOT_PROVIDER_BASE_URL={endpoint}/v1\n\
             COPILOT_MODEL=scripted\nCOPILOT_OFFLINE=true\n"
        );
        fs::write(file, text).expect("a file");
    }
    /// Puts a file into the default profile of `agent`.
    pub fn profile(&self, agent: &str, path: &str, text: &str) {
        let file = self.home().join(".config/coop/agents").join(agent).join("profiles/default").join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        fs::write(file, text).expect("a file");
    }
    /// The user's git in the user's repository.
    pub fn git(&self, args: &[&str]) -> String {
        run(self.command("git").args(args))
    }
    /// A command of the user, with nothing of our own environment but `PATH`.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home()).env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.current_dir(self.repo());
        command
    }
    /// Asserts that `commit` holds `file` as the script writes it, by the user, on top of the first commit.
    pub fn assert_work(&self, commit: &str, file: &str, requests: &str) {
        let log = || format!("{}\n{requests}", self.git(&["log", "--all", "--format=%h %an %s %D"]));
        let shown = try_run(self.command("git").args(["show", &format!("{commit}:{file}")]));
        assert_eq!(String::from_utf8_lossy(&shown.stdout), "written by the agent\n", "{}", log());
        let author = self.git(&["log", "-1", "--format=%an <%ae> / %cn / %s", commit]);
        assert_eq!(author, "Ada Lovelace <ada@example.invalid> / Ada Lovelace / Work of the agent", "{}", log());
        assert_eq!(self.git(&["rev-list", "--count", commit]), "2", "{}", log());
        assert!(requests.contains(KEY), "the key of agents/env was used: {requests}");
    }
}

/// What to ask an agent for: the script reads the file's path from it.
pub fn prompt(tree: &Path, file: &str) -> String {
    format!("Write the file and commit it. FILE={}", tree.join(file).display())
}
