//! The host's side: services that a box must not reach, and reading what it wrote.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::error::{Context as _, Kind, Result};

/// Two services of this process: one on the loopback, one on all addresses. They notice who comes.
pub(super) struct Listeners {
    /// Port on 127.0.0.1.
    pub loopback: u16,
    /// Port on 0.0.0.0.
    pub everywhere: u16,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<bool>>,
}

impl Listeners {
    /// Opens both on free ports.
    pub fn open() -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut ports = [0; 2];
        for (at, address) in ["127.0.0.1:0", "0.0.0.0:0"].into_iter().enumerate() {
            let listener = TcpListener::bind(address).or_bug("cannot open a service to attack")?;
            listener.set_nonblocking(true).or_bug("cannot open a service to attack")?;
            ports[at] = listener.local_addr().or_bug("cannot open a service to attack")?.port();
            let over = over.clone();
            threads.push(std::thread::spawn(move || visited(&listener, &over)));
        }
        Ok(Listeners { loopback: ports[0], everywhere: ports[1], over, threads })
    }
    /// Closes them: whether somebody came to the first, and to the second.
    pub fn close(self) -> (bool, bool) {
        self.over.store(true, Ordering::Relaxed);
        // a thread that died saw nobody; it does nothing that can fail
        let mut came = self.threads.into_iter().map(|thread| thread.join().unwrap_or(false));
        (came.next().unwrap_or(false), came.next().unwrap_or(false))
    }
}

fn visited(listener: &TcpListener, over: &AtomicBool) -> bool {
    let mut came = false;
    loop {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"coop\n"); // the connection is what counts
            came = true;
        } else if over.load(Ordering::Relaxed) {
            return came;
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads at most `limit` bytes of a plain file, without following a link.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).context(Kind::NoRuntime, "the box left no report")?;
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(limit).read_to_end(&mut bytes).context(Kind::NoRuntime, "the box left no report")?;
    Ok(bytes)
}
