//! Help, completions and configuration from the outside.

use crate::support::{Run, World};

#[test]
fn help_version_and_usage() {
    let world = World::new();
    let here = world.root();
    for args in [vec!["-h"], vec!["--help"], vec!["help"], vec!["help", "config"], vec!["config", "-h"]] {
        let text = world.coop(&here, &args).ok();
        assert!(text.contains("Usage: git coop"), "{args:?}: {text}");
    }
    assert_eq!(world.coop(&here, ["--version"]).ok(), format!("git-coop {}\n", env!("CARGO_PKG_VERSION")));
    let usage = world.coop(&here, ["config", "--no-such-option"]);
    assert_eq!((usage.code, usage.stdout.as_str()), (2, ""), "{}", usage.stderr);
    assert_eq!(world.coop(&here, [] as [&str; 0]).code, 2);
}

#[test]
fn through_git_itself() {
    let world = World::new();
    let repo = world.repo("repo");
    let run = world.run(&repo, "git", ["coop", "config", "coop.pids"]);
    assert_eq!(run.ok(), "512\n");
}

#[test]
fn a_reader_that_goes_away_is_quiet() {
    let world = World::new();
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut command = world.command(&world.root(), "git-coop");
    let run = Run::of(command.arg("help").stdout(writer).output().expect("runs"));
    assert_eq!((run.code, run.stderr.as_str()), (141, ""));
}

#[test]
fn completions_of_three_shells_and_their_engine() {
    let world = World::new();
    let repo = world.repo("repo");
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.coop(&repo, ["completions", shell]).ok().contains("git-coop completions --"), "{shell}");
    }
    let head = world.git(&repo, ["rev-parse", "HEAD"]);
    world.git(&repo, ["update-ref", "refs/coop/forks/feature/meta", &head]);
    world.git(&repo, ["update-ref", "refs/coop/forks/feature/head", &head]);
    assert_eq!(world.coop(&repo, ["completions", "--list", "forks"]).ok(), "feature\n");
    assert!(world.coop(&repo, ["completions", "--list", "agents"]).ok().lines().any(|agent| agent == "claude"));
    assert!(world.coop(&repo, ["completions", "--", "conf"]).ok().starts_with("config\tShow or change"));
    assert_eq!(world.coop(&world.root(), ["completions", "--list", "forks"]).ok(), "", "no repository, no error");
}

#[test]
fn bash_completes_through_git() {
    let world = World::new();
    let repo = world.repo("repo");
    let script = r#"
        source <(git-coop completions bash)
        words=(git coop conf); cword=2; _git_coop; echo "git: ${COMPREPLY[*]}"
        words=(git -C . coop config coop.mem); cword=5; _git_coop; echo "option: ${COMPREPLY[*]}"
        COMP_WORDS=(git-coop claud); COMP_CWORD=1; __git_coop_program; echo "program: ${COMPREPLY[*]}"
    "#;
    let run = world.run(&repo, "bash", ["-c", script]);
    assert_eq!(run.ok(), "git: config\noption: coop.memory\nprogram: claude\n");
}

#[test]
fn configuration_strongest_first() {
    let world = World::new();
    let repo = world.repo("repo");
    let conf = world.home().join(".config/coop");
    std::fs::create_dir_all(&conf).expect("directory");
    std::fs::write(conf.join("coop.conf"), "COOP_PIDS=100\nCOOP_MEMORY=1g\n").expect("file");
    assert_eq!(world.coop(&repo, ["config", "coop.pids"]).ok(), "100\n");
    world.coop(&repo, ["config", "pids", "200"]).ok();
    assert_eq!(world.git(&repo, ["config", "--local", "coop.pids"]), "200");
    assert_eq!(world.coop(&repo, ["config", "COOP_PIDS"]).ok(), "200\n");
    let all = world.coop(&repo, ["config", "--json"]).ok();
    let rows: serde_json::Value = serde_json::from_str(&all).expect("JSON");
    let row = |name: &str| rows.as_array().expect("rows").iter().find(|r| r["name"] == name).expect(name).clone();
    assert_eq!(
        (row("coop.pids")["value"].as_str(), row("coop.pids")["source"].as_str()),
        (Some("200"), Some("git config"))
    );
    assert_eq!(row("coop.memory")["source"], "coop.conf");
    world.coop(&repo, ["config", "--unset", "pids"]).ok();
    assert_eq!(world.coop(&repo, ["config", "pids"]).ok(), "100\n");
    assert_eq!(world.coop(&repo, ["config", "coop.cpus"]).code, 1, "unset is the answer no");
    let world = world.with_env("COOP_PIDS", "300");
    assert_eq!(world.coop(&repo, ["config", "pids"]).ok(), "300\n");
    assert!(world.coop(&repo, ["config"]).ok().contains("environment"));
}
