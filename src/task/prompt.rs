//! What agents are told: texts with placeholders, built in, replaced by files of the same name in the user's own
//! `<config_dir>/prompts/`. A file in a repository is never read.

use std::path::Path;

use crate::error::{Context as _, Error, Kind, Result};

/// Longer than this and the kernel takes it no more as one argument (bytes; the limit is 128 KiB).
const MAX_PROMPT: usize = 120 << 10;

/// The two texts.
#[derive(Debug, Clone)]
pub struct Prompts {
    task: String,
    audit: String,
}

impl Prompts {
    /// Reads them. Errors (exit 2): a file of the user's that cannot be read.
    pub fn load(config_dir: &Path) -> Result<Prompts> {
        let one = |name: &str, built_in: &str| -> Result<String> {
            let path = config_dir.join("prompts").join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text),
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(built_in.to_owned()),
                Err(err) => Err(err).context(Kind::Usage, format!("cannot read '{}'", path.display())),
            }
        };
        Ok(Prompts {
            task: one("task.md", include_str!("prompts/task.md"))?,
            audit: one("audit.md", include_str!("prompts/audit.md"))?,
        })
    }
    /// The prompt for one task; `values` are placeholder and text. Errors (exit 2): too long.
    pub fn task(&self, values: &[(&str, &str)]) -> Result<String> {
        fill(&self.task, values)
    }
    /// The prompt for an audit.
    pub fn audit(&self, values: &[(&str, &str)]) -> Result<String> {
        fill(&self.audit, values)
    }
}

/// Puts the values in, once: a placeholder in a value stays as it is.
fn fill(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let found =
            values.iter().find(|(name, _)| rest[at + 1..].strip_prefix(name).is_some_and(|r| r.starts_with('}')));
        let Some((name, value)) = found else {
            out.push('{');
            rest = &rest[at + 1..];
            continue;
        };
        out.push_str(value);
        rest = &rest[at + name.len() + 2..];
    }
    out.push_str(rest);
    let out = out.replace('\0', "");
    if out.len() > MAX_PROMPT {
        return Err(Error::usage(format!("a prompt of {} bytes is too long for an agent", out.len()))
            .hint("put the details into a file of the repository, and name it in the task"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_once_and_overridden_by_the_user_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let values = [("task", "do {gate} {id}"), ("gate", "make"), ("id", "1")];
        let built_in = Prompts::load(dir.path()).expect("loads");
        let text = built_in.task(&values).expect("fills");
        assert!(text.contains("do {gate} {id}") && text.contains("`make` has to pass"), "{text}");
        assert!(built_in.audit(&[("tasks", "x")]).expect("fills").contains("{\"schema\": 1"));
        std::fs::create_dir(dir.path().join("prompts")).expect("a directory");
        std::fs::write(dir.path().join("prompts/task.md"), "{} {task} {nothing} {").expect("a file");
        assert_eq!(
            Prompts::load(dir.path()).expect("loads").task(&values).expect("fills"),
            "{} do {gate} {id} {nothing} {"
        );
        assert!(built_in.task(&[("task", &"x".repeat(200_000))]).is_err());
    }
}
