//! The home that coop makes for each agent, given to the real CLI in a plain container: nothing of coop's launch is in
//! between, so a failure here is one of the definition.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use coop::agent::argv::Task;
use coop::env::Env;
use coop::flow::agent::{Ready, Request, Wanted, ready};
use coop::sandbox::spec::{Mount, Runtime, User};

use crate::endpoint::Endpoint;
use crate::image;
use crate::sample::{Sample, assert_exit, prompt};
use crate::tools::{docker_works, registry, run, skipped, try_run};

const HOME: &str = "/home/agent";

/// Runs one prompt of `name` in a container on a repository of `uid`, headless as a loop would; gives the session.
fn ask(sample: &Sample, name: &str, uid: u32, file: &str, wanted: Wanted<'_>) -> (Option<String>, bool) {
    let text = OsString::from(prompt(&sample.repo(), file));
    let env = Env::from_pairs([("HOME", sample.home())]);
    let registry = registry();
    let ready: Ready = ready(&Request {
        env: &env,
        registry: &registry,
        name,
        profile: None,
        task: Task::Headless { prompt: &text },
        wanted,
        runtime: Runtime::Docker,
        scratch: &sample.path(&format!("run-{name}")),
        history_dir: &sample.path("history").join(name),
        workspace: &sample.repo(),
        home: Path::new(HOME),
        user: User { uid, gid: uid },
    })
    .expect("ready");
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--init", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"]);
    docker.args(["--tmpfs=/tmp", "--user", &format!("{uid}:{uid}"), "--env", &format!("HOME={HOME}")]);
    docker.arg(format!("--tmpfs={HOME}:rw,exec,mode=700,uid={uid},gid={uid}"));
    for (key, value) in &ready.env {
        docker.arg("--env").arg(format!("{key}={}", value.to_str().expect("text")));
    }
    for mount in [Mount::rw(sample.repo(), sample.repo())].iter().chain(&ready.mounts) {
        let Mount::Bind { source, target, .. } = mount else { panic!("{mount:?}") };
        docker.arg(format!("--mount=type=bind,source={},target={}", source.display(), target.display()));
    }
    docker.arg("--workdir").arg(sample.repo()).arg(image::tag()).args(&ready.command);
    let output = try_run(&mut docker);
    assert_exit(&output, 0);
    let first = String::from_utf8_lossy(&output.stdout);
    let named =
        first.lines().find_map(|line| coop::agent::session::from_event(registry.get(name).expect("known"), line));
    let resumed = ready.resumed;
    let left = ready.finish().expect("finishes");
    assert_eq!(left.session, named, "the id that the agent named, and the one we keep");
    assert!(!sample.path(&format!("run-{name}/agent")).exists(), "the copy is gone");
    (left.session, resumed)
}

/// Root can make a repository that belongs to somebody else; anybody else has his own.
fn somebody() -> u32 {
    let me = rustix::process::geteuid();
    if me.is_root() { 1234 } else { me.as_raw() }
}

fn edits_commits_and_resumes(name: &str, uid: u32) {
    if skipped("docker", docker_works()) {
        return;
    }
    let sample = Sample::new();
    let endpoint = Endpoint::on_bridge(sample.path("requests"));
    sample.use_endpoint(&endpoint.url);
    // gemini's shell runs git without the user's own configuration
    sample.git(&["config", "user.name", "Ada Lovelace"]);
    sample.git(&["config", "user.email", "ada@example.invalid"]);
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").args(["-R", &format!("{uid}:{uid}")]).arg(sample.repo()));
    }
    sample.git(&["config", "--global", "safe.directory", "*"]);

    let (first, resumed) = ask(&sample, name, uid, "notes.txt", Wanted::New);
    assert!(!resumed);
    sample.assert_work("HEAD", "notes.txt", &endpoint);
    let first = first.expect("a session");
    let (second, resumed) = ask(&sample, name, uid, "more.txt", Wanted::Stored(&first));
    assert_eq!((second.as_deref(), resumed), (Some(&*first), true), "the session goes on in a fresh box");
    assert_eq!(sample.git(&["log", "--format=%s", "HEAD~2.."]), "Work of the agent\nWork of the agent");
}

#[test]
fn claude_as_another_user() {
    edits_commits_and_resumes("claude", somebody());
}

#[test]
fn claude_as_root() {
    if skipped("docker as root", rustix::process::geteuid().is_root()) {
        return;
    }
    edits_commits_and_resumes("claude", 0);
}

#[test]
fn codex_as_another_user() {
    edits_commits_and_resumes("codex", somebody());
}

#[test]
fn gemini_as_another_user() {
    edits_commits_and_resumes("gemini", somebody());
}
