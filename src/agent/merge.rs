//! Writes the files that keep an agent quiet: the text of the definition merged over what the profile already has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::error::{Context as _, Error, Kind, Result};

use super::definition::{Format, QuietFile};

/// What the placeholders stand for.
pub(super) struct Values<'a> {
    pub workspace: &'a Path,
    pub home: &'a Path,
    pub vars: &'a BTreeMap<String, OsString>,
}

/// Whether all of the file's conditions hold: `NAME` is set, `!NAME` is not.
pub(super) fn applies(file: &QuietFile, values: &Values<'_>) -> bool {
    file.when.iter().all(|name| match name.strip_prefix('!') {
        Some(name) => !values.vars.contains_key(name),
        None => values.vars.contains_key(name),
    })
}

/// The new content of `file`, whose present content is `old`. Objects are merged key by key, anything else is replaced.
/// Errors (exit 2): the profile's file is not of the format.
pub(super) fn merged(file: &QuietFile, old: Option<&[u8]>, values: &Values<'_>) -> Result<Vec<u8>> {
    let wrong = || format!("the profile's file '{}' cannot be read", file.path);
    let old = old.map(|bytes| std::str::from_utf8(bytes).context(Kind::Usage, wrong())).transpose()?;
    let old = old.filter(|text| !text.trim().is_empty());
    let ours = || format!("the definition's text for '{}'", file.path);
    match file.format {
        Format::Json => {
            let mut value: serde_json::Value =
                old.map_or(Ok(serde_json::json!({})), serde_json::from_str).context(Kind::Usage, wrong())?;
            let new = serde_json::from_str(&file.merge).context(Kind::Usage, ours())?;
            json(&mut value, filled_json(new, values)?);
            let mut bytes = serde_json::to_vec_pretty(&value).or_bug("cannot write JSON")?;
            bytes.push(b'\n');
            Ok(bytes)
        }
        Format::Toml => {
            let mut value: toml::Table =
                old.map_or(Ok(toml::Table::new()), toml::from_str).context(Kind::Usage, wrong())?;
            let new: toml::Table = toml::from_str(&file.merge).context(Kind::Usage, ours())?;
            for (key, new) in new {
                insert_toml(&mut value, filled(&key, values)?, filled_toml(new, values)?);
            }
            Ok(toml::to_string(&value).or_bug("cannot write TOML")?.into_bytes())
        }
    }
}

fn json(old: &mut serde_json::Value, new: serde_json::Value) {
    match (old, new) {
        (serde_json::Value::Object(old), serde_json::Value::Object(new)) => {
            for (key, value) in new {
                json(old.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

fn insert_toml(table: &mut toml::Table, key: String, new: toml::Value) {
    match (table.get_mut(&key), new) {
        (Some(toml::Value::Table(old)), toml::Value::Table(new)) => {
            for (key, value) in new {
                insert_toml(old, key, value);
            }
        }
        (_, new) => {
            table.insert(key, new);
        }
    }
}

fn filled_json(value: serde_json::Value, values: &Values<'_>) -> Result<serde_json::Value> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => Value::String(filled(&text, values)?),
        Value::Array(items) => Value::Array(items.into_iter().map(|v| filled_json(v, values)).collect::<Result<_>>()?),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(k, v)| Ok((filled(&k, values)?, filled_json(v, values)?))).collect::<Result<_>>()?,
        ),
        other => other,
    })
}

fn filled_toml(value: toml::Value, values: &Values<'_>) -> Result<toml::Value> {
    use toml::Value;
    Ok(match value {
        Value::String(text) => Value::String(filled(&text, values)?),
        Value::Array(items) => Value::Array(items.into_iter().map(|v| filled_toml(v, values)).collect::<Result<_>>()?),
        Value::Table(map) => Value::Table(
            map.into_iter().map(|(k, v)| Ok((filled(&k, values)?, filled_toml(v, values)?))).collect::<Result<_>>()?,
        ),
        other => other,
    })
}

/// Fills the placeholders in, in one pass: what they stand for is not looked at again.
pub(super) fn filled(text: &str, values: &Values<'_>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(end) = rest.find('}') else { break };
        let variable =
            |name: &str| values.vars.get(name).map_or_else(String::new, |v| v.to_string_lossy().into_owned());
        match rest[1..end].split_once(':').unwrap_or((&rest[1..end], "")) {
            ("workspace", "") => out.push_str(&values.workspace.to_string_lossy()),
            ("home", "") => out.push_str(&values.home.to_string_lossy()),
            ("env", name) => out.push_str(&variable(name)),
            ("tail20", name) => {
                let value = variable(name);
                let from = value.char_indices().rev().nth(19).map_or(0, |(at, _)| at);
                out.push_str(&value[from..]);
            }
            (other, _) => {
                return Err(Error::usage(format!("unknown placeholder '{{{other}}}' in an agent's definition")));
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(format: Format, merge: &str) -> QuietFile {
        QuietFile { path: "x".into(), format, when: Vec::new(), merge: merge.into() }
    }

    #[test]
    fn paths_with_quotes_cannot_break_out_of_their_string() {
        let vars = BTreeMap::from([("KEY".to_owned(), OsString::from("0123456789012345678901234"))]);
        let odd = Path::new("/w/a\"}{home}\n]\\");
        let values = Values { workspace: odd, home: Path::new("/home/box"), vars: &vars };
        let text = r#"{"p": {"{workspace}": true}, "tail": ["{tail20:KEY}"], "h": "{home}/x"}"#;
        let made = merged(&file(Format::Json, text), None, &values).expect("merges");
        let made: serde_json::Value = serde_json::from_slice(&made).expect("is JSON");
        assert_eq!(
            made,
            serde_json::json!({"p": {"/w/a\"}{home}\n]\\": true}, "tail": ["56789012345678901234"], "h": "/home/box/x"})
        );
        let toml = merged(&file(Format::Toml, "[projects.\"{workspace}\"]\nt = 1"), None, &values).expect("merges");
        let toml: toml::Table = toml::from_str(std::str::from_utf8(&toml).expect("text")).expect("is TOML");
        assert!(toml["projects"].get(odd.to_str().expect("text")).is_some(), "{toml}");
    }

    #[test]
    fn what_the_profile_has_beside_ours_stays() {
        let vars = BTreeMap::new();
        let values = Values { workspace: Path::new("/w"), home: Path::new("/h"), vars: &vars };
        let old = br#"{"a": {"own": 1, "x": false}, "list": [1]}"#;
        let made = merged(&file(Format::Json, r#"{"a": {"x": true}}"#), Some(old), &values).expect("merges");
        let made: serde_json::Value = serde_json::from_slice(&made).expect("is JSON");
        assert_eq!(made, serde_json::json!({"a": {"own": 1, "x": true}, "list": [1]}));
        let made =
            merged(&file(Format::Toml, "[a]\nx = true"), Some(b"top = 1\n[a]\nown = 1\n"), &values).expect("merges");
        let made: toml::Table = toml::from_str(std::str::from_utf8(&made).expect("text")).expect("is TOML");
        assert_eq!(made.to_string(), "top = 1\n\n[a]\nown = 1\nx = true\n");
        let broken = merged(&file(Format::Json, "{}"), Some(b"{ // comment\n}"), &values).expect_err("no JSON");
        assert_eq!(broken.kind().code(), 2);
    }

    #[test]
    fn conditions() {
        let vars = BTreeMap::from([("A".to_owned(), OsString::from("1"))]);
        let values = Values { workspace: Path::new("/w"), home: Path::new("/h"), vars: &vars };
        let with = |when: &[&str]| QuietFile {
            when: when.iter().map(|w| (*w).to_owned()).collect(),
            ..file(Format::Json, "{}")
        };
        assert!(applies(&with(&[]), &values) && applies(&with(&["A", "!B"]), &values));
        assert!(!applies(&with(&["B"]), &values) && !applies(&with(&["!A"]), &values));
    }
}
