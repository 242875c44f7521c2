//! Command lines per runtime and scenario, compared with the files in `tests/argv`. `UPDATE=1` rewrites them.

use std::path::{Path, PathBuf};

use super::*;
use crate::env::Env;
use crate::sandbox::runtime::{Host, Usable};
use crate::sandbox::spec::{Egress, Limits, User};

fn usable(runtime: Runtime) -> Usable {
    let env = Env::from_pairs([("TERM", "xterm-256color"), ("HOME", "/home/me")]);
    let mut usable = Usable::assumed(runtime, PathBuf::from("/usr/bin").join(runtime.name()), &env);
    if runtime == Runtime::Bwrap {
        usable.holds = Holds { memory: false, pids: false, cpus: false };
        usable.host = Some(Host {
            disable_userns: true,
            size: true,
            several_filters: true,
            links: vec![("usr/bin".into(), "/bin".into()), ("usr/lib".into(), "/lib".into())],
            binds: vec!["/usr".into(), "/etc/ssl/certs".into(), "/etc/ld.so.cache".into()],
            proc_blanks: vec!["/proc/keys".into()],
            proc_of_root: vec!["/proc/kcore".into()],
        });
    }
    usable
}

fn spec(runtime: Runtime) -> BoxSpec {
    BoxSpec {
        id: "abcd1234".into(),
        purpose: "agent".into(),
        workspace: "live:/src/app".into(),
        mounts: vec![
            Mount::rw("/src/app", "/src/app"),
            Mount::rw("/state/q", "/src/app/.git"),
            Mount::ro("/src/app/.git/objects", "/coop-objects"),
            Mount::BlankFile { target: "/src/app/.env".into() },
            Mount::BlankDir { target: "/src/app/secrets".into() },
        ],
        workdir: "/src/app".into(),
        home: "/home/agent".into(),
        env: vec![
            ("ANTHROPIC_API_KEY".into(), "sk-value".into()),
            ("HTTPS_PROXY".into(), "http://127.0.0.1:3128".into()),
        ],
        path_prefix: vec!["/opt/agent/bin".into()],
        command: vec!["claude".into(), "-p".into(), "do it".into()],
        user: User { uid: 1000, gid: 1001 },
        limits: Limits { memory: None, millicpus: None, pids: 512 },
        egress: Egress::None,
        proxy: None,
        image: runtime.needs_image().then(|| "coop-box:latest".to_owned()),
    }
}

fn shown(usable: &Usable, spec: &BoxSpec, change: impl FnOnce(&mut Place, &mut Extras)) -> Result<String> {
    let support = Support::at(Path::new("/state/box"));
    let owner = Owner { pid: 4711, start: 99, boot: "b007.4026531836".into() };
    let mut extras = Extras {
        filters: vec![5, 6],
        info: Some(7),
        filter_files: Vec::new(),
        files: vec![("/state/box/etc-1000/passwd".into(), "/etc/passwd".into())],
        held: Some(Holds { memory: false, pids: true, cpus: false }),
        pasta: None,
    };
    let cidfile = Path::new("/state/box/run/abcd1234.cid");
    let profile = Path::new("/state/box/seccomp/podman.json");
    let mut place = Place {
        support: &support,
        owner: &owner,
        terminal: false,
        stdin: false,
        cidfile: Some(cidfile),
        seccomp: Some(profile),
        bwrap: None,
    };
    change(&mut place, &mut extras);
    let argv = build(usable, spec, Place { bwrap: Some(&extras), ..place })?;
    let mut text = String::new();
    for (name, value) in &argv.env {
        text.push_str(&format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy()));
    }
    text.push_str(&format!("{}\n", argv.program.display()));
    for arg in &argv.args {
        let arg = arg.to_string_lossy();
        // an option and its value on one line reads better
        let indent = if arg.starts_with('-') { "" } else { "    " };
        text.push_str(&format!(
            "{indent}{}\n",
            arg.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
        ));
    }
    Ok(text)
}

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/argv").join(format!("{name}.argv"));
    if Env::of_process().str("UPDATE") == Some("1") {
        std::fs::write(&path, text).expect("written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "{} differs; UPDATE=1 rewrites it:\n{text}", path.display());
}

fn snapshot(name: &str, runtime: Runtime, change: impl Fn(&mut Usable, &mut BoxSpec, &mut Place, &mut Extras)) {
    let (mut usable, mut spec) = (usable(runtime), spec(runtime));
    let support = Support::at(Path::new("/"));
    let owner = Owner { pid: 0, start: 0, boot: String::new() };
    let mut scratch = Place {
        support: &support,
        owner: &owner,
        terminal: false,
        stdin: false,
        cidfile: None,
        seccomp: None,
        bwrap: None,
    };
    change(&mut usable, &mut spec, &mut scratch, &mut Extras::default());
    let (terminal, stdin) = (scratch.terminal, scratch.stdin);
    let text = shown(&usable, &spec, |place, extras| {
        (place.terminal, place.stdin) = (terminal, stdin);
        let mut again = (usable.clone(), spec.clone());
        change(&mut again.0, &mut again.1, &mut scratch, extras);
    });
    compare(&format!("{}-{name}", runtime.name()), &text.expect("expressible"));
}

#[test]
fn default_box() {
    for runtime in Runtime::ALL {
        snapshot("default", runtime, |_, _, _, _| {});
    }
}

#[test]
fn a_box_with_a_proxy() {
    use crate::sandbox::egress::{Forward, Policy, Proxy, start};
    let forward = Forward { policy: Policy::new(true, Vec::new(), None), allow: String::new() };
    let proxy = Proxy { forward: Some(forward), providers: Vec::new(), ca: None, report: None };
    for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Bwrap] {
        snapshot("proxy", runtime, |_, spec, _, _| {
            let (dir, program) = ("/state/box/run/abcd1234-4711-99.net", "/state/box/helper/git-coop-box-1-2");
            *spec = start::inside(&proxy, spec, Path::new(dir), Path::new(program));
        });
    }
}

#[test]
fn terminal_limits_and_open_egress() {
    for runtime in Runtime::ALL {
        snapshot("terminal", runtime, |_, spec, place, extras| {
            (place.terminal, place.stdin) = (true, true);
            spec.limits = Limits { memory: Some(4 << 30), millicpus: Some(1500), pids: 256 };
            spec.egress = Egress::Open;
            extras.held = Some(Holds { memory: false, pids: false, cpus: false });
            extras.pasta = Some("/usr/bin/pasta".into());
            (extras.filters, extras.info) = (Vec::new(), None);
            extras.filter_files =
                vec!["/state/box/seccomp/bwrap-0.bpf".into(), "/state/box/seccomp/bwrap-1.bpf".into()];
        });
    }
}

#[test]
fn root_and_memory_file_systems() {
    for runtime in Runtime::ALL {
        snapshot("root", runtime, |_, spec, _, _| {
            spec.user = User { uid: 0, gid: 0 };
            spec.mounts.push(Mount::Tmpfs { target: "/scratch".into(), size: 1 << 20, mode: 0o700 });
        });
    }
}

#[test]
fn rootless() {
    for runtime in [Runtime::Docker, Runtime::Podman] {
        snapshot("rootless", runtime, |usable, spec, _, _| {
            usable.rootless = true;
            usable.holds = Holds { memory: false, pids: false, cpus: false };
            usable.open_network = "slirp4netns:allow_host_loopback=false";
            usable.nofile = Some(20_000);
            usable.global = vec!["--runtime".into(), "runc".into()];
            usable.selinux = true;
            usable.init = Vec::new();
            spec.limits.memory = Some(1 << 30);
            spec.egress = Egress::Open;
        });
    }
}

#[test]
fn odd_names() {
    for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Bwrap] {
        snapshot("names", runtime, |_, spec, _, _| {
            spec.mounts = vec![
                Mount::rw("/src/re:po, \"x\"", "/src/re:po, \"x\""),
                Mount::BlankFile { target: "/src/re:po, \"x\"/new\nline.pem".into() },
            ];
            spec.workdir = "/src/re:po, \"x\"".into();
        });
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let bad = |runtime: Runtime, target: &OsStr| {
        let mut spec = spec(runtime);
        spec.mounts.push(Mount::BlankFile { target: target.into() });
        shown(&usable(runtime), &spec, |_, _| {})
    };
    for name in ["/src/a:b", "/src/a,b", "/src/a=b"] {
        assert_eq!(bad(Runtime::Container, name.as_ref()).expect_err(name).kind().code(), 5);
        assert!(bad(Runtime::Docker, name.as_ref()).is_ok());
    }
    let bytes = OsStr::from_bytes(b"/src/\xff");
    for runtime in [Runtime::Container, Runtime::Docker, Runtime::Podman] {
        assert_eq!(bad(runtime, bytes).expect_err("not text").kind().code(), 5);
        assert!(bad(runtime, "/src/a\r\nb".as_ref()).is_err() || runtime == Runtime::Container);
    }
    assert!(bad(Runtime::Bwrap, bytes).is_ok());
    for target in ["/src/../etc", "relative", "/"] {
        assert_eq!(bad(Runtime::Bwrap, target.as_ref()).expect_err(target).kind().code(), 70);
    }
}

#[test]
fn values_of_the_environment_are_not_on_the_command_line() {
    for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Bwrap] {
        let text = shown(&usable(runtime), &spec(runtime), |_, _| {}).expect("builds");
        let (env, args) = text.split_once("/usr/bin/").expect("program");
        assert!(env.contains("ANTHROPIC_API_KEY=sk-value"), "{text}");
        assert!(!args.contains("sk-value"), "{text}");
    }
}
