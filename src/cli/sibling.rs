//! Commands that are programs of their own, beside the dispatcher, so that `git coop` itself stays small.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Error, Result};

/// One such program.
#[derive(Debug)]
pub struct Sibling {
    /// `fork` is `git coop fork` and the program `git-coop-fork`.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Its arguments, for help, man pages and completions.
    pub definition: fn() -> clap::Command,
}

/// The programs that this version has.
pub const SIBLINGS: &[Sibling] = &[
    Sibling { name: "fork", aliases: &[], definition: || super::definition::<super::fork::Args>("fork") },
    Sibling {
        name: "scan",
        aliases: &["check-secrets"],
        definition: || super::definition::<super::scan::Args>("scan").visible_alias("check-secrets"),
    },
    Sibling { name: "fleet", aliases: &[], definition: || super::definition::<super::fleet::Args>("fleet") },
    Sibling { name: "loop", aliases: &[], definition: || super::definition::<super::drain::Args>("loop") },
    Sibling { name: "review", aliases: &[], definition: || super::definition::<super::review::Args>("review") },
    Sibling { name: "merge", aliases: &[], definition: || super::definition::<super::merge::Args>("merge") },
];

/// The sibling called `word`.
pub fn find(word: &OsStr) -> Option<&'static Sibling> {
    SIBLINGS.iter().find(|s| word == s.name || s.aliases.iter().any(|alias| word == *alias))
}

/// Becomes the sibling's program. Returns only if that fails.
pub fn exec(sibling: &Sibling, args: impl Iterator<Item = OsString>, env: &Env) -> Result<u8> {
    let program = program(sibling.name, env)?;
    let err = std::process::Command::new(&program).args(args).exec();
    Err(Error::usage(format!("cannot run '{}'", program.display()))
        .because(err)
        .hint("install git-coop again: make install"))
}

/// The program of the command `name`. Errors: exit 2 where it is not installed.
pub fn program(name: &str, env: &Env) -> Result<PathBuf> {
    let file = format!("git-coop-{name}");
    beside(&file).or_else(|| env.which(&file)).ok_or_else(|| {
        Error::usage(format!("'{file}' is neither beside git-coop nor on PATH"))
            .hint("install git-coop again: make install")
    })
}

/// The file beside the running program, whose own links are resolved (a package may link it into `bin`).
fn beside(file: &str) -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let real = here.canonicalize().ok();
    let files = [Some(here), real].into_iter().flatten().filter_map(|exe| Some(exe.parent()?.join(file)));
    files.into_iter().find(|p| p.is_file())
}
