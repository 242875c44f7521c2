//! A repository with a queue and scripted agents: shell scripts that a user dropped in as agents.

use std::process::{Child, Command, Stdio};

use crate::support::Run;
use crate::world::{Place, place};

pub struct Looper {
    pub place: Place,
}

const DEFINITION: &str = include_str!("../fixtures/agent.toml");

/// An auditor that confirms everything it is told of.
pub const CONFIRM: &str = r#"
printf '%s\n' "$1" | awk '
  /^## Task /{id=$3} /^commits: /{sub(/^commits: /,""); c=$0} /^tree: /{n++; split(c,a," "); l="";
  for(i=1;i in a;i++) l=l (i>1?",":"") "\"" a[i] "\""; rows=rows (n>1?",":"") "{\"id\":\"" id "\",\"commits\":[" l "],\"tree\":\"" $2 "\",\"verdict\":\"confirmed\",\"why\":\"as asked\"}"}
  END{print "{\"schema\":1,\"tasks\":[" rows "]}"}' >/coop/answer/receipt.json
"#;

/// `work NAME` commits a file NAME.
pub const WORK: &str = r#"
task=$(printf '%s\n' "$1" | sed -n 's/^work \([a-z0-9]*\).*/\1/p' | head -n1)
echo '{"type":"result","input":100,"output":20,"cost":0.5}'
test -n "$task" || exit 0
mkdir -p done; echo "$task" >>done/$task; git add done; git commit -qm "work of $task"
"#;

impl Looper {
    /// With an agent that works, and a gate that passes once it has.
    pub fn plain() -> Option<Looper> {
        Looper::new(WORK, "test -d done")
    }
    /// With an agent `mine` that runs `script` (its prompt is `$1`), an auditor `other`, and a gate.
    pub fn new(script: &str, gate: &str) -> Option<Looper> {
        Some(Looper::at(place()?, script, gate))
    }
    /// The same in a place of the caller's choice.
    pub fn at(mut place: Place, script: &str, gate: &str) -> Looper {
        place.world = place.world.with_env("COOP_TEST_NOW", "").with_env("COOP_TEST_BREATH_MS", "10");
        let looper = Looper { place };
        looper.agent("mine", script);
        looper.agent("other", CONFIRM);
        looper.place.git(["config", "coop.gate", gate]);
        std::fs::create_dir_all(looper.place.repo.join(".agent")).expect("directory");
        std::fs::write(looper.place.repo.join(".git/info/exclude"), ".agent/\n").expect("file");
        looper
    }
    /// Drops an agent in, and signs it in.
    pub fn agent(&self, name: &str, script: &str) {
        let dir = self.place.world.home().join(".config/coop/agents");
        std::fs::create_dir_all(&dir).expect("directory");
        let text = DEFINITION.replace("NAME", name).replace("SCRIPT", script);
        std::fs::write(dir.join(format!("{name}.toml")), text).expect("agent");
        let keys = std::fs::read_to_string(dir.join("env")).unwrap_or_default();
        std::fs::write(dir.join("env"), format!("{keys}{name}_KEY=x\n")).expect("keys");
    }
    /// A second account of `mine`, as a login leaves it.
    pub fn profile(&self, name: &str) {
        let dir = self.place.world.home().join(".config/coop/agents/mine/profiles").join(name).join(".mine");
        std::fs::create_dir_all(&dir).expect("directory");
        std::fs::write(dir.join("token"), name).expect("token");
    }
    pub fn queue(&self, text: &str) {
        std::fs::write(self.place.repo.join(".agent/TASKS.md"), text).expect("queue");
    }
    pub fn tasks(&self) -> String {
        std::fs::read_to_string(self.place.repo.join(".agent/TASKS.md")).expect("queue")
    }
    pub fn run(&self, args: &[&str]) -> Run {
        self.place.coop([&["loop"], args].concat())
    }
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command: Command = self.place.world.command(&self.place.repo, "git-coop-loop");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("git-coop-loop starts")
    }
    pub fn git(&self, args: &[&str]) -> String {
        self.place.git(args)
    }
    /// A trailer of the newest event of a ref.
    pub fn trailer(&self, name: &str, key: &str) -> String {
        self.git(&["log", "-1", &format!("--format=%(trailers:key=Coop-{key},valueonly)"), name]).trim().to_owned()
    }
    /// Nothing is wrong with the repository, and nothing is left of boxes.
    pub fn whole(&self) {
        let fsck = self.place.world.run(&self.place.repo, "git", ["fsck", "--full", "--strict"]);
        assert_eq!(fsck.code, 0, "{}", fsck.stderr);
        assert!(!fsck.stdout.contains("missing") && !fsck.stderr.contains("error"), "{} {}", fsck.stdout, fsck.stderr);
    }
}
