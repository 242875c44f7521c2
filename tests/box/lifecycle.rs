//! Boxes end when they must: stopped, swept, with their starter killed.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coop::env::Env;
use coop::sandbox::{How, Usable, Wish, boxes, launch, running, stop, sweep};

use crate::common::{Fixture, capture, each, runtimes};

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn mine(usable: &Usable, workspace: &str) -> Vec<boxes::RunningBox> {
    running(usable).expect("lists").into_iter().filter(|b| b.workspace == workspace).collect()
}

#[test]
fn a_stop_proves_that_the_box_is_gone() {
    each(|usable| {
        let fixture = Fixture::new();
        let spec = fixture.spec(usable, "trap '' TERM INT; echo ready > started; while :; do sleep 1; done");
        std::thread::scope(|scope| {
            let handle = scope.spawn(|| launch(usable, &spec, capture()));
            wait_for("the box", || fixture.root.join("started").exists());
            let found = mine(usable, &spec.workspace);
            assert_eq!(found.len(), 1, "{}", usable.runtime.name());
            assert_eq!((found[0].id.as_str(), found[0].purpose.as_str()), (spec.id.as_str(), "test"));
            assert!(found[0].alive_owner && found[0].owner.pid == std::process::id());
            assert_eq!(sweep(usable).map(|_| mine(usable, &spec.workspace).len()).expect("sweeps"), 1, "a live owner");
            assert_eq!(stop(usable, &spec.workspace).expect("stops"), 1);
            assert!(mine(usable, &spec.workspace).is_empty());
            assert_eq!(stop(usable, &spec.workspace).expect("nothing to stop"), 0);
            let ended = handle.join().expect("joins").expect("ends");
            assert_eq!(ended.status, 137, "{}", usable.runtime.name());
        });
        assert!(std::fs::write(fixture.root.join("after"), "").is_ok());
    });
}

/// Not a test by itself: the process that is killed below.
#[test]
#[ignore = "started by the next test"]
fn victim() {
    let env = Env::of_process();
    let name = env.str("COOP_TEST_VICTIM").expect("set by the test").to_owned();
    let root = std::path::PathBuf::from(env.get("COOP_TEST_ROOT").expect("set by the test"));
    let usable = runtimes().iter().find(|u| u.runtime.name() == name).expect("there");
    let mut spec = Fixture::new().spec(usable, "trap '' TERM INT HUP; echo ready > started; while :; do sleep 1; done");
    spec.mounts = vec![coop::sandbox::spec::Mount::rw(&root, &root)];
    spec.workdir = root.clone();
    spec.workspace = format!("live:{}", root.display());
    let _ = launch(usable, &spec, capture());
}

#[test]
fn kill_9_of_the_starter_leaves_nothing_after_a_sweep() {
    each(|usable| {
        let fixture = Fixture::new();
        let workspace = format!("live:{}", fixture.root.display());
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "lifecycle::victim"])
            .env("COOP_TEST_VICTIM", usable.runtime.name())
            .env("COOP_TEST_ROOT", &fixture.root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("starts");
        wait_for("the box", || fixture.root.join("started").exists());
        assert_eq!(mine(usable, &workspace).len(), 1, "{}", usable.runtime.name());
        child.kill().expect("kills");
        child.wait().expect("waits");
        sweep(usable).expect("sweeps");
        assert!(mine(usable, &workspace).is_empty(), "{}", usable.runtime.name());
        // and a launch sweeps by itself: the marker of the dead one is gone after one
        let fixture = Fixture::new();
        fixture.sh(usable, "sleep 2");
    });
}

#[test]
fn the_hook_can_pause_and_end_a_box() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        let spec = fixture.spec(usable, "while :; do echo x >> count; sleep 0.05; done");
        let length = || std::fs::metadata(fixture.root.join("count")).map_or(0, |m| m.len());
        let mut ticks = 0;
        let mut paused_at = 0;
        let mut hook = |_tick| {
            if length() == 0 {
                return Wish::Continue; // not started yet
            }
            ticks += 1;
            match ticks {
                1 => Wish::Pause,
                2 => {
                    paused_at = length();
                    Wish::Pause
                }
                3 => {
                    assert_eq!(length(), paused_at, "{name}: it went on while paused");
                    Wish::Continue
                }
                4..=5 => Wish::Continue,
                _ => Wish::Stop,
            }
        };
        let io = coop::sandbox::Io { tick: Some(&mut hook), ..capture() };
        let ended = launch(usable, &spec, io).expect("ends");
        assert_eq!(ended.how, How::StoppedByHook, "{name}");
        assert!(length() > paused_at, "{name}: it did not go on");
        let last = length();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(length(), last, "{name}: it still runs");
    });
}

#[test]
fn what_is_missing_is_named() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        let mut spec = fixture.spec(usable, "true");
        spec.command = vec!["no-such-program".into(), "x".into()];
        let err = launch(usable, &spec, capture()).expect_err("missing");
        assert!(err.message().contains("no program 'no-such-program'"), "{name}: {}", err.render());
        assert_eq!(err.kind().code(), 5);
        if usable.runtime.needs_image() {
            let mut spec = fixture.spec(usable, "true");
            spec.image = Some("coop-no-such-image:latest".into());
            let err = launch(usable, &spec, capture()).expect_err("missing");
            assert!(err.message().contains("no image"), "{name}: {}", err.render());
            assert_eq!(err.hints(), ["git coop build"]);
        }
        // the command's own 125, 126, 127 and words are not taken for the runtime's
        for status in [1, 125, 126, 127] {
            let script = format!("echo 'Error: no such file or directory' >&2; exit {status}");
            let ended = launch(usable, &fixture.spec(usable, &script), capture()).expect("the command's");
            assert_eq!(ended.status, status, "{name}");
        }
    });
}
