//! Why a path is hidden, and the decider for paths that are not on a disk: those of commits.

use std::fmt;

use super::ignore::IgnoreFile;
use super::names;
use super::remembered::Remembered;

/// Why a path is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its name, or that of a directory above it: the pattern.
    Name(&'static str),
    /// A line of a `.coopignore` (path relative to the work tree), as it is or as it was when last seen.
    Ignore {
        /// The file.
        file: Vec<u8>,
        /// The line, from 1.
        line: usize,
    },
    /// The user's own list, outside every repository: the line, from 1.
    User(usize),
    /// It is another name of a hidden file.
    HardLink(Vec<u8>),
    /// A link with a hidden name points at it.
    LinkTarget(Vec<u8>),
    /// It was hidden before, at this path or under another one.
    Remembered,
}

impl fmt::Display for Why {
    /// One printable line: names come from a tree that a box may write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| crate::ui::text::printable_bytes(bytes);
        match self {
            Why::Name(pattern) => write!(f, "name {pattern}"),
            Why::Ignore { file, line } => write!(f, "{}:{line}", shown(file)),
            Why::User(line) => write!(f, "your hide list:{line}"),
            Why::HardLink(path) => write!(f, "hard link of {}", shown(path)),
            Why::LinkTarget(path) => write!(f, "link target of {}", shown(path)),
            Why::Remembered => f.write_str("hidden before"),
        }
    }
}

/// What the user hides everywhere, beside the built-in names. It never comes from a work tree.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub(super) user: IgnoreFile,
}

impl Rules {
    /// The built-in names and a list in the format of `.coopignore`, relative to the root of the work tree.
    pub fn with_list(text: &[u8]) -> Self {
        Rules { user: IgnoreFile::parse(text) }
    }
}

/// Decides about paths without looking at a disk. Landing and the scan ask it; the plan of mounts
/// ([`super::shadow::plan`]) decides by the same parts, and by links and inodes on top.
#[derive(Debug)]
pub struct Decider<'a> {
    rules: &'a Rules,
    memory: &'a Remembered,
    ignores: Vec<(&'a [u8], IgnoreFile)>,
}

impl<'a> Decider<'a> {
    /// Compiles the remembered `.coopignore` lines once.
    pub fn new(rules: &'a Rules, memory: &'a Remembered) -> Self {
        let compiled = |(dir, lines): (&'a Vec<u8>, &'a std::collections::BTreeMap<Vec<u8>, usize>)| {
            (&dir[..], IgnoreFile::of_lines(lines.iter().map(|(line, number)| (*number, &line[..]))))
        };
        Decider { rules, memory, ignores: memory.ignores.iter().map(compiled).collect() }
    }

    /// Why the path (relative to the work tree, `/` between components) is hidden, if it is.
    pub fn why(&self, path: &[u8]) -> Option<Why> {
        if let Some(pattern) = names::is_secret_path(path) {
            return Some(Why::Name(pattern));
        }
        let ends = memchr::memchr_iter(b'/', path).chain([path.len()]);
        if ends.into_iter().any(|end| self.memory.paths.contains(&path[..end])) {
            return Some(Why::Remembered);
        }
        if let Some(line) = self.rules.user.hides_below(path, false) {
            return Some(Why::User(line));
        }
        self.ignores.iter().find_map(|(dir, file)| {
            let rest = match dir.is_empty() {
                true => path,
                false => path.strip_prefix(*dir)?.strip_prefix(b"/")?,
            };
            let line = file.hides_below(rest, false)?;
            Some(Why::Ignore { file: super::walk::joined(dir, b".coopignore"), line })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_memory_and_lists_decide_alike_for_what_is_below() {
        let rules = Rules::with_list(b"private/");
        let memory = Remembered {
            ignores: [(b"sub".to_vec(), [(b"vault/".to_vec(), 4)].into())].into(),
            paths: [b"a/b".to_vec()].into(),
            ..Remembered::default()
        };
        let decider = Decider::new(&rules, &memory);
        let why = |path: &str| decider.why(path.as_bytes()).map(|why| why.to_string());
        assert_eq!(why("x/.env").as_deref(), Some("name .env"));
        assert_eq!(why("a/b/c").as_deref(), Some("hidden before"));
        assert_eq!(why("sub/q/vault/x").as_deref(), Some("sub/.coopignore:4"));
        assert_eq!(why("private/x").as_deref(), Some("your hide list:1"));
        for path in ["a", "a/bc", "vault/x", "subvault/x", "src/main.rs"] {
            assert_eq!(why(path), None, "{path}");
        }
    }
}
