//! Where a request wants to go, as its request line says it.

use std::fmt;
use std::net::IpAddr;

/// A host: a name in lower case without a final dot, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name that is asked for in DNS.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads one. Strict: what a resolver might take for an address in disguise (`127.1`, `0x7f.1`, `2130706433`),
    /// other characters than those of host names, and bare words such as `localhost` are none.
    pub fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[') {
            return Some(Host::Address(IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?)));
        }
        if let Ok(v4) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Host::Address(v4.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        is_name(&name).then_some(Host::Name(name))
    }
}

/// Whether `name` is a full host name: at least two labels of letters, digits, `-` and `_`, the last with a letter first.
pub fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && last != "localhost"
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Host::Address(v4) => write!(f, "{v4}"),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Target {
    /// `host:port`, or `host` where `default` says which port that means.
    pub fn parse(text: &str, default: Option<u16>) -> Option<Target> {
        let end = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text[end..].rfind(':') {
            Some(at) => (&text[..end + at], port(&text[end + at + 1..])?),
            None => (text, default?),
        };
        Some(Target { host: Host::parse(host)?, port })
    }
}

/// A port in plain digits, not 0.
pub fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_are_no_hosts() {
        for text in "127.1 0x7f.0.0.1 2130706433 017700000001 localhost localhost. a.localhost exa_mple example..com .example.com \
             -a.com a-.com exam%70le.com user@example.com example.com/x [::1 ::1 [fe80::1%25eth0] 1.2.3 1.2.3.4.5 \
             example.c\u{f6}m xn--a b c.d*"
            .split(' ')
        {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        assert_eq!(Host::parse("EXAMPLE.com."), Some(Host::Name("example.com".into())));
        assert!(matches!(Host::parse("[::ffff:1.2.3.4]"), Some(Host::Address(_))));
        assert_eq!(Host::parse(""), None);
    }

    #[test]
    fn ports() {
        let shown = |text: &str| Target::parse(text, None).map(|t| t.to_string());
        assert_eq!(shown("Example.com:443").as_deref(), Some("example.com:443"));
        assert_eq!(shown("[::1]:80").as_deref(), Some("[::1]:80"));
        for text in
            ["example.com", "example.com:", "example.com:0", "example.com:+80", "example.com:65536", "a.b:80:80"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(Target::parse("example.com", Some(80)).map(|t| t.port), Some(80));
    }
}
