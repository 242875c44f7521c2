//! `git coop profiles`, and definitions of agents that a user drops into the configuration directory.

use std::path::PathBuf;

use crate::support::World;

fn put(world: &World, path: &str, text: &str) -> PathBuf {
    let file = world.home().join(".config/coop/agents").join(path);
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("directory");
    std::fs::write(&file, text).expect("file");
    file
}

#[test]
fn accounts_are_listed_marked_and_removed() {
    let world = World::new();
    let here = world.root();
    let run = world.coop(&here, ["profiles"]);
    assert!(run.stderr.contains("git coop login claude"), "{}", run.stderr);
    assert_eq!(run.ok(), "");
    put(&world, "claude/profiles/work/.claude/.credentials.json", "{}");
    put(&world, "claude/profiles/personal/.claude/settings.json", "{}");
    put(&world, "env", "COPILOT_GITHUB_TOKEN=secret-key\nUNRELATED=x\n");
    let ambiguous = world.coop(&here, ["profiles"]).ok();
    assert!(!ambiguous.contains("signed in  default"), "{ambiguous}");
    assert_eq!(world.coop(&here, ["profiles", "default", "claude", "work"]).ok(), "");
    assert_eq!(
        world.coop(&here, ["profiles"]).ok(),
        "claude   personal              not signed in\n\
         claude   work                  signed in  default\n\
         copilot  COPILOT_GITHUB_TOKEN  key  default\n"
    );
    let json = world.coop(&here, ["profiles", "--json"]).ok();
    assert!(!json.contains("secret-key"), "{json}");
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        rows[1],
        serde_json::json!({"agent": "claude", "profile": "work", "default": true, "signed_in": true, "variable": null})
    );
    let _ = world.coop(&here, ["profiles", "rm", "claude", "work"]).fails(1, "is signed in");
    assert_eq!(world.coop(&here, ["profiles", "rm", "claude", "work", "--force"]).ok(), "");
    assert!(!world.home().join(".config/coop/agents/claude/profiles/work").exists());
    let _ = world.coop(&here, ["profiles", "default", "claude", "work"]).fails(2, "no profile 'work'");
    let unknown = world.coop(&here, ["profiles", "default", "cluade", "work"]).fails(2, "no agent 'cluade'");
    assert!(unknown.contains("claude"), "{unknown}");
}

#[test]
fn a_definition_with_a_typo_names_file_line_and_key() {
    let world = World::new();
    let here = world.root();
    put(&world, "mine.toml", "name = \"mine\"\ndisplay = \"Mine\"\nhistroy = []\n");
    let err = world.coop(&here, ["profiles"]).fails(2, "mine.toml' line 3: unknown field `histroy`");
    assert!(!err.contains("\\u{"), "{err}");
}

#[test]
fn a_repository_cannot_bring_an_agent() {
    let world = World::new();
    let repo = world.repo("repo");
    for dir in ["agents", ".config/coop/agents", ".agent/agents"] {
        std::fs::create_dir_all(repo.join(dir)).expect("directory");
        std::fs::write(repo.join(dir).join("mine.toml"), "not even TOML").expect("file");
    }
    assert_eq!(world.coop(&repo, ["profiles"]).ok(), "");
    let _ = world.coop(&repo, ["mine"]).fails(2, "neither a command nor an agent");
}

/// Every key of the built-in definitions is in the manual, and the manual's example loads.
#[test]
fn the_manual_knows_every_key() {
    let page = std::fs::read_to_string(crate::support::package().join("man/gitcoop-agents.7")).expect("the page");
    let plain = page.replace("\\-", "-");
    let words: std::collections::BTreeSet<&str> =
        plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let mut keys = std::collections::BTreeSet::new();
    for file in crate::support::files("src/agent/builtin") {
        let text = std::fs::read_to_string(crate::support::package().join(&file)).expect("a definition");
        collect(&toml::from_str(&text).expect("TOML"), &mut keys);
    }
    assert!(keys.len() > 40, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "not in gitcoop-agents(7): {missing:?}");

    let (_, rest) = plain.split_once("name = \"mine\"").expect("the example");
    let (rest, _) = rest.split_once(".fi").expect("its end");
    let world = World::new();
    put(&world, "mine.toml", &format!("name = \"mine\"{rest}"));
    put(&world, "env", "MY_API_KEY=x\n");
    assert_eq!(world.coop(&world.root(), ["profiles"]).ok(), "mine  MY_API_KEY  key  default\n");
}

fn collect(table: &toml::Table, keys: &mut std::collections::BTreeSet<String>) {
    for (key, value) in table {
        keys.insert(key.clone());
        match value {
            // these hold names of others: variables, and fields of an agent's output
            toml::Value::Table(_) if ["set", "set_as_root", "event", "when", "failed"].contains(&key.as_str()) => {}
            toml::Value::Table(table) => collect(table, keys),
            toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_table).for_each(|t| collect(t, keys)),
            _ => {}
        }
    }
}
