//! Keys that stay outside of the box: what the box gets in their place, and what whoever passes its requests on needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use serde::Deserialize;

use super::Definition;
use super::definition::Variables;

/// What stands in a box in place of a key. It opens nothing.
pub const STAND_IN: &str = "coop-keeps-the-key-outside";

/// How the keys of an agent stay outside, as its definition says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The variable that names the endpoint; one of `env.endpoint`.
    pub endpoint: String,
    /// The endpoint where the user names none.
    pub upstream: String,
    /// Variables that hold keys, and the header that carries each: `name: value`, with `{key}` for the key.
    pub keys: BTreeMap<String, String>,
}

impl Keys {
    /// Checks the definition. Errors say what is wrong.
    pub(super) fn check(&self, env: &Variables) -> Result<(), String> {
        let header = |text: &String| text.contains("{key}") && text.contains(": ");
        let known = self.keys.keys().all(|name| env.keys.contains(name)) && env.endpoint.contains(&self.endpoint);
        if !known || !self.keys.values().all(header) {
            return Err("outside names a variable that env does not, or a header that is not 'name: … {key}'".into());
        }
        Ok(())
    }
}

/// The provider of an agent, with the keys that the box does not get.
#[derive(Clone, PartialEq, Eq)]
pub struct Outside {
    /// Where requests go: `http[s]://host[:port][/path]`.
    pub upstream: String,
    /// Whether that is the user's own endpoint.
    pub own: bool,
    /// Headers: name in lower case, value in the box, value outside.
    pub headers: Vec<(String, String, String)>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, ..)| name.as_str()).collect();
        f.debug_struct("Outside").field("upstream", &self.upstream).field("headers", &names).finish_non_exhaustive()
    }
}

/// Takes the keys out of `vars` and puts stand-ins in; the endpoint becomes `http://127.0.0.1:<port>` with the path that
/// the real one has. `None`, and nothing changed, where the definition does not say how, or there is no such key.
pub fn take(definition: &Definition, vars: &mut BTreeMap<String, OsString>, port: u16) -> Option<Outside> {
    let outside = definition.outside.as_ref()?;
    let mut headers = Vec::new();
    for (name, header) in &outside.keys {
        let (Some(value), Some((header, template))) = (vars.get(name), header.split_once(": ")) else { continue };
        let key = value.to_str()?;
        headers.push((header.to_owned(), template.replace("{key}", STAND_IN), template.replace("{key}", key)));
    }
    if headers.is_empty() {
        return None;
    }
    let own = vars.get(&outside.endpoint).and_then(|value| value.to_str()).map(str::to_owned);
    let upstream = own.clone().unwrap_or_else(|| outside.upstream.clone());
    // a key that the agent could use instead would be in the box for nothing
    vars.retain(|name, _| !definition.env.keys.contains(name) || outside.keys.contains_key(name));
    vars.iter_mut()
        .filter(|(name, _)| outside.keys.contains_key(*name))
        .for_each(|(_, value)| *value = STAND_IN.into());
    let rest = upstream.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| rest[at..].trim_end_matches('/'));
    vars.insert(outside.endpoint.clone(), format!("http://127.0.0.1:{port}{path}").into());
    Some(Outside { upstream, own: own.is_some(), headers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;
    use std::path::Path;

    fn taken(agent: &str, vars: &[(&str, &str)]) -> (Option<Outside>, BTreeMap<String, OsString>) {
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        let mut vars = vars.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        let outside = take(registry.get(agent).expect("known"), &mut vars, 3129);
        (outside, vars)
    }

    #[test]
    fn no_key_is_left_in_the_box() {
        for (agent, vars) in [
            ("claude", vec![("ANTHROPIC_API_KEY", "real-1"), ("CLAUDE_CODE_OAUTH_TOKEN", "real-2")]),
            ("codex", vec![("OPENAI_API_KEY", "real-1"), ("CODEX_API_KEY", "real-2")]),
            ("gemini", vec![("GEMINI_API_KEY", "real-1"), ("GOOGLE_API_KEY", "real-2")]),
        ] {
            let (outside, left) = taken(agent, &vars);
            let outside = outside.expect("taken");
            assert!(
                outside.headers.iter().any(|(_, inside, real)| inside.contains(STAND_IN) && real.contains("real-1"))
            );
            assert!(!format!("{left:?} {outside:?}").contains("real"), "{agent}: {left:?}");
            assert!(left.values().any(|v| v.to_string_lossy().starts_with("http://127.0.0.1:3129")), "{left:?}");
        }
    }

    #[test]
    fn an_endpoint_of_ones_own_is_kept_with_its_path() {
        let own = [("OPENAI_API_KEY", "real"), ("OPENAI_BASE_URL", "https://models.example/openai/v1/")];
        let (outside, left) = taken("codex", &own);
        let outside = outside.expect("taken");
        assert!(outside.own && outside.upstream == "https://models.example/openai/v1/");
        assert_eq!(left["OPENAI_BASE_URL"], "http://127.0.0.1:3129/openai/v1");
        assert_eq!(taken("codex", &[("OPENAI_BASE_URL", "http://x")]).0, None, "no key, nothing to take");
        assert_eq!(taken("aider", &[("OPENAI_API_KEY", "real")]).0, None, "not verified");
    }
}
