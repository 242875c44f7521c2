//! A cgroup for a bubblewrap box, where this process may make one: version 2 (delegated by systemd to the user), or
//! version 1 (root). It holds the limits for the whole box, and it is how a box is ended for certain.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::owner::Owner;
use super::runtime::Holds;
use super::spec::Limits;

/// The cgroups of one box; dropped, they are removed.
#[derive(Debug, Default)]
pub struct Cgroup {
    dirs: Vec<PathBuf>,
    join: Vec<OwnedFd>,
    /// Which limits they hold.
    pub holds: Option<Holds>,
}

/// A cgroup file system: where it is mounted, its controllers (empty for version 2), and our place in it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    controllers: Vec<String>,
    own: PathBuf,
}

impl Cgroup {
    /// Makes cgroups with `limits` for a box; what cannot be made is simply not held.
    pub fn create(id: &str, owner: &Owner, limits: &Limits) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let name = format!("coop-{id}-{}-{}", owner.pid, owner.start);
        let mut group = Cgroup::default();
        let mut holds = Holds { memory: false, pids: false, cpus: false };
        for hierarchy in hierarchies(&mounts, &places) {
            group.enter(&hierarchy, &name, limits, &mut holds);
        }
        group.holds = Some(holds);
        group
    }

    /// Which limits [`Cgroup::create`] would hold here, found by looking only.
    pub fn possible(limits: &Limits) -> Holds {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut holds = Holds { memory: false, pids: false, cpus: false };
        for hierarchy in hierarchies(&mounts, &places) {
            let version2 = hierarchy.controllers.is_empty();
            let Some(parent) = (if version2 { delegated(&hierarchy) } else { Some(hierarchy.place()) }) else {
                continue;
            };
            if rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK).is_err() {
                continue;
            }
            let handed = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
            let has = |c: &str| {
                hierarchy.controllers.iter().any(|have| have == c) || handed.split_whitespace().any(|h| h == c)
            };
            holds.pids |= has("pids");
            holds.memory |= has("memory") && limits.memory.is_some();
            holds.cpus |= has("cpu") && limits.millicpus.is_some();
        }
        holds
    }

    fn enter(&mut self, hierarchy: &Hierarchy, name: &str, limits: &Limits, holds: &mut Holds) {
        let version2 = hierarchy.controllers.is_empty();
        let Some(parent) = (if version2 { delegated(hierarchy) } else { Some(hierarchy.place()) }) else { return };
        let wanted = version2 || hierarchy.controllers.iter().any(|c| controller_wanted(c, limits));
        let dir = parent.join(name);
        if !wanted || fs::create_dir(&dir).is_err() {
            return;
        }
        let has = |c: &str| version2 || hierarchy.controllers.iter().any(|have| have == c);
        let write = |file: &str, value: String| fs::write(dir.join(file), value).is_ok();
        let mut held = Holds { memory: false, pids: false, cpus: false };
        if has("pids") {
            held.pids = write("pids.max", limits.pids.to_string());
        }
        if let Some(memory) = limits.memory.filter(|_| has("memory")) {
            held.memory = if version2 {
                let _ = write("memory.swap.max", "0".into()); // absent without swap accounting
                write("memory.max", memory.to_string())
            } else {
                let plain = write("memory.limit_in_bytes", memory.to_string());
                let _ = write("memory.memsw.limit_in_bytes", memory.to_string()); // the same
                plain
            };
        }
        if let Some(cpus) = limits.millicpus.filter(|_| has("cpu")) {
            let quota = u64::from(cpus) * 100; // of a period of 100,000 µs
            held.cpus = if version2 {
                write("cpu.max", format!("{quota} 100000"))
            } else {
                write("cpu.cfs_period_us", "100000".into()) && write("cpu.cfs_quota_us", quota.to_string())
            };
        }
        let join = File::options().write(true).open(dir.join("cgroup.procs"));
        match join {
            Ok(file) if held.memory || held.pids || held.cpus => {
                self.join.push(file.into());
                self.dirs.push(dir);
                holds.memory |= held.memory;
                holds.pids |= held.pids;
                holds.cpus |= held.cpus;
            }
            _ => {
                let _ = fs::remove_dir(&dir);
            }
        }
    }

    /// The open files with which a child joins; they are handed over.
    pub fn joiners(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.join)
    }

    /// Processes that are in it, by their numbers here.
    pub fn processes(&self) -> Vec<i32> {
        self.dirs.first().map(|dir| processes(dir)).unwrap_or_default()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // the last process may take a moment to be gone
            for _ in 0..50 {
                if fs::remove_dir(dir).is_ok() || !dir.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

impl Hierarchy {
    fn place(&self) -> PathBuf {
        self.mount.join(self.own.strip_prefix("/").unwrap_or(&self.own))
    }
}

fn controller_wanted(controller: &str, limits: &Limits) -> bool {
    match controller {
        "pids" => true,
        "memory" => limits.memory.is_some(),
        "cpu" => limits.millicpus.is_some(),
        _ => false,
    }
}

/// In version 2 processes live in leaves only, so the box goes beside us: below the nearest ancestor that hands
/// controllers to its children and lets us make one.
fn delegated(hierarchy: &Hierarchy) -> Option<PathBuf> {
    let place = hierarchy.place();
    place.ancestors().take_while(|dir| dir.starts_with(&hierarchy.mount)).find_map(|dir| {
        let handed = fs::read_to_string(dir.join("cgroup.subtree_control")).ok()?;
        let has = |name: &str| handed.split_whitespace().any(|c| c == name);
        let may = rustix::fs::access(dir.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok();
        (has("pids") && may).then(|| dir.to_owned())
    })
}

fn hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let mut out = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mount)) = (left.next(), left.next()) else { continue };
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
        let controllers: Vec<String> = match kind {
            "cgroup2" => Vec::new(),
            "cgroup" => options.split(',').filter(|o| *o != "rw" && *o != "ro").map(str::to_owned).collect(),
            _ => continue,
        };
        let place = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (names, path) = (parts.next()?, parts.next()?);
            let same = if kind == "cgroup2" {
                names.is_empty()
            } else {
                !names.is_empty() && names.split(',').all(|n| controllers.iter().any(|c| c == n))
            };
            same.then(|| path.to_owned())
        });
        let Some(place) = place else { continue };
        // inside a container the mount may show only a part of the tree
        let own = place.strip_prefix(root.trim_end_matches('/')).unwrap_or(&place).to_owned();
        out.push(Hierarchy { mount: PathBuf::from(mount), controllers, own: PathBuf::from(own) });
    }
    out
}

fn processes(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|l| l.parse().ok()).collect()
}

/// Removes the cgroups of boxes whose owner is gone; a cgroup with processes in it cannot be removed and stays.
pub fn sweep() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    for hierarchy in hierarchies(&mounts, &places) {
        let parent = if hierarchy.controllers.is_empty() { delegated(&hierarchy) } else { Some(hierarchy.place()) };
        let Some(entries) = parent.and_then(|dir| fs::read_dir(dir).ok()) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let mut parts = name.to_str().unwrap_or("").strip_prefix("coop-").unwrap_or("").split('-').skip(1);
            let number = |text: Option<&str>| text.and_then(|t| t.parse::<u64>().ok());
            if let (Some(pid), Some(start)) = (number(parts.next()), number(parts.next())) {
                let owner = Owner { pid: u32::try_from(pid).unwrap_or(0), start, boot: String::new() };
                if !owner.alive() {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_both_versions() {
        let mounts = "31 30 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
                      32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      34 30 0:30 / /proc rw - proc proc rw\n";
        let own = "8:pids:/a\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/t.scope\n";
        let found = hierarchies(mounts, own);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].place(), Path::new("/sys/fs/cgroup/pids/a"));
        assert_eq!(found[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[2].place(), Path::new("/sys/fs/cgroup/unified/user.slice/t.scope"));
    }
}
