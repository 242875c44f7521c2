//! Kinds of repositories: each works, or is refused before anything starts.

use std::path::Path;

use crate::world::{Place, place};

const WORK: &str = "echo x >> README; git add README; git commit -qm boxed";

/// A live run and a fork in `dir`; both bring back one commit.
fn works(place: &Place, dir: &Path) {
    let live = place.world.coop(dir, ["run", "--", "sh", "-c", WORK]);
    assert_eq!(live.code, 0, "{}", live.stderr);
    assert_eq!(place.world.git(dir, ["log", "-1", "--format=%s"]), "boxed");
    let fork = place.world.coop(dir, ["fork", "shape", "--", "sh", "-c", WORK]);
    assert_eq!(fork.code, 0, "{}", fork.stderr);
    assert_eq!(place.world.git(dir, ["rev-list", "--count", "HEAD..refs/coop/forks/shape/head"]), "1");
    assert_eq!(place.world.git(dir, ["status", "--porcelain"]), "", "clean before, clean after");
}

/// The fork that [`works`] left lands behind a gate, and the landing can be proved.
fn lands(place: &Place, dir: &Path) {
    let landed = place.world.coop(dir, ["merge", "shape", "--yes", "--gate", "grep -q x README"]);
    assert_eq!(landed.code, 0, "{}", landed.stderr);
    assert_eq!(place.world.git(dir, ["rev-list", "--count", "HEAD"]), "3");
    assert_eq!(place.world.git(dir, ["status", "--porcelain"]), "", "the checkout has followed");
    let proved = place.world.coop(dir, ["verify", "HEAD~1..HEAD"]);
    assert_eq!(proved.code, 0, "{}{}", proved.stdout, proved.stderr);
}

fn made(place: &Place, args: &[&str]) -> std::path::PathBuf {
    let dir = place.world.root().join("shaped");
    std::fs::create_dir(&dir).expect("dir");
    place.world.git(&dir, ["init", "-q"].into_iter().chain(args.iter().copied()));
    std::fs::write(dir.join("README"), "hello\n").expect("file");
    place.world.git(&dir, ["add", "."]);
    place.world.git(&dir, ["commit", "-qm", "first"]);
    dir
}

#[test]
fn sha256() {
    let Some(place) = place() else { return };
    let dir = made(&place, &["--object-format=sha256"]);
    works(&place, &dir);
    lands(&place, &dir);
}

#[test]
fn reftable() {
    let Some(place) = place() else { return };
    let dir = made(&place, &["--ref-format=reftable"]);
    works(&place, &dir);
    lands(&place, &dir);
}

#[test]
fn linked_work_tree() {
    let Some(place) = place() else { return };
    place.git(["worktree", "add", "-q", "../linked", "-b", "linked"]);
    works(&place, &place.world.root().join("linked"));
}

#[test]
fn detached_head() {
    let Some(place) = place() else { return };
    place.git(["checkout", "-q", "--detach"]);
    works(&place, &place.repo);
}

#[test]
fn shallow() {
    let Some(place) = place() else { return };
    let url = format!("file://{}", place.repo.display());
    place.git(["clone", "-q", "--depth", "1", &url, "../shallow"]);
    works(&place, &place.world.root().join("shallow"));
}

#[test]
fn sparse() {
    let Some(place) = place() else { return };
    for dir in ["in", "out"] {
        std::fs::create_dir(place.repo.join(dir)).expect("dir");
        std::fs::write(place.repo.join(dir).join("file"), "x\n").expect("file");
    }
    place.git(["add", "."]);
    place.git(["commit", "-qm", "dirs"]);
    place.git(["sparse-checkout", "set", "in"]);
    let seen = place.live("ls; git status --porcelain").ok();
    assert_eq!(seen, "README\nin\n");
    works(&place, &place.repo);
    assert!(!place.repo.join("out").exists());
}

#[test]
fn split_index() {
    let Some(place) = place() else { return };
    place.git(["update-index", "--split-index"]);
    works(&place, &place.repo);
}

#[test]
fn borrowed_objects() {
    let Some(place) = place() else { return };
    place.git(["clone", "-q", "--shared", ".", "../borrower"]);
    works(&place, &place.world.root().join("borrower"));
}

#[test]
fn partial_clone_with_missing_objects_is_refused() {
    let Some(place) = place() else { return };
    place.git(["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", place.repo.display());
    place.git(["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "../partial"]);
    let dir = place.world.root().join("partial");
    place.world.coop(&dir, ["run", "--", "true"]).fails(2, "partial clone");
    place.world.coop(&dir, ["fork", "x", "--", "true"]).fails(2, "");
    assert_eq!(place.world.git(&dir, ["for-each-ref", "refs/coop"]), "");
    assert!(!place.world.root().join("partial-forks/x").exists());
}

#[test]
fn submodules_are_refused_live_and_empty_in_forks() {
    let Some(place) = place() else { return };
    let module = place.world.repo("module");
    let url = module.display().to_string();
    place.git(["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "sub"]);
    place.git(["commit", "-qm", "submodule"]);
    place.coop(["run", "--", "true"]).fails(2, "submodules (sub)");
    let run = place.fork("x", &format!("ls -A sub; {WORK}; git status --porcelain"));
    assert_eq!(run.ok(), "");
    assert_eq!(place.state("x")["ahead"], 1);
}

#[test]
fn lfs_files_stay_pointers_in_forks_and_cannot_be_committed_by_a_box_without_it() {
    let Some(place) = place() else { return };
    std::fs::write(place.repo.join(".gitattributes"), "*.bin filter=lfs\n").expect("file");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
    std::fs::write(place.repo.join("a.bin"), pointer).expect("file");
    place.git(["add", "."]);
    place.git(["commit", "-qm", "pointer"]);
    for (key, value) in [("clean", "cat"), ("smudge", "cat"), ("required", "true")] {
        place.git(["config", &format!("filter.lfs.{key}"), value]);
    }
    let run = place.fork("x", "cat a.bin; git status --porcelain");
    assert_eq!(run.ok(), pointer);
    let run = place.fork("x", "echo raw > b.bin; git add b.bin && echo added; true");
    assert_eq!(run.ok(), "", "adding without the filter must fail");
}
