//! A loop that lands what it has proved.

use crate::looper::Looper;

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
