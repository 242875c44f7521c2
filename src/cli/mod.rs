//! The command line: one file per command, holding its arguments (their doc comments are the help) and
//! `run`. Parsing is inert; `run` resolves and calls `flow`.

pub mod build;
mod complete;
pub mod completions;
pub mod config;
pub mod context;
pub mod dispatch;
pub mod doctor;
pub mod drain;
pub mod egress;
pub mod fleet;
pub mod fork;
pub mod help;
pub mod init;
pub mod login;
pub mod merge;
pub mod out;
pub mod profiles;
pub mod review;
pub mod run;
pub mod scan;
pub mod shell;
pub mod sibling;
pub mod sync;
pub mod tasks;
pub mod terminal;
pub mod update;
pub mod verify;

use std::process::ExitCode;

pub use context::Context;

use crate::env::Env;
use crate::error::Result;

/// A command: clap arguments and what to do with them.
pub trait Command: clap::Args {
    /// Runs it; the value is the exit code.
    fn run(self, context: &Context) -> Result<u8>;
}

/// The clap definition of a command that is a program of its own; its help comes from the arguments' doc comment.
pub fn definition<C: Command>(name: &'static str) -> clap::Command {
    C::augment_args(clap::Command::new(name))
        .bin_name(format!("git coop {name}"))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
}

/// Entry point of a `git-coop-<name>` binary.
pub fn single<C: Command>(name: &'static str) -> ExitCode {
    finish(|context| {
        let matches = definition::<C>(name).try_get_matches_from(std::env::args_os());
        parsed_or_exit(matches.and_then(|m| C::from_arg_matches(&m)))?.run(context)
    })
}

/// Entry point of a program whose command this version does not have: it says so instead of doing nothing.
pub fn absent(name: &str) -> ExitCode {
    let error = crate::Error::usage(format!("this version has no 'git coop {name}'")).hint("git coop help");
    finish(|_| Err(error))
}

/// Entry point of `git-coop`.
pub fn main() -> ExitCode {
    finish(|context| dispatch::run(std::env::args_os().skip(1).collect(), context))
}

fn parsed_or_exit<T>(parsed: Result<T, clap::Error>) -> Result<T> {
    // clap prints help and version on stdout with 0, usage errors on stderr with 2, as documented
    parsed.map_err(|err| err.exit())
}

fn finish(run: impl FnOnce(&Context) -> Result<u8>) -> ExitCode {
    std::panic::set_hook(Box::new(ended_by_panic));
    let result = Context::of_process(Env::of_process()).and_then(|context| run(&context));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            eprint!("{}", err.render());
            ExitCode::from(err.kind().code())
        }
    }
}

/// A reader that went away (`git coop … | head`) ends the program quietly, as SIGPIPE would; everything
/// else that panics is a bug, whichever thread it is on.
fn ended_by_panic(info: &std::panic::PanicHookInfo<'_>) {
    use std::io::Write as _;
    let payload = info.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let text = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
        std::process::exit(crate::exit::BROKEN_PIPE.into());
    }
    let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
    let line = crate::ui::text::printable(&format!("error: this is a bug in git-coop{place}: {text}"));
    let _ = writeln!(std::io::stderr(), "{line}\nhint: report it with the command that you typed");
    std::process::exit(crate::exit::BUG.into());
}
