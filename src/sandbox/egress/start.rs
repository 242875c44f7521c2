//! The proxy's life: it begins before its box, is handed the box's listening sockets, and ends with the box.

use std::ffi::OsString;
use std::fmt;
use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};

use crate::error::{Context as _, Error, Result};

use super::super::io::{Ended, How};
use super::super::owner::Owner;
use super::super::runtime::Usable;
use super::super::spec::{BoxSpec, Mount, Runtime, User};
use super::super::support::Support;
use super::helper;
use super::inbox::{MOST, VERSION};
use super::provider::{self, Provider, Served};
use super::serve::{self, Forward, accept};
use super::tally::{Line, Tally};

/// The port of the proxy on the box's loopback.
pub const PORT: u16 = 3128;
/// The name of the socket.
const NAME: &str = "proxy";
/// Where the box sees the socket.
const SOCKET: &str = "/run/coop/proxy";
/// Where it sees [`super::inbox`].
const PROGRAM: &str = "/run/coop-box";
/// Most connections at a time.
const CONNECTIONS: u64 = 8_192;
/// How long the two sides may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Is told at the end of a box what it reached.
pub type Report = Arc<dyn Fn(&[Line]) + Send + Sync>;

/// The proxy of a box.
#[derive(Clone)]
pub struct Proxy {
    /// What may be reached through the proxy port; without it there is no such port.
    pub forward: Option<Forward>,
    /// Providers whose credentials stay outside.
    pub providers: Vec<Provider>,
    /// A bundle of certificates that is trusted for providers besides the system's.
    pub ca: Option<PathBuf>,
    /// Told at the end.
    pub report: Option<Report>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("forward", &self.forward)
            .field("providers", &self.providers)
            .finish_non_exhaustive()
    }
}

/// A proxy at work.
pub(in super::super) struct Running {
    thread: Option<JoinHandle<()>>,
    stop: Arc<Notify>,
    handed: Arc<AtomicBool>,
    tally: Arc<Tally>,
    report: Option<Report>,
    dir: PathBuf,
}

impl Running {
    /// Starts the proxy of `spec` and gives the specification of the box that uses it. Errors: exit 5 where this runtime
    /// or installation cannot have one; exit 2 for a bundle of certificates that cannot be read.
    pub fn start(
        proxy: &Proxy,
        usable: &Usable,
        spec: &BoxSpec,
        support: &Support,
        owner: &Owner,
    ) -> Result<(Running, BoxSpec)> {
        possible(usable, spec.user)?;
        let program = helper::copy(usable, support)?;
        let dir = support.root.join("run").join(format!("{}-{}-{}.net", spec.id, owner.pid, owner.start));
        let listener = listen(&dir, spec).or_bug(format!("cannot bind the proxy's socket in '{}'", dir.display()))?;
        let tally = Arc::new(Tally::default());
        let mut running = Running {
            thread: None,
            stop: Arc::new(Notify::new()),
            handed: Arc::default(),
            tally: tally.clone(),
            report: proxy.report.clone(),
            dir: dir.clone(),
        };
        let ca = proxy.ca.as_deref();
        let served = proxy.providers.iter().map(|p| Served::new(p, ca, tally.clone()).map(Arc::new));
        let serving = Serving {
            forward: proxy.forward.clone(),
            providers: served.collect::<Result<Vec<_>>>()?,
            ports: ports(proxy),
            users: [rustix::process::geteuid().as_raw(), spec.user.uid],
            tally,
            handed: running.handed.clone(),
            socket: dir.join(NAME),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().or_bug("cannot start the proxy")?;
        let stop = running.stop.clone();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serving.run(listener) => stop.notified().await,
                    () = stop.notified() => {}
                }
            });
            runtime.shutdown_background(); // a resolver that hangs is not waited for
        };
        running.thread =
            Some(std::thread::Builder::new().name("egress".into()).spawn(work).or_bug("cannot start the proxy")?);
        Ok((running, inside(proxy, spec, &dir, &program)))
    }

    /// Ends the proxy after its box, and reports. Errors: the box ended without ever having had its proxy, exit 5.
    pub fn finish(mut self, ended: Result<Ended>) -> Result<Ended> {
        self.end();
        if let Some(report) = &self.report {
            report(&self.tally.lines());
        }
        let ended = ended?;
        if !self.handed.load(Ordering::SeqCst) && ended.how == How::Exited {
            return Err(Error::no_runtime("the box could not reach its proxy, so its command did not run").hint(
                "git coop doctor; where containers run in a virtual machine, a socket of this one does not reach them",
            ));
        }
        Ok(ended)
    }

    fn end(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was said already
        }
        let _ = std::fs::remove_dir_all(&self.dir); // a sweep removes what is left
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a box of `user` can have a proxy on this runtime and with what is installed. Errors: exit 5.
pub fn possible(usable: &Usable, user: User) -> Result<()> {
    let without = "COOP_EGRESS=open or none with --key-in-box needs no proxy";
    if usable.runtime == Runtime::Container {
        return Err(Error::no_runtime(
            "under Apple container every box is a virtual machine, and a socket of this machine does not reach into it: \
             there is no proxy, so no allow-list and no key that stays outside",
        )
        .hint(without));
    }
    if !cfg!(target_os = "linux") {
        return Err(Error::no_runtime(format!(
            "{} runs boxes in a virtual machine here, and a socket of this machine does not reach into it",
            usable.runtime.name()
        ))
        .hint(without));
    }
    let me = rustix::process::geteuid();
    if !me.is_root() && me.as_raw() != user.uid {
        return Err(Error::no_runtime(format!(
            "the box runs as user {}, who may not use the proxy of user {}",
            user.uid,
            me.as_raw()
        ))
        .hint("run git coop as the owner of the repository"));
    }
    helper::find().map(drop)
}

/// Binds the socket in a directory that only the box's user can enter.
fn listen(dir: &Path, spec: &BoxSpec) -> std::io::Result<std::os::unix::net::UnixListener> {
    std::fs::DirBuilder::new().mode(0o700).create(dir)?;
    // by way of the open directory: the path may be longer than an address of a socket can be
    let open = std::fs::File::open(dir)?;
    let listener = std::os::unix::net::UnixListener::bind(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()))?;
    let path = dir.join(NAME);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    if rustix::process::geteuid().is_root() && spec.user.uid != 0 {
        for path in [&path, dir] {
            std::os::unix::fs::lchown(path, Some(spec.user.uid), Some(spec.user.gid))?;
        }
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The ports that the box listens at, in the order in which they are handed over.
fn ports(proxy: &Proxy) -> Vec<u16> {
    proxy.forward.iter().map(|_| PORT).chain(proxy.providers.iter().map(|p| p.port)).collect()
}

/// The box with its proxy.
pub(in super::super) fn inside(proxy: &Proxy, spec: &BoxSpec, dir: &Path, program: &Path) -> BoxSpec {
    let mut spec = spec.clone();
    spec.mounts.push(Mount::ro(dir, "/run/coop"));
    spec.mounts.push(Mount::ro(program, PROGRAM));
    let ports: Vec<String> = ports(proxy).iter().map(u16::to_string).collect();
    let first: [OsString; 4] = [PROGRAM.into(), SOCKET.into(), ports.join(",").into(), "--".into()];
    spec.command.splice(0..0, first);
    if proxy.forward.is_some() {
        let address = format!("http://127.0.0.1:{PORT}");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            spec.env.push((name.to_owned(), address.clone().into()));
            spec.env.push((name.to_ascii_lowercase(), address.clone().into()));
        }
        for name in ["NO_PROXY", "no_proxy"] {
            spec.env.push((name.to_owned(), "localhost,127.0.0.1,::1".into()));
        }
        spec.env.push(("NODE_USE_ENV_PROXY".to_owned(), "1".into())); // node looks at the others only then
    }
    spec
}

/// The command of a box as it was asked for, also where [`super::inbox`] runs in front of it.
pub(in super::super) fn asked(spec: &BoxSpec) -> String {
    let first = spec.command.iter().skip(if spec.command.first().is_some_and(|word| word == PROGRAM) { 4 } else { 0 });
    first.take(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// What the proxy's thread works on.
struct Serving {
    forward: Option<Forward>,
    providers: Vec<Arc<Served>>,
    ports: Vec<u16>,
    users: [u32; 2],
    tally: Arc<Tally>,
    handed: Arc<AtomicBool>,
    socket: PathBuf,
}

impl Serving {
    async fn run(self, listener: std::os::unix::net::UnixListener) {
        let Ok(listener) = UnixListener::from_std(listener) else { return };
        let (mut stream, listeners) = loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let ours = stream.peer_cred().is_ok_and(|peer| self.users.contains(&peer.uid()));
            if !ours {
                continue;
            }
            let ports = self.ports.clone();
            match tokio::task::spawn_blocking(move || receive(stream, &ports)).await {
                Ok(Ok(received)) => break received,
                _ => continue, // somebody who is not ours; the box waits for an answer and then gives up
            }
        };
        drop(listener); // nobody else is served
        let _ = std::fs::remove_file(&self.socket); // which nobody answers at any more
        let room = Arc::new(Semaphore::new(room()));
        let mut listeners = listeners.into_iter().filter_map(|listener| TcpListener::from_std(listener).ok());
        if let Some(forward) = self.forward
            && let Some(listener) = listeners.next()
        {
            tokio::spawn(serve::proxy(listener, forward, self.tally, room.clone()));
        }
        for (served, listener) in self.providers.into_iter().zip(listeners) {
            tokio::spawn(accept(listener, room.clone(), move |stream, permit| {
                provider::connection(served.clone(), stream, permit)
            }));
        }
        self.handed.store(true, Ordering::SeqCst);
        let _ = stream.write_all(&[VERSION]); // one byte always fits; a box that is gone needs none
    }
}

/// Takes the listening sockets, which must be the ones that were agreed on.
fn receive(
    stream: UnixStream,
    ports: &[u16],
) -> std::io::Result<(std::os::unix::net::UnixStream, Vec<std::net::TcpListener>)> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    let (mut version, mut space) = ([0u8], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&stream, &mut [IoSliceMut::new(&mut version)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    let wrong = || std::io::Error::other("not what a box of this version hands over");
    if version[0] != VERSION || fds.len() != ports.len() {
        return Err(wrong());
    }
    let mut listeners = Vec::new();
    for (fd, port) in fds.into_iter().zip(ports) {
        if !sockopt::socket_acceptconn(&fd)? || sockopt::socket_type(&fd)? != rustix::net::SocketType::STREAM {
            return Err(wrong());
        }
        let listener = std::net::TcpListener::from(fd);
        if listener.local_addr()? != SocketAddr::from((Ipv4Addr::LOCALHOST, *port)) {
            return Err(wrong());
        }
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    Ok((stream, listeners))
}

/// How many connections there is room for: two descriptors each, and some for the rest of the process.
fn room() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CONNECTIONS + 512;
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    let mut current = limit.current.unwrap_or(wanted);
    if current < most && setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).is_ok() {
        current = most;
    }
    usize::try_from((current.saturating_sub(256) / 2).clamp(16, CONNECTIONS)).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    #[test]
    fn where_a_box_is_a_virtual_machine_there_is_no_proxy() {
        let env = Env::from_pairs([("HOME", "/home/me")]);
        let me = User { uid: rustix::process::geteuid().as_raw(), gid: 0 };
        let of = |runtime: Runtime| Usable::assumed(runtime, PathBuf::from("/usr/bin/x"), &env);
        let err = possible(&of(Runtime::Container), me).expect_err("no socket gets in");
        assert!(err.kind().code() == 5 && err.message().contains("virtual machine"), "{}", err.render());
        assert!(err.hints()[0].contains("--key-in-box"));
        for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Bwrap] {
            let said = possible(&of(runtime), me).map_err(|err| err.render()).err().unwrap_or_default();
            assert_eq!(said.contains("virtual machine"), !cfg!(target_os = "linux"), "{said}");
        }
    }
}
