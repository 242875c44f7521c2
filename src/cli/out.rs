//! Results on standard output. A reader that went away (`| head`) is no error.

use std::io::{self, Write};

use crate::error::{Context as _, Result};
use crate::ui::text;

/// Writes to standard output; a broken pipe ends quietly.
pub fn write(what: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match what(&mut stdout).and_then(|()| stdout.flush()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.or_bug("cannot write to standard output"),
    }
}

/// One JSON document and a newline. Names and words of an agent may be in it: what would act on a terminal is escaped,
/// as JSON allows everywhere in a string.
pub fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).or_bug("cannot write JSON")?;
    write(|stdout| writeln!(stdout, "{}", text::json(&text)))
}
