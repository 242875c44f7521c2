//! When a limit ends: the forms in which agents say it, as a point in time.
//!
//! A time that is past or further away than [`FURTHEST`] is not believed: whoever asks gets `None` and backs off for a
//! bounded time instead of sleeping for months on a stale or forged sentence. Times of day are found in the zone that
//! is named, otherwise in that of `now`; where a clock change makes one happen twice, the later is meant, and one that
//! is skipped is the moment after the gap.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// No limit is believed to last longer: the longest known window is a week.
pub const FURTHEST: SignedDuration = SignedDuration::from_hours(8 * 24);

/// A time that passed less than this ago is "any moment": messages are exact to the minute at best.
const JUST_PASSED: SignedDuration = SignedDuration::from_mins(5);

/// How long to wait where the time has just passed.
const ANY_MOMENT: SignedDuration = SignedDuration::from_mins(1);

/// Seconds (or milliseconds) since the epoch.
pub fn epoch(number: i64, now: &Zoned) -> Option<Timestamp> {
    let seconds = if number >= 100_000_000_000 { number / 1000 } else { number };
    believed(Timestamp::from_second(seconds).ok()?, now)
}

/// A number of seconds from now.
pub fn after(seconds: f64, now: &Zoned) -> Option<Timestamp> {
    let wait = SignedDuration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_negative())?;
    believed(now.timestamp().checked_add(wait).ok()?, now)
}

/// A time in words: `3am (America/Denver)`, `Nov 22nd, 2026 3:00 AM`, `Jan 2, 3:04pm`, `tomorrow at 9:30`, `Monday 3am`,
/// `2026-11-22 10:00`, `2026-11-22T10:00:00Z`, `1795341600`, `in 3h59m12s`, `5 minutes`, `3 days 4 hours`.
pub fn when(words: &str, now: &Zoned) -> Option<Timestamp> {
    let words = words.trim().trim_end_matches(['.', '!', ',', ';']).trim();
    if words.len() > 80 || !words.is_ascii() {
        return None;
    }
    if let Ok(number) = words.parse::<i64>() {
        // a bare number is an epoch or nothing: "30" of what?
        return if number >= 1_000_000_000 { epoch(number, now) } else { None };
    }
    if let Ok(time) = words.parse::<Timestamp>() {
        return believed(time, now);
    }
    if let Some(wait) = duration(&words.to_ascii_lowercase()) {
        return believed(now.timestamp().checked_add(wait).ok()?, now);
    }
    calendar(words, now)
}

fn believed(time: Timestamp, now: &Zoned) -> Option<Timestamp> {
    let wait = time.duration_since(now.timestamp());
    if wait > FURTHEST || wait < -JUST_PASSED {
        None
    } else if wait.is_positive() {
        Some(time)
    } else {
        now.timestamp().checked_add(ANY_MOMENT).ok()
    }
}

/// `3h59m12s`, `in 5 minutes`, `3 days and 4 hours`: numbers with units and nothing else.
fn duration(words: &str) -> Option<SignedDuration> {
    let mut rest = words.strip_prefix("in ").unwrap_or(words).trim_start();
    let (mut sum, mut any) = (0.0_f64, false);
    while !rest.is_empty() {
        rest = rest.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        sum += number
            * match &rest[..end] {
                "ms" => 0.001,
                "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
                "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
                "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
                "d" | "day" | "days" => 86_400.0,
                "w" | "week" | "weeks" => 604_800.0,
                _ => return None,
            };
        any = true;
        rest = &rest[end..];
    }
    SignedDuration::try_from_secs_f64(sum).ok().filter(|_| any)
}

/// A date, a time of day, or both, with or without a zone.
fn calendar(words: &str, now: &Zoned) -> Option<Timestamp> {
    let (words, zone) = match words.split_once('(') {
        Some((words, zone)) => (words, Some(zone_named(zone.strip_suffix(')')?.trim())?)),
        None => (words, None),
    };
    let mut parts: Vec<&str> = words.split([' ', ',', '\t']).filter(|part| !part.is_empty()).collect();
    let zone = match (zone, parts.last().and_then(|last| zone_named(last))) {
        (Some(zone), _) => zone,
        (None, Some(zone)) => {
            parts.pop();
            zone
        }
        (None, None) => now.time_zone().clone(),
    };
    let here = now.with_time_zone(zone.clone());
    let said = Said::parse(&parts, &here)?;
    let at = |date: Date| -> Option<Timestamp> {
        let time = said.time.unwrap_or_default();
        zone.to_ambiguous_zoned(DateTime::from_parts(date, time)).later().ok().map(|zoned| zoned.timestamp())
    };
    let passed = |time: &Timestamp| time.duration_since(now.timestamp()) < -JUST_PASSED;
    let today = here.date();
    let time = match said.day {
        Day::Exact(date) => at(date)?,
        Day::EveryYear(month, day) => {
            let in_year = |year: i16| Date::new(year, month, day).ok().and_then(at);
            in_year(today.year()).filter(|time| !passed(time)).or_else(|| in_year(today.year().checked_add(1)?))?
        }
        Day::Every(weekday) => {
            let first = if today.weekday() == weekday { today } else { today.nth_weekday(1, weekday).ok()? };
            at(first).filter(|time| !passed(time)).or_else(|| at(first.checked_add(7.days()).ok()?))?
        }
        Day::Next => at(today).filter(|time| !passed(time)).or_else(|| at(today.tomorrow().ok()?))?,
    };
    believed(time, now)
}

/// Which day a text names.
enum Day {
    Exact(Date),
    EveryYear(i8, i8),
    Every(Weekday),
    /// None: the next time that the clock shows it.
    Next,
}

struct Said {
    day: Day,
    time: Option<Time>,
}

impl Said {
    /// Every word must be understood, each thing at most once, and something must be said.
    fn parse(parts: &[&str], here: &Zoned) -> Option<Said> {
        let (mut month, mut day, mut year, mut time) = (None, None, None, None);
        let mut named: Option<Day> = None;
        let mut at = 0;
        while at < parts.len() {
            let word = parts[at].to_ascii_lowercase();
            let word = word.as_str();
            let next = parts.get(at + 1).map(|next| next.to_ascii_lowercase());
            let half = next.as_deref().filter(|next| matches!(*next, "am" | "pm"));
            if matches!(word, "at" | "on" | "of" | "the") {
            } else if let Some(found) = clock(&format!("{word}{}", half.unwrap_or_default())) {
                at += usize::from(half.is_some());
                if time.replace(found).is_some() {
                    return None;
                }
            } else if let Some(date) = word.parse::<Date>().ok().filter(|_| word.len() == 10) {
                named = Some(Day::Exact(date));
            } else if matches!(word, "today" | "tomorrow") {
                let days = i64::from(word == "tomorrow");
                named = Some(Day::Exact(here.date().checked_add(days.days()).ok()?));
            } else if let Some(found) = position(MONTHS, word) {
                month = Some(found + 1);
            } else if let Some(found) = position(WEEKDAYS, word) {
                named = Some(Day::Every(Weekday::from_monday_one_offset(found + 1).ok()?));
            } else {
                let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
                match digits.parse::<i16>().ok()? {
                    number @ 1..=31 if day.is_none() => day = i8::try_from(number).ok(),
                    number @ 2000..=2999 if year.is_none() => year = Some(number),
                    _ => return None,
                }
            }
            at += 1;
        }
        let day = match (month, day, year, named) {
            (Some(month), Some(day), Some(year), _) => Day::Exact(Date::new(year, month, day).ok()?),
            (Some(month), Some(day), None, _) => Day::EveryYear(month, day),
            (None, None, None, Some(named)) => named,
            (None, None, None, None) if time.is_some() => Day::Next,
            _ => return None,
        };
        Some(Said { day, time })
    }
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The place of a name, or of its first three letters or more.
fn position(names: &[&str], word: &str) -> Option<i8> {
    let word = word.trim_end_matches('.');
    let at = names.iter().position(|name| word.len() >= 3 && name.starts_with(word))?;
    i8::try_from(at).ok()
}

/// `3am`, `3:04pm`, `15:04`, `15:04:05`.
fn clock(word: &str) -> Option<Time> {
    let (digits, half) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(0)),
        (_, Some(digits)) => (digits, Some(12)),
        _ => (word, None),
    };
    let mut fields = digits.split(':').map(|field| field.parse::<i8>().ok().filter(|_| field.len() <= 2));
    let hour = fields.next()??;
    let minute = fields.next();
    let second = fields.next();
    if fields.next().is_some() || (minute.is_none() && half.is_none()) {
        return None;
    }
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour % 12 + half,
        None => hour,
    };
    Time::new(hour, minute.unwrap_or(Some(0))?, second.unwrap_or(Some(0))?, 0).ok()
}

/// A zone by its IANA name, an offset, or an abbreviation that means only one thing.
fn zone_named(name: &str) -> Option<TimeZone> {
    let upper = name.to_ascii_uppercase();
    let hours = match upper.as_str() {
        "UTC" | "GMT" | "Z" => 0,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "CET" => 1,
        "CEST" | "EET" => 2,
        "EEST" => 3,
        "JST" => 9,
        _ => {
            if let Some(offset) = offset(upper.trim_start_matches("UTC").trim_start_matches("GMT")) {
                return Some(offset.to_time_zone());
            }
            // a bare word is a zone only with a slash: "May" and "EST5EDT" are not meant
            return name.contains('/').then(|| TimeZone::get(name).ok()).flatten();
        }
    };
    Some(Offset::constant(hours).to_time_zone())
}

/// `+2`, `-07:00`, `+0530`.
fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| hours <= 14 && minutes < 60)
}
