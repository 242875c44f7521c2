//! The command line: one file per command, holding its arguments (their doc comments are the help) and
//! `run`. Parsing is inert; `run` resolves and calls `flow`.

pub mod context;
pub mod dispatch;

use std::process::ExitCode;

use clap::Parser as _;

pub use context::Context;

use crate::env::Env;
use crate::error::Result;

/// A command: clap arguments and what to do with them.
pub trait Command: clap::Args {
    /// Runs it; the value is the exit code.
    fn run(self, context: &Context) -> Result<u8>;
}

/// Entry point of a `git-coop-<name>` binary.
pub fn single<C: Command>(name: &'static str) -> ExitCode {
    #[derive(clap::Parser)]
    struct Only<C: clap::Args> {
        #[command(flatten)]
        args: C,
    }
    use clap::{CommandFactory as _, FromArgMatches as _};
    let command =
        Only::<C>::command().name(name).bin_name(format!("git coop {name}")).version(env!("CARGO_PKG_VERSION"));
    let parsed = command.try_get_matches_from(std::env::args_os()).and_then(|m| Only::<C>::from_arg_matches(&m));
    finish(|context| parsed_or_exit(parsed)?.args.run(context))
}

/// Entry point of `git-coop`.
pub fn main() -> ExitCode {
    let parsed = dispatch::Cli::try_parse();
    finish(|context| dispatch::run(parsed_or_exit(parsed)?, context))
}

fn parsed_or_exit<T>(parsed: Result<T, clap::Error>) -> Result<T> {
    // clap prints help and version on stdout with 0, usage errors on stderr with 2, as documented
    parsed.map_err(|err| err.exit())
}

fn finish(run: impl FnOnce(&Context) -> Result<u8>) -> ExitCode {
    let result = Context::of_process(Env::of_process()).and_then(|context| run(&context));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            eprint!("{}", err.render());
            ExitCode::from(err.kind().code())
        }
    }
}
