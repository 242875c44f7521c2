//! Files of the work tree that the user's git configuration names: hooks folders, filter and driver scripts,
//! included configuration. The host's next git command reads or runs them, so a box must not be able to
//! write them (`git help config`; attacks of this kind are the ones that a private git directory alone does not stop).

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Repo;
use super::config::{Config, Entry, in_work_tree};

/// One path that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Relative to the top of the work tree, without `.` and `..`; need not exist.
    pub path: PathBuf,
    /// The key that names it.
    pub key: String,
    /// git uses it without being asked for it by name: everything but an alias or a tool.
    pub unasked: bool,
    /// Written as an absolute path, or relative to the file that names it: means this very file, also in another
    /// work tree of the repository.
    pub fixed: bool,
}

/// Every path of the work tree that `config` names as a program, a folder of programs or more configuration.
pub fn in_tree(repo: &Repo, home: Option<&Path>, config: &Config) -> Vec<Named> {
    if crate::without::without("config-targets") {
        return Vec::new();
    }
    let mut found: BTreeMap<PathBuf, Named> = BTreeMap::new();
    let mut add = |named: Named| match found.get_mut(&named.path) {
        Some(there) => {
            there.unasked |= named.unasked;
            there.fixed &= named.fixed;
        }
        None => drop(found.insert(named.path.clone(), named)),
    };
    for entry in config.entries() {
        if let Some(file) = entry.origin.as_deref().filter(|file| in_work_tree(repo, file)) {
            let path = file.strip_prefix(&repo.work_tree).unwrap_or(file).to_owned();
            add(Named { path, key: "a configuration file of git".into(), unasked: true, fixed: true });
        }
        let paths = match use_of(&entry.key, &entry.value) {
            Use::Nothing => continue,
            Use::Path => vec![entry.value.clone()],
            Use::Command => {
                words(&entry.value).into_iter().filter(|word| may_run(repo, word)).map(|(word, _)| word).collect()
            }
        };
        let include = entry.key.starts_with("include");
        for word in paths {
            if let Some((path, fixed)) = place(repo, home, entry, include, &word) {
                let asked = entry.key.starts_with("alias.") || entry.key.contains("tool.");
                add(Named { path, key: entry.key.clone(), unasked: !asked, fixed });
            }
        }
    }
    found.into_values().collect()
}

impl Named {
    /// Whether `path` (bytes, relative to the top) is this path or below it. Letter case does not count: disks may
    /// ignore it.
    pub fn covers(&self, path: &[u8]) -> bool {
        let own = self.path.as_os_str().as_bytes();
        path.len() >= own.len()
            && path[..own.len()].eq_ignore_ascii_case(own)
            && matches!(path.get(own.len()), None | Some(b'/'))
    }
}

/// How git uses the value of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// As data.
    Nothing,
    /// As one path.
    Path,
    /// As a command line for the shell.
    Command,
}

/// What git does with `value` of `key` (`git help config`, every key that names a program or a place of programs).
pub fn use_of(key: &str, value: &str) -> Use {
    let lower = key.to_ascii_lowercase();
    let (section, rest) = lower.split_once('.').unwrap_or((&lower, ""));
    let last = rest.rsplit('.').next().unwrap_or(rest);
    match (section, last) {
        ("include" | "includeif", "path") | ("core", "hookspath") | ("init", "templatedir") => Use::Path,
        ("core", "fsmonitor") if matches!(value, "true" | "false" | "1" | "0" | "yes" | "no" | "on" | "off" | "") => {
            Use::Nothing
        }
        ("alias", _) | ("submodule", "update") if !value.starts_with('!') => Use::Nothing,
        ("pager", _) if matches!(value, "true" | "false") => Use::Nothing,
        ("core", "fsmonitor" | "sshcommand" | "editor" | "pager" | "askpass" | "gitproxy" | "alternaterefscommand")
        | ("pager" | "alias", _)
        | ("filter", "clean" | "smudge" | "process")
        | ("diff", "external" | "command" | "textconv")
        | ("merge", "driver")
        | ("mergetool" | "difftool" | "browser" | "man" | "guitool", "cmd" | "path")
        | ("gpg", "program" | "defaultkeycommand")
        | ("credential", "helper")
        | ("sequence", "editor")
        | ("interactive", "difffilter")
        | ("trailer", "command" | "cmd")
        | ("submodule", "update")
        | ("hook", "command")
        | ("tar", "command")
        | ("uploadpack", "packobjectshook")
        | ("remote", "uploadpack" | "receivepack")
        | ("sendemail", "tocmd" | "cccmd" | "headercmd" | "smtpserver" | "sendmailcmd")
        | ("imap", "tunnel")
        | ("instaweb", "httpd")
        | ("receive", "procreceiverefs") => Use::Command,
        ("remote", "url" | "pushurl") | ("url", _) if lower.contains("ext::") || value.starts_with("ext::") => {
            Use::Command
        }
        _ => Use::Nothing,
    }
}

/// Programs whose first argument is a script.
const INTERPRETERS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "env", "node", "nodejs", "deno", "bun", "tsx", "ts-node", "python", "python3",
    "ruby", "perl", "php", "lua", "tclsh", "awk", "sed", "make", "source", ".", "exec", "command", "sudo", "ext::",
];

/// Endings of scripts.
const SCRIPTS: &[&str] =
    &["sh", "bash", "zsh", "py", "js", "mjs", "cjs", "ts", "rb", "pl", "lua", "php", "awk", "sed", "mk", "jar", "exe"];

/// What a word of a command line is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It stands where a command does.
    Command,
    /// An interpreter reads it.
    Script,
    /// Anything else.
    Argument,
}

/// The words of a command line that may be paths, with their roles. Read more loosely than a shell does: a word too
/// many costs an agent the right to write one file, a word too few costs the host.
fn words(line: &str) -> Vec<(String, Role)> {
    let mut found = Vec::new();
    let mut role = Role::Command;
    for part in line.split_inclusive(|c: char| c.is_whitespace() || ";|&()`".contains(c)) {
        let word = part.trim_end_matches(|c: char| c.is_whitespace() || ";|&()`".contains(c));
        let word = word.trim_start_matches('!').trim_start_matches("ext::");
        let option = word.starts_with('-');
        let assignment = role != Role::Argument && word.contains('=') && !option;
        for piece in word.split(['"', '\'', '=', ',', ':']).filter(|p| !p.is_empty()) {
            let this = if assignment || option { Role::Argument } else { role };
            found.push((after_variable(piece).to_owned(), this));
        }
        let name = word.rsplit('/').next().unwrap_or(word).trim_matches(['"', '\'']);
        if role != Role::Argument && INTERPRETERS.contains(&name) {
            role = Role::Script;
        } else if !word.is_empty() && !option && !assignment {
            role = Role::Argument;
        }
        if part.chars().next_back().is_some_and(|c| ";|&()`\n".contains(c)) {
            role = Role::Command;
        }
    }
    found
}

/// Whether a word of a command line is taken for a program of the tree.
fn may_run(repo: &Repo, (word, role): &(String, Role)) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let extension = Path::new(word).extension();
    let script = extension.is_some_and(|e| SCRIPTS.iter().any(|s| e.eq_ignore_ascii_case(s)));
    let explicit = word.starts_with("./") || word.starts_with("../");
    let there = || {
        let relative = lexical(Path::new(word.trim_start_matches('/'))).filter(|p| !p.as_os_str().is_empty())?;
        repo.work_tree.join(relative).metadata().ok()
    };
    match role {
        Role::Command => word.contains('/'),
        Role::Script => explicit || script || word.contains('/') || there().is_some_and(|m| m.is_file()),
        Role::Argument => {
            let program = |m: std::fs::Metadata| {
                m.is_file() && m.permissions().mode() & 0o111 != 0 || m.is_dir() && word.contains('/')
            };
            explicit || script || there().is_some_and(program)
        }
    }
}

/// `scripts/x` of `$PWD/scripts/x` and of what is left of `$(git rev-parse --show-toplevel)/scripts/x`.
fn after_variable(piece: &str) -> &str {
    if piece.starts_with('$') { piece.split_once('/').map_or(piece, |(_, rest)| rest) } else { piece }
}

/// Where in the work tree `word` leads, and whether it means this very file.
fn place(repo: &Repo, home: Option<&Path>, entry: &Entry, include: bool, word: &str) -> Option<(PathBuf, bool)> {
    let inside = |path: &Path| {
        let mut path = absolute(path)?;
        if !path.starts_with(&repo.work_tree) {
            path = path.canonicalize().ok()?; // a link from outside, such as ~/.gitconfig of a repository of dotfiles
        }
        let relative = path.strip_prefix(&repo.work_tree).ok().filter(|_| in_work_tree(repo, &path))?;
        (!relative.as_os_str().is_empty()).then(|| relative.to_owned())
    };
    if let Some(rest) = word.strip_prefix("~/") {
        return Some((inside(&home?.join(rest))?, true));
    }
    let path = Path::new(word);
    if path.is_absolute() {
        if let Some(found) = inside(path) {
            return Some((found, true));
        }
        // what is left of "$(git rev-parse --show-toplevel)/scripts/x"
        let relative = lexical(Path::new(word.trim_start_matches('/')))?;
        let there = repo.work_tree.join(&relative).symlink_metadata().is_ok() && path.symlink_metadata().is_err();
        return (there && !relative.as_os_str().is_empty()).then_some((relative, false));
    }
    if include {
        return Some((inside(&entry.origin.as_deref()?.parent()?.join(path))?, true));
    }
    let relative = lexical(path)?;
    (!relative.as_os_str().is_empty() && !relative.starts_with(".git")).then_some((relative, false))
}

/// `path` without `.` and `..`; `None` where it leaves its start.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

fn absolute(path: &Path) -> Option<PathBuf> {
    Some(Path::new("/").join(lexical(path.strip_prefix("/").ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(dir: &Path) -> Repo {
        let top = dir.canonicalize().expect("canonical");
        Repo { git_dir: top.join(".git"), common_dir: top.join(".git"), work_tree: top }
    }

    fn named(repo: &Repo, key: &str, value: &str) -> Vec<String> {
        let origin = Some(repo.git_dir.join("config"));
        let entry = Entry { origin, key: key.into(), value: value.into() };
        let found = in_tree(repo, Some(Path::new("/home/una")), &Config::of(vec![entry], repo));
        found.iter().map(|one| one.path.display().to_string()).collect()
    }

    #[test]
    fn what_configurations_name() {
        let temp = tempfile::tempdir().expect("temp dir");
        let repo = repo(temp.path());
        let top = repo.work_tree.display().to_string();
        for dir in ["tools", "main", "src"] {
            std::fs::create_dir(repo.work_tree.join(dir)).expect("dir");
        }
        for file in ["tools/fmt", "fmt", "README"] {
            std::fs::write(repo.work_tree.join(file), "x").expect("file");
        }
        let absolute = format!("{top}/tools/fmt -x");
        for (key, value, want) in [
            ("core.hookspath", ".husky/_", ".husky/_"),
            ("core.hookspath", "./hooks/", "hooks"),
            ("include.path", "../shared.config", "shared.config"),
            ("includeif.onbranch:x.path", "../a/b", "a/b"),
            ("filter.x.clean", "./tools/clean %f", "tools/clean"),
            ("filter.x.clean", "node merge.js", "merge.js"),
            ("filter.x.process", "sh fmt", "fmt"),
            ("filter.x.process", "env A=1 python3 -u tools/fmt", "tools/fmt"),
            ("diff.y.textconv", &absolute, "tools/fmt"),
            ("diff.y.command", "\"$PWD/tools/fmt\" %O", "tools/fmt"),
            ("merge.z.driver", "$(git rev-parse --show-toplevel)/tools/fmt %A", "tools/fmt"),
            ("alias.up", "!cat x | tools/fmt", "tools/fmt"),
            ("core.sshcommand", "ssh -F ./ssh_config", "ssh_config"),
            ("core.fsmonitor", "tools/watch", "tools/watch"),
        ] {
            assert_eq!(named(&repo, key, value), [want], "{key} = {value}");
        }
        for (key, value) in [
            ("core.hookspath", ".git/hooks"),
            ("core.hookspath", "/usr/share/hooks"),
            ("core.fsmonitor", "true"),
            ("alias.new", "!git log main..origin/main -- src"),
            ("alias.st", "status ./tools/fmt"),
            ("branch.main.remote", "origin"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("core.editor", "vim README"),
            ("filter.lfs.process", "git-lfs filter-process"),
            ("credential.helper", "/usr/lib/git-core/git-credential-libsecret"),
            ("core.pager", "delta --dark"),
        ] {
            assert_eq!(named(&repo, key, value), [""; 0], "{key} = {value}");
        }
    }

    #[test]
    fn a_path_covers_what_is_below_in_any_case() {
        let one = Named { path: ".husky".into(), key: "core.hookspath".into(), unasked: true, fixed: false };
        assert!(one.covers(b".husky") && one.covers(b".Husky/pre-commit"));
        assert!(!one.covers(b".huskyx") && !one.covers(b"a/.husky"));
    }
}
