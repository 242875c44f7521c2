//! A file per running box beside the blanks. It is only a hint that makes sweeping cheap: the labels of the boxes say
//! what is true, but to ask a runtime for them costs a process, and that is worth it only after a coop died.

use std::path::{Path, PathBuf};

use super::owner::Owner;

/// The marker of one launch; dropped, it is removed together with the file of the container's id.
#[derive(Debug)]
pub struct Marker {
    path: PathBuf,
    /// Where a container runtime writes the container's id; not there yet.
    pub cidfile: PathBuf,
}

impl Marker {
    /// Marks that `owner` starts the box `id`.
    pub fn set(dir: &Path, id: &str, owner: &Owner) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(format!("{id}-{}-{}.run", owner.pid, owner.start));
        std::fs::write(&path, b"")?;
        Ok(Marker { cidfile: path.with_extension("cid"), path })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.cidfile); // absent where nothing was created
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Files in `dir` whose owner is gone.
pub fn orphans(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.path()).filter(|path| owner(path).is_some_and(|owner| !owner.alive())).collect()
}

fn owner(path: &Path) -> Option<Owner> {
    let mut parts = path.file_stem()?.to_str()?.split('-').skip(1);
    let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Owner { pid, start, boot: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_owner_left() {
        let dir = tempfile::tempdir().expect("tempdir");
        let me = Owner::of_process();
        let marker = Marker::set(dir.path(), "abcd", &me).expect("set");
        assert!(orphans(dir.path()).is_empty());
        let dead = Owner { start: me.start + 1, ..me };
        std::mem::forget(Marker::set(dir.path(), "efgh", &dead).expect("set"));
        assert_eq!(orphans(dir.path()).len(), 1);
        drop(marker);
        assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1);
    }
}
