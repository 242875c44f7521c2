//! Marking a task: one byte of the file is written in place, and nothing else.
//!
//! A rename would lose what the user's editor saved meanwhile, and would need room on the disk. The byte is written only
//! where the file, read again, still has the task with a marker that may change; callers of one repository hold a lock.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::file::{MAX_FILE, Mark, Queue};
use crate::error::{Context as _, Error, Kind, Result};

/// The file that the user means by `given`, seen from `cwd`: an absolute path inside of `root`, which is canonical.
/// Errors (exit 2): it is outside, or a symbolic link is on the way.
pub fn locate(root: &Path, cwd: &Path, given: &Path) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in cwd.join(given).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    let Ok(below) = path.strip_prefix(root) else {
        return Err(Error::usage(format!("the tasks file '{}' is outside of the repository", given.display()))
            .hint("git coop tasks --tasks .agent/TASKS.md"));
    };
    let mut at = root.to_owned();
    for part in below.components() {
        at.push(part);
        if at.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink()) {
            return Err(Error::usage(format!(
                "'{}' is a symbolic link: tasks are read from plain files",
                at.display()
            ))
            .hint("name the file itself: --tasks FILE"));
        }
    }
    Ok(path)
}

/// Reads the file. Errors (exit 2): it is not there, no plain file, or too large.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_open(&mut open(path, false)?, path)
}

fn open(path: &Path, write: bool) -> Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).write(write).custom_flags(flags.bits() as i32).open(path);
    let file = match opened {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::usage(format!("there is no tasks file '{}'", path.display()))
                .hint("git coop init makes .agent/TASKS.md; git coop tasks add TEXT adds a task"));
        }
        other => other.context(Kind::Usage, format!("cannot open '{}'", path.display()))?,
    };
    let meta = file.metadata().context(Kind::Usage, format!("cannot read '{}'", path.display()))?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(Error::usage(format!("'{}' is no plain file of at most 4 MiB", path.display()))
            .hint("name the file itself: --tasks FILE"));
    }
    Ok(file)
}

fn read_open(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).context(Kind::Usage, format!("cannot read '{}'", path.display()))?;
    Ok(bytes)
}

/// Marks the task `id` as `to` where its marker is one of `from`. Gives whether the marker is `to` afterwards.
pub fn set(path: &Path, id: &str, from: &[Mark], to: Mark) -> Result<bool> {
    let mut file = open(path, true)?;
    let bytes = read_open(&mut file, path)?;
    let queue = Queue::parse(&bytes);
    let Some(task) = queue.find(id) else { return Ok(false) };
    if task.mark == to {
        return Ok(true);
    }
    if !from.contains(&task.mark) {
        return Ok(false);
    }
    // an editor may have saved in between: the box and what is around it have to be where they were
    let around = task.offset - 1..(task.offset + 12).min(bytes.len());
    let mut now = vec![0u8; around.len()];
    let what = || format!("cannot mark a task in '{}'", path.display());
    if file.read_exact_at(&mut now, around.start as u64).is_err() || now != bytes[around] {
        return Ok(false);
    }
    file.write_all_at(&[to.byte()], task.offset as u64).context(Kind::Usage, what())?;
    file.sync_data().context(Kind::Usage, what())?;
    Ok(true)
}

/// Appends a task with the line ending of the file. Errors: exit 2 where the text cannot be a task.
pub fn add(path: &Path, title: &str, body: &str) -> Result<()> {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let made = |newline: &str| {
        let lines = body.lines().map(|l| format!("  {l}").trim_end().to_owned());
        let all: Vec<String> = std::iter::once(format!("- [ ] {title}")).chain(lines).collect();
        format!("{}{newline}", all.join(newline))
    };
    let probe = Queue::parse(made("\n").as_bytes());
    if probe.tasks.len() != 1 || !probe.problems.is_empty() || probe.tasks[0].title != title {
        return Err(Error::usage("that text cannot be a task").hint("git coop tasks add 'Fix the parser'"));
    }
    let bytes = read(path)?;
    let newline = if bytes.windows(2).any(|w| w == b"\r\n") { "\r\n" } else { "\n" };
    let mut text = String::new();
    if bytes.last().is_some_and(|b| *b != b'\n') {
        text.push_str(newline);
    }
    text.push_str(&made(newline));
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut file = OpenOptions::new()
        .append(true)
        .custom_flags(flags)
        .open(path)
        .context(Kind::Usage, format!("cannot open '{}'", path.display()))?;
    file.write_all(text.as_bytes()).context(Kind::Usage, format!("cannot write '{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_changes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("TASKS.md");
        let text = "\u{feff}# é\r\n- [ ] one\r\n\t- [ ] nested\r\n* [w] two\n\n\n- [ ] one\r\nno newline at the end";
        std::fs::write(&path, text).expect("a file");
        let ids: Vec<String> = Queue::parse(text.as_bytes()).tasks.into_iter().map(|t| t.id).collect();
        assert!(set(&path, &ids[1], &[Mark::Claimed], Mark::Done).expect("marks"));
        assert!(!set(&path, &ids[0], &[Mark::Claimed], Mark::Done).expect("reads"), "it was not claimed");
        assert!(!set(&path, "000000000000", &[Mark::Todo], Mark::Done).expect("reads"));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text.replace("* [w] two", "* [x] two"));
        add(&path, " three ", "body\nmore").expect("adds");
        let now = std::fs::read_to_string(&path).expect("text");
        assert!(now.ends_with("at the end\r\n- [ ] three\r\n  body\r\n  more\r\n"), "{now:?}");
        assert!(
            add(&path, "", "").is_err() && add(&path, "x", "# heading").is_ok() && add(&path, "x", "- [ ] y").is_ok()
        );
    }

    #[test]
    fn only_plain_files_inside() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("canonical");
        std::fs::create_dir(root.join("sub")).expect("a directory");
        std::os::unix::fs::symlink("/etc", root.join("link")).expect("a link");
        assert_eq!(locate(&root, &root.join("sub"), Path::new("../T.md")).expect("inside"), root.join("T.md"));
        for bad in ["/etc/passwd", "../../x", "../link/passwd", "../link"] {
            assert_eq!(locate(&root, &root.join("sub"), Path::new(bad)).expect_err(bad).kind().code(), 2);
        }
        assert!(read(&root.join("sub")).is_err() && read(&root.join("none")).is_err());
    }
}
