//! Puts coop's checks where git runs hooks, beside whatever is there, and takes them away again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use crate::agent::tree;
use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::{Git, Repo};

/// The hooks as they stand alone; the lines between the marks are what is put into a hook that exists.
const HOOKS: &[(&str, &str)] = &[
    ("pre-commit", include_str!("../../hooks/pre-commit")),
    ("pre-push", include_str!("../../hooks/pre-push")),
    ("pre-merge-commit", include_str!("../../hooks/pre-merge-commit")),
];
const BEGIN: &str = "# >>> git coop >>>\n";
const END: &str = "# <<< git coop <<<\n";
/// No hook is larger.
const MAX: u64 = 1 << 20;

/// Where lefthook looks for its configuration.
const LEFTHOOK: &[&str] = &["lefthook.yml", ".lefthook.yml", "lefthook.yaml", "lefthook.toml", "lefthook.json"];

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The hook was made.
    Made,
    /// The lines were put into a hook that was there.
    Added,
    /// The lines were taken away, and the hook with them if nothing else was in it.
    Removed,
    /// It was so already.
    Nothing,
}

/// Installs the checks. Errors: exit 2 where a hook that is there cannot take one, and nothing was changed.
pub fn install(repo: &Repo, env: &Env) -> Result<Vec<(PathBuf, Done)>> {
    let directory = directory(repo, env)?;
    let mut plan = Vec::new();
    for (name, hook) in HOOKS {
        let path = directory.join(name);
        if moved(&path) {
            plan.push((path, Vec::new(), Done::Nothing));
            continue;
        }
        let (text, done) = match read(&path)? {
            None => (hook.as_bytes().to_vec(), Done::Made),
            Some(text) => {
                let put = with(&without(&text).unwrap_or_else(|| text.clone()), &path, block(hook))?;
                let done = if put == text { Done::Nothing } else { Done::Added };
                (put, done)
            }
        };
        plan.push((path, text, done));
    }
    let mut out = Vec::new();
    for (path, text, done) in plan {
        if done != Done::Nothing {
            write(&path, &text)?;
        }
        out.push((path, done));
    }
    Ok(out)
}

/// Whether every check is where git runs it. A hook that cannot take one has none.
pub fn installed(repo: &Repo, env: &Env) -> Result<bool> {
    let directory = directory(repo, env)?;
    Ok(HOOKS.iter().map(|(name, _)| directory.join(name)).all(|path| has(&path) || moved(&path)))
}

fn has(path: &Path) -> bool {
    read(path).ok().flatten().is_some_and(|text| without(&text).is_some())
}

/// Where `pre-commit install` moves a hook that is there; it runs it from then on.
fn legacy(path: &Path) -> PathBuf {
    path.with_extension("legacy")
}

/// Where the check of the hook `path` may be: there, and where it was moved to.
fn places(path: PathBuf) -> Vec<PathBuf> {
    let old = Some(legacy(&path)).filter(|old| has(old));
    if old.is_some() && !has(&path) { old.into_iter().collect() } else { std::iter::once(path).chain(old).collect() }
}

/// Whether the check was moved away by a hook that runs it.
fn moved(path: &Path) -> bool {
    path.exists() && has(&legacy(path))
}

/// The manager that writes the hooks anew now and then, without coop's lines, and what keeps the check: `None` where no
/// such manager is known, or its own configuration names the check.
pub fn rewritten_by(repo: &Repo, env: &Env) -> Result<Option<(&'static str, &'static str)>> {
    let directory = directory(repo, env)?;
    // files of the work tree, which boxes write
    let root = tree::open_root(&repo.work_tree).or_bug("cannot open the work tree")?;
    let named = |files: &[&str]| {
        let texts = files.iter().filter_map(|file| tree::read(&root, Path::new(file), MAX).ok().flatten());
        texts.into_iter().any(|text| text.contains_str("git-coop-scan") || text.contains_str("git coop scan"))
    };
    let text = read(&directory.join("pre-commit")).ok().flatten().unwrap_or_default();
    Ok(if directory.ends_with(".husky/_") && !named(&[".husky/pre-commit"]) {
        Some(("husky", "add this line to .husky/pre-commit, which stays: git-coop-scan --staged"))
    } else if text.contains_str("LEFTHOOK") && !named(LEFTHOOK) {
        Some(("lefthook", "add a pre-commit command to lefthook.yml, which stays: run: git-coop-scan --staged"))
    } else {
        None
    })
}

/// Takes the checks away.
pub fn uninstall(repo: &Repo, env: &Env) -> Result<Vec<(PathBuf, Done)>> {
    let directory = directory(repo, env)?;
    let mut out = Vec::new();
    for path in HOOKS.iter().map(|(name, _)| directory.join(name)).flat_map(places) {
        let Some(text) = read(&path)?.as_deref().and_then(without) else {
            out.push((path, Done::Nothing));
            continue;
        };
        if text.trim().is_empty() || text.trim() == b"#!/bin/sh" {
            fs::remove_file(&path).context(Kind::Usage, format!("cannot remove '{}'", path.display()))?;
        } else {
            write(&path, &text)?;
        }
        out.push((path, Done::Removed));
    }
    Ok(out)
}

fn block(hook: &str) -> &str {
    let from = hook.find(BEGIN).unwrap_or(0);
    &hook[from..]
}

/// Where git looks for hooks: `core.hooksPath` of the user's or the repository's configuration (relative to the top of the
/// work tree), else `hooks` in the common directory. Asked this way because every git that coop runs has hooks switched off.
fn directory(repo: &Repo, env: &Env) -> Result<PathBuf> {
    let git =
        Git::new(repo, env).args(["config", "--null", "--show-scope", "--type=path", "--get-all", "core.hooksPath"]);
    let output = git.output()?.stdout;
    let fields: Vec<&[u8]> = output.split(|b| *b == 0).collect();
    let set = fields.chunks_exact(2).rfind(|pair| pair[0] != b"command").map(|pair| pair[1]);
    Ok(match set.filter(|path| !path.is_empty()) {
        Some(path) => repo.work_tree.join(path.to_path_lossy()),
        None => repo.common_dir.join("hooks"),
    })
}

/// The hook that is there. Errors: it is a link or no file, or git would not run it.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let shown = path.display();
    let meta = match path.symlink_metadata() {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.context(Kind::Usage, format!("cannot read '{shown}'"))?,
    };
    if !meta.is_file() || meta.len() > MAX {
        return Err(Error::usage(format!("'{shown}' is not a plain file, so nothing was changed")).hint(
            "call git-coop-scan --staged (pre-commit) or git-coop-merge --check (the others) from the hook yourself",
        ));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(Error::usage(format!("'{shown}' is there but not executable, so git does not run it"))
            .hint(format!("chmod +x '{shown}', or remove it")));
    }
    fs::read(path).context(Kind::Usage, format!("cannot read '{shown}'")).map(Some)
}

/// `text` without the block; `None` where there is none.
fn without(text: &[u8]) -> Option<Vec<u8>> {
    let from = text.find(BEGIN)?;
    let to = from + text[from..].find(END)? + END.len();
    Some([&text[..from], &text[to..]].concat())
}

/// `text` with the block after its first line. Errors: the hook is not a shell script.
fn with(text: &[u8], path: &Path, block: &str) -> Result<Vec<u8>> {
    let first = text.lines().next().unwrap_or_default();
    let interpreter = first.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let words: Vec<&[u8]> = interpreter.fields().collect();
    let shell = words
        .iter()
        .find(|w| **w != b"env" && !w.starts_with(b"-"))
        .is_some_and(|w| [&b"sh"[..], b"bash", b"dash", b"ash", b"ksh", b"zsh"].contains(w));
    if !first.starts_with(b"#!") || !shell {
        return Err(Error::usage(format!("'{}' is not a shell script, so nothing was changed", path.display())).hint(
            "call git-coop-scan --staged (pre-commit) or git-coop-merge --check (the others) from the hook yourself",
        ));
    }
    let line = text.find_byte(b'\n').map_or(text.len(), |at| at + 1);
    let newline: &[u8] = if text[..line].ends_with(b"\n") { b"" } else { b"\n" };
    Ok([&text[..line], newline, block.as_bytes(), &text[line..]].concat())
}

/// Replaces the file in one step, keeping its mode.
fn write(path: &Path, text: &[u8]) -> Result<()> {
    let what = format!("cannot write '{}'", path.display());
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).context(Kind::Usage, what.clone())?;
    let mode = path.metadata().map_or(0o755, |m| m.permissions().mode() & 0o7777);
    let mut file = tempfile::NamedTempFile::new_in(dir).context(Kind::Usage, what.clone())?;
    file.write_all(text).context(Kind::Usage, what.clone())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).context(Kind::Usage, what.clone())?;
    file.persist(path).context(Kind::Usage, what).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_goes_in_and_out_of_any_shell_hook() {
        let path = Path::new("pre-commit");
        for hook in [
            "#!/bin/sh\necho a\n",
            "#!/usr/bin/env -S bash -e\necho a",
            "#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"\n",
        ] {
            let put = with(hook.as_bytes(), path, block(HOOKS[0].1)).expect("a shell");
            let text = put.to_str().expect("text");
            assert!(text.starts_with("#!") && text.contains("git-coop-scan --staged"));
            assert_eq!(without(&put).as_deref(), Some(hook.as_bytes()));
        }
        assert!(with(b"#!/usr/bin/env python3\n", path, block(HOOKS[0].1)).is_err());
        assert!(with(b"echo a\n", path, block(HOOKS[0].1)).is_err());
        assert_eq!(without(HOOKS[0].1.as_bytes()).as_deref(), Some(&b"#!/bin/sh\n"[..]));
    }
}
