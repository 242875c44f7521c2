//! `git coop fleet` without a box: what is wrong with a fleet file, dealing tasks out, and what the refs show.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use coop::cli::Context;
use coop::flow::Coop;
use coop::flow::drain::owner;
use coop::state::fleet::{Fleet, FleetState};
use coop::state::{ForkName, Loop, LoopState, Store};

use crate::land_support::Land;
use crate::support::World;

/// A repository with a list of tasks, a gate, and claude signed in.
pub struct Yard {
    pub land: Land,
}

impl Yard {
    pub fn new() -> Yard {
        let world = World::new().with_env("COOP_RUNTIME", "bwrap").with_env("COOP_EGRESS", "none");
        let yard = Yard { land: Land::in_world(world) };
        std::fs::write(yard.land.repo.join(".git/info/exclude"), ".agent/\n").expect("a file");
        yard.put(".agent/TASKS.md", "- [ ] one\n- [ ] two\n  with a body\n- [x] old\n- [ ] three\n");
        yard.land.git(["config", "coop.gate", "true"]);
        yard.sign_in("claude", "work");
        yard
    }
    fn sign_in(&self, agent: &str, profile: &str) {
        let dir = self.land.world.home().join(".config/coop/agents").join(agent).join("profiles").join(profile);
        std::fs::create_dir_all(dir.join(".claude")).expect("a directory");
        std::fs::write(dir.join(".claude/.credentials.json"), "{}").expect("a file");
    }
    fn put(&self, path: &str, text: &str) -> PathBuf {
        let file = self.land.repo.join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(&file, text).expect("a file");
        file
    }
    fn fleet(&self, args: &[&str]) -> crate::support::Run {
        self.land.world.run(&self.land.repo, "git-coop-fleet", args)
    }
    pub fn coop(&self) -> Coop {
        Context { env: self.land.env(), cwd: self.land.repo.clone() }.coop().expect("opens")
    }
    /// A loop as its process would have left it in the refs; this test is its process.
    pub fn looping(&self, name: &str, state: LoopState, values: &[(&str, &str)], what: &str) {
        let coop = self.coop();
        let store = Store::open(&coop.repo, &coop.env).expect("opens");
        let name = ForkName::parse(name).expect("a name");
        let mut found = Loop::find(&coop.repo, &coop.env, &name).expect("reads").unwrap_or_else(|| Loop::new(&name));
        found.state = state;
        owner::stamp(&coop, &mut found.record);
        for (key, value) in values {
            found.record.set(key, *value);
        }
        found.record(&store, what, Vec::new()).expect("records");
    }
    pub fn members(&self, members: &str, waiting: &str) {
        let coop = self.coop();
        let store = Store::open(&coop.repo, &coop.env).expect("opens");
        let mut fleet = Fleet::new("fleet");
        fleet.state = FleetState::Up;
        fleet.record.set("Members", members);
        fleet.record.set("Waiting", waiting);
        fleet.record(&store, "up").expect("records");
    }
    pub fn night(&self) {
        self.members("api:claude:work web:claude: db:codex: docs::", "docs");
        let wake = "1800007200";
        let api = [("Agent", "claude"), ("Done", "3"), ("Todo", "6"), ("Task", "0123"), ("Title", "Mend the parser")];
        self.looping("api", LoopState::Running, &api, "task 0123: Mend the parser");
        let web = [("Agent", "claude"), ("Done", "1"), ("Wake", wake), ("Input", "12345"), ("Cost", "0.5")];
        self.looping("web", LoopState::Parked, &web, "parked until 10:00");
        let db = [("Agent", "codex"), ("Pid", "999999"), ("Start", "1"), ("Blocked", "1")];
        self.looping("db", LoopState::Running, &db, "begins");
    }
}

/// Everything that can be wrong is one line with its place and a hint, before any box or ref is made.
#[test]
fn bad_input_is_named_before_anything_starts() {
    let yard = Yard::new();
    let _ = yard.fleet(&["up"]).fails(2, "there is no .agent/fleet");
    for (text, code, message) in [
        ("", 2, "names no member"),
        ("api\n", 2, ".agent/fleet line 1: not NAME [AGENT] TASKS"),
        ("api claude .agent/TASKS.md more\n", 2, "line 1: 'more' is one word too many"),
        ("api .agent/TASKS.md\napi .agent/TASKS.md\n", 2, "line 2: 'api' is on line 1 already"),
        ("[api]\n[api]\n", 2, "line 2: "),
        ("Api .agent/TASKS.md\n", 2, "line 1: "),
        ("[api]\nagnt = \"claude\"\n", 2, "unknown field `agnt`"),
        ("[api]\ngate = \"true\"\n", 2, "unknown field `gate`"),
        ("# x\napi cluade .agent/TASKS.md\n", 2, "member 'api' (.agent/fleet line 2): no agent 'cluade'"),
        ("[api]\nagent = \"codex\"\n", 2, "member 'api' (.agent/fleet line 1): "),
        ("[api]\nagent = \"claude\"\nprofile = \"home\"\n", 2, "has no profile 'home'"),
        ("api claude ../tasks.md\n", 2, "is outside of the repository"),
        ("api claude .agent/link.md\n", 2, "is a symbolic link"),
        ("api claude .agent/none.md\n", 2, "there is no tasks file"),
        ("api claude .agent/bad.md\n", 2, ".agent/bad.md line 2: "),
        ("api claude .agent/empty.md\n", 2, "there are no tasks in"),
        ("api claude .agent/blocked.md\n", 1, "every task that is left is blocked"),
    ] {
        yard.put(".agent/fleet", text);
        yard.put(".agent/bad.md", "- [ ] good\n- [y] bad\n");
        yard.put(".agent/empty.md", "nothing\n");
        yard.put(".agent/blocked.md", "- [B] stuck\n");
        let _ = symlink("TASKS.md", yard.land.repo.join(".agent/link.md"));
        let said = yard.fleet(&["up"]).fails(code, message);
        assert!(!said.contains("started"), "{said}");
    }
    let good = "api claude .agent/TASKS.md\n";
    yard.put(".agent/fleet", good);
    yard.put("README", "changed\n");
    let _ = yard.fleet(&["up"]).fails(2, "'README' is not committed");
    yard.land.git(["checkout", "-q", "README"]);
    yard.land.git(["config", "--unset", "coop.gate"]);
    let _ = yard.fleet(&["up"]).fails(2, "there is no gate");
    let file = yard.land.repo.join(".agent/fleet");
    std::fs::rename(&file, yard.land.world.root().join("elsewhere")).expect("moved");
    symlink(yard.land.world.root().join("elsewhere"), &file).expect("a link");
    let _ = yard.fleet(&["up"]).fails(2, "cannot open .agent/fleet");
    assert_eq!(yard.land.git(["for-each-ref", "refs/coop"]), "");
    let _ = yard.fleet(&["down"]).fails(1, "no fleet is up");
}

#[test]
fn init_writes_what_up_reads_and_never_twice() {
    let yard = Yard::new();
    let file = yard.land.repo.join(".agent/fleet");
    assert!(yard.fleet(&["init"]).ok().is_empty());
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(text.contains("[claude]\nagent = \"claude\"\ntasks = \".agent/TASKS.md\"\n"), "{text}");
    assert_eq!(coop::flow::fleet::file::parse(&text).expect("parses").len(), 1);
    std::fs::write(&file, "mine").expect("a file");
    assert!(yard.fleet(&["init"]).ok().is_empty());
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "mine");
}

#[test]
fn tasks_are_dealt_out_whole_and_nothing_is_overwritten() {
    let yard = Yard::new();
    let _ = yard.fleet(&["split", "4"]).fails(2, "3 tasks cannot be dealt out to 4 lists");
    let _ = yard.fleet(&["split", "0"]).fails(2, "cannot be dealt out");
    let _ = yard.fleet(&["split", "2", "cluade"]).fails(2, "no agent 'cluade'");
    assert!(yard.fleet(&["split", "2", "claude"]).ok().is_empty());
    let read = |path: &str| std::fs::read_to_string(yard.land.repo.join(path)).expect("a file");
    assert_eq!(read(".agent/tasks/part-1.md"), "- [ ] one\n- [ ] three\n");
    assert_eq!(read(".agent/tasks/part-2.md"), "- [ ] two\n  with a body\n");
    let members = coop::flow::fleet::file::parse(&read(".agent/fleet")).expect("parses");
    let names: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.agent.as_deref())).collect();
    assert_eq!(names, [("part-1", Some("claude")), ("part-2", Some("claude"))]);
    let _ = yard.fleet(&["split", "2"]).fails(2, "is there already");
}

#[test]
fn status_is_what_the_refs_say() {
    let yard = Yard::new();
    assert!(yard.fleet(&["status"]).ok().is_empty());
    yard.night();
    let text = yard.fleet(&["status"]).ok();
    for line in [
        "api   claude/work  running       3/10  0      -       -      now  Mend the parser",
        "web   claude       parked 2h00m  1/1   0      12.3k   $0.50  now  parked until 10:00",
        "db    codex        killed        0/1",
        "docs               waiting       0/0",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&yard.fleet(&["status", "--json"]).ok()).expect("JSON");
    assert_eq!(json["state"], "up");
    assert_eq!((&json["members"][0]["name"], &json["members"][0]["done"]), (&"api".into(), &3.into()));
    assert_eq!(json["members"][1]["wake"], 1_800_007_200);
    // without a terminal the board is that table
    assert_eq!(yard.fleet(&["watch"]).ok(), text);
}
