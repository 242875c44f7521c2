//! `git coop fork open`.

use crate::error::{Context as _, Error, Kind, Result};

use super::super::{Command, Context};

/// Open a fork's work tree in the editor
///
/// The editor is COOP_EDITOR, else git's core.editor, else a known one on PATH (code, cursor, zed, idea,
/// subl), else VISUAL or EDITOR. An editor runs what a project tells it to: this refuses when the last run
/// left something that could act on the host, until `--anyway`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
    /// Open it whatever the box left there
    #[arg(long)]
    anyway: bool,
}

const KNOWN: &[&str] = &["code", "cursor", "zed", "idea", "subl"];

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let (coop, fork) = super::load(context, &self.name)?;
        if !fork.path.is_dir() {
            return Err(Error::usage(format!("'{}' is gone", fork.path.display()))
                .hint(format!("git coop fork rm {}", fork.name)));
        }
        let found = crate::flow::verify::walk(&fork.path);
        if let (Some(first), false) = (found.first(), self.anyway) {
            return Err(Error::no(format!("the box left a {} ({} such things)", first.shown(), found.len()))
                .hint(format!("look first, then: git coop fork open --anyway {}", fork.name)));
        }
        let words = editor(context, &coop)?;
        start(&words, &fork.path)
    }
}

/// Opens `dir` in the editor; exit 1 where the editor says so.
pub fn start(words: &[String], dir: &std::path::Path) -> Result<u8> {
    let status = std::process::Command::new(&words[0]).args(&words[1..]).arg(dir).status();
    let status = status.context(Kind::Usage, format!("cannot start the editor '{}'", words[0]))?;
    Ok(if status.success() { 0 } else { 1 })
}

/// The words of the editor's command.
pub fn editor(context: &Context, coop: &crate::flow::Coop) -> Result<Vec<String>> {
    let configured = coop.settings.get("COOP_EDITOR").map(str::to_owned).or_else(|| coop.shape.editor.clone());
    let named = configured
        .or_else(|| KNOWN.iter().find(|name| context.env.which(name).is_some()).map(|name| (*name).to_owned()))
        .or_else(|| context.env.str("VISUAL").or_else(|| context.env.str("EDITOR")).map(str::to_owned));
    let words: Vec<String> = named.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err(Error::usage("no editor is configured").hint("git config --global coop.editor 'code --wait'"));
    }
    Ok(words)
}
