//! Brings commits back from a private git directory: a bundle is written inside a box, bounded in size
//! and time, and fetched by the isolated git. The host never opens the directory itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{Context as _, Error, Result};
use crate::git::private::GIT_DIR;
use crate::git::{Oid, bundle};
use crate::sandbox::io::{How, Io, Out, Stdin};
use crate::sandbox::launch::launch;
use crate::sandbox::runtime::Usable;
use crate::sandbox::spec::{BoxSpec, Egress};

use super::coop::fresh_id;
use super::workspace::Workspace;
use super::{Coop, session};

/// A bundle larger than this is refused (bytes).
pub const MAX_BUNDLE: u64 = 4 << 30;
/// Writing a bundle may take this long.
const MAX_TIME: Duration = Duration::from_secs(600);

/// What the refs of a private git directory looked like: only ever compared, never believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot(BTreeMap<Vec<u8>, Vec<u8>>);

/// Reads HEAD, packed-refs and loose refs as plain bytes, without following a link, at most 20,000
/// files of 64 MiB together. A box that lies here only hides its own work from the import.
pub fn snapshot(private: &Path) -> Snapshot {
    let mut files = BTreeMap::new();
    let mut budget = 64u64 << 20;
    for name in ["HEAD", "packed-refs"] {
        read_plain(&private.join(name), name.as_bytes(), &mut files, &mut budget);
    }
    let mut queue = vec![private.join("refs")];
    while let Some(dir) = queue.pop() {
        if !dir.symlink_metadata().is_ok_and(|m| m.is_dir()) || files.len() > 20_000 {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    use std::os::unix::ffi::OsStrExt;
                    let path = entry.path();
                    read_plain(&path, path.as_os_str().as_bytes(), &mut files, &mut budget);
                }
                _ => {}
            }
        }
    }
    Snapshot(files)
}

fn read_plain(path: &Path, key: &[u8], files: &mut BTreeMap<Vec<u8>, Vec<u8>>, budget: &mut u64) {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let Ok(file) = opened else { return };
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return;
    }
    let mut bytes = Vec::new();
    if file.take(*budget).read_to_end(&mut bytes).is_ok() {
        *budget -= bytes.len() as u64;
        files.insert(key.to_vec(), bytes);
    }
}

/// The refs that came back with new commits; their objects are in the user's object store now, and
/// nothing refers to them until the caller's transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incoming {
    /// Name in the private directory and value; `HEAD` may be among them.
    pub refs: Vec<(String, Oid)>,
}

impl Incoming {
    /// The value of one ref.
    pub fn get(&self, name: &str) -> Option<&Oid> {
        self.refs.iter().find(|(n, _)| n == name).map(|(_, oid)| oid)
    }
}

/// Writes a bundle of everything in the private directory that is not reachable from `known`, and
/// fetches it. Empty where there is nothing new. Errors: kind No where git refuses what came.
pub fn collect(coop: &Coop, usable: &Usable, workspace: &Workspace, known: &[Oid]) -> Result<Incoming> {
    sound(&workspace.private)?;
    let id = fresh_id()?;
    let dir = coop.dir("run")?;
    sweep(&dir);
    let file = tempfile::Builder::new()
        .prefix(&format!("{id}-"))
        .suffix(".bundle")
        .tempfile_in(dir)
        .or_bug("cannot make a file for the bundle")?;
    // options on standard input need git 2.42 in the box, object ids do not
    let mut revs = String::new();
    for oid in known {
        revs.push_str(&format!("^{oid}\n"));
    }
    let sink: File = file.reopen().or_bug("cannot open the file for the bundle")?;
    let spec = bundle_spec(coop, usable, workspace, &id)?;
    let io = Io {
        stdin: Stdin::Bytes(revs.into_bytes()),
        stdout: Out::File { file: sink, limit: MAX_BUNDLE },
        stderr: Out::Capture { limit: 64 << 10 },
        timeout: Some(MAX_TIME),
        ..Io::default()
    };
    let ended = launch(usable, &spec, io)?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    match ended.how {
        How::Exited if ended.status == 0 => {}
        How::Exited if said.contains("Refusing to create empty bundle") => return Ok(Incoming::default()),
        How::Exited => {
            let line = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no message");
            return Err(Error::no(format!("git in the box could not bundle the commits: {line}"))
                .hint("the work is still there: git coop shell, or git coop fork NAME -- git fsck"));
        }
        How::TimedOut => return Err(Error::no("bundling the commits took longer than ten minutes")),
        How::OutputLimit => return Err(Error::no("the commits from the box are larger than 4 GiB")),
        _ => {
            return Err(Error::conflict("interrupted while the commits came back")
                .hint("run the command again: nothing is lost"));
        }
    }
    let header = bundle::header(file.path())?;
    bundle::fetch(&coop.repo, &coop.env, file.path(), &header.refs)?;
    Ok(Incoming { refs: header.refs })
}

/// A box can put anything in the place of a ref; git would wait for a pipe for ever. Errors: kind No.
fn sound(private: &Path) -> Result<()> {
    if crate::without::without("sound-git-dir") {
        return Ok(());
    }
    let kind = |path: &Path| path.symlink_metadata().ok().map(|m| m.file_type());
    let file = |name: &str, needed: bool| kind(&private.join(name)).map_or(!needed, |k| k.is_file());
    let mut whole = file("HEAD", true) && file("config", true) && file("packed-refs", false) && file("shallow", false);
    let mut queue = vec![private.join("refs"), private.join("objects")];
    let mut budget = 2_000_000usize;
    while let Some(dir) = queue.pop() {
        whole &= kind(&dir).is_some_and(|k| k.is_dir());
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            budget = budget.saturating_sub(1);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push(entry.path()),
                Ok(kind) if kind.is_file() => {}
                _ => whole = false,
            }
        }
        if !whole || budget == 0 {
            return Err(Error::no("the box damaged its git directory: what it committed cannot be brought back")
                .hint("its files are still in the work tree; git coop fork NAME --fresh starts anew"));
        }
    }
    Ok(())
}

/// Bundles that killed runs left, older than a day.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let old = |m: std::fs::Metadata| m.modified().ok()?.elapsed().ok().map(|age| age > Duration::from_secs(86_400));
        if entry.metadata().ok().and_then(old) == Some(true) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn bundle_spec(coop: &Coop, usable: &Usable, workspace: &Workspace, id: &str) -> Result<BoxSpec> {
    let command = [
        "git",
        "--git-dir",
        GIT_DIR,
        "-c",
        "safe.directory=*",
        "bundle",
        "create",
        "--quiet",
        "-",
        "--ignore-missing",
        "--all",
        "HEAD",
        "--stdin",
    ];
    Ok(BoxSpec {
        id: id.to_owned(),
        purpose: "bundle".into(),
        workspace: workspace.label.clone(),
        mounts: workspace.bundle_mounts(),
        workdir: session::HOME.into(),
        home: session::HOME.into(),
        env: Vec::new(),
        path_prefix: Vec::new(),
        command: command.iter().map(Into::into).collect(),
        user: workspace.owner,
        limits: coop.limits(),
        egress: Egress::None,
        proxy: None,
        image: session::image(coop, usable)?,
    })
}
