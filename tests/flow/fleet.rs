//! A fleet with scripted agents in real boxes: up, what waits, down with proof, and one night's story.

use crate::looper::Looper;
use crate::world::until;

/// Works on `work NAME`, slowly or until there is a file `go`, then commits.
const WORK: &str = r#"
task=$(printf '%s\n' "$1" | sed -n 's/^work \([a-z0-9]*\).*/\1/p' | head -n1)
echo '{"type":"result","input":100,"output":20,"cost":0.5}'
test -n "$task" || exit 0
case $task in slow*) sleep 600;; hold*) until test -e go; do sleep 0.1; done;; esac
mkdir -p done; echo "$task" >>done/$task; git add done; git commit -qm "work of $task"
"#;

struct Fleet {
    looper: Looper,
}

impl Fleet {
    fn new(members: &[(&str, &str)]) -> Option<Fleet> {
        let looper = Looper::new(WORK, "true")?;
        let mut file = String::new();
        for (name, task) in members {
            let list = format!(".agent/{name}.md");
            std::fs::write(looper.place.repo.join(&list), format!("- [ ] work {task}\n")).expect("a list");
            file += &format!("[{name}]\nagent = \"mine\"\ntasks = \"{list}\"\nrounds = 0\n");
        }
        std::fs::write(looper.place.repo.join(".agent/fleet"), file).expect("a fleet");
        looper.place.git(["config", "coop.memory", "64m"]);
        Some(Fleet { looper })
    }
    fn run(&self, args: &[&str]) -> crate::support::Run {
        self.looper.place.world.run(&self.looper.place.repo, "git-coop-fleet", args)
    }
    fn state(&self, name: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.run(&["status", "--json"]).ok()).expect("JSON");
        let rows = json["members"].as_array().expect("members").clone();
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {json}"));
        row["state"].as_str().expect("a state").to_owned()
    }
}

#[test]
fn up_is_idempotent_and_says_who_waits_and_the_night_is_in_git() {
    let Some(fleet) = Fleet::new(&[("one", "a"), ("two", "b"), ("three", "c")]) else { return };
    let place = &fleet.looper.place;
    place.git(["config", "coop.fleetMax", "2"]);
    let up = fleet.run(&["up"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("one: started\ntwo: started\nwaiting: three (coop.fleetMax is 2)\n"), "{}", up.stderr);
    assert_eq!(fleet.state("three"), "waiting");
    until("all have finished, the third in a free place", || {
        ["one", "two", "three"].iter().all(|name| fleet.state(name) == "finished")
    });
    let up = fleet.run(&["up"]);
    assert!(up.stderr.contains("one: nothing to do") && !up.stderr.contains("started"), "{}", up.stderr);
    let down = fleet.run(&["down"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    // someone who has only git
    let story = place.git(["log", "--oneline", "--graph", "--glob=refs/coop"]);
    for part in [
        "fleet fleet: up, 2 members started, 1 waiting",
        "fleet fleet: a place became free, three started, 0 waiting",
        "loop one: ",
        "loop three: finished, 1 done",
        "fork two: ",
        "fleet fleet: down",
    ] {
        assert!(story.contains(part), "{part:?} is not in\n{story}");
    }
    let json: serde_json::Value = serde_json::from_str(&fleet.run(&["status", "--json"]).ok()).expect("JSON");
    assert_eq!((&json["state"], &json["members"][0]["costUsd"]), (&"down".into(), &0.5.into()));
    // and the fleet lands
    let merge = place.coop(["merge", "--all", "--yes"]);
    assert_eq!(merge.code, 0, "{}\n{}", merge.stdout, merge.stderr);
    assert_eq!(place.git(["ls-tree", "--name-only", "main", "done/"]), "done/a\ndone/b\ndone/c");
    fleet.looper.whole();
}

#[test]
fn down_ends_every_box_and_proves_it() {
    let Some(fleet) = Fleet::new(&[("one", "slow1"), ("two", "slow2")]) else { return };
    let up = fleet.run(&["up"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    let working = |name: &str| {
        let json: serde_json::Value = serde_json::from_str(&fleet.run(&["status", "--json"]).ok()).expect("JSON");
        let rows = json["members"].as_array().expect("members").clone();
        rows.iter().any(|row| row["name"] == name && row["box"] == "agent" && row["state"] == "running")
    };
    until("both boxes run", || working("one") && working("two"));
    let up = fleet.run(&["up"]);
    assert!(up.stderr.contains("one: at work already\ntwo: at work already\n"), "{}", up.stderr);
    let down = fleet.run(&["down"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert!(down.stderr.contains("one: ended\ntwo: ended\nno member of the fleet runs\n"), "{}", down.stderr);
    for name in ["one", "two"] {
        assert_eq!(fleet.state(name), "stopped");
        let list = std::fs::read_to_string(fleet.looper.place.repo.join(format!(".agent/{name}.md"))).expect("a list");
        assert!(list.starts_with("- [ ] "), "the task was given back: {list}");
    }
    assert_eq!(fleet.looper.git(&["for-each-ref", "refs/coop/claims"]), "");
    let again = fleet.run(&["down"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    fleet.looper.whole();
}

/// A list that an agent could have written since a person looked at it starts nobody.
#[test]
fn a_changed_file_starts_nobody_by_itself() {
    let Some(fleet) = Fleet::new(&[("one", "hold"), ("two", "b")]) else { return };
    let place = &fleet.looper.place;
    place.git(["config", "coop.fleetMax", "1"]);
    let file = place.repo.join(".agent/fleet");
    let before = std::fs::read_to_string(&file).expect("a fleet");
    assert_eq!(fleet.run(&["up"]).code, 0);
    std::fs::write(&file, before.replace("rounds = 0", "rounds = 9")).expect("a fleet");
    let log = place.repo.join(".git/coop/loops/one.log");
    until("it is said", || {
        // what lies in a fork before its agent starts is cleaned away
        let _ = std::fs::write(place.fork_path("one").join("go"), "");
        std::fs::read_to_string(&log).unwrap_or_default().contains(".agent/fleet has changed, and members wait")
    });
    assert_eq!(fleet.state("two"), "waiting");
    std::fs::write(&file, before).expect("a fleet");
    let up = fleet.run(&["up"]);
    assert!(up.stderr.contains("two: started"), "{}", up.stderr);
    until("it has finished", || fleet.state("two") == "finished");
    assert_eq!(fleet.run(&["down"]).code, 0);
}

/// A member that was killed is seen as killed, and the next `up` starts it again.
#[test]
fn a_killed_member_is_started_again() {
    let Some(fleet) = Fleet::new(&[("one", "slow1")]) else { return };
    assert_eq!(fleet.run(&["up"]).code, 0);
    let pid = fleet.looper.trailer("refs/coop/loops/one", "Pid");
    fleet.looper.place.world.run(&fleet.looper.place.repo, "kill", ["-9", &pid]).ok();
    until("it is seen", || fleet.state("one") == "killed");
    let up = fleet.run(&["up"]);
    assert!(up.stderr.contains("one: started"), "{}", up.stderr);
    until("it runs", || fleet.state("one") == "running");
    assert_eq!(fleet.run(&["down"]).code, 0);
    assert_eq!(fleet.state("one"), "stopped");
    fleet.looper.whole();
}
