//! The files that `git coop init` writes, as data.

/// A file that is made where there is none: path and text.
pub const FILES: &[(&str, &str)] = &[
    ("AGENTS.md", include_str!("scaffold/AGENTS.md")),
    (".agent/TASKS.md", include_str!("scaffold/TASKS.md")),
    (".agent/LOG.md", include_str!("scaffold/LOG.md")),
    (".agent/BACKLOG.md", include_str!("scaffold/BACKLOG.md")),
    (".agent/rules/README.md", include_str!("scaffold/rules.md")),
];

/// Links that are made where there is nothing: path and target.
pub const LINKS: &[(&str, &str)] = &[("CLAUDE.md", "AGENTS.md"), ("GEMINI.md", "AGENTS.md")];

/// What is added to `.gitignore`: working state is local, rules are shared.
pub const IGNORED: &str = "# git coop: working state of agents; rules are shared\n.agent/*\n!.agent/rules/\n";

/// git configuration that makes `git log` show verdicts: key and value.
pub const CONFIG: &[(&str, &str)] = &[("notes.displayRef", "refs/notes/coop/*")];
