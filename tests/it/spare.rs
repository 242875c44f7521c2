//! The work tree that is kept ready: a fork made from it is what git would have checked out, whatever happened since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use coop::env::Env;
use coop::flow::Coop;
use coop::flow::fork::{create, spare};
use coop::git::Repo;
use coop::settings::Settings;
use coop::state::ForkName;
use proptest::prelude::*;

use crate::support::World;

struct Place {
    world: World,
    repo: PathBuf,
}

impl Place {
    fn new() -> Place {
        let world = World::new();
        let repo = world.repo("repo");
        let place = Place { world, repo };
        for n in 0..40 {
            place.write(&format!("d{}/f{n}", n % 4), &format!("{n}\n"));
        }
        place.commit();
        place
    }
    fn coop(&self) -> Coop {
        let home = self.world.home().display().to_string();
        let env = Env::from_pairs([("PATH", self.world.path()), ("HOME", home)]);
        let repo = Repo::discover(&self.repo, &env).expect("repository");
        let config = coop::git::config::read(&repo, &env).expect("configuration");
        let values = config.iter().filter(|(key, _)| key.starts_with("coop."));
        let values = values.map(|(key, value)| (key.clone(), value.clone())).collect();
        let settings = Settings::resolve(&env, &values, "").expect("settings");
        Coop::new(&env, repo, config, settings)
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.repo.join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, text).expect("file");
    }
    fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        self.world.git(&self.repo, args)
    }
    fn commit(&self) {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "--allow-empty", "-m", "step"]);
    }
    fn ready(&self) {
        spare::ready(&self.coop(), &AtomicBool::new(false)).expect("ready");
    }
    fn is_ready(&self) -> bool {
        self.repo.join(".git/coop/spare/is").exists()
    }
    /// A fork of HEAD must be what git checks out; gives its directory.
    fn fork(&self, name: &str) -> PathBuf {
        let fork = create::create(&self.coop(), &ForkName::parse(name).expect("name"), None).expect("fork");
        let by_git = self.world.root().join(format!("{name}-by-git"));
        self.git(["worktree", "add", "-q", "--detach", by_git.to_str().expect("text")]);
        assert_eq!(list(&fork.path), list(&by_git));
        assert_eq!(self.world.git(&fork.path, ["ls-files", "-sv"]), self.world.git(&by_git, ["ls-files", "-sv"]));
        // without reading a file: the times in the index are those on the disk
        self.world.git(&fork.path, ["diff-files", "--exit-code"]);
        assert_eq!(self.world.git(&fork.path, ["status", "--porcelain", "--ignored"]), "");
        // to git it is one of its own work trees
        assert_eq!(self.git(["worktree", "prune", "-n", "-v"]), "");
        let shown = self.git(["worktree", "list", "--porcelain"]);
        let block = shown.split("\n\n").find(|b| b.contains(fork.path.to_str().expect("text"))).expect("listed");
        assert!(block.contains("detached") && !block.contains("locked"), "{block}");
        fork.path
    }
}

/// Every path below `dir` but `.git`, with its kind, mode and content.
fn list(dir: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).expect("directory").flatten().filter(|e| e.file_name() != ".git") {
            let path = entry.path();
            let meta = path.symlink_metadata().expect("metadata");
            let what = match meta.file_type() {
                kind if kind.is_symlink() => format!("link {:?}", path.read_link().expect("link")),
                kind if kind.is_dir() => "directory".into(),
                _ => format!("{:o} {:?}", meta.permissions().mode(), std::fs::read(&path).expect("file")),
            };
            if meta.is_dir() {
                open.push(path.clone());
            }
            all.insert(path.strip_prefix(dir).expect("below").to_owned(), what);
        }
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    Write(u8, u8),
    Remove(u8),
    Executable(u8),
    Link(u8),
    FileToDirectory(u8),
    DirectoryToFile(u8),
    Ready,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..40u8, any::<u8>()).prop_map(|(n, text)| Step::Write(n, text)),
        (0..40u8).prop_map(Step::Remove),
        (0..40u8).prop_map(Step::Executable),
        (0..40u8).prop_map(Step::Link),
        (0..40u8).prop_map(Step::FileToDirectory),
        (0..4u8).prop_map(Step::DirectoryToFile),
        Just(Step::Ready),
    ]
}

fn apply(place: &Place, step: &Step) {
    use std::os::unix::fs::PermissionsExt as _;
    let name = |n: &u8| format!("d{}/f{n}", n % 4);
    let gone = |path: &Path| match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path).expect("directory"),
        Ok(_) => std::fs::remove_file(path).expect("file"),
        Err(_) => {}
    };
    // where a file stands in place of the directory, the directory comes back
    let dir = |n: &u8| {
        let dir = place.repo.join(format!("d{}", n % 4));
        if !dir.is_dir() {
            gone(&dir);
        }
    };
    match step {
        Step::Write(n, text) => {
            dir(n);
            gone(&place.repo.join(name(n)));
            place.write(&name(n), &format!("{text}\n"));
        }
        Step::Remove(n) => gone(&place.repo.join(name(n))),
        Step::Executable(n) => {
            let path = place.repo.join(name(n));
            if path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
            }
        }
        Step::Link(n) => {
            dir(n);
            let path = place.repo.join(name(n));
            gone(&path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            std::os::unix::fs::symlink("../README", path).expect("link");
        }
        Step::FileToDirectory(n) => {
            dir(n);
            gone(&place.repo.join(name(n)));
            place.write(&format!("{}/below", name(n)), "below\n");
        }
        Step::DirectoryToFile(n) => {
            gone(&place.repo.join(format!("d{n}")));
            place.write(&format!("d{n}"), "no directory\n");
        }
        Step::Ready => place.ready(),
    }
    place.commit();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn it_follows_any_history(steps in prop::collection::vec(step(), 1..6)) {
        let place = Place::new();
        place.ready();
        for step in &steps {
            apply(&place, step);
        }
        place.fork("x");
    }
}

/// A fork takes what is ready, and leaves nothing; the next is checked out as ever.
#[test]
fn it_is_taken_once() {
    let place = Place::new();
    place.ready();
    let marked = place.repo.join(".git/coop/spare/tree/d0/f0");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().expect("metadata"));
    let before = inode(&marked);
    place.write("d1/f1", "changed since\n");
    place.commit();
    let fork = place.fork("x");
    assert_eq!(inode(&fork.join("d0/f0")), before, "the file that was ready");
    assert!(!place.is_ready());
    let other = place.fork("y");
    place.git(["worktree", "move", other.to_str().expect("text"), "../moved"]);
    place.git(["worktree", "remove", "../moved"]);
}

/// What is written differently today, what is torn, and what nobody wants is not used.
#[test]
fn what_does_not_fit_is_not_used() {
    let place = Place::new();
    place.ready();
    place.git(["config", "core.symlinks", "true"]);
    place.fork("configuration");
    assert!(place.is_ready(), "it was made under another configuration");

    place.ready();
    place.write(".gitattributes", "f1 eol=crlf\n");
    place.commit();
    assert_eq!(std::fs::read(place.fork("attributes").join("d1/f1")).expect("file"), b"1\r\n");

    place.ready();
    assert!(place.is_ready());
    std::fs::create_dir_all(place.repo.join(".git/info")).expect("directory");
    std::fs::write(place.repo.join(".git/info/attributes"), "f2 eol=crlf\n").expect("file");
    assert_eq!(std::fs::read(place.fork("outside").join("d2/f2")).expect("file"), b"2\r\n");

    // killed while it was made
    place.ready();
    std::fs::remove_file(place.repo.join(".git/coop/spare/is")).expect("file");
    std::fs::remove_file(place.repo.join(".git/coop/spare/tree/d0/f0")).expect("file");
    place.fork("torn");
    place.ready();
    place.fork("mended");

    place.git(["config", "coop.spare", "false"]);
    place.ready();
    assert!(!place.repo.join(".git/coop/spare").exists());
}

/// An interrupted one leaves nothing that a fork would take.
#[test]
fn an_interrupted_one_is_not_ready() {
    let place = Place::new();
    assert!(spare::ready(&place.coop(), &AtomicBool::new(true)).is_err());
    assert!(!place.repo.join(".git/coop/spare").exists());
}
