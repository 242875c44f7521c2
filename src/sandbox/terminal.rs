//! A pseudo terminal for the box and the user's own terminal in raw mode.
//!
//! The user's terminal is put back when [`Raw`] is dropped, and by a panic hook, because the release build aborts.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once};

use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{Context as _, Result};

/// What to restore, while somebody is raw.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Both ends of a new pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// Our end; never blocks.
    pub master: OwnedFd,
    /// The end that becomes the box's terminal.
    pub slave: OwnedFd,
}

impl Pty {
    /// Opens one with the size of the user's terminal. `owner` may reopen it by name.
    pub fn open(owner: Option<(u32, u32)>) -> Result<Self> {
        let open = || -> rustix::io::Result<Pty> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let name = rustix::pty::ptsname(&master, Vec::new())?;
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
            let slave = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())?;
            if let Some((uid, _)) = owner {
                rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(uid)), None)?;
            }
            rustix::io::ioctl_fionbio(&master, true)?;
            Ok(Pty { master, slave })
        };
        let pty = open().or_bug("cannot open a pseudo terminal")?;
        copy_size(&pty.master);
        Ok(pty)
    }
}

/// Gives `master` the size of the user's terminal, or 80 by 24 where there is none.
pub fn copy_size(master: &OwnedFd) {
    let size = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
        .iter()
        .find_map(|fd| tcgetwinsize(fd).ok().filter(|s| s.ws_col > 0));
    let size = size.unwrap_or(Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 });
    let _ = tcsetwinsize(master, size); // only looks worse
}

/// The user's terminal in raw mode while this lives.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Makes standard input raw, if it is a terminal.
    pub fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin.as_fd()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        *SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(before);
        tcsetattr(stdin, OptionalActions::Drain, &raw).ok()?;
        Some(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &before);
    }
}
