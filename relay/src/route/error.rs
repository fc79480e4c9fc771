//! Why there is no way to a host.

use std::fmt;

/// Names what is wrong; the Monitor, the log and the metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteCode {
    /// The DNS knows no such name.
    NxDomain,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// The name exists, and nothing that belongs to it has an address.
    NoAddress,
    /// The best exchanger that is left is the relay itself.
    MxLoop,
    /// All its addresses are inside ones, which the route does not allow.
    PrivateAddress,
    /// No route is for the domain.
    NoRoute,
    /// A smarthost's name that is none.
    BadName,
    /// The DNS server could not find out.
    ServFail,
    /// The DNS server does not answer such questions, or not to us.
    Refused,
    /// The DNS server did not answer in time.
    DnsTimeout,
    /// The DNS server could not be reached.
    DnsUnreachable,
    /// The DNS server's answer could not be used.
    DnsProtocol,
    /// The system's list of DNS servers could not be read.
    DnsServers,
    /// The answer is not proved, where DNSSEC is asked for.
    DnssecBogus,
}

impl RouteCode {
    /// All of them.
    pub const ALL: [RouteCode; 14] = [
        RouteCode::NxDomain,
        RouteCode::NullMx,
        RouteCode::NoAddress,
        RouteCode::MxLoop,
        RouteCode::PrivateAddress,
        RouteCode::NoRoute,
        RouteCode::BadName,
        RouteCode::ServFail,
        RouteCode::Refused,
        RouteCode::DnsTimeout,
        RouteCode::DnsUnreachable,
        RouteCode::DnsProtocol,
        RouteCode::DnsServers,
        RouteCode::DnssecBogus,
    ];

    /// The code as it is shown: an answer of the DNS by its own name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RouteCode::NxDomain => "NXDOMAIN",
            RouteCode::NullMx => "NULL_MX",
            RouteCode::NoAddress => "NO_ADDRESS",
            RouteCode::MxLoop => "MX_LOOP",
            RouteCode::PrivateAddress => "PRIVATE_ADDRESS",
            RouteCode::NoRoute => "NO_ROUTE",
            RouteCode::BadName => "BAD_NAME",
            RouteCode::ServFail => "SERVFAIL",
            RouteCode::Refused => "REFUSED",
            RouteCode::DnsTimeout => "DNS_TIMEOUT",
            RouteCode::DnsUnreachable => "DNS_UNREACHABLE",
            RouteCode::DnsProtocol => "DNS_PROTOCOL",
            RouteCode::DnsServers => "DNS_SERVERS",
            RouteCode::DnssecBogus => "DNSSEC_BOGUS",
        }
    }

    /// Whether asking again can only give the same answer: it is the recipient's domain, not the way to it, that is
    /// wrong.
    fn is_final(self) -> bool {
        match self {
            RouteCode::NxDomain
            | RouteCode::NullMx
            | RouteCode::NoAddress
            | RouteCode::MxLoop
            | RouteCode::PrivateAddress
            | RouteCode::NoRoute => true,
            RouteCode::BadName
            | RouteCode::ServFail
            | RouteCode::Refused
            | RouteCode::DnsTimeout
            | RouteCode::DnsUnreachable
            | RouteCode::DnsProtocol
            | RouteCode::DnsServers
            | RouteCode::DnssecBogus => false,
        }
    }

    /// Subject and detail of RFC 3463: 1.2 bad destination system, 1.10 null MX (RFC 7505), 4.4 unable to route, 4.6 routing loop,
    /// 3.5 system incorrectly configured, 4.3 directory server failure.
    fn status(self) -> (u16, u16) {
        match self {
            RouteCode::NxDomain => (1, 2),
            RouteCode::NullMx => (1, 10),
            RouteCode::NoAddress | RouteCode::PrivateAddress | RouteCode::NoRoute => (4, 4),
            RouteCode::MxLoop => (4, 6),
            RouteCode::BadName => (3, 5),
            RouteCode::ServFail
            | RouteCode::Refused
            | RouteCode::DnsTimeout
            | RouteCode::DnsUnreachable
            | RouteCode::DnsProtocol
            | RouteCode::DnsServers
            | RouteCode::DnssecBogus => (4, 3),
        }
    }
}

impl fmt::Display for RouteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no way to a host now, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct RouteError {
    /// What is wrong.
    pub code: RouteCode,
    /// The same as a sentence, with names.
    pub text: String,
    /// Whether the mail is to be returned rather than tried again.
    pub permanent: bool,
    /// The status of RFC 3463.
    pub enhanced: (u16, u16, u16),
}

impl RouteError {
    /// An error about a recipient's domain.
    pub(super) fn of_domain(code: RouteCode, text: String) -> RouteError {
        RouteError::new(code, text, code.is_final())
    }

    /// An error about a smarthost. However final the answer, the mail waits: what is wrong is the configuration or the
    /// smarthost's own zone, which its administrator will mend, and no recipient is to blame.
    pub(super) fn of_smarthost(code: RouteCode, text: String) -> RouteError {
        RouteError::new(code, text, false)
    }

    fn new(code: RouteCode, text: String, permanent: bool) -> RouteError {
        let (subject, detail) = code.status();
        RouteError { code, text, permanent, enhanced: (if permanent { 5 } else { 4 }, subject, detail) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_that_fits_the_monitor() {
        let names: HashSet<_> = RouteCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), RouteCode::ALL.len());
        for name in names {
            assert!(name.len() <= 32 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{name}");
        }
    }

    #[test]
    fn only_a_recipients_own_domain_returns_mail() {
        for code in RouteCode::ALL {
            let domain = RouteError::of_domain(code, String::new());
            assert_eq!(domain.enhanced.0, if domain.permanent { 5 } else { 4 }, "{code}");
            let smarthost = RouteError::of_smarthost(code, String::new());
            assert!(!smarthost.permanent && smarthost.enhanced.0 == 4, "{code}");
        }
    }
}
