//! `<config_dir>/agents/env`: API keys and endpoint variables, `KEY=VALUE` lines. An agent gets those that its
//! definition declares and no others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::error::{Context as _, Error, Kind, Result};

use super::Definition;
use crate::without::without;

/// Where the user's file is, below the configuration directory.
pub const FILE: &str = "agents/env";

/// The variables of the user's file that `agent` may have. A missing file is empty. Errors (exit 2): a line that is
/// not `KEY=VALUE`; nothing is handed out then, rather than half of it.
pub fn for_agent(agent: &Definition, config_dir: &Path) -> Result<BTreeMap<String, OsString>> {
    let path = config_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(err) => return Err(err).context(Kind::Usage, format!("cannot read '{}'", path.display())),
    };
    let all = parse(&text).map_err(|line| {
        // the line itself is not shown: it may hold a key
        Error::usage(format!("'{}' line {line}: not KEY=VALUE", path.display()))
            .hint("one variable per line, for example ANTHROPIC_API_KEY=…")
    })?;
    Ok(all
        .into_iter()
        .filter(|(name, _)| agent.env.accepts(name) || without("own-keys-only"))
        .map(|(k, v)| (k, OsString::from(v)))
        .collect())
}

/// `KEY=VALUE` lines with comments; one pair of quotes around a value is taken off, nothing is expanded. Errors: the
/// number of the first line that is neither.
fn parse(text: &str) -> std::result::Result<BTreeMap<String, String>, usize> {
    let mut out = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        let name = name.trim();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(plain) || value.contains('\0') {
            return Err(index + 1);
        }
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
        out.insert(name.to_owned(), unquoted.unwrap_or(value).to_owned());
    }
    out.retain(|_, value| !value.is_empty());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;

    #[test]
    fn an_agent_gets_its_own_variables_only() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("agents")).expect("a directory");
        let text =
            "# keys\nANTHROPIC_API_KEY='a b'\nexport OPENAI_API_KEY=\"o\"\nAWS_SECRET_ACCESS_KEY=x\nGEMINI_API_KEY=\n";
        std::fs::write(dir.path().join("agents/env"), text).expect("a file");
        let registry = Registry::load(dir.path()).expect("loads");
        let of = |name: &str| for_agent(registry.get(name).expect("known"), dir.path()).expect("reads");
        assert_eq!(of("claude"), BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), OsString::from("a b"))]));
        assert_eq!(of("codex"), BTreeMap::from([("OPENAI_API_KEY".to_owned(), OsString::from("o"))]));
        assert!(of("gemini").is_empty(), "an empty value is unset");
    }

    #[test]
    fn a_broken_file_hands_out_nothing_and_is_not_quoted() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("agents")).expect("a directory");
        std::fs::write(dir.path().join("agents/env"), "ANTHROPIC_API_KEY=x\nsk-secret-pasted-alone\n").expect("a file");
        let registry = Registry::load(dir.path()).expect("loads");
        let err = for_agent(registry.get("claude").expect("known"), dir.path()).expect_err("line 2");
        assert!(err.kind().code() == 2 && err.render().contains("line 2"), "{}", err.render());
        assert!(!err.render().contains("sk-secret"), "{}", err.render());
    }
}
