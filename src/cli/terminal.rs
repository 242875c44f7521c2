//! Whether a person is at a terminal.

use std::io::IsTerminal;

/// A terminal on both ends: then a box gets one of its own. Else the streams are forwarded as they are, and
/// a pipe into `git coop run` is read by the command.
pub fn both() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
