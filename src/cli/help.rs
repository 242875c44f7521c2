//! `git coop help`.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::error::{Error, Result};

use crate::ui::nearest;

use super::{Command, Context, dispatch};

/// Show the manual of git coop or of one of its commands
///
/// On a terminal this is the man page where it is installed, otherwise the same text without one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command, for example `fork` or `fork ls`; nothing is git coop itself
    command: Vec<String>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let tree = dispatch::tree();
        let mut at = &tree;
        for word in &self.command {
            at = at.find_subcommand(word).ok_or_else(|| unknown(word, at))?;
        }
        let page =
            std::iter::once("git-coop").chain(self.command.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        if std::io::stdout().is_terminal() && has_page(context, &page) {
            let err = std::process::Command::new("man").arg(&page).exec();
            return Err(Error::usage("cannot run man").because(err).hint("git coop help | less"));
        }
        let long = at
            .clone()
            .bin_name(format!("git coop {}", self.command.join(" ")).trim_end().to_owned())
            .render_long_help();
        if std::io::stdout().is_terminal() {
            print!("{}", long.ansi())
        } else {
            print!("{long}")
        }
        Ok(crate::exit::OK)
    }
}

fn has_page(context: &Context, page: &str) -> bool {
    context.env.which("man").is_some_and(|man| {
        let asked = std::process::Command::new(man)
            .arg("-w")
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    })
}

fn unknown(word: &str, at: &clap::Command) -> Error {
    let names: Vec<&str> = at.get_subcommands().map(clap::Command::get_name).collect();
    let err = Error::usage(format!("there is no command '{word}'"));
    match nearest(word, names.iter().copied()) {
        Some(name) => err.hint(format!("git coop help {name}")),
        None => err.hint("git coop help"),
    }
}
