//! Keeps the number of loose refs small: git reads each of them as a file of its own, so that a thousand forks cost
//! `git for-each-ref` fifty milliseconds loose and five packed (measured).

use crate::env::Env;

use super::{Git, Repo};

/// So many directories of loose refs of one kind are let be.
const MANY: usize = 96;

/// Packs coop's refs where many of the kind of `name` (`refs/coop/KIND/…`) are loose. git locks each ref as it does, and
/// another writer waits for it (`core.filesRefLockTimeout`). Housekeeping: where it fails, nothing is lost but time.
pub fn when_many(repo: &Repo, env: &Env, name: &str) {
    let Some(kind) = name.strip_prefix("refs/coop/").and_then(|rest| rest.split('/').next()) else { return };
    let loose = std::fs::read_dir(repo.common_dir.join("refs/coop").join(kind)).map_or(0, Iterator::count);
    if loose > MANY {
        // git before 2.43 has no --include: its refs stay loose until git gc packs them
        let _ = Git::isolated(repo, env).args(["pack-refs", "--include", "refs/coop/*"]).output();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Oid;
    use crate::git::refs::{self, Edit, Old, Outcome};

    #[test]
    fn many_loose_refs_are_packed_and_stay_what_they_are() {
        let temp = tempfile::tempdir().expect("temp dir");
        let env = Env::of_process();
        let repo = crate::git::init::init(temp.path(), &env).expect("repository");
        let git = |args: &[&str]| Git::isolated(&repo, &env).args(args).line().expect("git");
        let blob = Oid::parse(&git(&["hash-object", "-t", "tree", "-w", "--stdin"])).expect("oid");
        let name = |n: usize| format!("refs/coop/forks/f{n}/meta");
        for n in 0..MANY {
            let edits = [Edit::set(name(n), Old::Missing, blob.clone())];
            assert_eq!(refs::transaction(&repo, &env, "x", &edits).expect("written"), Outcome::Done);
        }
        let loose = || std::fs::read_dir(repo.common_dir.join("refs/coop/forks")).map_or(0, Iterator::count);
        when_many(&repo, &env, &name(0));
        assert_eq!(loose(), MANY);
        let edits = [Edit::set(name(MANY), Old::Missing, blob.clone())];
        assert_eq!(refs::transaction(&repo, &env, "x", &edits).expect("written"), Outcome::Done);
        when_many(&repo, &env, &name(MANY));
        assert_eq!(loose(), 0);
        assert_eq!(refs::list(&repo, &env, &["refs/coop/forks"]).expect("list").len(), MANY + 1);
    }
}
