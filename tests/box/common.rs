//! A small repository with secrets, and a box on it per runtime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use coop::env::Env;
use coop::sandbox::runtime::survey;
use coop::sandbox::spec::{BoxSpec, Egress, Limits, Mount, Runtime, User};
use coop::sandbox::{Ended, Io, Out, System, Usable, launch};

pub const IMAGE: &str = "coop-test-base:latest";

/// The runtimes to test. A missing one is printed, or fails where `COOP_TEST_REQUIRE` names it.
pub fn runtimes() -> &'static [Usable] {
    static FOUND: OnceLock<Vec<Usable>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let env = Env::of_process();
        let required = env.str("COOP_TEST_REQUIRE").unwrap_or("").to_owned();
        let mut usable = Vec::new();
        let mut missing: Vec<(Runtime, String)> = Vec::new();
        let found = survey(&env, &System::new(&env));
        for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Bwrap] {
            match found.iter().find(|(r, _)| *r == runtime) {
                Some((_, Ok(found))) => usable.push(found.clone()),
                Some((_, Err(err))) => missing.push((runtime, err.render())),
                None => missing.push((runtime, "not installed".to_owned())),
            }
        }
        if usable.iter().any(|u| u.runtime.needs_image()) {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/base-image.sh");
            if !std::process::Command::new(script).status().expect("base-image.sh").success() {
                let without = usable.extract_if(.., |u| u.runtime.needs_image());
                missing.extend(without.map(|u| (u.runtime, "the base image cannot be made".to_owned())));
            }
        }
        for (runtime, reason) in missing {
            assert!(!required.split(',').any(|r| r == runtime.name()), "{} is required: {reason}", runtime.name());
            eprintln!("SKIPPED: no box test runs on {}: {reason}", runtime.name());
        }
        usable
    })
}

/// Runs `test` on every runtime and names the one that failed.
pub fn each(test: impl Fn(&Usable)) {
    for usable in runtimes() {
        eprintln!("-- {}", usable.runtime.name());
        test(usable);
    }
}

/// A repository-like directory with secrets, owned by this user.
pub struct Fixture {
    pub root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("coop-box-").tempdir_in("/var/tmp").expect("tempdir");
        let root = dir.path().canonicalize().expect("canonical").join("repo");
        std::fs::create_dir_all(root.join("secrets")).expect("mkdir");
        std::fs::write(root.join(".env"), "TOKEN=planted-secret\n").expect("write");
        std::fs::write(root.join("secrets/key"), "planted-secret\n").expect("write");
        std::fs::write(root.join("README"), "hello\n").expect("write");
        Fixture { root, _dir: dir }
    }

    /// A box on it that runs `script` with bash.
    pub fn spec(&self, usable: &Usable, script: &str) -> BoxSpec {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        BoxSpec {
            id: unique(),
            purpose: "test".into(),
            workspace: format!("live:{}", self.root.display()),
            mounts: vec![
                Mount::rw(&self.root, &self.root),
                Mount::BlankFile { target: self.root.join(".env") },
                Mount::BlankDir { target: self.root.join("secrets") },
            ],
            workdir: self.root.clone(),
            home: "/home/agent".into(),
            env: vec![("COOP_TEST".into(), "in the box".into())],
            path_prefix: Vec::new(),
            command: ["bash", "-c", script].map(OsString::from).to_vec(),
            user: User { uid, gid },
            limits: Limits { memory: Some(512 << 20), millicpus: Some(1500), pids: 64 },
            egress: Egress::None,
            proxy: None,
            image: usable.runtime.needs_image().then(|| IMAGE.to_owned()),
        }
    }

    /// Runs `script` and gives what it printed on standard output; standard error is shown when it fails.
    pub fn sh(&self, usable: &Usable, script: &str) -> String {
        let ended = run(usable, &self.spec(usable, script));
        let out = String::from_utf8_lossy(&ended.stdout).into_owned();
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status, 0, "{}: {script}\nstdout: {out}\nstderr: {err}", usable.runtime.name());
        out
    }
}

pub fn capture<'a>() -> Io<'a> {
    Io { stdout: Out::Capture { limit: 1 << 20 }, stderr: Out::Capture { limit: 1 << 20 }, ..Io::default() }
}

pub fn run(usable: &Usable, spec: &BoxSpec) -> Ended {
    launch(usable, spec, capture()).unwrap_or_else(|e| panic!("{}: {}", usable.runtime.name(), e.render()))
}

/// A fresh id.
pub fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
