//! The report for people: findings grouped by file on standard output, the rest on standard error.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal as _;

use bstr::BString;
use owo_colors::{OwoColorize as _, Style};

use crate::cli::out;
use crate::env::Env;
use crate::error::Result;
use crate::flow::scan::{Located, Report};
use crate::secret::scan::Fingerprint;
use crate::ui::text::{count, printable, printable_bytes};

pub fn print(env: &Env, report: &Report, brief: bool) -> Result<()> {
    let colour = std::io::stdout().is_terminal() && env.get("NO_COLOR").is_none();
    let style = |style: Style| if colour { style } else { Style::new() };
    let (place, rule) = (style(Style::new().bold()), style(Style::new().red()));
    let told = once(report);
    out::write(|w| {
        let mut last = None;
        for (located, elsewhere) in &told {
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
            if !elsewhere.is_empty() {
                writeln!(w, "    then {}", places(elsewhere))?;
            }
        }
        Ok(())
    })?;
    let mut err = std::io::stderr().lock();
    let _ = summary(&mut err, report, told.len(), brief); // nobody to tell if standard error is closed
    Ok(())
}

/// The findings, and how often the same value is in each other path. Of what commits brought a value is told once, where
/// it came first: it has to be revoked once. `--json` has them all.
fn once(report: &Report) -> Vec<(&Located, BTreeMap<&BString, usize>)> {
    let mut out: Vec<(&Located, BTreeMap<&BString, usize>)> = Vec::new();
    let mut first: HashMap<(&str, &Fingerprint), usize> = HashMap::new();
    for located in &report.findings {
        let f = &located.finding;
        match first.get(&(&*f.rule, &f.fingerprint)).filter(|_| located.commit.is_some()) {
            Some(at) => *out[*at].1.entry(&f.path).or_default() += 1,
            None => {
                first.insert((&f.rule, &f.fingerprint), out.len());
                out.push((located, BTreeMap::new()));
            }
        }
    }
    out
}

/// `17 times in a, once in b and in 3 more files`.
fn places(paths: &BTreeMap<&BString, usize>) -> String {
    let times = |n: usize| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    let named = paths.iter().take(3).map(|(path, n)| format!("{} in {}", times(*n), printable_bytes(path)));
    let more = if paths.len() > 3 { format!(" and in {}", count(paths.len() - 3, "more file")) } else { String::new() };
    named.collect::<Vec<_>>().join(", ") + &more
}

fn summary(err: &mut impl std::io::Write, report: &Report, found: usize, brief: bool) -> std::io::Result<()> {
    for (path, why) in report.unreadable.iter().take(20) {
        let at = if path.is_empty() { String::new() } else { format!("{}: ", printable_bytes(path)) };
        writeln!(err, "warning: {at}{}", printable(why))?;
    }
    if report.unreadable.len() > 20 {
        writeln!(err, "warning: and {} more", report.unreadable.len() - 20)?;
    }
    if brief && found == 0 {
        return Ok(());
    }
    let skipped: Vec<String> = report.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
    let skipped = if skipped.is_empty() { String::new() } else { format!("; {}", skipped.join(", ")) };
    let accepted = if report.accepted == 0 { String::new() } else { format!("; {} accepted", report.accepted) };
    let (files, mb) = (report.scanned, report.bytes as f64 / 1e6);
    let all = report.findings.len();
    let places = if all > found { format!(" ({all} places)") } else { String::new() };
    writeln!(err, "{}{places} in {files} scanned, {mb:.1} MB{accepted}{skipped}", count(found, "secret"))?;
    if found > 0 {
        writeln!(
            err,
            "hint: remove the secret and revoke it; what is none: comment it with coop:allow, or put its fingerprint into .coopallow"
        )?;
    }
    err.flush()
}
