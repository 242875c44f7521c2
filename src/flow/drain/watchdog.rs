//! Ends an agent that hangs: on silence, with more patience while a tool is open, and at a ceiling that nothing extends.
//! Only events count where the agent prints events: dots of a spinner do not keep it alive.

use std::collections::HashMap;
use std::time::Duration;

use crate::agent::outcome::WatchdogReason;
use crate::agent::usage::Live;
use crate::settings::{self, Settings};

/// More open tools than this and the agent invents them.
const MAX_TOOLS: usize = 64;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without an event.
    pub silence: Duration,
    /// Without an event while a tool is open.
    pub tool: Duration,
    /// Altogether.
    pub ceiling: Duration,
}

impl Patience {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Patience {
        let get = |name: &str, default| {
            Duration::from_secs(settings.get(name).and_then(settings::seconds).unwrap_or(default))
        };
        Patience {
            silence: get("COOP_LOOP_SILENCE", 900),
            tool: get("COOP_LOOP_TOOL", 3_600),
            ceiling: get("COOP_LOOP_CEILING", 14_400),
        }
    }
}

/// Watches one run. Times are those since its box started.
#[derive(Debug)]
pub struct Watchdog {
    patience: Patience,
    last: Duration,
    open: HashMap<String, Duration>,
}

impl Watchdog {
    /// A box that has just started.
    pub fn new(patience: Patience) -> Watchdog {
        Watchdog { patience, last: Duration::ZERO, open: HashMap::new() }
    }
    /// An event came.
    pub fn event(&mut self, at: Duration, live: Option<&Live>) {
        self.last = at;
        match live {
            Some(Live::Begins { id, .. }) if self.open.len() < MAX_TOOLS => {
                self.open.insert(id.clone(), at);
            }
            Some(Live::Ends { id, .. }) => {
                self.open.remove(id);
            }
            _ => {}
        }
    }
    /// Whether it is enough.
    pub fn bites(&self, now: Duration) -> Option<WatchdogReason> {
        let silent = now.saturating_sub(self.last);
        if now >= self.patience.ceiling {
            return Some(WatchdogReason::Ceiling);
        }
        match self.open.is_empty() {
            true if silent >= self.patience.silence => Some(WatchdogReason::Silence),
            false if silent >= self.patience.tool.max(self.patience.silence) => Some(WatchdogReason::Tool),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::usage::Does;

    #[test]
    fn silence_tools_and_the_ceiling() {
        let s = Duration::from_secs;
        let mut dog = Watchdog::new(Patience { silence: s(10), tool: s(100), ceiling: s(1_000) });
        assert_eq!(dog.bites(s(9)), None);
        assert_eq!(dog.bites(s(10)), Some(WatchdogReason::Silence));
        dog.event(s(9), Some(&Live::Begins { id: "a".into(), does: Does::Runs, what: "make".into() }));
        assert_eq!(dog.bites(s(100)), None, "a tool is open");
        assert_eq!(dog.bites(s(109)), Some(WatchdogReason::Tool));
        dog.event(s(60), Some(&Live::Ends { id: "a".into(), failed: false }));
        assert_eq!(dog.bites(s(70)), Some(WatchdogReason::Silence));
        for n in 0..1_000 {
            dog.event(s(n), Some(&Live::Begins { id: n.to_string(), does: Does::Runs, what: String::new() }));
        }
        assert!(dog.open.len() <= MAX_TOOLS);
        assert_eq!(dog.bites(s(1_000)), Some(WatchdogReason::Ceiling), "events do not move it");
    }
}
