//! Bundles: how commits come back from a box. The file was written by an untrusted process: its header
//! is parsed here with bounds, its pack goes to git with `fsck` on, and its names never become refs
//! without a check.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};

use super::{Git, Oid, Repo};
use crate::without::without;

/// More refs than this in one bundle are refused: a box would only do that to hurt.
pub const MAX_REFS: usize = 1_000;
const MAX_HEADER: u64 = 1 << 20;

/// The refs that a bundle offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name and value, in the order of the file; names are well-formed (`HEAD` or below `refs/`).
    pub refs: Vec<(String, Oid)>,
}

/// Reads the header of a bundle (`gitformat-bundle(5)`, versions 2 and 3).
/// Errors: kind No, with what is wrong, for anything that is not a well-formed and bounded header.
pub fn header(path: &Path) -> Result<Header> {
    let file = File::open(path).or_bug("cannot open the bundle")?;
    let mut reader = BufReader::new(file.take(MAX_HEADER));
    let mut refs = Vec::new();
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).or_bug("cannot read the bundle")?;
        if line.pop() != Some(b'\n') {
            return Err(bad("the header does not end"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| bad("a name is not UTF-8"))?;
        if first {
            if text != "# v2 git bundle" && text != "# v3 git bundle" {
                return Err(bad("no bundle signature"));
            }
            first = false;
        } else if text.is_empty() {
            return Ok(Header { refs });
        } else if text.starts_with('@') || text.starts_with('-') {
            continue; // capabilities and prerequisites: git checks them
        } else {
            let (oid, name) = text.split_once(' ').ok_or_else(|| bad("a line without a name"))?;
            let oid = Oid::parse(oid).map_err(|_| bad("an id that is none"))?;
            if !well_formed(name) && !without("bundle-bounds") {
                return Err(bad("a ref name that git would refuse"));
            }
            if refs.len() == MAX_REFS && !without("bundle-bounds") {
                return Err(bad("more than 1000 refs"));
            }
            refs.push((name.to_owned(), oid));
        }
    }
}

/// The rules of `git help check-ref-format`, and a length that every file system takes.
fn well_formed(name: &str) -> bool {
    let bad_char = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock") || part.len() > 200;
    (name == "HEAD" || name.starts_with("refs/"))
        && name.len() <= 800
        && !name.chars().any(bad_char)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name.split('/').any(bad_part)
}

/// Brings the objects of `refs` from the bundle into the user's object store with the isolated git:
/// fsck on, no hooks, no tags, no submodules, no lazy fetch. No ref is written: the caller moves refs in
/// a transaction of its own. Errors: kind No where git refuses what the box wrote.
pub fn fetch(repo: &Repo, env: &Env, bundle: &Path, refs: &[(String, Oid)]) -> Result<()> {
    // a git that the user runs may just be adding a work tree, which no other git can read in the middle of it
    let half_made = |text: &str| text.contains("failed to read") && text.contains("commondir");
    let (mut output, mut text) = fetch_once(repo, env, bundle, refs)?;
    for _ in 0..10 {
        if output.status.success() || !half_made(&text) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        (output, text) = fetch_once(repo, env, bundle, refs)?;
    }
    if output.status.success() {
        return Ok(());
    }
    let line = text.lines().find(|l| l.contains("error:") || l.contains("fatal:")).unwrap_or("no message");
    Err(Error::no(format!("git refuses what came from the box: {line}"))
        .hint("the work stays in the box's own repository: git coop shell, or git coop fork NAME -- git fsck"))
}

fn fetch_once(repo: &Repo, env: &Env, bundle: &Path, refs: &[(String, Oid)]) -> Result<(Output, String)> {
    let output = Git::isolated(repo, env)
        .config(&format!("transfer.fsckObjects={}", !without("fsck")))
        .config(&format!("fetch.fsckObjects={}", !without("fsck")))
        .config(&format!("receive.fsckObjects={}", !without("fsck")))
        .args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--no-write-fetch-head",
        ])
        .args(["--no-write-commit-graph", "--no-show-forced-updates", "--refmap=", "--end-of-options"])
        .arg(bundle)
        .args(refs.iter().map(|(name, _)| name))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output, text))
}

fn bad(what: &str) -> Error {
    Error::no(format!("the bundle from the box is not one: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<Header> {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), bytes).expect("written");
        header(file.path())
    }

    #[test]
    fn accepts_what_git_writes_and_nothing_else() {
        let oid = "1".repeat(40);
        let ok = format!("# v2 git bundle\n-{oid} base\n{oid} refs/heads/x\n{oid} HEAD\n\nPACK");
        assert_eq!(of(ok.as_bytes()).expect("header").refs.len(), 2);
        for name in
            ["refs/heads/../x", "refs/heads/a\x1bb", "../../x", "refs/heads/.x", "refs/heads/x.lock", "-x", "refs//x"]
        {
            let text = format!("# v2 git bundle\n{oid} {name}\n\n");
            assert!(of(text.as_bytes()).is_err(), "{name}");
        }
        assert!(of(b"# v2 git bundle\n").is_err());
        assert!(of(&vec![b'x'; 2 << 20]).is_err());
        let many: String = (0..2_000).map(|n| format!("{oid} refs/heads/{n}\n")).collect();
        assert!(of(format!("# v2 git bundle\n{many}\n").as_bytes()).is_err());
    }
}
