//! Every defence is taken away once, and its attacks must notice. A defence that nobody would miss is none.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use coop::flow::attack::corpus::Scene;
use coop::flow::attack::defences::{Defence, TABLE};
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

/// `COOP_TEST_DEFENCE=a,b` takes only these away, and tries all of their attacks instead of the first that succeeds.
#[test]
fn without_a_defence_an_attack_succeeds() {
    let only = coop::env::Env::of_process().str("COOP_TEST_DEFENCE").unwrap_or_default().to_owned();
    let asked = |defence: &&Defence| only.is_empty() || only.split(',').any(|name| name == defence.name);
    let defences: Vec<&Defence> = TABLE.iter().filter(asked).collect();
    let (next, unnoticed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(4) {
            scope.spawn(|| {
                while let Some(defence) = defences.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if !missed(defence, !only.is_empty()) {
                        unnoticed.lock().expect("lock").push(defence.name);
                    }
                }
            });
        }
    });
    let unnoticed = unnoticed.into_inner().expect("lock");
    assert!(unnoticed.is_empty(), "nobody misses {unnoticed:?}");
}

/// Whether an attack succeeds without `defence`; true as well where its runtime is not here, which is said.
fn missed(defence: &Defence, whole: bool) -> bool {
    let found = runtimes().iter().rev().find(|u| defence.runtime.is_empty() || u.runtime.name() == defence.runtime);
    let Some(usable) = found else {
        eprintln!("SKIPPED: {}: no {} here", defence.name, defence.runtime);
        return true;
    };
    let without = [&[defence.name], defence.behind].concat().join(",");
    let mut ground = ground(usable, &[("COOP_TEST_WITHOUT", &without)]);
    ground.step = std::time::Duration::from_secs(40);
    let mut missed = false;
    for scene in steps(defence.name) {
        let report = run(&ground, &[scene], true, &mut |_| ()).expect("runs");
        for attack in &report.attacks {
            eprintln!("without {without}: {}: {}: {}", attack.id, attack.verdict.word(), attack.detail);
        }
        missed |= report.attacks.iter().any(|attack| attack.verdict == Verdict::Escaped);
        if missed && !whole {
            break;
        }
    }
    missed
}

/// The attacks on `defence`, one box each: those that share one first, for they are many at the cost of one.
fn steps(defence: &str) -> Vec<Scene> {
    let (mut shared, mut single) = (Vec::new(), Vec::new());
    for scene in corpus::all().expect("corpus") {
        let with = |attacks| {
            let mut only = scene.clone();
            only.attacks = attacks;
            only
        };
        let named = scene.attacks.iter().filter(|attack| attack.defences.iter().any(|name| name == defence));
        let (alone, together): (Vec<_>, Vec<_>) = named.cloned().partition(|attack| attack.alone);
        if !together.is_empty() {
            shared.push(with(together));
        }
        single.extend(alone.into_iter().map(|attack| with(vec![attack])));
    }
    shared.append(&mut single);
    shared
}
