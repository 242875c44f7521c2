//! The auditor's answer. It is a file with a fixed form, and it counts only where it says again what the host knows:
//! which tasks, which commits, which trees. What an auditor prints is never read.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;

use crate::without::without;

/// Larger answers are none (bytes).
const MAX: u64 = 1 << 20;

/// What the host knows of a task that is to be audited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The task.
    pub id: String,
    /// Its commits, oldest first.
    pub commits: Vec<String>,
    /// The tree of the last one.
    pub tree: String,
}

/// What the auditor says of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The task.
    pub id: String,
    /// Whether it is done as asked.
    pub confirmed: bool,
    /// In a sentence.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    schema: u32,
    tasks: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    commits: Vec<String>,
    tree: String,
    verdict: Verdict,
    why: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Confirmed,
    Reopened,
}

/// Reads the file that a box wrote: no link is followed, nothing but a plain file is read. The error is a sentence.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = opened.map_err(|_| "the auditor left no receipt".to_owned())?;
    let meta = file.metadata().map_err(|_| "the receipt cannot be read".to_owned())?;
    if !meta.is_file() || meta.len() > MAX {
        return Err("the receipt is no plain file of at most 1 MiB".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX).read_to_end(&mut bytes).map_err(|_| "the receipt cannot be read".to_owned())?;
    Ok(bytes)
}

/// Takes a receipt apart and compares it with what is known. The error is a sentence for the auditor.
pub fn check(bytes: &[u8], known: &[Known]) -> Result<Vec<Said>, String> {
    let receipt: Receipt = serde_json::from_slice(bytes).map_err(|err| format!("the receipt does not parse: {err}"))?;
    if receipt.schema != 1 {
        return Err(format!("the receipt has schema {}, not 1", receipt.schema));
    }
    let mut said = Vec::new();
    for task in known {
        let mut rows = receipt.tasks.iter().filter(|row| row.id == task.id);
        let (Some(row), None) = (rows.next(), rows.next()) else {
            return Err(format!("task {} is not in the receipt exactly once", task.id));
        };
        if row.commits != task.commits && !without("loop-receipt") {
            return Err(format!("the commits of task {} are {}", task.id, task.commits.join(", ")));
        }
        if row.tree != task.tree && !without("loop-receipt") {
            return Err(format!("the tree of task {} is {}", task.id, task.tree));
        }
        if row.why.trim().is_empty() {
            return Err(format!("there is no reason for the verdict on task {}", task.id));
        }
        let why: String = row.why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(2_000).collect();
        said.push(Said { id: task.id.clone(), confirmed: row.verdict == Verdict::Confirmed, why });
    }
    match receipt.tasks.iter().find(|row| !known.iter().any(|task| task.id == row.id)) {
        Some(row) => Err(format!("task '{}' was not to be audited", row.id.chars().take(40).collect::<String>())),
        None => Ok(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_counts() {
        let known = [Known { id: "a".into(), commits: vec!["c1".into(), "c2".into()], tree: "t".into() }];
        let row = |id: &str, commits: &str, tree: &str, verdict: &str, why: &str| {
            format!(
                r#"{{"schema":1,"tasks":[{{"id":"{id}","commits":{commits},"tree":"{tree}","verdict":"{verdict}","why":"{why}"}}]}}"#
            )
        };
        let good = check(row("a", r#"["c1","c2"]"#, "t", "reopened", "no test").as_bytes(), &known).expect("holds");
        assert_eq!((good[0].confirmed, good[0].why.as_str()), (false, "no test"));
        for bad in [
            row("b", r#"["c1","c2"]"#, "t", "confirmed", "x"),
            row("a", r#"["c2","c1"]"#, "t", "confirmed", "x"),
            row("a", "[]", "t", "confirmed", "x"),
            row("a", r#"["c1","c2"]"#, "u", "confirmed", "x"),
            row("a", r#"["c1","c2"]"#, "t", "CONFIRMED", "x"),
            row("a", r#"["c1","c2"]"#, "t", "confirmed", " "),
            r#"{"schema":1,"tasks":[]}"#.into(),
            r#"{"schema":2,"tasks":[]}"#.into(),
            "all good".into(),
        ] {
            assert!(check(bad.as_bytes(), &known).is_err(), "{bad}");
        }
    }
}
