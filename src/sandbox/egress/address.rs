//! Which addresses are of the public internet. Everything else is refused: this machine, its neighbours, the services
//! that tell a cloud machine its credentials, and every address that carries such a one inside.
//!
//! The ranges are those of the IANA special-purpose registries (RFC 6890 and successors) that are not globally
//! reachable, and the few addresses in public ranges at which clouds put their metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses in public ranges that are the cloud's own services (Azure's WireServer).
const SERVICES: [Ipv4Addr; 1] = [Ipv4Addr::new(168, 63, 129, 16)];

/// `address` as it is to be connected to (an IPv4 address that is mapped into IPv6 comes out), or why it is not of the
/// public internet.
pub fn public(address: IpAddr) -> Result<IpAddr, &'static str> {
    match address {
        IpAddr::V4(v4) => public_v4(v4).map(|()| address),
        IpAddr::V6(v6) => match embedded(v6) {
            Some((v4, true)) => public_v4(v4).map(|()| IpAddr::V4(v4)),
            Some((v4, false)) => public_v4(v4).map(|()| address),
            None => public_v6(v6).map(|()| address),
        },
    }
}

fn public_v4(a: Ipv4Addr) -> Result<(), &'static str> {
    let [b0, b1, b2, _] = a.octets();
    if a.is_loopback() || b0 == 0 {
        return Err("a loopback address");
    }
    if a.is_link_local() {
        return Err("a link-local address, where clouds keep their metadata");
    }
    if SERVICES.contains(&a) {
        return Err("an address of the cloud's own services");
    }
    let shared = b0 == 100 && (64..128).contains(&b1); // carrier-grade NAT, and where some clouds keep metadata
    if a.is_private() || shared {
        return Err("a private address");
    }
    let special = (b0 == 192 && b1 == 0 && b2 == 0) // protocol assignments
        || (b0 == 192 && b1 == 88 && b2 == 99) // 6to4 relays
        || (b0 == 198 && (b1 == 18 || b1 == 19)) // benchmarks
        || a.is_documentation()
        || b0 >= 224; // multicast, reserved, broadcast
    if special { Err("an address that is not of the public internet") } else { Ok(()) }
}

fn public_v6(a: Ipv6Addr) -> Result<(), &'static str> {
    let s = a.segments();
    if a.is_loopback() || a.is_unspecified() {
        return Err("a loopback address");
    }
    if s[0] & 0xffc0 == 0xfe80 {
        return Err("a link-local address");
    }
    if s[0] & 0xfe00 == 0xfc00 {
        return Err("a private address");
    }
    let special = s[0] & 0xe000 != 0x2000 // only 2000::/3 is given out
        || (s[0] == 0x2001 && s[1] < 0x0200) // protocol assignments, Teredo among them
        || (s[0] == 0x2001 && s[1] == 0x0db8)
        || (s[0] == 0x3fff && s[1] < 0x1000);
    if special { Err("an address that is not of the public internet") } else { Ok(()) }
}

/// The IPv4 address that an IPv6 address leads to, and whether it is only another way to write that one.
fn embedded(a: Ipv6Addr) -> Option<(Ipv4Addr, bool)> {
    let s = a.segments();
    let v4 = |hi: u16, lo: u16| Ipv4Addr::from((u32::from(hi) << 16) | u32::from(lo));
    if let Some(mapped) = a.to_ipv4_mapped() {
        return Some((mapped, true));
    }
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return Some((v4(s[6], s[7]), false)); // NAT64
    }
    if s[0] == 0x2002 {
        return Some((v4(s[1], s[2]), false)); // 6to4
    }
    let interface = (s[4] & 0xfcff, s[5]);
    if interface == (0, 0x5efe) {
        return Some((v4(s[6], s[7]), false)); // ISATAP
    }
    None
}

/// Whether this machine has `address` itself. The kernel answers to itself from the address that is asked for; no
/// packet is sent to find out.
pub fn own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_the_public_internet() {
        let refused = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.169.254 \
             172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 \
             224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::127.0.0.1 ::10.0.0.1 fe80::1 \
             febf::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001::1 2001:0:53aa:64c::1 2001:db8::1 3fff::1 5f00::1 \
             100::1 64:ff9b:1::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::127.0.0.1 \
             64:ff9b::a9fe:a9fe 64:ff9b::10.1.1.1 2002:7f00:1::1 2002:a9fe:a9fe::1 2002:c0a8:101::1 \
             2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:7f00:1 ::ffff:0:10.0.0.1";
        for text in refused.split_whitespace() {
            assert!(public(ip(text)).is_err(), "{text}");
        }
        for text in
            "1.1.1.1 9.255.255.255 100.63.255.255 172.15.0.1 172.32.0.1 192.169.0.1 223.255.255.254 2606:4700::1111 \
             2a00::1 64:ff9b::1.1.1.1 2002:101:101::1"
                .split_whitespace()
        {
            assert_eq!(public(ip(text)), Ok(ip(text)), "{text}");
        }
        assert_eq!(public(ip("::ffff:1.1.1.1")), Ok(ip("1.1.1.1")), "it is connected to as what it is");
    }

    #[test]
    fn own_addresses_are_known() {
        assert!(own(ip("127.0.0.1")));
        assert!(!own(ip("192.0.2.1")));
    }
}
