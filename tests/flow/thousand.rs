//! A thousand secrets around a fork: by name, by content, behind links, in what other branches, the stash and lost
//! commits hold, and in files that appear while the box runs. The box searches everything it can see.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::Run;
use crate::world::{Place, everywhere, until};

/// Prints every planted number that can be found: in files, in every object, in environments.
const SEARCH: &str = r#"
{ grep -rahos 'planted-secret-[0-9]*' "$PWD" "$PWD/../../repo" "$HOME" /coop /tmp /var /run /etc /root /home /mnt /srv /dev/shm
  git cat-file --batch-all-objects --batch --unordered | grep -ao 'planted-secret-[0-9]*'
  cat /proc/[0-9]*/environ | tr '\0' '\n' | grep -ao 'planted-secret-[0-9]*'; } 2>/dev/null | sort -u; true
"#;

/// Plants secrets and counts them.
struct Planter<'a> {
    place: &'a Place,
    planted: usize,
}

impl Planter<'_> {
    fn value(&mut self) -> String {
        self.planted += 1;
        format!("planted-secret-{:04}\n", self.planted)
    }
    fn file(&mut self, path: &str) {
        let path = self.place.repo.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        let value = self.value();
        std::fs::write(path, value).expect("secret");
    }
    /// A commit with a secret on top of HEAD, on no branch.
    fn commit(&mut self, name: &str) -> String {
        let value = self.value();
        std::fs::write(self.place.repo.join(name), value).expect("secret");
        self.place.git(["add", "-f", name]);
        self.place.git(["commit", "-qm", name]);
        let commit = self.place.git(["rev-parse", "HEAD"]);
        self.place.git(["reset", "-q", "--hard", "HEAD~1"]);
        commit
    }

    fn everything_before(&mut self) {
        for n in 0..250 {
            let names =
                [".env", "id_rsa", "server.key", ".netrc", "secrets/token", "app.tfvars", ".ENV.local", "auth.json"];
            self.file(&format!("by-name/{n}/{}", names[n % names.len()]));
        }
        for n in 0..250 {
            self.file(&format!("untracked/{n}/notes-{n}.txt")); // by content alone
        }
        for n in 0..100 {
            self.file(&format!("linked/{n}.txt"));
            symlink(format!("{n}.txt"), self.place.repo.join(format!("linked/{n}.pem"))).expect("link");
            std::fs::hard_link(
                self.place.repo.join(format!("linked/{n}.txt")),
                self.place.repo.join(format!("linked/{n}.copy")),
            )
            .expect("hard link");
        }
        for n in 0..75 {
            let commit = self.commit("other");
            self.place.git(["branch", &format!("other-{n}"), &commit]);
            self.commit("lost");
        }
        for _ in 0..50 {
            let value = self.value();
            std::fs::write(self.place.repo.join("README"), value).expect("change");
            self.place.git(["stash", "-q"]);
        }
    }

    /// Files and commits of the user while the box is at work.
    fn late(&mut self) {
        while self.planted < 1_000 {
            self.file(&format!("late/{}/.env", self.planted));
        }
    }
}

fn numbers(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| line.starts_with("planted-secret-")).collect()
}

#[test]
fn a_fork_reads_none_of_a_thousand_secrets() {
    everywhere(|place| {
        let mut planter = Planter { place, planted: 0 };
        planter.everything_before();
        let script = format!("touch ready; for i in $(seq 300); do [ -e go ] && break; sleep 0.1; done; {SEARCH}");
        let mut command = place.world.command(&place.repo, "git-coop");
        command.args(["fork", "x", "--", "sh", "-c", &script]).stdin(std::process::Stdio::null());
        let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
        let child = child.expect("git-coop starts");
        let fork = place.fork_path("x");
        until("the box runs", || fork.join("ready").exists());
        planter.late();
        assert_eq!(planter.planted, 1_000);
        std::fs::write(fork.join("go"), "").expect("signal");
        let run = Run::of(child.wait_with_output().expect("ends"));
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(numbers(&run.stdout).len(), 0, "{}", run.stdout);
        // the same search where there is no box finds them all
        let here = search_on_the_host(place, &place.repo);
        assert_eq!(numbers(&here).len(), 1_000, "the search itself must work");
    });
}

fn search_on_the_host(place: &Place, dir: &Path) -> String {
    place
        .world
        .run(dir, "sh", ["-c", &SEARCH.replace(" /tmp /var /run /etc /root /home /mnt /srv /dev/shm", "")])
        .stdout
}
