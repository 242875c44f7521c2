//! A repository with one commit, a planted secret, and the runtime to use.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use coop::sandbox::spec::Runtime;

use crate::common::{IMAGE, runtimes};
use crate::support::{Run, World};

pub struct Place {
    pub world: World,
    pub repo: PathBuf,
}

impl Place {
    /// On one runtime.
    pub fn on(runtime: Runtime) -> Place {
        let world = World::new()
            .with_env("COOP_RUNTIME", runtime.name())
            .with_env("COOP_EGRESS", "none")
            .with_env("COOP_IMAGE", IMAGE)
            .with_env("XDG_CACHE_HOME", &common_cache());
        let repo = world.repo("repo");
        std::fs::write(repo.join(".env"), "TOKEN=planted-secret\n").expect("secret");
        std::fs::write(repo.join(".gitignore"), ".env\n").expect("ignore file");
        world.git(&repo, ["add", "."]);
        world.git(&repo, ["commit", "-qm", "second"]);
        Place { world, repo }
    }
    pub fn coop<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.world.coop(&self.repo, args)
    }
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.world.git(&self.repo, args)
    }
    /// `sh -c script` in a live box.
    pub fn live(&self, script: &str) -> Run {
        self.coop(["run", "--", "sh", "-c", script])
    }
    /// `sh -c script` in the fork `name`.
    pub fn fork(&self, name: &str, script: &str) -> Run {
        self.coop(["fork", name, "--", "sh", "-c", script])
    }
    /// The same in the background.
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.world.command(&self.repo, "git-coop");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("git-coop starts")
    }
    /// The state of one fork, as `fork ls --json` says it; null where there is no such fork.
    pub fn state(&self, name: &str) -> serde_json::Value {
        let text = self.coop(["fork", "ls", "--json"]).ok();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        rows.into_iter().find(|row| row["name"] == name).unwrap_or_default()
    }
    pub fn fork_path(&self, name: &str) -> PathBuf {
        self.world.root().join("repo-forks").join(name)
    }
    /// Nothing of coop's own is left besides what a fork needs.
    pub fn nothing_left(&self) {
        for dir in ["live", "lost"] {
            let left: Vec<_> = std::fs::read_dir(self.repo.join(".git/coop").join(dir)).into_iter().flatten().collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
    }
}

/// Results of slow probes are shared by all worlds, as one user has them.
fn common_cache() -> String {
    std::env::temp_dir().join(format!("coop-flow-cache-{}", std::process::id())).display().to_string()
}

/// A place on bubblewrap, or on the first runtime there is.
pub fn place() -> Option<Place> {
    let all = runtimes();
    let first = all.iter().find(|u| u.runtime == Runtime::Bwrap).or_else(|| all.first());
    if first.is_none() {
        eprintln!("SKIPPED: no runtime to test with");
    }
    first.map(|usable| Place::on(usable.runtime))
}

/// Runs `test` in a place on every runtime.
pub fn everywhere(test: impl Fn(&Place)) {
    for usable in runtimes() {
        eprintln!("-- {}", usable.runtime.name());
        test(&Place::on(usable.runtime));
    }
}

/// Sends `child` the signal `name`.
pub fn send(child: &std::process::Child, name: &str) {
    let status = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

/// Waits until `what` holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
