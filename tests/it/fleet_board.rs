//! The board on a terminal: what it shows, what its keys do, and that the terminal is as it was after every way out.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use coop::state::LoopState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::fleet::Yard;
use crate::land_terminal::Terminal;

/// A terminal with somebody in front of it.
struct Person {
    terminal: Terminal,
    screen: vt100::Parser,
}

impl Person {
    fn watches(yard: &Yard) -> Person {
        let terminal = Terminal::start(&yard.land, "git-coop-fleet", &["watch"]);
        let mut person = Person { terminal, screen: vt100::Parser::default() };
        person.resize(80, 24);
        person.sees("q quit");
        person
    }
    fn resize(&mut self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal.master, size).expect("a size");
        let cells = |n| std::num::NonZero::new(n).expect("not none");
        self.screen.screen_mut().set_size(cells(rows), cells(columns));
    }
    fn types(&mut self, keys: &str) {
        self.terminal.master.write_all(keys.as_bytes()).expect("typed");
    }
    fn looks(&mut self) {
        let mut fds = [PollFd::new(&self.terminal.master, PollFlags::IN)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).expect("poll") > 0 {
            let mut buffer = [0; 65536];
            let count = self.terminal.master.read(&mut buffer).unwrap_or(0);
            self.screen.process(&buffer[..count]);
        }
    }
    fn sees(&mut self, what: &str) {
        let start = Instant::now();
        while !self.screen.screen().contents().contains(what) {
            self.looks();
            let shown = self.screen.screen().contents();
            assert!(start.elapsed() < Duration::from_secs(30), "'{what}' is not on the screen:\n{shown}");
        }
    }
    /// Waits for the end: exit 0, the modes of a shell, no other screen, the cursor is there.
    fn leaves(mut self, code: i32) {
        let start = Instant::now();
        let status = loop {
            self.looks();
            if let Some(status) = self.terminal.child.try_wait().expect("a child") {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
        };
        self.looks();
        assert_eq!(status.code(), Some(code), "{}", self.screen.screen().contents());
        let modes = tcgetattr(&self.terminal.master).expect("a terminal").local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{modes:?}");
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
    }
}

#[test]
fn it_shows_the_night_and_quits() {
    let yard = Yard::new();
    yard.night();
    let mut person = Person::watches(&yard);
    person.sees("fleet: 4 members · 1 running · 1 parked · 1 waiting · 1 killed · 4/12 done");
    person.sees("Mend the parser");
    assert!(person.screen.screen().alternate_screen() && person.screen.screen().hide_cursor());
    person.types("j");
    person.sees("wakes at ");
    // what happens meanwhile is shown
    yard.looping("api", LoopState::Running, &[("Done", "4"), ("Title", "Write the printer")], "task 4567");
    person.sees("Write the printer");
    person.sees("4/11");
    // another size is used at once, a small one too
    person.resize(130, 40);
    person.sees("TOKENS    COST");
    person.resize(40, 10);
    person.sees("fleet: 4 members");
    person.types("q");
    person.leaves(0);
}

#[test]
fn the_terminal_is_as_it_was_after_a_signal_or_an_interrupt() {
    let yard = Yard::new();
    yard.night();
    for signal in ["INT", "TERM", "HUP"] {
        let person = Person::watches(&yard);
        // the program that gave it its terminal has become the board
        let pid = person.terminal.child.id().to_string();
        yard.land.world.run(&yard.land.repo, "kill", ["-s", signal, &pid]).ok();
        person.leaves(0);
    }
    let mut person = Person::watches(&yard);
    person.types("\u{3}");
    person.leaves(0);
}

/// Even a panic gives the terminal back before it says what happened.
#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let mut yard = Yard::new();
    yard.land.world = yard.land.world.with_env("COOP_TEST_WITHOUT", "board-stands");
    let terminal = Terminal::start(&yard.land, "git-coop-fleet", &["watch"]);
    let mut person = Person { terminal, screen: vt100::Parser::default() };
    person.sees("a test wants to see what is left of the terminal");
    person.leaves(70);
}

#[test]
fn keys_ask_and_run_the_commands() {
    let yard = Yard::new();
    yard.land.fork("api");
    yard.land.work("api", &[("made.txt", Some(b"work\n"))], "Do the work");
    yard.night();
    let mut person = Person::watches(&yard);
    person.sees("Mend the parser");
    // stopping is asked for, and anything but a yes is a no
    person.types("s");
    person.sees("stop api? y ends its box");
    person.types("n");
    person.sees("q quit");
    // the dossier on the terminal as it was, and back
    person.types("r");
    person.sees("return to the board");
    person.sees("made.txt");
    person.types("\n");
    person.sees("fleet: 4 members");
    // a member without a fork has no log
    person.types("jl");
    person.sees("'web' has no log yet");
    person.types("q");
    person.leaves(0);
}

/// Two boards at once, from two terminals: neither writes anything.
#[test]
fn two_boards_at_once_change_nothing() {
    let yard = Yard::new();
    yard.night();
    let before = yard.land.git(["for-each-ref"]);
    let (mut one, mut two) = (Person::watches(&yard), Person::watches(&yard));
    one.sees("Mend the parser");
    two.sees("Mend the parser");
    one.types("q");
    one.leaves(0);
    two.types("q");
    two.leaves(0);
    assert_eq!(yard.land.git(["for-each-ref"]), before);
}
