//! Files of the tree that git's configuration names: an agent that could write them would run code on the host at the
//! user's next git command (the attacks on an existing hooks folder, filter script and included configuration).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::world::{Place, everywhere, place, until};

/// The user's own set-up: hooks, a filter, an include, all in the tree, all harmless.
fn configured(place: &Place) {
    for (path, text) in [
        (".husky/pre-commit", "#!/bin/sh\nexit 0\n"),
        ("tools/git/clean.sh", "#!/bin/sh\ncat\n"),
        (".gitconfig-shared", "[alias]\n\tfine = status\n"),
        (".gitattributes", "*.dat filter=fmt\n"),
        ("a.dat", "data\n"),
    ] {
        write(place, path, text);
    }
    place.git(["add", "."]);
    place.git(["commit", "-qm", "set up"]);
    place.git(["config", "core.hooksPath", ".husky"]);
    place.git(["config", "filter.fmt.clean", "sh ./tools/git/clean.sh %f"]);
    place.git(["config", "include.path", "../.gitconfig-shared"]);
}

fn write(place: &Place, path: &str, text: &str) {
    let path = place.repo.join(path);
    std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    std::fs::write(&path, text).expect("file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
}

/// Every way to put something else where the configuration points.
const PLANT: &str = r#"
mark="touch $1/ran"
for f in .husky/pre-commit .husky/post-commit .husky/post-index-change tools/git/clean.sh; do
    printf '#!/bin/sh\n%s\ncat\n' "$mark" > $f
    rm -f $f; ln -s /bin/false $f
done
printf '[core]\n\tfsmonitor = "%s; false"\n' "$mark" > .gitconfig-shared
mv .husky .husky2; rm -rf .husky; mkdir -p .husky
mv tools t2; mv tools/git tools/g2; rm -rf tools; mkdir -p tools/git
for f in .husky/pre-commit .husky/post-index-change tools/git/clean.sh; do printf '#!/bin/sh\n%s\ncat\n' "$mark" > $f; chmod +x $f; done
printf '[core]\n\tfsmonitor = "%s; false"\n' "$mark" > n; mv -f n .gitconfig-shared; rm -f n
true"#;

/// What a user and an editor do next.
fn next_on_host(place: &Place, tree: &Path) {
    for args in [&["status"][..], &["diff"], &["add", "-A"], &["commit", "-qm", "by hand", "--allow-empty"]] {
        let _ = place.world.run(tree, "git", args); // whether it works does not matter, only what it runs
    }
}

#[test]
fn a_live_box_cannot_write_them() {
    everywhere(|place| {
        configured(place);
        let mark = place.repo.join("ran");
        let before = place.git(["status", "--porcelain"]);
        let run = place.coop(["run", "--", "sh", "-c", PLANT, "sh", &place.repo.display().to_string()]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(place.git(["status", "--porcelain"]), before.trim_end(), "nothing of it was changed");
        std::fs::write(place.repo.join("a.dat"), "changed\n").expect("file");
        next_on_host(place, &place.repo);
        assert!(!mark.exists(), "code of the box ran on the host");
        // the agent can read them, and its other work is as before
        let run = place.live("cat .husky/pre-commit && echo x > other && git add other && git commit -qm boxed");
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(place.git(["log", "-1", "--format=%s"]), "boxed");
    });
}

#[test]
fn a_commit_that_changes_them_is_not_taken_over() {
    let Some(place) = place() else { return };
    configured(&place);
    let run = place.live(
        "b=$(echo touch /tmp/x | git hash-object -w --stdin) && \
         git update-index --cacheinfo 100755,$b,.husky/pre-commit && git commit -qm sneaked",
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("'.husky/pre-commit', which core.hookspath"), "{}", run.stderr);
    assert_eq!(place.git(["log", "-1", "--format=%s"]), "set up");
    assert_eq!(place.git(["for-each-ref", "--format=%(subject)", "refs/coop/live/*/heads/*"]), "sneaked");
}

#[test]
fn what_a_box_could_make_is_refused() {
    let Some(place) = place() else { return };
    place.git(["config", "core.hooksPath", "hooks"]);
    let run = place.live("true");
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("'hooks', named by core.hookspath"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: make it first"), "{}", run.stderr);
    std::fs::create_dir(place.repo.join("hooks")).expect("directory");
    assert_eq!(place.live("! touch hooks/pre-commit").code, 0);
    std::fs::remove_dir(place.repo.join("hooks")).expect("removed");
    std::fs::create_dir(place.repo.join("real")).expect("directory");
    std::os::unix::fs::symlink("real", place.repo.join("hooks")).expect("link");
    let run = place.live("true");
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("is a link"), "{}", run.stderr);
    place.git(["config", "core.hooksPath", "real"]);
    std::fs::write(place.repo.join("real/pre-commit"), "x").expect("file");
    std::fs::hard_link(place.repo.join("real/pre-commit"), place.repo.join("other-name")).expect("link");
    let run = place.live("true");
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("has other names"), "{}", run.stderr);
    place.nothing_left();
}

#[test]
fn a_box_that_started_without_is_in_the_way() {
    let Some(place) = place() else { return };
    let mut child = place.spawn(&["run", "--", "sh", "-c", "touch ready; sleep 30"]);
    until("the box runs", || place.repo.join("ready").exists());
    std::fs::create_dir(place.repo.join("hooks")).expect("directory");
    place.git(["config", "core.hooksPath", "hooks"]);
    let run = place.live("true");
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("another box runs on this checkout"), "{}", run.stderr);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("signalled");
    child.wait().expect("ends");
    assert_eq!(place.live("! touch hooks/x").code, 0);
}

#[test]
fn in_a_fork_the_host_runs_none_of_them() {
    everywhere(|place| {
        configured(place);
        let mark = place.repo.join("ran");
        let run = place.coop(["fork", "f", "--", "sh", "-c", PLANT, "sh", &place.repo.display().to_string()]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let tree = place.fork_path("f");
        assert!(std::fs::read_to_string(tree.join(".husky/pre-commit")).expect("written").contains("ran"));
        std::fs::write(tree.join("a.dat"), "changed\n").expect("file");
        next_on_host(place, &tree);
        assert!(!mark.exists(), "code of the box ran on the host");
        assert_eq!(place.git(["config", "core.hooksPath"]), ".husky", "the user's own checkout is as it was");
    });
}

#[test]
fn a_landing_that_changes_them_has_to_be_meant() {
    let Some(place) = place() else { return };
    configured(&place);
    let run = place.fork("f", "echo x >> tools/git/clean.sh; git commit -qam tools");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = place.coop(["merge", "f", "--yes"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("filter.fmt.clean of git's configuration names it"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn an_included_file_of_the_tree_cannot_configure_coop() {
    let Some(place) = place() else { return };
    std::fs::write(place.repo.join("shared"), "[coop]\n\tgate = touch pwned\n\tmemory = 1g\n").expect("file");
    place.git(["config", "include.path", "../shared"]);
    let run = place.coop(["config", "coop.gate"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.contains("warning: coop.gate in"), "{}", run.stderr);
}
