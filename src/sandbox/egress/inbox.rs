//! The program that runs first in a box that has a proxy: it listens on the box's own loopback, hands the listening
//! sockets to the proxy on the host through a bind-mounted socket, and becomes the command of the box.
//!
//! Guarantees: nothing of it is left when the command runs, so signals, the exit status and the process list are the
//! command's own, and no process of the box holds anything that leads to the host but what the proxy serves. It
//! resolves no name and reads no file, so that it can be a static program that runs in any image. Without an answer
//! from the host the command does not run.

use std::ffi::{OsStr, OsString};
use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Most listening sockets of one box.
pub(super) const MOST: usize = 8;
/// What both sides say: the version of this handshake.
pub(super) const VERSION: u8 = b'1';
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Exit status where the host does not answer; what docker uses for its own failures.
const FAILED: u8 = 125;

/// `git-coop-box SOCKET PORT[,PORT…] -- COMMAND [ARGUMENT…]`. Does not return where the command runs.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [socket, ports, dashes, command, args @ ..] = words.as_slice() else {
        return said("this program starts the command of a box; it is not for you", 2);
    };
    let ports: Option<Vec<u16>> = ports.to_str().map(|p| p.split(',').filter_map(|n| n.parse().ok()).collect());
    let Some(ports) = ports.filter(|p| (1..=MOST).contains(&p.len()) && dashes == "--") else {
        return said("bad arguments", 2);
    };
    if let Err(err) = hand_over(socket, &ports) {
        return said(&format!("cannot reach the proxy of this box: {err}"), FAILED);
    }
    let err = Command::new(command).args(args).exec();
    let shown = String::from_utf8_lossy(command.as_bytes()).into_owned();
    match err.kind() {
        std::io::ErrorKind::NotFound => said(&format!("exec: {shown}: not found"), 127),
        _ => said(&format!("exec: {shown}: {err}"), 126),
    }
}

fn said(what: &str, status: u8) -> ExitCode {
    eprintln!("coop: {what}");
    ExitCode::from(status)
}

fn hand_over(socket: &OsStr, ports: &[u16]) -> std::io::Result<()> {
    let listeners = ports
        .iter()
        .map(|port| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port))?;
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(listener)
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut host = UnixStream::connect(socket)?;
    host.set_read_timeout(Some(Duration::from_secs(20)))?;
    let fds: Vec<BorrowedFd<'_>> = listeners.iter().map(|l| l.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&host, &[IoSlice::new(&[VERSION])], &mut control, SendFlags::NOSIGNAL)?;
    let mut answer = [0u8];
    host.read_exact(&mut answer)?;
    if answer[0] != VERSION {
        return Err(std::io::Error::other("it is of another version of git-coop"));
    }
    Ok(())
}
