//! Who started a box: process id, start token and boot id, so that a reused pid is never taken for a live owner.

use std::path::Path;

/// The process that owns a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Start time of that process in clock ticks since boot (field 22 of `/proc/<pid>/stat`); `0` where unknown.
    pub start: u64,
    /// Boot id of the kernel and, after a full stop, the number of the process id namespace; empty where unknown.
    pub boot: String,
}

impl Owner {
    /// This process.
    pub fn of_process() -> Self {
        let pid = std::process::id();
        Owner { pid, start: start_token(pid).unwrap_or(0), boot: place() }
    }

    /// Whether that very process still runs. What cannot be read counts as alive: nothing is swept on a guess.
    pub fn alive(&self) -> bool {
        let (theirs, ours) = (self.boot.split_once('.'), place());
        if let (Some((boot, space)), Some((our_boot, our_space))) = (theirs, ours.split_once('.')) {
            if boot != our_boot {
                return false;
            }
            if space != our_space {
                return true; // in another container: its processes cannot be seen from here
            }
        }
        if !Path::new("/proc/self/stat").exists() {
            let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) else { return true };
            return rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
        }
        match start_token(self.pid) {
            Some(start) => self.start == 0 || start == self.start,
            None => Path::new(&format!("/proc/{}", self.pid)).exists(),
        }
    }
}

/// Field 22 of `/proc/<pid>/stat`; the name in field 2 may hold spaces and parentheses.
pub fn start_token(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|b| *b == b')')? + 2;
    let text = std::str::from_utf8(stat.get(after..)?).ok()?;
    text.split(' ').nth(19)?.parse().ok()
}

/// `<boot id>.<pid namespace>`.
fn place() -> String {
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let number: String = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    match boot_id() {
        boot if boot.is_empty() => String::new(),
        boot => format!("{boot}.{number}"),
    }
}

/// The kernel's boot id, empty where it has none.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_not_the_owner() {
        let me = Owner::of_process();
        assert!(me.start > 0 && me.alive());
        assert!(!Owner { start: me.start + 1, ..me.clone() }.alive());
        let (boot, space) = me.boot.split_once('.').expect("both");
        assert!(!Owner { boot: format!("another.{space}"), ..me.clone() }.alive());
        assert!(Owner { boot: format!("{boot}.1"), start: 1, ..me.clone() }.alive(), "not to be judged from here");
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let gone = Owner { pid: child.id(), start: start_token(child.id()).expect("stat"), ..me };
        child.wait().expect("wait");
        assert!(!gone.alive());
    }
}
