//! What the code looks like: sizes, layers, and that nothing is undocumented.

use std::collections::BTreeSet;
use std::path::Path;

use coop::{exit, settings};

use crate::support::{files, package};

fn text(path: &Path) -> String {
    std::fs::read_to_string(package().join(path)).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

fn rust_files() -> Vec<std::path::PathBuf> {
    let dirs = ["src", "bin", "tests", "fuzz"].into_iter().flat_map(files);
    dirs.filter(|p| p.extension().is_some_and(|e| e == "rs") && !p.starts_with("fuzz/target")).collect()
}

/// The code of a file: no comments, no unit tests.
fn code(path: &Path) -> String {
    let all = text(path);
    let end = all.find("#[cfg(test)]\nmod ").unwrap_or(all.len());
    all[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_are_short() {
    let long: Vec<String> = rust_files()
        .iter()
        .map(|path| (path, text(path).lines().count()))
        .filter(|(_, lines)| *lines >= 400)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split them:\n{}", long.join("\n"));
}

/// The layers that each layer may name. Modules of a single file (`env`, `error`, …) and the two pure functions
/// of `ui` that make text harmless and find near words may be used from anywhere.
const LAYERS: &[(&str, &[&str])] = &[
    ("cli", &["cli", "flow", "state", "git", "sandbox", "secret", "agent", "task", "ui"]),
    ("flow", &["flow", "state", "git", "sandbox", "secret", "agent", "task", "ui"]),
    ("state", &["state", "git"]),
    ("git", &["git"]),
    ("sandbox", &["sandbox"]),
    ("secret", &["secret"]),
    ("agent", &["agent"]),
    ("task", &["task"]),
    ("ui", &["ui"]),
];

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for path in rust_files().iter().filter(|p| p.starts_with("src")) {
        let Some(layer) = path.iter().nth(1).and_then(|c| c.to_str()) else { continue };
        let layer = layer.trim_end_matches(".rs");
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        let is_test = path.iter().any(|c| c == "tests" || c == "tests.rs");
        let code = if is_test { String::new() } else { code(path) };
        for used in named(&code) {
            let leaf = used == "ui::text" || used == "ui::nearest";
            let first = used.split("::").next().unwrap_or_default();
            let is_layer = LAYERS.iter().any(|(name, _)| *name == first);
            if is_layer && !leaf && !allowed.contains(&first) {
                wrong.push(format!("{} names crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every `crate::a::b` that the code names, as `a::b`; groups (`crate::{a, b}`) too.
fn named(code: &str) -> BTreeSet<String> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            found.extend(group.split(',').map(|part| ident(part.trim())));
        } else {
            let first = ident(rest);
            let second = rest[first.len()..].strip_prefix("::").map(ident).unwrap_or_default();
            found.insert(format!("{first}::{second}"));
        }
    }
    found
}

#[test]
fn the_layer_check_sees_what_it_must() {
    let code = "use crate::git::Git; use crate::{flow, ui::text}; let x = crate::state::y();";
    let found: Vec<String> = named(code).into_iter().collect();
    assert_eq!(found, ["flow", "git::Git", "state::y", "ui"]);
}

#[test]
fn only_git_runs_git_or_names_gix() {
    let mut wrong = Vec::new();
    for path in rust_files().iter().filter(|p| p.starts_with("src") && !p.starts_with("src/git")) {
        if path.iter().any(|c| c == "tests" || c == "tests.rs") {
            continue;
        }
        let code = code(path);
        for needle in ["gix::", "use gix", "Command::new(\"git\"", "which(\"git\")"] {
            if code.contains(needle) {
                wrong.push(format!("{} has {needle}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A name that is not in the table is never set, which would be the permissive choice.
#[test]
fn every_setting_that_is_read_is_in_the_table() {
    let mut unknown = Vec::new();
    for path in rust_files().iter().filter(|p| p.starts_with("src")) {
        let code = code(path);
        for (at, _) in code.match_indices("\"COOP_") {
            let name: String = code[at + 1..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            let read = [".get(", ".set(", ".source("].iter().any(|call| code[..at].ends_with(call));
            if read && !name.starts_with("COOP_TEST_") && !settings::SETTINGS.iter().any(|s| s.env == name) {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn unsafe_code_is_in_one_file() {
    let with: Vec<_> =
        rust_files().into_iter().filter(|p| text(p).contains(concat!("allow(unsafe", "_code)"))).collect();
    assert!(with.iter().all(|p| p == Path::new("src/sandbox/sys.rs")), "{with:?}");
}

#[test]
fn programs_are_three_lines() {
    for path in rust_files().iter().filter(|p| p.starts_with("bin")) {
        let lines = text(path).lines().filter(|l| !l.trim_start().starts_with("//") && !l.trim().is_empty()).count();
        assert!(lines <= 3, "{}: {lines} lines", path.display());
    }
}

#[test]
fn hooks_are_short() {
    for path in files("hooks") {
        let lines = text(&path).lines().filter(|line| !line.trim_start().starts_with('#')).count();
        assert!(lines <= 10, "{}: {lines} lines", path.display());
    }
}

#[test]
fn exit_codes_and_settings_are_documented() {
    let page = text(Path::new("man/git-coop.1")).replace("\\-", "-");
    for (code, sentence) in exit::TABLE {
        assert!(
            page.contains(&format!("\\fB{code}\\fR")) && page.contains(sentence),
            "exit {code} is not in git-coop(1)"
        );
    }
    for setting in settings::SETTINGS {
        for word in [setting.env, setting.git, setting.doc] {
            assert!(page.contains(word), "'{word}' is not in git-coop(1)");
        }
    }
    let codes: BTreeSet<u8> = exit::TABLE.iter().map(|(code, _)| *code).collect();
    let constants =
        text(Path::new("src/exit.rs")).lines().filter(|l| l.starts_with("pub const") && l.contains(": u8")).count();
    assert_eq!(codes.len(), constants, "a code of src/exit.rs is missing in its table");
}
