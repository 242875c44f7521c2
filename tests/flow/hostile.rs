//! What an agent plants for the host, and that the host does not fall for it.

use crate::world::{Place, everywhere, place};

/// A marker outside of everything a box can see.
fn marker(place: &Place) -> std::path::PathBuf {
    place.world.root().join("pwned")
}

/// Plants configuration that runs a program in whatever `.git` the box has.
fn plant(place: &Place) -> String {
    let touch = format!("touch {}", marker(place).display());
    let hook = format!("printf '#!/bin/sh\\n{touch}\\n' > hook; chmod +x hook");
    format!(
        "{hook}; for h in post-checkout reference-transaction post-index-change pre-commit update; do cp hook $h; done; \
         printf '* filter=x diff=x merge=x\\n' > .gitattributes; git add -A; git commit -qm planted; \
         D=$(git rev-parse --absolute-git-dir); mkdir -p $D/hooks; \
         for h in post-checkout reference-transaction post-index-change pre-commit update; do cp hook $D/hooks/$h; done; \
         for k in core.fsmonitor core.pager core.editor core.sshCommand diff.external gpg.program credential.helper \
         core.alternateRefsCommand filter.x.clean filter.x.smudge filter.x.process merge.x.driver diff.x.textconv; do \
         git config $k \"{touch}\"; done; git config core.hooksPath \"$PWD\"; git config core.worktree /etc; true"
    )
}

#[test]
fn planted_configuration_runs_nothing_on_the_host() {
    everywhere(|place| {
        let run = place.fork("x", &plant(place));
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/x/head"]), "planted", "{}", run.stderr);
        // what a user, an editor and coop itself do next
        let path = place.fork_path("x");
        for args in
            [&["status"][..], &["diff", "HEAD"], &["log", "-p", "-1"], &["checkout", "-q", "--", "."], &["add", "-A"]]
        {
            let _ = place.world.run(&path, "git", args);
        }
        let _ = place.coop(["fork", "ls"]);
        let _ = place.coop(["fork", "x", "--", "true"]);
        assert!(!marker(place).exists(), "a planted program ran on the host");
    });
}

#[test]
fn planted_configuration_in_the_live_checkout_is_gone_with_the_box() {
    everywhere(|place| {
        let run = place.live(&plant(place));
        assert_eq!(run.code, 0, "{}", run.stderr);
        for args in
            [&["status"][..], &["diff", "HEAD~1"], &["log", "-p", "-1"], &["commit", "--allow-empty", "-qm", "mine"]]
        {
            let _ = place.world.run(&place.repo, "git", args);
        }
        assert!(!marker(place).exists(), "a planted program ran on the host");
        let planted = place.world.run(
            &place.repo,
            "git",
            ["config", "--local", "--get-regexp", "fsmonitor|filter|hookspath|worktree"],
        );
        assert_eq!(planted.stdout, "");
    });
}

#[test]
fn a_committed_submodule_is_not_followed_before_it_is_accepted() {
    let Some(place) = place() else { return };
    let script = "mkdir sub && cd sub && git init -q && git config user.name a && git config user.email a@b && \
                  git commit -q --allow-empty -m s && cd .. && git add sub && git commit -qm gitlink";
    let run = place.fork("x", script);
    assert!(
        run.stderr.contains("submodule: sub") && run.stderr.contains("nested git repository: sub/.git"),
        "{}",
        run.stderr
    );
    let path = place.fork_path("x");
    assert_eq!(place.world.git(&path, ["ls-files", "-s", "sub"]), "", "the index would send git into it");
    place.coop(["fork", "open", "x"]).fails(1, "nested git repository");
    assert_eq!(place.coop(["fork", "accept", "x"]).code, 0);
    assert!(place.world.git(&path, ["ls-files", "-s", "sub"]).starts_with("160000"));
}

#[test]
fn a_private_directory_that_points_elsewhere_brings_nothing_of_the_host() {
    everywhere(|place| {
        let other = place.world.repo("other");
        std::fs::write(other.join("private"), "host only\n").expect("file");
        place.world.git(&other, ["add", "."]);
        place.world.git(&other, ["commit", "-qm", "private"]);
        let tip = place.world.git(&other, ["rev-parse", "HEAD"]);
        let script = format!(
            "echo {0}/.git/objects >> /coop/git/objects/info/alternates; echo {tip} > /coop/git/refs/heads/x; true",
            other.display()
        );
        let run = place.fork("x", &script);
        assert!(matches!(run.code, 0 | 1), "{}", run.stderr);
        assert_ne!(place.git(["log", "-1", "--format=%s", "refs/coop/forks/x/head"]), "private");
        assert!(
            place.world.run(&place.repo, "git", ["cat-file", "-e", &tip]).code != 0,
            "objects of another repository came along"
        );
    });
}

#[test]
fn special_files_and_links_in_the_private_directory_do_not_hang_or_redirect_the_host() {
    let Some(place) = place() else { return };
    let script = "cd /coop/git && rm -rf HEAD packed-refs refs && mkfifo HEAD packed-refs && ln -s /etc refs; true";
    let run = place.fork("x", script);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("damaged its git directory"), "{}", run.stderr);
    assert_eq!(place.state("x")["state"], "damaged");
    place.coop(["fork", "rm", "x"]).fails(1, "would be lost");
    assert_eq!(place.coop(["fork", "x", "--fresh", "--force", "--", "git", "status"]).code, 0);
    assert_eq!(place.state("x")["state"], "idle");
}
