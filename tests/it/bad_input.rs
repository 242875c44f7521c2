//! Wrong input: one line and a hint, the documented exit code, and nothing half-made.

use crate::support::World;

#[test]
fn unknown_words_suggest_the_nearest() {
    let world = World::new();
    let here = world.root();
    for (word, near) in [("cluade", "git coop claude"), ("confgi", "git coop config"), ("hlep", "git coop help")] {
        assert!(world.coop(&here, [word]).fails(2, "neither a command nor an agent").contains(near), "{word}");
    }
    assert!(world.coop(&here, ["emacs"]).fails(2, "'emacs'").contains("git coop help"));
    let escape = world.coop(&here, ["x\u{1b}[2J"]).fails(2, "\\u{1b}");
    assert!(!escape.contains('\u{1b}'));
    assert!(world.coop(&here, ["help", "confg"]).fails(2, "no command 'confg'").contains("git coop help config"));
}

#[test]
fn unknown_settings_and_values() {
    let world = World::new();
    let repo = world.repo("repo");
    assert!(world.coop(&repo, ["config", "egres"]).fails(2, "no setting 'egres'").contains("coop.egress"));
    let _ = world
        .coop(&repo, ["config", "egress", "nonee"])
        .fails(2, "'nonee', which is not open, public, allowlist or none");
    assert_eq!(world.run(&repo, "git", ["config", "coop.egress"]).code, 1, "a refused value was written");
    world.git(&repo, ["config", "coop.runtime", "dokcer"]);
    let _ = world.coop(&repo, ["config"]).fails(2, "'dokcer'");
    world.git(&repo, ["config", "--unset", "coop.runtime"]);
    world.git(&repo, ["config", "coop.egres", "none"]);
    let _ = world.coop(&repo, ["config"]).fails(2, "unknown setting 'coop.egres'");
    world.git(&repo, ["config", "--unset", "coop.egres"]);
    let world = world.with_env("COOP_EGRES", "none");
    assert!(world.coop(&repo, ["config"]).fails(2, "COOP_EGRES").contains("COOP_EGRESS?"));
}

#[test]
fn a_broken_coop_conf_names_its_line() {
    let world = World::new();
    let conf = world.home().join(".config/coop");
    std::fs::create_dir_all(&conf).expect("directory");
    for (text, message) in [
        ("# ok\nCOOP_EGRES=none\n", "line 2: unknown key 'COOP_EGRES'"),
        ("COOP_EGRESS none\n", "line 1: not KEY=VALUE"),
        ("COOP_EGRESS=maybe\n", "'maybe'"),
    ] {
        std::fs::write(conf.join("coop.conf"), text).expect("file");
        let _ = world.coop(&world.root(), ["config"]).fails(2, message);
    }
}

/// Commands that need a repository, whatever else they need.
const COMMANDS: &[&[&str]] = &[
    &["run", "--", "true"],
    &["shell"],
    &["fork", "x", "--", "true"],
    &["fork", "ls"],
    &["claude"],
    &["config", "--shadows"],
];

#[test]
fn no_repository() {
    let world = World::new();
    for args in COMMANDS {
        assert!(world.coop(&world.root(), *args).fails(2, "not a git repository").contains("git init"), "{args:?}");
    }
}

#[test]
fn a_bare_repository_and_the_inside_of_dot_git() {
    let world = World::new();
    let repo = world.repo("repo");
    world.git(&world.root(), ["clone", "-q", "--bare", "repo", "bare.git"]);
    for args in COMMANDS {
        for dir in [world.root().join("bare.git"), repo.join(".git"), repo.join(".git/refs")] {
            let _ = world.coop(&dir, *args).fails(2, "git directory without a work tree");
        }
    }
}

#[test]
fn a_dot_git_that_is_a_link_is_refused() {
    let world = World::new();
    let repo = world.repo("repo");
    std::fs::rename(repo.join(".git"), world.root().join("elsewhere")).expect("renamed");
    std::os::unix::fs::symlink("../elsewhere", repo.join(".git")).expect("link");
    let _ = world.coop(&repo, ["run", "--", "true"]).fails(2, "neither a directory nor a gitfile");
}

#[test]
fn no_commits_yet() {
    let world = World::new().with_env("COOP_RUNTIME", "bwrap");
    let repo = world.root().join("empty");
    std::fs::create_dir(&repo).expect("directory");
    world.git(&repo, ["init", "-q"]);
    let run = world.coop(&repo, ["fork", "x", "--", "true"]);
    if run.code == 5 {
        eprintln!("SKIPPED: no bubblewrap here: {}", run.stderr.trim());
        return;
    }
    assert!(run.fails(2, "no commit").contains("git commit"));
    assert!(!world.root().join("empty-forks").exists(), "something half-made is left");
    assert_eq!(world.coop(&repo, ["fork", "ls"]).ok(), "");
}

#[test]
fn names_that_git_or_a_container_would_refuse() {
    let world = World::new();
    let repo = world.repo("repo");
    let long = "x".repeat(64);
    for name in ["A", "-x", "a/b", "a..b", ".a", "a.lock", "a b", "é", &long, "a\nb"] {
        let run = world.coop(&repo, ["fork", name, "--", "true"]);
        assert_eq!(run.code, 2, "{name:?}: {}", run.stderr);
        assert!(!world.root().join("repo-forks").exists(), "{name:?} made something");
    }
    assert_eq!(world.git(&repo, ["for-each-ref", "refs/coop"]), "");
}

#[test]
fn no_fork_no_agent() {
    let world = World::new();
    let repo = world.repo("repo");
    for verb in ["path", "logs", "rm", "stop", "open"] {
        let _ = world.coop(&repo, ["fork", verb, "nothere"]).fails(2, "no fork 'nothere'");
    }
    assert!(world.coop(&repo, ["fork", "x", "cluade"]).fails(2, "cluade").contains("claude"));
    assert!(!world.root().join("repo-forks").exists());
}

#[test]
fn no_runtime() {
    let world = World::new();
    let repo = world.repo("repo");
    let empty = world.root().join("bin");
    std::fs::create_dir(&empty).expect("directory");
    for tool in ["git", "git-coop-fork"] {
        let found = std::env::split_paths(&world.path()).map(|dir| dir.join(tool)).find(|p| p.is_file()).expect(tool);
        std::os::unix::fs::symlink(found, empty.join(tool)).expect("link");
    }
    let world = world.with_env("PATH", empty.to_str().expect("UTF-8"));
    for args in [&["run", "--", "true"][..], &["fork", "x", "--", "true"]] {
        let program = crate::support::programs().join("git-coop");
        let _ = world.run(&repo, program.to_str().expect("UTF-8"), args).fails(5, "no container runtime");
    }
    assert!(!world.root().join("repo-forks").exists());
}
