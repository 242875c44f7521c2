//! The attacks as data: `attacks/*.toml` of this package, compiled in. `attacks/README.md` describes the format.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::{Context as _, Error, Result};

/// The files, in the order in which they are run and reported.
const FILES: &[(&str, &str)] = &[
    ("secrets", include_str!("../../../attacks/secrets.toml")),
    ("git", include_str!("../../../attacks/git.toml")),
    ("landing", include_str!("../../../attacks/landing.toml")),
    ("terminal", include_str!("../../../attacks/terminal.toml")),
    ("files", include_str!("../../../attacks/files.toml")),
    ("credentials", include_str!("../../../attacks/credentials.toml")),
    ("network", include_str!("../../../attacks/network.toml")),
    ("kernel", include_str!("../../../attacks/kernel.toml")),
    ("resources", include_str!("../../../attacks/resources.toml")),
];

/// Where the payloads of a scene run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// `git coop run` in the live checkout.
    #[default]
    Live,
    /// `git coop fork x`.
    Fork,
    /// Nowhere: setup, trigger and check on the host are the attack.
    Host,
}

/// Attacks that begin in the same kind of repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Unique name.
    pub name: String,
    /// The group, which is the stem of the file it is in.
    #[serde(skip)]
    pub group: String,
    /// Where payloads run; in more than one place, each attack is one per place.
    #[serde(rename = "in")]
    places: Vec<Where>,
    /// The place of this one.
    #[serde(skip)]
    pub place: Where,
    /// Host shell, in the repository, before the attacks' own setups.
    #[serde(default)]
    pub setup: String,
    /// Host shell that runs `$PAYLOAD` in a box; the default is what `in` says.
    #[serde(default)]
    pub run: String,
    /// `COOP_*` settings.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The attacks.
    #[serde(rename = "attack")]
    pub attacks: Vec<Attack>,
}

/// One attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Unique name.
    pub id: String,
    /// What it tries, as a sentence.
    pub tries: String,
    /// Where it is known from: a manual page, a CVE, a report.
    pub source: String,
    /// The defences that hold it; removing one of them lets it succeed.
    #[serde(default)]
    pub defences: Vec<String>,
    /// The runtimes it applies to; all where empty.
    #[serde(default)]
    pub runtimes: Vec<String>,
    /// Shell in the box: a non-zero exit says that this attack cannot run here, and its output why.
    #[serde(default)]
    pub needs: String,
    /// Host shell, in the repository.
    #[serde(default)]
    pub setup: String,
    /// Shell in the box, in the work tree: what the agent does.
    #[serde(default)]
    pub payload: String,
    /// Host shells, each in the work tree: what the user, their editor or coop does next.
    #[serde(default)]
    pub trigger: Vec<String>,
    /// Host shell, in the repository, that calls `escaped WHY` where the attack succeeded.
    #[serde(default)]
    pub check: String,
    /// Whether it needs a repository and a box of its own.
    #[serde(default)]
    pub alone: bool,
    /// Whether the same payload and trigger succeed where there is no box.
    #[serde(default)]
    pub control: bool,
    /// Why this cannot be held and what coop does about it; then a success is no surprise.
    #[serde(default)]
    pub limit: String,
}

impl Scene {
    /// This scene in one of its places.
    fn at(&self, group: &str, place: Where) -> Scene {
        let mut scene = Scene { group: group.to_owned(), place, ..self.clone() };
        if self.places.len() > 1 {
            let suffix = if place == Where::Fork { "fork" } else { "live" };
            scene.name = format!("{}-{suffix}", self.name);
            for attack in &mut scene.attacks {
                attack.id = format!("{}-{suffix}", attack.id);
            }
        }
        scene
    }
}

/// All scenes. Errors: a file that is wrong, which the tests rule out.
pub fn all() -> Result<Vec<Scene>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        scene: Vec<Scene>,
    }
    let mut scenes = Vec::new();
    for (group, text) in FILES {
        let file: File = toml::from_str(text).or_bug(format!("attacks/{group}.toml is wrong"))?;
        for scene in file.scene {
            scenes.extend(scene.places.iter().map(|place| scene.at(group, *place)));
        }
    }
    Ok(scenes)
}

/// The scenes with only the attacks of `groups` and `names`; all where both are empty. Errors: exit 2 for a word that
/// is neither.
pub fn chosen(groups: &[String], names: &[String]) -> Result<Vec<Scene>> {
    let mut scenes = all()?;
    let known_groups: BTreeSet<String> = scenes.iter().map(|s| s.group.clone()).collect();
    let known: BTreeSet<String> = scenes.iter().flat_map(|s| s.attacks.iter().map(|a| a.id.clone())).collect();
    let unknown = |what: &str, word: &String, known: &BTreeSet<String>| {
        let near = crate::ui::nearest(word, known.iter().map(String::as_str));
        let hint = near.map_or("git coop doctor --attack --list".to_owned(), |near| format!("did you mean '{near}'?"));
        Error::usage(format!("no {what} '{word}'")).hint(hint)
    };
    if let Some(word) = groups.iter().find(|g| !known_groups.contains(*g)) {
        return Err(unknown("group of attacks", word, &known_groups));
    }
    if let Some(word) = names.iter().find(|n| !known.contains(*n)) {
        return Err(unknown("attack", word, &known));
    }
    for scene in &mut scenes {
        let whole = (groups.is_empty() && names.is_empty()) || groups.contains(&scene.group);
        scene.attacks.retain(|attack| whole || names.contains(&attack.id));
    }
    scenes.retain(|scene| !scene.attacks.is_empty());
    Ok(scenes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_sound() {
        let scenes = all().expect("every file parses");
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        for scene in &scenes {
            assert!(names.insert(&scene.name), "scene {} is there twice", scene.name);
            for attack in &scene.attacks {
                let id = &attack.id;
                assert!(ids.insert(id), "{id} is there twice");
                assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{id}");
                assert!(!attack.tries.is_empty() && !attack.source.is_empty(), "{id} says too little");
                assert!(scene.place == Where::Host || !attack.payload.is_empty(), "{id} does nothing");
                let runtimes = ["bwrap", "docker", "podman", "container"];
                assert!(attack.runtimes.iter().all(|r| runtimes.contains(&r.as_str())), "{id}: runtimes");
            }
        }
    }

    #[test]
    fn a_word_that_is_none_is_an_error() {
        assert!(chosen(&["nothing".into()], &[]).is_err());
        assert!(chosen(&[], &["nothing".into()]).is_err());
        let one = all().expect("corpus")[0].attacks[0].id.clone();
        let found = chosen(&[], &[one]).expect("known");
        assert_eq!(found.iter().map(|s| s.attacks.len()).sum::<usize>(), 1);
    }
}
