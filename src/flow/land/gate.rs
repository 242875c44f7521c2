//! The gate: one command of the host's configuration, run in a box on the exact tree that would land.
//!
//! The tree is checked out inside the box from a pack that holds the candidate and nothing that its fork may
//! not see. What the gate commits, writes or leaves running goes with the box; the host learns an exit status
//! and a log.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Context as _, Error, Kind, Result};
use crate::git::objects::Reader;
use crate::git::private::{self, GIT_DIR, OBJECTS};
use crate::git::{Oid, seed};
use crate::sandbox::io::{How, Io, Log, Out, Tick, Wish};
use crate::sandbox::launch::launch;
use crate::sandbox::runtime::Usable;
use crate::sandbox::spec::{BoxSpec, Mount};
use crate::secret::decide::Decider;
use crate::secret::shadow::Rules;
use crate::settings;

use super::super::session::{self, Leaving, Scratch};
use super::super::workspace::Workspace;
use super::super::{Coop, coop, egress, identity, shadows};

/// Where the pack of the candidate is mounted.
const CANDIDATE: &str = "/coop/candidate";
/// Where the list of hidden paths is mounted.
const HIDDEN: &str = "/coop/hidden";
/// More output than this ends the box (bytes): a gate that prints for ever is red.
const MAX_OUTPUT: u64 = 1 << 30;
/// What is kept of a long log: its beginning and its end (bytes).
const HEAD: usize = 64 << 10;
const TAIL: usize = 512 << 10;
/// The status with which the preparation in the box says that it failed, not the gate.
const NOT_READY: i32 = 97;

/// Checks the candidate out, blanks hidden paths, and becomes the gate.
const SCRIPT: &str = r#"
git -c core.hooksPath=/dev/null -c filter.lfs.smudge= -c filter.lfs.process= -c filter.lfs.required=false \
    read-tree --reset -u HEAD || exit 97
if [ -s /coop/hidden ]; then
    git update-index --skip-worktree -z --stdin </coop/hidden || exit 97
    xargs -0 sh -c 'for path do rm -f "./$path" && : >"./$path" || exit 1; done' sh </coop/hidden || exit 97
fi
exec sh -c "$1" </dev/null
"#;

/// What is to be gated.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The commit that would become the branch's tip.
    pub commit: &'a Oid,
    /// A commit whose seed store its fork reads.
    pub base: &'a Oid,
    /// Label of the box.
    pub label: &'a str,
    /// coop's own directory of the fork, whose lock is held.
    pub own: &'a Path,
}

/// How the gate ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit 0 within the time.
    pub passed: bool,
    /// In words: `exit 2`, `ran out of time`.
    pub how: String,
    /// Seconds it took, box included.
    pub seconds: u64,
    /// The part of it from the box's start to its end.
    pub boxed: Duration,
    /// What it printed, bounded.
    pub log: Vec<u8>,
    /// Its files go meanwhile; the fork's lock must outlive this.
    pub leaving: Leaving,
}

/// Runs `command` on the candidate; what it prints is shown on standard error, made harmless.
/// Errors: exit 2 where the command does not exist, exit 3 where it was interrupted, exit 5 without a runtime.
pub fn run(coop: &Coop, usable: &Usable, candidate: &Candidate<'_>, command: &str) -> Result<Ran> {
    let started = Instant::now();
    let id = coop::fresh_id()?;
    let scratch = Scratch::in_dir(coop, candidate.own)?;
    let spec = spec(coop, usable, candidate, command, &id, scratch.path())?;
    let (reader, writer) = std::io::pipe().or_bug("cannot make a pipe")?;
    let shower = std::thread::spawn(move || show(reader));
    let mut enough = |tick: Tick| if tick.printed > MAX_OUTPUT { Wish::Stop } else { Wish::Continue };
    let timeout = coop.settings.get("COOP_GATE_TIMEOUT").and_then(settings::seconds).unwrap_or(3_600);
    let io = Io {
        stdout: Out::Null,
        stderr: Out::Null,
        log: Some(Log { file: File::from(std::os::fd::OwnedFd::from(writer)), limit: u64::MAX }),
        timeout: (!crate::without::without("gate-bounds")).then(|| Duration::from_secs(timeout)),
        tick: Some(&mut enough),
        is_work: true,
        ..Io::default()
    };
    let begin = Instant::now();
    let ended = launch(usable, &spec, io);
    let boxed = begin.elapsed();
    let log = shower.join().unwrap_or_default();
    let ended = ended?;
    let how = match ended.how {
        How::Exited if ended.status == NOT_READY => {
            let said = String::from_utf8_lossy(&log).into_owned();
            let line = said.lines().find(|l| !l.trim().is_empty()).unwrap_or("no message").to_owned();
            return Err(Error::no(format!("the candidate could not be checked out in the box: {line}"))
                .hint("git fsck shows damaged objects"));
        }
        How::Exited if ended.status == 127 => {
            return Err(Error::usage(format!("the gate '{command}' was not found in the box"))
                .hint("git coop run -- COMMAND tries it; git coop config coop.gate COMMAND sets it"));
        }
        How::Exited => format!("exit {}", ended.status),
        How::TimedOut => format!("ran out of time after {timeout}s"),
        How::OutputLimit | How::StoppedByHook => "printed more than 1 GiB".to_owned(),
        How::Interrupted => {
            return Err(Error::conflict("the gate was interrupted, nothing has moved").hint("run the command again"));
        }
    };
    let passed = ended.how == How::Exited && ended.status == 0;
    Ok(Ran { passed, how, seconds: started.elapsed().as_secs(), boxed, log, leaving: scratch.leave() })
}

fn spec(
    coop: &Coop,
    usable: &Usable,
    candidate: &Candidate<'_>,
    command: &str,
    id: &str,
    dir: &Path,
) -> Result<BoxSpec> {
    let (repo, env) = (&coop.repo, &coop.env);
    let owner = coop.owner()?;
    let store = seed::ensure(repo, env, candidate.base, false, |_| ())?;
    let (tree, private_dir, extra) = (dir.join("tree"), dir.join("git"), dir.join("objects"));
    for sub in [&tree, &extra.join("pack"), &extra.join("info")] {
        std::fs::create_dir_all(sub).or_bug(format!("cannot make '{}'", sub.display()))?;
    }
    seed::pack_range(repo, env, &extra.join("pack"), candidate.commit, candidate.base)?;
    let branch = "refs/heads/candidate".to_owned();
    private::create(
        &private_dir,
        &private::Seed {
            shape: &coop.shape,
            branch: Some(&branch),
            tip: Some(candidate.commit),
            refs: &[(branch.clone(), candidate.commit.clone())],
            index: None,
            exclude: b"",
            alternates: &[CANDIDATE.into()],
            live: false,
        },
    )?;
    put(&tree.join(".git"), Workspace::GITFILE.as_bytes())?;
    let hidden = dir.join("hidden");
    put(&hidden, &hidden_paths(coop, candidate.commit)?)?;
    coop::give(&tree, owner)?;
    coop::give(&private_dir, owner)?;
    let home = std::path::PathBuf::from(session::HOME);
    let mut mounts = vec![
        Mount::rw(tree, &repo.work_tree),
        Mount::rw(private_dir, GIT_DIR),
        Mount::ro(store, OBJECTS),
        Mount::ro(extra, CANDIDATE),
        Mount::ro(hidden, HIDDEN),
    ];
    mounts.extend(identity::mounts(dir, &home, &coop.shape)?);
    let trust = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];
    Ok(BoxSpec {
        id: id.to_owned(),
        purpose: "gate".into(),
        workspace: candidate.label.to_owned(),
        mounts,
        workdir: repo.work_tree.clone(),
        home,
        env: trust.iter().map(|(key, value)| ((*key).to_owned(), value.into())).collect(),
        path_prefix: Vec::new(),
        command: ["sh", "-c", SCRIPT, "gate", command].iter().map(Into::into).collect(),
        user: owner,
        limits: coop.limits(),
        egress: coop.egress()?,
        proxy: egress::proxy(coop, candidate.label, "gate", &egress::Wants::default())?,
        image: session::image(coop, usable)?,
    })
}

/// Tracked paths of the candidate that boxes do not see, each with a NUL behind it.
fn hidden_paths(coop: &Coop, commit: &Oid) -> Result<Vec<u8>> {
    let remembered = shadows::remembered(coop)?;
    let rules = Rules::default();
    let decider = Decider::new(&rules, &remembered);
    let mut out = Vec::new();
    for path in Reader::open(&coop.repo)?.paths(commit)? {
        if decider.why(&path).is_some() {
            out.extend_from_slice(&path);
            out.push(0);
        }
    }
    Ok(out)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).context(Kind::Usage, format!("cannot write '{}'", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).or_bug("cannot set permissions")
}

/// Shows whole lines as they come, escaped, and keeps beginning and end.
fn show(mut reader: impl Read) -> Vec<u8> {
    let (mut head, mut tail, mut cut) = (Vec::new(), std::collections::VecDeque::<u8>::new(), false);
    let (mut rest, mut buffer) = (Vec::new(), vec![0u8; 64 << 10]);
    let flush = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let shown = crate::ui::text::printable_lines(&text);
        let _ = std::io::stderr().lock().write_all(shown.as_bytes()); // nobody may be reading
    };
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let bytes = &buffer[..count];
        let to_head = bytes.len().min(HEAD - head.len());
        head.extend_from_slice(&bytes[..to_head]);
        tail.extend(&bytes[to_head..]);
        if tail.len() > TAIL {
            cut = true;
            tail.drain(..tail.len() - TAIL);
        }
        rest.extend_from_slice(bytes);
        let whole = rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let whole = if whole == 0 && rest.len() > 1 << 16 { rest.len() } else { whole };
        flush(&rest[..whole]);
        rest.drain(..whole);
    }
    if !rest.is_empty() {
        rest.push(b'\n');
        flush(&rest);
    }
    if cut {
        head.extend_from_slice(b"\n[... cut ...]\n");
    }
    head.extend(tail);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_and_keeps_both_ends() {
        let mut long = b"first\n".to_vec();
        long.extend(std::iter::repeat_n(b'x', 2 << 20));
        long.extend_from_slice(b"\nlast");
        let kept = show(&long[..]);
        assert!(kept.len() < HEAD + TAIL + 100);
        assert!(kept.starts_with(b"first\n") && kept.ends_with(b"\nlast"));
        assert_eq!(show(&b"short"[..]), b"short");
    }
}
