//! What boxes reached: `refs/coop/egress`, an event per run. Its trailers count, the file `places` of its tree has a
//! line per place.

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::git::refs;
use crate::git::{Git, Repo};

use super::event::{Event, Store, get, parse_trailers};

/// The ref.
pub const REF: &str = "refs/coop/egress";
/// The file of an event's tree: a line per place, its fields separated by tabs.
pub const FILE: &str = "places";
/// How often a lost race is run again.
const TRIES: usize = 16;

/// One run in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Seconds since the epoch of its end.
    pub ended: i64,
    /// The workspace: `fork:<path>` or `live:<path>`.
    pub workspace: String,
    /// What ran.
    pub purpose: String,
    /// The lines of [`FILE`].
    pub places: Vec<String>,
}

/// Adds a run. Errors: exit 3 where somebody else writes all the time.
pub fn record(store: &Store<'_>, event: &Event) -> Result<()> {
    for _ in 0..TRIES {
        let tip = refs::read(store.repo(), store.env(), REF)?;
        match store.commit(REF, tip.as_ref(), event, Vec::new()) {
            Err(err) if err.kind() == Kind::Conflict => {}
            other => return other.map(drop),
        }
    }
    Err(Error::conflict(format!("{REF} is being written by somebody else all the time")).hint(format!("git log {REF}")))
}

/// The last `limit` runs of the workspaces that `wanted` takes, newest first.
pub fn log(repo: &Repo, env: &Env, limit: usize, wanted: impl Fn(&str) -> bool) -> Result<Vec<Run>> {
    if refs::read(repo, env, REF)?.is_none() {
        return Ok(Vec::new());
    }
    let format = "--format=%H%x00%ct%x00%(trailers:only,unfold)%x00";
    let text = Git::new(repo, env).args(["log", "-z", "--first-parent", format, REF]).read()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut fields = text.split('\0');
    let mut runs = Vec::new();
    while let (Some(id), Some(time), Some(trailers)) = (fields.next(), fields.next(), fields.next()) {
        fields.next(); // the separator of git log
        let trailers = parse_trailers(trailers)?;
        let workspace = get(&trailers, "Workspace").unwrap_or_default();
        if id.is_empty() || !wanted(workspace) {
            continue;
        }
        let file = Git::new(repo, env).args(["cat-file", "blob", &format!("{id}:{FILE}")]).read()?;
        runs.push(Run {
            ended: time.parse().unwrap_or(0),
            workspace: workspace.to_owned(),
            purpose: get(&trailers, "Purpose").unwrap_or_default().to_owned(),
            places: String::from_utf8_lossy(&file).lines().map(str::to_owned).collect(),
        });
        if runs.len() >= limit {
            break;
        }
    }
    Ok(runs)
}
