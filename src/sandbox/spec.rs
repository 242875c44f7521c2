//! What a box is, as a value. Nothing here starts anything.

use std::ffi::OsString;
use std::path::PathBuf;

use super::egress::Proxy;

/// A runtime that can hold a box, in the order of detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Apple `container` (macOS 26+).
    Container,
    /// Docker.
    Docker,
    /// Podman, rootful or rootless.
    Podman,
    /// bubblewrap: no image, no daemon.
    Bwrap,
}

impl Runtime {
    /// All runtimes in the order of detection.
    pub const ALL: [Runtime; 4] = [Runtime::Container, Runtime::Docker, Runtime::Podman, Runtime::Bwrap];

    /// The name used in `COOP_RUNTIME` and on PATH.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Container => "container",
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Bwrap => "bwrap",
        }
    }

    /// Whether a box of this runtime starts from an image (all but bubblewrap).
    pub fn needs_image(self) -> bool {
        self != Runtime::Bwrap
    }
}

/// One thing that a box sees of the host. Sources are absolute paths that no box can write the parents of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// `source` appears at `target`.
    Bind {
        /// Absolute path on the host, already canonical.
        source: PathBuf,
        /// Absolute path in the box.
        target: PathBuf,
        /// Whether the box may write it.
        writable: bool,
    },
    /// An empty read-only file covers the file at `target` (a secret shadowed by name).
    BlankFile {
        /// Absolute path in the box; exists on the host at the same path.
        target: PathBuf,
    },
    /// An empty read-only directory covers the directory at `target`.
    BlankDir {
        /// Absolute path in the box; exists on the host at the same path.
        target: PathBuf,
    },
    /// A private writable memory file system at `target`.
    Tmpfs {
        /// Absolute path in the box.
        target: PathBuf,
        /// Size limit in bytes.
        size: u64,
        /// Permission bits, for example `0o1777`.
        mode: u32,
    },
}

impl Mount {
    /// Where the mount lands in the box.
    pub fn target(&self) -> &PathBuf {
        match self {
            Mount::Bind { target, .. }
            | Mount::BlankFile { target }
            | Mount::BlankDir { target }
            | Mount::Tmpfs { target, .. } => target,
        }
    }
    /// A read-only bind.
    pub fn ro(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Mount::Bind { source: source.into(), target: target.into(), writable: false }
    }
    /// A writable bind.
    pub fn rw(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Mount::Bind { source: source.into(), target: target.into(), writable: true }
    }
}

/// The numeric user and group a box runs as: the owner of the repository's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What a box may use up.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of memory, swap included; `None` is unlimited.
    pub memory: Option<u64>,
    /// Processors, in thousandths (`1500` = one and a half); `None` is unlimited.
    pub millicpus: Option<u32>,
    /// Processes and threads.
    pub pids: u32,
}

/// What a box may reach of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// The internet, and never the host's loopback.
    Open,
    /// Nothing.
    None,
}

/// Everything a box is. One launch path takes it: agents, shells, gates, imports, editors, logins.
#[derive(Debug, Clone)]
pub struct BoxSpec {
    /// Unique id of the run: `[a-z0-9]{4,32}`. The box is called `coop-<id>`.
    pub id: String,
    /// What the box is for (`agent`, `run`, `shell`, `gate`, `bundle`, `doctor`, `login`), a label.
    pub purpose: String,
    /// The workspace it works on, a label: `live:<path>` or `fork:<path>`; `fork stop` and sweeps find boxes by it.
    pub workspace: String,
    /// Mounts in order, parents before children.
    pub mounts: Vec<Mount>,
    /// Working directory in the box.
    pub workdir: PathBuf,
    /// `$HOME` in the box: a private tmpfs is put there before `mounts`.
    pub home: PathBuf,
    /// The whole environment, apart from `HOME`, `PATH`, `TERM` and `LANG` which the runtime layer sets.
    pub env: Vec<(String, OsString)>,
    /// Directories put in front of `PATH` in the box (an agent's install prefix under bwrap).
    pub path_prefix: Vec<PathBuf>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Who it runs as.
    pub user: User,
    /// Limits.
    pub limits: Limits,
    /// Network of its own.
    pub egress: Egress,
    /// The proxy beside it: all that a box without a network reaches, and credentials that stay outside of any.
    pub proxy: Option<Proxy>,
    /// Image reference; `None` under bubblewrap.
    pub image: Option<String>,
}
