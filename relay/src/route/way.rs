//! What a route says of how mail leaves: under which envelope sender, and from which address.
//!
//! Decisions:
//! - Only the sender's domain is rewritten, and only in the envelope: the local part tells whose mail came back, and the header
//!   is what people read and what signatures cover. A null sender stays null, so that a bounce never gets an answer.
//! - Of the two families of addresses, one that `source` leaves out is not used: mail would leave from an address that nobody
//!   meant it to. An interface has addresses of both.

use std::net::{IpAddr, SocketAddr};

use mailsluice_crds::relay::{Route, SourceAddress};

use crate::smtp::{Domain, Mailbox, ReversePath};

/// How mail leaves on a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    sender_domain: Option<Domain>,
    source: Option<SourceAddress>,
}

impl Way {
    pub(super) fn of(route: &Route) -> Way {
        // The schema lets nothing through that is no domain.
        let sender_domain = route.sender_domain.as_deref().and_then(|domain| Domain::parse(domain).ok());
        Way { sender_domain, source: route.source.clone() }
    }

    /// The envelope sender on this route.
    #[must_use]
    pub fn sender(&self, sender: ReversePath) -> ReversePath {
        match (&self.sender_domain, &sender) {
            (Some(domain), ReversePath::Mailbox(mailbox)) => {
                let rewritten = Mailbox::parse(&format!("{}@{domain}", mailbox.local_part()));
                // An address that the longer domain makes too long for an envelope keeps its own.
                rewritten.map_or(sender, ReversePath::Mailbox)
            }
            _ => sender,
        }
    }

    /// Where connections come from; what the system chooses, where the route says nothing.
    #[must_use]
    pub fn source(&self) -> Option<&SourceAddress> {
        self.source.as_ref()
    }

    /// Whether there is a source for connections to this address.
    #[must_use]
    pub fn reaches(&self, target: SocketAddr) -> bool {
        self.source.as_ref().is_none_or(|source| source.interface.is_some() || local_address(source, target).is_some())
    }
}

/// The address that a connection to `target` comes from, where the source names one.
#[must_use]
pub fn local_address(source: &SourceAddress, target: SocketAddr) -> Option<IpAddr> {
    if target.is_ipv4() { source.ipv4.map(IpAddr::V4) } else { source.ipv6.map(IpAddr::V6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(sender_domain: Option<&str>, source: Option<SourceAddress>) -> Way {
        Way::of(&Route { sender_domain: sender_domain.map(str::to_owned), source, ..Route::default() })
    }

    #[test]
    fn the_domain_of_the_sender_is_rewritten_and_nothing_else() {
        let long = format!("{}@a.example", "l".repeat(64));
        let longer = format!("{}.example", ["d".repeat(60).as_str(); 3].join("."));
        for (domain, sender, want) in [
            (None, "a@shop.example", "a@shop.example"),
            (Some("bounces.example"), "a@shop.example", "a@bounces.example"),
            (Some("bounces.example"), "\"a @ b\"@shop.example", "\"a @ b\"@bounces.example"),
            (Some("bounces.example"), "grün@shop.example", "grün@bounces.example"),
            (Some("bounces.example"), "", ""),
            (Some(longer.as_str()), long.as_str(), long.as_str()),
        ] {
            let sender: ReversePath = sender.parse().unwrap();
            assert_eq!(way(domain, None).sender(sender).as_str(), want, "{domain:?}");
        }
    }

    #[test]
    fn a_family_without_a_source_is_not_used() {
        let (four, six): (SocketAddr, SocketAddr) =
            ("192.0.2.1:25".parse().unwrap(), "[2001:db8::1]:25".parse().unwrap());
        let ipv4 = Some("192.0.2.7".parse().unwrap());
        let ipv6 = Some("2001:db8::7".parse().unwrap());
        for (source, over_four, over_six) in [
            (None, true, true),
            (Some(SourceAddress { ipv4, ..SourceAddress::default() }), true, false),
            (Some(SourceAddress { ipv6, ..SourceAddress::default() }), false, true),
            (Some(SourceAddress { ipv4, ipv6, interface: None }), true, true),
            (Some(SourceAddress { interface: Some("net1".into()), ..SourceAddress::default() }), true, true),
            (Some(SourceAddress { ipv4, ipv6: None, interface: Some("net1".into()) }), true, true),
        ] {
            let way = way(None, source.clone());
            assert_eq!((way.reaches(four), way.reaches(six)), (over_four, over_six), "{source:?}");
        }
    }
}
