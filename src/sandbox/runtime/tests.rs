//! Detection on machines that are made up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::probes::Ran;
use super::*;

/// A machine: which programs are there is decided by files in a temporary directory, the rest by these answers.
#[derive(Default)]
struct Machine {
    /// First words of a command line (without the directory) and how it ends.
    commands: Vec<(&'static str, Ran)>,
    connect: Option<io::ErrorKind>,
    files: BTreeMap<&'static str, &'static str>,
    memory: RefCell<BTreeMap<String, (String, String)>>,
    ran: RefCell<Vec<String>>,
}

fn ran(status: i32, stdout: &str, stderr: &str) -> Ran {
    Ran { status: Some(status), stdout: stdout.into(), stderr: stderr.into() }
}

impl Probes for Machine {
    fn run(&self, program: &Path, args: &[&OsStr], _limit: Duration) -> Ran {
        let mut line = program.file_name().expect("name").to_string_lossy().into_owned();
        for arg in args {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        self.ran.borrow_mut().push(line.clone());
        let known = self.commands.iter().find(|(start, _)| line.starts_with(start));
        known.map_or(Ran { status: None, stdout: String::new(), stderr: "no answer within 2 s".into() }, |(_, r)| {
            r.clone()
        })
    }
    fn connect(&self, _socket: &Path) -> io::Result<()> {
        self.connect.map_or(Ok(()), |kind| Err(kind.into()))
    }
    fn read(&self, path: &Path) -> Option<String> {
        self.files.get(path.to_str()?).map(|t| (*t).to_owned())
    }
    fn link(&self, path: &Path) -> Option<PathBuf> {
        (path == Path::new("/bin")).then(|| "usr/bin".into())
    }
    fn stamp(&self, path: &Path) -> Option<String> {
        (path.starts_with("/usr") || path.is_file() || path.ends_with("docker.sock")).then(|| "stamp".into())
    }
    fn recall(&self, name: &str, key: &str) -> Option<String> {
        self.memory.borrow().get(name).filter(|(k, _)| k == key).map(|(_, answer)| answer.clone())
    }
    fn remember(&self, name: &str, key: &str, answer: &str) {
        self.memory.borrow_mut().insert(name.into(), (key.into(), answer.into()));
    }
    fn scratch(&self) -> Option<PathBuf> {
        Some("/empty".into())
    }
    fn hard_limits(&self) -> (Option<u64>, Option<u64>) {
        (Some(20_000), Some(96_365))
    }
    fn euid(&self) -> u32 {
        1000
    }
}

const DOCKER_INFO: &str = r#"{"ServerVersion":"28","MemoryLimit":true,"PidsLimit":true,"CPUCfsQuota":true,"SecurityOptions":["name=seccomp,profile=default"]}"#;
const PODMAN_INFO: &str = r#"{"host":{"cgroupVersion":"v1","cgroupControllers":["pids"],"security":{"rootless":true,"seccompEnabled":true,"seccompProfilePath":"/usr/share/containers/seccomp.json"}},"version":{"Version":"4.3.1"}}"#;
const BWRAP_HELP: &str = "--disable-userns x\n--add-seccomp-fd FD\n--size BYTES";

/// An environment whose PATH holds only the named programs.
fn with(programs: &[&str]) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().expect("tempdir");
    for name in programs {
        let path = dir.path().join(name);
        std::fs::write(&path, "#!/bin/sh\n").expect("write");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    let env = Env::from_pairs([("PATH", dir.path().as_os_str()), ("HOME", OsStr::new("/home/me"))]);
    (dir, env)
}

#[test]
fn order_and_what_was_passed_over() {
    let (_dir, env) = with(&["docker", "podman", "bwrap", "container"]);
    let machine = Machine { commands: vec![("docker info", ran(0, DOCKER_INFO, ""))], ..Machine::default() };
    assert_eq!(detect(&env, None, &machine).expect("docker").runtime, Runtime::Docker);
    assert_eq!(machine.ran.borrow().len(), 1);
    detect(&env, None, &machine).expect("docker");
    assert_eq!(machine.ran.borrow().len(), 1, "the second time nothing is started");

    let machine = Machine {
        connect: Some(io::ErrorKind::NotFound),
        commands: vec![
            ("podman info", ran(0, PODMAN_INFO, "")),
            ("podman run", ran(126, "", "Error: runc: cgroups: permission denied")),
            ("podman --runtime", ran(126, "", "Error: the other: no")),
            ("bwrap --help", ran(0, BWRAP_HELP, "")),
            ("bwrap --unshare-all", ran(0, "", "")),
        ],
        ..Machine::default()
    };
    let usable = detect(&env, None, &machine).expect("bwrap is left");
    assert_eq!(usable.runtime, Runtime::Bwrap);
    assert_eq!(usable.passed_over.len(), 2);
    assert!(usable.passed_over[0].contains("daemon is not running"), "{:?}", usable.passed_over);
    assert!(usable.passed_over[1].contains("cgroups: permission denied"), "{:?}", usable.passed_over);
    let host = usable.host.expect("probed");
    assert!(host.disable_userns && host.several_filters && host.size);
    assert_eq!(host.links, [(PathBuf::from("usr/bin"), PathBuf::from("/bin"))]);
}

#[test]
fn a_forced_one_is_used_or_named() {
    let (_dir, env) = with(&["docker"]);
    let machine = Machine { connect: Some(io::ErrorKind::PermissionDenied), ..Machine::default() };
    let err = detect(&env, Some("docker"), &machine).expect_err("not allowed");
    assert_eq!(err.kind().code(), 5);
    assert!(err.message().contains("may not use") && err.hints()[0].contains("usermod"), "{}", err.render());
    let err = detect(&env, Some("podman"), &machine).expect_err("not there");
    assert!(err.message().contains("podman is not installed") && err.kind().code() == 5);
    assert_eq!(detect(&env, Some("lxc"), &machine).expect_err("unknown").kind().code(), 2);
    let (_dir, none) = with(&[]);
    assert_eq!(detect(&none, None, &machine).expect_err("nothing").kind().code(), 5);
    let remote = Env::from_pairs(env.iter().chain([(OsStr::new("DOCKER_HOST"), OsStr::new("ssh://there"))]));
    let err = detect(&remote, Some("docker"), &machine).expect_err("remote");
    assert!(err.message().contains("ssh://there"), "{}", err.render());
}

#[test]
fn podman_takes_the_runtime_and_the_limits_that_work() {
    let (_dir, env) = with(&["podman"]);
    let rlimit = ran(126, "", "Error: runc: error setting rlimit type 7: operation not permitted");
    let works = ran(127, "", "Error: crun: executable file `/coop-probe` not found");
    let machine = Machine {
        commands: vec![
            ("podman info", ran(0, PODMAN_INFO, "")),
            ("podman run --rm --network none --cgroups enabled --rootfs", rlimit.clone()),
            ("podman run --rm --network none --cgroups enabled --ulimit=nofile=20000:20000 --rootfs", rlimit),
            (
                "podman run --rm --network none --cgroups enabled --ulimit=nofile=20000:20000 --ulimit=nproc=32768:32768",
                works.clone(),
            ),
        ],
        files: BTreeMap::from([("/proc/sys/kernel/pid_max", "32768\n")]),
        ..Machine::default()
    };
    let usable = detect(&env, None, &machine).expect("podman");
    assert_eq!((usable.nofile, usable.nproc), (Some(20_000), Some(32_768)));
    assert!(usable.rootless && !usable.holds.memory && !usable.holds.pids, "ignored under version 1");
    assert_eq!(usable.open_network, "slirp4netns:allow_host_loopback=false");
    assert_eq!(usable.init, ["--init"]);

    let machine = Machine {
        commands: vec![
            ("podman info", ran(0, PODMAN_INFO, "")),
            ("podman run", ran(126, "", "Error: OCI runtime error: crun: unknown version specified")),
            ("podman --runtime runc", works),
        ],
        ..Machine::default()
    };
    assert_eq!(detect(&env, None, &machine).expect("podman").global, ["--runtime", "runc"]);
}

#[test]
fn switched_off_user_namespaces_are_named() {
    let (_dir, env) = with(&["bwrap"]);
    for (file, value, word) in [
        ("/proc/sys/kernel/unprivileged_userns_clone", "0\n", "kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "apparmor"),
        ("/nothing", "", "COOP_RUNTIME=docker"),
    ] {
        let machine = Machine {
            commands: vec![
                ("bwrap --help", ran(0, BWRAP_HELP, "")),
                ("bwrap --unshare-all", ran(1, "", "bwrap: No permissions to create new namespace")),
            ],
            files: BTreeMap::from([(file, value)]),
            ..Machine::default()
        };
        let err = detect(&env, None, &machine).expect_err(file);
        assert_eq!(err.kind().code(), 5);
        assert!(err.hints().iter().any(|h| h.contains(word)), "{file}: {}", err.render());
        assert!(machine.memory.borrow().is_empty(), "a refusal is tried again the next time");
    }
}

#[test]
fn pasta_that_hangs_is_refused_and_remembered() {
    let (_dir, env) = with(&["pasta"]);
    let machine = Machine::default();
    for _ in 0..2 {
        let err = pasta::check(&env, &machine).expect_err("hangs");
        assert_eq!(err.kind().code(), 5);
        assert!(err.message().contains("no answer within 2 s"), "{}", err.render());
        assert!(err.hints().iter().any(|h| h.contains("COOP_EGRESS=none")));
    }
    assert_eq!(machine.ran.borrow().len(), 1, "tried once");
    let machine = Machine { commands: vec![("pasta", ran(0, "", ""))], ..Machine::default() };
    assert!(pasta::check(&env, &machine).expect("works").ends_with("pasta"));
    let (_dir, none) = with(&[]);
    assert!(pasta::check(&none, &machine).expect_err("missing").hints().iter().any(|h| h.contains("passt")));
}
