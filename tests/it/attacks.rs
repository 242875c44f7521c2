//! gitcoop-attacks(7) is made of the corpus and the table of defences; a stale page is a failure.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use coop::flow::attack::corpus::{Attack, Scene, all};
use coop::flow::attack::defences::{Defence, TABLE};

use crate::support::golden;

const ABOUT: &str = "git coop doctor --attack tries all of this in boxes of a throwaway repository, offline. Attacks \
     whose names end with -live and -fork are tried in the live checkout and in a fork. An attack is held where its \
     payload ran to its end and left no mark of success on the host; what cannot run on a machine is said and not \
     counted. The corpus is the directory attacks of the source, with a description of its format.";

const DEFENCES: &str = "Each of these is taken away once in a test, and at least one of the attacks named must then \
     succeed, alone or together with the others of its scene.";

const LIMITS: &str = "These succeed on every runtime. They are reported as known and never as held.";

#[test]
fn the_page_is_current() {
    let scenes = all().expect("corpus");
    let attacks: Vec<(&Scene, &Attack)> = scenes.iter().flat_map(|s| s.attacks.iter().map(move |a| (s, a))).collect();
    let mut roff = Roff::new();
    roff.control(
        "TH",
        ["GITCOOP-ATTACKS", "7", "", &format!("git-coop {}", env!("CARGO_PKG_VERSION")), "git coop manual"],
    );
    roff.control("SH", ["NAME"]);
    roff.text([roman("gitcoop-attacks - what git coop holds, what it does not, and how that is known")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(ABOUT)]);
    roff.control("SH", ["DEFENCES"]);
    roff.text([roman(DEFENCES)]);
    for defence in TABLE {
        entry(&mut roff, defence.name, &defended(defence, &attacks));
    }
    roff.control("SH", ["WHAT IS NOT HELD"]);
    roff.text([roman(LIMITS)]);
    for (_, attack) in attacks.iter().filter(|(_, attack)| !attack.limit.is_empty()) {
        entry(&mut roff, &attack.id, &[roman(format!("{}: {}.", attack.tries, attack.limit))]);
    }
    roff.control("SH", ["ATTACKS"]);
    let mut group = "";
    for (scene, attack) in &attacks {
        if scene.group != group {
            group = &scene.group;
            roff.control("SS", [group]);
        }
        let mut text = vec![roman(format!("{}. ", attack.tries)), italic(attack.source.as_str())];
        if !attack.runtimes.is_empty() {
            text.push(roman(format!(" (only {})", attack.runtimes.join(", "))));
        }
        entry(&mut roff, &attack.id, &text);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("git-coop-doctor"), roman("(1), "), bold("git-coop"), roman("(1)")]);
    golden("man/gitcoop-attacks.7", roff.render().as_bytes());
}

fn entry(roff: &mut Roff, name: &str, text: &[Inline]) {
    roff.control("TP", [] as [&str; 0]);
    roff.text([bold(name)]);
    roff.text(text.to_vec());
}

/// What the defence does, where, and who notices.
fn defended(defence: &Defence, attacks: &[(&Scene, &Attack)]) -> Vec<Inline> {
    let noticed: Vec<&str> = attacks
        .iter()
        .filter(|(_, attack)| attack.defences.iter().any(|name| name == defence.name))
        .map(|(_, attack)| attack.id.as_str())
        .collect();
    assert!(!noticed.is_empty(), "no attack names {}", defence.name);
    let behind = match defence.behind {
        [] => String::new(),
        others => format!(" (with {} taken away too)", others.join(", ")),
    };
    vec![roman(format!("{}. Noticed{behind} by: ", defence.what)), italic(noticed.join(", ")), roman(".")]
}

/// The switch that takes a defence away is in no program that anybody installs.
#[test]
fn release_builds_cannot_take_a_defence_away() {
    let dir = tempfile::tempdir().expect("directory");
    let source = crate::support::package().join("src/without.rs");
    let compiled = |assertions: &str| {
        let out = dir.path().join(format!("without-{assertions}.o"));
        let status = std::process::Command::new("rustc")
            .args(["--edition", "2024", "--crate-type", "lib", "--crate-name", "without", "--emit", "obj", "-O"])
            .args(["-C", &format!("debug-assertions={assertions}"), "-A", "warnings", "-o"])
            .args([&out, &source])
            .status();
        assert!(status.expect("rustc").success());
        let bytes = std::fs::read(&out).expect("object");
        bytes.windows(17).any(|window| window == b"COOP_TEST_WITHOUT")
    };
    assert!(compiled("on"), "the test looks for something that is there");
    assert!(!compiled("off"));
    // and no other file names it
    for path in crate::support::files("src").into_iter().filter(|path| !path.ends_with("without.rs")) {
        let text = std::fs::read(crate::support::package().join(&path)).expect("readable");
        assert!(!text.windows(17).any(|window| window == b"COOP_TEST_WITHOUT"), "{}", path.display());
    }
}
