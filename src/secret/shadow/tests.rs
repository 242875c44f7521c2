use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::secret::decide::Decider;

struct Tree(#[allow(dead_code)] tempfile::TempDir, PathBuf); // the first removes it in the end

impl Tree {
    fn new(files: &[&str]) -> Tree {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path().canonicalize().expect("canonical");
        let tree = Tree(dir, root);
        files.iter().for_each(|f| tree.write(f, "text"));
        tree
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.1.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("directories");
        fs::write(path, text).expect("file");
    }
    fn plan(&self, memory: &Remembered) -> Plan {
        plan(&self.1, &Rules::default(), memory).expect("plans")
    }
    fn hidden(&self, memory: &Remembered) -> Vec<String> {
        let name =
            |s: Shadow| format!("{}{}", String::from_utf8_lossy(&s.path), if s.kind == Kind::Dir { "/" } else { "" });
        self.plan(memory).shadows.into_iter().map(name).collect()
    }
    fn fails(&self) -> String {
        plan(&self.1, &Rules::default(), &Remembered::default()).expect_err("fails").render()
    }
}

fn none() -> Remembered {
    Remembered::default()
}

#[test]
fn names_at_any_depth_and_whole_directories() {
    let tree = Tree::new(&[
        ".env",
        ".env.example",
        "src/main.rs",
        "a/b/.ENV",
        "a/secrets/x",
        "a/secrets/y/.env",
        "k/server.pem",
        "k/cacert.pem",
        ".git/config",
        "odd\nname/.env",
        "a:b/.npmrc",
        "nested/.git/config",
        "nested/prod.env",
        "nested/src.rs",
    ]);
    let plan = tree.plan(&none());
    assert_eq!(
        tree.hidden(&none()),
        [".env", "a/b/.ENV", "a/secrets/", "a:b/.npmrc", "k/server.pem", "nested/prod.env", "odd\nname/.env"]
    );
    assert_eq!(plan.nested_git, [PathBuf::from("nested/.git")]);
    assert!(plan.remembered.is_empty(), "names need no memory");
}

#[test]
fn nested_git_directories_are_whole() {
    let tree = Tree::new(&["x/.git/.env", "y/.git", "real-git/id_rsa", "z/src", "secrets/q/.git/config"]);
    symlink("../real-git", tree.1.join("z/.git")).expect("link");
    symlink("..", tree.1.join("real-git/.git")).expect("link");
    symlink("/nowhere", tree.1.join("x/inner")).expect("link");
    let plan = tree.plan(&none());
    let nested: Vec<_> = plan.nested_git.iter().filter_map(|p| p.to_str()).collect();
    assert_eq!(nested, ["real-git", "x/.git", "y/.git"], "links are followed, hidden ones left out");
    assert_eq!(tree.hidden(&none()), ["secrets/"], "what is below is hidden with them");
}

#[test]
fn coopignore_in_any_directory() {
    let tree =
        Tree::new(&["prod.yml", "a/prod.yml", "a/conf/db.yml", "conf/db.yml", "a/vault/x", "b/vault/x", "vault"]);
    tree.write(".coopignore", "prod.yml # everywhere\n");
    tree.write("a/.coopignore", "conf/db.yml\nvault/\n");
    assert_eq!(tree.hidden(&none()), ["a/conf/db.yml", "a/prod.yml", "a/vault/", "prod.yml"]);
    let plan = tree.plan(&none());
    assert_eq!(plan.ignore_files, [PathBuf::from(".coopignore"), PathBuf::from("a/.coopignore")]);
    assert_eq!(plan.shadows[0].why, Why::Ignore { file: b"a/.coopignore".to_vec(), line: 1 });
}

#[test]
fn emptying_or_deleting_coopignore_changes_nothing() {
    let tree = Tree::new(&["config/credentials.txt", "sub/x", "free"]);
    tree.write(".coopignore", "config/credentials.txt\n");
    tree.write("sub/.coopignore", "x\n");
    let before = tree.plan(&none());
    let memory = Remembered::from_bytes(&before.remembered.to_bytes()).expect("reads back");
    tree.write(".coopignore", "");
    fs::remove_file(tree.1.join("sub/.coopignore")).expect("removed");
    assert_eq!(tree.hidden(&memory), ["config/credentials.txt", "sub/x"]);
    tree.write("later/config/credentials.txt", "not it: the pattern was anchored");
    tree.write("sub/deep/x", "a pattern remembered, a file that is new");
    assert_eq!(tree.hidden(&memory), ["config/credentials.txt", "sub/deep/x", "sub/x"]);
    assert!(tree.hidden(&none()).is_empty(), "the control: without memory they show");
}

#[test]
fn a_renamed_parent_changes_nothing() {
    let tree = Tree::new(&["config/creds", "a/vault/x"]);
    tree.write(".coopignore", "config/creds\na/vault/\n");
    let memory = tree.plan(&none()).remembered;
    fs::rename(tree.1.join("config"), tree.1.join("config2")).expect("renamed");
    fs::rename(tree.1.join("a"), tree.1.join("b")).expect("renamed");
    assert_eq!(tree.hidden(&memory), ["b/vault/", "config2/creds"]);
    let memory = tree.plan(&memory).remembered;
    tree.write("config2/new", "x");
    fs::rename(tree.1.join("config2/new"), tree.1.join("config2/creds")).expect("saved atomically");
    assert_eq!(tree.hidden(&memory), ["b/vault/", "config2/creds"], "the new path is remembered too");
}

#[test]
fn an_inode_number_given_away_again_is_not_the_old_secret() {
    let tree = Tree::new(&["keep"]);
    let real = Identity::of(&tree.1.join("keep").symlink_metadata().expect("stat"));
    if real.born.is_none() {
        return; // a file system without birth times: the number is all there is
    }
    let old = Identity { born: Some(1), ..real };
    assert!(tree.hidden(&Remembered { ids: [old].into(), ..none() }).is_empty());
    assert_eq!(tree.hidden(&Remembered { ids: [real].into(), ..none() }), ["keep"]);
}

#[test]
fn links_hide_their_targets_and_hard_links_all_their_names() {
    let tree = Tree::new(&["real/value.txt", "conf/dir/x", "other.txt", "secrets/token", "plain"]);
    symlink("real/value.txt", tree.1.join(".env")).expect("link");
    symlink("../conf/dir", tree.1.join("real/.ssh")).expect("link");
    symlink("/etc/passwd", tree.1.join("out.pem")).expect("link");
    symlink("nowhere", tree.1.join("dangling.key")).expect("link");
    symlink(".", tree.1.join("all.pem")).expect("link");
    symlink("plain", tree.1.join("harmless")).expect("link");
    fs::hard_link(tree.1.join("real/value.txt"), tree.1.join("copy.txt")).expect("hard link");
    fs::hard_link(tree.1.join("secrets/token"), tree.1.join("conf/token.txt")).expect("hard link");
    let plan = tree.plan(&none());
    assert_eq!(tree.hidden(&none()), ["conf/dir/", "conf/token.txt", "copy.txt", "real/value.txt", "secrets/"]);
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    fs::remove_file(tree.1.join(".env")).expect("removed");
    assert!(
        tree.hidden(&plan.remembered).contains(&"real/value.txt".to_owned()),
        "the link is gone, the memory is not"
    );
}

#[test]
fn what_cannot_be_read_is_an_error_unless_it_is_hidden() {
    let tree = Tree::new(&["closed/x", "sub/y"]);
    symlink("sub", tree.1.join("x-link")).expect("link");
    tree.write("sub/.coopignore", "");
    fs::remove_file(tree.1.join("sub/.coopignore")).expect("removed");
    symlink("/dev/zero", tree.1.join("sub/.coopignore")).expect("link");
    assert!(tree.fails().contains("'sub/.coopignore' is not a plain file"), "{}", tree.fails());
    fs::remove_file(tree.1.join("sub/.coopignore")).expect("removed");
    if rustix::process::geteuid().is_root() {
        return; // root reads everything
    }
    fs::set_permissions(tree.1.join("closed"), fs::Permissions::from_mode(0o000)).expect("chmod");
    assert!(tree.fails().contains("cannot read 'closed'"), "{}", tree.fails());
    tree.write(".coopignore", "closed/");
    assert_eq!(tree.hidden(&none()), ["closed/"]);
    fs::set_permissions(tree.1.join("closed"), fs::Permissions::from_mode(0o755)).expect("chmod");
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let tree = Tree::new(&[]);
    let mut path = tree.1.clone();
    for _ in 0..202 {
        path.push("d");
    }
    fs::create_dir_all(&path).expect("directories");
    assert!(tree.fails().contains("nested deeper than 200"), "{}", tree.fails());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The plan on disk and the decider on paths agree about names and `.coopignore` lines.
    #[test]
    fn mounts_and_landing_agree(
        names in proptest::collection::btree_set("[a-c.]{0,2}(env|x|secrets|KEY|v[.]pem|v[.]pem[.]example|\u{e9}|:)", 1..8),
        dirs in proptest::collection::vec("[a-b]|secrets|\\.ssh|w\nx", 1..4),
        line in "(\\*\\*/)?[a-c*?.]{1,3}(/[xv*]{1,2})?/?",
    ) {
        let tree = Tree::new(&[]);
        let mut paths = Vec::new();
        for (at, name) in names.iter().enumerate() {
            prop_assume!(!matches!(&name[..], "." | ".."));
            let path = format!("{}/{at}/{name}", dirs[at % dirs.len()]);
            tree.write(&path, "");
            paths.push(path);
        }
        tree.write(".coopignore", &line);
        let plan = tree.plan(&none());
        let rules = Rules::default();
        let decider = Decider::new(&rules, &plan.remembered);
        for path in &paths {
            let covered = plan.shadows.iter().any(|s| {
                path.as_bytes() == &s.path[..] || path.as_bytes().starts_with(&[&s.path[..], b"/"].concat())
            });
            // the decider does not know files from directories and takes the stricter reading of `x/`
            let decided = decider.why(path.as_bytes()).is_some();
            prop_assert!(decided == covered || (decided && line.ends_with('/')), "{:?} with {:?}: {}", path, line, covered);
        }
    }
}
