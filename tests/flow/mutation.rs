//! Every defence is taken away once, and its attacks must notice. A defence that nobody would miss is none.

use coop::flow::attack::defences::TABLE;
use coop::flow::attack::{Verdict, corpus, run};

use crate::attack::ground;
use crate::common::runtimes;

#[test]
fn every_attack_names_defences_that_there_are() {
    let known: Vec<&str> = TABLE.iter().map(|defence| defence.name).collect();
    for attack in corpus::all().expect("corpus").iter().flat_map(|scene| &scene.attacks) {
        for name in &attack.defences {
            assert!(known.contains(&name.as_str()), "{} names {name}", attack.id);
        }
    }
}

#[test]
fn without_a_defence_an_attack_succeeds() {
    let mut unnoticed = Vec::new();
    let only = coop::env::Env::of_process().str("COOP_TEST_DEFENCE").unwrap_or_default().to_owned();
    for defence in TABLE.iter().filter(|d| only.is_empty() || only.split(',').any(|name| name == d.name)) {
        let found = runtimes().iter().rev().find(|u| defence.runtime.is_empty() || u.runtime.name() == defence.runtime);
        let Some(usable) = found else {
            eprintln!("SKIPPED: {}: no {} here", defence.name, defence.runtime);
            continue;
        };
        let without = [&[defence.name], defence.behind].concat().join(",");
        let mut scenes = corpus::all().expect("corpus");
        scenes.iter_mut().for_each(|s| s.attacks.retain(|a| a.defences.iter().any(|name| name == defence.name)));
        scenes.retain(|scene| !scene.attacks.is_empty());
        let mut ground = ground(usable, &[("COOP_TEST_WITHOUT", &without)]);
        ground.step = std::time::Duration::from_secs(40);
        let report = run(&ground, &scenes, true, &mut |_| ()).expect("runs");
        for attack in &report.attacks {
            eprintln!("without {without}: {}: {}: {}", attack.id, attack.verdict.word(), attack.detail);
        }
        if !report.attacks.iter().any(|attack| attack.verdict == Verdict::Escaped) {
            unnoticed.push(defence.name);
        }
    }
    assert!(unnoticed.is_empty(), "nobody misses {unnoticed:?}");
}
