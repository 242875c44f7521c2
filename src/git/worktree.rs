//! Linked work trees for forks: git makes and removes the metadata, which is the host's own and never
//! seen by a box; HEAD and index of it follow what was imported.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};

use super::config::Config;
use super::named::Named;
use super::objects::Reader;
use super::refs::{self, Edit, Old, Outcome};
use super::{Git, Oid, Repo};

/// Registers `path` as a linked work tree, detached at `commit`, with nothing checked out.
/// Gives the work tree's own git directory. `path` must not exist. What a kill leaves behind is in `scratch`, a directory
/// on the same file system as the repository.
///
/// The files are those of `git help repository-layout` ("worktrees/<id>"), and appear at once: every git that lists work
/// trees fails on one whose `commondir` another git is just writing. git itself adds what has more to it than files: a
/// repository with reftables, with a configuration for each work tree, or shared among users.
pub fn add(repo: &Repo, env: &Env, config: &Config, scratch: &Path, path: &Path, commit: &Oid) -> Result<PathBuf> {
    let plain = ["extensions.worktreeconfig", "core.sharedrepository"].iter().all(|key| config.get(key).is_none());
    if !plain || repo.common_dir.join("reftable").is_dir() {
        return add_by_git(repo, env, path, commit);
    }
    let made = scratch.join("worktree");
    std::fs::create_dir(&made).context(Kind::Usage, format!("cannot make '{}'", made.display()))?;
    let gitfile = path.join(".git");
    let write = |file: &Path, bytes: &[u8]| {
        std::fs::write(file, bytes).context(Kind::Usage, format!("cannot write '{}'", file.display()))
    };
    let line = |path: &Path| [path.as_os_str().as_bytes(), b"\n"].concat();
    // locked until its directory is there, or `git worktree prune` would take it away
    write(&made.join("locked"), b"initializing\n")?;
    write(&made.join("gitdir"), &line(&gitfile))?;
    write(&made.join("commondir"), b"../..\n")?;
    write(&made.join("HEAD"), format!("{commit}\n").as_bytes())?;
    let git_dir = publish(repo, &made, path)?;
    std::fs::create_dir(path).context(Kind::Usage, format!("cannot make '{}'", path.display()))?;
    write(&gitfile, &[b"gitdir: ".as_slice(), &line(&git_dir)].concat())?;
    std::fs::remove_file(git_dir.join("locked")).or_bug("cannot unlock the work tree")?;
    Ok(git_dir)
}

/// Moves the metadata of a new work tree to the first free `worktrees/<id>`, in the manner of git: the last word of its
/// path, and a number where that is taken.
fn publish(repo: &Repo, made: &Path, path: &Path) -> Result<PathBuf> {
    let all = repo.common_dir.join("worktrees");
    std::fs::create_dir_all(&all).context(Kind::Usage, format!("cannot write '{}'", all.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 0..10_000 {
        let git_dir = match number {
            0 => all.join(name.as_ref()),
            more => all.join(format!("{name}{more}")),
        };
        if git_dir.symlink_metadata().is_ok() {
            continue;
        }
        // a directory that came meanwhile has files, and is not replaced
        match std::fs::rename(made, &git_dir) {
            Ok(()) => return Ok(git_dir),
            Err(err) if matches!(err.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {}
            Err(err) => return Err(err).or_bug(format!("cannot make '{}'", git_dir.display())),
        }
    }
    Err(Error::usage(format!("too many work trees are called '{name}'")).hint("git worktree list"))
}

fn add_by_git(repo: &Repo, env: &Env, path: &Path, commit: &Oid) -> Result<PathBuf> {
    let _turn = take_turn(repo)?;
    let output = Git::new(repo, env)
        .args(["worktree", "add", "--quiet", "--detach", "--no-checkout", "--"])
        .arg(path)
        .arg(commit.as_str())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text
            .lines()
            .rfind(|l| l.starts_with("fatal:"))
            .unwrap_or("fatal: no message")
            .trim_start_matches("fatal: ");
        return Err(Error::usage(format!("cannot make the work tree '{}': {line}", path.display()))
            .hint("git coop config coop.forkRoot DIR puts forks elsewhere"));
    }
    git_dir_of(repo, path)
}

/// Held while git adds a work tree: it reads the metadata of all others, and fails on one that another git is
/// just writing (`failed to read …/commondir: Success`).
fn take_turn(repo: &Repo) -> Result<std::fs::File> {
    let dir = repo.coop_dir().join("locks");
    std::fs::create_dir_all(&dir).context(Kind::Usage, format!("cannot write '{}'", dir.display()))?;
    let path = dir.join("worktrees");
    let file = std::fs::File::create(&path).context(Kind::Usage, format!("cannot write '{}'", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).or_bug("cannot lock the list of work trees")?;
    Ok(file)
}

/// The git directory of the linked work tree at `path`, read from the host's own list of work trees
/// (`worktrees/*/gitdir`), not from the `.git` file in a directory that a box writes.
pub fn git_dir_of(repo: &Repo, path: &Path) -> Result<PathBuf> {
    let list = repo.common_dir.join("worktrees");
    let wanted = path.join(".git");
    for entry in std::fs::read_dir(&list).context(Kind::Usage, "this repository has no linked work trees")?.flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("gitdir")) else { continue };
        if Path::new(text.trim_end_matches('\n')) == wanted {
            return Ok(entry.path());
        }
    }
    Err(Error::usage(format!("'{}' is no work tree of this repository", path.display())).hint("git worktree list"))
}

/// The work tree at `path` as a repository of the host: its git directory is the host's, its files are not.
pub fn as_repo(repo: &Repo, path: &Path) -> Result<Repo> {
    Ok(Repo { work_tree: path.to_owned(), git_dir: git_dir_of(repo, path)?, common_dir: repo.common_dir.clone() })
}

/// Moves HEAD and index of the linked work tree from `old` to `new` without touching a file: the work
/// tree already holds what the box left. Gives `false`, and changes nothing, where HEAD is not `old`
/// (the user committed there). Staged changes of the user on paths that did not change stay.
pub fn follow(tree: &Repo, env: &Env, old: &Oid, new: &Oid) -> Result<bool> {
    if old == new {
        return Ok(true);
    }
    let edit = Edit::set("HEAD", Old::Is(old.clone()), new.clone());
    let lost = refs::transaction(tree, env, "coop: follow the box", &[edit])? == Outcome::Lost;
    // where it is there already, a kill may have come before the index followed
    if lost && refs_head(tree, env)?.as_ref() != Some(new) {
        return Ok(false);
    }
    let reader = Reader::open(tree)?;
    if reader.tree(old)? == reader.tree(new)? {
        return Ok(true); // the index has nothing to follow
    }
    let merged = Git::isolated(tree, env).args(["read-tree", "-i", "-m", old.as_str(), new.as_str()]).succeeds()?;
    if !merged {
        // the user staged something on a path that changed: the index starts again from the new commit
        Git::isolated(tree, env).args(["read-tree", new.as_str()]).read()?;
    }
    Ok(true)
}

/// Keeps git on the host from running what lies in the linked work tree `tree`, which boxes write: hooks, filters and
/// other programs that the user's configuration names by a path relative to a work tree. They are overridden in the
/// configuration of this work tree alone (`git help worktree`, "configuration file"); it is switched on in the
/// repository where it is not yet, only where there is something to override.
pub fn hold_off(tree: &Repo, env: &Env, config: &Config, named: &[Named]) -> Result<()> {
    let keys: BTreeSet<&str> = named.iter().filter(|one| !one.fixed).map(|one| one.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let file = |name: &std::path::Path, args: &[&str]| {
        let git = Git::isolated(tree, env).arg("config").arg("--file").arg(name).args(args);
        git.output().map(|output| output.status.success())
    };
    let common = tree.common_dir.join("config");
    if config.get("extensions.worktreeconfig").is_none_or(|value| value != "true") {
        // what must not hold in every work tree moves to the main one's file, as the manual asks
        for key in ["core.bare", "core.worktree"] {
            let value = config.get(key).filter(|value| key != "core.bare" || *value == "true");
            if let Some(value) = value {
                file(&tree.common_dir.join("config.worktree"), &[key, value])?;
                file(&common, &["--unset-all", key])?;
            }
        }
        let _turn = take_turn(tree)?;
        if !file(&common, &["extensions.worktreeConfig", "true"])? {
            return Err(Error::usage("cannot switch on the configuration of work trees, which forks need here")
                .hint("git config extensions.worktreeConfig true"));
        }
    }
    let own = tree.git_dir.join("config.worktree");
    for key in keys {
        for (key, value) in override_of(key) {
            if !file(&own, &["--replace-all", &key, value])? {
                return Err(Error::usage(format!("cannot write '{}'", own.display())));
            }
        }
    }
    Ok(())
}

/// What stands in a fork for a program of its tree: nothing where git can do without, a program that passes its input
/// through for a filter, and one that fails for the rest.
fn override_of(key: &str) -> Vec<(String, &'static str)> {
    let (section, last) = (key.split('.').next().unwrap_or(key), key.rsplit('.').next().unwrap_or(key));
    let set = |value| vec![(key.to_owned(), value)];
    match (section, last) {
        ("core", "hookspath") => set("/dev/null"),
        ("core", "fsmonitor") => set("false"),
        ("core", "pager") | ("pager", _) => set("cat"),
        ("credential", _) => set(""),
        ("filter", "process") => set(""),
        ("filter", _) => set("cat"),
        ("alias", _) => set("!false"),
        _ => set("false"),
    }
}

fn refs_head(tree: &Repo, env: &Env) -> Result<Option<Oid>> {
    super::refs::read(tree, env, "HEAD")
}

/// Paths that differ between index and work tree, or are untracked, at most `limit`; `None` where it took
/// longer than git was given. No attribute of the tree is honoured, so no filter driver runs.
pub fn uncommitted(tree: &Repo, env: &Env, limit: usize) -> Result<Vec<Vec<u8>>> {
    let mut work_tree = std::ffi::OsString::from("--work-tree=");
    work_tree.push(&tree.work_tree);
    let empty = empty_tree(tree)?;
    let out = Git::isolated(tree, env)
        .arg(work_tree)
        .arg(format!("--attr-source={empty}"))
        .args(["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all"])
        .read()?;
    Ok(out.split(|b| *b == 0).filter(|e| e.len() > 3).take(limit).map(|e| e[3..].to_vec()).collect())
}

/// Tracked paths of the user's own checkout that differ from the last commit, staged or not. No filter of anybody runs.
pub fn modified(repo: &Repo, env: &Env) -> Result<Vec<Vec<u8>>> {
    let mut work_tree = std::ffi::OsString::from("--work-tree=");
    work_tree.push(&repo.work_tree);
    let empty = empty_tree(repo)?;
    let out = Git::isolated(repo, env)
        .arg(work_tree)
        .arg(format!("--attr-source={empty}"))
        .args(["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules=all"])
        .read()?;
    Ok(out.split(|b| *b == 0).filter(|e| e.len() > 3).map(|e| e[3..].to_vec()).collect())
}

/// git knows the empty tree without reading it.
fn empty_tree(repo: &Repo) -> Result<Oid> {
    let format = super::objects::open(repo)?.object_hash();
    Oid::parse(&gix::ObjectId::empty_tree(format).to_string())
}

/// Forgets the linked work tree whose directory has been removed.
pub fn forget(repo: &Repo, git_dir: &Path) -> Result<()> {
    let inside = git_dir.parent() == Some(repo.common_dir.join("worktrees").as_path());
    if inside && git_dir.symlink_metadata().is_ok_and(|m| m.is_dir()) {
        // first what git reads first: without it there is no work tree for a git that lists them meanwhile
        let _ = std::fs::remove_file(git_dir.join("gitdir"));
        std::fs::remove_dir_all(git_dir).or_bug(format!("cannot remove '{}'", git_dir.display()))?;
    }
    Ok(())
}
