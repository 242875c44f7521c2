//! A loop that lands what it has proved, and one that sleeps while the machine does.

use std::time::Duration;

use crate::looper::{Looper, WORK};
use crate::world::{send, until};

/// Only where it is asked for does a loop touch the checkout, and then with what is confirmed. The list is tracked here:
/// its markers are changes that nobody has committed.
#[test]
fn it_lands_where_it_is_asked_to_and_all_is_confirmed() {
    let Some(looper) = Looper::plain() else { return };
    looper.queue("- [ ] work a\n- [ ] work b\n");
    looper.git(&["add", "--force", ".agent/TASKS.md"]);
    looper.git(&["commit", "-q", "-m", "a list"]);
    let run = looper.run(&["mine", "--land", "--json"]);
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("landed 2 commits of 'loop' on main"), "{}", run.stderr);
    serde_json::from_str::<serde_json::Value>(&run.stdout).expect("one document");
    assert_eq!(looper.git(&["log", "-2", "--format=%s", "main"]), "work of b\nwork of a");
    assert_eq!(std::fs::read_to_string(looper.place.repo.join("done/b")).expect("a file"), "b\n");
    assert_eq!(looper.tasks(), "- [x] work a\n- [x] work b\n");
    assert_eq!(looper.git(&["status", "--porcelain"]), " M .agent/TASKS.md");
    looper.git(&["commit", "-q", "-a", "-m", "done"]);
    looper.agent("other", "true");
    looper.queue(&format!("{}- [ ] work c\n", looper.tasks()));
    let main = looper.git(&["rev-parse", "main"]);
    let run = looper.run(&["mine", "--land"]);
    assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("nothing landed: not all"), "{}", run.stderr);
    assert_eq!(looper.git(&["rev-parse", "main"]), main);
    looper.git(&["checkout", "-q", "--detach"]);
    looper.run(&["mine", "--land"]).fails(2, "no branch");
    looper.whole();
}

/// What nobody has proved does not land with what somebody has: commits that the loop found in its fork, and tasks that it
/// took without an audit.
#[test]
fn nothing_lands_beside_what_no_audit_covers() {
    let Some(looper) = Looper::plain() else { return };
    let foreign = "echo x >x && git add x && git commit -qm foreign";
    assert_eq!(looper.place.fork("mixed", foreign).code, 0);
    let main = looper.git(&["rev-parse", "main"]);
    for (fork, first) in [("mixed", None), ("quick", Some("- [ ] work a\n"))] {
        if let Some(first) = first {
            looper.queue(first);
            assert_eq!(looper.run(&["mine", "--fork", fork, "--rounds", "0"]).code, 0);
        }
        for task in ["- [ ] work b\n", "- [ ] work c\n"] {
            looper.queue(task);
            let run = looper.run(&["mine", "--fork", fork, "--land"]);
            assert!(run.code == 1 && run.stderr.contains("nothing landed"), "{fork}: {}", run.stderr);
            assert_eq!(looper.git(&["rev-parse", "main"]), main, "{fork}");
        }
    }
    looper.queue("- [ ] work d\n");
    let run = looper.run(&["mine", "--fork", "quick", "--land", "--rounds", "0"]);
    assert!(run.stderr.contains("landed 4 commits"), "no audit was asked for: {}", run.stderr);
}

/// A parked loop waits for a time of the clock, not for a number of seconds: who was stopped meanwhile, as a machine that is
/// suspended stops everybody, wakes when it goes on.
#[test]
fn a_parked_loop_that_was_stopped_wakes_on_the_clock() {
    let script = format!(
        r#"
if ! [ -e seen ]; then echo seen >seen; echo "{{\"type\":\"limit\",\"until\":$(( $(date +%s) + 4 ))}}"; exit 1; fi
{WORK}
"#
    );
    let Some(looper) = Looper::new(&script, "test -d done") else { return };
    looper.queue("- [ ] work a\n");
    let mut child = looper.spawn(&["mine", "--rounds", "0"]);
    let state = || looper.trailer("refs/coop/loops/loop", "State");
    until("it is parked", || {
        looper.place.git(["for-each-ref", "refs/coop/loops"]).contains("loop") && state() == "parked"
    });
    let wake: i64 = looper.trailer("refs/coop/loops/loop", "Wake").parse().expect("seconds");
    send(&child, "STOP");
    until("its time has passed", || jiff::Timestamp::now().as_second() > wake);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(state(), "parked", "it is stopped");
    send(&child, "CONT");
    until("it is done", || state() == "finished");
    assert!(child.wait().expect("an end").success());
    assert_eq!(looper.tasks(), "- [x] work a\n");
    looper.whole();
}
