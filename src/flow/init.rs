//! `git coop init`: files for agents, hooks, and the configuration that makes `git log` show verdicts.
//!
//! Nothing that is there is overwritten. What was made is remembered in `refs/coop/init`, so that an undo takes back
//! exactly that, and nothing that somebody has changed since.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::refs::{self, Edit, Old, Outcome};
use crate::git::{Git, Repo};
use crate::state::Store;
use crate::state::record::{self, Record};
use crate::task::scaffold::{CONFIG, FILES, IGNORED, LINKS};

use super::hooks::{self, Done};

const REF: &str = "refs/coop/init";
const IGNORE: &str = ".gitignore";
/// Paths of directories that may become empty again, children first.
const DIRS: &[&str] = &[".agent/rules", ".agent"];

/// What was made or taken back, and what was left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What changed.
    pub changed: Vec<String>,
    /// What did not, and why.
    pub kept: Vec<String>,
}

/// Sets `repo` up; doing it again makes only what is missing. Errors (exit 2): a symbolic link is in the way.
pub fn init(repo: &Repo, env: &Env) -> Result<Report> {
    let top = &repo.work_tree;
    for path in [".agent", ".agent/rules", IGNORE] {
        if top.join(path).symlink_metadata().is_ok_and(|meta| meta.file_type().is_symlink()) {
            return Err(Error::usage(format!("'{path}' is a symbolic link, so nothing was changed"))
                .hint("put a plain directory or file there"));
        }
    }
    let mut record = made(repo, env)?;
    let mut report = Report::default();
    for (path, text) in FILES {
        match create(&top.join(path), text)? {
            true => {
                record.set(&key("File", path), digest(text.as_bytes()));
                report.changed.push((*path).to_owned());
            }
            false => report.kept.push((*path).to_owned()),
        }
    }
    for (path, target) in LINKS {
        match std::os::unix::fs::symlink(target, top.join(path)) {
            Ok(()) => {
                record.set(&key("Link", path), *target);
                report.changed.push((*path).to_owned());
            }
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => report.kept.push((*path).to_owned()),
            Err(err) => return Err(err).context(Kind::Usage, format!("cannot make '{path}'")),
        }
    }
    match ignore(&top.join(IGNORE))? {
        Some(fresh) => {
            record.set("Ignore", if fresh { "made" } else { "added" });
            report.changed.push(IGNORE.to_owned());
        }
        None => report.kept.push(IGNORE.to_owned()),
    }
    for (name, value) in CONFIG {
        let values = Git::new(repo, env).args(["config", "--get-all", name]).output()?.stdout;
        if String::from_utf8_lossy(&values).lines().any(|line| line == *value) {
            report.kept.push((*name).to_owned());
            continue;
        }
        Git::new(repo, env).args(["config", "--local", "--add", name, value]).read()?;
        record.set(&key("Config", name), *value);
        report.changed.push((*name).to_owned());
    }
    // a hook that cannot take the check is the user's, and no reason to do without the rest
    match hooks::install(repo, env) {
        Ok(all) => {
            let new = all.iter().any(|(_, done)| *done != Done::Nothing);
            if new {
                record.set("Hooks", "put");
            }
            (if new { &mut report.changed } else { &mut report.kept }).push("hooks".to_owned());
        }
        Err(err) => eprint!("{}", err.render().replacen("error:", "warning:", 1)),
    }
    if !report.changed.is_empty() {
        save(repo, env, &record)?;
    }
    Ok(report)
}

/// Takes back what [`init`] made, where it is still as it was made. Errors: exit 1 where it made nothing.
pub fn undo(repo: &Repo, env: &Env) -> Result<Report> {
    let top = &repo.work_tree;
    let record = made(repo, env)?;
    let Some(tip) = record.tip.clone() else {
        return Err(Error::no("git coop init has made nothing here").hint("git coop init"));
    };
    let mut report = Report::default();
    for (path, _) in FILES {
        let Some(digest) = record.get(&key("File", path)) else { continue };
        let file = top.join(path);
        let same = file.symlink_metadata().is_ok_and(|meta| meta.is_file())
            && fs::read(&file).is_ok_and(|bytes| self::digest(&bytes) == digest);
        note(&mut report, path, same && fs::remove_file(&file).is_ok());
    }
    for (path, _) in LINKS {
        let Some(target) = record.get(&key("Link", path)) else { continue };
        let link = top.join(path);
        let same = fs::read_link(&link).is_ok_and(|to| to == Path::new(target));
        note(&mut report, path, same && fs::remove_file(&link).is_ok());
    }
    if let Some(how) = record.get("Ignore") {
        let path = top.join(IGNORE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let rest = text.replacen(IGNORED, "", 1);
        let changed = rest != text
            && match how {
                "made" if rest.is_empty() => fs::remove_file(&path).is_ok(),
                _ => fs::write(&path, &rest).is_ok(),
            };
        note(&mut report, IGNORE, changed);
    }
    for (name, _) in CONFIG {
        let Some(value) = record.get(&key("Config", name)) else { continue };
        let done =
            Git::new(repo, env).args(["config", "--local", "--fixed-value", "--unset-all", name, value]).succeeds()?;
        note(&mut report, name, done);
    }
    if record.get("Hooks").is_some() {
        let all = hooks::uninstall(repo, env)?;
        note(&mut report, "hooks", all.iter().any(|(_, done)| *done == Done::Removed));
    }
    for dir in DIRS {
        let _ = fs::remove_dir(top.join(dir)); // only where it is empty
    }
    match refs::transaction(repo, env, "init taken back", &[Edit::delete(REF, tip)])? {
        Outcome::Done => Ok(report),
        Outcome::Lost => Err(Error::conflict("somebody else ran git coop init meanwhile").hint("git coop init --undo")),
    }
}

fn note(report: &mut Report, what: &str, done: bool) {
    (if done { &mut report.changed } else { &mut report.kept }).push(what.to_owned());
}

fn made(repo: &Repo, env: &Env) -> Result<Record> {
    Ok(record::one(repo, env, "refs/coop/", "init")?.unwrap_or_default())
}

fn save(repo: &Repo, env: &Env, record: &Record) -> Result<()> {
    let store = Store::open(repo, env)?;
    let tip = store.write(&record.event("init", "init: set up".into()), record.tip.as_ref())?;
    let edit = Edit::set(REF, Old::from(record.tip.clone()), tip);
    match refs::transaction(repo, env, "init", &[edit])? {
        Outcome::Done => Ok(()),
        Outcome::Lost => Err(Error::conflict("somebody else ran git coop init meanwhile").hint("git coop init")),
    }
}

/// A trailer's key for a path or a name: letters, digits and hyphens.
fn key(kind: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{kind}-{}", plain.trim_matches('-'))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the file where there is none; gives whether it did.
fn create(path: &Path, text: &str) -> Result<bool> {
    let what = || format!("cannot make '{}'", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).context(Kind::Usage, what())?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).context(Kind::Usage, what()).map(|()| true),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(err) => Err(err).context(Kind::Usage, what()),
    }
}

/// Adds the lines to `.gitignore`; gives whether the file is new, `None` where they are there.
fn ignore(path: &Path) -> Result<Option<bool>> {
    let what = || format!("cannot write '{}'", path.display());
    let (old, fresh) = match fs::read(path) {
        Ok(bytes) => (bytes, false),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => (Vec::new(), true),
        Err(err) => return Err(err).context(Kind::Usage, what()),
    };
    let text = String::from_utf8_lossy(&old).replace("\r\n", "\n");
    if IGNORED.lines().filter(|l| !l.starts_with('#')).all(|line| text.lines().any(|l| l.trim() == line)) {
        return Ok(None);
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).context(Kind::Usage, what())?;
    if old.last().is_some_and(|b| *b != b'\n') {
        file.write_all(b"\n").context(Kind::Usage, what())?;
    }
    file.write_all(IGNORED.as_bytes()).context(Kind::Usage, what())?;
    Ok(Some(fresh))
}
