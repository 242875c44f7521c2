//! Review: what a person should know before a fork lands. Everything is computed as landing would compute it,
//! and everything that an agent wrote is made harmless before it is shown.

pub mod dossier;
pub mod outside;
mod risk;

use crate::error::Result;
use crate::git::{Oid, diff};
use crate::state::Fork;
use crate::ui::text::{count, printable_bytes};

use super::Coop;

pub use dossier::{Dossier, dossier};
pub use risk::Risk;

/// A patch longer than this is cut (bytes), and says so.
const MAX_PATCH: usize = 64 << 20;

/// Files and lines between two commits, one line each.
pub fn stat(coop: &Coop, old: &Oid, new: &Oid) -> Result<String> {
    let churn = diff::churn(&coop.repo, &coop.env, old, new)?;
    let mut rows: Vec<_> = churn.into_iter().collect();
    rows.sort();
    let mut out = String::new();
    for (path, lines) in rows {
        let lines = lines.map_or_else(|| "binary".to_owned(), |(plus, minus)| format!("+{plus} -{minus}"));
        out.push_str(&format!("  {lines:>12}  {}\n", printable_bytes(&path)));
    }
    Ok(out)
}

/// The patch of the fork as text for a terminal: every control character escaped, coloured by us where asked.
pub fn patch(coop: &Coop, old: &Oid, new: &Oid, colour: bool) -> Result<String> {
    let (bytes, cut) = diff::patch(&coop.repo, &coop.env, old, new, MAX_PATCH)?;
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    for line in bytes.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut shown = String::new();
        for (at, part) in line.split(|b| *b == b'\t').enumerate() {
            if at > 0 {
                shown.push('\t');
            }
            shown.push_str(&printable_bytes(part));
        }
        let code = match line.first() {
            _ if !colour => "",
            _ if line.starts_with(b"+++") || line.starts_with(b"---") || line.starts_with(b"diff ") => "1",
            Some(b'+') => "32",
            Some(b'-') => "31",
            Some(b'@') => "36",
            _ => "",
        };
        if code.is_empty() {
            out.push_str(&shown);
        } else {
            out.push_str(&format!("\u{1b}[{code}m{shown}\u{1b}[m"));
        }
        out.push('\n');
    }
    if cut {
        out.push_str(&format!("[the patch is longer than {}]\n", count(MAX_PATCH >> 20, "MiB")));
    }
    Ok(out)
}

/// Records which commit was reviewed. A fork that is at work is not touched: its process owns the record.
pub fn record(coop: &Coop, fork: &mut Fork) -> Result<()> {
    if fork.get("Reviewed") == Some(fork.head.as_str()) {
        return Ok(());
    }
    let Ok(_lock) = super::fork::take(coop, &fork.name) else {
        eprintln!("note: '{}' is at work, so the review is not recorded", fork.name);
        return Ok(());
    };
    // read again under the lock: what was shown is what is recorded, whatever the head is now
    let shown = fork.head.clone();
    let mut now = Fork::load(&coop.repo, &coop.env, &fork.name)?;
    now.set("Reviewed", shown.as_str());
    now.record(&coop.store()?, &format!("reviewed at {}", shown.short()), Vec::new())?;
    *fork = now;
    Ok(())
}
