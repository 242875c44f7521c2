//! Finds an agent's program on the host, for boxes that have no image, and the least that must be mounted to run it.
//!
//! Under bubblewrap a box sees `/usr` and nothing else of the host. A CLI that was installed under the home directory
//! is made visible by binding what it is made of, read-only, at its own path: a `node_modules` directory, a virtual
//! environment, a single executable, and its interpreter. Never the home directory or a parent of it, and never a
//! directory of mixed contents such as `~/.local/bin`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Error, Result};

use super::{Definition, install};

/// Where an agent is on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The real file to run, symbolic links resolved; valid in the box as well.
    pub program: PathBuf,
    /// What is bound read-only at its own path, parents before children.
    pub mounts: Vec<PathBuf>,
    /// Directories for the front of `PATH`: where its interpreter is.
    pub path_prefix: Vec<PathBuf>,
}

/// The directories every box without an image has.
const SYSTEM: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/// Finds the program of `agent` on `PATH`, then where package managers put programs below the home directory.
/// Errors: exit 5 with the command that installs it.
pub fn locate(agent: &Definition, env: &Env) -> Result<Located> {
    let home = env.home();
    let home = home.canonicalize().unwrap_or(home);
    let candidates = env.path_dirs().into_iter().chain(usual_places(&home)).map(|dir| dir.join(agent.program()));
    let mut unusable = None;
    for link in candidates.chain(hidden_places(&home, agent)) {
        match resolve(&link, &home, env) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(why) => unusable = unusable.or(Some((link, why))),
        }
    }
    let err = match unusable {
        Some((link, why)) => Error::no_runtime(format!("'{}' cannot be used in a box: {why}", link.display())),
        None => Error::no_runtime(format!("{} is not installed: no program '{}'", agent.display, agent.program())),
    };
    Err(err.hint(install::by_hand(agent)))
}

/// Directories below the home directory where package managers put programs; newest versions first.
fn usual_places(home: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = [
        ".local/bin",
        ".npm-global/bin",
        ".bun/bin",
        ".local/share/pnpm",
        ".yarn/bin",
        ".npm/bin",
        "bin",
        ".opencode/bin",
    ]
    .iter()
    .map(|dir| home.join(dir))
    .collect();
    for versions in [
        ".nvm/versions/node",
        ".local/share/mise/installs/node",
        ".asdf/installs/nodejs",
        ".local/share/fnm/node-versions",
    ] {
        for version in newest_first(&home.join(versions)) {
            out.push(version.join("bin"));
            out.push(version.join("installation/bin"));
        }
    }
    out.push(PathBuf::from("/usr/local/bin"));
    out
}

/// Files that stand behind a shim which cannot run in a box.
fn hidden_places(home: &Path, agent: &Definition) -> Vec<PathBuf> {
    let volta = home.join(".volta/tools/image/packages").join(&agent.install.package).join("bin").join(agent.program());
    let native = home.join(".local/share").join(&agent.name).join("versions");
    std::iter::once(volta).chain(newest_first(&native)).collect()
}

/// The entries of `dir`, those with the greatest version number first.
fn newest_first(dir: &Path) -> Vec<PathBuf> {
    let numbers = |path: &PathBuf| -> Vec<u64> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    all.sort_by_key(|path| std::cmp::Reverse((numbers(path), path.clone())));
    all
}

/// What it takes to run the program at `link`. `None`: there is none, or it is only a shim.
fn resolve(link: &Path, home: &Path, env: &Env) -> std::result::Result<Option<Located>, String> {
    let Ok(program) = link.canonicalize() else { return Ok(None) };
    if !std::fs::metadata(&program).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        || is_shim(&program)
    {
        return Ok(None);
    }
    let mut mounts = BTreeSet::new();
    let mut path_prefix = Vec::new();
    mounts.extend(pieces(&program));
    if let Some((interpreter, by_name)) = interpreter(&program)? {
        // one beside the program comes first: that is the version it was installed for
        let beside = link.parent().map(|dir| dir.join(&interpreter)).filter(|file| by_name && file.exists());
        let file = match beside {
            Some(file) => file,
            None if by_name => {
                let found = find_interpreter(&interpreter, home, env);
                found.ok_or_else(|| format!("it needs {}, which is not there", interpreter.display()))?
            }
            None => interpreter.clone(),
        };
        let real = file.canonicalize().map_err(|err| format!("its interpreter {}: {err}", file.display()))?;
        mounts.extend(pieces(&real));
        if by_name && !is_system(&file) {
            path_prefix.extend(
                real.parent().map(Path::to_owned).filter(|_| real.file_name() == Some(interpreter.as_os_str())),
            );
        }
    }
    mounts.retain(|path| !is_system(path));
    if let Some(wide) = mounts.iter().find(|path| home.starts_with(path)) {
        return Err(format!("it would show the box all of {}", wide.display()));
    }
    let all = mounts.clone();
    mounts.retain(|path| !path.ancestors().skip(1).any(|parent| all.contains(parent)));
    Ok(Some(Located { program, mounts: mounts.into_iter().collect(), path_prefix }))
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| path.starts_with(dir))
}

/// Version managers put one program under many names, which looks for the real one at run time.
fn is_shim(program: &Path) -> bool {
    let in_dir = |name: &str| program.components().any(|part| part.as_os_str() == name);
    matches!(program.file_name().and_then(OsStr::to_str), Some("volta-shim" | "mise" | "asdf" | "fnm"))
        || in_dir("shims")
}

/// What the file belongs to: the outermost `node_modules`, a virtual environment, a python installation, or itself.
fn pieces(file: &Path) -> Vec<PathBuf> {
    if let Some(modules) = file.ancestors().filter(|dir| dir.file_name() == Some(OsStr::new("node_modules"))).last() {
        return vec![modules.to_owned()];
    }
    let prefix = file.parent().filter(|dir| dir.file_name() == Some(OsStr::new("bin"))).and_then(Path::parent);
    if let Some(prefix) = prefix {
        if let Ok(config) = std::fs::read_to_string(prefix.join("pyvenv.cfg")) {
            // a virtual environment is nothing without the python it was made from
            let home = config.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='));
            let base = home.map(|dir| Path::new(dir.trim())).and_then(|dir| dir.join("python3").canonicalize().ok());
            return std::iter::once(prefix.to_owned()).chain(base.iter().flat_map(|python| pieces(python))).collect();
        }
        let is_python = file.file_name().is_some_and(|name| name.as_bytes().starts_with(b"python3"));
        if is_python && prefix.file_name().is_some_and(|name| name.as_bytes().starts_with(b"cpython-")) {
            return vec![prefix.to_owned()];
        }
    }
    vec![file.to_owned()]
}

/// The interpreter of a script, and whether it is looked up on `PATH`; `None` for a program that needs none.
fn interpreter(program: &Path) -> std::result::Result<Option<(PathBuf, bool)>, String> {
    use std::io::Read as _;
    let mut head = [0u8; 256];
    let mut file = std::fs::File::open(program).map_err(|err| err.to_string())?;
    let size = file.read(&mut head).map_err(|err| err.to_string())?;
    let Some(line) = head[..size].strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let first = words.next().ok_or("its first line names no interpreter")?;
    if !first.ends_with(b"/env") {
        return Ok(Some((PathBuf::from(OsStr::from_bytes(first)), false)));
    }
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    let name = name.ok_or("its first line names no interpreter")?;
    Ok(Some((PathBuf::from(OsStr::from_bytes(name)), true)))
}

fn find_interpreter(name: &Path, home: &Path, env: &Env) -> Option<PathBuf> {
    let dirs = env.path_dirs().into_iter().chain(usual_places(home));
    let volta = newest_first(&home.join(".volta/tools/image/node")).into_iter().map(|version| version.join("bin"));
    dirs.chain(volta)
        .map(|dir| dir.join(name))
        .find(|file| file.canonicalize().is_ok_and(|real| real.is_file() && !is_shim(&real)))
}
