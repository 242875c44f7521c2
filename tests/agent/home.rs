//! The home that coop makes for each agent, given to the real CLI in a box on a plain repository: no private git
//! directory and no import is in between, so a failure here is one of the definition.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use coop::agent::argv::Task;
use coop::env::Env;
use coop::flow::agent::{Ready, Request, Wanted, ready};
use coop::sandbox::io::{Io, Out};
use coop::sandbox::launch::launch;
use coop::sandbox::runtime::{System, detect};
use coop::sandbox::spec::{BoxSpec, Egress, Limits, Mount, Runtime, User};

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{KEY, Sample, prompt};
use crate::tools::{bwrap_works, docker_works, here, install, node, registry, run, skipped};

const HOME: &str = "/home/agent";

/// One way of running an agent.
struct Run<'a> {
    sample: &'a Sample,
    name: &'a str,
    uid: u32,
    runtime: Runtime,
    /// What the command is made into, and what it needs.
    wrap: fn(&Sample, Vec<OsString>) -> Vec<OsString>,
    extra: Vec<Mount>,
}

impl Run<'_> {
    /// One prompt, headless as a loop would; gives the session and whether it was resumed.
    fn ask(&self, file: &str, wanted: Wanted<'_>) -> (Option<String>, bool) {
        let (sample, name) = (self.sample, self.name);
        let text = OsString::from(prompt(&sample.repo(), file));
        let env = Env::from_pairs([("HOME", sample.home().as_os_str()), ("PATH", "/usr/bin:/bin".as_ref())]);
        let user = User { uid: self.uid, gid: self.uid };
        let registry = registry();
        let ready: Ready = ready(&Request {
            env: &env,
            registry: &registry,
            name,
            profile: None,
            task: Task::Headless { prompt: &text },
            wanted,
            runtime: self.runtime,
            outside: None,
            scratch: &sample.path(&format!("run-{name}")),
            history_dir: &sample.path("history").join(name),
            workspace: &sample.repo(),
            home: Path::new(HOME),
            user,
        })
        .expect("ready");
        let mut mounts = vec![Mount::rw(sample.repo(), sample.repo())];
        mounts.extend(ready.mounts.iter().chain(&self.extra).cloned());
        let bwrap = self.runtime == Runtime::Bwrap;
        let spec = BoxSpec {
            id: coop::agent::session::new_id().expect("random").replace('-', "")[..12].into(),
            purpose: "agent".into(),
            workspace: format!("live:{}", sample.repo().display()),
            mounts,
            workdir: sample.repo(),
            home: HOME.into(),
            env: ready.env.clone(),
            path_prefix: ready.path_prefix.clone(),
            command: (self.wrap)(sample, ready.command.clone()),
            user,
            limits: Limits { memory: None, millicpus: None, pids: 512 },
            egress: if bwrap { Egress::None } else { Egress::Open },
            proxy: None,
            image: (!bwrap).then(|| image::tag().into()),
        };
        let mine = Env::of_process();
        let usable = detect(&mine, Some(self.runtime.name()), &System::new(&mine)).expect("the runtime works");
        let capture = || Out::Capture { limit: 16 << 20 };
        let ended = launch(&usable, &spec, Io { stdout: capture(), stderr: capture(), ..Io::default() }).expect("runs");
        let out = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status, 0, "{out}{}", String::from_utf8_lossy(&ended.stderr));
        let definition = registry.get(name).expect("known");
        let named = out.lines().find_map(|line| coop::agent::session::from_event(definition, line));
        let resumed = ready.resumed;
        let left = ready.finish().expect("finishes");
        // copilot names none, and those of opencode are in a database: each of the two is enough
        if let (Some(kept), Some(named)) = (&left.session, &named) {
            assert_eq!(kept, named, "the id that the agent named, and the one we keep");
        }
        assert!(!sample.path(&format!("run-{name}/agent")).exists(), "the copy is gone");
        (left.session.or(named), resumed)
    }

    /// The agent works, and goes on with its session in a fresh box.
    fn edits_commits_and_resumes(&self, requests: &dyn Fn() -> String) {
        let (first, resumed) = self.ask("notes.txt", Wanted::New);
        assert!(!resumed);
        self.sample.assert_work("HEAD", "notes.txt", &requests());
        let first = first.expect("a session");
        let (second, resumed) = self.ask("more.txt", Wanted::Stored(&first));
        assert_eq!((second.as_deref(), resumed), (Some(&*first), true), "the session goes on in a fresh box");
        assert_eq!(self.sample.git(&["log", "--format=%s", "HEAD~2.."]), "Work of the agent\nWork of the agent");
    }
}

/// A repository that boxes of `uid` can use as it is.
fn sample_of(uid: u32) -> Sample {
    let sample = Sample::new();
    // gemini's shell runs git without the user's own configuration
    sample.git(&["config", "user.name", "Ada Lovelace"]);
    sample.git(&["config", "user.email", "ada@example.invalid"]);
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").args(["-R", &format!("{uid}:{uid}")]).arg(sample.repo()));
    }
    sample.git(&["config", "--global", "safe.directory", "*"]);
    sample
}

/// Root can make a repository that belongs to somebody else; anybody else has his own.
fn somebody() -> u32 {
    let me = rustix::process::geteuid();
    if me.is_root() { 1234 } else { me.as_raw() }
}

fn in_docker(name: &str, uid: u32) {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = sample_of(uid);
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    let run = Run { sample: &sample, name, uid, runtime: Runtime::Docker, wrap: |_, argv| argv, extra: Vec::new() };
    run.edits_commits_and_resumes(&|| endpoint.requests());
}

#[test]
fn claude_as_another_user() {
    in_docker("claude", somebody());
}

#[test]
fn claude_as_root() {
    if skipped("docker as root", rustix::process::geteuid().is_root()) {
        return;
    }
    in_docker("claude", 0);
}

#[test]
fn codex_as_another_user() {
    in_docker("codex", somebody());
}

#[test]
fn gemini_as_another_user() {
    in_docker("gemini", somebody());
}

/// A box without an image and without a network: the agent comes from the user's home directory, and the model runs
/// inside.
fn in_bwrap(name: &str) {
    if skipped("bwrap", bwrap_works()) {
        return;
    }
    let uid = somebody();
    let sample = sample_of(uid);
    install(name, &sample.home().join(".npm-global"));
    sample.use_endpoint("http://127.0.0.1:8411");
    let provider = format!(
        r#"{{"providers": {{"scripted": {{"baseUrl": "http://127.0.0.1:8411/v1", "api": "openai-completions",
             "apiKey": "{KEY}", "models": [{{"id": "scripted"}}]}}}}}}"#
    );
    sample.profile("pi", ".pi/agent/models.json", &provider);
    let model = r#"{"defaultProvider": "scripted", "defaultModel": "scripted"}"#;
    sample.profile("pi", ".pi/agent/settings.json", model);
    let provider = format!(
        r#"{{"model": "scripted/scripted", "provider": {{"scripted": {{"npm": "@ai-sdk/openai-compatible", "name": "s",
             "options": {{"baseURL": "http://127.0.0.1:8411/v1", "apiKey": "{KEY}"}},
             "models": {{"scripted": {{"name": "s"}}}}}}}}}}"#
    );
    sample.profile("opencode", ".config/opencode/opencode.json", &provider);
    // a box of another user must be able to walk to what is mounted
    for dir in [sample.path(""), sample.home()] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let wrap = |sample: &Sample, argv: Vec<OsString>| {
        let log = sample.repo().join(".git/requests");
        let script = format!(
            "{} {} 127.0.0.1 8411 {} >/tmp/ready & while ! test -s /tmp/ready; do sleep 0.1; done; \"$@\"",
            node().display(),
            here().join("endpoint/endpoint.mjs").display(),
            log.display()
        );
        ["sh", "-c", &script, "sh"].iter().map(OsString::from).chain(argv).collect()
    };
    let needs: Vec<PathBuf> = vec![node(), here().join("endpoint/endpoint.mjs")];
    let extra = needs.into_iter().map(|path| Mount::ro(path.clone(), path)).collect();
    let run = Run { sample: &sample, name, uid, runtime: Runtime::Bwrap, wrap, extra };
    let requests = || std::fs::read_to_string(sample.repo().join(".git/requests")).unwrap_or_default();
    run.edits_commits_and_resumes(&requests);
}

#[test]
fn claude_without_an_image() {
    in_bwrap("claude");
}

#[test]
fn codex_without_an_image() {
    in_bwrap("codex");
}

#[test]
fn pi_without_an_image() {
    in_bwrap("pi");
}

#[test]
fn qwen_without_an_image() {
    in_bwrap("qwen");
}

#[test]
fn copilot_without_an_image() {
    in_bwrap("copilot");
}

#[test]
fn opencode_without_an_image() {
    in_bwrap("opencode");
}
