//! The rule table: parsed once per process from the text that is compiled in, switched by configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};

use super::checksum::Check;
use super::finding::Confidence;
use super::pattern::Pattern;

/// The table itself; its header documents the fields.
pub const TABLE: &str = include_str!("rules.toml");

/// Rules that are code and not a format: the structural detectors and the classifier.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("generic-secret", "value that looks random, assigned to a name that says secret, token or key"),
    ("generic-password", "value assigned to a name that says password"),
    ("vendor-credential", "random value beside the name of a service"),
    ("url-credentials", "user and password in a URL"),
    ("authorization-header", "Bearer, Basic or other credentials in a header"),
    ("private-key", "private key in PEM, OpenSSH or PGP armour"),
    ("key-store", "key store: PKCS#12 or Java, protected by no more than its password"),
    ("jwk-private-key", "JSON web key with its private part"),
    ("netrc-password", "password in a .netrc file"),
    ("pgpass-password", "password in a .pgpass file"),
    ("htpasswd-hash", "password hash in an htpasswd or shadow file"),
    ("docker-auth", "registry login in a Docker configuration"),
    ("kubernetes-secret", "data of a Kubernetes Secret"),
    ("connection-string-password", "password in a connection string"),
    ("command-line-password", "password given on a command line"),
];

/// One provider format.
#[derive(Debug)]
pub struct Rule {
    /// Stable identifier.
    pub id: String,
    /// What the secret opens.
    pub about: String,
    /// Literals that start the token; empty for keyed rules.
    pub prefixes: Vec<String>,
    /// What stands directly before the prefix, matched backwards.
    pub before: Option<Pattern>,
    /// What follows the prefix.
    pub body: Pattern,
    /// Whole-value patterns of a keyed rule.
    pub keyed: Vec<Pattern>,
    /// Words of which one must stand near a keyed value; `*` is any name that says secret.
    pub keys: Vec<String>,
    /// Whether the prefix may stand inside a token.
    pub infix: bool,
    /// Offline test.
    pub check: Check,
    /// Confidence before the test.
    pub sure: Confidence,
    /// Least number of different bytes in the body.
    pub floor: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    about: String,
    #[serde(default)]
    prefix: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    body: String,
    before: Option<String>,
    #[serde(default)]
    infix: bool,
    check: Option<String>,
    sure: Option<Confidence>,
    floor: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Vec<Raw>,
}

/// All rules, and which of them are switched off.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    off: Vec<bool>,
    off_built_in: Vec<&'static str>,
    hash: u64,
}

impl RuleSet {
    /// The compiled-in table, every rule on.
    pub fn built_in() -> RuleSet {
        RuleSet::parse(TABLE).expect("the compiled-in table is parsed by a test")
    }

    /// Parses a table. Errors: exit 2, naming the rule.
    pub fn parse(text: &str) -> Result<RuleSet> {
        let table: Table = toml::from_str(text).map_err(|e| Error::usage("rule table is not valid").because(e))?;
        let mut rules = Vec::with_capacity(table.rule.len());
        for raw in table.rule {
            let id = raw.id.clone();
            rules.push(compile(raw).map_err(|why| Error::usage(format!("rule '{id}': {why}")))?);
        }
        let off = vec![false; rules.len()];
        let mut set = RuleSet { rules, off, off_built_in: Vec::new(), hash: 0 };
        set.rehash(text);
        Ok(set)
    }

    /// Switches rules off by id. Errors: exit 2 for an id that does not exist.
    pub fn disable<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        for id in ids {
            if let Some(at) = self.rules.iter().position(|r| r.id == id) {
                self.off[at] = true;
            } else if let Some((name, _)) = BUILT_IN.iter().find(|(name, _)| *name == id) {
                self.off_built_in.push(name);
            } else {
                return Err(unknown(id));
            }
        }
        self.rehash(TABLE);
        Ok(())
    }

    /// Switches rules on again by id. Errors: exit 2 for an id that does not exist.
    pub fn enable<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        for id in ids {
            if let Some(at) = self.rules.iter().position(|r| r.id == id) {
                self.off[at] = false;
            } else if BUILT_IN.iter().any(|(name, _)| *name == id) {
                self.off_built_in.retain(|name| *name != id);
            } else {
                return Err(unknown(id));
            }
        }
        self.rehash(TABLE);
        Ok(())
    }

    /// The rules in table order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
    /// Whether the rule at `index` is on.
    pub fn is_on(&self, index: usize) -> bool {
        !self.off[index]
    }
    /// Whether the built-in detector `id` is on.
    pub fn is_on_built_in(&self, id: &str) -> bool {
        !self.off_built_in.contains(&id)
    }
    /// A number that changes whenever the same bytes could give other findings: the key of the scan cache.
    pub fn hash(&self) -> u64 {
        self.hash
    }
    /// Every id with what it is about.
    pub fn describe(&self) -> BTreeMap<&str, &str> {
        let table = self.rules.iter().map(|r| (r.id.as_str(), r.about.as_str()));
        table.chain(BUILT_IN.iter().copied()).collect()
    }

    fn rehash(&mut self, text: &str) {
        // FNV-1a over the table, the word lists, the switches and the version of the code
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        feed(env!("CARGO_PKG_VERSION").as_bytes());
        feed(&super::ENGINE.to_le_bytes());
        feed(&text.len().to_le_bytes());
        feed(text.as_bytes());
        for off in &self.off {
            feed(&[u8::from(*off)]);
        }
        for id in &self.off_built_in {
            feed(id.as_bytes());
        }
        self.hash = hash;
    }
}

fn unknown(id: &str) -> Error {
    Error::usage(format!("no rule is called '{id}'")).hint("git coop scan --list-rules")
}

fn compile(raw: Raw) -> Result<Rule, String> {
    let body = Pattern::parse(&raw.body)?;
    let before = raw.before.as_deref().map(Pattern::parse).transpose()?;
    let check = match raw.check.as_deref() {
        None => Check::None,
        Some(name) => Check::by_name(name).ok_or_else(|| format!("unknown check '{name}'"))?,
    };
    let keyed = if raw.keys.is_empty() {
        if raw.prefix.is_empty() {
            return Err("needs a prefix or keys".into());
        }
        Vec::new()
    } else if raw.prefix.is_empty() {
        vec![body.clone()]
    } else {
        raw.prefix.iter().map(|p| body.after(p)).collect()
    };
    Ok(Rule {
        id: raw.id,
        about: raw.about,
        prefixes: if raw.keys.is_empty() { raw.prefix } else { Vec::new() },
        before,
        body,
        keyed,
        keys: raw.keys,
        infix: raw.infix,
        check,
        sure: raw.sure.unwrap_or(Confidence::High),
        floor: raw.floor.unwrap_or(5),
    })
}
