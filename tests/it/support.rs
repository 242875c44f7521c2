//! A hermetic world: its own home, git configuration, clock and temporary directory, real git, and the programs
//! as cargo built them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The fixed clock: 2027-01-15 08:00:00 UTC.
pub const NOW: &str = "1800000000";

/// Directory with all programs of the package.
pub fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_git-coop")).parent().expect("cargo puts programs into a directory")
}

/// A world of its own, gone at the end of the test.
pub struct World {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::Builder::new().prefix("coop-it-").tempdir().expect("temporary directory");
        for sub in ["home", "tmp"] {
            std::fs::create_dir(dir.path().join(sub)).expect("directory");
        }
        let world = World { dir, env: Vec::new() };
        let identity = "[user]\n\tname = Una User\n\temail = una@example.com\n[init]\n\tdefaultBranch = main\n";
        std::fs::write(world.home().join(".gitconfig"), identity).expect("git configuration");
        world
    }
    /// The canonical top of the world.
    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("canonical")
    }
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }
    /// Sets a variable for every later command.
    #[must_use]
    pub fn with_env(mut self, key: &str, value: &str) -> World {
        self.env.push((key.into(), value.into()));
        self
    }
    /// A repository with one commit of `README` and a branch `main`.
    pub fn repo(&self, name: &str) -> PathBuf {
        let path = self.root().join(name);
        std::fs::create_dir_all(&path).expect("directory");
        self.git(&path, ["init", "-q"]);
        std::fs::write(path.join("README"), "hello\n").expect("file");
        self.git(&path, ["add", "."]);
        self.git(&path, ["commit", "-qm", "first"]);
        path
    }
    /// git in `dir`; its standard output without the final newline. Panics when git fails.
    pub fn git<S: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = S>) -> String {
        let run = self.run(dir, "git", args);
        assert_eq!(run.code, 0, "git failed: {}", run.stderr);
        run.stdout.trim_end_matches('\n').to_owned()
    }
    /// `git-coop` with arguments in `dir`.
    pub fn coop<S: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = S>) -> Run {
        self.run(dir, "git-coop", args)
    }
    /// Any program: those of the package come first on PATH.
    pub fn run<S: AsRef<OsStr>>(&self, dir: &Path, program: &str, args: impl IntoIterator<Item = S>) -> Run {
        let mut command = self.command(dir, program);
        command.args(args).stdin(Stdio::null());
        Run::of(command.output().unwrap_or_else(|err| panic!("cannot run {program}: {err}")))
    }
    /// The command before it is run, for tests that stream, signal or feed it.
    pub fn command(&self, dir: &Path, program: &str) -> Command {
        let mut command = Command::new(program);
        // the program is looked up on the PATH of the child
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.home())
            .env("TMPDIR", self.root().join("tmp"))
            .env("GIT_CONFIG_GLOBAL", self.home().join(".gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", format!("@{NOW} +0000"))
            .env("GIT_COMMITTER_DATE", format!("@{NOW} +0000"))
            .env("COOP_TEST_NOW", NOW)
            .env("COLUMNS", "100")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }
    pub fn path(&self) -> String {
        format!("{}:{}", programs().display(), system_path())
    }
}

#[allow(clippy::disallowed_methods)] // the one place in the tests
fn system_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Whether golden files are to be written instead of compared (`UPDATE=1 cargo test --test it`).
#[allow(clippy::disallowed_methods)]
pub fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|v| v == "1")
}

/// What a program did.
#[derive(Debug)]
#[must_use = "assert the exit code"]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    /// Asserts exit 0 and gives standard output.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
    /// Asserts a failure as the rules want it: this exit code, nothing on stdout, one `error:` line that
    /// contains `message`, and a hint.
    pub fn fails(self, code: i32, message: &str) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "results of a failure");
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        assert!(errors[0].contains(message), "{:?} is not about {message:?}", errors[0]);
        assert!(self.stderr.lines().any(|line| line.starts_with("hint: ")), "no hint: {}", self.stderr);
        self.stderr
    }
}

/// The package's directory.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir` of the package, relative to the package, sorted.
pub fn files(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![package().join(dir)];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("entry").path();
            if path.is_dir() { stack.push(path) } else { found.push(path) }
        }
    }
    found.iter_mut().for_each(|path| *path = path.strip_prefix(package()).expect("inside").to_owned());
    found.sort();
    found
}

/// Compares a golden file of the package byte for byte, or writes it.
pub fn golden(path: &str, now: &[u8]) {
    let file = package().join(path);
    if updating() {
        std::fs::create_dir_all(file.parent().expect("parent")).expect("directory");
        std::fs::write(&file, now).expect("golden file");
        return;
    }
    let then = std::fs::read(&file).unwrap_or_default();
    assert!(
        then == now,
        "{path} is not current: UPDATE=1 cargo test --test it\n--- now ---\n{}",
        String::from_utf8_lossy(now)
    );
}
