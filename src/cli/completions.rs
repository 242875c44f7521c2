//! `git coop completions`.

use clap::ValueEnum;

use crate::agent::Registry;
use crate::error::Result;
use crate::exit;
use crate::git::Git;

use super::complete::{self, Names};
use super::{Command, Context, dispatch};

/// Print the completion script of a shell
///
/// For a session: `source <(git coop completions bash)`, `git coop completions fish | source`. For good,
/// `make install` puts the scripts where bash, zsh and fish find them. They complete commands, options, fork
/// names and agents, for `git coop` and for `git-coop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(required_unless_present_any = ["list", "words"])]
    shell: Option<Shell>,
    /// Print names of one kind, one a line
    #[arg(long, hide = true)]
    list: Option<List>,
    /// Print what may follow these words: candidate, tab, description
    #[arg(hide = true, num_args = 0.., last = true, allow_hyphen_values = true)]
    words: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum List {
    Forks,
    Agents,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let names = Live(context);
        if let Some(list) = self.list {
            let found = match list {
                List::Forks => names.forks(),
                List::Agents => names.agents(),
            };
            found.iter().for_each(|name| println!("{name}"));
        } else if let Some(words) = &self.words {
            for (name, about) in complete::candidates(&dispatch::tree(), words, &names) {
                println!("{name}\t{about}");
            }
        } else if let Some(shell) = self.shell {
            print!(
                "{}",
                match shell {
                    Shell::Bash => include_str!("completions/git-coop.bash"),
                    Shell::Zsh => include_str!("completions/_git-coop"),
                    Shell::Fish => include_str!("completions/git-coop.fish"),
                }
            );
        }
        Ok(exit::OK)
    }
}

/// Names as they are now; completion never fails, it only knows less.
struct Live<'a>(&'a Context);

impl Names for Live<'_> {
    fn forks(&self) -> Vec<String> {
        let Ok(repo) = self.0.repo() else { return Vec::new() };
        let listed = Git::new(&repo, &self.0.env).args(["for-each-ref", "--format=%(refname)", "refs/coop/forks/"]);
        let text = listed.line().unwrap_or_default();
        let name = |line: &str| line.strip_prefix("refs/coop/forks/")?.strip_suffix("/meta").map(str::to_owned);
        text.lines().filter_map(name).collect()
    }
    fn agents(&self) -> Vec<String> {
        let registry = Registry::load(&self.0.env.config_dir());
        registry.map(|agents| agents.names().map(str::to_owned).collect()).unwrap_or_default()
    }
}
