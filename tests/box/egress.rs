//! Open egress under bubblewrap: with pasta, or not at all.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use coop::env::Env;
use coop::sandbox::spec::{Egress, Runtime};
use coop::sandbox::{How, Io, Usable, launch};

use crate::common::{Fixture, capture, run, runtimes};

/// bubblewrap with another `pasta` on PATH, and a cache of its own.
fn with_pasta(script: Option<&str>) -> Option<(tempfile::TempDir, Usable)> {
    let mut usable = runtimes().iter().find(|u| u.runtime == Runtime::Bwrap)?.clone();
    let dir = tempfile::tempdir().expect("tempdir");
    let mut path = "/usr/sbin:/bin".to_owned();
    if let Some(script) = script {
        let program = dir.path().join("pasta");
        std::fs::write(&program, script).expect("write");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
        path = format!("{}:/usr/bin:{path}", dir.path().display());
    }
    let changed = [("PATH".into(), path.into()), ("XDG_CACHE_HOME".into(), dir.path().as_os_str().to_owned())];
    let pairs = usable.env.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>();
    usable.env = Env::from_pairs(pairs.into_iter().chain(changed));
    Some((dir, usable))
}

/// Stands for pasta where the real one does not run: it closes what it inherits and makes a network namespace. What it
/// does not show is traffic to the internet.
const STAND_IN: &str = r#"#!/bin/bash
while [ "$1" != -- ]; do shift; done; shift
for fd in /proc/self/fd/*; do n=${fd##*/}; [ "$n" -gt 2 ] && eval "exec $n>&-"; done
exec unshare --net -- "$@"
"#;

#[test]
fn without_pasta_it_is_refused() {
    let hangs = Some("#!/bin/sh\nsleep 1000\n");
    for (script, word) in [(hangs, "no answer within 2 s"), (Some("#!/bin/sh\nexit 1\n"), "does not work")] {
        let Some((_dir, usable)) = with_pasta(script) else { return };
        let mut spec = Fixture::new().spec(&usable, "true");
        spec.egress = Egress::Open;
        let start = std::time::Instant::now();
        for _ in 0..2 {
            let err = launch(&usable, &spec, capture()).expect_err("refused");
            assert_eq!(err.kind().code(), 5);
            assert!(err.message().contains(word), "{}", err.render());
            assert!(err.hints().iter().any(|h| h.contains("COOP_EGRESS=none")), "{}", err.render());
        }
        assert!(start.elapsed() < Duration::from_secs(4), "the second time it is remembered");
    }
}

#[test]
fn behind_pasta_a_box_is_the_same_box() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: the stand-in for pasta needs root");
        return;
    }
    let Some((_dir, usable)) = with_pasta(Some(STAND_IN)) else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("address").port();
    let fixture = Fixture::new();
    let script = format!(
        "grep -E '^(CapEff|Seccomp|Seccomp_filters):' /proc/self/status; cat /etc/resolv.conf; \
         bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo reached; ls /proc/self/fd | wc -l; exit 9"
    );
    let mut spec = fixture.spec(&usable, &script);
    spec.egress = Egress::Open;
    let ended = run(&usable, &spec);
    let out = String::from_utf8_lossy(&ended.stdout);
    let expected = "CapEff:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t2\nnameserver 169.254.1.1\n4\n";
    assert_eq!((ended.status, out.as_ref()), (9, expected), "{}", String::from_utf8_lossy(&ended.stderr));

    let mut spec = fixture.spec(&usable, "trap '' TERM; echo $$ > pid; while :; do sleep 1; done");
    spec.egress = Egress::Open;
    let ended = launch(&usable, &spec, Io { timeout: Some(Duration::from_secs(1)), ..capture() }).expect("ends");
    assert_eq!(ended.how, How::TimedOut);
    let left = coop::sandbox::running(&usable).expect("lists");
    assert!(!left.iter().any(|b| b.id == spec.id), "{left:?}");
}
