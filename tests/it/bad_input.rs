//! Wrong input: one line and a hint, the documented exit code, and nothing half-made.

use crate::support::World;

#[test]
fn unknown_words_suggest_the_nearest() {
    let world = World::new();
    let here = world.root();
    for (word, near) in [("cluade", "git coop claude"), ("confgi", "git coop config"), ("hlep", "git coop help")] {
        assert!(world.coop(&here, [word]).fails(2, "neither a command nor an agent").contains(near), "{word}");
    }
    assert!(world.coop(&here, ["emacs"]).fails(2, "'emacs'").contains("git coop help"));
    let escape = world.coop(&here, ["x\u{1b}[2J"]).fails(2, "\\u{1b}");
    assert!(!escape.contains('\u{1b}'));
    assert!(world.coop(&here, ["help", "confg"]).fails(2, "no command 'confg'").contains("git coop help config"));
}

#[test]
fn unknown_settings_and_values() {
    let world = World::new();
    let repo = world.repo("repo");
    assert!(world.coop(&repo, ["config", "egres"]).fails(2, "no setting 'egres'").contains("coop.egress"));
    let _ = world.coop(&repo, ["config", "egress", "nonee"]).fails(2, "'nonee', which is not open or none");
    assert_eq!(world.run(&repo, "git", ["config", "coop.egress"]).code, 1, "a refused value was written");
    world.git(&repo, ["config", "coop.runtime", "dokcer"]);
    let _ = world.coop(&repo, ["config"]).fails(2, "'dokcer'");
    world.git(&repo, ["config", "--unset", "coop.runtime"]);
    world.git(&repo, ["config", "coop.egres", "none"]);
    let _ = world.coop(&repo, ["config"]).fails(2, "unknown setting 'coop.egres'");
    world.git(&repo, ["config", "--unset", "coop.egres"]);
    let world = world.with_env("COOP_EGRES", "none");
    assert!(world.coop(&repo, ["config"]).fails(2, "COOP_EGRES").contains("COOP_EGRESS?"));
}

#[test]
fn a_broken_coop_conf_names_its_line() {
    let world = World::new();
    let conf = world.home().join(".config/coop");
    std::fs::create_dir_all(&conf).expect("directory");
    for (text, message) in [
        ("# ok\nCOOP_EGRES=none\n", "line 2: unknown key 'COOP_EGRES'"),
        ("COOP_EGRESS none\n", "line 1: not KEY=VALUE"),
        ("COOP_EGRESS=maybe\n", "'maybe'"),
    ] {
        std::fs::write(conf.join("coop.conf"), text).expect("file");
        let _ = world.coop(&world.root(), ["config"]).fails(2, message);
    }
}
