use super::*;
use std::os::unix::fs::symlink;

use crate::agent::tree;

#[test]
fn nothing_is_written_or_read_through_planted_links() {
    let world = World::new();
    world.put("config/agents/claude/profiles/work/.claude/.credentials.json", &credentials("work", 10));
    let host = world.put("host/file", "host");
    world.put("host/dir/inside.jsonl", "host secret");
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    let claude = world.path("scratch/home/.claude");
    // the credential, a session file and a whole directory become links to the host
    std::fs::remove_file(claude.join(".credentials.json")).expect("removes");
    symlink(world.put("host/forged", &credentials("forged", 99)), claude.join(".credentials.json")).expect("links");
    std::fs::create_dir_all(claude.join("projects/-w")).expect("a directory");
    symlink(&host, claude.join("projects/-w/a.jsonl")).expect("links");
    symlink(world.path("host/dir"), claude.join("projects/linked")).expect("links");
    symlink(world.path("host/dir"), claude.join("todos")).expect("links");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        claude.join("projects/-w/pipe.jsonl"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    world.put("scratch/home/.claude/projects/-w/good.jsonl", "good");
    let kept = prepared.finish().expect("finishes");
    assert_eq!((kept.history.files, kept.credentials), (1, 0));
    assert!(kept.history.skipped >= 4, "{kept:?}");
    assert_eq!(world.read("history/.claude/projects/-w/good.jsonl").as_deref(), Some("good"));
    assert!(!world.path("history/.claude/projects/linked").exists() && !world.path("history/.claude/todos").exists());
    let profile = "config/agents/claude/profiles/work/.claude/.credentials.json";
    assert_eq!(world.read(profile), Some(credentials("work", 10)));
    assert_eq!(world.read("host/dir/inside.jsonl").as_deref(), Some("host secret"), "removal followed no link");
}

#[test]
fn a_link_in_the_history_directory_is_not_written_through() {
    let world = World::new();
    world.put("host/projects/a.jsonl", "host");
    std::fs::create_dir_all(world.path("history/.claude")).expect("a directory");
    symlink(world.path("host/projects"), world.path("history/.claude/projects")).expect("links");
    let prepared = world.prepare("claude", None).expect("prepares");
    assert!(!world.path("scratch/home/.claude/projects/a.jsonl").exists(), "nothing is read through it");
    world.put("scratch/home/.claude/projects/a.jsonl", "agent");
    let kept = prepared.finish().expect("finishes");
    assert_eq!((kept.history.files, kept.history.skipped), (0, 1));
    assert_eq!(world.read("host/projects/a.jsonl").as_deref(), Some("host"));
}

#[test]
fn limits_hold_and_the_newest_files_win() {
    let world = World::new();
    let limits = tree::Limits { files: 2, file_bytes: 10, bytes: 15 };
    for (age, name) in ["new", "middle", "old"].iter().enumerate() {
        let file = world.put(&format!("from/{name}"), "1234567");
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age as u64 * 100);
        std::fs::File::options().write(true).open(file).and_then(|f| f.set_modified(time)).expect("a time");
    }
    world.put("from/huge", "12345678901");
    std::fs::create_dir(world.path("to")).expect("a directory");
    let open = |path: &str| tree::open_root(&world.path(path)).expect("opens");
    let copied = tree::copy(&open("from"), &open("to"), Path::new(""), limits, None, false);
    assert_eq!((copied.files, copied.bytes, copied.skipped), (2, 14, 2));
    assert!(world.path("to/new").exists() && world.path("to/middle").exists() && !world.path("to/old").exists());
    assert!(tree::read(&open("from"), Path::new("huge"), 10).is_err());
    assert!(tree::read(&open("from"), Path::new("../to/new"), 10).is_err(), "'..' is not walked");
}

/// What a removal that was killed left, or a box made to look like it.
#[test]
fn names_that_a_removal_uses_are_in_nobodys_way() {
    let world = World::new();
    for dir in [".coop-rm-1/full", ".coop-rm-2", "a/b/c"] {
        std::fs::create_dir_all(world.path("taken").join(dir)).expect("directory");
    }
    std::fs::write(world.path("taken/.coop-rm-3"), "a file").expect("file");
    tree::remove(&world.path("taken")).expect("removes");
    assert!(!world.path("taken").exists());
}

#[test]
fn very_deep_and_locked_directories_are_removed() {
    let world = World::new();
    // deeper than a path may be long, made step by step
    std::fs::create_dir(world.path("deep")).expect("a directory");
    let mut dir = tree::open_root(&world.path("deep")).expect("opens");
    for _ in 0..1_000 {
        rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).expect("a directory");
        dir = rustix::fs::openat(&dir, "d", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).expect("opens");
    }
    let locked = world.path("deep/locked");
    world.put("deep/locked/inner/file", "x");
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("locks");
    let (found, skipped) = tree::list(&tree::open_root(&world.path("deep")).expect("opens"), Path::new(""));
    assert!(found.len() <= 1 && skipped >= 1, "depth is bounded: {} {skipped}", found.len());
    tree::remove(&world.path("deep")).expect("removes");
    assert!(!world.path("deep").exists());
}
