//! Paths whose content runs on the host, or on a machine with keys, without anybody asking for it: the next
//! git command, a shell that enters the directory, an editor that opens it, an install, the CI.

/// Directories at any depth; everything below counts.
const DIRS: &[(&str, &str)] = &[
    (".githooks", "git hooks"),
    (".husky", "git hooks"),
    (".hooks", "git hooks"),
    (".lefthook", "git hooks"),
    (".vscode", "editor tasks and settings"),
    (".idea", "editor tasks and settings"),
    (".fleet", "editor tasks and settings"),
    (".zed", "editor tasks and settings"),
    (".devcontainer", "runs when an editor opens the project"),
    (".github/workflows", "continuous integration"),
    (".github/actions", "continuous integration"),
    (".gitea/workflows", "continuous integration"),
    (".forgejo/workflows", "continuous integration"),
    (".gitlab/ci", "continuous integration"),
    (".circleci", "continuous integration"),
    (".buildkite", "continuous integration"),
    (".woodpecker", "continuous integration"),
    (".teamcity", "continuous integration"),
    (".azure-pipelines", "continuous integration"),
    (".claude", "settings and hooks of an agent"),
    (".codex", "settings and hooks of an agent"),
    (".gemini", "settings and hooks of an agent"),
    (".cursor", "settings and hooks of an agent"),
    (".cargo", "programs that cargo runs"),
    (".yarn", "programs that yarn runs"),
    (".mvn", "programs that maven runs"),
];

/// File names at any depth.
const FILES: &[(&str, &str)] = &[
    (".gitattributes", "may name filters, diff and merge drivers"),
    (".gitmodules", "names repositories that git fetches"),
    (".gitconfig", "may be included by a git configuration"),
    (".envrc", "runs when a shell enters the directory"),
    (".mise.toml", "runs when a shell enters the directory"),
    ("mise.toml", "runs when a shell enters the directory"),
    (".tool-versions", "runs when a shell enters the directory"),
    (".autoenv", "runs when a shell enters the directory"),
    (".pre-commit-config.yaml", "git hooks"),
    ("lefthook.yml", "git hooks"),
    (".lefthook.yml", "git hooks"),
    (".overcommit.yml", "git hooks"),
    (".gitlab-ci.yml", "continuous integration"),
    (".travis.yml", "continuous integration"),
    (".drone.yml", "continuous integration"),
    (".woodpecker.yml", "continuous integration"),
    (".cirrus.yml", "continuous integration"),
    ("azure-pipelines.yml", "continuous integration"),
    ("bitbucket-pipelines.yml", "continuous integration"),
    ("appveyor.yml", "continuous integration"),
    ("jenkinsfile", "continuous integration"),
    (".mcp.json", "programs that an agent starts"),
    (".lldbinit", "runs when a debugger starts"),
    (".gdbinit", "runs when a debugger starts"),
    (".exrc", "runs when an editor opens the project"),
    (".nvim.lua", "runs when an editor opens the project"),
    (".nvimrc", "runs when an editor opens the project"),
    (".vimrc", "runs when an editor opens the project"),
    (".dir-locals.el", "runs when an editor opens the project"),
    (".pnpmfile.cjs", "runs at install"),
    (".yarnrc", "names a program that yarn runs"),
    (".yarnrc.yml", "names a program that yarn runs"),
    ("binding.gyp", "runs at install"),
    (".coopignore", "decides what boxes do not see"),
];

/// Scripts of a `package.json` that npm runs by itself.
const LIFECYCLE: &[&str] =
    &["preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare", "prepublish"];

/// Why a change of `path` acts on the host. Letter case does not count: disks may ignore it.
pub fn why(path: &[u8]) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if let Some((_, why)) = FILES.iter().find(|(file, _)| file.as_bytes() == name) {
        return Some(why);
    }
    let below = |dir: &str| {
        let mut wanted = dir.as_bytes().to_vec();
        wanted.push(b'/');
        path.starts_with(&wanted) || memchr::memmem::find(&path, &[b"/", &wanted[..]].concat()).is_some()
    };
    DIRS.iter().find(|(dir, _)| below(dir)).map(|(_, why)| *why)
}

/// Whether a `package.json` gained or changed a script that npm runs by itself. A file that does not parse
/// counts as changed.
pub fn install_scripts(path: &[u8], old: Option<&[u8]>, new: &[u8]) -> bool {
    if path.rsplit(|b| *b == b'/').next() != Some(b"package.json") {
        return false;
    }
    let scripts = |bytes: &[u8]| -> Option<Vec<Option<String>>> {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        Some(LIFECYCLE.iter().map(|key| value.get("scripts")?.get(key).map(ToString::to_string)).collect())
    };
    let Some(new) = scripts(new) else { return true };
    let old = old.and_then(scripts).unwrap_or_else(|| vec![None; LIFECYCLE.len()]);
    new.iter().zip(&old).any(|(new, old)| new.is_some() && new != old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_the_host() {
        for path in [
            ".githooks/pre-commit",
            "a/.Husky/x",
            ".github/workflows/ci.yml",
            "b/.GitAttributes",
            "x/.envrc",
            "Jenkinsfile",
            ".vscode/tasks.json",
        ] {
            assert!(why(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["src/main.rs", "githooks/x", "docs/.github.md", "a.gitattributes", ".vscode-notes"] {
            assert!(why(path.as_bytes()).is_none(), "{path}");
        }
    }

    #[test]
    fn only_scripts_that_run_by_themselves() {
        let plain = br#"{"scripts":{"test":"x"}}"#;
        let evil = br#"{"scripts":{"test":"x","postinstall":"curl"}}"#;
        assert!(install_scripts(b"a/package.json", Some(plain), evil));
        assert!(!install_scripts(b"a/package.json", Some(evil), evil));
        assert!(!install_scripts(b"package.json", Some(evil), plain));
        assert!(install_scripts(b"package.json", None, b"{"));
        assert!(!install_scripts(b"package.jsonx", None, evil));
    }
}
