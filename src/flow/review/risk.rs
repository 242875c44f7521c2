//! How much a change of a path matters to a reviewer.

use super::super::land::host_path;

/// In the order in which a reviewer should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Runs on the host or in CI by itself.
    Host,
    /// Decides what the gate and the build do.
    Build,
    /// Everything else.
    Code,
    /// Tests.
    Test,
    /// Documentation.
    Docs,
}

const BUILD: &[&str] = &[
    "makefile",
    "gnumakefile",
    "justfile",
    "taskfile.yml",
    "dockerfile",
    "dockerfile.agent",
    "containerfile",
    "cargo.toml",
    "cargo.lock",
    "build.rs",
    "package.json",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "tox.ini",
    "noxfile.py",
    "go.mod",
    "go.sum",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "gradlew",
    "pom.xml",
    "cmakelists.txt",
    "meson.build",
    "configure.ac",
    "build.zig",
    "rakefile",
    "gemfile",
    "gemfile.lock",
    "composer.json",
    "mix.exs",
    "build.sbt",
    "rust-toolchain.toml",
    "clippy.toml",
    "conftest.py",
    "compose.yml",
    "docker-compose.yml",
    ".eslintrc.json",
    "tsconfig.json",
    "webpack.config.js",
    "vite.config.ts",
];

impl Risk {
    /// The class of a path; `gate` is the gate's command, whose words may name files.
    pub fn of(path: &[u8], gate: Option<&str>) -> Risk {
        let lower = String::from_utf8_lossy(path).to_ascii_lowercase();
        let name = lower.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let dirs: Vec<&str> = lower.split('/').rev().skip(1).collect();
        let in_dir = |names: &[&str]| dirs.iter().any(|d| names.contains(d));
        if host_path(path).is_some() {
            return Risk::Host;
        }
        let named =
            gate.is_some_and(|g| g.split_whitespace().any(|w| w.trim_start_matches("./").eq_ignore_ascii_case(&lower)));
        if named || BUILD.contains(&name) || name.ends_with(".mk") || in_dir(&["ci", "scripts", "hooks"]) {
            return Risk::Build;
        }
        if in_dir(&["test", "tests", "spec", "specs", "__tests__", "testdata", "fixtures"])
            || stem.starts_with("test_")
            || stem.ends_with("_test")
            || name.contains(".test.")
            || name.contains(".spec.")
        {
            return Risk::Test;
        }
        let docs = ["md", "rst", "adoc", "txt", "1", "5", "7", "8"];
        if in_dir(&["doc", "docs", "man"]) || name.rsplit_once('.').is_some_and(|(_, ext)| docs.contains(&ext)) {
            return Risk::Docs;
        }
        Risk::Code
    }
    /// The heading.
    pub fn word(self) -> &'static str {
        match self {
            Risk::Host => "runs on the host",
            Risk::Build => "gate and build",
            Risk::Code => "code",
            Risk::Test => "tests",
            Risk::Docs => "documentation",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_by_what_it_can_do() {
        let of = |path: &str| Risk::of(path.as_bytes(), Some("./check.sh --all"));
        assert_eq!(of(".github/workflows/x.yml"), Risk::Host);
        assert_eq!(of("sub/Makefile"), Risk::Build);
        assert_eq!(of("check.sh"), Risk::Build);
        assert_eq!(of("src/main.rs"), Risk::Code);
        assert_eq!(of("tests/it.rs"), Risk::Test);
        assert_eq!(of("src/x_test.go"), Risk::Test);
        assert_eq!(of("README.md"), Risk::Docs);
        assert!(Risk::Host < Risk::Build && Risk::Build < Risk::Code && Risk::Test < Risk::Docs);
    }
}
