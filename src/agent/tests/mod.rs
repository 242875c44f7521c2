//! Tests of what touches the disk: hostile homes, and programs in odd places.

mod hostile;
mod limits;
mod places;
mod roundtrip;

use std::path::{Path, PathBuf};

use super::{Prepare, Prepared, Registry};

/// A configuration directory, a scratch and a history directory.
struct World {
    dir: tempfile::TempDir,
    registry: Registry,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::load(Path::new("/nonexistent")).expect("loads");
        World { dir, registry }
    }
    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
    fn put(&self, path: &str, text: &str) -> PathBuf {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(&file, text).expect("a file");
        file
    }
    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }
    fn prepare(&self, agent: &str, profile: Option<&str>) -> crate::Result<Prepared> {
        Prepared::new(&Prepare {
            definition: self.registry.get(agent).expect("known"),
            profile,
            login: false,
            outside: None,
            config_dir: &self.path("config"),
            history_dir: &self.path("history"),
            scratch: &self.path("scratch"),
            workspace: Path::new("/w/repo"),
            box_home: Path::new("/home/agent"),
            box_uid: rustix::process::geteuid().as_raw(),
            box_gid: rustix::process::getegid().as_raw(),
        })
    }
}

fn credentials(token: &str, expires: u64) -> String {
    format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{token}","expiresAt":{expires},"scopes":["a"],"subscriptionType":"max"}}}}"#
    )
}
