//! Finds the program that runs first in a box ([`super::inbox`]) and puts a copy where boxes can see it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::{Context as _, Error, Kind, Result};

use super::super::runtime::Usable;
use super::super::support::Support;

/// Its file name.
pub const NAME: &str = "git-coop-box";
/// What mends an installation without it.
const AGAIN: &str = "install git-coop again: make install";

/// The copy to mount. Errors, exit 5: it is not installed, or it is not static and the box has an image, whose own
/// libraries it would need.
pub fn copy(usable: &Usable, support: &Support) -> Result<PathBuf> {
    let found = find()?;
    let cannot = || format!("cannot read '{}'", found.display());
    let meta = found.metadata().context(Kind::NoRuntime, cannot())?;
    let time = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    // a box gets a copy: the original may be in a directory that is closed to the box's user, or in a box's own work tree
    let name = format!("{NAME}-{}-{}", meta.len(), time.as_nanos());
    let kept = support.root.join("helper").join(&name);
    let whole = std::fs::symlink_metadata(&kept).is_ok_and(|m| m.is_file() && m.len() == meta.len());
    let path = if whole {
        kept
    } else {
        let bytes = std::fs::read(&found).context(Kind::NoRuntime, cannot())?;
        support.write("helper", &name, &bytes, 0o555).or_bug("cannot copy the program of a box")?
    };
    // a plain `cargo build`, which tests use, cannot make it static; their images are of the same distribution
    let installed = !cfg!(debug_assertions);
    if installed && usable.runtime.needs_image() && !is_static(&path).context(Kind::NoRuntime, cannot())? {
        return Err(Error::no_runtime(format!("'{}' needs libraries that an image may not have", found.display()))
            .hint(format!("{AGAIN}, which builds it as a static program")));
    }
    Ok(path)
}

/// Beside the running program, or in `libexec` beside its directory. Errors: exit 5.
pub fn find() -> Result<PathBuf> {
    let here = std::env::current_exe().ok();
    let real = here.as_ref().and_then(|exe| exe.canonicalize().ok());
    let dirs = [here, real].into_iter().flatten().filter_map(|exe| Some(exe.parent()?.to_owned()));
    let places = dirs.flat_map(|dir| {
        // cargo puts tests one directory below the programs
        let tests = dir.ends_with("deps").then(|| dir.join("..").join(NAME));
        [Some(dir.join(NAME)), Some(dir.join("../libexec/git-coop").join(NAME)), tests]
    });
    places.flatten().find(|path| path.is_file()).ok_or_else(|| {
        Error::no_runtime(format!("the program '{NAME}', which connects a box with its proxy, is not installed"))
            .hint(AGAIN)
    })
}

/// Whether an ELF file names no interpreter, so that the kernel alone can start it.
fn is_static(path: &Path) -> std::io::Result<bool> {
    const INTERPRETER: u32 = 3;
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(64 << 10).read_to_end(&mut head)?;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = head.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
    };
    let check = || -> Option<bool> {
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None; // not 64 bits, little-endian
        }
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut kinds = (0..count).map(|n| number(table + n * size, 4));
        kinds.try_fold(true, |good, kind| Some(good && kind? != INTERPRETER as usize))
    };
    Ok(check().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(!is_static(Path::new("/bin/sh")).expect("reads"));
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("x");
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01"] {
            std::fs::write(&file, bytes).expect("write");
            assert!(!is_static(&file).expect("reads"), "what cannot be read is not taken for one");
        }
    }
}
