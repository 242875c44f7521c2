//! The loop with scripted agents in real boxes: what is done, tried again, blocked, audited, parked, and what a kill leaves.

use std::time::{Duration, Instant};

use coop::cli::Context;
use coop::env::Env;
use coop::sandbox::owner::Owner;
use coop::sandbox::spec::Runtime;
use coop::state::{Claim, ForkName, Loop};

use crate::common::runtimes;
use crate::looper::{CONFIRM, Looper, WORK};
use crate::world::{Place, send, until};

#[test]
fn a_queue_is_drained_bound_audited_and_landed() {
    let Some(looper) = Looper::plain() else { return };
    let text = "# Queue\r\n\r\n- [ ] work a\r\n  more about a\r\n- [x] old\r\n* [ ] work b\r\n\r\ntail";
    looper.queue(text);
    let main = looper.git(&["rev-parse", "main"]);
    let run = looper.run(&["mine", "--json"]);
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert_eq!(looper.tasks(), text.replace("[ ]", "[x]"), "only the markers changed");
    let result: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    for row in result["tasks"].as_array().expect("tasks") {
        assert_eq!((&row["result"], &row["attempts"]), (&"confirmed".into(), &1.into()), "{row}");
        assert_eq!((&row["inputTokens"], &row["costUsd"]), (&100.into(), &0.5.into()));
        let commit = row["commits"][0].as_str().expect("a commit");
        assert_eq!(looper.trailer(commit, "Task"), row["id"].as_str().expect("id"));
        let note = looper.git(&["notes", "--ref=coop/audit", "show", commit]);
        assert!(note.starts_with("confirmed by other: as asked"), "{note}");
    }
    assert_eq!(looper.git(&["rev-parse", "main"]), main, "nothing landed by itself");
    assert_eq!(looper.trailer("refs/coop/loops/loop", "State"), "finished");
    assert_eq!(looper.git(&["for-each-ref", "refs/coop/claims"]), "", "done claims are in the archive");
    let story = looper.git(&["log", "--format=%s", "--glob=refs/coop"]);
    for line in ["loop loop: task", "claimed by loop loop", "done in 1 commit", "audit by other", "gate passed"] {
        assert!(story.contains(line), "'{line}' is not in\n{story}");
    }
    assert_eq!(looper.run(&[]).code, 0, "there is nothing to do");
    let merge = looper.place.coop(["merge", "loop", "--yes"]);
    assert!(merge.code == 0 && merge.stderr.contains("the gate has seen this tree"), "{}", merge.stderr);
    assert_eq!(looper.git(&["show", "main:done/b"]), "b");
    looper.whole();
}

/// What does not hold is tried again with the reason, and blocked after the last attempt; the next task begins clean.
#[test]
fn failures_are_told_and_blocked_and_leave_nothing_for_the_next() {
    let script = r#"
case "$1" in
*'work late'*)
    case "$1" in *'tried before'*'GATE SAYS NO'*) echo y >good; rm -f bad; git add -A; git commit -qm mended;;
    *) echo x >bad; git add bad; git commit -qm broken;; esac;;
*'work never'*) echo junk >junk; date +%N >bad; git add bad; git commit -qm broken;;
*'work after'*) test ! -e junk && test ! -e bad && echo z >after && git add after && git commit -qm after;;
esac
"#;
    let Some(looper) = Looper::new(script, "test ! -e bad || { echo GATE SAYS NO; exit 3; }") else { return };
    looper.queue("- [ ] work late\n- [ ] work never\n- [ ] work after\n");
    let run = looper.run(&["mine", "--rounds", "0"]);
    assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
    assert_eq!(looper.tasks(), "- [x] work late\n- [B] work never\n- [x] work after\n");
    let list = looper.place.coop(["tasks"]).ok();
    assert!(list.contains("the gate is red (exit 3)"), "{list}");
    let kept = looper.git(&["for-each-ref", "--format=%(refname)", "refs/coop/forks/loop/kept"]);
    assert!(kept.contains("/kept/task-"), "what was refused is kept: {kept}");
    let head = looper.git(&["log", "--format=%s", "main..refs/coop/forks/loop/head"]);
    assert_eq!(head, "after\nmended\nbroken");
    assert!(run.stdout.lines().any(|l| l.contains("blocked") && l.contains(" 3 ")), "{}", run.stdout);
    // a person opens it again: it starts from the first attempt
    looper.queue(&looper.tasks().replace("[B]", "[ ]"));
    assert_eq!(looper.run(&["--rounds", "0", "--max-tasks", "1"]).code, 1);
    assert!(looper.place.coop(["tasks"]).ok().contains("blocked"));
    looper.whole();
}

/// An auditor that lies, is silent, or asks for more.
#[test]
fn an_audit_reopens_and_only_a_receipt_that_holds_counts() {
    let Some(looper) = Looper::plain() else { return };
    let reopen =
        CONFIRM.replace("\\\"confirmed\\\"", "\\\"reopened\\\"").replace("as asked", "nothing of it is tested");
    looper.agent("other", &format!("case \"$1\" in *mended*) {CONFIRM} ;; *) {reopen} ;; esac"));
    looper.agent("mine", &format!("case \"$1\" in *'nothing of it is tested'*) echo mended >>done/a; git commit -qam mended; exit;; esac\n{WORK}"));
    looper.queue("- [ ] work a\n");
    let run = looper.run(&["mine"]);
    assert!(run.code == 1 && run.stderr.contains("reopened"), "{}", run.stderr);
    assert_eq!(looper.tasks(), "- [B] work a\n", "the second audit is the last");
    assert_eq!(looper.git(&["log", "--format=%s", "main..refs/coop/forks/loop/head"]), "mended\nwork of a");
    for (lie, why) in [
        ("echo CONFIRMED, all good; echo '{}' >/coop/answer/receipt.json", "does not parse"),
        (&*CONFIRM.replace("/coop/answer/receipt.json", "/tmp/x"), "left no receipt"),
        ("ln -s /etc/passwd /coop/answer/receipt.json", "left no receipt"),
        (
            "echo x >done/forged && git add -A && git commit -qm forged; git update-ref refs/heads/loop HEAD~1; exit 0",
            "left no receipt",
        ),
    ] {
        looper.agent("other", lie);
        looper.queue("- [ ] work b\n");
        let run = looper.run(&["mine", "--fork", "second"]);
        assert!(run.code == 1 && run.stderr.contains(why), "{lie}: {}", run.stderr);
        assert!(run.stdout.contains("unconfirmed"), "{}", run.stdout);
        assert_eq!(looper.git(&["log", "--format=%s", "main..refs/coop/forks/second/head"]), "work of b");
        // the same command goes on with the audit
        looper.agent("other", CONFIRM);
        let run = looper.run(&["mine", "--fork", "second"]);
        assert!(run.code == 0 && run.stdout.contains("confirmed"), "{} {}", run.stdout, run.stderr);
        looper.place.coop(["fork", "rm", "--force", "second"]).ok();
    }
    looper.whole();
}

#[test]
fn limits_switch_accounts_park_and_wake() {
    let script = format!(
        r#"
account=$(cat ~/.mine/token 2>/dev/null)
if [ "$account" = first ] && ! [ -e /tmp/x ]; then echo "{{\"type\":\"limit\",\"until\":$(( $(date +%s) + 3600 ))}}"; exit 1; fi
{WORK}
echo "by $account" >>done/who; git add done; git commit -q --amend --no-edit
"#
    );
    let Some(looper) = Looper::new(&script, "test -d done") else { return };
    looper.profile("first");
    looper.profile("second");
    std::fs::write(looper.place.world.home().join(".config/coop/agents/mine/default"), "first\n").expect("default");
    looper.queue("- [ ] work a\n- [ ] work b\n");
    let run = looper.run(&["mine", "--rounds", "0"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stderr.matches("is used up until").count(), 1, "known for the second task: {}", run.stderr);
    assert_eq!(looper.git(&["show", "refs/coop/forks/loop/head:done/who"]), "by second\nby second");
    // one account alone, cooling: exit 4 and the task is as it was
    looper.queue("- [ ] work c\n");
    let run = looper.run(&["mine", "--rounds", "0", "--profile", "first", "--no-wait"]);
    assert!(run.code == 4 && run.stderr.contains("used up until"), "{}", run.stderr);
    assert_eq!(looper.tasks(), "- [ ] work c\n");
    assert_eq!(looper.git(&["for-each-ref", "refs/coop/claims"]), "");
    // parked on the wall clock, and awake again; coop.notify hears of it
    let soon = script.replace("3600", "3").replace("! [ -e /tmp/x ]", "! grep -q limited .git/coop-seen 2>/dev/null");
    let soon = soon
        .replace("exit 1; fi", "mkdir -p seen; echo y >seen/x; exit 1; fi")
        .replace("! grep -q limited .git/coop-seen 2>/dev/null", "! [ -e seen/x ]");
    looper.agent("mine", &soon);
    std::fs::remove_dir_all(looper.place.world.home().join(".local/state/coop/accounts.git")).expect("forgotten");
    let told = looper.place.world.root().join("told");
    looper.place.git(["config", "coop.notify", &format!("echo $COOP_EVENT >>{}", told.display())]);
    let run = looper.run(&["mine", "--rounds", "0", "--profile", "first"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("waking at"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(told).expect("told"), "parked\nfinished\n");
    assert_eq!(looper.tasks(), "- [x] work c\n");
}

#[test]
fn hangs_sleepers_and_overload() {
    let script = r#"
case "$1" in
*'work hang'*'tried before'*) echo a >a; git add a; git commit -qm a;;
*'work hang'*) while :; do printf .; sleep 0.2; done;;
*'work busy'*) if [ -e n3 ]; then echo b >b; git add b; git commit -qm b; else for n in 1 2 3; do [ -e n$n ] || { : >n$n; break; }; done; echo '{"type":"busy"}'; exit 1; fi;;
*'work auth'*) echo '{"type":"auth"}'; exit 1;;
esac
"#;
    let Some(looper) = Looper::new(script, "true") else { return };
    looper.place.git(["config", "coop.loopSilence", "1s"]);
    looper.queue("- [ ] work hang\n- [ ] work busy\n- [ ] work auth\n");
    let run = looper.run(&["mine", "--rounds", "0"]);
    assert!(run.stderr.contains("it printed nothing for too long"), "{}", run.stderr);
    assert_eq!(run.stderr.matches("the service is overloaded, again in").count(), 3, "{}", run.stderr);
    assert!(run.code == 2 && run.stderr.contains("not signed in any more"), "{}", run.stderr);
    assert_eq!(looper.tasks(), "- [x] work hang\n- [x] work busy\n- [ ] work auth\n");
    assert_eq!(looper.trailer("refs/coop/loops/loop", "State"), "failed");
}

#[test]
fn one_interrupt_finishes_the_task_and_two_end_it() {
    let script = format!("sleep 1.5\n{WORK}");
    let Some(looper) = Looper::new(&script, "test -d done") else { return };
    looper.queue("- [ ] work a\n- [ ] work b\n");
    let mut child = looper.spawn(&["mine", "--rounds", "0"]);
    let claims = || looper.git(&["for-each-ref", "--format=%(refname)", "refs/coop/claims"]).lines().count();
    until("the agent works", || claims() == 1);
    send(&child, "INT");
    assert_eq!(child.wait().expect("ends").code(), Some(1));
    assert_eq!(looper.tasks(), "- [x] work a\n- [ ] work b\n");
    let mut child = looper.spawn(&["mine", "--rounds", "0"]);
    until("the agent works", || claims() == 2);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    send(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    send(&child, "INT");
    assert_eq!(child.wait().expect("ends").code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(looper.tasks(), "- [x] work a\n- [ ] work b\n");
    assert_eq!(looper.trailer("refs/coop/loops/loop", "State"), "stopped");
    assert_eq!(claims(), 1, "a is done");
    looper.run(&["mine"]).ok();
    assert_eq!(looper.tasks(), "- [x] work a\n- [x] work b\n");
}

/// kill -9 at many times: the next loop goes on, nothing is done twice.
#[test]
fn a_killed_loop_goes_on_where_it_was() {
    let script = format!("sleep 0.1\n{WORK}");
    let Some(looper) = Looper::new(&script, "test -d done") else { return };
    looper.queue("- [ ] work a\n- [ ] work b\n- [ ] work c\n");
    for at in [350u64, 550, 750, 950, 1_300, 1_800] {
        let mut child = looper.spawn(&["mine"]);
        std::thread::sleep(Duration::from_millis(at));
        let _ = child.kill();
        let _ = child.wait();
    }
    let run = looper.run(&["mine"]);
    let story = looper.git(&["log", "--graph", "--format=%h %s %d", "--glob=refs/coop"]);
    assert_eq!(run.code, 0, "{}\n{}\n{story}", run.stdout, run.stderr);
    assert_eq!(looper.tasks(), "- [x] work a\n- [x] work b\n- [x] work c\n");
    let subjects =
        looper.git(&["log", "--format=%(trailers:key=Coop-Task,valueonly)", "main..refs/coop/forks/loop/head"]);
    let mut tasks: Vec<&str> = subjects.split_whitespace().collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert_eq!(tasks.len(), 3, "{subjects}\n{story}");
    let head = looper.git(&["rev-parse", "refs/coop/forks/loop/head"]);
    for file in ["a", "b", "c"] {
        let lines = looper.git(&["show", &format!("{head}:done/{file}")]);
        assert!(lines.lines().all(|l| l == file), "{lines}");
    }
    assert_eq!(looper.git(&["for-each-ref", "refs/coop/claims"]), "", "{story}");
    looper.whole();
}

#[test]
fn two_loops_share_a_queue_and_a_persons_claim_is_left_alone() {
    let Some(looper) = Looper::new(&format!("sleep 0.2\n{WORK}"), "test -d done") else { return };
    let lines: Vec<String> = (0..6).map(|n| format!("- [ ] work t{n}")).collect();
    looper.queue(&format!("{}\n- [ ] work mine\n- [w] work yours\n", lines.join("\n")));
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&looper.place.coop(["tasks", "--json"]).ok()).expect("JSON");
    let id = list.iter().find(|t| t["title"] == "work mine").expect("task")["id"].as_str().expect("id").to_owned();
    looper.place.coop(["tasks", "claim", &id]).ok();
    let mut one = looper.spawn(&["mine", "--rounds", "0"]);
    let mut two = looper.spawn(&["mine", "--rounds", "0", "--fork", "b"]);
    for child in [&mut one, &mut two] {
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
    assert_eq!(looper.tasks().matches("[x]").count(), 6, "{}", looper.tasks());
    assert!(looper.tasks().ends_with("- [w] work mine\n- [w] work yours\n"));
    let all = looper.git(&["log", "--format=%s", "refs/coop/forks/loop/head", "refs/coop/forks/b/head", "^main"]);
    assert_eq!(all.lines().count(), 6, "each once: {all}");
    looper.place.coop(["tasks", "claim", &id]).fails(3, "is claimed by a person");
    looper.place.coop(["tasks", "release", &id]).ok();
    assert!(looper.tasks().contains("- [ ] work mine"));
}

#[test]
fn a_detached_loop_outlives_its_starter_and_is_stopped_with_proof() {
    let Some(looper) = Looper::new(&format!("sleep 1\n{WORK}"), "test -d done") else { return };
    looper.queue("- [ ] work a\n- [ ] work b\n- [ ] work c\n");
    let run = looper.place.coop(["fork", "night", "mine", "--loop", "-d"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("loop 'night' works with mine"), "{}", run.stderr);
    looper.place.coop(["fork", "night", "mine", "--loop", "-d"]).fails(3, "is at work");
    until("a task is done", || looper.tasks().contains("[x]"));
    looper.place.coop(["fork", "stop", "night"]).ok();
    assert_eq!(looper.trailer("refs/coop/loops/night", "State"), "stopped");
    assert!(!looper.tasks().contains("[w]"), "{}", looper.tasks());
    let log = looper.place.coop(["fork", "logs", "night"]).ok();
    assert!(log.contains("done: "), "{log}");
    looper.run(&["--fork", "night"]).ok();
    assert_eq!(looper.tasks().matches("[x]").count(), 3);
}

#[test]
fn bad_input_is_one_line_before_any_box() {
    let Some(looper) = Looper::plain() else { return };
    std::fs::remove_dir_all(looper.place.repo.join(".agent")).expect("gone");
    looper.run(&["mine"]).fails(2, "there is no tasks file");
    std::fs::create_dir(looper.place.repo.join(".agent")).expect("directory");
    looper.queue("# nothing\n");
    looper.run(&["mine"]).fails(2, "there are no tasks in .agent/TASKS.md");
    looper.queue("- [B] a\n");
    looper.run(&["mine"]).fails(1, "every task that is left is blocked");
    looper.queue("- [ ] a\n- [y] b\n- [] c\n");
    looper.run(&["mine"]).fails(2, ".agent/TASKS.md line 2: '[y]' is no marker");
    looper.queue("- [ ] a\n");
    looper.run(&["mine", "--tasks", "../x.md"]).fails(2, "is outside of the repository");
    std::os::unix::fs::symlink(".agent/TASKS.md", looper.place.repo.join("link.md")).expect("link");
    looper.run(&["mine", "--tasks", "link.md"]).fails(2, "is a symbolic link");
    looper.run(&["nobody"]).fails(2, "no agent 'nobody'");
    looper.run(&["claude"]).fails(2, "nobody is signed in to Claude Code");
    looper.run(&["mine", "--profile", "none"]).fails(2, "has no profile 'none'");
    looper.place.git(["config", "--unset", "coop.gate"]);
    looper.run(&["mine"]).fails(2, "there is no gate");
    looper.place.git(["config", "coop.gate", "no-such-program"]);
    std::fs::write(looper.place.repo.join("README"), "changed\n").expect("file");
    looper.run(&["mine"]).fails(2, "'README' is not committed");
    assert_eq!(looper.git(&["for-each-ref", "refs/coop"]), "", "nothing was made");
    let queue = "- [ ] work a\n";
    looper.queue(queue);
    let run = looper.run(&["mine", "--base", "HEAD", "--rounds", "0"]);
    assert!(run.code == 2 && run.stderr.contains("was not found in the box"), "{}", run.stderr);
    assert_eq!(looper.tasks(), queue, "the gate is the user's to mend, not the task's fault");
}

/// The other runtimes hold a whole loop as well: agent, gate and auditor.
#[test]
fn containers_hold_a_loop_too() {
    for usable in runtimes().iter().filter(|usable| usable.runtime != Runtime::Bwrap) {
        eprintln!("-- {}", usable.runtime.name());
        let looper = Looper::at(Place::on(usable.runtime), WORK, "test -d done");
        looper.queue("- [ ] work a\n");
        let run = looper.run(&["mine", "--rounds", "1"]);
        assert!(run.code == 0 && run.stdout.contains("confirmed"), "{}\n{}", run.stdout, run.stderr);
        assert_eq!(looper.tasks(), "- [x] work a\n");
        looper.whole();
    }
}

/// After a reboot the process that a claim names may be anybody: it was one of another boot, and its box is gone.
#[test]
fn a_loop_from_before_a_reboot_is_taken_over() {
    let Some(looper) = Looper::new(&format!("test -e go || sleep 600\n{WORK}"), "test -d done") else { return };
    looper.queue("- [ ] work a\n");
    let mut child = looper.spawn(&["mine", "--rounds", "0"]);
    until("the agent works", || looper.place.state("loop")["state"] == "working");
    child.kill().expect("killed");
    child.wait().expect("ended");
    let world = &looper.place.world;
    let command = world.command(&looper.place.repo, "git-coop");
    let pairs =
        command.get_envs().filter_map(|(key, value)| Some((key.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    let coop = Context { env: Env::from_pairs(pairs), cwd: looper.place.repo.clone() }.coop().expect("opens");
    let store = coop.store().expect("a store");
    let (me, name) = (Owner::of_process(), ForkName::parse("loop").expect("a name"));
    let mut claim = Claim::all(&coop.repo, &coop.env).expect("claims").remove(0);
    let mut found = Loop::find(&coop.repo, &coop.env, &name).expect("reads").expect("a loop");
    let (_, space) = me.boot.split_once('.').expect("both");
    let before = [("Pid", me.pid.to_string()), ("Start", me.start.to_string()), ("Boot", format!("another.{space}"))];
    for (key, value) in before {
        claim.record.set(key, value.clone());
        found.record.set(key, value);
    }
    assert!(claim.take(&store, "as it was").expect("written"));
    found.record(&store, "as it was", Vec::new()).expect("written");
    // what a reboot takes away
    let _ = std::fs::remove_dir_all(looper.place.repo.join(".git/coop/locks"));
    looper.agent("mine", WORK);
    let run = looper.run(&["mine", "--rounds", "0"]);
    assert!(run.code == 0 && run.stderr.contains("was killed"), "{}", run.stderr);
    assert_eq!(looper.tasks(), "- [x] work a\n");
    assert_eq!(looper.git(&["log", "--format=%s", "main..refs/coop/forks/loop/head"]), "work of a");
    looper.whole();
}
