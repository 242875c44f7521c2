//! The boxes that run now: found by their labels, stopped with proof, swept when their owner is gone.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

use super::cgroup;
use super::launch::oci;
use super::marker;
use super::owner::Owner;
use super::runtime::Usable;
use super::spec::Runtime;
use super::sys;

/// A box that runs (or, for containers, is being started or removed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningBox {
    /// Id of the run.
    pub id: String,
    /// The workspace it works on, as in the specification.
    pub workspace: String,
    /// What it is for.
    pub purpose: String,
    /// The process that started it.
    pub owner: Owner,
    /// Whether that process still runs.
    pub alive_owner: bool,
    /// Name of the container, or process id of bubblewrap.
    handle: String,
}

/// All boxes of `usable`'s runtime that this user may see. Labels of bubblewrap boxes are read from the process list;
/// a process inside a box cannot pose as one.
pub fn running(usable: &Usable) -> Result<Vec<RunningBox>> {
    match usable.runtime {
        Runtime::Bwrap => Ok(bubblewraps()),
        _ => containers(usable),
    }
}

/// Ends every box whose id or workspace is `which`, and returns how many when all of them are gone.
/// Errors: one would not go, exit 70.
pub fn stop(usable: &Usable, which: &str) -> Result<usize> {
    let boxes: Vec<_> = running(usable)?.into_iter().filter(|b| b.id == which || b.workspace == which).collect();
    end(usable, &boxes)?;
    Ok(boxes.len())
}

/// Ends the boxes whose owner is gone, and removes what such boxes left. Gives how many boxes.
pub fn sweep(usable: &Usable) -> Result<usize> {
    let orphans: Vec<_> = running(usable)?.into_iter().filter(|b| !b.alive_owner).collect();
    end(usable, &orphans)?;
    if usable.runtime == Runtime::Bwrap {
        cgroup::sweep();
    }
    Ok(orphans.len())
}

/// A sweep in a thread beside a launch, if a marker in `dir` says that a coop died. The launch does not wait for it:
/// the markers go when it is done, so the next launch does what this one could not.
pub(super) fn sweep_aside(usable: &Usable, dir: &Path) -> Option<std::thread::JoinHandle<()>> {
    let left = marker::orphans(dir);
    if left.is_empty() {
        return None;
    }
    let usable = usable.clone();
    let work = move || {
        if sweep(&usable).is_ok() {
            for path in &left {
                // the directory of a proxy's socket, or a file
                let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
            }
        }
    };
    std::thread::Builder::new().name("sweep".into()).spawn(work).ok()
}

fn end(usable: &Usable, boxes: &[RunningBox]) -> Result<()> {
    if boxes.is_empty() {
        return Ok(());
    }
    if usable.runtime != Runtime::Bwrap {
        let names: Vec<String> = boxes.iter().map(|b| b.handle.clone()).collect();
        return oci::remove(usable, &names);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut left: Vec<i32> = boxes.iter().filter_map(|b| b.handle.parse().ok()).collect();
    // the first process of the box's pid namespace takes the rest with it
    left.extend(left.clone().into_iter().flat_map(descendants));
    loop {
        left.retain(|pid| is_process(*pid));
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(
                Error::bug(format!("process {} of a box would not end", left[0])).hint(format!("kill -9 {}", left[0]))
            );
        }
        for pid in &left {
            sys::kill(*pid, libc::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn containers(usable: &Usable) -> Result<Vec<RunningBox>> {
    let args: &[&str] = match usable.runtime {
        Runtime::Container => &["list", "--all", "--format", "json"],
        // the same label by name on both; JSON, because a workspace may hold any character
        Runtime::Podman => &["ps", "--all", "--no-trunc", "--filter", "label=coop.run", "--format", "json"],
        _ => &["ps", "--all", "--no-trunc", "--filter", "label=coop.run", "--format", DOCKER_ROW],
    };
    let ran = oci::run(usable, args);
    if !ran.ok() {
        return Err(Error::no_runtime(format!("{} cannot list its boxes: {}", usable.runtime.name(), ran.complaint()))
            .hint("git coop doctor"));
    }
    let mut out = Vec::new();
    match usable.runtime {
        Runtime::Docker => {
            for line in ran.stdout.lines() {
                if let Ok(row) = serde_json::from_str::<Vec<String>>(line) {
                    out.extend(from_labels(|key| {
                        KEYS.iter().position(|k| *k == key).and_then(|i| row.get(i).cloned())
                    }));
                }
            }
        }
        _ => {
            let rows: Vec<serde_json::Value> = serde_json::from_str(ran.stdout.trim()).unwrap_or_default();
            for row in rows {
                let labels =
                    if usable.runtime == Runtime::Podman { &row["Labels"] } else { &row["configuration"]["labels"] };
                out.extend(from_labels(|key| labels[key].as_str().map(|v| v.replace("%3D", "="))));
            }
        }
    }
    Ok(out)
}

const KEYS: [&str; 6] = ["coop.run", "coop.purpose", "coop.workspace", "coop.pid", "coop.start", "coop.boot"];

const DOCKER_ROW: &str = r#"[{{json (.Label "coop.run")}},{{json (.Label "coop.purpose")}},{{json (.Label "coop.workspace")}},{{json (.Label "coop.pid")}},{{json (.Label "coop.start")}},{{json (.Label "coop.boot")}}]"#;

fn from_labels(get: impl Fn(&str) -> Option<String>) -> Option<RunningBox> {
    let id = get("coop.run").filter(|id| !id.is_empty())?;
    let owner = Owner {
        pid: get("coop.pid")?.parse().ok()?,
        start: get("coop.start")?.parse().ok()?,
        boot: get("coop.boot").unwrap_or_default(),
    };
    Some(RunningBox {
        handle: format!("coop-{id}"),
        id,
        workspace: get("coop.workspace").unwrap_or_default(),
        purpose: get("coop.purpose").unwrap_or_default(),
        alive_owner: owner.alive(),
        owner,
    })
}

fn bubblewraps() -> Vec<RunningBox> {
    let depth = namespaces("self").len();
    let mut out: Vec<RunningBox> = Vec::new();
    for pid in pids() {
        let Some(labels) = labels_of(pid) else { continue };
        let place = namespaces(&pid.to_string());
        // a process in a box has one more number than we have: it is not bubblewrap but something inside. Unless it is the
        // first there and its bubblewrap is gone: where both were killed while the box was made, it waits for ever
        let first = place.len() == depth + 1 && place.last().is_some_and(|last| last == "1");
        let left_alone = || stat(pid).is_some_and(|(_, parent)| labels_of(parent).is_none());
        if place.len() != depth && !(first && left_alone()) {
            continue;
        }
        let Some(mut found) = from_labels(|key| labels.get(key).cloned()) else { continue };
        found.handle = pid.to_string();
        if !out.iter().any(|b| b.id == found.id) {
            out.push(found);
        }
    }
    out
}

/// The labels in the arguments of a process; `None` where it is no bubblewrap of ours, or gone.
fn labels_of(pid: i32) -> Option<HashMap<String, String>> {
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = cmdline.split(|b| *b == 0);
    let mut labels = HashMap::new();
    while let Some(word) = words.next() {
        if word != b"--setenv" {
            continue;
        }
        let (Some(key), Some(value)) = (words.next(), words.next()) else { break };
        if !key.starts_with(b"coop.") {
            break;
        }
        labels.insert(String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned());
    }
    labels.contains_key("coop.run").then_some(labels)
}

/// The number of a process in each process id namespace that it is in, ours first; nothing when it is gone.
fn namespaces(pid: &str) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    ids.map(|ids| ids.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// State and parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|b| *b == b')')? + 2;
    let text = String::from_utf8_lossy(stat.get(after..)?).into_owned();
    let mut words = text.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// Whether the process still runs; one that only waits to be collected does not.
pub(super) fn is_process(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The processes below `root` that are in a deeper pid namespace than we are, but for the first of each namespace,
/// which takes no signals.
pub(super) fn inside(root: i32) -> Vec<i32> {
    let depth = namespaces("self").len();
    let deeper = |pid: &i32| {
        let ids = namespaces(&pid.to_string());
        ids.len() > depth && ids.last().is_some_and(|last| last != "1")
    };
    descendants(root).into_iter().filter(deeper).collect()
}

/// Every process below `root`, without it.
pub(super) fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in pids() {
        if let Some((_, parent)) = stat(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut out = Vec::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            out.push(child);
            todo.push(child);
        }
    }
    out
}
