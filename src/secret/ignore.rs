//! `.coopignore`: paths that a repository wants hidden from boxes, on top of the built-in names.
//!
//! The format is the part of gitignore that can only tighten, one pattern a line:
//!
//! - no slash: a name at any depth at and below the file's directory (`prod.yml`);
//! - a slash at the start or in the middle: a path relative to the file's directory (`config/credentials.yaml`);
//! - a slash at the end: directories (and links, which may lead to one) only (`vault/`);
//! - `*` and `?` match within one component, `**/`, `/**` and `/**/` any number of them, `[a-z]` one of a class;
//!   a backslash takes the meaning from the next character;
//! - `#` starts a comment at the start of a line, or after a space (then both readings of the line count,
//!   because a name may contain ` #`);
//! - case is ignored; a trailing carriage return and trailing spaces do not count.
//!
//! There is no negation: a line that starts with `!` un-hides nothing and is reported. A pattern that is not
//! well formed is taken literally and reported. The file is bytes; nothing in it can fail to parse.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::names::fold;

/// The most bytes that a `.coopignore` may have.
pub const MAX_FILE: u64 = 256 << 10;

/// The compiled lines of one directory's `.coopignore`.
#[derive(Debug, Clone, Default)]
pub struct IgnoreFile {
    patterns: Vec<Pattern>,
    anywhere: GlobSet,
    notes: Vec<(usize, &'static str)>,
}

#[derive(Debug, Clone)]
struct Pattern {
    line: usize,
    dirs_only: bool,
}

impl IgnoreFile {
    /// Parses the text of a `.coopignore`.
    pub fn parse(text: &[u8]) -> Self {
        let lines = text.split(|b| *b == b'\n').enumerate().map(|(at, line)| (at + 1, line));
        Self::of_lines(lines)
    }

    /// As [`IgnoreFile::parse`] for numbered lines, for example those remembered from an earlier run.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = (usize, &'a [u8])>) -> Self {
        let mut file = IgnoreFile::default();
        let mut set = GlobSetBuilder::new();
        for (number, line) in lines {
            for reading in readings(line) {
                file.add(&mut set, number, reading);
            }
        }
        file.anywhere = set.build().unwrap_or_else(|_| {
            // only the size limit of the automaton can be exceeded: hide everything rather than nothing
            file.notes.push((0, "too many patterns: everything here is hidden"));
            file.patterns = vec![Pattern { line: 0, dirs_only: false }];
            everything()
        });
        file
    }

    fn add(&mut self, set: &mut GlobSetBuilder, line: usize, text: &[u8]) {
        if text.starts_with(b"!") {
            self.notes.push((line, "'!' is not supported: nothing is un-hidden"));
            return;
        }
        let dirs_only = text.ends_with(b"/");
        let text = text.strip_prefix(b"./").map_or(text, |rest| &text[text.len() - rest.len() - 1..]);
        let body = text.strip_suffix(b"/").unwrap_or(text);
        let anchored = body.contains(&b'/');
        let body = body.strip_prefix(b"/").unwrap_or(body);
        if body.is_empty() {
            return;
        }
        let body = as_glob(&fold(body));
        let depth = if anchored { "" } else { "**/" };
        let glob = compile(&format!("{depth}{body}")).or_else(|| {
            self.notes.push((line, "not a well-formed pattern: taken literally"));
            compile(&format!("{depth}{}", globset::escape(&body)))
        });
        if let Some(glob) = glob {
            set.add(glob);
            self.patterns.push(Pattern { line, dirs_only });
        }
    }

    /// Whether no line hides anything.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The number of the first line that hides `path`, which is relative to the directory of this file.
    /// Only the path itself is looked at: a caller that does not descend into what is hidden asks
    /// about each directory on the way (or uses [`IgnoreFile::hides_below`]).
    pub fn hides(&self, path: &[u8], is_regular_file: bool) -> Option<usize> {
        if self.patterns.is_empty() {
            return None;
        }
        let folded = fold(path);
        let hits = self.anywhere.matches(Path::new(std::ffi::OsStr::from_bytes(&folded)));
        hits.into_iter().map(|at| &self.patterns[at]).find(|p| !(p.dirs_only && is_regular_file)).map(|p| p.line)
    }

    /// As [`IgnoreFile::hides`] for the path and every directory above it.
    pub fn hides_below(&self, path: &[u8], is_regular_file: bool) -> Option<usize> {
        let above = memchr::memchr_iter(b'/', path).filter_map(|at| self.hides(&path[..at], false)).next();
        above.or_else(|| self.hides(path, is_regular_file))
    }

    /// Lines that do not do what somebody may have meant, with the reason.
    pub fn notes(&self) -> &[(usize, &'static str)] {
        &self.notes
    }
}

/// The lines of a `.coopignore` that hold a pattern, with their numbers: what is worth remembering.
pub fn pattern_lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|b| *b == b'\n')
        .enumerate()
        .map(|(at, line)| (at + 1, trimmed(line)))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b"!"))
}

/// What a line may mean: the whole of it, and what stands in front of a comment.
fn readings(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = trimmed(line);
    let comment = memchr::memmem::find(whole, b" #").or_else(|| memchr::memmem::find(whole, b"\t#"));
    let front = comment.map(|at| trimmed(&whole[..at]));
    [Some(whole), front].into_iter().flatten().filter(|text| !text.is_empty() && !text.starts_with(b"#"))
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |at| at + 1);
    // an escaped space at the end is part of the name
    let end = if end > 0 && end < line.len() && line[end - 1] == b'\\' { end + 1 } else { end };
    &line[..end]
}

/// The pattern in globset's syntax: braces mean nothing in gitignore, and a byte that is not UTF-8 becomes
/// `?`, which hides a little more.
fn as_glob(body: &[u8]) -> String {
    let mut out = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        let mut escaped = false;
        for c in chunk.valid().chars() {
            if matches!(c, '{' | '}') && !escaped {
                out.push('\\');
            }
            escaped = c == '\\' && !escaped;
            out.push(c);
        }
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    out
}

fn compile(glob: &str) -> Option<globset::Glob> {
    GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build().ok()
}

fn everything() -> GlobSet {
    let all = compile("**").and_then(|glob| GlobSetBuilder::new().add(glob).build().ok());
    all.expect("one star pattern always compiles")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hides(text: &str, path: &str) -> bool {
        IgnoreFile::parse(text.as_bytes()).hides_below(path.as_bytes(), true).is_some()
    }

    #[test]
    fn the_guides_example() {
        let text =
            "prod.yml # basename — matched at any depth\nconfig/credentials.yaml # relative\nvault/ # hidden whole\n";
        assert!(hides(text, "prod.yml") && hides(text, "a/b/prod.yml") && hides(text, "PROD.yml"));
        assert!(hides(text, "config/credentials.yaml") && !hides(text, "x/config/credentials.yaml"));
        assert!(hides(text, "vault/a/b") && hides(text, "x/vault/a") && !hides(text, "vault"));
        let file = IgnoreFile::parse(text.as_bytes());
        assert_eq!(file.hides(b"vault", false), Some(3));
        assert!(file.notes().is_empty());
    }

    #[test]
    fn the_subset_of_gitignore() {
        for (pattern, path, hidden) in [
            ("/top", "top", true),
            ("/top", "a/top", false),
            ("./top", "top", true),
            ("./top", "a/top", false),
            ("a/*.txt", "a/b.txt", true),
            ("a/*.txt", "a/b/c.txt", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("**/x", "q/x", true),
            ("a/**", "a/b/c", true),
            ("k?y", "key", true),
            ("k?y", "k/y", false),
            ("k[a-f]y", "key", true),
            ("a{b", "a{b", true),
            ("[", "[", true),
            ("\\#x", "#x", true),
            ("# x", "# x", false),
            ("!x", "x", false),
            ("a #b", "a #b", true),
            ("a #b", "a", true),
            ("tail  \r", "tail", true),
            ("*.dat", "x/.dat", true),
            ("/", "a", false),
            ("é", "É", true),
        ] {
            assert_eq!(hides(pattern, path), hidden, "{pattern:?} on {path:?}");
        }
        assert_eq!(IgnoreFile::parse(b"!x\n[\n").notes().len(), 2);
        assert!(IgnoreFile::parse(b"k\xffy").hides(b"k\xffy", true).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in proptest::collection::vec(any::<u8>(), 0..200), path in proptest::collection::vec(any::<u8>(), 0..40)) {
            let file = IgnoreFile::parse(&text);
            let _ = file.hides_below(&path, true);
            prop_assert!(pattern_lines(&text).count() <= text.len() + 1);
        }
        #[test]
        fn a_literal_name_hides_itself_at_any_depth(name in "[a-zA-Z0-9._,=: é-]{0,10}[a-z]", up in "([a-z]{1,3}/){0,3}") {
            prop_assume!(!name.starts_with(['!', '#']) && !name.starts_with("./"));
            let path = format!("{}{}", up, name);
            prop_assert!(hides(&name, &path), "{:?} {:?}", name, path);
        }
        #[test]
        fn more_lines_never_hide_less(a in "[a-z*?/.\\[!#\\\\ ]{0,12}", b in "[a-z*?/.\\[!#\\\\ ]{0,12}", path in "[a-z]{1,2}(/[a-z.]{1,3}){0,2}") {
            let one = hides(&a, &path);
            let both = hides(&format!("{b}\n{a}\n{b}"), &path);
            prop_assert!(!one || both);
        }
    }
}
