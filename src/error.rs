//! One error type: a kind (which is the exit code), a message that starts in lower case, a hint that
//! names the next command, and the cause.

use std::fmt;

use crate::exit;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a script cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer is no (exit 1).
    No,
    /// Wrong usage or configuration (exit 2).
    Usage,
    /// A conflict or a lost race (exit 3).
    Conflict,
    /// Every account is cooling down (exit 4).
    Parked,
    /// No usable runtime or image (exit 5).
    NoRuntime,
    /// A bug, or an operating system that failed in a way nobody planned for (exit 70).
    Bug,
}

impl Kind {
    /// The process exit code of this kind.
    pub fn code(self) -> u8 {
        match self {
            Kind::No => exit::NO,
            Kind::Usage => exit::USAGE,
            Kind::Conflict => exit::CONFLICT,
            Kind::Parked => exit::PARKED,
            Kind::NoRuntime => exit::NO_RUNTIME,
            Kind::Bug => exit::BUG,
        }
    }
}

/// An error with its kind, message, hints and cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` starts in lower case and has no final stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hints: Vec::new(), source: None }
    }
    /// The answer is no (exit 1).
    pub fn no(message: impl Into<String>) -> Self {
        Self::new(Kind::No, message)
    }
    /// Wrong usage or configuration (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }
    /// A conflict or a lost race (exit 3).
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }
    /// No usable runtime or image (exit 5).
    pub fn no_runtime(message: impl Into<String>) -> Self {
        Self::new(Kind::NoRuntime, message)
    }
    /// A bug or an unplanned failure of the system (exit 70).
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message)
    }
    /// Adds a hint; it names the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// The message without cause and hints.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// The hints in the order they were added.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
    /// `error: message: cause` and one `hint:` line each, as they are shown on stderr. Every byte that
    /// is not printable is escaped, because messages may quote what a box wrote.
    pub fn render(&self) -> String {
        let mut line = format!("error: {}", self.message);
        let mut cause = std::error::Error::source(self);
        while let Some(err) = cause {
            line.push_str(&format!(": {err}"));
            cause = err.source();
        }
        let mut out = crate::ui::text::printable(line.trim_end());
        if line.contains("No space left on device") {
            out.push_str("\nhint: make room on the disk and run the command again");
        }
        for hint in &self.hints {
            out.push_str("\nhint: ");
            out.push_str(&crate::ui::text::printable(hint));
        }
        out.push('\n');
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

/// Turns any error into an [`Error`] with a message of ours in front.
pub trait Context<T> {
    /// `kind` and `message`, with the original error as the cause.
    fn context(self, kind: Kind, message: impl Into<String>) -> Result<T>;
    /// As [`Context::context`] with [`Kind::Bug`]: for failures of the system that have no better kind.
    fn or_bug(self, message: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, message: impl Into<String>) -> Result<T> {
        self.map_err(|err| Error::new(kind, message).because(err))
    }
    fn or_bug(self, message: impl Into<String>) -> Result<T> {
        self.context(Kind::Bug, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_cause_hint_and_escapes() {
        let err = Error::usage("no fork '\u{1b}[2J'").because("inner").hint("git coop fork ls");
        assert_eq!(err.render(), "error: no fork '\\u{1b}[2J': inner\nhint: git coop fork ls\n");
        assert_eq!(err.kind().code(), 2);
    }
}
