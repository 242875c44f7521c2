//! Which files hold a gate up. An agent that weakens one makes red green, so a change that touches such files is gated
//! once more with those files as they were before it, unless the task itself names them.

/// How a file matters to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It says what the gate runs: as it was before, and away where it is new.
    Gate,
    /// It is a test: as it was before; new ones are welcome.
    Test,
    /// A manifest of which only some keys matter ([`manifest_changed`]).
    Manifest,
}

/// File names of programs that run checks, and of their configuration; `*` at the ends.
const GATE: &[&str] = &[
    "makefile",
    "gnumakefile",
    "*.mk",
    "justfile",
    ".justfile",
    "taskfile.yml",
    "taskfile.yaml",
    "rakefile",
    "dangerfile",
    "magefile.go",
    "tox.ini",
    "noxfile.py",
    "pytest.ini",
    "conftest.py",
    "setup.cfg",
    ".coveragerc",
    "sitecustomize.py",
    "usercustomize.py",
    "jest.config.*",
    "vitest.config.*",
    "karma.conf.*",
    "playwright.config.*",
    "cypress.config.*",
    ".mocharc*",
    "ava.config.*",
    "phpunit.xml*",
    ".rspec",
    "ctesttestfile.cmake",
    "codecov.yml",
    ".pre-commit-config.yaml",
    "clippy.toml",
    ".clippy.toml",
    "nextest.toml",
    ".golangci.*",
    ".eslintrc*",
    "eslint.config.*",
    ".flake8",
    ".pylintrc",
    "ruff.toml",
    ".ruff.toml",
    "mypy.ini",
    "tsconfig*.json",
    ".shellcheckrc",
    ".gitattributes",
    "build.rs",
    "dockerfile.agent",
    "run-tests*",
    "run_tests*",
    "runtests*",
    "test.sh",
    "check.sh",
    "gate.sh",
    "ci.sh",
];

/// Directories whose files are the gate's.
const GATE_DIRS: &[&str] = &[".github", ".gitlab", ".ci", "ci", ".circleci", ".cargo", ".config", ".buildkite"];

/// Directories whose files are tests.
const TEST_DIRS: &[&str] = &[
    "test",
    "tests",
    "spec",
    "specs",
    "__tests__",
    "testdata",
    "fixtures",
    "__snapshots__",
    "snapshots",
    "e2e",
    "testing",
];

/// File names of tests.
const TESTS: &[&str] = &[
    "test_*",
    "*_test.*",
    "*_tests.*",
    "*.test.*",
    "*.tests.*",
    "*_spec.*",
    "*.spec.*",
    "test.*",
    "tests.*",
    "*test.java",
    "*tests.cs",
    "*.snap",
];

/// Manifests: format and the keys that say how checks run.
const MANIFESTS: &[(&str, &[&str])] = &[
    ("package.json", &["scripts", "jest", "mocha", "ava", "c8", "nyc", "vitest", "eslintConfig", "type", "imports"]),
    ("composer.json", &["scripts"]),
    ("deno.json", &["tasks", "test", "lint"]),
    ("pyproject.toml", &["tool", "build-system"]),
    ("Cargo.toml", &["lib", "test", "bin", "bench", "lints", "profile", "workspace", "patch"]),
];

/// What the file at `path` is to a gate with this `command`; `None` for all others.
pub fn role(path: &str, command: &str) -> Option<Role> {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let within = |dirs: &[&str]| lower.split('/').rev().skip(1).any(|part| dirs.contains(&part));
    if words(command).any(|word| word == path) || within(GATE_DIRS) || GATE.iter().any(|p| matches(p, name)) {
        return Some(Role::Gate);
    }
    if MANIFESTS.iter().any(|(manifest, _)| manifest.eq_ignore_ascii_case(name)) {
        return Some(Role::Manifest);
    }
    (within(TEST_DIRS) || TESTS.iter().any(|p| matches(p, name))).then_some(Role::Test)
}

/// The words of a command that may be paths of the repository.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| c.is_whitespace() || "'\"`;&|()<>$=".contains(c);
    command.split(apart).map(|word| word.trim_start_matches("./")).filter(|word| !word.is_empty())
}

/// Whether what says how checks run differs between two versions of the manifest at `path`. What does not parse differs.
pub fn manifest_changed(path: &str, old: &[u8], new: &[u8]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, keys)) = MANIFESTS.iter().find(|(manifest, _)| manifest.eq_ignore_ascii_case(name)) else {
        return true;
    };
    let read = |bytes: &[u8]| -> Option<serde_json::Value> {
        let text = std::str::from_utf8(bytes).ok()?;
        if name.ends_with(".json") { serde_json::from_str(text).ok() } else { toml::from_str(text).ok() }
    };
    match (read(old), read(new)) {
        (Some(old), Some(new)) => keys.iter().any(|key| old.get(key) != new.get(key)),
        _ => true,
    }
}

/// Whether the text of a task names the file at `path`: its path, its name, or a directory above it with a slash.
pub fn named(text: &str, path: &str) -> bool {
    let lower = text.to_lowercase();
    let path = path.to_lowercase();
    let inside = |needle: &str, open: bool| {
        lower.match_indices(needle).any(|(at, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || "-_/".contains(c)));
            edge(lower[..at].chars().next_back()) && (open || edge(lower[at + needle.len()..].chars().next()))
        })
    };
    let name = path.rsplit('/').next().unwrap_or(&path);
    let dirs = path.match_indices('/').map(|(at, _)| &path[..=at]);
    inside(&path, false) || inside(name, false) || dirs.into_iter().any(|dir| inside(dir, true))
}

/// A name against a pattern with `*` at its ends or in one place.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            let Some(rest) = name.strip_prefix(head) else { return false };
            match tail.strip_suffix('*') {
                Some(middle) => rest.contains(middle),
                None => rest.len() >= tail.len() && rest.ends_with(tail),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        for (path, want) in [
            ("Makefile", Some(Role::Gate)),
            ("sub/GNUmakefile", Some(Role::Gate)),
            ("scripts/gate", Some(Role::Gate)),
            (".github/workflows/ci.yml", Some(Role::Gate)),
            ("tests/a.rs", Some(Role::Test)),
            ("src/parser_test.go", Some(Role::Test)),
            ("web/app.spec.ts", Some(Role::Test)),
            ("package.json", Some(Role::Manifest)),
            ("src/contest.rs", None),
            ("src/main.rs", None),
            ("latest.txt", None),
        ] {
            assert_eq!(role(path, "sh ./scripts/gate && make check"), want, "{path}");
        }
    }

    #[test]
    fn a_dependency_is_not_the_gate() {
        let old = br#"{"scripts":{"test":"jest"},"dependencies":{}}"#;
        assert!(!manifest_changed("package.json", old, br#"{"dependencies":{"a":"1"},"scripts":{"test":"jest"}}"#));
        assert!(manifest_changed("package.json", old, br#"{"scripts":{"test":"true"}}"#));
        assert!(manifest_changed("package.json", old, b"{"));
        assert!(!manifest_changed("Cargo.toml", b"[dependencies]\n", b"[dependencies]\na = \"1\"\n"));
        assert!(manifest_changed("Cargo.toml", b"[dependencies]\n", b"[lib]\ntest = false\n"));
    }

    #[test]
    fn a_task_names_what_may_change() {
        assert!(named("Fix the flaky case in tests/a.rs.", "tests/a.rs"));
        assert!(named("Rewrite `Makefile`", "Makefile"));
        assert!(named("Move all of tests/ over", "tests/deep/b.rs"));
        assert!(!named("Fix the tests", "tests/a.rs"));
        assert!(!named("Fix mytests/a.rs", "tests/a.rs"));
        assert!(!named("do the thing", "check.sh"));
    }
}
