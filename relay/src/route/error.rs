//! Why there is no way to a host.

pub use mailsluice_crds::catalogue::RouteCode;

/// Whether asking again can only give the same answer: it is the recipient's domain, not the way to it, that is wrong.
fn is_final(code: RouteCode) -> bool {
    match code {
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
fn status(code: RouteCode) -> (u16, u16) {
    match code {
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
        RouteError::new(code, text, is_final(code))
    }

    /// An error about a smarthost. However final the answer, the mail waits: what is wrong is the configuration or the
    /// smarthost's own zone, which its administrator will mend, and no recipient is to blame.
    pub(super) fn of_smarthost(code: RouteCode, text: String) -> RouteError {
        RouteError::new(code, text, false)
    }

    fn new(code: RouteCode, text: String, permanent: bool) -> RouteError {
        let (subject, detail) = status(code);
        RouteError { code, text, permanent, enhanced: (if permanent { 5 } else { 4 }, subject, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
