//! `.agent/fleet`: who works on what.
//!
//! The file lies in the work tree, where an agent may write it. So it can choose among the agents and accounts that the
//! user has, name lists of tasks inside the repository, and bound the work. It cannot name a program, a gate or an image,
//! and it cannot loosen a box: such keys are refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::error::{Context as _, Error, Kind, Result};
use crate::state::ForkName;
use crate::ui::text::printable;

/// Where it is, in the repository.
pub const PATH: &str = ".agent/fleet";

/// More than this is no list of members (bytes).
const MAX_FILE: u64 = 64 << 10;

/// More members than this are a mistake.
const MAX_MEMBERS: usize = 200;

/// One member: a loop in a fork of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, and its fork's.
    pub name: ForkName,
    /// The agent; the one the fork remembers, or one that is signed in, where unset.
    pub agent: Option<String>,
    /// Its account; all of them in turn where unset.
    pub profile: Option<String>,
    /// Lists of tasks, as written: relative to the repository. `.agent/TASKS.md` where empty.
    pub tasks: Vec<PathBuf>,
    /// At most so many tasks.
    pub max_tasks: Option<usize>,
    /// At most so many audits; the loop's own default where unset.
    pub rounds: Option<u32>,
    /// The agent that audits.
    pub auditor: Option<String>,
    /// The line it begins at, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    agent: Option<String>,
    profile: Option<String>,
    #[serde(default)]
    tasks: Tasks,
    max_tasks: Option<usize>,
    rounds: Option<u32>,
    auditor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Tasks {
    #[default]
    None,
    One(PathBuf),
    Many(Vec<PathBuf>),
}

/// The text of the file of the work tree `root`. No link is followed. Errors (exit 2): it is not there, no plain file, or
/// too large.
pub fn read(root: &Path) -> Result<String> {
    let path = root.join(PATH);
    if path.parent().is_some_and(Path::is_symlink) {
        return Err(Error::usage("'.agent' is a symbolic link").hint("make it a directory"));
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path);
    let file = match opened {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::usage(format!("there is no {PATH}")).hint("git coop fleet init"));
        }
        other => {
            let wrong = |err: Error| err.hint("it has to be a plain file; git coop fleet init writes one");
            other.context(Kind::Usage, format!("cannot open {PATH}")).map_err(wrong)?
        }
    };
    let plain = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_FILE);
    let mut text = String::new();
    if !plain || file.take(MAX_FILE).read_to_string(&mut text).is_err() {
        return Err(Error::usage(format!("{PATH} is no plain text of at most 64 KiB")).hint("git coop fleet init"));
    }
    Ok(text)
}

/// The members of `text`, in its order: TOML sections, or lines `<name> [agent] <tasks>`. Errors: exit 2.
pub fn parse(text: &str) -> Result<Vec<Member>> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let is_toml = first.is_some_and(|line| line.starts_with('[') || line.contains('='));
    let members = if is_toml { sections(text)? } else { lines(text)? };
    match members.len() {
        0 => Err(Error::usage(format!("{PATH} names no member"))
            .hint("[api]\\nagent = \"claude\"\\ntasks = \".agent/api.md\"")),
        1..=MAX_MEMBERS => Ok(members),
        n => Err(Error::usage(format!("{PATH} names {n} members, and {MAX_MEMBERS} is the most"))
            .hint("git coop fleet split N")),
    }
}

fn wrong(line: usize, what: impl std::fmt::Display) -> Error {
    Error::usage(format!("{PATH} line {line}: {}", printable(&what.to_string()))).hint("git coop help fleet")
}

fn sections(text: &str) -> Result<Vec<Member>> {
    let line_at = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table: BTreeMap<Spanned<String>, Section> = toml::from_str(text).map_err(|err| {
        let hint = ["gate", "image", "egress", "runtime", "memory", "command"]
            .iter()
            .find(|key| err.message().contains(&format!("`{key}`")));
        let error = wrong(err.span().map_or(1, |span| line_at(span.start)), err.message().replace('\n', ", "));
        match hint {
            Some(key) => error.hint(format!("a work tree cannot say that; git config coop.{key}")),
            None => error,
        }
    })?;
    let mut members = Vec::new();
    for (name, section) in table {
        let line = line_at(name.span().start);
        let tasks = match section.tasks {
            Tasks::None => Vec::new(),
            Tasks::One(path) => vec![path],
            Tasks::Many(paths) => paths,
        };
        members.push(Member {
            name: ForkName::parse(name.get_ref()).map_err(|err| wrong(line, err))?,
            agent: section.agent,
            profile: section.profile,
            tasks,
            max_tasks: section.max_tasks,
            rounds: section.rounds,
            auditor: section.auditor,
            line,
        });
    }
    members.sort_by_key(|member| member.line);
    Ok(members)
}

fn lines(text: &str) -> Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let (name, agent, tasks) = match words.as_slice() {
            [] => continue,
            [name, tasks] => (name, None, tasks),
            [name, agent, tasks] => (name, Some((*agent).to_owned()), tasks),
            [_] => return Err(wrong(number, "not NAME [AGENT] TASKS")),
            [_, _, _, more, ..] => return Err(wrong(number, format!("'{more}' is one word too many"))),
        };
        let name = ForkName::parse(name).map_err(|err| wrong(number, err))?;
        if let Some(other) = members.iter().find(|member| member.name == name) {
            return Err(wrong(number, format!("'{name}' is on line {} already", other.line)));
        }
        let (profile, max_tasks, rounds, auditor) = (None, None, None, None);
        let tasks = vec![PathBuf::from(tasks)];
        members.push(Member { name, agent, profile, tasks, max_tasks, rounds, auditor, line: number });
    }
    Ok(members)
}

/// The text of a new file: one section for each name, agent and list.
pub fn text(members: &[(String, Option<String>, String)]) -> String {
    let mut out = String::from(
        "# The fleet: one section for each member, which is a loop in a fork of that name.\n\
         # agent, profile, tasks (a file or a list of files), max_tasks, rounds, auditor. Then: git coop fleet up\n",
    );
    for (name, agent, tasks) in members {
        out.push_str(&format!("\n[{name}]\n"));
        if let Some(agent) = agent {
            out.push_str(&format!("agent = \"{agent}\"\n"));
        }
        out.push_str(&format!("tasks = \"{tasks}\"\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let err = parse(text).expect_err(text);
        assert_eq!(err.kind().code(), 2, "{text}");
        err.render()
    }

    #[test]
    fn both_forms_in_their_order() {
        let toml = "# two\n[web]\nagent = \"claude\"\nprofile = \"work\"\ntasks = [\"a.md\", \"b.md\"]\nmax_tasks = 3\n\n\
                    [api]\ntasks = \".agent/api.md\"\nrounds = 0\n";
        let members = parse(toml).expect("parses");
        let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["web", "api"]);
        assert_eq!((members[0].profile.as_deref(), members[0].max_tasks, members[0].line), (Some("work"), Some(3), 2));
        assert_eq!(members[0].tasks, [PathBuf::from("a.md"), PathBuf::from("b.md")]);
        assert_eq!((members[1].agent.as_deref(), members[1].rounds), (None, Some(0)));
        let lines = "# name agent tasks\nweb claude .agent/web.md # later\n\n  api .agent/api.md\r\n";
        let members = parse(lines).expect("parses");
        assert_eq!((members[0].agent.as_deref(), members[0].line), (Some("claude"), 2));
        assert_eq!((members[1].agent.as_deref(), members[1].line), (None, 4));
        assert_eq!(members[1].tasks, [PathBuf::from(".agent/api.md")]);
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        assert!(error("").contains("names no member"));
        assert!(error("# nothing\n").contains("names no member"));
        assert!(error("web\n").contains("line 1: not NAME [AGENT] TASKS"));
        assert!(error("# x\nweb claude a.md more\n").contains("line 2: 'more' is one word too many"));
        assert!(error("web a.md\nweb b.md\n").contains("line 2: 'web' is on line 1 already"));
        assert!(error("../web a.md\n").contains("line 1: "));
        assert!(error("[web]\n[web]\n").contains("line 2: "));
        assert!(error("\n[Web]\n").contains("line 2: "));
        assert!(error("[web]\nagnet = \"claude\"\n").contains("unknown field `agnet`"));
        assert!(error("[web]\nrounds = -1\n").contains("line 2: "));
        assert!(error("web = 1\n").contains("line 1: "));
        let many: String = (0..=MAX_MEMBERS).map(|n| format!("m{n} a.md\n")).collect();
        assert!(error(&many).contains("200 is the most"));
    }

    #[test]
    fn a_work_tree_cannot_name_a_gate_or_loosen_a_box() {
        for key in ["gate", "egress", "image", "runtime", "command"] {
            let said = error(&format!("[web]\n{key} = \"x\"\n"));
            assert!(
                said.contains(&format!("unknown field `{key}`")) && said.contains("a work tree cannot say that"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text =
            text(&[("one".into(), Some("claude".into()), ".agent/one.md".into()), ("two".into(), None, "t.md".into())]);
        let members = parse(&text).expect("parses");
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].agent.as_deref(), Some("claude"));
    }
}
