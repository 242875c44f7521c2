//! Files of the work tree that git's own configuration names (hooks folders, filter scripts, included configuration)
//! are read-only in a live box: the host's next git command, even one that an editor runs meanwhile, uses them.
//!
//! A mount over a file does not keep a box from renaming a directory above it and making another in its place, so
//! every directory above is a mount of its own. Sources of these mounts lie in the tree that a box writes; that is sound
//! because nothing is followed while they are chosen, and because no box runs on this checkout that lacks the same mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::named::{self, Named};
use crate::sandbox::spec::Mount;
use crate::secret::shadow::Plan;
use crate::ui::text::{printable, printable_bytes};

use super::super::Coop;

/// The file in which a run writes down what it protects.
const LIST: &str = "read-only";

/// A named directory with more entries than this is refused: it could not be looked through.
const MAX_ENTRIES: usize = 10_000;

/// Links that lead to links are followed this often.
const MAX_LINKS: usize = 32;

/// What a live box must not write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected {
    /// Paths relative to the top, parents first; `true` where the box may write what is in it and only its place is held.
    paths: BTreeMap<PathBuf, bool>,
}

impl Protected {
    /// As [`Protected::plan`], for the run in `dir`, once it is sure that nothing moves any more: no other box on this
    /// checkout can write what is protected. Errors: as there, and exit 3 where one can, or could until just now.
    pub fn settle(coop: &Coop, plan: &Plan, dir: &Path) -> Result<Protected> {
        let protected = Protected::plan(coop, plan)?;
        protected.agree(dir)?;
        // a box that ended between the two looks may have put something else there
        if !protected.paths.is_empty() && Protected::plan(coop, plan)? != protected {
            return Err(Error::conflict("files that git's configuration names changed while the box was started")
                .hint("look at them with git status; then try again"));
        }
        Ok(protected)
    }

    /// What git's configuration names in this checkout, less what `plan` hides anyway.
    ///
    /// Errors (exit 2): what it names is missing, so that a box could make it; is a link that a box could replace; has
    /// another name in the file system.
    pub fn plan(coop: &Coop, plan: &Plan) -> Result<Protected> {
        let named = named::in_tree(&coop.repo, Some(&coop.env.home()), &coop.config);
        let mut settling = Settling { tree: &coop.repo.work_tree, found: BTreeSet::new(), links: 0 };
        for one in named.iter().filter(|one| !hidden(plan, &one.path)) {
            settling.settle(&one.path, one)?;
        }
        let found = settling.found;
        let covered = |path: &Path| path.ancestors().skip(1).any(|above| found.contains(above)) || hidden(plan, path);
        let mut paths: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for path in found.iter().filter(|path| !covered(path)) {
            for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
                paths.entry(above.to_owned()).or_insert(true);
            }
            paths.insert(path.clone(), false);
        }
        Ok(Protected { paths })
    }

    /// The mounts, to be made on top of the work tree and below everything else.
    pub fn mounts(&self, tree: &Path) -> Vec<Mount> {
        let mount = |(path, writable): (&PathBuf, &bool)| {
            let place = tree.join(path);
            Mount::Bind { source: place.clone(), target: place, writable: *writable }
        };
        self.paths.iter().map(mount).collect()
    }

    /// The read-only paths, relative to the top.
    pub fn read_only(&self) -> impl Iterator<Item = &PathBuf> {
        self.paths.iter().filter(|(_, writable)| !**writable).map(|(path, _)| path)
    }

    /// Writes down in `dir`, the directory of this run, what it protects, and makes sure that every other living run
    /// on this checkout protects as much. Errors: exit 3 where one does not.
    fn agree(&self, dir: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.paths.keys().flat_map(|p| [p.as_os_str().as_bytes(), b"\0"].concat()).collect();
        std::fs::write(dir.join(LIST), bytes).or_bug("cannot write what is read-only in the box")?;
        let Some(runs) = dir.parent().filter(|_| !self.paths.is_empty()) else { return Ok(()) };
        for run in std::fs::read_dir(runs).context(Kind::Usage, "cannot read the list of live runs")?.flatten() {
            let other = run.path();
            // also one that nobody holds: its process was killed, and its box may live until it is swept
            let Some(theirs) = (other != dir).then(|| listed(&other)).flatten() else { continue };
            let theirs: BTreeSet<&[u8]> = theirs.split(|b| *b == 0).collect();
            if let Some(path) = self.paths.keys().find(|path| !theirs.contains(path.as_os_str().as_bytes())) {
                let path = printable_bytes(path.as_os_str().as_bytes());
                return Err(Error::conflict(format!(
                    "another box runs on this checkout and can write '{path}', which git's configuration names"
                ))
                .hint("end it first, or work in a fork: git coop fork NAME"));
            }
        }
        Ok(())
    }
}

/// What the run in `dir` protects; `None` where that run has ended. One that does not say within a second, as it does when
/// it starts, protects nothing.
fn listed(dir: &Path) -> Option<Vec<u8>> {
    for _ in 0..20 {
        if let Ok(bytes) = std::fs::read(dir.join(LIST)) {
            return Some(bytes);
        }
        dir.symlink_metadata().ok()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(Vec::new())
}

/// Whether a blank covers `path` or a directory above it.
fn hidden(plan: &Plan, path: &Path) -> bool {
    path.ancestors().filter(|above| !above.as_os_str().is_empty()).any(|above| {
        plan.nested_git.iter().any(|git| git == above)
            || plan.shadows.iter().any(|shadow| shadow.path == above.as_os_str().as_bytes())
    })
}

struct Settling<'a> {
    tree: &'a Path,
    found: BTreeSet<PathBuf>,
    links: usize,
}

impl Settling<'_> {
    /// Adds `path` and everything it leads to.
    fn settle(&mut self, path: &Path, named: &Named) -> Result<()> {
        let mut at = PathBuf::new();
        let mut rest = path.components();
        while let Some(component) = rest.next() {
            at.push(component);
            let Ok(meta) = self.tree.join(&at).symlink_metadata() else { return missing(path, named) };
            if meta.is_symlink() {
                return self.follow(&at, rest.as_path(), named);
            }
        }
        if self.found.insert(path.to_owned()) { self.look(path, named) } else { Ok(()) }
    }

    /// A link is protected by the directory it is in.
    fn follow(&mut self, link: &Path, rest: &Path, named: &Named) -> Result<()> {
        self.links += 1;
        let parent = link.parent().filter(|dir| !dir.as_os_str().is_empty() && self.links <= MAX_LINKS);
        let Some(parent) = parent else {
            return Err(refusal(link, named, "is a link, which a live box could replace")
                .hint("make it a file or a directory of its own, or work in a fork: git coop fork NAME"));
        };
        let target = std::fs::read_link(self.tree.join(link)).context(Kind::Usage, "cannot read a link")?;
        self.found.insert(parent.to_owned());
        match inside(self.tree, parent, &target) {
            Some(target) => self.settle(&target.join(rest), named),
            None => Ok(()), // out of the tree, where no box writes
        }
    }

    /// Looks through what was found: other names of a file, and links that lead on.
    fn look(&mut self, path: &Path, named: &Named) -> Result<()> {
        let mut queue = vec![path.to_owned()];
        let mut seen = 0;
        while let Some(path) = queue.pop() {
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(refusal(&path, named, "is in a directory of more than 10,000 files")
                    .hint("work in a fork: git coop fork NAME"));
            }
            let full = self.tree.join(&path);
            let Ok(meta) = full.symlink_metadata() else { continue };
            if meta.is_dir() {
                let entries = std::fs::read_dir(&full)
                    .context(Kind::Usage, format!("cannot read '{}'", full.display()))?
                    .flatten();
                queue.extend(entries.map(|entry| path.join(entry.file_name())));
            } else if meta.is_symlink() {
                let target = std::fs::read_link(&full).context(Kind::Usage, "cannot read a link")?;
                let target = inside(self.tree, path.parent().unwrap_or(Path::new("")), &target);
                // what leads nowhere leads nowhere in the box too, or to what it may make: that is refused
                if let Some(target) = target {
                    self.settle(&target, named)?;
                }
            } else if meta.is_file() && meta.nlink() > 1 {
                return Err(refusal(&path, named, "has other names (hard links), by which a live box could write it")
                    .hint("copy it to a name of its own, or work in a fork: git coop fork NAME"));
            }
        }
        Ok(())
    }
}

/// Where `target`, the text of a link in `dir`, leads below the top of `tree`; `None` outside.
fn inside(tree: &Path, dir: &Path, target: &Path) -> Option<PathBuf> {
    let relative = if target.is_absolute() { target.strip_prefix(tree).ok()? } else { target };
    let mut out = if target.is_absolute() { PathBuf::new() } else { dir.to_owned() };
    for component in relative.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir if !out.pop() => return None,
            _ => {}
        }
    }
    (!out.as_os_str().is_empty()).then_some(out)
}

fn missing(path: &Path, named: &Named) -> Result<()> {
    if !named.unasked {
        return Ok(()); // an alias or a tool: nothing runs until the user asks for it by name
    }
    let place = printable_bytes(path.as_os_str().as_bytes());
    Err(refusal(path, named, "is not there: a live box could make it, and git on the host would use it")
        .hint(format!("make it first (mkdir -p {place}, if it is a directory), or git config --unset {}", named.key))
        .hint("or work in a fork: git coop fork NAME"))
}

fn refusal(path: &Path, named: &Named, why: &str) -> Error {
    let path = printable_bytes(path.as_os_str().as_bytes());
    Error::usage(format!("'{path}', named by {} of git's configuration, {why}", printable(&named.key)))
}
