//! Session ids: chosen before the start where the agent can be told one, otherwise read from the session files that it
//! left. Those files are an agent's work: an id that comes from one is checked before it may become an argument.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::error::{Context as _, Result};

use super::{Definition, refresh::at, tree};

/// The first line of a session file is not longer (codex puts its instructions there).
const MAX_LINE: usize = 1 << 20;

/// A new random UUID (version 4).
pub fn new_id() -> Result<String> {
    let mut b = [0u8; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut b)).or_bug("cannot read random bytes")?;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// The id of the newest session in `history_dir` that was held in `workspace`.
pub fn latest(agent: &Definition, history_dir: &Path, workspace: &Path) -> Option<String> {
    sessions(agent, history_dir, workspace).next()
}

/// Whether `history_dir` holds the session called `id`, so that it can be resumed.
pub fn exists(agent: &Definition, history_dir: &Path, workspace: &Path, id: &str) -> bool {
    sessions(agent, history_dir, workspace).any(|stored| stored == id)
}

/// The id that one line of the agent's structured output names, if that line is the event that does.
pub fn from_event(agent: &Definition, line: &str) -> Option<String> {
    let rule = &agent.session;
    let event: Value = serde_json::from_str(line).ok()?;
    let matches = rule.event.iter().all(|(path, want)| at(&event, path).and_then(Value::as_str) == Some(want));
    let id = at(&event, &rule.id).filter(|_| matches && !rule.id.is_empty())?.as_str()?;
    is_id(id).then(|| id.to_owned())
}

fn sessions<'a>(agent: &'a Definition, history_dir: &Path, workspace: &'a Path) -> impl Iterator<Item = String> + 'a {
    let rule = &agent.session;
    let root = Some(&rule.store).filter(|store| !store.is_empty()).and_then(|_| tree::open_root(history_dir).ok());
    let files = root.as_ref().map_or_else(Vec::new, |root| tree::list(root, Path::new(&rule.store)).0);
    files.into_iter().filter_map(move |file| {
        let path = file.path.to_str()?;
        let name = path.strip_suffix(&rule.suffix)?.rsplit('/').next()?.strip_prefix(&rule.prefix)?;
        if rule.line_id.is_empty() {
            return is_uuid(name).then(|| name.to_owned());
        }
        let line = tree::first_line(root.as_ref()?, &file.path, MAX_LINE).ok()?;
        let line: Value = serde_json::from_slice(&line).ok()?;
        let cwd = at(&line, &rule.line_cwd).and_then(Value::as_str).filter(|_| !rule.line_cwd.is_empty());
        if cwd.is_some_and(|cwd| Path::new(cwd) != workspace) {
            return None;
        }
        let id = at(&line, &rule.line_id)?.as_str()?;
        is_id(id).then(|| id.to_owned())
    })
}

/// Letters, digits, `_` and `-`, beginning with a letter or digit: it can be neither an option nor a path.
fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_uuid(id: &str) -> bool {
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    fn put(dir: &Path, path: &str, text: &str, age: u64) -> PathBuf {
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(&file, text).expect("a file");
        let time = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(time)).expect("a time");
        file
    }

    fn newest(agent: &str, dir: &Path) -> Option<String> {
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        latest(registry.get(agent).expect("known"), dir, Path::new("/w"))
    }

    #[test]
    fn ids_are_random_uuids() {
        let (a, b) = (new_id().expect("random"), new_id().expect("random"));
        assert!(is_uuid(&a) && is_uuid(&b) && a != b && a.as_bytes()[14] == b'4', "{a} {b}");
    }

    #[test]
    fn the_newest_session_of_this_work_tree() {
        let dir = tempfile::tempdir().expect("a directory");
        let meta = |id: &str, cwd: &str| format!("{{\"payload\":{{\"id\":\"{id}\",\"cwd\":\"{cwd}\"}}}}\n{{}}\n");
        put(dir.path(), ".codex/sessions/2026/11/20/rollout-a-01a1.jsonl", &meta("01a1", "/w"), 30);
        put(dir.path(), ".codex/sessions/2026/11/21/rollout-b-02b2.jsonl", &meta("02b2", "/w"), 20);
        put(dir.path(), ".codex/sessions/2026/11/21/rollout-c-03c3.jsonl", &meta("03c3", "/elsewhere"), 10);
        put(dir.path(), ".codex/sessions/2026/11/21/rollout-d.jsonl", &meta("--yolo", "/w"), 5);
        put(dir.path(), ".codex/sessions/2026/11/21/rollout-e.jsonl", "no JSON", 1);
        put(dir.path(), ".codex/sessions/2026/11/21/notes.txt", &meta("04d4", "/w"), 0);
        assert_eq!(newest("codex", dir.path()).as_deref(), Some("02b2"));
    }

    #[test]
    fn ids_in_file_names_and_directory_names() {
        let dir = tempfile::tempdir().expect("a directory");
        let id = "11111111-2222-4333-8444-555555555555";
        put(dir.path(), &format!(".claude/projects/-w/{id}.jsonl"), "{}", 9);
        put(dir.path(), ".claude/projects/-w/agent-1.jsonl", "{}", 1);
        put(dir.path(), &format!(".copilot/session-state/{id}/events.jsonl"), "{}", 1);
        put(dir.path(), ".gemini/tmp/w/chats/session-x.jsonl", &format!("{{\"sessionId\":\"{id}\"}}\n"), 1);
        for agent in ["claude", "copilot", "gemini"] {
            assert_eq!(newest(agent, dir.path()).as_deref(), Some(id), "{agent}");
        }
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        let claude = registry.get("claude").expect("known");
        assert!(exists(claude, dir.path(), Path::new("/w"), id));
        assert!(!exists(claude, dir.path(), Path::new("/w"), "11111111-2222-4333-8444-000000000000"));
        assert_eq!(newest("opencode", dir.path()), None);
    }

    #[test]
    fn a_link_to_a_session_elsewhere_is_not_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let out = put(dir.path(), "outside/11111111-2222-4333-8444-555555555555.jsonl", "{}", 1);
        let inside = dir.path().join("history/.claude/projects/-w");
        std::fs::create_dir_all(&inside).expect("a directory");
        std::os::unix::fs::symlink(&out, inside.join("11111111-2222-4333-8444-555555555555.jsonl")).expect("a link");
        assert_eq!(newest("claude", &dir.path().join("history")), None);
    }

    #[test]
    fn the_first_event_names_the_session() {
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        for (agent, line, want) in [
            ("claude", r#"{"type":"system","subtype":"init","session_id":"a-1"}"#, Some("a-1")),
            ("claude", r#"{"type":"assistant","session_id":"a-1"}"#, None),
            ("codex", r#"{"type":"thread.started","thread_id":"01a1"}"#, Some("01a1")),
            ("gemini", r#"{"type":"init","session_id":"g"}"#, Some("g")),
            ("pi", r#"{"type":"session","id":"p"}"#, Some("p")),
            ("codex", r#"{"type":"thread.started","thread_id":"-rf"}"#, None),
            ("codex", "thread.started", None),
        ] {
            assert_eq!(from_event(registry.get(agent).expect("known"), line).as_deref(), want, "{agent} {line}");
        }
    }
}
