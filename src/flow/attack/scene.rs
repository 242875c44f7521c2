//! One batch of attacks: set up, let the box do its worst, let the host go on, and look at what came of it.

use std::path::Path;
use std::time::Instant;

use crate::error::Result;
use crate::flow::coop::fresh_id;
use crate::sandbox::runtime::probes::Ran;

use super::corpus::{Attack, Scene, Where};
use super::place::{Ground, Place};
use super::{Outcome, Verdict};

/// The status with which a script says that the attack cannot run here.
const CANNOT: i32 = 77;
/// How long one payload may take (seconds).
const PAYLOAD: u32 = 20;

/// Runs `attacks` of `scene` together in one place. The outcomes are in the order of the attacks.
pub(super) fn run(ground: &Ground, scene: &Scene, attacks: &[&Attack], boxed: bool) -> Result<Vec<Outcome>> {
    let started = Instant::now();
    let nonce = fresh_id()?;
    let batch = Batch { scene, place: Place::new(ground, scene, &nonce)?, nonce };
    let mut verdicts: Vec<Option<(Verdict, String)>> = attacks.iter().map(|a| batch.set_up(a)).collect();
    let ready: Vec<&Attack> =
        attacks.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_none()).map(|(attack, _)| *attack).collect();
    let broken = batch.scene_setup(attacks, &mut verdicts);
    if !broken && !ready.is_empty() {
        let said = batch.payloads(&ready, boxed);
        let slow = batch.triggers(&ready);
        for (attack, verdict) in attacks.iter().zip(&mut verdicts).filter(|(_, verdict)| verdict.is_none()) {
            *verdict = Some(batch.judge(attack, said.as_ref(), &slow));
        }
    }
    let millis = started.elapsed().as_millis() as u64 / attacks.len().max(1) as u64;
    Ok(attacks
        .iter()
        .zip(verdicts)
        .map(|(attack, verdict)| {
            let (verdict, detail) = verdict.unwrap_or((Verdict::Failed, "nothing was tried".into()));
            Outcome::new(scene, attack, verdict, &detail, millis)
        })
        .collect())
}

struct Batch<'a> {
    scene: &'a Scene,
    place: Place,
    /// Marks the driver's own lines, the secrets, and the word with which a payload says that it won.
    nonce: String,
}

impl Batch<'_> {
    /// The value of which only the host knows where it is.
    fn secret(&self, attack: &Attack) -> String {
        format!("planted-{}-{}", attack.id, self.nonce)
    }

    fn host(&self, attack: &Attack, script: &str, dir: &Path) -> Ran {
        self.place.host(&attack.id, script, dir, &[("SECRET", &self.secret(attack))])
    }

    fn set_up(&self, attack: &Attack) -> Option<(Verdict, String)> {
        if attack.setup.is_empty() {
            return None;
        }
        let ran = self.host(attack, &attack.setup, &self.place.repo);
        unless_ok(&ran, "setting up")
    }

    /// The scene's own setup, after those of the attacks; whether it failed, which is then everybody's verdict.
    fn scene_setup(&self, attacks: &[&Attack], verdicts: &mut [Option<(Verdict, String)>]) -> bool {
        let ran = self.place.host("setup", &self.scene.setup, &self.place.repo, &[]);
        let Some(problem) = unless_ok(&ran, "setting up the scene") else { return false };
        debug_assert_eq!(attacks.len(), verdicts.len());
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_none()) {
            *verdict = Some(problem.clone());
        }
        true
    }

    /// Runs all payloads in one box, or without any; none where the scene has no box.
    fn payloads(&self, attacks: &[&Attack], boxed: bool) -> Option<Ran> {
        let run = match (self.scene.place, self.scene.run.as_str()) {
            (Where::Host, "") => return None,
            _ if !boxed => "cd \"$TREE\" && sh -c \"$PAYLOAD\"",
            (Where::Live, "") => "git coop run -- sh -c \"$PAYLOAD\"",
            (Where::Fork, "") => "git coop fork x -- sh -c \"$PAYLOAD\"",
            (_, run) => run,
        };
        let driver = self.driver(attacks);
        let mut ran = self.place.host("box", run, &self.place.repo, &[("PAYLOAD", &driver)]);
        ran.stdout = ran.stdout.replace("\r\n", "\n"); // a terminal was in between
        Some(ran)
    }

    /// A script that runs every payload in a shell of its own and says how each ended.
    fn driver(&self, attacks: &[&Attack]) -> String {
        let nonce = &self.nonce;
        let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let of = |name: &str| quote(&self.place.var(name).to_string_lossy());
        let mut out = format!("export MARK={} TREE={} HOSTHOME={}\n", of("MARK"), of("TREE"), of("HOME"));
        out.push_str("one() {\necho; echo \"@$N begin $1\"; ID=$1 timeout -k 1 \"$T\" sh -c \"$W\n$2\" </dev/null 2>&1; echo; echo \"@$N end $1 $?\"\n}\n");
        out.push_str(&format!("N={nonce} T={PAYLOAD}\n"));
        // the word that says "won" is put together when it is said, so that printing a script says nothing
        let words = format!("won() {{ echo \"won-\"\"{nonce} $*\"; }}\ncannot() {{ echo \"$*\"; exit {CANNOT}; }}");
        out.push_str(&format!("W={}\n", quote(&words)));
        for attack in attacks {
            let needs = match attack.needs.trim() {
                "" => String::new(),
                needs => format!("why=$({{\n{needs}\n}} 2>&1) || cannot \"$why\"\n"),
            };
            out.push_str(&format!("one {} {}\n", attack.id, quote(&format!("{needs}{}", attack.payload))));
        }
        out.push_str("exit 0\n");
        out
    }

    /// What the host does next, each different thing once; the attacks for which it did not end.
    fn triggers(&self, attacks: &[&Attack]) -> Vec<String> {
        let mut done: Vec<&String> = Vec::new();
        let mut slow = Vec::new();
        let tree = Path::new(self.place.var("TREE"));
        for attack in attacks {
            for trigger in &attack.trigger {
                if attack.alone || !done.contains(&trigger) {
                    let ran = self.host(attack, trigger, tree);
                    if ran.status.is_none() {
                        slow.push(attack.id.clone());
                    }
                    done.push(trigger);
                }
            }
        }
        slow
    }

    fn judge(&self, attack: &Attack, said: Option<&Ran>, slow: &[String]) -> (Verdict, String) {
        let check = match attack.check.as_str() {
            "" => None,
            script => unless_ok(&self.host(attack, script, &self.place.repo), "checking"),
        };
        if let Ok(mark) = std::fs::read_to_string(self.place.mark.join(&attack.id)) {
            let why = if mark.trim().is_empty() { "its program ran on the host" } else { mark.trim() };
            return (Verdict::Escaped, why.to_owned());
        }
        if slow.contains(&attack.id) {
            return (Verdict::Escaped, "a command on the host did not end".into());
        }
        if let Some(ran) = said {
            if ran.stdout.contains(&self.secret(attack)) || ran.stderr.contains(&self.secret(attack)) {
                return (Verdict::Escaped, "the secret was read".into());
            }
            let Some((text, status)) = self.part(attack, &ran.stdout) else {
                if !attack.limit.is_empty() && ran.stdout.contains(&format!("@{} begin {}", self.nonce, attack.id)) {
                    return (Verdict::Escaped, "the box was ended".into());
                }
                return (Verdict::Failed, format!("the box did not report: {}", complaint(ran)));
            };
            if let Some((_, why)) = text.split_once(&format!("won-{}", self.nonce)) {
                let line = why.lines().next().unwrap_or_default().trim();
                return (Verdict::Escaped, if line.is_empty() { "it worked".into() } else { line.to_owned() });
            }
            let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason").trim();
            match status {
                0 => {}
                CANNOT => return (Verdict::CannotRun, last.to_owned()),
                124 | 137 => return (Verdict::Failed, format!("the payload did not end in {PAYLOAD} s")),
                status => return (Verdict::Failed, format!("the payload ended with {status}: {last}")),
            }
        }
        check.unwrap_or((Verdict::Held, String::new()))
    }

    /// What the payload of `attack` printed, and its status.
    fn part<'t>(&self, attack: &Attack, stdout: &'t str) -> Option<(&'t str, i32)> {
        let (begin, end) =
            (format!("@{} begin {}\n", self.nonce, attack.id), format!("\n@{} end {} ", self.nonce, attack.id));
        let (_, rest) = stdout.split_once(&begin)?;
        let (text, rest) = rest.split_once(&end)?;
        Some((text, rest.lines().next()?.trim().parse().ok()?))
    }
}

/// A verdict for a host script that did not do its work.
fn unless_ok(ran: &Ran, what: &str) -> Option<(Verdict, String)> {
    match ran.status {
        Some(0) => None,
        Some(CANNOT) => {
            let line = ran.stdout.lines().next_back().unwrap_or("it gave no reason");
            Some((Verdict::CannotRun, line.to_owned()))
        }
        status => {
            let status = status.map_or("did not end".to_owned(), |s| format!("ended with {s}"));
            Some((Verdict::Failed, format!("{what} {status}: {}", complaint(ran))))
        }
    }
}

/// The first error that a script's programs printed, or its last line.
fn complaint(ran: &Ran) -> String {
    let error = ran.stderr.lines().find(|line| line.starts_with("error: ") || line.starts_with("fatal: "));
    error.map_or_else(|| ran.complaint(), |line| line.chars().take(300).collect())
}
