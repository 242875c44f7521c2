//! `git coop config`.

use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::live::protect::Protected;
use crate::flow::{Coop, shadows};
use crate::git::Git;
use crate::secret::shadow::{Kind, Shadow};
use crate::settings::{SETTINGS, Setting, Settings};
use crate::ui::nearest;
use crate::ui::text::{printable, printable_bytes};

use super::{Command, Context, out};

/// Show or change the configuration
///
/// Without arguments: every setting with its value and where the value comes from. With a name: its value, and
/// exit 1 if it has none. With a name and a value: checks the value and writes it to the repository's git
/// configuration. For all repositories use `git config --global`, or ~/.config/coop/coop.conf.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name: coop.egress, egress or COOP_EGRESS
    #[arg(value_name = "SETTING")]
    key: Option<String>,
    /// New value
    #[arg(requires = "key")]
    value: Option<String>,
    /// Remove the setting from the repository's git configuration
    #[arg(long, requires = "key", conflicts_with = "value")]
    unset: bool,
    /// List the paths of this work tree that are hidden from boxes or read-only in them, and why
    #[arg(long, conflicts_with_all = ["key", "forget_shadows"])]
    shadows: bool,
    /// Forget what was hidden before: only names and .coopignore as it is now count
    #[arg(long, conflicts_with = "key")]
    forget_shadows: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    env: &'a str,
    value: Option<&'a str>,
    source: &'a str,
    doc: &'a str,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        if self.shadows || self.forget_shadows {
            let coop = context.coop()?;
            return if self.shadows { list(&coop, self.json) } else { shadows::forget(&coop).map(|()| exit::OK) };
        }
        let repo = context.repo();
        let setting = self.key.as_deref().map(find).transpose()?;
        if let Some(setting) = setting.filter(|_| self.value.is_some() || self.unset) {
            let git = Git::new(&repo?, &context.env).args(["config", "--local"]);
            match &self.value {
                Some(value) => {
                    setting.accept(value)?;
                    git.args(["--replace-all", setting.git, value]).read()?; // a list may stand there several times
                }
                // 5 is git's answer for a key that is not there: unset is what it should be
                None => drop(git.args(["--unset-all", setting.git]).output()?),
            }
            return Ok(exit::OK);
        }
        let settings = context.settings(repo.ok().as_ref())?;
        let rows: Vec<Row<'_>> =
            SETTINGS.iter().filter(|s| setting.is_none_or(|one| one.env == s.env)).map(|s| row(s, &settings)).collect();
        if self.json {
            out::json(&rows)?;
        } else if setting.is_some() {
            rows.iter().filter_map(|row| row.value).for_each(|value| println!("{}", printable(value)));
        } else {
            table(&rows);
        }
        let answered = setting.is_none() || rows.iter().all(|row| row.value.is_some());
        Ok(if answered { exit::OK } else { exit::NO })
    }
}

/// `path TAB reason` lines; a directory ends in a slash.
fn list(coop: &Coop, json: bool) -> Result<u8> {
    let plan = shadows::plan(coop, &coop.repo.work_tree)?;
    let path = |s: &Shadow| printable_bytes(&s.path) + if s.kind == Kind::Dir { "/" } else { "" };
    let mut rows: Vec<(String, String)> = plan.shadows.iter().map(|s| (path(s), s.why.to_string())).collect();
    for path in Protected::plan(coop, &plan)?.read_only() {
        rows.push((printable_bytes(path.as_os_str().as_bytes()), "read-only: git's configuration names it".into()));
    }
    if json {
        let objects: Vec<_> = rows.iter().map(|(path, why)| serde_json::json!({"path": path, "why": why})).collect();
        out::json(&objects)?;
    } else {
        out::write(|to| rows.iter().try_for_each(|(path, why)| writeln!(to, "{path}\t{why}")))?;
    }
    Ok(exit::OK)
}

fn row<'a>(s: &'a Setting, settings: &'a Settings) -> Row<'a> {
    Row { name: s.git, env: s.env, value: settings.get(s.env), source: settings.source(s.env).name(), doc: s.doc }
}

fn table(rows: &[Row<'_>]) {
    let values: Vec<String> = rows.iter().map(|row| row.value.map_or("-".into(), printable)).collect();
    let name = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let value = values.iter().map(|v| v.chars().count()).max().unwrap_or_default().min(32);
    for (row, shown) in rows.iter().zip(&values) {
        println!("{:name$}  {shown:value$}  {}", row.name, row.source);
    }
}

/// The setting that is called `word` in any of the three ways.
fn find(word: &str) -> Result<&'static Setting> {
    let lower = word.to_ascii_lowercase();
    let short = lower.strip_prefix("coop.").unwrap_or(&lower);
    let found = SETTINGS.iter().find(|s| s.env.eq_ignore_ascii_case(word) || s.git[5..].eq_ignore_ascii_case(short));
    found.ok_or_else(|| {
        let err = Error::usage(format!("there is no setting '{word}'"));
        match nearest(short, SETTINGS.iter().map(|s| &s.git[5..])) {
            Some(near) => err.hint(format!("git coop config coop.{near}")),
            None => err.hint("git coop config"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings_and_a_slip() {
        for word in ["coop.forkRoot", "forkroot", "COOP_FORK_ROOT", "coop.FORKROOT"] {
            assert_eq!(find(word).expect(word).env, "COOP_FORK_ROOT");
        }
        assert_eq!(find("coop.egres").expect_err("slip").hints(), ["git coop config coop.egress"]);
        assert!(SETTINGS.iter().all(|s| s.git.starts_with("coop.") && s.env.starts_with("COOP_")));
    }
}
