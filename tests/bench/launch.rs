//! What a box costs over the bare runtime with the same flags: `cargo bench --bench launch`.
//!
//! Rounds are interleaved, so that noise of the machine hits both; medians and the middle half are printed. Targets:
//! docker and podman at most 60 ms over the bare runtime; bubblewrap at most 60 ms in all.

#![allow(missing_docs)]

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coop::env::Env;
use coop::sandbox::launch::preview;
use coop::sandbox::runtime::survey;
use coop::sandbox::spec::{BoxSpec, Egress, Limits, Mount, Runtime, User};
use coop::sandbox::{Io, Out, System, Usable, detect, launch};

const ROUNDS: usize = 21;
const SHADOWS: usize = 20;

fn main() {
    let env = Env::of_process();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/base-image.sh");
    let _ = Command::new(script).status(); // without it only bubblewrap is measured
    let dir = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    let root = dir.path().canonicalize().expect("canonical").join("repo");
    std::fs::create_dir_all(&root).expect("mkdir");
    for n in 0..SHADOWS {
        std::fs::write(root.join(format!("{n}.pem")), "secret").expect("write");
    }
    git(&root, &["init", "-q"]);
    git(
        &root,
        &["-c", "user.name=b", "-c", "user.email=b@example.com", "commit", "-q", "--allow-empty", "-m", "first"],
    );
    println!("launch of `true` with {SHADOWS} shadows, {ROUNDS} rounds, milliseconds: median (middle half)");
    for (runtime, found) in survey(&env, &System::new(&env)) {
        match found {
            Ok(usable) => measure(&env, &usable, &root),
            Err(err) => println!("{:8} not measured: {}", runtime.name(), err.message()),
        }
    }
}

fn measure(env: &Env, usable: &Usable, root: &Path) {
    let name = usable.runtime.name();
    let (mut bare, mut boxed, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let spec = spec(usable, root, &format!("bench{}b{round}", std::process::id()));
        let bare_time = timed(|| {
            let mut argv = preview(usable, &spec, false).expect("argv");
            argv.args.retain(|a| a != "-i");
            let mut command = Command::new(&argv.program);
            command.args(&argv.args).envs(argv.env).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().expect("starts").success(), "{name} by hand");
        });
        let spec = BoxSpec { id: format!("bench{}c{round}", std::process::id()), ..spec };
        let boxed_time = timed(|| {
            let usable = detect(env, Some(name), &System::new(env)).expect("detected");
            let io = Io { stdout: Out::Null, stderr: Out::Null, ..Io::default() };
            assert_eq!(launch(&usable, &spec, io).expect("runs").status, 0);
        });
        let whole_time = timed(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_git-coop"));
            command.args(["run", "--", "true"]).current_dir(root).env("COOP_RUNTIME", name).env("COOP_EGRESS", "none");
            command
                .env("COOP_IMAGE", "coop-test-base:latest")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let _ = command.status(); // whether it works is for the tests
        });
        if round > 0 {
            bare.push(bare_time); // the first round fills caches
            boxed.push(boxed_time);
            whole.push(whole_time);
        }
    }
    let (b, x, w) = (show(&mut bare), show(&mut boxed), show(&mut whole));
    println!("{name:8} bare runtime          {b}");
    println!("{name:8} coop's launch         {x}  +{:.1} ms, ×{:.2}", diff(&boxed, &bare), ratio(&boxed, &bare));
    println!("{name:8} git coop run -- true  {w}  +{:.1} ms, ×{:.2}", diff(&whole, &bare), ratio(&whole, &bare));
    let ok = if usable.runtime == Runtime::Bwrap { median(&whole) <= 60.0 } else { diff(&whole, &bare) <= 60.0 };
    println!("{name:8} target {}", if ok { "met" } else { "MISSED" });
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn ms(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(sorted: &[Duration]) -> f64 {
    ms(&sorted[sorted.len() / 2])
}

fn diff(a: &[Duration], b: &[Duration]) -> f64 {
    median(a) - median(b)
}

fn ratio(a: &[Duration], b: &[Duration]) -> f64 {
    median(a) / median(b)
}

fn show(times: &mut [Duration]) -> String {
    times.sort();
    let n = times.len();
    format!("{:7.1} ({:.1} to {:.1})", median(times), ms(&times[n / 4]), ms(&times[n * 3 / 4]))
}

fn git(root: &Path, args: &[&str]) {
    assert!(Command::new("git").arg("-C").arg(root).args(args).status().expect("git").success());
}

fn spec(usable: &Usable, root: &Path, id: &str) -> BoxSpec {
    let mut mounts = vec![Mount::rw(root, root)];
    mounts.extend((0..SHADOWS).map(|n| Mount::BlankFile { target: root.join(format!("{n}.pem")) }));
    BoxSpec {
        id: id.to_owned(),
        purpose: "bench".into(),
        workspace: "live:bench".into(),
        mounts,
        workdir: root.to_owned(),
        home: "/home/agent".into(),
        env: Vec::new(),
        path_prefix: Vec::new(),
        command: vec![OsString::from("true")],
        user: User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
        limits: Limits { memory: None, millicpus: None, pids: 512 },
        egress: Egress::None,
        proxy: None,
        image: usable.runtime.needs_image().then(|| "coop-test-base:latest".to_owned()),
    }
}
