//! Who may relay: which client networks, and which senders each may use.

use std::net::IpAddr;

use ipnet::IpNet;
use mailsluice_crds::relay::Client;

use crate::smtp::{Reply, ReversePath};

/// Who may relay. Nobody may who is not listed.
#[derive(Debug, Default)]
pub struct Access {
    clients: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    networks: Vec<IpNet>,
    senders: Vec<SenderRule>,
}

#[derive(Debug, PartialEq, Eq)]
enum SenderRule {
    /// The null reverse-path, which bounces have.
    Null,
    Address(String),
    Domain(String),
}

/// A network that is not in CIDR notation.
#[derive(Debug, thiserror::Error)]
#[error("{network:?} is no network: write an address and a prefix length, such as \"198.18.0.0/24\"")]
pub struct NetworkError {
    network: String,
}

/// Reads networks in CIDR notation.
pub(crate) fn networks(texts: &[String]) -> Result<Vec<IpNet>, NetworkError> {
    texts.iter().map(|text| text.parse().map_err(|_| NetworkError { network: text.clone() })).collect()
}

impl Access {
    /// Reads the list of a manifest.
    ///
    /// # Errors
    /// When a network is not in CIDR notation.
    pub fn new(clients: &[Client]) -> Result<Access, NetworkError> {
        let clients = clients
            .iter()
            .map(|client| {
                let networks = networks(&client.networks)?;
                Ok(Listed { networks, senders: client.senders.iter().map(|rule| SenderRule::new(rule)).collect() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Access { clients })
    }

    /// Whether `client` may relay anything at all.
    #[must_use]
    pub fn lists(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.clients.iter().any(|entry| entry.networks.iter().any(|net| net.contains(&client)))
    }

    /// Whether `client` may relay mail from `sender`.
    ///
    /// Asked at RCPT and not before, so that a refusal shows in the client's log together with the message it is about.
    ///
    /// # Errors
    /// The reply that refuses: 550 5.7.1 (RFC 3463 section 3.8, delivery not authorized).
    pub fn check(&self, client: IpAddr, sender: &ReversePath) -> Result<(), Reply> {
        // A client that comes over IPv4 into an IPv6 socket is known by its IPv4 address.
        let client = client.to_canonical();
        let mut listed = self.clients.iter().filter(|entry| entry.networks.iter().any(|net| net.contains(&client)));
        let mut known = false;
        let allowed = listed.any(|entry| {
            known = true;
            entry.allows(sender)
        });
        match (allowed, known) {
            (true, _) => Ok(()),
            (false, true) => {
                Err(Reply::enhanced(550, (7, 1), format!("{sender} is not a sender that this client may use")))
            }
            (false, false) => {
                Err(Reply::enhanced(550, (7, 1), format!("relaying denied: {client} is not listed in clients")))
            }
        }
    }
}

impl Listed {
    fn allows(&self, sender: &ReversePath) -> bool {
        self.senders.is_empty() || self.senders.iter().any(|rule| rule.allows(sender))
    }
}

impl SenderRule {
    fn new(rule: &str) -> SenderRule {
        match rule.strip_prefix('@') {
            _ if rule == "<>" => SenderRule::Null,
            Some(domain) => SenderRule::Domain(domain.to_ascii_lowercase()),
            None => SenderRule::Address(rule.to_owned()),
        }
    }

    fn allows(&self, sender: &ReversePath) -> bool {
        match (self, sender.mailbox()) {
            (SenderRule::Null, mailbox) => mailbox.is_none(),
            // Senders are compared without regard to case, as every mail system does in practice.
            (SenderRule::Domain(allowed), Some(mailbox)) => mailbox.domain().eq_ignore_ascii_case(allowed),
            (SenderRule::Address(allowed), Some(mailbox)) => mailbox.as_str().eq_ignore_ascii_case(allowed),
            // Whoever is bound to some senders may not avoid that by having none.
            (SenderRule::Domain(_) | SenderRule::Address(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_networks_relay_and_only_with_their_senders() {
        let client = |networks: &[&str], senders: &[&str]| Client {
            networks: networks.iter().map(|text| (*text).to_owned()).collect(),
            senders: senders.iter().map(|text| (*text).to_owned()).collect(),
            ..Client::default()
        };
        let access = Access::new(&[
            client(&["192.0.2.0/24", "2001:db8::/32"], &[]),
            client(&["198.51.100.7/32"], &["@shop.test", "root@ops.test"]),
            client(&["198.51.100.0/24"], &["@wide.test"]),
            client(&["198.51.100.9/32"], &["<>"]),
        ])
        .unwrap();
        for (address, sender, allowed) in [
            ("192.0.2.9", "anyone@any.test", true),
            ("::ffff:192.0.2.9", "anyone@any.test", true),
            ("2001:db8::1", "", true),
            ("198.51.100.7", "a@shop.test", true),
            ("198.51.100.7", "A@SHOP.test", true),
            ("198.51.100.7", "Root@ops.test", true),
            ("198.51.100.7", "other@ops.test", false),
            ("198.51.100.7", "x@wide.test", true),
            ("198.51.100.8", "a@shop.test", false),
            ("198.51.100.7", "", false),
            ("198.51.100.8", "", false),
            ("198.51.100.9", "", true),
            ("198.51.100.9", "a@shop.test", false),
            ("203.0.113.1", "a@shop.test", false),
            ("203.0.113.1", "", false),
        ] {
            let result = access.check(address.parse().unwrap(), &sender.parse().unwrap());
            assert_eq!(result.is_ok(), allowed, "{sender:?} from {address}: {result:?}");
            if let Err(reply) = result {
                assert!(reply.to_string().starts_with("550 5.7.1 "), "{reply}");
            }
        }
    }
}
