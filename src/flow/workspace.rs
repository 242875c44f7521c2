//! A workspace: a work tree that the host owns plus a private git directory that only boxes write.
//! The live checkout and forks are the same thing from here on.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::git::private::{GIT_DIR, OBJECTS};
use crate::sandbox::spec::{Mount, User};
use crate::secret::shadow::{Kind, Plan};
use crate::without::without;

/// How the work tree names its git directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DotGit {
    /// `.git` is a directory: the private one covers it.
    Directory,
    /// `.git` is a file: a gitfile of ours, at this host path, covers it and names the private directory.
    File(PathBuf),
}

/// Where everything is on the host.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Label of boxes on it: `live:<path>` or `fork:<path>`.
    pub label: String,
    /// Top of the work tree: the same absolute path on the host and in a box.
    pub tree: PathBuf,
    /// The private git directory. Only boxes write it; after its first box the host never opens it.
    pub private: PathBuf,
    /// How `.git` is covered.
    pub dot_git: DotGit,
    /// The object store that boxes read.
    pub objects: PathBuf,
    /// Stores that `objects` borrows from, seen in a box at their own paths.
    pub alternates: Vec<PathBuf>,
    /// Mounts that hold parts of the tree in place, right on top of it.
    pub held: Vec<Mount>,
    /// Who boxes run as.
    pub owner: User,
}

impl Workspace {
    /// The text of the gitfile for [`DotGit::File`].
    pub const GITFILE: &'static str = "gitdir: /coop/git\n";

    /// The mounts of a box that works here: the tree, the private git directory over `.git`, objects
    /// read-only, and a blank over every secret and every nested git directory.
    pub fn mounts(&self, plan: &Plan, read_only: bool) -> Vec<Mount> {
        let mut mounts = self.beside();
        mounts.push(Mount::Bind { source: self.tree.clone(), target: self.tree.clone(), writable: !read_only });
        if !read_only {
            mounts.extend(self.held.iter().cloned());
        }
        let dot_git = self.tree.join(".git");
        let private = |target| Mount::Bind { source: self.private.clone(), target, writable: !read_only };
        match &self.dot_git {
            DotGit::Directory if without("private-git-dir") => {}
            DotGit::Directory => mounts.push(private(dot_git)),
            DotGit::File(_) if without("private-git-dir") => mounts.extend(self.hosts_git_dir()),
            DotGit::File(gitfile) => {
                mounts.push(Mount::ro(gitfile, dot_git));
                mounts.push(private(GIT_DIR.into()));
            }
        }
        mounts.extend(self.object_mounts());
        // the git directory of a nested repository is hidden: an agent that writes one runs code on the
        // host at the user's next command there, and binding it read-only would take a source from a
        // directory that boxes write
        mounts.extend(plan.nested_git.iter().filter(|_| !without("nested-git")).map(|path| {
            let target = self.tree.join(path);
            if target.symlink_metadata().is_ok_and(|m| m.is_dir()) {
                Mount::BlankDir { target }
            } else {
                Mount::BlankFile { target }
            }
        }));
        mounts.extend(plan.shadows.iter().filter(|_| !without("shadow-mounts")).map(|shadow| {
            let target = self.tree.join(OsStr::from_bytes(&shadow.path));
            match shadow.kind {
                Kind::File => Mount::BlankFile { target },
                Kind::Dir => Mount::BlankDir { target },
            }
        }));
        mounts
    }

    /// The mounts of a box that only reads the private git directory: where a bundle is written.
    pub fn bundle_mounts(&self) -> Vec<Mount> {
        let mut mounts = self.beside();
        mounts.push(Mount::ro(&self.private, GIT_DIR));
        mounts.extend(self.object_mounts());
        mounts
    }

    /// The git directory that the gitfile of a linked work tree names, whole and writable: what no box has.
    fn hosts_git_dir(&self) -> Option<Mount> {
        let text = std::fs::read_to_string(self.tree.join(".git")).ok()?;
        let common = PathBuf::from(text.strip_prefix("gitdir: ")?.trim_end()).parent()?.parent()?.to_owned();
        Some(Mount::rw(common.clone(), common))
    }

    /// What a box sees beside its work tree: nothing.
    fn beside(&self) -> Vec<Mount> {
        // two up: of a fork, what is beside its repository
        let root =
            self.tree.parent().and_then(|dir| if dir.ends_with("project-forks") { dir.parent() } else { Some(dir) });
        root.filter(|_| without("closed-root")).map(|root| Mount::ro(root, root)).into_iter().collect()
    }

    fn object_mounts(&self) -> Vec<Mount> {
        let writable = without("read-only-objects");
        let mut mounts = vec![Mount::Bind { source: self.objects.clone(), target: OBJECTS.into(), writable }];
        mounts.extend(self.alternates.iter().map(|path| Mount::ro(path, path)));
        mounts
    }
}
