//! The engine of shell completion: given the words typed so far, what may come next. The shell scripts
//! only ask it, so that three shells agree and fork and agent names are always current.

use clap::{Arg, ArgAction, Command};

/// Names that only the moment of typing knows.
pub(super) trait Names {
    /// Forks of the repository around the current directory.
    fn forks(&self) -> Vec<String>;
    /// Agents that can be run.
    fn agents(&self) -> Vec<String>;
}

/// One candidate and what it is.
pub(super) type Candidate = (String, String);

/// What may stand in place of the last word, which may be empty. An empty answer leaves it to the shell
/// (file names).
pub(super) fn candidates(tree: &Command, words: &[String], names: &dyn Names) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let mut tree = tree.clone().disable_help_subcommand(true);
    tree.build(); // numbers the positional arguments
    let tree = &tree;
    let mut at = tree;
    let mut position = 1;
    let mut wanted: Option<&Arg> = None;
    for word in before {
        if wanted.take().is_some() {
            continue;
        }
        if word == "--" {
            return Vec::new();
        }
        if word.starts_with('-') {
            wanted = option(at, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(sub) = at.find_subcommand(word).filter(|_| position == 1) {
            at = sub;
            position = 1;
        } else {
            if at.get_name() == tree.get_name() {
                return Vec::new(); // an agent: the rest is its own
            }
            position += 1;
        }
    }
    let mut found = match wanted {
        Some(arg) => values(arg, names),
        None if current.starts_with('-') => options(at),
        None => {
            let subcommands = at.get_subcommands().filter(|s| position == 1 && !s.is_hide_set());
            let mut found: Vec<Candidate> = subcommands.map(about).collect();
            if at.get_name() == tree.get_name() {
                found.extend(named(names.agents(), "agent"));
            }
            let argument = at.get_positionals().find(|arg| {
                arg.get_index() == Some(position) || arg.get_index().is_some_and(|i| i <= position) && is_list(arg)
            });
            found.extend(argument.map(|arg| values(arg, names)).unwrap_or_default());
            if at.is_allow_external_subcommands_set() && at.get_name() != tree.get_name() {
                // `git coop fork NAME AGENT`
                match position {
                    1 => found.extend(named(names.forks(), "fork")),
                    2 => found = named(names.agents(), "agent"),
                    _ => {}
                }
            }
            found
        }
    };
    found.retain(|(name, _)| name.starts_with(current.as_str()));
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => name.chars().nth(1).is_some_and(|c| arg.get_short() == Some(c)) && name.chars().count() == 2,
    })
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn options(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let long = |arg: &Arg| arg.get_long().map(|long| (format!("--{long}"), first_line(arg.get_help())));
    shown.filter_map(long).chain([("--help".to_owned(), "Print help".to_owned())]).collect()
}

/// The values of an argument: those it lists, or by what it is called those that exist.
fn values(arg: &Arg, names: &dyn Names) -> Vec<Candidate> {
    let listed = arg.get_possible_values();
    if !listed.is_empty() {
        let shown = listed.iter().filter(|v| !v.is_hide_set());
        return shown.map(|v| (v.get_name().to_owned(), first_line(v.get_help()))).collect();
    }
    let called = arg.get_value_names().and_then(|names| names.first()).map(|n| n.to_ascii_lowercase());
    match called.as_deref().unwrap_or(arg.get_id().as_str()) {
        "fork" | "name" => named(names.forks(), "fork"), // `git coop fork rm NAME`
        "agent" => named(names.agents(), "agent"),
        "setting" => crate::settings::SETTINGS.iter().map(|s| (s.git.to_owned(), s.doc.to_owned())).collect(),
        _ => Vec::new(),
    }
}

fn named(names: Vec<String>, what: &str) -> Vec<Candidate> {
    names.into_iter().map(|name| (name, what.to_owned())).collect()
}

fn about(command: &Command) -> Candidate {
    (command.get_name().to_owned(), first_line(command.get_about()))
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|t| t.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Names for Fixed {
        fn forks(&self) -> Vec<String> {
            vec!["fast".into(), "feature".into()]
        }
        fn agents(&self) -> Vec<String> {
            vec!["claude".into(), "codex".into()]
        }
    }

    fn tree() -> Command {
        let fork = Command::new("fork")
            .allow_external_subcommands(true)
            .arg(Arg::new("base").long("base").value_name("REV").help("where it starts"))
            .arg(Arg::new("as").long("as").value_name("AGENT"))
            .subcommand(Command::new("ls").about("list"))
            .subcommand(
                Command::new("rm").arg(Arg::new("names").value_name("FORK").num_args(1..).action(ArgAction::Append)),
            );
        let shells = Arg::new("shell").value_parser(["bash", "zsh"]);
        Command::new("git-coop").subcommand(fork).subcommand(Command::new("completions").arg(shells))
    }

    fn after(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
        candidates(&tree(), &words, &Fixed).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn commands_agents_forks_options_and_values() {
        assert_eq!(after(&["c"]), ["claude", "codex", "completions"]);
        assert_eq!(after(&["fork", "f"]), ["fast", "feature"]);
        assert_eq!(after(&["fork", ""]), ["fast", "feature", "ls", "rm"]);
        assert_eq!(after(&["fork", "feature", ""]), ["claude", "codex"]);
        assert_eq!(after(&["fork", "rm", "feature", "fa"]), ["fast"]);
        assert_eq!(after(&["fork", "--b"]), ["--base"]);
        assert_eq!(after(&["fork", "--as", "cl"]), ["claude"]);
        assert_eq!(after(&["fork", "--base", "x", "fe"]), ["feature"]);
        assert_eq!(after(&["completions", "z"]), ["zsh"]);
        assert!(after(&["claude", "--"]).is_empty() && after(&["fork", "x", "--", ""]).is_empty());
        assert!(after(&[]).is_empty());
    }
}
