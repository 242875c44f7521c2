//! The first message of a TLS connection: which server it names. The same host that the tunnel was asked for has to
//! stand there, or an allowed name would open every site that shares its servers.

use super::target::Host;

/// No first message is longer.
pub const LIMIT: usize = 64 << 10;

/// What the bytes at the beginning of a tunnel are.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not enough of them yet.
    More,
    /// Not TLS.
    Other,
    /// TLS, but not in a way that can be checked.
    Broken(&'static str),
    /// A ClientHello.
    Client {
        /// The server's name in lower case, if it has one.
        name: Option<String>,
        /// Whether it may hide another name (Encrypted Client Hello).
        hidden: bool,
    },
}

/// Reads the beginning of a tunnel (RFC 8446, 4.1.2 and 5.1; RFC 6066, 3). The message may be spread over records.
pub fn read(bytes: &[u8]) -> Hello {
    if bytes.is_empty() {
        return Hello::More;
    }
    if bytes[0] != 0x16 || bytes.get(1).is_some_and(|major| *major != 3) {
        return Hello::Other;
    }
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((head, tail)) = rest.split_at_checked(5) else { return Hello::More };
        if head[0] != 0x16 || head[1] != 3 {
            return Hello::Broken("another record inside of the first message");
        }
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if length == 0 || length > 1 << 14 {
            return Hello::Broken("a record of an impossible length");
        }
        let here = &tail[..length.min(tail.len())];
        message.extend_from_slice(here);
        if message.first().is_some_and(|kind| *kind != 1) {
            return Hello::Broken("no ClientHello");
        }
        if let Some(size) = message.get(1..4) {
            let size = usize::from(size[0]) << 16 | usize::from(size[1]) << 8 | usize::from(size[2]);
            if size > LIMIT {
                return Hello::Broken("a ClientHello that is too long");
            }
            if message.len() >= 4 + size {
                return client(&message[4..4 + size]).unwrap_or(Hello::Broken("a ClientHello that cannot be read"));
            }
        }
        if here.len() < length {
            return Hello::More;
        }
        rest = &tail[length..];
    }
}

/// A cursor over length-prefixed fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
    }
    /// A field with its length in `bytes` bytes in front.
    fn field(&mut self, bytes: usize) -> Option<Fields<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Fields)
    }
}

fn client(body: &[u8]) -> Option<Hello> {
    let mut body = Fields(body);
    body.take(2 + 32)?; // version and random
    body.field(1)?; // session id
    body.field(2)?; // cipher suites
    body.field(1)?; // compression
    let (mut name, mut hidden) = (None, false);
    if body.0.is_empty() {
        return Some(Hello::Client { name, hidden });
    }
    let mut extensions = body.field(2)?;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let mut data = extensions.field(2)?;
        match kind {
            0 if name.is_some() => return Some(Hello::Broken("two server names")),
            0 => {
                let mut list = data.field(2)?;
                let (kind, host) = (list.number(1)?, list.field(2)?);
                let host = std::str::from_utf8(host.0).ok()?;
                if kind != 0 || !list.0.is_empty() {
                    return Some(Hello::Broken("two server names"));
                }
                name = Some(host.to_ascii_lowercase());
            }
            0xfe0d | 0xffce => hidden = true,
            _ => {}
        }
    }
    body.0.is_empty().then_some(Hello::Client { name, hidden })
}

/// Whether a first message fits a tunnel to `host`. `strict` is for lists of hosts: there nothing may be hidden.
/// Errors say what is wrong.
pub fn fits(name: Option<&str>, hidden: bool, host: &Host, strict: bool) -> Result<(), &'static str> {
    match (name, host) {
        _ if hidden && strict => Err("its TLS hides the name of the server (ECH)"),
        (Some(name), Host::Name(host)) if name == host => Ok(()),
        (Some(_), _) => Err("its TLS names another server"),
        (None, Host::Name(_)) => Err("its TLS names no server"),
        (None, Host::Address(_)) => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ClientHello with these server names, in records of at most `record` bytes.
    pub fn hello(names: &[&str], ech: bool, record: usize) -> Vec<u8> {
        let field16 = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let mut extensions = vec![0, 23, 0, 0]; // extended master secret
        for name in names {
            let entry = [&[0][..], &field16(name.as_bytes())].concat();
            extensions.extend([0, 0]);
            extensions.extend(field16(&field16(&entry)));
        }
        if ech {
            extensions.extend([0xfe, 0x0d, 0, 1, 0]);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(field16(&extensions));
        let mut message = vec![1];
        message.extend(&(body.len() as u32).to_be_bytes()[1..]);
        message.extend(body);
        message.chunks(record).flat_map(|part| [&[0x16, 3, 1][..], &field16(part)].concat()).collect()
    }

    fn named(name: &str) -> Hello {
        Hello::Client { name: Some(name.into()), hidden: false }
    }

    #[test]
    fn the_name_is_found_however_it_is_cut() {
        for record in [1, 3, 50, 4096] {
            let whole = hello(&["Example.com"], false, record);
            assert_eq!(read(&whole), named("example.com"));
            for cut in 0..whole.len() {
                assert_eq!(read(&whole[..cut]), Hello::More, "{cut} of {}", whole.len());
            }
        }
        assert_eq!(read(&hello(&[], false, 99)), Hello::Client { name: None, hidden: false });
        assert_eq!(read(&hello(&["a.b"], true, 99)), Hello::Client { name: Some("a.b".into()), hidden: true });
        assert_eq!(read(&hello(&["a.b", "c.d"], false, 99)), Hello::Broken("two server names"));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Hello::Other);
        assert_eq!(read(b"SSH-2.0-x"), Hello::Other);
        assert!(matches!(read(&[0x16, 3, 1, 0, 0]), Hello::Broken(_)));
        assert!(matches!(read(&[0x16, 3, 1, 0, 1, 2]), Hello::Broken(_)), "a ServerHello");
    }

    #[test]
    fn it_has_to_name_the_host_of_the_tunnel() {
        let host = Host::parse("example.com").expect("host");
        let address = Host::parse("1.1.1.1").expect("host");
        assert_eq!(fits(Some("example.com"), false, &host, true), Ok(()));
        assert!(fits(Some("example.com"), true, &host, true).is_err());
        assert!(fits(Some("example.com"), true, &host, false).is_ok());
        assert!(fits(Some("other.example.com"), false, &host, true).is_err());
        assert!(fits(None, false, &host, true).is_err());
        assert!(fits(None, false, &address, true).is_ok() && fits(Some("example.com"), false, &address, true).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..200) {
            read(&bytes);
            let mut valid = hello(&["example.com"], false, 40);
            let at = at % valid.len();
            valid[at] ^= bytes.pop().unwrap_or(1);
            read(&valid);
        }
    }
}
