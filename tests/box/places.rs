//! Names of paths and owners of repositories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use coop::sandbox::spec::{Mount, Runtime, User};
use coop::sandbox::{Usable, launch};

use crate::common::{Fixture, capture, each, run, runtimes};

const NAMES: [&str; 12] = [
    "a:b",
    "a,b",
    "a=b",
    "quote\"d",
    "it's",
    "new\nline",
    " space ",
    "-dash",
    "$HOME",
    "back\\slash",
    "ünïcode",
    "%s*?[",
];

#[test]
fn every_name_is_shadowed() {
    each(|usable| {
        let fixture = Fixture::new();
        let mut spec = fixture.spec(usable, "grep -rl planted . || echo clean; find . -type f -printf x | wc -c");
        spec.mounts.truncate(1);
        for name in NAMES {
            let (file, dir) = (fixture.root.join(name), fixture.root.join(format!("{name}.d")));
            std::fs::write(&file, "planted").expect("write");
            std::fs::create_dir(&dir).expect("mkdir");
            std::fs::write(dir.join("key"), "planted").expect("write");
            spec.mounts.push(Mount::BlankFile { target: file });
            spec.mounts.push(Mount::BlankDir { target: dir });
        }
        std::fs::write(fixture.root.join(".env"), "").expect("write");
        std::fs::write(fixture.root.join("secrets/key"), "").expect("write");
        let ended = run(usable, &spec);
        let expected = format!("clean\n{}\n", NAMES.len() + 3);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), expected, "{}", usable.runtime.name());
    });
}

#[test]
fn the_repository_itself_may_have_any_name() {
    each(|usable| {
        let fixture = Fixture::new();
        let root = fixture.root.with_file_name("re:po, \"the\" 'first'=1");
        std::fs::rename(&fixture.root, &root).expect("rename");
        let mut spec = fixture.spec(usable, "cat README && cat .env && pwd");
        spec.mounts = vec![Mount::rw(&root, &root), Mount::BlankFile { target: root.join(".env") }];
        spec.workdir = root.clone();
        let ended = run(usable, &spec);
        assert_eq!(
            String::from_utf8_lossy(&ended.stdout),
            format!("hello\n{}\n", root.display()),
            "{}",
            usable.runtime.name()
        );
    });
}

#[test]
fn bytes_that_are_not_text_are_mounted_or_refused() {
    each(|usable| {
        let fixture = Fixture::new();
        let file = fixture.root.join(OsStr::from_bytes(b"bad\xff.pem"));
        std::fs::write(&file, "planted").expect("write");
        let mut spec = fixture.spec(usable, "grep -rl planted . || echo clean");
        spec.mounts.push(Mount::BlankFile { target: file });
        match launch(usable, &spec, capture()) {
            Ok(ended) => assert_eq!(String::from_utf8_lossy(&ended.stdout), "clean\n"),
            Err(err) => {
                assert_ne!(usable.runtime, Runtime::Bwrap);
                assert_eq!(err.kind().code(), 5);
                assert!(err.message().contains("\\xff"), "{}", err.message());
            }
        }
    });
}

#[test]
fn files_belong_to_the_owner_of_the_repository() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can make a repository of somebody else");
        return;
    }
    each(|usable| {
        let fixture = Fixture::new();
        let (uid, gid) = (12_345, 12_346);
        owned_by(usable, &fixture, uid, gid);
        let mut spec = fixture.spec(
            usable,
            "id -u; id -g; touch made && git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m m && echo committed",
        );
        spec.user = User { uid, gid };
        let ended = run(usable, &spec);
        let err = String::from_utf8_lossy(&ended.stderr);
        let out = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(out, format!("{uid}\n{gid}\ncommitted\n"), "{}: {err}", usable.runtime.name());
        use std::os::unix::fs::MetadataExt as _;
        let made = std::fs::metadata(fixture.root.join("made")).expect("made");
        assert_eq!((made.uid(), made.gid()), (uid, gid), "{}", usable.runtime.name());
    });
}

fn owned_by(_usable: &Usable, fixture: &Fixture, uid: u32, gid: u32) {
    let chown = |path: &std::path::Path| std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
    for path in [".", ".env", "secrets", "secrets/key", "README"] {
        chown(&fixture.root.join(path));
    }
    let parent = fixture.root.parent().expect("parent");
    std::fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
}

#[test]
fn too_many_mounts_for_bubblewrap_are_refused() {
    let Some(usable) = runtimes().iter().find(|u| u.runtime == Runtime::Bwrap) else { return };
    let fixture = Fixture::new();
    let mut spec = fixture.spec(usable, "true");
    spec.mounts = (0..1001).map(|n| Mount::BlankFile { target: fixture.root.join(n.to_string()) }).collect();
    let err = launch(usable, &spec, capture()).expect_err("too many");
    assert_eq!(err.kind().code(), 5);
    assert!(err.message().contains("1001 mounts") && !err.hints().is_empty());
}
