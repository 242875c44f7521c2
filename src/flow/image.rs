//! Images: which one a run uses, and how it is built.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::{Registry, install};
use crate::env::Env;
use crate::error::{Context as _, Error, Kind, Result};
use crate::git::Repo;
use crate::sandbox::build::{self, Build};
use crate::sandbox::image::{self, BUILT_IN, CA_FILE, Layer, MARK, Recipe};
use crate::sandbox::runtime::Usable;
use crate::settings::Settings;

use super::Coop;

/// A repository's own image description.
const DOCKERFILE: &str = "Dockerfile.agent";
/// Files of the work tree that a `Dockerfile.agent` may copy; nothing else of the tree enters a build.
const BESIDE: [&str; 8] = [
    ".tool-versions",
    ".nvmrc",
    ".node-version",
    ".python-version",
    ".ruby-version",
    "rust-toolchain",
    "rust-toolchain.toml",
    "mise.toml",
];
/// No input of a build is larger.
const LARGEST: u64 = 4 << 20;

/// The image of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its reference; `None` under bubblewrap.
    pub image: Option<String>,
    /// What the user should know about it: that it is older than what it is made from.
    pub notice: Option<String>,
}

/// What the last build on this machine was made from: a cache, without which only the notice is lost.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    inputs: String,
    agents: Vec<String>,
    newest: bool,
}

/// What a person asked for on the command line of a build.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Only these agents; all when empty.
    pub agents: Vec<String>,
    /// The newest versions instead of the pinned ones, and every layer anew.
    pub newest: bool,
    /// Every layer anew.
    pub fresh: bool,
}

/// A finished build.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Tag of the image.
    pub image: String,
    /// Agents that are in it.
    pub agents: Vec<String>,
    /// Agents that could not be installed.
    pub failed: Vec<String>,
}

/// Everything one image is made from.
struct Inputs {
    dockerfile: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Inputs {
    fn hash(&self) -> String {
        let mut parts: Vec<&[u8]> = vec![self.dockerfile.as_bytes()];
        for (name, bytes) in &self.files {
            parts.push(name.as_bytes());
            parts.push(bytes);
        }
        image::hash(&parts)
    }
}

/// The image of a box of this repository, with a note on standard error, once, when it is older than what it is made
/// from. Errors: exit 5 where it was not built.
pub fn for_run(coop: &Coop, usable: &Usable) -> Result<String> {
    static SAID: std::sync::Once = std::sync::Once::new();
    let chosen = choose(&coop.env, &coop.settings, Some(&coop.repo), usable)?;
    let image = chosen.image.ok_or_else(|| Error::bug(format!("{} needs no image", usable.runtime.name())))?;
    // a look at the runtime costs a process, so only where this machine does not remember the build
    let known = coop.settings.get("COOP_IMAGE").is_some() || record_path(&coop.env, usable, &image).exists();
    if !known && !build::exists(usable, &image) {
        return Err(Error::no_runtime(format!("there is no image for boxes of {}", usable.runtime.name()))
            .hint("git coop build"));
    }
    if let Some(notice) = chosen.notice {
        SAID.call_once(|| eprintln!("note: {notice}"));
    }
    Ok(image)
}

/// The image for a run in `repo`: `COOP_IMAGE`, or that of the repository's `Dockerfile.agent`, or the built-in one.
/// Whether it exists is not looked at.
pub fn choose(env: &Env, settings: &Settings, repo: Option<&Repo>, usable: &Usable) -> Result<Chosen> {
    if !usable.runtime.needs_image() {
        return Ok(Chosen { image: None, notice: None });
    }
    if let Some(image) = settings.get("COOP_IMAGE") {
        return Ok(Chosen { image: Some(image.to_owned()), notice: None });
    }
    let own = repo.map(own).transpose()?.flatten();
    let (tag, what) = match (&own, repo) {
        (Some(_), Some(repo)) => (image::repository_tag(&repo.work_tree), DOCKERFILE),
        _ => (BUILT_IN.to_owned(), "what the image is made from"),
    };
    let record = read_record(env, usable, &tag);
    let notice = match (record, own) {
        (None, _) => None,
        (Some(record), own) => {
            let inputs = match own {
                Some(inputs) => inputs,
                None => built_in(env, settings, &record.agents, record.newest)?,
            };
            let changed = inputs.hash() != record.inputs;
            changed.then(|| format!("{what} has changed since '{tag}' was built: git coop build"))
        }
    };
    Ok(Chosen { image: Some(tag), notice })
}

/// Builds the built-in image and, where the repository has a `Dockerfile.agent`, its image too, which may start from
/// the first. `line` sees the output of the runtime's builder.
pub fn make(
    env: &Env,
    settings: &Settings,
    repo: Option<&Repo>,
    usable: &Usable,
    wanted: &Wanted,
    line: &mut dyn FnMut(&str),
) -> Result<Vec<Report>> {
    let own = repo.map(own).transpose()?.flatten();
    let from_built_in = own.as_ref().is_none_or(|inputs| starts_from(&inputs.dockerfile, BUILT_IN));
    let mut reports = Vec::new();
    if from_built_in {
        let inputs = built_in(env, settings, &wanted.agents, wanted.newest)?;
        reports.push(one(env, settings, usable, wanted, BUILT_IN, &inputs, line)?);
    }
    if let (Some(inputs), Some(repo)) = (own, repo) {
        let tag = image::repository_tag(&repo.work_tree);
        reports.push(one(env, settings, usable, wanted, &tag, &inputs, line)?);
    }
    Ok(reports)
}

fn one(
    env: &Env,
    settings: &Settings,
    usable: &Usable,
    wanted: &Wanted,
    tag: &str,
    inputs: &Inputs,
    line: &mut dyn FnMut(&str),
) -> Result<Report> {
    let hash = inputs.hash();
    let mut report = Report { image: tag.to_owned(), agents: Vec::new(), failed: Vec::new() };
    let build = Build {
        dockerfile: &inputs.dockerfile,
        files: &inputs.files,
        tag,
        inputs: &hash,
        network: settings.get("COOP_BUILD_NETWORK"),
        fresh: wanted.fresh || wanted.newest,
    };
    build::build(usable, &build, line)?;
    // from the image and not from the output, which a cached layer does not repeat
    for entry in build::report(usable, tag).lines() {
        match entry.trim_start_matches(MARK).split_once(' ') {
            Some((agent, "ok")) => report.agents.push(agent.to_owned()),
            Some((agent, "failed")) => report.failed.push(agent.to_owned()),
            _ => {}
        }
    }
    let record = Record { inputs: hash, agents: wanted.agents.clone(), newest: wanted.newest };
    write_record(env, usable, tag, &record);
    Ok(report)
}

fn built_in(env: &Env, settings: &Settings, agents: &[String], newest: bool) -> Result<Inputs> {
    let registry = Registry::load(&env.config_dir())?;
    for agent in agents {
        registry.get(agent)?;
    }
    let versions = if newest { install::Versions::Newest } else { install::Versions::Pinned };
    let layers = install::layers(&registry, versions).into_iter();
    let layers = layers
        .filter(|l| agents.is_empty() || agents.contains(&l.agent))
        .map(|l| Layer { agent: l.agent, system: l.system, run: l.run, check: l.check })
        .collect();
    let mut files = Vec::new();
    if let Some(path) = settings.get("COOP_BUILD_CA") {
        let bytes = std::fs::read(path).context(Kind::Usage, format!("cannot read the certificates '{path}'"))?;
        if !bytes.windows(27).any(|w| w == b"-----BEGIN CERTIFICATE-----") {
            return Err(Error::usage(format!("'{path}' holds no certificate"))
                .hint("a PEM file, such as /etc/ssl/certs/ca-certificates.crt"));
        }
        files.push((CA_FILE.to_owned(), bytes));
    }
    let base = settings.get("COOP_BASE_IMAGE").unwrap_or("debian:bookworm-slim");
    if base.starts_with('-') || base.contains(char::is_whitespace) {
        return Err(Error::usage(format!("'{base}' is no image")).hint("git coop config"));
    }
    let recipe = Recipe { base: base.to_owned(), ca: !files.is_empty(), layers };
    Ok(Inputs { dockerfile: image::dockerfile(&recipe), files })
}

/// The repository's own image description. An agent may have written it, so its files are opened without following
/// links, and none is larger than a limit.
fn own(repo: &Repo) -> Result<Option<Inputs>> {
    let Some(text) = small_file(&repo.work_tree.join(DOCKERFILE))? else { return Ok(None) };
    let dockerfile = String::from_utf8(text)
        .map_err(|_| Error::usage(format!("{DOCKERFILE} is not text")).hint("git coop build"))?;
    let mut files = Vec::new();
    for name in BESIDE {
        if let Some(bytes) = small_file(&repo.work_tree.join(name))? {
            files.push((name.to_owned(), bytes));
        }
    }
    Ok(Some(Inputs { dockerfile, files }))
}

fn small_file(path: &Path) -> Result<Option<Vec<u8>>> {
    use rustix::fs::{Mode, OFlags, open};
    let what = || format!("cannot read '{}'", path.display());
    let fd = match open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(err) => return Err(err).context(Kind::Usage, what()),
    };
    let file = std::fs::File::from(fd);
    let meta = file.metadata().context(Kind::Usage, what())?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(
            Error::usage(format!("'{}' is not a regular file of at most 4 MiB", path.display())).hint("git coop build")
        );
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).context(Kind::Usage, what())?;
    Ok(Some(bytes))
}

fn starts_from(dockerfile: &str, image: &str) -> bool {
    let name = image.trim_end_matches(":latest");
    dockerfile.lines().filter_map(|l| l.trim().split_once(char::is_whitespace)).any(|(verb, rest)| {
        let from = rest.split_whitespace().find(|w| !w.starts_with("--")).unwrap_or("");
        verb.eq_ignore_ascii_case("from") && (from == image || from == name)
    })
}

fn record_path(env: &Env, usable: &Usable, tag: &str) -> PathBuf {
    let name = tag.replace([':', '/'], "-");
    env.cache_dir().join("images").join(format!("{}-{name}.json", usable.runtime.name()))
}

fn read_record(env: &Env, usable: &Usable, tag: &str) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(record_path(env, usable, tag)).ok()?).ok()
}

fn write_record(env: &Env, usable: &Usable, tag: &str, record: &Record) {
    let path = record_path(env, usable, tag);
    let _ = path.parent().map(std::fs::create_dir_all);
    if let Ok(text) = serde_json::to_vec(record) {
        let _ = std::fs::write(path, text); // only the notice depends on it
    }
}

/// Whether git or the user knows the repository's `Dockerfile.agent`: a build runs it as root in a container, so one
/// that is not tracked is said before.
pub fn untracked_dockerfile(repo: &Repo, env: &Env) -> Result<bool> {
    if small_file(&repo.work_tree.join(DOCKERFILE))?.is_none() {
        return Ok(false);
    }
    let listed = crate::git::Git::new(repo, env).args(["ls-files", "--error-unmatch", "--", DOCKERFILE]);
    Ok(!listed.succeeds()?)
}
