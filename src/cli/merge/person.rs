//! The person at the terminal, or what they said on the command line.

use std::io::{BufRead, IsTerminal, Write};

use crate::error::{Context as _, Error, Result};
use crate::flow::land::{Ask, Finding};
use crate::ui::text::printable;

/// Asks on the terminal; without one, only the command line counts.
pub struct Person {
    yes: bool,
    terminal: bool,
}

impl Person {
    /// `yes` is `--yes`.
    pub fn new(yes: bool) -> Self {
        Person { yes, terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal() }
    }
    /// The question for all forks together was answered.
    pub fn said_yes(&mut self) {
        self.yes = true;
    }
    fn ask(&self, question: &str) -> Result<bool> {
        eprint!("{} [y/N] ", printable(question));
        std::io::stderr().flush().or_bug("cannot write to the terminal")?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).or_bug("cannot read from the terminal")?;
        Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

impl Ask for Person {
    fn land(&mut self, question: &str) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !self.terminal {
            return Err(Error::usage("nobody is there to say yes").hint("git coop merge --yes lands without asking"));
        }
        self.ask(question)
    }
    fn accept(&mut self, finding: &Finding) -> Result<bool> {
        if self.yes || !self.terminal {
            return Ok(false); // --yes says that landing is meant, not what it brings
        }
        eprintln!("{}", finding.shown());
        self.ask("Is this meant?")
    }
    fn drop(&mut self, question: &str) -> Result<bool> {
        if self.yes || !self.terminal {
            return Ok(false);
        }
        self.ask(question)
    }
}
