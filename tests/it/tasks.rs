//! `git coop tasks`, `git coop init`, and claims of many processes at once.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::World;

fn place() -> (World, PathBuf) {
    let world = World::new();
    let repo = world.repo("repo");
    (world, repo)
}

fn json(world: &World, repo: &Path) -> Vec<serde_json::Value> {
    serde_json::from_str(&world.coop(repo, ["tasks", "--json"]).ok()).expect("JSON")
}

#[test]
fn a_list_is_kept_byte_for_byte() {
    let (world, repo) = place();
    world.coop(&repo, ["init"]).ok();
    let path = repo.join(".agent/TASKS.md");
    assert_eq!(json(&world, &repo).len(), 0, "the example is a comment");
    let text = "\u{feff}# Q\r\n\r\n* [ ] one\r\n\tbody\r\n  - [x] step\r\n- [ ] two";
    std::fs::write(&path, text).expect("file");
    let id = world.coop(&repo, ["tasks", "add", "three", "words", "-m", "and\nmore"]).ok();
    let now = std::fs::read_to_string(&path).expect("text");
    assert_eq!(now, format!("{text}\r\n- [ ] three words\r\n  and\r\n  more\r\n"));
    let tasks = json(&world, &repo);
    assert_eq!(tasks[2]["id"], id.trim());
    assert_eq!(
        (&tasks[0]["title"], &tasks[0]["body"], &tasks[0]["line"]),
        (&"one".into(), &"  body\n- [ ] step".into(), &3.into())
    );
    world.coop(&repo, ["tasks", "claim", id.trim()]).ok();
    assert_eq!(json(&world, &repo)[2]["holder"], "a person");
    assert_eq!(std::fs::read_to_string(&path).expect("text"), now.replace("[ ] three", "[w] three"));
    world.coop(&repo, ["tasks", "release", &id[..4]]).ok();
    assert_eq!(std::fs::read_to_string(&path).expect("text"), now);
    world.coop(&repo, ["tasks", "release", &id[..4]]).fails(1, "nobody has task");
    world.coop(&repo, ["tasks", "claim", "zzzz"]).fails(2, "no task 'zzzz'");
    let files = world.coop(&repo, ["tasks", "split", "2"]).ok();
    assert_eq!(files, ".agent/TASKS-1.md\n.agent/TASKS-2.md\n");
    assert_eq!(std::fs::read_to_string(repo.join(".agent/TASKS-1.md")).expect("text").matches("[ ]").count(), 2);
    assert!(!std::fs::read_to_string(&path).expect("text").contains("- [ ]"));
    world.coop(&repo, ["tasks", "split", "2"]).fails(2, "is there already");
    std::fs::write(&path, "- [X] a\n- [ ] b\n- []\n").expect("file");
    let lint = world.coop(&repo, ["tasks", "lint"]);
    assert_eq!((lint.code, lint.stdout.lines().count()), (1, 2), "{}", lint.stdout);
    assert!(lint.stdout.starts_with(".agent/TASKS.md:1: '[X]' is no marker"), "{}", lint.stdout);
}

#[test]
fn init_makes_what_is_missing_and_undo_takes_back_exactly_that() {
    let (world, repo) = place();
    std::fs::write(repo.join(".gitignore"), "target").expect("file");
    std::fs::write(repo.join("CLAUDE.md"), "mine\n").expect("file");
    let run = world.coop(&repo, ["init"]);
    assert!(run.code == 0 && run.stderr.lines().count() <= 4, "{}", run.stderr);
    assert_eq!(std::fs::read_link(repo.join("GEMINI.md")).expect("link"), PathBuf::from("AGENTS.md"));
    assert_eq!(std::fs::read_to_string(repo.join("CLAUDE.md")).expect("file"), "mine\n");
    assert_eq!(world.git(&repo, ["config", "notes.displayRef"]), "refs/notes/coop/*");
    assert_eq!(
        world.git(&repo, ["check-ignore", ".agent/TASKS.md", ".agent/LOG.md"]),
        ".agent/TASKS.md\n.agent/LOG.md"
    );
    assert_eq!(world.run(&repo, "git", ["check-ignore", ".agent/rules/README.md"]).code, 1, "rules are shared");
    assert!(repo.join(".git/hooks/pre-commit").exists());
    let before = world.git(&repo, ["rev-parse", "refs/coop/init"]);
    let again = world.coop(&repo, ["init"]);
    assert!(again.code == 0 && !again.stderr.contains("made:"), "{}", again.stderr);
    assert_eq!(world.git(&repo, ["rev-parse", "refs/coop/init"]), before, "nothing was made, nothing is recorded");
    std::fs::write(repo.join(".agent/LOG.md"), "kept\n").expect("file");
    let undo = world.coop(&repo, ["init", "--undo"]);
    assert!(undo.code == 0 && undo.stderr.contains("left as it is: .agent/LOG.md"), "{}", undo.stderr);
    assert_eq!(world.git(&repo, ["status", "--porcelain"]), "?? .agent/\n?? .gitignore\n?? CLAUDE.md");
    assert_eq!(std::fs::read_to_string(repo.join(".gitignore")).expect("file"), "target\n");
    assert!(!repo.join(".git/hooks/pre-commit").exists() && repo.join(".agent/LOG.md").exists());
    assert_eq!(world.run(&repo, "git", ["config", "notes.displayRef"]).code, 1);
    world.coop(&repo, ["init", "--undo"]).fails(1, "has made nothing here");
    std::fs::remove_dir_all(repo.join(".agent")).expect("gone");
    std::os::unix::fs::symlink("/tmp", repo.join(".agent")).expect("link");
    world.coop(&repo, ["init"]).fails(2, "'.agent' is a symbolic link");
}

/// Eight processes take the same tasks: each task has one holder, and every other process is told.
#[test]
fn a_claim_has_one_winner() {
    let (world, repo) = place();
    std::fs::create_dir(repo.join(".agent")).expect("directory");
    let text: String = (0..5).map(|n| format!("- [ ] task {n}\n")).collect();
    std::fs::write(repo.join(".agent/TASKS.md"), text).expect("file");
    for task in json(&world, &repo) {
        let id = task["id"].as_str().expect("id");
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut command = world.command(&repo, "git-coop");
                command.args(["tasks", "claim", id]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().expect("starts")
            })
            .collect();
        let codes: Vec<_> = children.into_iter().map(|mut c| c.wait().expect("ends").code()).collect();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Some(3)).count(), 7, "{codes:?}");
    }
    assert_eq!(std::fs::read_to_string(repo.join(".agent/TASKS.md")).expect("text").matches("[w]").count(), 5);
}
