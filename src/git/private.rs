//! Private git directories: what a box sees as `.git`. The host writes one before its first box and
//! never opens it again (`reference`: 44 of 47 planted attacks run code on a host that does).
//!
//! A private directory holds HEAD, refs, an index, a minimal config and no hooks; objects come through
//! an alternate that is mounted read-only.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Context as _, Result};

use super::Oid;
use super::shape::Shape;

/// Where the object stores are mounted in a box.
pub const OBJECTS: &str = "/coop/objects";
/// Where the private git directory is mounted when `.git` is a file.
pub const GIT_DIR: &str = "/coop/git";

/// In a fork Git LFS files are pointers, which pass; other content would need the user's LFS store.
const POINTERS_ONLY: &str = "c=$(head -c 40); case $c in 'version https://git-lfs'*) printf %s \"$c\"; cat;; \
    *) echo 'content of Git LFS files cannot be added in a box' >&2; exit 1;; esac";

/// What a private git directory starts with.
#[derive(Debug)]
pub struct Seed<'a> {
    /// Facts of the user's repository.
    pub shape: &'a Shape,
    /// Full name of the branch that HEAD points at, or `None` for a detached HEAD at `tip`.
    pub branch: Option<&'a str>,
    /// The commit HEAD is at; `None` on an unborn branch.
    pub tip: Option<&'a Oid>,
    /// All refs the box may see, name and value, sorted by name.
    pub refs: &'a [(String, Oid)],
    /// The index to start with, copied byte for byte; `None` starts without.
    pub index: Option<&'a Path>,
    /// Lines for `info/exclude`.
    pub exclude: &'a [u8],
    /// Extra alternates besides [`OBJECTS`], absolute paths as seen in the box.
    pub alternates: &'a [std::path::PathBuf],
    /// The live checkout: sparse patterns apply, and Git LFS files have their content.
    pub live: bool,
}

/// Writes the directory at `dir`, which must not exist. Errors leave a partial directory: the caller removes it.
pub fn create(dir: &Path, seed: &Seed<'_>) -> Result<()> {
    for sub in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"] {
        fs::create_dir_all(dir.join(sub)).or_bug(format!("cannot make '{}'", dir.display()))?;
    }
    let head = match (seed.branch, seed.tip) {
        (Some(branch), _) => format!("ref: {branch}\n"),
        (None, Some(tip)) => format!("{tip}\n"),
        (None, None) => "ref: refs/heads/main\n".to_owned(),
    };
    let mut packed = String::from("# pack-refs with: sorted \n");
    for (name, oid) in seed.refs {
        packed.push_str(&format!("{oid} {name}\n"));
    }
    write(dir, "packed-refs", packed.as_bytes())?;
    write(dir, "config", config(seed).as_bytes())?;
    write(dir, "info/exclude", seed.exclude)?;
    let mut alternates = format!("{OBJECTS}\n");
    for path in seed.alternates {
        alternates.push_str(&format!("{}\n", path.display()));
    }
    write(dir, "objects/info/alternates", alternates.as_bytes())?;
    if let Some(shallow) = &seed.shape.shallow {
        write(dir, "shallow", shallow)?;
    }
    if let (true, Some((patterns, _))) = (seed.live, &seed.shape.sparse) {
        write(dir, "info/sparse-checkout", patterns)?;
    }
    if let Some(index) = seed.index {
        copy_index(index, dir)?;
    }
    write(dir, "HEAD", head.as_bytes()) // last: a directory with HEAD is a whole one
}

/// An index may be split over `index` and `sharedindex.*` (`git help update-index`, "SPLIT INDEX").
fn copy_index(index: &Path, dir: &Path) -> Result<()> {
    match fs::copy(index, dir.join("index")) {
        Ok(_) => {}
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err).or_bug("cannot copy the index"),
    }
    let Some(Ok(entries)) = index.parent().map(fs::read_dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("sharedindex.") {
            fs::copy(entry.path(), dir.join(&name)).or_bug("cannot copy the shared index")?;
        }
    }
    Ok(())
}

fn config(seed: &Seed<'_>) -> String {
    let mut out = String::from("[core]\n");
    let sha256 = seed.shape.object_format == "sha256";
    out.push_str(&format!("\trepositoryformatversion = {}\n", u8::from(sha256)));
    out.push_str("\tbare = false\n\tlogallrefupdates = true\n");
    for (key, value) in &seed.shape.core {
        out.push_str(&format!("\t{} = \"{}\"\n", key.trim_start_matches("core."), escaped(value)));
    }
    if let (true, Some((_, cone))) = (seed.live, &seed.shape.sparse) {
        out.push_str(&format!("\tsparseCheckout = true\n\tsparseCheckoutCone = {cone}\n"));
    }
    // here as well as in the home directory: gemini runs git without any global configuration
    for (key, value) in [("name", &seed.shape.identity.0), ("email", &seed.shape.identity.1)] {
        if let Some(value) = value {
            out.push_str(&format!("[user]\n\t{key} = \"{}\"\n", escaped(value)));
        }
    }
    if sha256 {
        out.push_str("[extensions]\n\tobjectFormat = sha256\n");
    }
    if seed.shape.lfs {
        // required: a file that would lose its content to the host fails to be added, and says why
        let clean = if seed.live { "git-lfs clean -- %f" } else { POINTERS_ONLY };
        out.push_str(&format!(
            "[filter \"lfs\"]\n\tclean = \"{}\"\n\tsmudge = cat\n\trequired = true\n",
            escaped(clean)
        ));
    }
    out
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path)
        .and_then(|mut file| file.write_all(bytes))
        .or_bug(format!("cannot write '{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_accepts_what_is_written() {
        let temp = tempfile::tempdir().expect("temp dir");
        let dir = temp.path().join("q");
        let shape = Shape { object_format: "sha1".into(), ..Shape::default() };
        let seed = Seed {
            shape: &shape,
            branch: Some("refs/heads/x"),
            tip: None,
            refs: &[],
            index: None,
            exclude: b"",
            alternates: &[],
            live: false,
        };
        create(&dir, &seed).expect("created");
        let out = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&dir)
            .args(["symbolic-ref", "HEAD"])
            .output()
            .expect("git runs");
        assert_eq!(String::from_utf8_lossy(&out.stdout), "refs/heads/x\n");
        assert!(create(&dir, &seed).is_err(), "never over an existing one");
    }
}
