//! The check beside the programs that people manage hooks with: husky, lefthook and pre-commit, as npm and PyPI have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::sample::Sample;
use crate::tools::{cached, node, npm, run};

/// Ada's repository with `files`; programs are looked up in `first`, then beside git-coop.
struct Managed {
    sample: Sample,
    path: String,
}

impl Managed {
    fn new(first: &Path, files: &[(&str, &str)]) -> Managed {
        let own = Path::new(env!("CARGO_BIN_EXE_git-coop")).parent().expect("a directory").to_owned();
        let dirs: Vec<PathBuf> = vec![first.into(), own, node().parent().expect("a directory").into()];
        let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        let managed = Managed { sample: Sample::new(), path: format!("{}:/usr/bin:/bin", dirs.join(":")) };
        for (name, text) in files {
            let file = managed.sample.repo().join(name);
            fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
            fs::write(file, text).expect("a file");
        }
        managed
    }
    fn output(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/env");
        command.arg(program).args(args).current_dir(self.sample.repo()).env_clear();
        command.env("PATH", &self.path).env("HOME", self.sample.home()).output().expect("a program")
    }
    fn does(&self, program: &str, args: &[&str]) -> String {
        let output = self.output(program, args);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{program} {args:?}: {text}");
        text
    }
    /// A commit with a secret is stopped by the check and not by the manager, and one without goes through both.
    fn stops(&self, said: &str) {
        let token = ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        fs::write(self.sample.repo().join("key.py"), format!("key = '{token}'\n")).expect("a file");
        self.does("git", &["add", "-A"]);
        let output = self.output("git", &["commit", "-m", "a secret"]);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!output.status.success() && text.contains("github-token"), "{text}");
        fs::write(self.sample.repo().join("key.py"), "key = load()\n").expect("a file");
        self.does("git", &["add", "-A"]);
        let text = self.does("git", &["commit", "--allow-empty", "-m", "fine"]);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn beside_husky() {
    let modules = cached("husky-9", |dir| npm(dir, &["husky@9"]));
    let managed = Managed::new(&modules.join("node_modules/.bin"), &[(".husky/pre-commit", "echo husky works\n")]);
    managed.does("husky", &[]);
    let said = managed.does("git-coop", &["init", "--hooks"]);
    assert!(said.contains("warning: husky"), "{said}");
    managed.stops("husky works");
    // what npm install does, and what the hint says
    managed.does("husky", &[]);
    fs::write(managed.sample.repo().join(".husky/pre-commit"), "git-coop-scan --staged\necho husky works\n")
        .expect("a file");
    assert!(!managed.does("git-coop", &["init", "--hooks"]).contains("warning"));
    managed.does("husky", &[]);
    managed.stops("husky works");
}

#[test]
fn beside_lefthook() {
    let modules = cached("lefthook-2", |dir| npm(dir, &["lefthook@2"]));
    let config = "pre-commit:\n  commands:\n    own: { run: echo lefthook works }\n";
    let managed = Managed::new(&modules.join("node_modules/.bin"), &[("lefthook.yml", config)]);
    managed.does("lefthook", &["install"]);
    let said = managed.does("git-coop", &["init", "--hooks"]);
    assert!(said.contains("warning: lefthook"), "{said}");
    managed.stops("lefthook works");
    let config = format!("{config}    git-coop-scan: {{ run: git-coop-scan --staged }}\n");
    fs::write(managed.sample.repo().join("lefthook.yml"), config).expect("a file");
    managed.does("lefthook", &["install", "--force"]);
    managed.stops("lefthook works");
}

#[test]
fn beside_pre_commit() {
    let venv = cached("pre-commit-4", |dir| {
        let made = Command::new("python3").args(["-m", "venv"]).arg(dir).output();
        if made.is_ok_and(|output| output.status.success()) {
            run(Command::new(dir.join("bin/pip")).args(["install", "--quiet", "pre-commit==4.*"]));
        }
    });
    if !venv.join("bin/pre-commit").is_file() {
        eprintln!("SKIPPED: pre-commit: python3 makes no virtual environment here");
        return;
    }
    let own = "repos:\n- repo: local\n  hooks:\n  - {id: own, name: own, language: system, entry: echo pre-commit works, verbose: true}\n";
    for coop_first in [true, false] {
        let managed = Managed::new(&venv.join("bin"), &[(".pre-commit-config.yaml", own)]);
        let mut steps: [(&str, &[&str]); 2] = [("git-coop", &["init", "--hooks"]), ("pre-commit", &["install"])];
        if !coop_first {
            steps.reverse();
        }
        steps.iter().for_each(|(program, args)| drop(managed.does(program, args)));
        managed.stops("pre-commit works");
        managed.does("git-coop", &["init", "--hooks", "--uninstall"]);
        let hooks = managed.sample.repo().join(".git/hooks");
        let left = fs::read_dir(hooks).expect("hooks").flatten().filter_map(|e| fs::read_to_string(e.path()).ok());
        assert_eq!(left.filter(|text| text.contains("git-coop")).count(), 0);
    }
}
