//! The only unsafe code of the project: what happens between fork and exec, and signal handlers.
//!
//! Everything in [`Setup`] runs in the child before exec: system calls only, no allocation, no locks.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// What a child does to itself before it becomes the runtime's client.
#[derive(Debug, Default)]
pub struct Setup {
    /// Open `cgroup.procs` (or `tasks`) files of the cgroups to join.
    pub cgroups: Vec<OwnedFd>,
    /// Start a session of its own, so that the terminal's Ctrl-C reaches only us.
    pub new_session: bool,
    /// Make standard input (a pty) the controlling terminal. Needs `new_session`.
    pub controlling_tty: bool,
    /// User and group to become for good, supplementary groups dropped. Only for root.
    pub become_user: Option<(u32, u32)>,
    /// Join a new anonymous session keyring, so that the user's keys are not reachable.
    pub new_keyring: bool,
    /// Signal to get when the thread that started it ends.
    pub death_signal: Option<i32>,
    /// Leave every descriptor open that is: never but to show what the closing is good for.
    pub leave_open: bool,
    /// File descriptors the program may keep besides 0, 1, 2; every other one is closed at exec.
    pub keep: Vec<RawFd>,
}

/// Has `command` do `setup` before exec.
pub fn prepare(command: &mut Command, setup: Setup) {
    // SAFETY: the closure makes system calls only; everything it reads was allocated before the fork.
    unsafe {
        command.pre_exec(move || apply(&setup));
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn apply(setup: &Setup) -> io::Result<()> {
    for fd in &setup.cgroups {
        // SAFETY: a valid descriptor and a static buffer; "0" is the writing process itself
        check(unsafe { libc::write(fd.as_raw_fd(), c"0".as_ptr().cast(), 1) } as libc::c_long)?;
    }
    if setup.new_session {
        // SAFETY: no arguments
        check(libc::c_long::from(unsafe { libc::setsid() }))?;
    }
    if setup.controlling_tty {
        // SAFETY: descriptor 0 is the pty; the argument is an integer
        check(libc::c_long::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) }))?;
    }
    if let Some((uid, gid)) = setup.become_user {
        // SAFETY: plain integers; groups first, because setuid takes the right away
        unsafe {
            check(libc::c_long::from(libc::setgroups(0, std::ptr::null())))?;
            check(libc::c_long::from(libc::setgid(gid)))?;
            check(libc::c_long::from(libc::setuid(uid)))?;
        }
    }
    #[cfg(target_os = "linux")]
    linux_only(setup)?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn linux_only(setup: &Setup) -> io::Result<()> {
    if setup.new_keyring {
        const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
        // SAFETY: a null name asks for a new anonymous keyring
        let joined = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0usize) };
        match check(joined) {
            // a kernel without keyrings has none to leak
            Err(err) if err.raw_os_error() == Some(libc::ENOSYS) => {}
            other => other?,
        }
    }
    if let Some(signal) = setup.death_signal {
        // SAFETY: plain integers
        check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) }))?;
    }
    if !setup.leave_open {
        close_others();
    }
    for fd in &setup.keep {
        // SAFETY: plain integers
        check(libc::c_long::from(unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) }))?;
    }
    Ok(())
}

/// Marks every descriptor but the first three to be closed at exec.
#[cfg(target_os = "linux")]
fn close_others() {
    // what we inherited without close-on-exec (a directory, say) would be a way out of a bubblewrap box
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: plain integers
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if check(closed).is_err() {
        for fd in 3..4096 {
            // SAFETY: fcntl on a number that is not open fails with EBADF and does nothing
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Sends `signal` to process `pid`; true when it was there to be signalled.
pub fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: plain integers; the guard keeps 0 and -1, which mean groups, away
    pid > 0 && unsafe { libc::kill(pid, signal) } == 0
}

/// Signals that [`Signals`] reports.
const WATCHED: [i32; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGWINCH, libc::SIGCHLD];
/// Write ends of the pipes of all live [`Signals`], -1 is free.
static SLOTS: [AtomicI32; 64] = [const { AtomicI32::new(-1) }; 64];
/// How many [`Signals`] live, and the actions to put back after the last.
static INSTALLED: Mutex<(usize, Vec<libc::sigaction>)> = Mutex::new((0, Vec::new()));

/// Interrupts since the first [`Signals`] of now; a signal that ends at once counts as two.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
/// Whether the first interrupt is not for boxes.
static SPARING: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt is not passed on to boxes, and the second kills them; or as it was.
pub fn spare_first(on: bool) {
    INTERRUPTS.store(0, Ordering::SeqCst);
    SPARING.store(on, Ordering::SeqCst);
}

/// Interrupts so far, where the first one is spared: from the second on, work ends now.
pub fn spared_interrupts() -> Option<u32> {
    SPARING.load(Ordering::SeqCst).then(|| INTERRUPTS.load(Ordering::SeqCst))
}

/// While it lives, signals to this process arrive as bytes (their numbers) on [`Signals::fd`].
#[derive(Debug)]
pub struct Signals {
    reader: OwnedFd,
    writer: OwnedFd,
    slot: usize,
}

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_place;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_place;

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: errno is thread-local and valid; write(2) is async-signal-safe
    unsafe {
        let errno = errno_place();
        let saved = *errno;
        match signal {
            libc::SIGINT => INTERRUPTS.fetch_add(1, Ordering::SeqCst),
            libc::SIGTERM | libc::SIGHUP => INTERRUPTS.fetch_add(2, Ordering::SeqCst),
            _ => 0,
        };
        let byte = signal as u8;
        for slot in &SLOTS {
            let fd = slot.load(Ordering::Relaxed);
            if fd >= 0 {
                libc::write(fd, (&raw const byte).cast(), 1);
            }
        }
        *errno = saved;
    }
}

impl Signals {
    /// Installs the handlers if nobody has. A signal that was ignored when we started (`nohup`) stays ignored.
    pub fn install() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slot = SLOTS
            .iter()
            .position(|s| s.compare_exchange(-1, writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_ok())
            .ok_or_else(|| io::Error::other("too many boxes in one process"))?;
        if installed.0 == 0 {
            installed.1 = WATCHED.iter().map(|signal| replace_action(*signal)).collect();
        }
        installed.0 += 1;
        Ok(Signals { reader, writer, slot })
    }
    /// Readable when signals are waiting; never blocks.
    pub fn fd(&self) -> &OwnedFd {
        &self.reader
    }
}

fn replace_action(signal: i32) -> libc::sigaction {
    // SAFETY: zeroed is a valid sigaction; both pointers are valid for the call
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old);
        if old.sa_sigaction != libc::SIG_IGN || signal == libc::SIGCHLD {
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = on_signal as *const () as usize;
            new.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &new, std::ptr::null_mut());
        }
        old
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        SLOTS[self.slot].store(-1, Ordering::SeqCst);
        let _ = &self.writer; // closed after the slot is free
        installed.0 -= 1;
        if installed.0 == 0 {
            for (signal, old) in WATCHED.iter().zip(&installed.1) {
                // SAFETY: `old` came from sigaction
                unsafe { libc::sigaction(*signal, old, std::ptr::null_mut()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd as _;

    #[test]
    fn inherited_descriptors_do_not_reach_the_child() {
        let low = std::fs::File::open("/").expect("root").into_raw_fd();
        // SAFETY: our own descriptor; the copy has a number that ls does not use itself, and is not close-on-exec
        let leaked = unsafe { libc::fcntl(low, libc::F_DUPFD, 100) };
        let show = |setup: Option<Setup>| {
            let mut command = Command::new("ls");
            command.arg("/proc/self/fd");
            if let Some(setup) = setup {
                prepare(&mut command, setup);
            }
            String::from_utf8(command.output().expect("ls").stdout).expect("text")
        };
        let has = |text: &str| text.lines().any(|l| l == leaked.to_string());
        assert!(has(&show(None)), "the test itself must leak");
        assert!(!has(&show(Some(Setup::default()))));
        assert!(has(&show(Some(Setup { keep: vec![leaked], ..Setup::default() }))));
    }
}
