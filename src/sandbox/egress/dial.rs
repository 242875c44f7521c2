//! Connects to a target that is allowed: resolves its name, refuses what is not of the public internet, and takes the
//! very address that was looked at.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::without::without;

use super::address;
use super::target::{Host, Target};

/// How long DNS may take.
const RESOLVE: Duration = Duration::from_secs(15);
/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(10);
/// How many addresses of a name are tried.
const TRIES: usize = 4;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It may not be reached.
    Denied(String),
    /// It cannot be reached.
    Unreachable(String),
}

/// A connection to `target`. With `at` the address is the user's own choice and nothing is resolved; without, every
/// address that is private, this machine's own or otherwise not public is refused.
pub async fn dial(target: &Target, at: Option<IpAddr>) -> Result<TcpStream, Failed> {
    let addresses = match (at, &target.host) {
        (Some(at), _) => return connect(SocketAddr::new(at, target.port)).await,
        (None, Host::Address(address)) => vec![*address],
        (None, Host::Name(name)) => resolve(name, target.port).await?,
    };
    let mut refused = None;
    let mut good: Vec<IpAddr> = Vec::new();
    for address in addresses {
        match address::public(address) {
            _ if without("proxy-address") => good.push(address),
            Ok(address) if address::own(address) => refused = Some((address, "this machine's own address")),
            Ok(address) if !good.contains(&address) => good.push(address),
            Ok(_) => {}
            Err(why) => refused = Some((address, why)),
        }
    }
    if good.is_empty() {
        return Err(match refused {
            Some((address, why)) => Failed::Denied(format!("{} is at {address}, {why}", target.host)),
            None => Failed::Unreachable(format!("{} has no address", target.host)),
        });
    }
    let mut last = Failed::Unreachable("no answer".into());
    for address in good.into_iter().take(TRIES) {
        match connect(SocketAddr::new(address, target.port)).await {
            // what the routing table knows and we do not: an address that comes back to this machine
            Ok(stream) if stream.local_addr().is_ok_and(|local| local.ip() == address) && !without("proxy-address") => {
                last = Failed::Denied(format!("{} is at {address}, this machine's own address", target.host));
            }
            Ok(stream) => return Ok(stream),
            Err(err) => last = err,
        }
    }
    Err(last)
}

async fn resolve(name: &str, port: u16) -> Result<Vec<IpAddr>, Failed> {
    // the final dot keeps the host's search list out
    match timeout(RESOLVE, tokio::net::lookup_host((format!("{name}."), port))).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(err)) => Err(Failed::Unreachable(format!("{name} cannot be resolved: {err}"))),
        Err(_) => Err(Failed::Unreachable(format!("{name} cannot be resolved: no answer from DNS"))),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failed> {
    let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(err)) => return Err(Failed::Unreachable(format!("{address}: {err}"))),
        Err(_) => return Err(Failed::Unreachable(format!("{address}: no answer"))),
    };
    let _ = stream.set_nodelay(true); // only slower without
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_of_this_machine_is_dialled() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
        listener.set_nonblocking(true).expect("nonblocking");
        let port = listener.local_addr().expect("address").port();
        let host = |text: &str| Target { host: Host::parse(text).expect("host"), port };
        for text in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[64:ff9b::127.0.0.1]"] {
            assert!(matches!(dial(&host(text), None).await, Err(Failed::Denied(_))), "{text}");
        }
        let localhost = Target { host: Host::Name("localhost".into()), port };
        assert!(matches!(dial(&localhost, None).await, Err(Failed::Denied(_) | Failed::Unreachable(_))));
        assert!(listener.accept().is_err(), "nobody came");
        assert!(dial(&host("a.example"), Some(IpAddr::from([127, 0, 0, 1]))).await.is_ok());
        assert!(listener.accept().is_ok());
    }
}
