//! Whether a credential file that comes from a box is the refreshed form of the one that went in.
//!
//! An agent that works for somebody else may leave another account's tokens there, so that later prompts go to that
//! account. What says whose credential it is must therefore be unchanged, and it must be newer. Token formats have no
//! signature that could be checked without the network: a forgery that copies those fields is possible and is why
//! only these few files ever come back.

use serde_json::Value;

use super::definition::Refresh;

/// Whether `new` has the fields of `old`, the same values in `rule.same`, and a larger `rule.newer`.
pub(super) fn is_refreshed(rule: &Refresh, old: &[u8], new: &[u8]) -> bool {
    let (Ok(old), Ok(new)) = (serde_json::from_slice::<Value>(old), serde_json::from_slice::<Value>(new)) else {
        return false;
    };
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    keys(&old).is_some()
        && keys(&old) == keys(&new)
        && rule.same.iter().all(|path| at(&old, path) == at(&new, path))
        && is_later(at(&old, &rule.newer), at(&new, &rule.newer))
}

fn is_later(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(Value::Number(old)), Some(Value::Number(new))) => old.as_f64() < new.as_f64(),
        (Some(Value::String(old)), Some(Value::String(new))) => {
            match (old.parse::<jiff::Timestamp>(), new.parse::<jiff::Timestamp>()) {
                (Ok(old), Ok(new)) => old < new,
                _ => false,
            }
        }
        _ => false,
    }
}

/// The value at a dotted path; a number is a place in a list.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;

    #[test]
    fn only_a_newer_one_of_the_same_account() {
        let registry = Registry::load(std::path::Path::new("/nonexistent")).expect("loads");
        let rule = |agent: &str| registry.get(agent).expect("known").home.refresh[0].clone();
        let claude = |token: &str, at: u64, kind: &str| {
            format!(r#"{{"claudeAiOauth":{{"accessToken":"{token}","expiresAt":{at},"scopes":["a"],"subscriptionType":"{kind}"}}}}"#)
                .into_bytes()
        };
        let old = claude("a", 10, "max");
        assert!(is_refreshed(&rule("claude"), &old, &claude("b", 11, "max")));
        assert!(!is_refreshed(&rule("claude"), &old, &claude("b", 10, "max")), "not newer");
        assert!(!is_refreshed(&rule("claude"), &old, &claude("b", 11, "pro")), "another account");
        assert!(!is_refreshed(&rule("claude"), &old, b"{}"));
        assert!(!is_refreshed(&rule("claude"), &old, b"not JSON"));
        let codex = |account: &str, at: &str| {
            format!(r#"{{"auth_mode":"chatgpt","tokens":{{"account_id":"{account}"}},"last_refresh":"{at}"}}"#)
                .into_bytes()
        };
        let old = codex("one", "2026-11-21T10:00:00Z");
        assert!(is_refreshed(&rule("codex"), &old, &codex("one", "2026-11-21T12:00:00.123Z")));
        assert!(!is_refreshed(&rule("codex"), &old, &codex("two", "2026-11-21T12:00:00Z")), "another account");
        assert!(!is_refreshed(&rule("codex"), &old, &codex("one", "soon")));
    }
}
