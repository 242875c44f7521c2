//! A throwaway user: a home, a repository, and a directory of markers that no box can see.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::env::Env;
use crate::error::{Context as _, Error, Result};
use crate::flow::{Coop, session};
use crate::sandbox::runtime;
use crate::sandbox::runtime::probes::{Ran, timed};
use crate::sandbox::spec::{Runtime, User};
use crate::settings::Settings;

use super::corpus::{Scene, Where};

/// No step of an attack may take longer, where nothing else is said.
const STEP: Duration = Duration::from_secs(60);

/// What every host script can call.
const HOST: &str = "escaped() { echo \"$*\" >\"$MARK/$ID\"; }\ncannot() { echo \"$*\"; exit 77; }\n";

/// The repository that every attack begins with: two commits, an ignored secret, nothing of the user's own.
const REPOSITORY: &str = r#"
mkdir -p "$HOME" "$MARK" "$REPO" && cd "$REPO" || exit 1
printf '[user]\n\tname = Una User\n\temail = una@example.com\n[init]\n\tdefaultBranch = main\n' >"$HOME/.gitconfig"
git init -q && printf 'hello\n' >README && printf '/.env\n/out/\n' >.gitignore && git add . && git commit -qm first
printf 'more\n' >>README && git commit -qam second
"#;

/// Where one batch of attacks happens; gone when dropped.
pub(super) struct Place {
    pub repo: PathBuf,
    pub mark: PathBuf,
    vars: BTreeMap<OsString, OsString>,
    step: Duration,
    _dir: tempfile::TempDir,
}

/// What all places of one report share.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The environment of the person who attacks.
    pub env: Env,
    /// The runtime's name.
    pub runtime: String,
    /// The image, where the runtime needs one.
    pub image: Option<String>,
    /// The directory with git-coop's programs.
    pub programs: PathBuf,
    /// No step of an attack may take longer.
    pub step: Duration,
    /// Owner of the user's repository: the places are given to it.
    pub owner: Option<User>,
}

impl Ground {
    /// The ground under the user's own boxes. Errors: exit 5 without a runtime or an image.
    pub fn of(env: &Env, settings: &Settings, user: Option<&Coop>) -> Result<Ground> {
        let usable = runtime::detect(env, settings.get("COOP_RUNTIME"), &runtime::System::new(env))?;
        let image = match user {
            Some(coop) => session::image(coop, &usable)?,
            None if usable.runtime == Runtime::Bwrap => None,
            None => Some(settings.get("COOP_IMAGE").map(str::to_owned).ok_or_else(|| {
                Error::no_runtime("outside of a repository there is no image to attack")
                    .hint("run it in a repository, or name one: COOP_IMAGE=NAME git coop doctor --attack")
            })?),
        };
        let program = std::env::current_exe().or_bug("cannot tell where git-coop is")?;
        Ok(Ground {
            env: env.clone(),
            runtime: usable.runtime.name().to_owned(),
            image,
            programs: program.parent().unwrap_or(Path::new("/")).to_owned(),
            step: STEP,
            owner: user.map(Coop::owner).transpose()?,
        })
    }
    /// What the runtime's program says of its version.
    pub fn version(&self) -> String {
        let mut command = Command::new(&self.runtime);
        command.arg("--version").env_clear().env("PATH", self.env.get("PATH").unwrap_or_default()).process_group(0);
        let said = timed(command, Duration::from_secs(10)).stdout;
        crate::ui::text::printable(said.lines().next().unwrap_or("unknown"))
    }
}

impl Place {
    pub fn new(ground: &Ground, scene: &Scene, nonce: &str) -> Result<Place> {
        let env = &ground.env;
        let temp = env.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let dir = tempfile::Builder::new().prefix("coop-attack-").tempdir_in(&temp);
        let dir = dir.or_bug(format!("cannot make a directory in '{}'", temp.display()))?;
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .or_bug("cannot set permissions")?;
        let root = dir.path().canonicalize().or_bug("the temporary directory is gone")?;
        let (home, repo, mark) = (root.join("home"), root.join("project"), root.join("mark"));
        let mut path = ground.programs.clone().into_os_string();
        path.push(":");
        path.push(env.get("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin")));
        let mut vars: BTreeMap<OsString, OsString> = BTreeMap::new();
        let mut set = |key: &str, value: &OsStr| vars.insert(key.into(), value.into());
        for (key, value) in env.iter() {
            // how the runtime's client finds its daemon
            let text = key.to_string_lossy();
            if text.starts_with("DOCKER_") || text.starts_with("CONTAINER") || text == "XDG_RUNTIME_DIR" {
                set(&text, value);
            }
        }
        for (key, below, file) in [("DOCKER_CONFIG", ".docker", "config.json"), ("XDG_DATA_HOME", ".local/share", "")] {
            let dir = env.get(key).map_or_else(|| env.home().join(below), PathBuf::from);
            if dir.join(file).exists() {
                set(key, dir.as_os_str());
            }
        }
        // answers of slow probes hold for the machine, not for a home
        let cache = env.cache_dir();
        set("XDG_CACHE_HOME", cache.parent().unwrap_or(Path::new("/")).as_os_str());
        set("PATH", &path);
        set("LC_ALL", "C.UTF-8".as_ref());
        set("TERM", "xterm".as_ref());
        set("N", nonce.as_ref());
        set("GIT_CONFIG_NOSYSTEM", "1".as_ref());
        set("COOP_RUNTIME", ground.runtime.as_ref());
        set("COOP_EGRESS", "none".as_ref());
        if let Some(image) = &ground.image {
            set("COOP_IMAGE", image.as_ref());
        }
        for (key, value) in &scene.settings {
            set(key, value.as_ref());
        }
        let fork = root.join("project-forks/x");
        let at = if scene.place == Where::Fork { &fork } else { &repo };
        for (key, value) in
            [("HOME", &home), ("REPO", &repo), ("MARK", &mark), ("FORK", &fork), ("ROOT", &root), ("TREE", at)]
        {
            set(key, value.as_os_str());
        }
        if let Some(switch) = crate::without::VARIABLE
            && let Some(value) = env.get(switch)
        {
            set(switch, value);
        }
        let place = Place { repo, mark, vars, step: ground.step, _dir: dir };
        std::fs::create_dir_all(&place.repo).or_bug("cannot make the repository to attack")?;
        let made = place.host("", REPOSITORY, &place.repo, &[]);
        if !made.ok() {
            return Err(Error::bug(format!("cannot make the repository to attack: {}", made.complaint())));
        }
        if let Some(owner) = ground.owner {
            crate::flow::coop::give(&root, owner)?;
        }
        Ok(place)
    }

    /// Runs a host script as the attack `id` in `dir`, with more variables.
    pub fn host(&self, id: &str, script: &str, dir: &Path, more: &[(&str, &str)]) -> Ran {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{HOST}{script}")).env_clear().envs(&self.vars).env("ID", id);
        command.envs(more.iter().copied()).process_group(0);
        command.current_dir(if dir.is_dir() { dir } else { &self.repo });
        timed(command, self.step)
    }

    /// The value of a variable that scripts see.
    pub fn var(&self, name: &str) -> &OsStr {
        self.vars.get(OsStr::new(name)).map_or(OsStr::new(""), OsString::as_os_str)
    }
}
