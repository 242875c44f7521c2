//! The corpus of `attacks/`: nothing escapes from a box, and everything that claims to does where there is none.

use coop::env::Env;
use coop::flow::attack::{Ground, Report, Verdict, corpus, run};
use coop::sandbox::Usable;
use coop::sandbox::spec::Runtime;

use crate::common::{IMAGE, each, runtimes};

pub fn ground(usable: &Usable, more: &[(&str, &str)]) -> Ground {
    let env = Env::of_process();
    let own = env.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let env = Env::from_pairs(own.chain(more.iter().map(|(key, value)| ((*key).into(), (*value).into()))));
    Ground {
        env,
        runtime: usable.runtime.name().to_owned(),
        image: usable.runtime.needs_image().then(|| IMAGE.to_owned()),
        programs: std::path::Path::new(env!("CARGO_BIN_EXE_git-coop")).parent().expect("a directory").to_owned(),
        step: std::time::Duration::from_secs(60),
        owner: None,
    }
}

/// Every line that is not what it should be.
pub fn wrong(report: &Report, want: &[Verdict]) -> Vec<String> {
    let wrong = report.attacks.iter().filter(|attack| !want.contains(&attack.verdict));
    wrong.map(|attack| format!("{}: {}: {}", attack.id, attack.verdict.word(), attack.detail)).collect()
}

/// What becomes of these is decided on the host, after the box has ended: one runtime, bubblewrap where it is, tells for
/// all. `COOP_TEST_WHOLE=1` tries them on each, as `git coop doctor --attack` does.
const ON_THE_HOST: [&str; 2] = ["landing", "terminal"];

#[test]
fn nothing_escapes() {
    let whole = Env::of_process().str("COOP_TEST_WHOLE").is_some();
    let first = runtimes().iter().rev().map(|usable| usable.runtime).next();
    each(|usable| {
        let mut scenes = corpus::all().expect("corpus");
        scenes.retain(|scene| whole || first == Some(usable.runtime) || !ON_THE_HOST.contains(&scene.group.as_str()));
        let report = run(&ground(usable, &[]), &scenes, true, &mut |_| ()).expect("runs");
        let fine = [Verdict::Held, Verdict::Known, Verdict::CannotRun, Verdict::NotApplicable];
        let wrong = wrong(&report, &fine);
        assert!(wrong.is_empty(), "{}\n{}", report.summary(), wrong.join("\n"));
        let unable = report.attacks.iter().filter(|a| a.verdict == Verdict::CannotRun);
        unable.for_each(|a| eprintln!("cannot run on {}: {}: {}", report.runtime, a.id, a.detail));
        assert!(report.attacks.iter().filter(|a| a.verdict == Verdict::Held).count() >= 128, "{}", report.summary());
    });
}

/// An attack that would not work anyway proves nothing.
#[test]
fn without_a_box_they_succeed() {
    let Some(usable) = runtimes().iter().find(|u| u.runtime == Runtime::Bwrap).or(runtimes().first()) else { return };
    let mut scenes = corpus::all().expect("corpus");
    scenes.iter_mut().for_each(|scene| scene.attacks.retain(|attack| attack.control));
    scenes.retain(|scene| !scene.attacks.is_empty() && !scene.name.ends_with("-fork"));
    let report = run(&ground(usable, &[]), &scenes, false, &mut |_| ()).expect("runs");
    let wrong = wrong(&report, &[Verdict::Escaped, Verdict::Known, Verdict::CannotRun, Verdict::NotApplicable]);
    assert!(wrong.is_empty(), "{}\n{}", report.summary(), wrong.join("\n"));
}
