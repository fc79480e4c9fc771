//! Which addresses may be tried for mail by MX: not those inside, unless the route says so, and never the relay's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What a route allows, and where the relay itself is.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Whether addresses that are not of the public Internet may be tried.
    pub private: bool,
    /// Whether answers are to be proved by DNSSEC, and hosts known by their TLSA records.
    pub dane: bool,
    /// The relay's own name.
    pub hostname: &'a str,
    /// Whether the relay itself listens there: mail would come back (RFC 5321 section 5.1).
    pub ours: &'a (dyn Fn(SocketAddr) -> bool + Sync),
}

impl Terms<'_> {
    /// Whether an exchanger of this name is the relay. A name without a dot, such as `localhost`, is everybody's.
    pub(super) fn is_own_name(&self, name: &str) -> bool {
        name.contains('.') && name.eq_ignore_ascii_case(self.hostname.trim_end_matches('.'))
    }

    /// Whether an address may be tried.
    pub(super) fn allow(&self, address: IpAddr) -> bool {
        self.private || !is_private(address)
    }
}

/// Whether a relay that listens on these ports of `bind` listens at `address`. On all addresses it listens at those that are
/// this machine's, which are those that the system lets a socket have.
#[must_use]
pub fn listens_at(bind: IpAddr, ports: &[u16], address: SocketAddr) -> bool {
    let here = || if bind.is_unspecified() { UdpSocket::bind((address.ip(), 0)).is_ok() } else { address.ip() == bind };
    ports.contains(&address.port()) && here()
}

/// Whether an address is not of the public Internet (RFC 6890): loopback, private, link-local, shared, for benchmarks,
/// multicast, reserved.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_private_four(four),
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => is_private_four(four),
            None => is_private_six(six),
        },
    }
}

fn is_private_four(four: Ipv4Addr) -> bool {
    let [first, second, ..] = four.octets();
    four.is_loopback()
        || four.is_private()
        || four.is_link_local()
        || matches!((first, second), (0, _) | (100, 64..=127) | (198, 18..=19) | (224.., _))
}

fn is_private_six(six: Ipv6Addr) -> bool {
    six.is_loopback()
        || six.is_unspecified()
        || six.is_unique_local()
        || six.is_unicast_link_local()
        || six.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_known_by_its_address() {
        for (address, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.169.254", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("198.18.0.5", true),
            ("198.20.0.5", false),
            ("0.0.0.0", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("93.184.215.14", false),
            ("::1", true),
            ("::", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("ff02::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:93.184.215.14", false),
            ("2606:2800:21f:cb07::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }

    #[test]
    fn a_relay_knows_where_it_listens() {
        let any = IpAddr::from([0, 0, 0, 0]);
        let one = IpAddr::from([127, 0, 0, 1]);
        for (bind, address, ours) in [
            (any, "127.0.0.1:25", true),
            (any, "127.0.0.1:26", false),
            (any, "192.0.2.1:25", false),
            (one, "127.0.0.1:25", true),
            (one, "127.0.0.2:25", false),
        ] {
            assert_eq!(listens_at(bind, &[25, 587], address.parse().unwrap()), ours, "{bind}: {address}");
        }
    }
}
