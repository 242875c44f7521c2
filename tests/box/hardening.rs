//! What a process in a box can not do.

use coop::sandbox::spec::Runtime;

use crate::common::{Fixture, each, run};

#[test]
fn no_capabilities_and_no_way_to_get_them() {
    each(|usable| {
        let name = usable.runtime.name();
        let status =
            Fixture::new().sh(usable, "grep -E '^(Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs|Seccomp):' /proc/self/status");
        for line in status.lines().filter(|l| l.starts_with("Cap")) {
            assert!(line.ends_with("\t0000000000000000"), "{name}: {line}");
        }
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{name}: {status}");
    });
}

#[test]
fn shadowed_secrets_cannot_be_read_written_or_removed() {
    each(|usable| {
        let fixture = Fixture::new();
        let out = fixture.sh(
            usable,
            "cat .env; ls -A secrets; ! echo x > .env && ! rm -f .env && ! mv .env e2 && ! touch secrets/new && \
             ! rm -rf secrets && ! ln .env e3 && ! cat secrets/key && ! chmod 777 .env && ! umount .env && \
             ! mount --bind README .env; cat README; grep -r planted . || echo clean",
        );
        assert_eq!(out, "hello\nclean\n", "{}", usable.runtime.name());
        assert_eq!(std::fs::read_to_string(fixture.root.join(".env")).expect("kept"), "TOKEN=planted-secret\n");
    });
}

#[test]
fn the_root_is_read_only_and_only_the_repository_is_writable() {
    each(|usable| {
        let fixture = Fixture::new();
        // left out below: settings of the box's own ipc and pid namespaces
        let out = fixture.sh(
            usable,
            "for d in / /etc /usr /usr/bin /var /opt /run /proc/sys/kernel; do \
               ( : > $d/coop-probe ) 2>/dev/null && echo \"wrote $d\"; done; \
             for f in $(find /proc/sys /proc/irq /proc/bus /proc/fs /proc/scsi /proc/sysrq-trigger /proc/mtrr /etc/passwd \
                        -type f 2>/dev/null | grep -vE '^/proc/sys/(fs/mqueue/|kernel/(auto_msgmni|msg|ns_last_pid|pid_max|sem|shm))'); do ( exec 3>>$f ) 2>/dev/null && echo \"opened $f\"; done; \
             for f in /proc/kcore /proc/kmsg; do timeout 1 head -c 1 $f 2>/dev/null | wc -c | grep -v '^0'; done; \
             touch /tmp/a ~/b new && cp /bin/true /tmp/t && /tmp/t && cp /bin/true ~/t && ~/t && stat -c %u new",
        );
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(out, format!("{uid}\n"), "{}", usable.runtime.name());
        assert!(fixture.root.join("new").exists());
    });
}

#[test]
fn processes_and_memory_are_bounded() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        let out = fixture.sh(
            usable,
            "perl -e 'for (1..200) { $p = fork; last unless defined $p; if (!$p) { sleep 20; exit } $n++ } print \"$n\\n\"; ' || true",
        );
        let started: u32 = out.trim().parse().unwrap_or_else(|_| panic!("{name}: {out}"));
        assert!(started < 64, "{name}: {started} of 200 processes with a limit of 64");
        if usable.rootless && !usable.holds.memory {
            return; // said as a caveat: rootless podman has no cgroups of its own under version 1
        }
        // 700 MB in a box of 512 MB
        let script = "head -c 734003200 /dev/zero | tail | wc -c";
        let ended = run(usable, &fixture.spec(usable, script));
        let out = String::from_utf8_lossy(&ended.stdout);
        assert!(!out.contains("734003200"), "{name}: {out}");
    });
}

#[test]
fn namespaces_keyrings_and_odd_sockets_are_closed() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        // perl is in the base image and on the host; the numbers are those of x86_64 and aarch64
        let script = r#"
            unshare -Ur true 2>/dev/null && echo userns
            unshare -m true 2>/dev/null && echo mountns
            cat > /tmp/t.pl <<'PERL'
my $arm = `uname -m` =~ /aarch64/;
my %nr = $arm ? (add_key => 217, request_key => 218, keyctl => 219, bpf => 280, userfaultfd => 282, socket => 198)
              : (add_key => 248, request_key => 249, keyctl => 250, bpf => 321, userfaultfd => 323, socket => 41);
my $user = "user"; my $what = "coop:probe"; my $x = "x";
print "add_key\n" if syscall($nr{add_key}, $user, $what, $x, 1, -3) >= 0;
print "keyctl\n" if syscall($nr{keyctl}, 0, -3, 1) >= 0;
print "userfaultfd\n" if syscall($nr{userfaultfd}, 1) >= 0;
print "packet\n" if syscall($nr{socket}, 17, 3, 0) >= 0;
print "raw\n" if syscall($nr{socket}, 2, 3, 1) >= 0;
print "vsock\n" if syscall($nr{socket}, 40, 1, 0) >= 0;
print "inet\n" if syscall($nr{socket}, 2, 1, 0) >= 0;
PERL
            perl /tmp/t.pl"#;
        let out = fixture.sh(usable, script);
        // an old docker's own filter leaves AF_VSOCK open: said where there is no profile to make a stricter one from
        let said =
            coop::sandbox::launch::caveats(usable, &fixture.spec(usable, "true")).join("\n").contains("AF_VSOCK");
        let vsock = if said { "vsock\n" } else { "" };
        assert_eq!(out, format!("{vsock}inet\n"), "{name}");
    });
}

#[test]
fn the_box_does_not_hold_the_users_terminal() {
    each(|usable| {
        // even with a terminal of its own: pushing input back is how a box would type into a shell
        let fixture = Fixture::new();
        let mut spec =
            fixture.spec(usable, "perl -e '$c = \"x\"; print ioctl(STDIN, 0x5412, $c) ? \"typed\\n\" : \"denied\\n\"'");
        spec.limits.memory = None;
        let io = coop::sandbox::Io { terminal: true, ..crate::common::capture() };
        let ended = coop::sandbox::launch(usable, &spec, io).expect("runs");
        let out = String::from_utf8_lossy(&ended.stdout).into_owned();
        if usable.runtime == Runtime::Bwrap {
            assert!(out.contains("denied"), "{out}");
        } else {
            // a container's terminal is made in the container: what is typed there stays there
            assert!(out.contains("denied") || out.contains("typed"), "{out}");
        }
    });
}

#[test]
fn nothing_of_the_environment_and_the_home_is_there() {
    each(|usable| {
        let fixture = Fixture::new();
        let mut usable = usable.clone();
        let pairs = usable.env.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>();
        let config = tempfile::tempdir().expect("tempdir");
        let proxies = r#"{"proxies": {"default": {"httpProxy": "http://planted@proxy"}}}"#;
        std::fs::write(config.path().join("config.json"), proxies).expect("write");
        let mut planted: Vec<(std::ffi::OsString, std::ffi::OsString)> = Vec::new();
        for name in ["AWS_SECRET_ACCESS_KEY", "GIT_DIR", "HTTPS_PROXY", "http_proxy", "LC_ALL"] {
            planted.push((name.into(), "planted".into()));
        }
        planted.push(("DOCKER_CONFIG".into(), config.path().into()));
        usable.env = coop::env::Env::from_pairs(pairs.into_iter().chain(planted));
        let usable =
            coop::sandbox::detect(&usable.env, Some(usable.runtime.name()), &coop::sandbox::System::new(&usable.env));
        let usable = usable.expect("still there");
        let file = tempfile::Builder::new().prefix("planted").tempfile_in(usable.env.home()).expect("file");
        let out =
            fixture.sh(&usable, "env; echo; tr '\\0' '\\n' < /proc/1/environ; ls -a ~ /root /home/* 2>/dev/null; true");
        drop(file);
        assert!(!out.contains("planted"), "{}: {out}", usable.runtime.name());
        assert_eq!(usable.injects_proxies, usable.runtime == Runtime::Docker);
        assert!(out.contains("COOP_TEST=in the box") && out.contains("HOME=/home/agent"), "{out}");
        assert!(!out.contains("coop.run"), "{out}");
    });
}

#[test]
fn host_services_are_out_of_reach() {
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").expect("listens");
    let dir = tempfile::tempdir_in("/tmp").expect("tempdir");
    let socket = dir.path().join("service.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("binds");
    let ports = [&loopback, &everywhere].map(|l| l.local_addr().expect("address").port());
    each(|usable| {
        let fixture = Fixture::new();
        let script = format!(
            "for p in {} {}; do for h in 127.0.0.1 172.17.0.1 10.88.0.1 host.docker.internal host.containers.internal; do \
             timeout 2 bash -c \"exec 3<>/dev/tcp/$h/$p\" 2>/dev/null && echo \"reached $h:$p\"; done; done; \
             for s in {} /var/run/docker.sock /run/docker.sock /run/podman/podman.sock /run/dbus/system_bus_socket; do \
             [ -e $s ] && echo \"sees $s\"; done; echo end",
            ports[0],
            ports[1],
            socket.display()
        );
        assert_eq!(fixture.sh(usable, &script), "end\n", "{}", usable.runtime.name());
    });
}
