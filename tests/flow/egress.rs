//! The proxy with real boxes: what is reached, what is denied, and what is said about it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use coop::sandbox::spec::Runtime;

use crate::common::runtimes;
use crate::world::{Place, place, until};

/// A server on this machine's loopback that answers every connection with what it was sent first.
struct Site {
    port: u16,
}

impl Site {
    fn start() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let port = listener.local_addr().expect("address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                std::thread::spawn(move || {
                    let mut buffer = [0u8; 4096];
                    while let Ok(count) = stream.read(&mut buffer) {
                        if count == 0 {
                            break;
                        }
                        let body = String::from_utf8_lossy(&buffer[..count]).replace("\r\n", "|");
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Site { port }
    }
    /// The entry that allows it as `name`.
    fn rule(&self, name: &str) -> String {
        format!("{name}:{}=127.0.0.1", self.port)
    }
}

/// Sends `request` to the proxy from a box, and prints the answer.
fn ask(request: &str) -> String {
    format!("exec 3<>/dev/tcp/127.0.0.1/3128; printf '{request}' >&3; timeout 5 cat <&3; exec 3>&-; echo; ")
}

fn bash(place: &Place, script: &str) -> crate::support::Run {
    place.coop(["run", "--", "bash", "-c", script])
}

fn listed(place: &Place) -> serde_json::Value {
    let text = place.coop(["egress", "log", "--json"]).ok();
    let runs: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    runs.first().cloned().unwrap_or_default()
}

fn with(mut place: Place, pairs: &[(&str, &str)]) -> Place {
    for (key, value) in pairs {
        place.world = place.world.with_env(key, value);
    }
    place
}

#[test]
fn a_box_reaches_what_is_listed_and_nothing_else() {
    let site = Site::start();
    for usable in runtimes() {
        eprintln!("-- {}", usable.runtime.name());
        let place = with(
            Place::on(usable.runtime),
            &[("COOP_EGRESS", "allowlist"), ("COOP_ALLOW_HOST", &site.rule("site.test"))],
        );
        let port = site.port;
        let script = [
            // the target is the request line's; a false Host is put right, and hop-by-hop headers end here
            ask(&format!(
                "GET http://site.test:{port}/a HTTP/1.1\\r\\nHost: evil.test\\r\\nConnection: close\\r\\n\\r\\n"
            )),
            ask(&format!("CONNECT site.test:{port} HTTP/1.1\\r\\n\\r\\nearly bytes")),
            ask("GET http://denied.test/ HTTP/1.1\\r\\nHost: site.test\\r\\n\\r\\n"),
            ask(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n")),
            ask("CONNECT 169.254.169.254:80 HTTP/1.1\\r\\n\\r\\n"),
            ask("CONNECT site.test:22 HTTP/1.1\\r\\n\\r\\n"),
            // past the proxy there is nothing
            format!("(exec 4<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo HOLE; "),
            "(exec 4<>/dev/tcp/1.1.1.1/80) 2>/dev/null && echo HOLE; ".to_owned(),
            "(echo x >/dev/udp/1.1.1.1/53) 2>/dev/null && echo HOLE; ".to_owned(),
            "getent hosts site.test && echo HOLE; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; test -e /run/coop/proxy && echo HOLE; true"
                .to_owned(),
        ]
        .concat();
        let run = bash(&place, &script);
        let out = run.stdout.clone();
        let err = run.stderr.clone();
        assert_eq!(run.code, 0, "{out}\n{err}");
        assert!(out.contains(&format!("GET /a HTTP/1.1|host: site.test:{port}||")), "{out}");
        assert!(out.contains("early bytes"), "bytes behind CONNECT go through: {out}");
        for denied in ["denied.test:80", &format!("127.0.0.1:{port}"), "169.254.169.254:80", "site.test:22"] {
            assert!(out.contains(&format!("x-coop-denied: {denied}\r\n")), "{denied}: {out}");
        }
        assert!(out.contains("git config --add coop.allowHost denied.test"), "{out}");
        assert!(!out.contains("HOLE") && out.contains("\nlo\n"), "{out}");
        assert!(err.contains("the box was denied denied.test:80"), "{err}");
        let run = listed(&place);
        let of = |name: &str| run["places"].as_array().expect("places").iter().find(|p| p["place"] == name).cloned();
        let reached = of(&format!("site.test:{port}")).expect("reached");
        assert_eq!((reached["reached"].as_u64(), reached["denied"].as_u64()), (Some(2), Some(0)), "{run}");
        assert!(reached["up"].as_u64() > Some(10) && reached["down"].as_u64() > Some(10), "{run}");
        assert_eq!(of("denied.test:80").expect("denied")["denied"].as_u64(), Some(1), "{run}");
    }
}

#[test]
fn a_tunnel_carries_tls_for_its_host_only() {
    let Some(place) = place() else { return };
    let site = Site::start();
    // a listed port of the web is for TLS; the site is at another port, so that nothing has to listen at 443
    let place = with(place, &[("COOP_EGRESS", "public"), ("COOP_ALLOW_HOST", &site.rule("site.test"))]);
    let hello = |name: &str| {
        let name = name.as_bytes();
        let entry = [&[0, 0, name.len() as u8][..], name].concat();
        let list = [&[0, entry.len() as u8][..], &entry].concat();
        let extension = [&[0, 0, 0, list.len() as u8][..], &list].concat();
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &[0, extension.len() as u8], &extension].concat();
        let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        let bytes = [&[0x16, 3, 1, 0, message.len() as u8][..], &message].concat();
        bytes.iter().map(|b| format!("\\x{b:02x}")).collect::<String>()
    };
    let tunnel = |name: &str| {
        let hello = hello(name);
        let port = site.port;
        format!(
            "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT site.test:{port} HTTP/1.1\\r\\n\\r\\n{hello}' >&3; \
             timeout 5 cat <&3 | grep -ac 'Content-Length'; exec 3>&-; "
        )
    };
    let run = bash(&place, &format!("{}{}true", tunnel("site.test"), tunnel("evil.test")));
    assert_eq!(run.stdout, "1\n0\n", "{}", run.stderr);
    assert!(run.stderr.contains("its TLS names another server"), "{}", run.stderr);
}

#[test]
fn a_running_box_is_widened_without_losing_a_connection() {
    let Some(place) = place() else { return };
    let site = Site::start();
    let place = with(place, &[("COOP_EGRESS", "allowlist"), ("COOP_ALLOW_HOST", &site.rule("first.test"))]);
    let port = site.port;
    let script = format!(
        "exec 4<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT first.test:{port} HTTP/1.1\\r\\n\\r\\n' >&4; read -r line <&4; read -r line <&4; \
         echo before >&4; read -r line <&4; touch started; \
         for n in $(seq 200); do exec 3<>/dev/tcp/127.0.0.1/3128; \
         printf 'GET http://second.test:{port}/ HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n' >&3; read -r line <&3; exec 3>&-; \
         case $line in *' 200 '*) break;; esac; sleep 0.1; done; \
         echo \"$n $line\" >widened; echo after >&4; timeout 2 cat <&4 | grep -c after >>widened; git add -A; git commit -qm done"
    );
    let mut child = place.spawn(&["fork", "wide", "--", "bash", "-c", &script]);
    let tree = place.fork_path("wide");
    until("the box to have its first connection", || tree.join("started").exists());
    place.coop(["fork", "allow", "wide", "not a host"]).fails(2, "no host that a box can be allowed");
    place.coop(["fork", "allow", "wide", &site.rule("second.test")]).ok();
    assert!(child.wait().expect("ends").success());
    let text = std::fs::read_to_string(tree.join("widened")).expect("written");
    assert!(text.contains(" 200 ") && text.ends_with("\n1\n"), "{text}");
    assert!(!text.starts_with("1 "), "at first it was denied: {text}");
    assert_eq!(place.state("wide")["state"], "review", "the fork's own record was not in the way");
    let log = place.git(["log", "--format=%s", "refs/coop/forks/wide/allow"]);
    assert!(log.starts_with("fork wide: may reach second.test:"), "{log}");
    assert!(place.coop(["egress", "log", "wide"]).ok().contains("second.test"));
    place.coop(["fork", "rm", "--force", "wide"]).ok();
    assert_eq!(place.git(["for-each-ref", "refs/coop/forks"]), "", "its list went with it");
}

#[test]
fn what_cannot_be_is_said_before_anything_starts() {
    let Some(place) = place() else { return };
    let place = with(place, &[("COOP_EGRESS", "allowlist")]);
    for (hosts, said) in [("exam*ple.com", "exam*ple.com"), ("10.0.0.1", "a private address"), ("npn", "'npm'")] {
        let mut command = place.world.command(&place.repo, "git-coop");
        command.args(["run", "--", "true"]).env("COOP_ALLOW_HOST", hosts);
        crate::support::Run::of(command.output().expect("runs")).fails(2, said);
    }
    place.git(["config", "--add", "coop.allowHost", "a.example"]);
    place.git(["config", "--add", "coop.allowHost", "https://b.example"]);
    place.live("true").fails(2, "'https://b.example'");
    place.coop(["fork", "never", "--", "true"]).fails(2, "'https://b.example'");
    assert!(!place.fork_path("never").exists(), "no fork is made for a box that cannot be");
    place.git(["config", "--unset-all", "coop.allowHost"]);
    let state = place.world.home().join(".local/state/coop/box/run");
    let before = std::fs::read_dir(&state).map(Iterator::count).unwrap_or(0);
    assert_eq!(place.live("exit 7").code, 7, "the status passes through");
    assert_eq!(place.live("kill -TERM $$").code, 143, "a signal, too");
    assert_eq!(std::fs::read_dir(&state).expect("there").count(), before, "no socket is left");
    assert_eq!(place.coop(["egress", "log"]).code, 1, "a run that asked for nothing leaves no event");
}

#[test]
fn a_killed_coop_leaves_no_box_and_no_socket() {
    let Some(place) = place() else { return };
    if !runtimes().iter().any(|u| u.runtime == Runtime::Bwrap) {
        return;
    }
    let place = with(place, &[("COOP_EGRESS", "public")]);
    let mut command = place.world.command(&place.repo, "git-coop");
    command.args(["run", "--", "sh", "-c", "touch started; sleep 1000"]).stdin(Stdio::null());
    let mut child = command.spawn().expect("starts");
    until("the box to run", || place.repo.join("started").exists());
    child.kill().expect("kill -9");
    child.wait().expect("gone");
    place.live("true").ok();
    until("the sweep", || {
        let left = std::fs::read_dir(place.world.home().join(".local/state/coop/box/run")).expect("there");
        left.flatten().all(|e| e.path().extension().is_none_or(|x| x != "net"))
    });
}
