//! All agents: the built-in definitions, and those that the user dropped into the configuration directory. A file in a
//! repository is never read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Context as _, Error, Kind, Result};

use super::Definition;

/// Built in, in the order of `git coop help`.
const BUILTIN: &[(&str, &str)] = &[
    ("claude", include_str!("builtin/claude.toml")),
    ("codex", include_str!("builtin/codex.toml")),
    ("gemini", include_str!("builtin/gemini.toml")),
    ("opencode", include_str!("builtin/opencode.toml")),
    ("qwen", include_str!("builtin/qwen.toml")),
    ("copilot", include_str!("builtin/copilot.toml")),
    ("pi", include_str!("builtin/pi.toml")),
    ("aider", include_str!("builtin/aider.toml")),
];

/// More than any definition; a file of another size is not one.
const MAX_FILE: u64 = 256 * 1024;

/// The agents by name.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<String, Definition>);

impl Registry {
    /// The built-in agents, then `<config_dir>/agents/*.toml`, which add or replace. Errors (exit 2): a file that
    /// cannot be read or is no definition; the error names the file and the key.
    pub fn load(config_dir: &Path) -> Result<Self> {
        let mut agents = BTreeMap::new();
        for (name, text) in BUILTIN {
            agents.insert((*name).to_owned(), Definition::parse(text, &format!("{name}.toml"))?);
        }
        let dir = config_dir.join("agents");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Registry(agents)),
            Err(err) => return Err(err).context(Kind::Usage, format!("cannot read '{}'", dir.display())),
        };
        for entry in entries {
            let path = entry.context(Kind::Usage, format!("cannot read '{}'", dir.display()))?.path();
            if path.extension().is_none_or(|e| e != "toml") {
                continue;
            }
            let origin = path.display().to_string();
            let size = std::fs::metadata(&path).context(Kind::Usage, format!("cannot read '{origin}'"))?.len();
            if size > MAX_FILE {
                return Err(Error::usage(format!("'{origin}' is too large to be an agent's definition")));
            }
            let text = std::fs::read_to_string(&path).context(Kind::Usage, format!("cannot read '{origin}'"))?;
            let definition = Definition::parse(&text, &origin)?;
            if path.file_stem().is_none_or(|stem| stem != definition.name.as_str()) {
                return Err(Error::usage(format!("'{origin}' names the agent '{}'", definition.name))
                    .hint(format!("mv '{origin}' '{}'", dir.join(&definition.name).display())));
            }
            agents.insert(definition.name.clone(), definition);
        }
        Ok(Registry(agents))
    }

    /// The agent called `name`. Errors: exit 2 with the nearest name.
    pub fn get(&self, name: &str) -> Result<&Definition> {
        self.0.get(name).ok_or_else(|| {
            let err = Error::usage(format!("no agent '{name}'"));
            match self.nearest(name) {
                Some(near) => err.hint(format!("did you mean '{near}'?")),
                None => err.hint(format!("the agents are: {}", self.names().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// All names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All definitions in the order of [`Registry::names`].
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.0.values()
    }

    /// The name that `word` was probably meant to be.
    pub fn nearest(&self, word: &str) -> Option<&str> {
        crate::ui::nearest(word, self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(name: &str, text: &str) -> Result<Registry> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("agents")).expect("a directory");
        std::fs::write(dir.path().join("agents").join(name), text).expect("a file");
        Registry::load(dir.path())
    }

    const OWN: &str = r#"
        name = "mine"
        display = "Mine"
        [install]
        manager = "npm"
        package = "mine"
        version = "1.0.0"
        check = ["mine", "--version"]
        [argv]
        start = ["mine"]
        headless = ["mine", "{prompt}"]
        [home]
        dirs = [".mine"]
    "#;

    #[test]
    fn built_in_agents_are_complete() {
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        let names: Vec<_> = registry.names().collect();
        assert_eq!(names, ["aider", "claude", "codex", "copilot", "gemini", "opencode", "pi", "qwen"]);
        for agent in registry.iter() {
            let has = |argv: &[String]| argv.first().is_some_and(|word| word == agent.program());
            assert!(has(&agent.argv.headless) && has(&agent.argv.consult), "{}", agent.name);
            assert!(has(&agent.argv.resume) || has(&agent.argv.resume_latest), "{}", agent.name);
            assert_eq!(agent.install.check[0], agent.program(), "{}", agent.name);
            assert!(!agent.home.signed_in.is_empty() && !agent.env.keys.is_empty(), "{}", agent.name);
        }
    }

    #[test]
    fn a_typo_suggests_the_nearest() {
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        for (word, near) in [("cluade", "claude"), ("gemni", "gemini"), ("codxe", "codex")] {
            let err = registry.get(word).expect_err("unknown");
            assert_eq!((err.kind().code(), err.hints()), (2, &[format!("did you mean '{near}'?")][..]));
        }
        assert!(registry.get("xy").expect_err("unknown").hints()[0].contains("aider, claude"));
    }

    #[test]
    fn a_users_file_adds_an_agent() {
        let registry = with_file("mine.toml", OWN).expect("loads");
        assert_eq!(registry.get("mine").expect("is there").program(), "mine");
        assert!(registry.get("claude").is_ok());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_file_and_key() {
        let err = with_file("mine.toml", &OWN.replace("[home]", "[home]\nhistroy = []")).expect_err("typo");
        assert_eq!(err.kind().code(), 2);
        assert!(err.render().contains("mine.toml") && err.render().contains("histroy"), "{}", err.render());
    }

    #[test]
    fn paths_that_leave_the_home_and_odd_packages_are_refused() {
        for (from, to) in [
            ("dirs = [\".mine\"]", "dirs = [\"../.ssh\"]"),
            ("dirs = [\".mine\"]", "dirs = [\"/etc\"]"),
            ("dirs = [\".mine\"]", "dirs = [\".mine\"]\nhistory = [\".ssh/id\"]"),
            ("package = \"mine\"", "package = \"mine; rm -rf ~\""),
            ("{prompt}", "prompt"),
            ("name = \"mine\"", "name = \"../mine\""),
        ] {
            assert!(OWN.contains(from), "{from}");
            assert_eq!(with_file("mine.toml", &OWN.replace(from, to)).expect_err(to).kind().code(), 2, "{to}");
        }
        assert!(with_file("other.toml", OWN).is_err(), "the file is called as the agent");
    }
}
