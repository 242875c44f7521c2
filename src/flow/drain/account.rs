//! Waiting: for an account that rests, and for a service that is overloaded.

use std::time::Duration;

use jiff::Timestamp;

use crate::agent::Definition;
use crate::env::Env;
use crate::error::Result;
use crate::sandbox::interrupts::{Asked, Interrupts};
use crate::state::LoopState;

use super::super::cooldown::Ready;
use super::{Drain, Ended, notify};

/// The first pause for an overloaded service; it doubles up to the longest.
const BREATH: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// How long to pause for an overloaded service, for the `times`th time in a row.
pub fn breath(env: &Env, times: u32, after: Option<Duration>) -> Duration {
    let test = env.str("COOP_TEST_BREATH_MS").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    let doubled = test.unwrap_or(BREATH).saturating_mul(1 << times.saturating_sub(1).min(10));
    after.unwrap_or(doubled).min(LONGEST)
}

/// Sleeps until `until` by the wall clock, in short steps: a suspend in between counts. Gives `false` where somebody
/// asked to stop.
pub fn sleep_until(until: Timestamp, interrupts: &Interrupts) -> bool {
    loop {
        if interrupts.asked() != Asked::GoOn {
            return false;
        }
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(500)));
    }
}

impl Drain<'_> {
    /// An account of `definition` that can work now, waiting for one where all are cooling. The inner error says how the
    /// loop ends. Errors: exit 2 where nobody is signed in any more.
    pub(super) fn account(
        &mut self,
        definition: &Definition,
        asked: Option<&str>,
    ) -> Result<Result<Option<String>, Ended>> {
        loop {
            let wake = match self.accounts.ready(definition, asked)? {
                Ready::Now(profile) => {
                    if self.record.state == LoopState::Parked {
                        self.record.record.set("Wake", "");
                        self.state(LoopState::Running, "awake")?;
                    }
                    return Ok(Ok(profile));
                }
                Ready::Wake(seconds) => seconds,
            };
            let until = Timestamp::from_second(wake).unwrap_or_else(|_| Timestamp::now());
            if self.options.no_wait {
                return Ok(Err(Ended::Parked(until)));
            }
            let why = format!("every account of {} is used up; waking at {until}", definition.name);
            self.record.record.set("Wake", wake.to_string());
            self.state(LoopState::Parked, &format!("parked until {until}"))?;
            self.view.say(&format!("  {why}"));
            notify::notify(self.coop, "parked", self.record.name.as_str(), &why);
            if !sleep_until(until, &self.interrupts) {
                return Ok(Err(Ended::Stopped));
            }
        }
    }

    /// An account is used up until then, or for a while.
    pub(super) fn used_up(
        &mut self,
        definition: &Definition,
        profile: Option<&str>,
        until: Option<Timestamp>,
        why: &str,
    ) -> Result<()> {
        let until = self.accounts.cool(&definition.name, profile, until, why)?;
        let shown = Timestamp::from_second(until).map_or_else(|_| until.to_string(), |at| at.to_string());
        self.refused = true;
        self.view.say(&format!("  {} is used up until {shown}: {why}", who(definition, profile)));
        Ok(())
    }

    /// A login does not work any more.
    pub(super) fn expired(&mut self, definition: &Definition, profile: Option<&str>, why: &str) -> Result<()> {
        self.accounts.expire(&definition.name, profile, why)?;
        let flag = profile.map(|p| format!(" --profile {p}")).unwrap_or_default();
        self.view.say(&format!("  {} is not signed in any more: {why}", who(definition, profile)));
        self.view.say(&format!("  hint: git coop login {}{flag}", definition.name));
        Ok(())
    }

    /// An account worked.
    pub(super) fn worked(&mut self, definition: &Definition, profile: Option<&str>) -> Result<()> {
        if std::mem::take(&mut self.refused) {
            self.accounts.clear(&definition.name, profile)?;
        }
        Ok(())
    }
}

fn who(definition: &Definition, profile: Option<&str>) -> String {
    profile.map_or_else(|| definition.name.clone(), |p| format!("{} ({p})", definition.name))
}
