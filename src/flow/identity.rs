//! The curated identity: the only git configuration of the user that a box gets.

use std::path::{Path, PathBuf};

use crate::error::{Context as _, Result};
use crate::git::shape::Shape;
use crate::sandbox::spec::Mount;

/// Writes the identity files below `dir` (host-owned) and gives the mounts that put them in `home`.
/// Name, email, global ignore patterns; signing off, because no key is in the box. Nothing else.
pub fn mounts(dir: &Path, home: &Path, shape: &Shape) -> Result<Vec<Mount>> {
    let mut text = String::from("[user]\n");
    for (key, value) in [("name", &shape.identity.0), ("email", &shape.identity.1)] {
        if let Some(value) = value {
            text.push_str(&format!(
                "\t{key} = \"{}\"\n",
                value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
            ));
        }
    }
    text.push_str("[commit]\n\tgpgsign = false\n[tag]\n\tgpgsign = false\n[gc]\n\tautoDetach = false\n");
    let mut mounts = Vec::new();
    if let Some(bytes) = shape.excludes_file.as_ref().and_then(|file| std::fs::read(file).ok()) {
        let target = home.join(".gitignore-global");
        text.push_str(&format!("[core]\n\texcludesFile = {}\n", target.display()));
        mounts.push(Mount::ro(put(dir, "gitignore", &bytes)?, target));
    }
    mounts.push(Mount::ro(put(dir, "gitconfig", text.as_bytes())?, home.join(".gitconfig")));
    Ok(mounts)
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, bytes).or_bug(format!("cannot write '{}'", path.display()))?;
    // readable for the box's user, whatever the umask: a box has no capability to read past permissions
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).or_bug("cannot set permissions")?;
    Ok(path)
}
