//! Watches over the client of a runtime: moves bytes, passes signals on, keeps time. One thread, one poll loop.
//!
//! Guarantees: the box never holds a descriptor of the host's files or terminal; the user's terminal is restored; the
//! first interrupt asks, the second kills; when [`supervise`] returns, the client has been waited for.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Context as _, Error, Kind, Result};

use super::io::{Ended, How, Io, Log, Sink, Stdin, Taken, Tick, Wish};
use super::runtime::probes::exit_status;
use super::sys::{self, Setup, Signals};
use super::terminal::{Pty, Raw, copy_size};

/// How often the tick is called.
const TICK: Duration = Duration::from_millis(500);
/// How long a box that was asked to end by SIGTERM or SIGHUP may take.
const GRACE: Duration = Duration::from_secs(5);
/// How long a box that ran out of time may take.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);
/// How long the client may take to go after its box was killed, before it is killed itself.
const CLIENT_GRACE: Duration = Duration::from_secs(15);
/// How much of the end of standard error is kept to explain a failure.
const TAIL: usize = 8 << 10;

/// What reaches into the box, per runtime.
pub(super) trait Control {
    /// The client runs.
    fn started(&mut self, _client: i32) {}
    /// Sends `signal` to the command in the box.
    fn ask(&mut self, signal: i32);
    /// Ends the box without asking. Must not block for long.
    fn kill(&mut self);
    /// Stops or continues all of its processes.
    fn pause(&mut self, on: bool);
}

/// What supervision knows at the end.
pub(super) struct Finished {
    pub ended: Ended,
    /// The end of standard error, or of the terminal's output.
    pub tail: Vec<u8>,
}

struct Watch<'c> {
    child: Child,
    control: &'c mut dyn Control,
    input: VecDeque<u8>,
    /// Where input goes; for a terminal the master, which stays open.
    to_box: Option<OwnedFd>,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    pty: bool,
    stdin_open: bool,
    out_sink: Sink,
    err_sink: Sink,
    log: Option<Log>,
    tail: VecDeque<u8>,
    how: How,
    interrupts: u32,
    kill_at: Option<Instant>,
    killed_at: Option<Instant>,
    printed: u64,
    last_output: Instant,
    paused: bool,
}

/// Runs `command` to its end. Spawns from the calling thread, which must outlive the box.
pub(super) fn supervise(mut command: Command, mut setup: Setup, io: Io, control: &mut dyn Control) -> Result<Finished> {
    let Io { stdin, stdout, stderr, terminal, log, timeout, mut tick, is_work } = io;
    let signals = Signals::install().or_bug("cannot watch for signals")?;
    let pty = if terminal { Some(Pty::open(setup.become_user)?) } else { None };
    setup.new_session = true;
    setup.controlling_tty = terminal;
    match &pty {
        Some(pty) => {
            let end = || pty.slave.try_clone().map(Stdio::from).or_bug("cannot copy a descriptor");
            command.stdin(end()?).stdout(end()?).stderr(end()?);
        }
        None => {
            command.stdin(if matches!(stdin, Stdin::Null) { Stdio::null() } else { Stdio::piped() });
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
    }
    sys::prepare(&mut command, setup);
    let mut child = command.spawn().map_err(|err| cannot_start(&command, err))?;
    drop(command); // and with it our copies of the box's ends
    control.started(i32::try_from(child.id()).unwrap_or(0));
    let raw = (terminal && matches!(stdin, Stdin::Inherit)).then(Raw::enter).flatten();
    let (input, stdin_open) = match stdin {
        Stdin::Inherit => (VecDeque::new(), true),
        Stdin::Null => (VecDeque::new(), false),
        Stdin::Bytes(mut bytes) => {
            if terminal {
                bytes.push(4); // end of file, as typed
            }
            (bytes.into(), false)
        }
    };
    let (to_box, out, err) = match pty {
        Some(Pty { master, slave }) => {
            drop(slave);
            (Some(master.try_clone().or_bug("cannot copy a descriptor")?), Some(master), None)
        }
        None => (
            child.stdin.take().map(OwnedFd::from),
            child.stdout.take().map(OwnedFd::from),
            child.stderr.take().map(OwnedFd::from),
        ),
    };
    if let Some(fd) = &to_box {
        let _ = rustix::io::ioctl_fionbio(fd, true);
    }
    let now = Instant::now();
    let mut watch = Watch {
        child,
        control,
        input,
        to_box,
        out,
        err,
        pty: terminal,
        stdin_open,
        out_sink: Sink::new(stdout, false),
        err_sink: Sink::new(stderr, true),
        log,
        tail: VecDeque::new(),
        how: How::Exited,
        interrupts: 0,
        kill_at: None,
        killed_at: None,
        printed: 0,
        last_output: now,
        paused: false,
    };
    if is_work && sys::spared_interrupts().is_some_and(|count| count >= 2) {
        watch.how = How::Interrupted; // it was asked for before this box's own watch began
        watch.kill(now);
    }
    let status = watch.run(&signals, now, timeout, &mut tick);
    drop(raw);
    let status = status?;
    let ended = Ended { status, how: watch.how, stdout: watch.out_sink.captured, stderr: watch.err_sink.captured };
    Ok(Finished { ended, tail: watch.tail.into() })
}

impl Watch<'_> {
    fn run(
        &mut self,
        signals: &Signals,
        start: Instant,
        timeout: Option<Duration>,
        tick: &mut Option<&mut dyn FnMut(Tick) -> Wish>,
    ) -> Result<i32> {
        let deadline = timeout.map(|t| start + t);
        let mut next_tick = start + TICK;
        let mut exited: Option<(i32, Instant)> = None;
        loop {
            let now = Instant::now();
            if exited.is_none()
                && let Some(status) = self.child.try_wait().or_bug("cannot wait for the box")?
            {
                // what it printed last is still in the pipes
                exited = Some((exit_status(status), now + Duration::from_secs(if self.pty { 1 } else { 3 })));
                self.stdin_open = false;
                if !self.pty {
                    self.to_box = None;
                }
            }
            if let Some((status, until)) = exited
                && ((self.out.is_none() && self.err.is_none()) || now >= until)
            {
                return Ok(status);
            }
            if exited.is_none() {
                if deadline.is_some_and(|d| now >= d) && self.how == How::Exited {
                    self.how = How::TimedOut;
                    self.control.ask(libc::SIGTERM);
                    self.kill_at = Some(now + TIMEOUT_GRACE);
                }
                if self.kill_at.is_some_and(|at| now >= at) {
                    self.kill(now);
                }
                if self.killed_at.is_some_and(|at| now >= at + CLIENT_GRACE) {
                    let _ = self.child.kill();
                }
                if now >= next_tick {
                    next_tick = now + TICK;
                    self.tick(now, start, tick);
                }
            }
            let wake = [deadline, self.kill_at, Some(next_tick), exited.map(|(_, until)| until)];
            let wake = wake.into_iter().flatten().filter(|at| *at > now).min().unwrap_or(now + TICK);
            self.step(signals, wake.saturating_duration_since(now).min(TICK))?;
        }
    }

    fn tick(&mut self, now: Instant, start: Instant, tick: &mut Option<&mut dyn FnMut(Tick) -> Wish>) {
        let Some(tick) = tick else { return };
        let seen = Tick { elapsed: now - start, silent: now - self.last_output, printed: self.printed };
        match tick(seen) {
            Wish::Stop if self.killed_at.is_none() => {
                self.how = How::StoppedByHook;
                self.kill(now);
            }
            wish => {
                let pause = wish == Wish::Pause;
                if pause != self.paused {
                    self.paused = pause;
                    self.control.pause(pause);
                }
            }
        }
    }

    fn kill(&mut self, now: Instant) {
        self.kill_at = None;
        if self.killed_at.is_none() {
            self.killed_at = Some(now);
            self.control.kill();
        }
    }

    /// Waits for something to happen for at most `limit`, and handles it.
    fn step(&mut self, signals: &Signals, limit: Duration) -> Result<()> {
        let want_input = self.stdin_open && self.input.is_empty() && self.to_box.is_some();
        let want_write = !self.input.is_empty() && self.to_box.is_some();
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        let ready = {
            let stdin = rustix::stdio::stdin();
            let to_box = self.to_box.as_ref().filter(|_| want_write);
            let all: [(Role, Option<BorrowedFd<'_>>, PollFlags); 5] = [
                (Role::Signal, Some(signals.fd().as_fd()), PollFlags::IN),
                (Role::Out, self.out.as_ref().map(AsFd::as_fd), PollFlags::IN),
                (Role::Err, self.err.as_ref().map(AsFd::as_fd), PollFlags::IN),
                (Role::Input, want_input.then_some(stdin), PollFlags::IN),
                (Role::ToBox, to_box.map(AsFd::as_fd), PollFlags::OUT),
            ];
            let (roles, mut fds): (Vec<Role>, Vec<PollFd<'_>>) = all
                .into_iter()
                .filter_map(|(role, fd, flags)| Some((role, PollFd::from_borrowed_fd(fd?, flags))))
                .unzip();
            match poll(&mut fds, Some(&limit)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(err) => return Err(err).or_bug("cannot wait for the box"),
            }
            roles.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(r, _)| r).collect::<Vec<_>>()
        };
        for role in ready {
            match role {
                Role::Signal => self.signals(signals),
                Role::Out | Role::Err => self.output(role == Role::Err),
                Role::Input => self.read_input(),
                Role::ToBox => self.write_input(),
            }
        }
        if !self.stdin_open && self.input.is_empty() && !self.pty {
            self.to_box = None; // the end of standard input
        }
        Ok(())
    }

    fn signals(&mut self, signals: &Signals) {
        let mut buffer = [0u8; 64];
        let Ok(count) = rustix::io::read(signals.fd(), &mut buffer) else { return };
        for signal in &buffer[..count] {
            match i32::from(*signal) {
                libc::SIGWINCH => {
                    if let (true, Some(master)) = (self.pty, &self.to_box) {
                        copy_size(master);
                    }
                }
                libc::SIGINT if sys::spared_interrupts().is_some_and(|count| count < 2) => {}
                libc::SIGINT => {
                    self.how = How::Interrupted;
                    self.interrupts += 1;
                    if self.interrupts > 1 || sys::spared_interrupts().is_some() {
                        self.kill(Instant::now());
                    } else if self.pty {
                        self.input.push_back(3); // as if typed, for the box's foreground
                    } else {
                        self.control.ask(libc::SIGINT);
                    }
                }
                signal @ (libc::SIGTERM | libc::SIGHUP) => {
                    self.how = How::Interrupted;
                    self.control.ask(signal);
                    self.kill_at.get_or_insert(Instant::now() + GRACE);
                }
                _ => {} // SIGCHLD only wakes the loop
            }
        }
    }

    fn output(&mut self, is_err: bool) {
        let source = if is_err { &mut self.err } else { &mut self.out };
        let mut buffer = [0u8; 64 << 10];
        let count = match source.as_ref().map(|fd| rustix::io::read(fd, &mut buffer)) {
            Some(Ok(count)) if count > 0 => count,
            Some(Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)) => return,
            _ => {
                *source = None; // the end; of a terminal EIO says so
                return;
            }
        };
        let bytes = &buffer[..count];
        self.printed += count as u64;
        self.last_output = Instant::now();
        if let Some(log) = &mut self.log {
            log.add(bytes);
        }
        if is_err || self.pty {
            self.tail.extend(&bytes[count.saturating_sub(TAIL)..]);
            let surplus = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..surplus);
        }
        let sink = if is_err { &mut self.err_sink } else { &mut self.out_sink };
        match sink.take(bytes) {
            Taken::Yes => {}
            Taken::Closed if self.pty => {} // the log may still want it
            Taken::Closed => {
                let source = if is_err { &mut self.err } else { &mut self.out };
                *source = None; // so that the box notices as it would notice a closed pipe
            }
            Taken::TooMuch => {
                if self.killed_at.is_none() {
                    self.how = How::OutputLimit;
                    self.kill(Instant::now());
                }
            }
        }
    }

    fn read_input(&mut self) {
        let mut buffer = [0u8; 16 << 10];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => {
                self.stdin_open = false;
                if self.pty {
                    self.input.push_back(4); // end of file, as typed
                }
            }
            Ok(count) => self.input.extend(&buffer[..count]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.stdin_open = false,
        }
    }

    fn write_input(&mut self) {
        let Some(fd) = &self.to_box else { return };
        let (bytes, _) = self.input.as_slices();
        match rustix::io::write(fd, bytes) {
            Ok(count) => {
                self.input.drain(..count);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => {
                // the box has closed its standard input
                self.input.clear();
                self.stdin_open = false;
                if !self.pty {
                    self.to_box = None;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Signal,
    Out,
    Err,
    Input,
    ToBox,
}

fn cannot_start(command: &Command, err: std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    let kind = if err.kind() == ErrorKind::NotFound { Kind::NoRuntime } else { Kind::Bug };
    Error::new(kind, format!("cannot start '{program}'")).because(err)
}
