//! The report for people: findings grouped by file on standard output, the rest on standard error.

use std::io::IsTerminal as _;

use owo_colors::{OwoColorize as _, Style};

use crate::cli::out;
use crate::env::Env;
use crate::error::Result;
use crate::flow::scan::Report;
use crate::ui::text::{count, printable, printable_bytes};

pub fn print(env: &Env, report: &Report, brief: bool) -> Result<()> {
    let colour = std::io::stdout().is_terminal() && env.get("NO_COLOR").is_none();
    let style = |style: Style| if colour { style } else { Style::new() };
    let (place, rule) = (style(Style::new().bold()), style(Style::new().red()));
    out::write(|w| {
        let mut last = None;
        for located in &report.findings {
            let f = &located.finding;
            let path = printable_bytes(&f.path);
            if last.is_some() && last != Some(&f.path) {
                writeln!(w)?;
            }
            last = Some(&f.path);
            let at = format!("{path}:{}:{}", f.line, f.column);
            let commit =
                located.commit.as_deref().map(|c| format!("  in {}", &c[..c.len().min(12)])).unwrap_or_default();
            writeln!(
                w,
                "{}: {} {} ({}){commit}",
                at.style(place),
                f.rule.style(rule),
                printable(&f.redacted),
                f.confidence.word()
            )?;
            writeln!(w, "    {}; fingerprint {}", f.about, f.fingerprint)?;
        }
        Ok(())
    })?;
    let mut err = std::io::stderr().lock();
    let _ = summary(&mut err, report, brief); // nobody to tell if standard error is closed
    Ok(())
}

fn summary(err: &mut impl std::io::Write, report: &Report, brief: bool) -> std::io::Result<()> {
    for (path, why) in report.unreadable.iter().take(20) {
        let at = if path.is_empty() { String::new() } else { format!("{}: ", printable_bytes(path)) };
        writeln!(err, "warning: {at}{}", printable(why))?;
    }
    if report.unreadable.len() > 20 {
        writeln!(err, "warning: and {} more", report.unreadable.len() - 20)?;
    }
    let found = report.findings.len();
    if brief && found == 0 {
        return Ok(());
    }
    let skipped: Vec<String> = report.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
    let skipped = if skipped.is_empty() { String::new() } else { format!("; {}", skipped.join(", ")) };
    let accepted = if report.accepted == 0 { String::new() } else { format!("; {} accepted", report.accepted) };
    let (files, mb) = (report.scanned, report.bytes as f64 / 1e6);
    writeln!(err, "{} in {files} scanned, {mb:.1} MB{accepted}{skipped}", count(found, "secret"))?;
    if found > 0 {
        writeln!(
            err,
            "hint: remove the secret and revoke it; what is none: comment it with coop:allow, or put its fingerprint into .coopallow"
        )?;
    }
    err.flush()
}
