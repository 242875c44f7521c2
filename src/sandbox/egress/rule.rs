//! What a box may reach, as the user writes it: `example.com`, `example.com:8443`, `*.example.com`, an address, the
//! name of a set, or `mirror.corp:8080=10.0.0.5` for a host of a private network at an address that the user names.

use std::net::IpAddr;

use crate::error::{Error, Result};

use super::address;
use super::target::{Host, Target, is_name, port};

/// Ports of a rule that names none.
const WEB: [u16; 2] = [443, 80];

/// One host that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    /// `None` is [`WEB`].
    port: Option<u16>,
    at: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Host),
    /// Every name below this one, not itself.
    Below(String),
}

/// How a target may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// The address to take, instead of asking DNS.
    pub at: Option<IpAddr>,
    /// Something else than TLS may be spoken through a tunnel: the user named a port that is not the web's.
    pub any_protocol: bool,
}

/// Named sets: what package managers need to install, and nothing that takes uploads where that can be told apart.
pub const SETS: &[(&str, &[&str])] = &[
    ("npm", &["registry.npmjs.org:443"]),
    ("pypi", &["pypi.org:443", "files.pythonhosted.org:443"]),
    ("crates", &["index.crates.io:443", "static.crates.io:443", "crates.io:443"]),
    ("debian", &["deb.debian.org", "security.debian.org", "ftp.debian.org", "cdn-fastly.deb.debian.org"]),
    (
        "github",
        &[
            "github.com:443",
            "api.github.com:443",
            "codeload.github.com:443",
            "raw.githubusercontent.com:443",
            "objects.githubusercontent.com:443",
            "release-assets.githubusercontent.com:443",
            "github-releases.githubusercontent.com:443",
        ],
    ),
];

impl Rule {
    /// Reads a list separated by spaces or commas. Errors (exit 2) name the entry.
    pub fn list(text: &str) -> Result<Vec<Rule>> {
        let words = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty());
        words.map(Rule::parse).collect::<Result<Vec<_>>>().map(|lists| lists.into_iter().flatten().collect())
    }

    /// Reads one entry; a set is several rules. Errors: exit 2.
    pub fn parse(word: &str) -> Result<Vec<Rule>> {
        if let Some((_, hosts)) = SETS.iter().find(|(name, _)| *name == word) {
            return hosts.iter().map(|host| Rule::one(host)).collect();
        }
        Rule::one(word).map(|rule| vec![rule])
    }

    /// Exactly `target`; an address in it is the user's own choice.
    pub fn of(target: &Target) -> Rule {
        let at = match target.host {
            Host::Address(at) => Some(at),
            Host::Name(_) => None,
        };
        Rule { pattern: Pattern::Exact(target.host.clone()), port: Some(target.port), at }
    }

    fn one(word: &str) -> Result<Rule> {
        let wrong = |why: &str| {
            Error::usage(format!("'{word}' is no host that a box can be allowed to reach: {why}")).hint(
                "example.com, example.com:8443, *.example.com, 'mirror.corp:8080=10.0.0.5', or a set: ".to_owned()
                    + &sets(),
            )
        };
        let (name, at) = match word.split_once('=') {
            Some((name, at)) => (name, Some(at.parse::<IpAddr>().map_err(|_| wrong("after '=' stands an address"))?)),
            None => (word, None),
        };
        if name.contains("//") || name.contains('/') {
            return Err(wrong("a host, without a scheme or a path"));
        }
        let (name, port) = split_port(name).ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
        if let Some(parent) = name.strip_prefix("*.") {
            let parent = parent.to_ascii_lowercase();
            if !is_name(&parent) {
                return Err(wrong("a wildcard is a whole first label in front of a name with a dot"));
            }
            if at.is_some() {
                return Err(wrong("an address goes with one name"));
            }
            return Ok(Rule { pattern: Pattern::Below(parent), port, at });
        }
        if name.contains('*') {
            return Err(wrong("a wildcard is the whole first label"));
        }
        let host = Host::parse(name).ok_or_else(|| match crate::ui::nearest(word, SETS.iter().map(|(n, _)| *n)) {
            Some(near) => wrong(&format!("did you mean the set '{near}'?")),
            None => wrong("a full name in ASCII, or an address"),
        })?;
        if let (Host::Address(ip), None) = (&host, at)
            && let Err(why) = address::public(*ip)
        {
            return Err(wrong(&format!("it is {why}; '{word}={ip}' says that you mean it")));
        }
        Ok(Rule { pattern: Pattern::Exact(host), port, at })
    }

    /// Whether the rule allows `target`, and how.
    pub fn allows(&self, target: &Target) -> Option<Allowed> {
        let host = match (&self.pattern, &target.host) {
            (Pattern::Exact(host), asked) => host == asked,
            (Pattern::Below(parent), Host::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Pattern::Below(_), Host::Address(_)) => false,
        };
        let port = self.port.map_or(WEB.contains(&target.port), |port| port == target.port);
        (host && port)
            .then_some(Allowed { at: self.at, any_protocol: self.port.is_some_and(|port| !WEB.contains(&port)) })
    }
}

/// Splits a port off; `None` where it is none.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = text.rfind(']').map_or(0, |at| at + 1);
    match text[end..].rfind(':') {
        Some(at) => Some((&text[..end + at], Some(port(&text[end + at + 1..])?))),
        None => Some((text, None)),
    }
}

/// The names of the sets.
pub fn sets() -> String {
    SETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.pattern {
            Pattern::Exact(host) => write!(f, "{host}")?,
            Pattern::Below(parent) => write!(f, "*.{parent}")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(at) = self.at {
            write!(f, "={at}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, target: &str) -> bool {
        let target = Target::parse(target, None).expect("a target");
        Rule::parse(rule).expect("a rule").iter().any(|rule| rule.allows(&target).is_some())
    }

    #[test]
    fn exact_host_and_port() {
        assert!(allows("example.com", "example.com:443") && allows("EXAMPLE.com.", "example.com:80"));
        for other in [
            "example.com:8443",
            "example.com:22",
            "www.example.com:443",
            "example.com.evil.org:443",
            "notexample.com:443",
        ] {
            assert!(!allows("example.com", other), "{other}");
        }
        assert!(allows("example.com:8443", "example.com:8443") && !allows("example.com:8443", "example.com:443"));
        assert!(allows("1.1.1.1", "1.1.1.1:443") && !allows("1.1.1.1", "1.1.1.2:443"));
        assert!(allows("crates", "index.crates.io:443") && !allows("crates", "index.crates.io:80"));
    }

    #[test]
    fn a_wildcard_is_a_whole_leading_label() {
        assert!(allows("*.example.com", "a.example.com:443") && allows("*.example.com", "a.b.example.com:443"));
        for other in ["example.com:443", "aexample.com:443", "a.example.com.evil.org:443", "evil-example.com:443"] {
            assert!(!allows("*.example.com", other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_name() {
        let wrong = "* *.com a*.example.com *example.com www.*.com https://example.com example.com/path example.com:0 \
             example.com:http localhost 127.0.0.1 10.0.0.1 169.254.169.254 [::1] [::ffff:10.0.0.1] 127.1 user@example.com npn \
             *.example.com=1.2.3.4 mirror.corp=host exa\u{1b}mple.com .. \u{e9}.com";
        for word in wrong.split(' ').filter(|w| !w.is_empty()) {
            let err = Rule::list(word).expect_err(word);
            assert!(err.kind().code() == 2 && err.message().contains(word), "{word}: {}", err.render());
        }
        assert!(Rule::list("npn").expect_err("slip").message().contains("'npm'"));
        assert_eq!(Rule::list("a.example, b.example\tnpm").expect("list").len(), 3);
        assert_eq!(Rule::list("").expect("empty").len(), 0);
    }

    #[test]
    fn an_address_that_the_user_names_is_taken() {
        let target = Target::parse("mirror.corp:8080", None).expect("a target");
        let rules = Rule::parse("mirror.corp:8080=10.0.0.5").expect("a rule");
        let allowed = rules[0].allows(&target).expect("allowed");
        assert_eq!((allowed.at, allowed.any_protocol), (Some("10.0.0.5".parse().expect("ip")), true));
        assert_eq!(rules[0].to_string(), "mirror.corp:8080=10.0.0.5");
    }
}
