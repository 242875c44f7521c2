//! Wall-clock time, as seconds since the epoch: it survives a suspend, and a test can fix it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::env::Env;

/// Now, in seconds since the epoch. `COOP_TEST_NOW` overrides it, so that tests have a fixed clock.
pub fn now(env: &Env) -> i64 {
    if let Some(fixed) = env.str("COOP_TEST_NOW").and_then(|v| v.parse().ok()) {
        return fixed;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// A short age like git's relative dates: `now`, `42s`, `5m`, `3h`, `2d`, `6w`.
pub fn age(seconds: i64) -> String {
    match seconds {
        i64::MIN..=0 => "now".into(),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..1_209_600 => format!("{}d", seconds / 86_400),
        _ => format!("{}w", seconds / 604_800),
    }
}

/// How long until something, for a clock that counts down: `now`, `42s`, `5m`, `3h59m`, `2d4h`.
pub fn left(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60 % 60, seconds / 3_600 % 24, seconds / 86_400);
    match seconds {
        i64::MIN..=0 => "now".into(),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m"),
        3_600..86_400 => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// A point in time as the clock on the wall shows it: `03:00` within a day of `now`, otherwise `Sun 22 Nov 03:00`.
pub fn wall(seconds: i64, now: i64) -> String {
    let format = if (seconds - now).abs() < 86_400 { "%H:%M" } else { "%a %-d %b %H:%M" };
    let time = jiff::Timestamp::from_second(seconds).map(|t| t.to_zoned(jiff::tz::TimeZone::system()));
    time.map_or_else(|_| seconds.to_string(), |time| time.strftime(format).to_string())
}
