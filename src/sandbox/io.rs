//! Where the bytes of a box come from and go to, and how a run ended.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

/// Standard input of a box.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Ours, forwarded.
    Inherit,
    /// Empty.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// Where standard output or standard error goes. The box itself always writes to a pipe (or its own terminal), never
/// to a file or terminal of the host.
#[derive(Debug, Default)]
pub enum Out {
    /// Ours.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Kept; more than `limit` bytes end the box.
    Capture {
        /// Bytes.
        limit: u64,
    },
    /// Written to `file`; more than `limit` bytes end the box.
    File {
        /// An open file.
        file: File,
        /// Bytes.
        limit: u64,
    },
}

/// A copy of what the box prints. It is cut at `limit`; the box goes on.
#[derive(Debug)]
pub struct Log {
    /// An open file.
    pub file: File,
    /// Bytes.
    pub limit: u64,
}

/// What the tick is told.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// Since the start.
    pub elapsed: Duration,
    /// Since the box last printed something.
    pub silent: Duration,
    /// Bytes printed so far.
    pub printed: u64,
}

/// What the tick wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on (after a pause: resume).
    Continue,
    /// Stand still until another tick says otherwise.
    Pause,
    /// End the box at once.
    Stop,
}

/// Streams and supervision of one box.
#[derive(Default)]
pub struct Io<'a> {
    /// Standard input.
    pub stdin: Stdin,
    /// Standard output; with a terminal everything the terminal shows.
    pub stdout: Out,
    /// Standard error; unused with a terminal.
    pub stderr: Out,
    /// Whether the box gets a terminal of its own.
    pub terminal: bool,
    /// A copy of both.
    pub log: Option<Log>,
    /// The box is asked to end after this time, and ended two seconds later.
    pub timeout: Option<Duration>,
    /// Called about every 500 ms.
    pub tick: Option<&'a mut dyn FnMut(Tick) -> Wish>,
    /// What a process that runs many boxes is there for (`interrupts`): it ends at once where the process was asked to
    /// stop before. What brings results back runs in any case.
    pub is_work: bool,
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("terminal", &self.terminal).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why a box is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Its command ended.
    Exited,
    /// The time was over.
    TimedOut,
    /// A signal to us ended it.
    Interrupted,
    /// It printed more than it may.
    OutputLimit,
    /// The tick said so.
    StoppedByHook,
}

/// How a box ended. It is gone when this exists.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit status of the command, 128+n for a signal.
    pub status: i32,
    /// Why it ended.
    pub how: How,
    /// Captured standard output.
    pub stdout: Vec<u8>,
    /// Captured standard error.
    pub stderr: Vec<u8>,
}

/// Takes the bytes of one stream.
#[derive(Debug)]
pub(super) struct Sink {
    out: Out,
    to_stderr: bool,
    used: u64,
    pub captured: Vec<u8>,
}

/// What a sink says to bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// Nobody reads any more (a closed pipe, a full disk).
    Closed,
    /// The limit is passed.
    TooMuch,
}

impl Sink {
    pub fn new(out: Out, to_stderr: bool) -> Self {
        Sink { out, to_stderr, used: 0, captured: Vec::new() }
    }

    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        self.used += bytes.len() as u64;
        let written = match &mut self.out {
            Out::Null => Ok(()),
            Out::Inherit if self.to_stderr => write_through(&mut std::io::stderr().lock(), bytes),
            Out::Inherit => write_through(&mut std::io::stdout().lock(), bytes),
            Out::Capture { limit } | Out::File { limit, .. } if self.used > *limit => return Taken::TooMuch,
            Out::Capture { .. } => {
                self.captured.extend_from_slice(bytes);
                Ok(())
            }
            Out::File { file, .. } => file.write_all(bytes),
        };
        if written.is_ok() { Taken::Yes } else { Taken::Closed }
    }
}

fn write_through(to: &mut dyn std::io::Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush() // a prompt has no newline
}

impl Log {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.limit).unwrap_or(usize::MAX).min(bytes.len());
        self.limit -= room as u64;
        let _ = self.file.write_all(&bytes[..room]); // the run matters more than its copy
    }
}
