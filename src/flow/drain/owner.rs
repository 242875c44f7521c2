//! Which process a claim or a loop belongs to, and whether it still runs.

use crate::sandbox::owner::Owner;
use crate::state::record::Record;

use super::super::Coop;

/// Writes this process into `record`.
pub fn stamp(coop: &Coop, record: &mut Record) {
    let me = Owner::of_process();
    record.set("Host", coop.host());
    record.set("Pid", me.pid.to_string());
    record.set("Start", me.start.to_string());
    record.set("Boot", me.boot);
}

/// The process in `record`; `None` where a person or nobody wrote it.
pub fn of(record: &Record) -> Option<Owner> {
    Some(Owner {
        pid: record.get("Pid")?.parse().ok()?,
        start: record.get("Start")?.parse().ok()?,
        boot: record.get("Boot").unwrap_or_default().to_owned(),
    })
}

/// Whether the process in `record` may still run. One on another host cannot be judged from here and counts as alive.
pub fn alive(coop: &Coop, record: &Record) -> bool {
    let elsewhere = record.get("Host").is_some_and(|host| host != coop.host());
    elsewhere || of(record).is_none_or(|owner| owner.alive())
}
