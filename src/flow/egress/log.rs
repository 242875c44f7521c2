//! What a box reached, recorded when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::sandbox::egress::Report;
use crate::sandbox::egress::tally::Line;
use crate::state::egress::{self, FILE};
use crate::state::{Event, Store};
use crate::ui::text::{count, printable};

use super::super::Coop;

/// How many denied places are said after a run.
const SHOWN: usize = 5;

/// What a proxy tells its lines to: they become an event, and denied places are said. A run that asked for nothing leaves
/// no event. What cannot be recorded is said and does not fail the run, whose work matters more.
pub fn report(coop: &Coop, label: &str, purpose: &str) -> Report {
    let (repo, env, host) = (coop.repo.clone(), coop.env.clone(), coop.host());
    let (label, purpose) = (label.to_owned(), purpose.to_owned());
    Arc::new(move |lines| {
        if lines.is_empty() {
            return;
        }
        say(lines, &label);
        let recorded =
            Store::open(&repo, &env).and_then(|store| egress::record(&store, &event(lines, &label, &purpose, &host)));
        if let Err(err) = recorded {
            eprintln!("warning: what the box reached could not be recorded: {}", printable(err.message()));
        }
    })
}

fn say(lines: &[Line], label: &str) {
    let denied: Vec<&Line> = lines.iter().filter(|line| line.denied > 0).collect();
    for line in denied.iter().take(SHOWN) {
        eprintln!("note: the box was denied {}: {}", printable(&line.place), printable(&line.reason));
    }
    if denied.len() > SHOWN {
        eprintln!("note: and {} more", count(denied.len() - SHOWN, "place"));
    }
    if !denied.is_empty() {
        let log = super::fork_of(label).map_or_else(String::new, |fork| format!(" {fork}"));
        eprintln!("hint: git coop egress log{log}");
    }
}

fn event(lines: &[Line], label: &str, purpose: &str, host: &str) -> Event {
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum::<u64>();
    let (reached, denied) = (places(lines, |l| l.reached), places(lines, |l| l.denied));
    let name = super::fork_of(label).map_or_else(|| "live".to_owned(), |fork| fork.to_string());
    let text: String = lines.iter().map(|line| row(line) + "\n").collect();
    Event {
        subject: format!("egress {name}: {} reached, {denied} denied", count(reached, "place")),
        trailers: [
            ("Kind", "egress".to_owned()),
            ("Workspace", label.to_owned()),
            ("Purpose", purpose.to_owned()),
            ("Reached", sum(|l| l.reached).to_string()),
            ("Denied", sum(|l| l.denied).to_string()),
            ("Bytes-Up", sum(|l| l.up).to_string()),
            ("Bytes-Down", sum(|l| l.down).to_string()),
            ("Host", host.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec(),
        files: BTreeMap::from([(FILE.to_owned(), text.into_bytes())]),
        ..Event::default()
    }
}

fn places(lines: &[Line], of: fn(&Line) -> u64) -> usize {
    lines.iter().filter(|line| of(line) > 0).count()
}

/// A line of the event's file.
fn row(line: &Line) -> String {
    let Line { place, reached, denied, failed, up, down, reason } = line;
    let clean = |text: &str| printable(text).replace('\t', " ");
    format!("{}\t{reached}\t{denied}\t{failed}\t{up}\t{down}\t{}", clean(place), clean(reason))
}

/// A line of an event's file as values; `None` for one that is none.
pub fn parse(row: &str) -> Option<Line> {
    let mut fields = row.split('\t');
    let place = fields.next()?.to_owned();
    let mut number = || fields.next()?.parse().ok();
    let (reached, denied, failed, up, down) = (number()?, number()?, number()?, number()?, number()?);
    Some(Line { place, reached, denied, failed, up, down, reason: fields.next().unwrap_or_default().to_owned() })
}

/// The last `limit` runs, newest first; of one fork where it is given.
pub fn runs(coop: &Coop, fork: Option<&str>, limit: usize) -> Result<Vec<egress::Run>> {
    egress::log(&coop.repo, &coop.env, limit, |label| {
        fork.is_none_or(|name| super::fork_of(label).is_some_and(|fork| fork.as_str() == name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was() {
        let line = Line {
            place: "a.example:443".into(),
            reached: 1,
            denied: 2,
            failed: 3,
            up: 4,
            down: 5,
            reason: "not on the list".into(),
        };
        assert_eq!(parse(&row(&line)), Some(line.clone()));
        let hostile = Line { reason: "a\tb\u{1b}[2Jc\n".into(), ..line };
        assert_eq!(row(&hostile).lines().count(), 1);
        assert!(parse("x\ty").is_none());
    }
}
