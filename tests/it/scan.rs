//! `git coop scan`: modes, output, accepted findings, bad input. No secret-shaped text is written down here: it is put together.

use std::fs;
use std::path::Path;

use crate::support::{Run, World};

/// A token in the form of a provider.
pub fn token() -> String {
    format!("gh{}_{}", "p", "Zk3Qp9Lw2Xv7Rt5Nb8Mc4Yd6Hf1Gj0SaEuWi")
}

/// Another one.
pub fn other() -> String {
    format!("glp{}-{}", "at", "Q7w2E9r4T1y8U3i6O5p0")
}

pub fn scan(world: &World, dir: &Path, args: &[&str]) -> Run {
    world.run(dir, "git-coop-scan", args)
}

pub fn findings(run: &Run) -> Vec<(String, String)> {
    let json: serde_json::Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", run.stdout, run.stderr));
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    json["findings"].as_array().expect("array").iter().map(|f| (text(&f["path"]), text(&f["rule"]))).collect()
}

#[test]
fn work_tree_tracked_untracked_and_ignored() {
    let world = World::new();
    let repo = world.repo("r");
    assert_eq!(scan(&world, &repo, &[]).code, 0);
    fs::write(repo.join(".gitignore"), "ignored\n").expect("file");
    fs::write(repo.join("ignored"), token()).expect("file");
    fs::write(repo.join("untracked"), format!("a\nkey = \"{}\"\n", token())).expect("file");
    std::os::unix::fs::symlink(format!("https://u:{}@h/", token()), repo.join("link")).expect("link");
    let run = scan(&world, &repo, &["--json"]);
    assert_eq!(run.code, 1);
    let paths: Vec<String> = findings(&run).into_iter().map(|f| f.0).collect();
    assert_eq!(paths, ["link", "untracked"]);
    assert!(!run.stdout.contains(&token()[4..]), "the report holds the secret");
    let human = scan(&world, &repo, &[]);
    assert!(human.stdout.contains("untracked:2:8: github-token ghp_<36 bytes redacted>"), "{}", human.stdout);
    assert!(!human.stdout.contains(&token()[4..]));
    assert_eq!(findings(&scan(&world, &repo, &["--json", "--include-ignored"])).len(), 3);
    assert_eq!(scan(&world, &repo, &["--quiet"]).stdout, "");
    // through the dispatcher and its alias
    assert_eq!(world.coop(&repo, ["scan", "--quiet"]).code, 1);
    assert_eq!(world.coop(&repo, ["check-secrets", "--quiet"]).code, 1);
}

#[test]
fn staged_sees_the_index_and_only_what_is_new() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("old"), format!("x = '{}'\n", other())).expect("file");
    world.git(&repo, ["add", "."]);
    world.git(&repo, ["commit", "-qm", "known"]);
    assert_eq!(scan(&world, &repo, &["--staged"]).code, 0);
    // staged with the secret, cleaned in the work tree: the index counts
    fs::create_dir(repo.join("d")).expect("directory");
    fs::write(repo.join("d/part"), token()).expect("file");
    world.git(&repo, ["add", "."]);
    fs::write(repo.join("d/part"), "clean").expect("file");
    let run = scan(&world, &repo, &["--staged", "--json"]);
    assert_eq!((run.code, findings(&run)), (1, vec![("d/part".to_owned(), "github-token".to_owned())]));
    world.git(&repo, ["add", "."]);
    assert_eq!(scan(&world, &repo, &["--staged"]).code, 0);
    // a line added above a known secret does not bring it back, neither does a rename; a second copy does
    fs::write(repo.join("old"), format!("new line\nx = '{}'\n", other())).expect("file");
    world.git(&repo, ["add", "."]);
    assert_eq!(scan(&world, &repo, &["--staged"]).code, 0);
    world.git(&repo, ["mv", "old", "new"]);
    assert_eq!(scan(&world, &repo, &["--staged"]).code, 0);
    fs::write(repo.join("new"), format!("x = '{0}'\ny = '{0}'\n", other())).expect("file");
    world.git(&repo, ["add", "."]);
    assert_eq!(scan(&world, &repo, &["--staged"]).code, 1);
}

#[test]
fn range_finds_what_was_removed_again() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("f"), token()).expect("file");
    world.git(&repo, ["add", "."]);
    world.git(&repo, ["commit", "-qm", "with"]);
    let with = world.git(&repo, ["rev-parse", "HEAD"]);
    world.git(&repo, ["rm", "-q", "f"]);
    world.git(&repo, ["commit", "-qm", "without"]);
    assert_eq!(scan(&world, &repo, &[]).code, 0);
    for args in [&["--range", "HEAD~2..HEAD", "--json"][..], &["--history", "--json"]] {
        let run = scan(&world, &repo, args);
        assert_eq!(run.code, 1, "{}", run.stderr);
        let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(json["findings"][0]["commit"], with.as_str());
    }
    assert_eq!(scan(&world, &repo, &["--range", "HEAD~1..HEAD"]).code, 0);
}

#[test]
fn accepted_by_comment_list_and_baseline() {
    let world = World::new();
    let repo = world.repo("r");
    let write = |text: String| fs::write(repo.join("f"), text).expect("file");
    for comment in ["coop:allow", "gitleaks:allow", "pragma: allowlist secret", "trufflehog:ignore"] {
        write(format!("k = '{}' # {comment}\n", token()));
        assert_eq!(scan(&world, &repo, &[]).code, 0, "{comment}");
        assert_eq!(scan(&world, &repo, &["--no-allow"]).code, 1, "{comment}");
    }
    write(format!("k = '{}'\n", token()));
    let run = scan(&world, &repo, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let fingerprint = json["findings"][0]["fingerprint"].as_str().expect("text").to_owned();
    fs::write(repo.join(".coopallow"), format!("{fingerprint} # a test\n")).expect("file");
    assert_eq!((scan(&world, &repo, &[]).code, scan(&world, &repo, &["--no-allow"]).code), (0, 1));
    fs::remove_file(repo.join(".coopallow")).expect("file");
    let base = world.root().join("base.json");
    let base = base.to_str().expect("UTF-8");
    assert_eq!(scan(&world, &repo, &["--baseline", base, "--update-baseline"]).code, 0);
    assert!(!fs::read_to_string(base).expect("baseline").contains(&token()[4..]));
    write(format!("moved\n\n  k = '{}'\n", token()));
    assert_eq!(scan(&world, &repo, &["--baseline", base]).code, 0);
    write(format!("k = '{}'\nl = '{}'\n", token(), other()));
    assert_eq!(findings(&scan(&world, &repo, &["--baseline", base, "--json"])).len(), 1);
}

#[test]
fn sarif_has_what_the_schema_asks_for() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("a b"), format!("é = 1\nнй = '{}'", token())).expect("file");
    let run = scan(&world, &repo, &["--sarif"]);
    let sarif: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((sarif["version"].as_str(), run.code), (Some("2.1.0"), 1));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"]);
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        (place["artifactLocation"]["uri"].as_str(), place["region"]["startLine"].as_u64()),
        (Some("a%20b"), Some(2))
    );
    let kind = sarif["runs"][0]["columnKind"].as_str();
    assert_eq!((place["region"]["startColumn"].as_u64(), kind), (Some(7), Some("unicodeCodePoints")));
    assert_eq!(result["partialFingerprints"]["coopValue/v1"].as_str().map(str::len), Some(32));
}

#[test]
fn odd_content_is_found_and_said() {
    let world = World::new();
    let dir = world.root().join("plain");
    fs::create_dir(&dir).expect("directory");
    let utf16: Vec<u8> = format!("\u{feff}k = '{}'", token()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(dir.join("utf16"), utf16).expect("file");
    fs::write(dir.join("binary"), [b"a\0b ".to_vec(), token().into_bytes()].concat()).expect("file");
    fs::write(dir.join("x.zip"), b"PK\x03\x04").expect("file");
    let name = std::ffi::OsStr::new(std::str::from_utf8(b"tab\there").expect("text"));
    fs::write(dir.join(name), format!("{} ", token())).expect("file");
    // a line longer than a window, with the secret across its edge and in its middle
    let mut long = vec![b'a'; (4 << 20) - 60];
    long.extend(format!(" '{}' ", token()).bytes());
    long.extend(vec![b'b'; 6 << 20]);
    long.extend(format!(" '{}' ", other()).bytes());
    fs::write(dir.join("long"), long).expect("file");
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("fifo"), rustix::fs::Mode::RUSR).expect("fifo");
    // outside of any repository
    let run = scan(&world, &dir, &[".", "--json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let mut found = findings(&run);
    found.sort();
    let paths: Vec<&str> = found.iter().map(|f| f.0.as_str()).collect();
    assert_eq!(paths, ["binary", "long", "long", "tab\there", "utf16"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert!(json["skipped"].as_object().expect("object").len() >= 3, "{}", json["skipped"]);
    let human = scan(&world, &dir, &["."]);
    assert!(
        human.stdout.contains("tab\\u{9}here") && human.stderr.contains("archive"),
        "{} {}",
        human.stdout,
        human.stderr
    );
}

#[test]
fn bad_input_is_exit_2_with_a_hint() {
    let world = World::new();
    let repo = world.repo("r");
    let plain = world.root().join("plain");
    fs::create_dir(&plain).expect("directory");
    let broken = world.root().join("broken.json");
    fs::write(&broken, "{\"version\": 1").expect("file");
    let broken = broken.to_str().expect("UTF-8");
    for (dir, args) in [
        (&plain, &[][..]),
        (&plain, &["--staged"]),
        (&repo, &["--range", "nowhere..HEAD"]),
        (&repo, &["--baseline", broken]),
        (&repo, &["--baseline", "missing.json"]),
        (&repo, &["--disable", "no-such-rule"]),
        (&repo, &["no-such-file"]),
        (&repo, &["--staged", "--history"]),
    ] {
        let run = scan(&world, dir, args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: "), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{args:?}");
    }
    fs::write(repo.join(".coopallow"), "allow everything\n").expect("file");
    assert_eq!(scan(&world, &repo, &[]).code, 2);
}

/// git waits for ever for a pipe that an agent left in place of a file that git reads.
#[test]
fn a_pipe_that_git_would_wait_for_is_named() {
    let world = World::new();
    let repo = world.repo("r");
    fs::create_dir(repo.join("d")).expect("directory");
    assert_eq!(world.run(&repo, "mkfifo", ["d/.gitignore"]).code, 0);
    let run = scan(&world, &repo, &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("git waits for it: d/.gitignore"), "{}", run.stderr);
}

#[test]
fn a_tree_can_only_ask_for_more() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("f"), token()).expect("file");
    assert_eq!(scan(&world, &repo, &["--disable", "github-token", "--quiet"]).code, 0);
    fs::write(repo.join(".coopscan"), "enable github-token\n").expect("file");
    assert_eq!(scan(&world, &repo, &["--disable", "github-token", "--quiet"]).code, 1);
    fs::write(repo.join(".coopscan"), "disable github-token\n").expect("file");
    assert_eq!(scan(&world, &repo, &["--quiet"]).code, 2);
}

#[test]
fn the_users_configuration_switches_rules_freely() {
    let world = World::new();
    let repo = world.repo("r");
    fs::write(repo.join("f"), format!("{}\n{}\n", token(), other())).expect("file");
    let set = |value: &str| world.git(&repo, ["config", "--add", "coop.scanDisable", value]);
    set("github-token");
    assert_eq!(findings(&scan(&world, &repo, &["--json"])).len(), 1);
    set("gitlab-token jwt");
    for args in [&["--quiet"][..], &["f", "--quiet"]] {
        assert_eq!(scan(&world, &repo, args).code, 0, "{args:?}");
    }
    // a tree can still ask for more, and a file in it cannot configure less
    fs::write(repo.join(".coopscan"), "enable gitlab-token\n").expect("file");
    assert_eq!(scan(&world, &repo, &["--quiet"]).code, 1);
    set("no-such-rule");
    let run = scan(&world, &repo, &[]);
    assert_eq!((run.code, run.stderr.contains("no-such-rule")), (2, true), "{}", run.stderr);
    world.git(&repo, ["config", "--unset-all", "coop.scanDisable"]);
    fs::write(repo.join("own.conf"), "[coop]\n\tscanDisable = github-token\n").expect("file");
    world.git(&repo, ["config", "include.path", "../own.conf"]);
    assert_eq!(findings(&scan(&world, &repo, &["--json"])).len(), 2);
}
