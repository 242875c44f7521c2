//! Command lines of an agent: pure functions of its definition and of what was asked.

use std::ffi::{OsStr, OsString};

use super::Definition;

/// What the agent is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task<'a> {
    /// Talk to the user; `args` are the user's own and come last.
    Interactive {
        /// The user's own arguments.
        args: &'a [OsString],
    },
    /// Do what one prompt says, without a terminal, with structured output.
    Headless {
        /// The prompt.
        prompt: &'a OsStr,
    },
    /// Answer one prompt without changing anything.
    Consult {
        /// The prompt.
        prompt: &'a OsStr,
    },
    /// Sign in.
    Login,
    /// Speak the Agent Client Protocol.
    Acp,
}

/// Which session the agent is to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// A new one. `id` is used where the agent can be told one; it must not have been used before.
    New {
        /// A UUID.
        id: String,
    },
    /// The stored one called `id`.
    Resume {
        /// The stored id.
        id: String,
    },
    /// The latest one, for agents whose ids cannot be found.
    Latest,
}

/// A command line and the session it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The id of the session, where it is known before the start.
    pub session: Option<String>,
}

impl Invocation {
    /// The command line for `task` in `which` session; `None` where the agent has no such mode. An agent that cannot
    /// resume by id starts a new session, and [`Invocation::session`] is then `None`.
    pub fn build(agent: &Definition, task: Task<'_>, which: &Which) -> Option<Invocation> {
        let argv = &agent.argv;
        let (session, prompt, args): (_, &OsStr, &[OsString]) = match task {
            Task::Interactive { args } => {
                if chooses_own(agent, args) {
                    let plain = if takes_no_flags(agent, args) { &argv.start[..1] } else { &argv.start[..] };
                    return Some(Invocation { command: fill(plain, "", OsStr::new(""), args), session: None });
                }
                let modes = (&argv.start, &argv.start_with_id, &argv.resume, &argv.resume_latest);
                (template(modes, which), OsStr::new(""), args)
            }
            Task::Headless { prompt } => {
                let none = Vec::new();
                let modes = (&argv.headless, &argv.headless_with_id, &argv.headless_resume, &none);
                let (words, session) = template(modes, which);
                let command = fill(words, session.as_deref().unwrap_or(""), prompt, &[]);
                return Some(Invocation { command, session });
            }
            Task::Consult { prompt } => ((&argv.consult, None), prompt, &[]),
            Task::Login => ((&argv.login, None), OsStr::new(""), &[]),
            Task::Acp => ((&argv.acp, None), OsStr::new(""), &[]),
        };
        let (words, session): (&Vec<String>, Option<String>) = session;
        if words.is_empty() {
            return None;
        }
        Some(Invocation { command: fill(words, session.as_deref().unwrap_or(""), prompt, args), session })
    }
}

/// The template for `which` among (plain, with id, resume, latest), falling back to a plain start.
fn template<'a>(
    (plain, with_id, resume, latest): (&'a Vec<String>, &'a Vec<String>, &'a Vec<String>, &'a Vec<String>),
    which: &Which,
) -> (&'a Vec<String>, Option<String>) {
    match which {
        Which::New { id } if !with_id.is_empty() => (with_id, Some(id.clone())),
        Which::Resume { id } if !resume.is_empty() => (resume, Some(id.clone())),
        Which::Latest if !latest.is_empty() => (latest, None),
        _ => (plain, None),
    }
}

/// Whether the user's own words settle the session, so that coop must not name one: a flag such as `--resume`, or a
/// command of the agent. Words after `--` are not looked at.
pub fn chooses_own(agent: &Definition, args: &[OsString]) -> bool {
    let listed = |word: &OsString| {
        let word = word.to_string_lossy();
        let flag = word.split_once('=').map_or(&*word, |(flag, _)| flag);
        agent.argv.own_session.iter().any(|own| own == flag)
    };
    takes_no_flags(agent, args) || args.iter().take_while(|word| *word != "--").any(listed)
}

/// Whether the user's words name a command of the agent itself (`mcp list`, `auth status`), which talks to no model.
pub fn takes_no_flags(agent: &Definition, args: &[OsString]) -> bool {
    args.first().is_some_and(|word| agent.argv.subcommands.iter().any(|known| word == known.as_str()))
}

/// Fills `{session}` and `{prompt}` in and appends `args`. A prompt replaces a whole word only, whatever it contains.
fn fill(words: &[String], session: &str, prompt: &OsStr, args: &[OsString]) -> Vec<OsString> {
    let one = |word: &String| {
        if word == "{prompt}" { prompt.to_owned() } else { OsString::from(word.replace("{session}", session)) }
    };
    words.iter().map(one).chain(args.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Registry;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn line(agent: &str, task: Task<'_>, which: &Which) -> (String, Option<String>) {
        let registry = Registry::load(std::path::Path::new("/nonexistent")).expect("loads");
        let made = Invocation::build(registry.get(agent).expect("known"), task, which).expect("has the mode");
        (made.command.join(OsStr::new(" ")).into_string().expect("text"), made.session)
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').filter(|w| !w.is_empty()).map(OsString::from).collect()
    }

    #[test]
    fn an_id_is_chosen_up_front_where_the_agent_takes_one() {
        let new = Which::New { id: ID.into() };
        let args = words("-p hello");
        let (shown, id) = line("claude", Task::Interactive { args: &args }, &new);
        assert_eq!(shown, format!("claude --dangerously-skip-permissions --session-id {ID} -p hello"));
        assert_eq!(id.as_deref(), Some(ID));
        let (shown, id) = line("codex", Task::Interactive { args: &[] }, &new);
        assert_eq!((shown.as_str(), id), ("codex --dangerously-bypass-approvals-and-sandbox", None));
    }

    #[test]
    fn a_stored_session_is_resumed_by_id() {
        let stored = Which::Resume { id: ID.into() };
        for (agent, want) in [
            ("claude", format!("claude --dangerously-skip-permissions --resume {ID}")),
            ("codex", format!("codex resume {ID} --dangerously-bypass-approvals-and-sandbox")),
            ("gemini", format!("gemini --yolo --resume {ID}")),
            ("copilot", format!("copilot --allow-all --resume={ID}")),
        ] {
            assert_eq!(line(agent, Task::Interactive { args: &[] }, &stored), (want, Some(ID.into())));
        }
        let (shown, id) = line("aider", Task::Interactive { args: &[] }, &stored);
        assert!(!shown.contains(ID) && id.is_none(), "{shown}");
        assert!(line("aider", Task::Interactive { args: &[] }, &Which::Latest).0.contains("--restore-chat-history"));
    }

    #[test]
    fn the_users_own_choice_of_a_session_wins() {
        let new = Which::New { id: ID.into() };
        for args in ["--continue", "--resume=x", "-r x", "mcp list", "auth status"] {
            let args = words(args);
            let (shown, id) = line("claude", Task::Interactive { args: &args }, &new);
            assert!(!shown.contains(ID) && id.is_none(), "{shown}");
        }
        assert_eq!(line("claude", Task::Interactive { args: &words("mcp list") }, &new).0, "claude mcp list");
        let args = words("-- --resume");
        assert!(line("claude", Task::Interactive { args: &args }, &new).0.contains(ID));
    }

    #[test]
    fn a_prompt_is_one_word_whatever_it_says() {
        let prompt = OsStr::new("fix {session} --resume; `x`\n");
        let made = line("codex", Task::Headless { prompt }, &Which::Resume { id: ID.into() });
        assert_eq!(
            made.0,
            format!(
                "codex exec resume {ID} --dangerously-bypass-approvals-and-sandbox --json {}",
                prompt.to_string_lossy()
            )
        );
    }
}
