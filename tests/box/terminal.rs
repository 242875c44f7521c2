//! A terminal in the box, without one outside.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coop::env::Env;
use coop::sandbox::{How, Io, Stdin, launch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::{Fixture, capture, each, runtimes};

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

#[test]
fn a_box_has_a_terminal_of_its_own() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        let spec = fixture
            .spec(usable, "test -t 0 && test -t 1 && test -t 2 && echo tty; sleep 1; stty size; echo $TERM; exit 7");
        let io = Io { terminal: true, ..capture() };
        let ended = launch(usable, &spec, io).expect("runs");
        let out = shown(&ended.stdout);
        assert_eq!(ended.status, 7, "{name}: {out}");
        assert!(out.contains("tty\n24 80\n"), "{name}: {out}");
    });
}

#[test]
fn job_control_works_and_the_log_has_everything() {
    each(|usable| {
        let name = usable.runtime.name();
        let fixture = Fixture::new();
        let mut spec = fixture.spec(usable, "");
        spec.command = ["bash", "--norc", "-i"].map(Into::into).to_vec();
        let log = tempfile::NamedTempFile::new().expect("file");
        let typed = b"sleep 100 & jobs; kill %1; wait; echo after=$?\nexit 3\n".to_vec();
        let mut io = Io { terminal: true, stdin: Stdin::Bytes(typed), ..capture() };
        io.timeout = Some(Duration::from_secs(30));
        io.log = Some(coop::sandbox::Log { file: log.reopen().expect("file"), limit: 1 << 20 });
        let ended = launch(usable, &spec, io).expect("runs");
        let out = shown(&ended.stdout);
        assert_eq!((ended.status, ended.how), (3, How::Exited), "{name}: {out}");
        assert!(!out.contains("no job control") && out.contains("[1]+  Running"), "{name}: {out}");
        assert_eq!(std::fs::read(log.path()).expect("log"), ended.stdout, "{name}");
    });
}

/// Not a test by itself: a person at a terminal, whose part the next test plays.
#[test]
#[ignore = "started by the next test"]
fn person() {
    let env = Env::of_process();
    let name = env.str("COOP_TEST_PERSON").expect("set by the test").to_owned();
    let usable = runtimes().iter().find(|u| u.runtime.name() == name).expect("there");
    let fixture = Fixture::new();
    let mut spec = fixture.spec(usable, "");
    spec.command = ["bash", "--norc", "-i"].map(Into::into).to_vec();
    spec.env.push(("PS1".into(), "ready> ".into()));
    let io = Io { terminal: true, stdin: Stdin::Inherit, ..Io::default() };
    let ended = launch(usable, &spec, io).expect("runs");
    let echo = rustix::termios::tcgetattr(rustix::stdio::stdin()).expect("a terminal").local_modes;
    let restored = echo.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON);
    println!("status={} restored={restored}", ended.status);
}

/// Reads from the terminal until `what` was shown.
fn expect(master: &mut std::fs::File, seen: &mut String, what: &str) {
    let start = Instant::now();
    while !seen.contains(what) {
        assert!(start.elapsed() < Duration::from_secs(40), "'{what}' was not shown: {seen}");
        let mut fds = [PollFd::new(master, PollFlags::IN)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).expect("poll") > 0 {
            let mut buffer = [0; 4096];
            match master.read(&mut buffer) {
                Ok(count) if count > 0 => seen.push_str(&shown(&buffer[..count])),
                _ => panic!("the terminal closed before '{what}': {seen}"),
            }
        }
    }
    let end = seen.find(what).map_or(0, |at| at + what.len());
    seen.drain(..end);
}

#[test]
fn a_person_types_resizes_and_interrupts() {
    each(|usable| {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("pty");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("pty");
        let size = |rows| {
            tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 }).expect("size")
        };
        size(33);
        let name = ptsname(&master, Vec::new()).expect("name").into_string().expect("text");
        let open = || std::fs::File::options().read(true).write(true).open(&name).expect("slave");
        let mut child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "--nocapture", "terminal::person"])
            .env("COOP_TEST_PERSON", usable.runtime.name())
            .stdin(open())
            .stdout(open())
            .stderr(Stdio::null())
            .spawn()
            .expect("setsid");
        let mut tty = std::fs::File::from(master.try_clone().expect("dup"));
        let mut seen = String::new();
        expect(&mut tty, &mut seen, "ready> ");
        std::thread::sleep(Duration::from_millis(700)); // old docker daemons set the first size late
        tty.write_all(b"stty size\n").expect("types");
        expect(&mut tty, &mut seen, "33 101");
        size(44);
        std::thread::sleep(Duration::from_millis(300)); // the signal has to travel
        tty.write_all(b"stty size\n").expect("types");
        expect(&mut tty, &mut seen, "44 101");
        tty.write_all(b"echo $((40+2))go; sleep 100\n").expect("types");
        expect(&mut tty, &mut seen, "42go");
        std::thread::sleep(Duration::from_millis(300));
        tty.write_all(b"\x03").expect("types");
        tty.write_all(b"echo after=$?; exit 5\n").expect("types");
        expect(&mut tty, &mut seen, "after=130");
        expect(&mut tty, &mut seen, "status=5 restored=true");
        child.wait().expect("waits");
    });
}
