//! A person at a terminal: the questions of `git coop merge`, the pager of `git coop review`, and Ctrl-C.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::land_support::{Land, f};

/// One program on a terminal of its own.
pub struct Terminal {
    pub child: Child,
    pub master: File,
    pub seen: String,
}

impl Terminal {
    pub fn start(land: &Land, program: &str, args: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = File::options().read(true).write(true).open(name.to_str().expect("UTF-8")).expect("its other side");
        let end = || Stdio::from(OwnedFd::from(slave.try_clone().expect("a copy")));
        // a session of its own with this terminal, so that Ctrl-C is a signal
        let mut command = land.world.command(&land.repo, "setsid");
        command.args(["--ctty", "--wait", program]).args(args).env("TERM", "xterm-256color");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid of util-linux");
        Terminal { child, master: File::from(master), seen: String::new() }
    }

    /// Reads what comes within `wait`; `false` where the other side has closed.
    fn read(&mut self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        if poll(&mut fds, Some(&limit)).expect("poll") == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(count) if count > 0 => {
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
                true
            }
            _ => false,
        }
    }

    /// Waits for `what` on the screen, then types `answer`.
    pub fn answer(&mut self, what: &str, answer: &str) {
        self.until(what);
        self.say(answer);
    }

    /// Types.
    pub fn say(&mut self, answer: &str) {
        self.master.write_all(answer.as_bytes()).expect("typed");
    }

    /// Waits for `what` on the screen.
    pub fn until(&mut self, what: &str) {
        let start = Instant::now();
        while !self.seen.contains(what) {
            let open = self.read(Duration::from_millis(50));
            assert!(open && start.elapsed() < Duration::from_secs(60), "'{what}' was not shown: {}", self.seen);
        }
        self.seen = self.seen.split_off(self.seen.find(what).expect("found") + what.len());
    }

    /// Its exit code (128 + n for a signal) and the rest of the screen.
    pub fn end(mut self) -> (i32, String) {
        let start = Instant::now();
        let status = loop {
            self.read(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not end: {}", self.seen);
        };
        while self.read(Duration::from_millis(20)) && start.elapsed() < Duration::from_millis(500) {}
        (status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1), self.seen)
    }
}

#[test]
fn a_landing_asks_and_then_offers_to_drop_the_fork() {
    let land = Land::new();
    land.fork("x");
    let head = land.work("x", &[f("a", "1\n")], "one");
    let before = land.snapshot();
    for no in ["n\n", "\n", "maybe\n"] {
        let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
        terminal.answer("Land 1 commit of 'x' on main? [y/N] ", no);
        let (code, text) = terminal.end();
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("error: not landed") && text.contains("git coop review x"), "{text}");
        assert_eq!(land.snapshot(), before, "after {no:?}");
    }
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
    terminal.answer("Land 1 commit of 'x' on main? [y/N] ", "y\n");
    terminal.answer("Drop the fork 'x', which has landed? [y/N] ", "n\n");
    assert_eq!(terminal.end().0, 0);
    assert_eq!((land.head("main"), land.record("x").state.as_str()), (head, "landed"));
    land.fork("y");
    let path = land.record("y").path;
    land.work("y", &[f("b", "1\n")], "two");
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["y"]);
    terminal.answer("on main? [y/N] ", "yes\n");
    terminal.answer("which has landed? [y/N] ", "Y\n");
    let (code, text) = terminal.end();
    assert!(code == 0 && text.contains("landed 1 commit of 'y' on main"), "{text}");
    assert!(!path.exists(), "the fork was not dropped");
}

#[test]
fn each_finding_is_asked_about_once() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f(".vscode/tasks.json", "{}\n"), f(".github/workflows/ci.yml", "on: push\n")], "two things");
    let before = land.snapshot();
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
    terminal.answer("Is this meant? [y/N] ", "y\n");
    terminal.answer("Is this meant? [y/N] ", "n\n");
    let (code, text) = terminal.end();
    assert!(code == 1 && text.contains("brings 1 thing that somebody has to mean"), "{code}: {text}");
    assert_eq!(land.snapshot(), before);
    land.commit("user", "x\n"); // so that the commits are made anew, and looked at again
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
    terminal.answer("Is this meant? [y/N] ", "y\n");
    terminal.answer("Is this meant? [y/N] ", "y\n");
    terminal.answer("Land 1 commit of 'x' on main? [y/N] ", "y\n");
    terminal.answer("which has landed? [y/N] ", "n\n");
    assert_eq!(terminal.end().0, 0);
    let accepted = land.record("x").get("Accepted").expect("recorded").to_owned();
    assert_eq!(accepted, "host:.github/workflows/ci.yml host:.vscode/tasks.json");
}

#[test]
fn all_forks_are_asked_about_once() {
    let land = Land::new();
    for name in ["one", "two"] {
        land.fork(name);
        land.work(name, &[f(name, "1\n")], name);
    }
    let before = land.snapshot();
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["--all"]);
    terminal.answer("Land 2 forks? [y/N] ", "n\n");
    assert_eq!(terminal.end().0, 1);
    assert_eq!(land.snapshot(), before);
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["--all"]);
    terminal.answer("Land 2 forks? [y/N] ", "y\n");
    let (code, text) = terminal.end();
    assert!(code == 0 && text.contains("[2/2] two"), "{code}: {text}");
    assert_eq!(land.git(["rev-list", "--count", "main"]), "3");
}

/// The user commits while the landing asks: it starts again on the new commit.
#[test]
fn a_commit_while_it_asks_is_rebased_onto() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
    terminal.until("on main? [y/N] ");
    land.commit("mine", "1\n");
    terminal.say("y\n");
    terminal.answer("which has landed? [y/N] ", "n\n");
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert_eq!(land.git(["log", "--format=%s", "-2"]), "one\nuser: mine");
    assert_eq!(land.git(["status", "--porcelain"]), "");
}

/// Ctrl-C while it asks: nothing has moved, and the next command goes on as if it had not been there.
#[test]
fn an_interrupted_question_changes_nothing() {
    let land = Land::new();
    land.fork("x");
    land.work("x", &[f("a", "1\n")], "one");
    let (before, refs) = (land.snapshot(), land.git(["for-each-ref", "refs/coop"]));
    let mut terminal = Terminal::start(&land, "git-coop-merge", &["x"]);
    terminal.answer("on main? [y/N] ", "\u{3}");
    let (code, text) = terminal.end();
    assert_eq!(code, 128 + 2, "{text}");
    assert_eq!((land.snapshot(), land.git(["for-each-ref", "refs/coop"])), (before, refs));
    land.merge(["x", "--yes"]).ok();
}

/// The user's pager gets the dossier and the diff, coloured by us, with every byte of the agent escaped.
#[test]
fn a_review_goes_through_the_pager() {
    let land = Land::new();
    land.fork("x");
    let head = land.work("x", &[f("a", "new \u{1b}]0;title\u{7} line\n")], "one");
    let pager = land.world.root().join("pager");
    std::fs::write(&pager, "#!/bin/sh\ncat >\"$HOME/paged\"\nprintf 'LESS=%s\\n' \"$LESS\"\nread key </dev/tty\n")
        .expect("script");
    std::fs::set_permissions(&pager, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    land.git(["config", "core.pager", pager.to_str().expect("path")]);
    let mut terminal = Terminal::start(&land, "git-coop-review", &["x"]);
    terminal.answer("LESS=FRX", "q\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("+new"), "the diff went past the pager: {screen}");
    let paged = std::fs::read_to_string(land.world.home().join("paged")).expect("the pager ran");
    assert!(paged.contains("fork x") && paged.contains("\u{1b}[32m+new \\u{1b}]0;title\\u{7} line\u{1b}[m"), "{paged}");
    assert_eq!(land.record("x").get("Reviewed"), Some(head.as_str()));
    // a pager that is left at once, and one that does not exist
    for pager in ["head -n 1", "no-such-pager-here"] {
        land.git(["config", "core.pager", pager]);
        let (code, screen) = Terminal::start(&land, "git-coop-review", &["x"]).end();
        assert_eq!(code, 0, "{pager}: {screen}");
    }
}
