//! `tests/cmd/*.md`: documentation that is run. Each file is one session in a fresh world: the lines that begin
//! with `$ ` in its `console` blocks go to a shell, in order, and must print what follows them. `[..]` stands
//! for any text within a line, a line `...` for any lines, `? N` for the exit status where it is not 0.

use std::path::Path;

use crate::support::{World, files, package};

#[test]
fn sessions_print_what_they_say() {
    let sessions: Vec<_> =
        files("tests/cmd").into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    assert!(!sessions.is_empty());
    for path in sessions {
        let text = std::fs::read_to_string(package().join(&path)).expect("readable");
        if text.starts_with("<!-- needs bwrap -->") && !boxes_work() {
            eprintln!("SKIPPED: {}: bubblewrap does not work here", path.display());
            continue;
        }
        session(&path, &text);
    }
}

/// Whether bubblewrap can hold a box here. `COOP_TEST_REQUIRE` says that it must.
fn boxes_work() -> bool {
    let env = coop::env::Env::of_process();
    let found = coop::sandbox::runtime::detect(&env, Some("bwrap"), &coop::sandbox::runtime::System::new(&env));
    let required = env.str("COOP_TEST_REQUIRE").unwrap_or_default().split(',').any(|name| name == "bwrap");
    assert!(
        !required || found.is_ok(),
        "bubblewrap is required: {}",
        found.err().map_or(String::new(), |e| e.render())
    );
    found.is_ok()
}

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
    status: i32,
}

fn session(path: &Path, text: &str) {
    let world = World::new().with_env("COOP_RUNTIME", "bwrap").with_env("COOP_EGRESS", "none");
    let repo = world.repo("project");
    let mut dir = repo;
    for step in steps(text) {
        // the shell ends with its directory, so that `cd` lasts
        let script = format!("{}\nstatus=$?; pwd >&9; exit $status", step.command);
        let pwd = world.root().join("tmp/pwd");
        let script = format!("exec 9>'{}' 2>&1\n{script}", pwd.display());
        let run = world.run(&dir, "bash", ["-c", &script]);
        let place = format!("{}:{}: $ {}", path.display(), step.line, step.command);
        assert_eq!(run.code, step.status, "{place}\n{}", run.stdout);
        let got: Vec<&str> = run.stdout.lines().collect();
        let want: Vec<&str> = step.expected.iter().map(String::as_str).collect();
        assert!(lines_match(&want, &got), "{place}\nexpected:\n{}\ngot:\n{}", want.join("\n"), got.join("\n"));
        if let Ok(now) = std::fs::read_to_string(&pwd) {
            dir = now.trim_end_matches('\n').into();
        }
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: at + 1, command: command.into(), expected: Vec::new(), status: 0 });
        } else if inside && let Some(step) = steps.last_mut() {
            match line.strip_prefix("? ").and_then(|n| n.parse().ok()) {
                Some(status) => step.status = status,
                None => step.expected.push(line.into()),
            }
        }
    }
    steps
}

fn lines_match(want: &[&str], got: &[&str]) -> bool {
    match want {
        [] => got.is_empty(),
        ["...", rest @ ..] => (0..=got.len()).any(|skip| lines_match(rest, &got[skip..])),
        [first, rest @ ..] => got.first().is_some_and(|line| line_matches(first, line)) && lines_match(rest, &got[1..]),
    }
}

fn line_matches(want: &str, got: &str) -> bool {
    let mut parts = want.split("[..]");
    let Some(mut rest) = got.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn the_comparison_can_fail() {
    assert!(lines_match(&["a [..] c", "...", "z"], &["a b c", "1", "2", "z"]));
    assert!(!lines_match(&["a [..] c"], &["a b d"]));
    assert!(!lines_match(&[], &["x"]) && !lines_match(&["x"], &[]));
    assert_eq!(steps("```console\n$ x\n? 2\nout\n```\n$ not\n").len(), 1);
}
