//! `merge` attributes of the target (`gitattributes(5)`): whether git has to be asked for a path.

use std::cell::RefCell;
use std::collections::HashMap;

use gix::ObjectId;

use crate::env::Env;
use crate::error::{Context as _, Result};

use super::{Git, Repo};

/// Larger files of attributes are read by git (bytes).
const MAX: u64 = 1 << 20;

/// The attribute files of one tree, read as far as somebody asks.
pub struct Attributes {
    tree: ObjectId,
    everywhere: bool,
    known: RefCell<HashMap<Vec<u8>, bool>>,
}

impl Attributes {
    /// Those of `tree`, and the repository's own (`info/attributes`).
    pub fn of(repo: &Repo, tree: ObjectId) -> Self {
        let own = std::fs::read(repo.common_dir.join("info/attributes")).unwrap_or_default();
        Attributes { tree, everywhere: may_choose(&own), known: RefCell::default() }
    }

    /// The tree.
    pub fn tree(&self) -> ObjectId {
        self.tree
    }

    /// Whether some attribute file above `path` may choose how it is merged.
    pub fn may_name(&self, opened: &gix::Repository, path: &[u8]) -> Result<bool> {
        if self.everywhere {
            return Ok(true);
        }
        let mut dir = path;
        loop {
            let cut = dir.iter().rposition(|b| *b == b'/');
            dir = &dir[..cut.unwrap_or(0)];
            let known = self.known.borrow().get(dir).copied();
            let here = match known {
                Some(here) => here,
                None => {
                    let here = self.read(opened, dir)?;
                    self.known.borrow_mut().insert(dir.to_owned(), here);
                    here
                }
            };
            if here || dir.is_empty() {
                return Ok(here);
            }
        }
    }

    fn read(&self, opened: &gix::Repository, dir: &[u8]) -> Result<bool> {
        let tree = opened.find_tree(self.tree).or_bug("cannot read a tree")?;
        let parts = dir.split(|b| *b == b'/').filter(|part| !part.is_empty());
        let parts = parts.chain([&b".gitattributes"[..]]);
        let Some(entry) = tree.lookup_entry(parts).or_bug("cannot read a tree")? else { return Ok(false) };
        if !entry.mode().is_blob() {
            return Ok(false);
        }
        let size = opened.find_header(entry.object_id()).or_bug("cannot read a blob")?.size();
        Ok(size > MAX || may_choose(&entry.object().or_bug("cannot read a blob")?.data))
    }
}

/// `merge` by name, by the built-in macro that unsets it, or by a macro of the user's.
fn may_choose(text: &[u8]) -> bool {
    ["merge", "binary", "[attr]"].iter().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
}

/// Settings that make every merge driver of the configuration fail, so that a file which would be merged by a program
/// is a conflict, and none runs.
pub fn no_drivers(repo: &Repo, env: &Env) -> Result<Vec<String>> {
    if crate::without::without("landing-no-drivers") {
        return Ok(Vec::new());
    }
    let names = ["config", "--includes", "--null", "--name-only", "--get-regexp", r"^merge\..*\.driver$"];
    let output = Git::isolated(repo, env).args(names).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let keys = text.split('\0').filter(|key| !key.is_empty());
    Ok(keys.map(|key| format!("{key}=false")).chain(["merge.default=text".to_owned()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_choose() {
        for text in ["*.lock -merge", "a binary", "[attr]mine -diff", "CHANGES merge=union"] {
            assert!(may_choose(text.as_bytes()), "{text}");
        }
        assert!(!may_choose(b"*.txt text eol=lf\n*.png -text diff=exif\n"));
    }
}
