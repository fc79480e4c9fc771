//! The next hop of a message, and its name.

use std::net::IpAddr;

use mailsluice_crds::relay::Smarthost;

use crate::smtp::Domain;

/// The name of [`NextHop::Nowhere`]: a domain that never exists (RFC 6761 section 6.4).
const NOWHERE: &str = "invalid";

/// Where the mail for one recipient domain goes.
///
/// Its name is all that a queue keeps of it, and says everything: a bare name is a domain whose exchangers the DNS
/// knows, a name with a port is a smarthost, which has no exchangers. So `mail.example.com`, the domain, and
/// `mail.example.com:25`, the smarthost, never share a queue, though they may lead to the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To the domain's own mail exchangers, or to the address that it is.
    Mx(Domain),
    /// To one host, whatever the domain.
    Smarthost {
        /// Its name in lower case without a dot at its end, or its address, IPv6 in brackets.
        host: String,
        /// Its TCP port.
        port: u16,
    },
    /// No route leads there.
    Nowhere,
}

impl NextHop {
    pub(super) fn smarthost(smarthost: &Smarthost) -> NextHop {
        let host = smarthost.host.trim_end_matches('.').to_ascii_lowercase();
        let host = match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(IpAddr::V4(address)) => address.to_string(),
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Err(_) => host,
        };
        NextHop::Smarthost { host, port: smarthost.port }
    }

    pub(super) fn mx(domain: Domain) -> NextHop {
        if domain.as_str() == NOWHERE { NextHop::Nowhere } else { NextHop::Mx(domain) }
    }

    /// The name in the Monitor: `example.com` or `[192.0.2.1]` for mail by MX, `mail.example.com:25` or
    /// `[2001:db8::1]:587` for a smarthost, `invalid` for mail that no route is for.
    #[must_use]
    pub fn host_name(&self) -> String {
        match self {
            NextHop::Mx(domain) => domain.as_str().to_owned(),
            NextHop::Smarthost { host, port } => format!("{host}:{port}"),
            NextHop::Nowhere => NOWHERE.to_owned(),
        }
    }

    /// The hop of that name.
    #[must_use]
    pub fn from_host_name(name: &str) -> NextHop {
        // The last colon of a literal such as `[IPv6:::1]` is not followed by digits alone.
        if let Some((host, port)) = name.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            return NextHop::Smarthost { host: host.to_owned(), port };
        }
        Domain::parse(name).map_or(NextHop::Nowhere, NextHop::mx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(domain: &str) -> NextHop {
        NextHop::mx(Domain::parse(domain).unwrap())
    }

    fn smarthost(host: &str, port: u16) -> NextHop {
        NextHop::smarthost(&Smarthost::new(host, port))
    }

    #[test]
    fn a_hop_has_one_name_and_the_name_says_all_of_it() {
        for (hop, name) in [
            (mx("Example.COM."), "example.com"),
            (mx("[192.0.2.1]"), "[192.0.2.1]"),
            (mx("[IPv6:2001:DB8:0::1]"), "[IPv6:2001:db8::1]"),
            (mx("[IPv6:::1]"), "[IPv6:::1]"),
            (mx("sink"), "sink"),
            (smarthost("mail.example.com", 25), "mail.example.com:25"),
            (smarthost("Mail.Example.com.", 587), "mail.example.com:587"),
            (smarthost("192.0.2.1", 25), "192.0.2.1:25"),
            (smarthost("2001:DB8::1", 25), "[2001:db8::1]:25"),
            (smarthost("[2001:db8::1]", 2525), "[2001:db8::1]:2525"),
            (NextHop::Nowhere, "invalid"),
        ] {
            assert_eq!(hop.host_name(), name);
            assert_eq!(NextHop::from_host_name(name), hop, "{name}");
        }
    }

    #[test]
    fn a_domain_and_a_smarthost_of_one_name_are_two_hosts() {
        assert_ne!(mx("mail.example.com").host_name(), smarthost("mail.example.com", 25).host_name());
    }

    #[test]
    fn the_domain_that_never_exists_is_nowhere() {
        assert_eq!(mx("invalid"), NextHop::Nowhere);
        assert_eq!(NextHop::from_host_name("no domain"), NextHop::Nowhere);
    }
}
