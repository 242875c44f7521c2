//! Which source wins, and that a typo is an error.

use super::*;

#[test]
fn strongest_source_wins_and_typos_fail() {
    let git = BTreeMap::from([("coop.egress".to_owned(), "none".to_owned())]);
    let s = Settings::resolve(&Env::default(), &git, "COOP_EGRESS=open\n").expect("resolves");
    assert_eq!((s.get("COOP_EGRESS"), s.source("COOP_EGRESS")), (Some("none"), Source::GitConfig));
    let env = Env::from_pairs([("COOP_EGRESS", "nonee")]);
    assert_eq!(Settings::resolve(&env, &git, "").expect_err("typo").kind().code(), 2);
    assert!(Settings::resolve(&Env::default(), &git, "COOP_EGRES=none").is_err());
    let slip = Env::from_pairs([("COOP_EGRES", "none"), ("COOP_TEST_NOW", "1")]);
    assert_eq!(Settings::resolve(&slip, &git, "").expect_err("slip").hints(), ["did you mean COOP_EGRESS?"]);
    let slip = BTreeMap::from([("coop.egres".to_owned(), "none".to_owned())]);
    assert!(Settings::resolve(&Env::default(), &slip, "").is_err());
    assert!(Settings::resolve(&Env::from_pairs([("COOP_SOMETHING_ELSE", "x")]), &git, "").is_ok());
    assert_eq!(bytes("4g"), Some(4 << 30));
    assert_eq!(bytes("0"), None);
    assert_eq!(millicpus("1.5"), Some(1500));
}
