//! Accounts that rest, shared by all loops of a user.

use std::path::PathBuf;

use coop::agent::Registry;
use coop::env::Env;
use coop::flow::cooldown::{Accounts, LONGEST, Ready};
use coop::git::Repo;
use coop::state::account::AccountState;

use crate::support::World;

const NOW: i64 = 1_800_000_000;

struct Here {
    world: World,
    registry: Registry,
}

impl Here {
    fn new() -> Here {
        let world = World::new();
        let registry = Registry::load(std::path::Path::new("/nonexistent")).expect("loads");
        Here { world, registry }
    }
    fn env(&self, now: i64) -> Env {
        let path = std::ffi::OsString::from(self.world.path());
        let home = self.world.home().into_os_string();
        Env::from_pairs([("PATH", path), ("HOME", home), ("COOP_TEST_NOW", now.to_string().into())])
    }
    fn at(&self, now: i64) -> Accounts {
        Accounts::open(&self.env(now)).expect("opens")
    }
    fn sign_in(&self, profile: &str) -> PathBuf {
        let dir = self.world.home().join(".config/coop/agents/claude/profiles").join(profile).join(".claude");
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = dir.join(".credentials.json");
        std::fs::write(&file, "{}").expect("a file");
        // a login from long ago
        self.touch(&file, NOW - 1_000_000);
        file
    }
    fn touch(&self, file: &std::path::Path, seconds: i64) {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
        let file = std::fs::File::options().append(true).open(file).expect("a file");
        file.set_modified(time).expect("a time");
    }
    fn ready(&self, now: i64) -> coop::Result<Ready> {
        self.at(now).ready(self.registry.get("claude").expect("known"), None)
    }
}

fn stamp(seconds: i64) -> Option<jiff::Timestamp> {
    Some(jiff::Timestamp::from_second(seconds).expect("a time"))
}

#[test]
fn the_next_profile_at_once_then_the_first_that_wakes() {
    let here = Here::new();
    assert_eq!(here.ready(NOW).expect_err("nobody").kind().code(), 2);
    here.sign_in("a");
    here.sign_in("b");
    let now = |profile: &str| Ready::Now(Some(profile.to_owned()));
    assert_eq!(here.ready(NOW).expect("ready"), now("a"));
    let until = here.at(NOW).cool("claude", Some("a"), stamp(NOW + 7_200), "limit").expect("cools");
    assert!((NOW + 7_200..NOW + 7_260).contains(&until));
    assert_eq!(here.ready(NOW).expect("ready"), now("b"));
    let earlier = here.at(NOW).cool("claude", Some("b"), stamp(NOW + 3_600), "limit").expect("cools");
    assert_eq!(here.ready(NOW).expect("ready"), Ready::Wake(earlier));
    assert_eq!(here.ready(earlier).expect("ready"), now("b"), "its time has come");
    assert_eq!(here.ready(until).expect("ready"), now("a"));
    // an asked-for profile waits for itself alone
    let asked = here.at(NOW).ready(here.registry.get("claude").expect("known"), Some("a")).expect("ready");
    assert_eq!(asked, Ready::Wake(until));
}

#[test]
fn without_a_reset_time_the_back_off_doubles_and_is_bounded() {
    let here = Here::new();
    here.sign_in("a");
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        let until = here.at(now).cool("claude", Some("a"), None, "busy").expect("cools");
        // a second loop with the same news is no second strike
        assert_eq!(here.at(now).cool("claude", Some("a"), None, "busy").expect("cools"), until);
        waits.push(until - now);
        now = until;
    }
    assert_eq!(waits[..4], [60, 120, 240, 480]);
    assert_eq!(waits[8], LONGEST);
    here.at(now).clear("claude", Some("a")).expect("clears");
    assert_eq!(here.at(now).cool("claude", Some("a"), None, "busy").expect("cools") - now, 60);
}

#[test]
fn the_later_of_two_times_stays() {
    let here = Here::new();
    here.sign_in("a");
    let late = here.at(NOW).cool("claude", Some("a"), stamp(NOW + 500_000), "weekly").expect("cools");
    assert_eq!(here.at(NOW).cool("claude", Some("a"), stamp(NOW + 600), "5h").expect("cools"), late);
    assert_eq!(here.at(NOW).cool("claude", Some("a"), None, "busy").expect("cools"), late);
}

#[test]
fn an_expired_login_is_out_until_somebody_logs_in() {
    let here = Here::new();
    let file = here.sign_in("a");
    here.at(NOW).expire("claude", Some("a"), "OAuth token revoked").expect("expires");
    let err = here.ready(NOW + 9_000_000).expect_err("out");
    assert_eq!(err.kind().code(), 2);
    assert!(err.render().contains("git coop login claude --profile a (OAuth token revoked)"), "{}", err.render());
    here.sign_in("b");
    assert_eq!(here.ready(NOW).expect("ready"), Ready::Now(Some("b".into())));
    here.touch(&file, NOW + 10);
    assert_eq!(here.ready(NOW + 11).expect("ready"), Ready::Now(Some("a".into())));
}

#[test]
fn two_repositories_and_many_loops_share_it() {
    let here = Here::new();
    here.sign_in("a");
    std::thread::scope(|scope| {
        for n in 0..12 {
            let here = &here;
            scope.spawn(move || here.at(NOW).cool("claude", Some("a"), stamp(NOW + 1000 + n), "limit").expect("cools"));
        }
    });
    let accounts = here.at(NOW);
    let found = accounts.candidates(here.registry.get("claude").expect("known"), None).expect("there").remove(0);
    assert_eq!((found.state, found.until), (AccountState::Cooling, NOW + 1011 + 5), "the latest of all won");
    // and it is ordinary git that tells
    let store = here.world.home().join(".local/state/coop/accounts.git");
    let repo = Repo::discover_or_bare(&store, &here.env(NOW)).expect("a repository");
    let log = here
        .world
        .git(&repo.git_dir, ["log", "--format=%s%n%(trailers:key=Coop-Reason)", "refs/coop/accounts/claude/a"]);
    assert!(log.contains("account claude/a: cooling until 2027-01-15T08:16:56Z\nCoop-Reason: limit"), "{log}");
    assert_eq!(here.world.git(&repo.git_dir, ["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn an_api_key_is_an_account_too() {
    let here = Here::new();
    let file = here.world.home().join(".config/coop/agents/env");
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
    std::fs::write(&file, "ANTHROPIC_API_KEY=dummy\n").expect("a file");
    here.touch(&file, NOW - 5);
    assert_eq!(here.ready(NOW).expect("ready"), Ready::Now(None));
    let until = here.at(NOW).cool("claude", None, stamp(NOW + 60), "limit").expect("cools");
    assert_eq!(here.ready(NOW).expect("ready"), Ready::Wake(until));
    here.at(NOW).expire("claude", None, "Invalid API key").expect("expires");
    let err = here.ready(NOW).expect_err("out");
    assert!(err.render().contains("Invalid API key"), "{}", err.render());
    here.touch(&file, NOW + 5);
    assert_eq!(here.ready(NOW + 6).expect("ready"), Ready::Now(None));
}

#[test]
fn the_list_of_profiles_shows_it_and_clear_forgets_it() {
    let here = Here::new();
    here.sign_in("a");
    here.sign_in("b");
    let dir = here.world.root();
    let before = here.world.coop(&dir, ["profiles"]).ok();
    assert!(!here.world.home().join(".local/state/coop/accounts.git").exists(), "looking makes nothing");
    here.at(NOW)
        .cool("claude", Some("a"), stamp(NOW + 7_195), "You've hit your \u{1b}[31m5-hour limit")
        .expect("cools");
    here.at(NOW).expire("claude", Some("b"), "OAuth token revoked").expect("expires");
    let text = here.world.coop(&dir, ["profiles"]).ok();
    assert!(text.contains("signed in, cools until ") && text.contains(" (2h00m)"), "{text}");
    assert!(text.contains("hit your \\u{1b}[31m5-hour limit"), "{text}");
    assert!(text.contains("signed in, login expired\n") && text.contains("OAuth token revoked"), "{text}");
    let rows: serde_json::Value =
        serde_json::from_str(&here.world.coop(&dir, ["profiles", "--json"]).ok()).expect("JSON");
    assert_eq!(rows[0]["cooling_until"], NOW + 7_200);
    assert_eq!(rows[1]["expired"], true);
    for profile in ["a", "b"] {
        assert_eq!(here.world.coop(&dir, ["profiles", "clear", "claude", profile]).ok(), "");
    }
    assert_eq!(here.world.coop(&dir, ["profiles"]).ok(), before);
    let _ = here.world.coop(&dir, ["profiles", "clear", "claude", "c"]).fails(2, "no profile 'c'");
}
