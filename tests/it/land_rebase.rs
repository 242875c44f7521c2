//! The rebase in memory does what `git rebase` does: the same trees commit by commit, and the same conflicts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coop::env::Env;
use coop::git::rebase::{Options, Rebased, rebase};
use coop::git::{Oid, Repo, picks};
use proptest::prelude::*;

use crate::support::World;

const COMMITTER: &str = "Lander <lander@example.org> 1700000000 +0000";

/// What a rebase of either kind came to: trees, authors and messages, or the commit and paths in conflict.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    To(Vec<String>),
    Conflict(String, Vec<String>),
}

struct Both {
    dir: PathBuf,
    world: World,
}

impl Both {
    fn git<const N: usize>(&self, args: [&str; N]) -> String {
        self.world.git(&self.dir, args)
    }

    fn described(&self, onto: &str, tip: &str) -> Vec<String> {
        let out = self.git([
            "log",
            "--reverse",
            "--topo-order",
            "--format=%T %an <%ae> %ad%n%B%x00",
            "--date=raw",
            &format!("{onto}..{tip}"),
        ]);
        out.split('\0').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect()
    }

    fn by_git(&self, onto: &str, head: &str) -> Came {
        self.git(["checkout", "-q", "-f", "--detach", head]);
        let run = self.world.run(&self.dir, "git", ["rebase", "-q", onto]);
        if run.code == 0 {
            return Came::To(self.described(onto, "HEAD"));
        }
        let commit = self.git(["rev-parse", "REBASE_HEAD"]);
        let mut paths: Vec<String> = self
            .git(["diff", "--name-only", "--diff-filter=U", "-z"])
            .split('\0')
            .map(str::to_owned)
            .filter(|p| !p.is_empty())
            // the side that a clash of kinds of files is named after
            .map(|p| p.split('~').next().unwrap_or_default().to_owned())
            .collect();
        paths.sort();
        paths.dedup();
        self.git(["rebase", "--abort"]);
        Came::Conflict(commit, paths)
    }

    fn by_coop(&self, onto: &str, head: &str) -> Came {
        let env = Env::of_process();
        let repo = Repo::discover(&self.dir, &env).expect("repository");
        let (onto_id, head_id) = (Oid::parse(onto).expect("id"), Oid::parse(head).expect("id"));
        let base = picks::merge_base(&repo, &env, &onto_id, &head_id).expect("runs").expect("related");
        let range = picks::range(&repo, &env, &head_id, &onto_id, &base).expect("range");
        if picks::is_straight(&range, &onto_id) {
            return Came::To(self.described(onto, head));
        }
        let list = picks::picks(&repo, &env, &range, &head_id, &onto_id, &base).expect("picks");
        match rebase(&repo, &env, &onto_id, &list, &Options::new(COMMITTER)).expect("rebases") {
            Rebased::Done { tip, .. } => Came::To(self.described(onto, tip.as_str())),
            Rebased::Conflict(conflict) => {
                let mut paths: Vec<String> =
                    conflict.paths.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
                paths.sort();
                Came::Conflict(conflict.commit.to_string(), paths)
            }
        }
    }

    fn alike(&self, onto: &str, head: &str) -> Came {
        let (git, coop) = (self.by_git(onto, head), self.by_coop(onto, head));
        assert_eq!(coop, git, "{} onto {onto} from {head}", self.dir.display());
        git
    }
}

/// One step of a generated history.
#[derive(Debug, Clone)]
enum Step {
    Line(u8, u8, u8),
    Remove(u8),
    Rename(u8, u8),
    Mode(u8),
    Link(u8),
    Empty,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6u8, 0..12u8, 0..4u8).prop_map(|(f, l, t)| Step::Line(f, l, t)),
        1 => (0..6u8).prop_map(Step::Remove),
        1 => (0..6u8, 0..6u8).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (0..6u8).prop_map(Step::Mode),
        1 => (0..6u8).prop_map(Step::Link),
        1 => Just(Step::Empty),
    ]
}

fn name(n: u8) -> &'static str {
    ["a", "b", "d/one", "d/two", "e/f/deep", "h\u{e9} llo"][n as usize % 6]
}

fn apply(both: &Both, step: &Step, count: usize) {
    use std::os::unix::fs::PermissionsExt;
    let at = |n: u8| both.dir.join(name(n));
    let make = |path: &Path| std::fs::create_dir_all(path.parent().expect("parent")).expect("dir");
    match step {
        Step::Line(file, line, text) => {
            let path = at(*file);
            make(&path);
            if path.is_symlink() {
                std::fs::remove_file(&path).expect("removed");
            }
            let old =
                std::fs::read_to_string(&path).unwrap_or_else(|_| (0..12).map(|n| format!("{n}\n\n\n")).collect());
            let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
            let at = (*line as usize * 3).min(lines.len().saturating_sub(1));
            lines[at] = format!("{line} {text}");
            std::fs::write(&path, lines.join("\n") + "\n").expect("written");
        }
        Step::Remove(file) => drop(std::fs::remove_file(at(*file))),
        Step::Rename(from, to) => {
            make(&at(*to));
            let _ = std::fs::rename(at(*from), at(*to));
        }
        Step::Mode(file) if at(*file).is_file() && !at(*file).is_symlink() => {
            std::fs::set_permissions(at(*file), PermissionsExt::from_mode(0o755)).expect("mode");
        }
        Step::Link(file) => {
            make(&at(*file));
            let _ = std::fs::remove_file(at(*file));
            std::os::unix::fs::symlink("target", at(*file)).expect("link");
        }
        Step::Mode(_) | Step::Empty => {}
    }
    both.git(["add", "-A"]);
    let message = format!("step {count}\n\nbody {step:?}\n\nTrailer: {count}");
    both.git([
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        &message,
        "--author",
        "Agent <a@b>",
        "--date",
        "@1600000000 +0230",
    ]);
}

fn generated() -> Both {
    let world = World::new();
    let dir = world.repo("repo");
    let both = Both { dir, world };
    both.git(["config", "core.hooksPath", "/dev/null"]);
    for file in 0..6 {
        apply(&both, &Step::Line(file, 0, 0), 0);
    }
    both
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn generated_histories(ours in prop::collection::vec(step(), 0..5), theirs in prop::collection::vec(step(), 1..6)) {
        let both = generated();
        let base = both.git(["rev-parse", "HEAD"]);
        for (n, step) in ours.iter().enumerate() {
            apply(&both, step, 100 + n);
        }
        let onto = both.git(["rev-parse", "HEAD"]);
        both.git(["checkout", "-q", "-f", "--detach", &base]);
        for (n, step) in theirs.iter().enumerate() {
            apply(&both, step, 200 + n);
        }
        let head = both.git(["rev-parse", "HEAD"]);
        both.alike(&onto, &head);
    }
}

/// Merges are brought into a line, the same patch is not picked twice, encodings and empty commits stay.
#[test]
fn merges_doubles_and_empty_commits() {
    let both = generated();
    let base = both.git(["rev-parse", "HEAD"]);
    apply(&both, &Step::Line(0, 3, 1), 1);
    let onto = both.git(["rev-parse", "HEAD"]);
    both.git(["checkout", "-q", "--detach", &base]);
    apply(&both, &Step::Line(0, 3, 1), 2); // the same patch as on the target
    apply(&both, &Step::Empty, 3);
    apply(&both, &Step::Line(1, 5, 1), 4);
    let side = both.git(["rev-parse", "HEAD"]);
    both.git(["checkout", "-q", "--detach", "HEAD~1"]);
    apply(&both, &Step::Line(2, 5, 1), 5);
    both.git(["merge", "-q", "--no-edit", &side]);
    both.git(["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", "encoded"]);
    let head = both.git(["rev-parse", "HEAD"]);
    match both.alike(&onto, &head) {
        Came::To(commits) => assert_eq!(commits.len(), 4, "{commits:#?}"),
        other => panic!("{other:?}"),
    }
}

/// `union`, `-merge` and a driver that nobody defined are merged as `git rebase` does; a defined driver is a program,
/// which does not run: a conflict.
#[test]
fn merge_attributes_of_the_target_count_and_no_driver_runs() {
    for (attribute, clean) in [("merge=union", true), ("-merge", false), ("binary", false), ("merge=nobodys", false)] {
        let both = generated();
        std::fs::create_dir_all(both.dir.join("d")).expect("dir");
        std::fs::write(both.dir.join("d/.gitattributes"), format!("one {attribute}\n")).expect("attributes");
        apply(&both, &Step::Line(2, 0, 0), 0);
        let base = both.git(["rev-parse", "HEAD"]);
        apply(&both, &Step::Line(2, 3, 1), 1);
        let onto = both.git(["rev-parse", "HEAD"]);
        both.git(["checkout", "-q", "--detach", &base]);
        apply(&both, &Step::Line(2, 3, 2), 2); // the same line
        let head = both.git(["rev-parse", "HEAD"]);
        assert_eq!(matches!(both.alike(&onto, &head), Came::To(_)), clean, "{attribute}");
        both.git(["checkout", "-q", "--detach", &base]);
        apply(&both, &Step::Line(2, 9, 2), 2); // another line: text would merge cleanly
        let head = both.git(["rev-parse", "HEAD"]);
        let text = matches!(attribute, "merge=union" | "merge=nobodys");
        assert_eq!(matches!(both.alike(&onto, &head), Came::To(_)), text, "{attribute}");
        // the driver is a program of the user's now
        let mark = both.world.root().join("ran");
        both.git(["config", "merge.nobodys.driver", &format!("touch {}", mark.display())]);
        both.git(["config", "merge.default", "nobodys"]);
        let came = both.by_coop(&onto, &head);
        assert_eq!(matches!(came, Came::To(_)), attribute == "merge=union", "{attribute}: {came:?}");
        assert!(!mark.exists(), "{attribute}: a merge driver ran");
    }
}

/// Where time runs out for git, that is said, and nothing else is claimed.
#[test]
fn the_time_limit_is_a_conflict_that_says_so() {
    let both = generated();
    let base = both.git(["rev-parse", "HEAD"]);
    apply(&both, &Step::Line(0, 3, 1), 1);
    let onto = both.git(["rev-parse", "HEAD"]);
    both.git(["checkout", "-q", "--detach", &base]);
    apply(&both, &Step::Line(0, 3, 2), 2);
    let head = both.git(["rev-parse", "HEAD"]);
    assert!(matches!(both.alike(&onto, &head), Came::Conflict(_, paths) if paths == ["a"]));
    let env = Env::of_process();
    let repo = Repo::discover(&both.dir, &env).expect("repository");
    let options = Options { each: Duration::ZERO, ..Options::new(COMMITTER) };
    let (onto, head) = (Oid::parse(&onto).expect("id"), Oid::parse(&head).expect("id"));
    match rebase(&repo, &env, &onto, std::slice::from_ref(&head), &options).expect("runs") {
        Rebased::Conflict(conflict) => {
            assert!(conflict.timed_out && conflict.commit == head && conflict.paths.is_empty())
        }
        done => panic!("{done:?}"),
    }
}

/// Real histories, named by `COOP_TEST_HISTORIES` (paths of repositories, `:` between them): windows of commits
/// rebased onto points that lack earlier work or have later work already.
#[test]
fn real_histories() {
    let env = Env::of_process();
    let Some(list) = env.str("COOP_TEST_HISTORIES") else {
        println!("skipped: COOP_TEST_HISTORIES names no repository");
        return;
    };
    let windows: usize = env.str("COOP_TEST_WINDOWS").and_then(|n| n.parse().ok()).unwrap_or(40);
    for source in list.split(':') {
        let world = World::new();
        let dir = world.root().join("history");
        let clone =
            world.run(&world.root(), "git", ["clone", "-q", "--no-hardlinks", source, dir.to_str().expect("path")]);
        assert_eq!(clone.code, 0, "{}", clone.stderr);
        let both = Both { dir, world };
        let line: Vec<String> =
            both.git(["rev-list", "--first-parent", "-n", "1200", "HEAD"]).lines().map(str::to_owned).collect();
        let (mut clean, mut conflicts, mut commits) = (0, 0, 0);
        let blob = both.git(["hash-object", "-w", "--stdin"]);
        for n in 0..windows {
            let at = 60 + (n * 7919) % (line.len() - 150);
            // every third window is long, on a target that has one file more; the others lack work or have it already
            let (head, base) = if n % 3 == 2 { (&line[at], &line[at + 20]) } else { (&line[at], &line[at + 5]) };
            let tree = match n % 3 {
                0 => format!("{}^{{tree}}", &line[at + 6 + n % 25]),
                1 => format!("{}^{{tree}}", &line[at - (1 + n % 25)]),
                _ => {
                    let index = [("GIT_INDEX_FILE", both.dir.join(".git/window-index"))];
                    let with = |args: &[&str]| {
                        let mut git = both.world.command(&both.dir, "git");
                        let output = git.envs(index.clone()).args(args).output().expect("git");
                        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                        String::from_utf8_lossy(&output.stdout).trim().to_owned()
                    };
                    with(&["read-tree", base]);
                    with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},a-file-of-the-target")]);
                    with(&["write-tree"])
                }
            };
            let onto = both.git(["commit-tree", "-m", "elsewhere", "-p", base, &tree]);
            match both.alike(&onto, head) {
                Came::To(picked) => {
                    clean += 1;
                    commits += picked.len();
                }
                Came::Conflict(..) => conflicts += 1,
            }
        }
        println!("{source}: {clean} windows clean with {commits} commits, {conflicts} in conflict, all as git rebase");
    }
}
