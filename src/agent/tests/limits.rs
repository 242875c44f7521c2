//! Reset times: forms, zones, clock changes, and what is not believed.

use jiff::Zoned;

use crate::agent::limits::{after, epoch, when};

fn at(text: &str) -> Zoned {
    text.parse().expect("a time with a zone")
}

#[track_caller]
fn check(now: &str, words: &str, want: Option<&str>) {
    let found = when(words, &at(now));
    assert_eq!(found, want.map(|want| want.parse().expect("a timestamp")), "{words} at {now}");
}

/// Nine in the morning of 21 November 2026 in Denver, a Saturday.
const NOW: &str = "2026-11-21T09:00:00-07:00[America/Denver]";
const RESET: Option<&str> = Some("2026-11-22T10:00:00Z");

#[test]
fn every_form_of_the_same_moment() {
    for words in [
        "3am (America/Denver)",
        "3am",
        "3:00am",
        "3 AM",
        "3:00 AM MST",
        "03:00",
        "10:00 UTC",
        "10:00 (UTC)",
        "10am Z",
        "2am PST",
        "12:00 UTC+2",
        "15:30 (Asia/Kolkata)",
        "Nov 22nd, 2026 3:00 AM",
        "Nov 22nd, 2026 3:00 AM.",
        "November 22, 3am",
        "22 Nov 2026 at 3:00 am",
        "Sunday 3am",
        "Sun at 3:00 AM",
        "tomorrow at 3am",
        "2026-11-22 03:00",
        "2026-11-22T10:00:00Z",
        "2026-11-22T03:00:00-07:00",
        "1795341600",
        "1795341600000",
        "in 18h",
        "18 hours",
        "17h59m60s",
        "in 17 hours and 60 minutes",
        "1080 min",
        "64800s",
    ] {
        check(NOW, words, RESET);
    }
}

#[test]
fn durations() {
    let after = |words: &str| when(words, &at(NOW)).map(|t| t.duration_since(at(NOW).timestamp()).as_millis());
    for (words, want) in [
        ("in 3h59m", 14_340_000),
        ("3h59m12s", 14_352_000),
        ("3599.5s", 3_599_500),
        ("1.898s", 1_898),
        ("30 seconds", 30_000),
        ("5 minutes", 300_000),
        ("3 days 4 hours", 273_600_000),
        ("1 week", 604_800_000),
    ] {
        assert_eq!(after(words), Some(want), "{words}");
    }
}

#[test]
fn what_is_not_believed() {
    for words in [
        "",
        "soon",
        "30",
        "3",
        "25:00",
        "13pm",
        "0am",
        "3am (Mars/Base)",
        "3am (America/Denver",
        "3am IST",
        "Feb 30, 3am",
        "Jan 2, 3pm",
        "Nov 22nd, 2025 3:00 AM",
        "Nov 20, 2026 3:00 AM",
        "June 3rd 3pm",
        "2026-11-20T10:00:00Z",
        "1595341600",
        "4070908800",
        "9 days",
        "in 192h1s",
        "in -5 minutes",
        "5 parsecs",
        "3am 4am",
        "99999999999999999999h",
        "1e400s",
        "٣am",
    ] {
        check(NOW, words, None);
    }
    assert_eq!(after(-1.0, &at(NOW)), None);
    assert_eq!(after(f64::NAN, &at(NOW)), None);
    assert_eq!(epoch(0, &at(NOW)), None);
}

#[test]
fn a_moment_ago_is_any_moment() {
    let soon = Some("2026-11-21T16:01:00Z");
    check(NOW, "9:00am", soon);
    check(NOW, "8:57am", soon);
    check(NOW, "8:54am", Some("2026-11-22T15:54:00Z"));
    check(NOW, "Nov 21, 2026 8:58 AM", soon);
}

#[test]
fn the_turn_of_the_year() {
    let now = "2026-12-31T20:00:00-07:00[America/Denver]";
    check(now, "Jan 2, 3pm", Some("2027-01-02T22:00:00Z"));
    check(now, "1am", Some("2027-01-01T08:00:00Z"));
    check(now, "Dec 30, 3pm", None);
}

#[test]
fn clock_changes() {
    // 1 November 2026, 02:00: back by an hour; 01:30 happens twice and the later one is meant
    let before = "2026-10-31T22:00:00-06:00[America/Denver]";
    check(before, "1:30am", Some("2026-11-01T08:30:00Z"));
    check(before, "3am", Some("2026-11-01T10:00:00Z"));
    // 14 March 2027, 02:00: forward by an hour; 02:30 does not happen
    let before = "2027-03-13T22:00:00-07:00[America/Denver]";
    check(before, "2:30am", Some("2027-03-14T09:30:00Z"));
    check(before, "3am", Some("2027-03-14T09:00:00Z"));
    // the day that is 25 hours long, from another zone
    check("2026-10-31T23:00:00+00:00[UTC]", "6pm (America/Denver)", Some("2026-11-01T00:00:00Z"));
}
