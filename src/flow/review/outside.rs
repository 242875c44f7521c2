//! Review with the user's own programs: difftool, editor, any command. They see files that the host made from
//! objects, never a directory that a box has written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::objects::Reader;
use crate::git::{Git, checkout, diff};
use crate::state::Fork;

use super::super::Coop;
use super::super::session::Scratch;
use super::Dossier;

/// More files than this are not handed to a difftool one by one.
const MAX_FILES: usize = 500;

/// Shows every changed file in the user's difftool (`git config diff.tool`).
pub fn tool(coop: &Coop, dossier: &Dossier) -> Result<()> {
    let scratch = Scratch::in_dir(coop, &coop.dir(&format!("review/.tool-{}", super::super::coop::fresh_id()?))?)?;
    let reader = Reader::open(&coop.repo)?;
    let changes = diff::between(&coop.repo, &dossier.from, &dossier.fork.head)?;
    if changes.len() > MAX_FILES {
        return Err(Error::usage(format!("{} files are too many for a difftool", changes.len()))
            .hint(format!("git coop review --open {}", dossier.fork.name)));
    }
    for change in &changes {
        let mut pair = Vec::new();
        for (dir, side) in [("before", &change.old), ("after", &change.new)] {
            let file = scratch.path().join(dir).join(plain(&change.path)?);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent).or_bug("cannot make a directory")?;
            }
            // a symlink is shown as its text, a submodule as its commit: nothing is followed
            let bytes = match side {
                Some(side) if side.mode == "160000" => format!("Subproject commit {}\n", side.id).into_bytes(),
                Some(side) => reader.bytes(&side.id)?,
                None => Vec::new(),
            };
            std::fs::write(&file, bytes).or_bug("cannot write a file for the difftool")?;
            pair.push(file);
        }
        let mut git = Git::new(&coop.repo, &coop.env).args(["difftool", "--no-prompt", "--no-index", "--"]).args(&pair);
        for key in
            ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "TERM", "DBUS_SESSION_BUS_ADDRESS", "EDITOR", "VISUAL"]
        {
            if let Some(value) = coop.env.get(key) {
                git = git.env(key, value);
            }
        }
        let mut command = git.into_command();
        command.stdin(Stdio::inherit());
        let status = command.status().or_bug("cannot run git difftool")?;
        if status.code().is_none_or(|code| code >= 128) {
            return Err(Error::usage("the difftool could not be run")
                .hint("git config --global diff.tool NAME; git difftool --tool-help"));
        }
    }
    Ok(())
}

/// A path of a tree as one below a directory of ours.
fn plain(path: &[u8]) -> Result<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    let good = path.components().all(|c| matches!(c, Component::Normal(name) if !name.eq_ignore_ascii_case(".git")));
    if good && !path.as_os_str().is_empty() {
        return Ok(path.to_owned());
    }
    Err(Error::no(format!("the fork has the path '{}', which no program should see", path.display()))
        .hint("git coop review --stat NAME"))
}

/// Checks the reviewed commit out into a directory of the host's own, and gives it. No box ever sees it.
pub fn check_out(coop: &Coop, fork: &Fork) -> Result<PathBuf> {
    let parent = coop.dir("review")?;
    let dir = parent.join(fork.name.as_str());
    if dir.symlink_metadata().is_ok() {
        std::fs::remove_dir_all(&dir).context(Kind::Usage, format!("cannot remove '{}'", dir.display()))?;
    }
    std::fs::create_dir(&dir).context(Kind::Usage, format!("cannot write '{}'", dir.display()))?;
    let index = tempfile::NamedTempFile::new_in(&parent).or_bug("cannot make a file")?;
    checkout::checkout(&coop.repo, &fork.head, &dir, index.path(), &AtomicBool::new(false))?;
    Ok(dir)
}

/// Runs `COOP_REVIEW_CMD` with what it needs to know; the exit status is the command's.
pub fn command(coop: &Coop, dossier: &Dossier, command: &str) -> Result<u8> {
    let fork = &dossier.fork;
    let mut child = std::process::Command::new("sh");
    child.args(["-c", command]).current_dir(&coop.repo.work_tree);
    for (key, value) in [
        ("COOP_NAME", fork.name.as_str()),
        ("COOP_BASE", dossier.from.as_str()),
        ("COOP_HEAD", fork.head.as_str()),
        ("COOP_TARGET", &dossier.target),
        ("COOP_REVIEW_REF", &fork.name.head_ref()),
    ] {
        child.env(key, value);
    }
    let status = child.status().context(Kind::Usage, "cannot run COOP_REVIEW_CMD")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_scratch_directory() {
        assert!(plain(b"a/b c").is_ok());
        for bad in [&b"../x"[..], b"/etc/passwd", b"a/../../x", b"", b".git/config", b"a/.GIT/x"] {
            assert!(plain(bad).is_err(), "{bad:?}");
        }
    }
}
