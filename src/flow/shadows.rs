//! Which paths of a work tree a box must not see: the plan of `secret`, with what this repository
//! remembers of earlier plans.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Result};
use crate::secret::remembered::Remembered;
use crate::secret::shadow::{self, Plan, Rules};
use crate::ui::text;

use super::Coop;

/// The plan for `tree`; what it found is remembered first, so that an agent that empties a `.coopignore`
/// or renames a directory changes nothing.
pub fn plan(coop: &Coop, tree: &Path) -> Result<Plan> {
    let (file, bytes) = (memory(coop), remembered_bytes(coop)?);
    let mut remembered = Remembered::from_bytes(&bytes)?;
    if crate::without::without("remembered-shadows") {
        remembered = Remembered::default();
    }
    let plan = shadow::plan(tree, &Rules::default(), &remembered)?;
    for warning in &plan.warnings {
        eprintln!("warning: {}", crate::ui::text::printable(warning));
    }
    if plan.remembered.to_bytes() != bytes {
        // another run may have remembered something meanwhile
        let mut both = self::remembered(coop)?;
        both.merge(&plan.remembered);
        let next = both.to_bytes();
        let dir = coop.dir("")?;
        let temp = tempfile::NamedTempFile::new_in(&dir).or_bug("cannot write what is hidden")?;
        std::fs::write(temp.path(), &next).or_bug("cannot write what is hidden")?;
        temp.persist(&file).map_err(|e| e.error).or_bug("cannot write what is hidden")?;
    }
    Ok(plan)
}

/// Forgets what was hidden before: from now on only names and the `.coopignore` files as they are count.
/// Only ever because the user asked for it.
pub fn forget(coop: &Coop) -> Result<()> {
    match std::fs::remove_file(memory(coop)) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(err).or_bug("cannot forget what was hidden"),
        _ => Ok(()),
    }
}

fn memory(coop: &Coop) -> PathBuf {
    coop.repo.coop_dir().join("shadows.json")
}

fn remembered_bytes(coop: &Coop) -> Result<Vec<u8>> {
    let file = memory(coop);
    match std::fs::read(&file) {
        Ok(bytes) => Ok(bytes),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(err).or_bug(format!("cannot read '{}'", file.display())),
    }
}

/// What earlier plans of this repository hid.
pub fn remembered(coop: &Coop) -> Result<Remembered> {
    Remembered::from_bytes(&remembered_bytes(coop)?)
}

/// Says on a terminal how much is hidden.
pub fn announce(plan: &Plan) {
    if std::io::stderr().is_terminal() || !plan.shadows.is_empty() {
        let paths = text::count(plan.shadows.len(), "path");
        eprintln!("note: {paths} hidden from the box (git coop config --shadows)");
    }
}

/// Patterns that keep nested repositories out of the box's `git add`: their `.git` is hidden there, so
/// they would look like plain directories.
pub fn nested_excludes(plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    for path in &plan.nested_git {
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            out.push(b'/');
            for byte in dir.as_os_str().as_bytes() {
                if b"\\*?[ #!".contains(byte) {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.extend_from_slice(b"/\n");
        }
    }
    out
}

/// A mount cannot hide what git has committed.
pub fn warn_tracked(count: usize) {
    if count > 0 {
        let paths = text::count(count, "hidden path");
        eprintln!("warning: {paths} tracked by git: the content is in the history, which the box can read");
        eprintln!("hint: git coop config --shadows lists them; rotate such secrets and git rm --cached them");
    }
}
