use super::*;
use crate::agent::home;
use crate::agent::vault::Account;

const FILE: &str = ".claude/.credentials.json";

fn with_profiles() -> World {
    let world = World::new();
    world.put("config/agents/claude/profiles/work/.claude/.credentials.json", &credentials("work", 10));
    world.put("config/agents/claude/profiles/work/.claude/settings.json", r#"{"own": 1}"#);
    world.put("config/agents/claude/profiles/personal/.claude/.credentials.json", &credentials("personal", 10));
    world.put("config/agents/codex/profiles/default/.codex/auth.json", "{}");
    world
}

#[test]
fn the_box_gets_one_profile_and_quiet_files() {
    let world = with_profiles();
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    assert_eq!(prepared.account, Account::Profile("work".into()));
    assert_eq!(prepared.binds, [(world.path("scratch/home/.claude"), PathBuf::from(".claude"))]);
    let settings: serde_json::Value =
        serde_json::from_str(&world.read("scratch/home/.claude/settings.json").expect("written")).expect("JSON");
    assert_eq!(settings, serde_json::json!({"own": 1, "skipDangerousModePermissionPrompt": true}));
    let state: serde_json::Value =
        serde_json::from_str(&world.read("scratch/home/.claude/.claude.json").expect("written")).expect("JSON");
    assert_eq!(state["projects"]["/w/repo"]["hasTrustDialogAccepted"], serde_json::json!(true));
    let all: String = walk(&world.path("scratch/home"));
    assert!(all.contains("\"work\"") && !all.contains("\"personal\"") && !all.contains("auth.json"), "{all}");
    let env: Vec<_> = prepared.env.iter().map(|(k, v)| (k.as_str(), v.to_str().expect("text"))).collect();
    assert!(env.contains(&("CLAUDE_CONFIG_DIR", "/home/agent/.claude")), "{env:?}");
    let root = rustix::process::geteuid().is_root();
    assert_eq!(env.contains(&("IS_SANDBOX", "1")), root);
    prepared.finish().expect("finishes");
    assert!(!world.path("scratch").exists());
}

/// Names and contents of all files below `dir`.
fn walk(dir: &Path) -> String {
    let mut out = String::new();
    for entry in std::fs::read_dir(dir).expect("lists") {
        let path = entry.expect("an entry").path();
        out.push_str(&format!("{}\n", path.display()));
        if path.is_dir() {
            out.push_str(&walk(&path))
        } else {
            out.push_str(&std::fs::read_to_string(&path).expect("text"))
        }
    }
    out
}

#[test]
fn history_comes_back_and_goes_in_again() {
    let world = with_profiles();
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    world.put("scratch/home/.claude/projects/-w-repo/a.jsonl", "one\n");
    world.put("scratch/home/.claude/plugins/evil.json", "not history");
    let kept = prepared.finish().expect("finishes");
    assert_eq!((kept.history.files, kept.history.bytes, kept.history.skipped), (1, 4, 0));
    assert_eq!(world.read("history/.claude/projects/-w-repo/a.jsonl").as_deref(), Some("one\n"));
    assert!(!world.path("history/.claude/plugins").exists());

    let prepared = world.prepare("claude", Some("personal")).expect("prepares");
    assert_eq!(world.read("scratch/home/.claude/projects/-w-repo/a.jsonl").as_deref(), Some("one\n"));
    world.put("scratch/home/.claude/projects/-w-repo/a.jsonl", "one\ntwo\n");
    prepared.finish().expect("finishes");
    assert_eq!(world.read("history/.claude/projects/-w-repo/a.jsonl").as_deref(), Some("one\ntwo\n"));

    // an agent that wipes its history does not wipe ours
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    std::fs::remove_dir_all(world.path("scratch/home/.claude/projects")).expect("removes");
    prepared.finish().expect("finishes");
    assert_eq!(world.read("history/.claude/projects/-w-repo/a.jsonl").as_deref(), Some("one\ntwo\n"));
}

#[test]
fn a_refreshed_credential_comes_back_to_its_own_profile() {
    let world = with_profiles();
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    world.put(&format!("scratch/home/{FILE}"), &credentials("rotated", 20));
    world.put("scratch/home/.claude/settings.json", r#"{"hooks": "evil"}"#);
    let kept = prepared.finish().expect("finishes");
    assert_eq!((kept.credentials, kept.refused), (1, 0));
    let profile = |name: &str, file: &str| world.read(&format!("config/agents/claude/profiles/{name}/{file}"));
    assert_eq!(profile("work", FILE), Some(credentials("rotated", 20)));
    assert_eq!(profile("personal", FILE), Some(credentials("personal", 10)));
    assert_eq!(profile("work", ".claude/settings.json").as_deref(), Some(r#"{"own": 1}"#), "settings never come back");
}

#[test]
fn a_forged_or_older_credential_does_not_come_back() {
    let world = with_profiles();
    for forged in [credentials("stale", 5), credentials("same age", 10), "{}".into(), "garbage".into(), String::new()] {
        let prepared = world.prepare("claude", Some("work")).expect("prepares");
        world.put(&format!("scratch/home/{FILE}"), &forged);
        let kept = prepared.finish().expect("finishes");
        assert_eq!((kept.credentials, kept.refused), (0, 1), "{forged}");
        assert_eq!(world.read(&format!("config/agents/claude/profiles/work/{FILE}")), Some(credentials("work", 10)));
    }
}

#[test]
fn a_login_makes_a_profile_and_an_empty_one_does_not() {
    let world = World::new();
    let prepared = world.prepare("claude", None).expect("prepares");
    assert_eq!(prepared.account, Account::None);
    assert_eq!(prepared.finish_login("work").expect("finishes"), 0, "the quiet files alone are no login");
    assert!(!world.path("config/agents/claude/profiles/work").exists());
    let prepared = world.prepare("claude", None).expect("prepares");
    world.put(&format!("scratch/home/{FILE}"), &credentials("new", 1));
    assert_eq!(prepared.finish_login("work").expect("finishes"), 2);
    assert_eq!(world.read(&format!("config/agents/claude/profiles/work/{FILE}")), Some(credentials("new", 1)));
    assert!(!world.path("scratch").exists());
}

#[test]
fn an_endpoint_of_ones_own_becomes_codex_configuration() {
    let world = World::new();
    world.put(
        "config/agents/env",
        "OPENAI_BASE_URL=http://gateway:1/v1\nOPENAI_API_KEY=sk-x\nCODEX_MODEL=m\nGEMINI_API_KEY=g\n",
    );
    let prepared = world.prepare("codex", None).expect("prepares");
    assert_eq!(prepared.account, Account::Variable("OPENAI_API_KEY".into()));
    let config: toml::Table =
        toml::from_str(&world.read("scratch/home/.codex/config.toml").expect("written")).expect("TOML");
    assert_eq!(config["model_providers"]["coop"]["base_url"].as_str(), Some("http://gateway:1/v1"));
    assert_eq!(config["model_provider"].as_str(), Some("coop"));
    assert_eq!(config["projects"]["/w/repo"]["trust_level"].as_str(), Some("trusted"));
    assert!(!world.path("scratch/home/.codex/auth.json").exists());
    assert!(!prepared.env.iter().any(|(name, _)| name == "GEMINI_API_KEY"), "{:?}", prepared.env);
    prepared.finish().expect("finishes");

    world.put("config/agents/env", "OPENAI_API_KEY=sk-x\n");
    let prepared = world.prepare("codex", None).expect("prepares");
    assert!(world.read("scratch/home/.codex/auth.json").expect("written").contains("sk-x"));
    prepared.finish().expect("finishes");
}

#[test]
fn a_killed_run_is_recovered() {
    let world = with_profiles();
    let prepared = world.prepare("claude", Some("work")).expect("prepares");
    world.put("scratch/home/.claude/projects/-w-repo/a.jsonl", "kept\n");
    world.put(&format!("scratch/home/{FILE}"), &credentials("rotated", 20));
    std::mem::forget(prepared); // what kill -9 leaves
    let kept = home::recover(&world.registry, &world.path("config"), &world.path("scratch")).expect("recovers");
    assert_eq!((kept.history.files, kept.credentials), (1, 1));
    assert!(!world.path("scratch").exists());
    assert_eq!(world.read("history/.claude/projects/-w-repo/a.jsonl").as_deref(), Some("kept\n"));
}

#[test]
fn an_error_half_way_leaves_no_copy() {
    let world = with_profiles();
    world.put("config/agents/claude/profiles/work/.claude/settings.json", "{ broken");
    assert_eq!(world.prepare("claude", Some("work")).expect_err("broken").kind().code(), 2);
    assert!(!world.path("scratch").exists());
}
