//! What the user's configuration leaves weaker than it could be. No promise is broken by it, and no box is started.

use std::collections::BTreeMap;

use crate::agent::vault::Vault;
use crate::agent::{Registry, keys};
use crate::error::Result;
use crate::flow::egress::Mode;
use crate::flow::{Coop, egress, hooks};

/// A name and a sentence with what to do, for everything that is worth saying. Errors: a definition of an agent or the
/// file of keys that cannot be read (exit 2).
pub(super) fn of(coop: &Coop) -> Result<Vec<(&'static str, String)>> {
    let mut out = Vec::new();
    let mut say = |name, detail: &str| out.push((name, detail.to_owned()));
    let (settings, config) = (&coop.settings, &coop.config);
    let mode = Mode::of(settings)?;
    if mode == Mode::Open {
        say("egress-setting", "boxes reach the whole internet and the local network: git config coop.egress allowlist");
    }
    if let Some(name) = egress::needed_proxy(&coop.env).filter(|_| matches!(mode, Mode::Public | Mode::Allowlist)) {
        say(
            "upstream-proxy",
            &format!("{name} is set, and the proxy of boxes does not go through it: COOP_EGRESS=open"),
        );
    }
    if settings.get("COOP_MEMORY").is_none() {
        say("memory-setting", "a box may use all memory of this machine: git config coop.memory 4g");
    }
    if settings.get("COOP_GATE").is_none() {
        say("gate-setting", "no command has to pass before work lands: git config coop.gate 'make test'");
    }
    if !hooks::installed(&coop.repo, &coop.env)? {
        say("hooks", "git commit and git push do not look for secrets and verdicts here: git coop init --hooks");
    }
    if !config.entries().iter().any(|entry| entry.key == "notes.displayref" && covers(&entry.value)) {
        say("notes-setting", "git log shows no verdicts: git config --add notes.displayRef 'refs/notes/coop/*'");
    }
    let set = |key: &str| config.get(key).map(String::as_str).unwrap_or_default();
    if set("commit.gpgsign") == "true" && set("gpg.format") == "ssh" && set("user.signingkey").is_empty() {
        say("signing", "commit.gpgsign is set and user.signingkey is not, so nothing can land");
    }
    for refused in &config.refused {
        say("config-in-tree", &format!("{refused} is ignored: agents can write there"));
    }
    credentials(coop, mode, &mut say)?;
    Ok(out)
}

/// Whether `git log` shows the notes of coop with this value of `notes.displayRef`.
fn covers(value: &str) -> bool {
    ["refs/notes/coop/*", "refs/notes/*", "refs/notes/**"].contains(&value)
}

/// Which keys and logins enter the boxes of their agents.
fn credentials(coop: &Coop, mode: Mode, say: &mut dyn FnMut(&'static str, &str)) -> Result<()> {
    let (mut inside, mut logins) = (BTreeMap::<String, Vec<&str>>::new(), Vec::new());
    let asked = coop.settings.get("COOP_KEY_IN_BOX") == Some("true");
    let dir = coop.env.config_dir();
    let registry = Registry::load(&dir)?;
    for agent in registry.iter() {
        let held = agent.outside.as_ref().filter(|_| !asked && mode != Mode::None);
        let stays = |name: &String| held.is_some_and(|outside| outside.keys.contains_key(name));
        for name in keys::for_agent(agent, &dir)?.into_keys() {
            if agent.env.keys.contains(&name) && !stays(&name) {
                inside.entry(name).or_default().push(&agent.name);
            }
        }
        let vault = Vault::new(&dir, &agent.name);
        if vault.profiles()?.iter().any(|profile| vault.signed_in(agent, profile)) {
            logins.push(agent.name.as_str());
        }
    }
    if !inside.is_empty() {
        let all: Vec<String> = inside.iter().map(|(name, agents)| format!("{name} ({})", agents.join(", "))).collect();
        let undo = if asked { "; git config coop.keyInBox false" } else { "" };
        say("keys-in-box", &format!("agents can read these keys in their boxes: {}{undo}", all.join(", ")));
    }
    if !logins.is_empty() {
        let which = logins.join(", ");
        say("logins-in-box", &format!("agents can read their logins in their boxes, unlike API keys: {which}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::git::{config, init};
    use crate::settings::Settings;

    /// What is said in a fresh repository of a user with these settings and these lines in `agents/env`.
    fn advice(settings: &[(&str, &str)], keys: &str) -> BTreeMap<&'static str, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = Env::of_process().str("PATH").expect("PATH").to_owned();
        let home = dir.path().display().to_string();
        let env = Env::from_pairs([("HOME", home), ("PATH", path), ("GIT_CONFIG_NOSYSTEM", "1".into())]);
        let agents = env.config_dir().join("agents");
        std::fs::create_dir_all(&agents).expect("a directory");
        std::fs::write(agents.join("env"), keys).expect("a file");
        let repo = init::init(dir.path(), &env).expect("a repository");
        let config = config::read(&repo, &env).expect("configuration");
        let mut resolved = Settings::resolve(&env, &BTreeMap::new(), "").expect("defaults");
        settings.iter().for_each(|(name, value)| resolved.set(name, value).expect("a setting"));
        of(&Coop::new(&env, repo, config, resolved)).expect("advice").into_iter().collect()
    }

    #[test]
    fn what_is_set_is_not_said() {
        let plain: Vec<&str> = advice(&[], "").into_keys().collect();
        assert_eq!(plain, ["egress-setting", "gate-setting", "hooks", "memory-setting", "notes-setting"]);
        let set = [("COOP_EGRESS", "allowlist"), ("COOP_GATE", "make test"), ("COOP_MEMORY", "4g")];
        assert_eq!(advice(&set, "").into_keys().collect::<Vec<_>>(), ["hooks", "notes-setting"]);
    }

    #[test]
    fn keys_that_enter_are_named_and_never_shown() {
        let keys = "ANTHROPIC_API_KEY=value-1\nOPENAI_API_KEY=value-2\n";
        let said = advice(&[], keys).remove("keys-in-box").expect("aider's key is in its box");
        assert!(said.contains("aider") && !said.contains("claude") && !said.contains("codex"), "{said}");
        let inside = advice(&[("COOP_KEY_IN_BOX", "true")], keys).remove("keys-in-box").expect("all are");
        assert!(inside.contains("claude") && inside.contains("codex") && !inside.contains("value"), "{inside}");
        assert!(!advice(&[], "").contains_key("keys-in-box"));
    }
}
