//! What applies to a client by its address and the port that it came to: whose word is taken for whom, and how much each may take.

use std::net::IpAddr;

use ipnet::IpNet;
use mailsluice_crds::relay::{BareNewlines, ClientLimits, Rates, SMTPRelaySpec, Trusted};

use crate::{
    access::{NetworkError, networks},
    limiter::Shares,
};

/// The border, as the manifest draws it.
#[derive(Debug)]
pub struct Border {
    ports: Vec<Port>,
    clients: Vec<Entry>,
    others: ClientLimits,
    all: Rates,
    connections: u32,
}

#[derive(Debug)]
struct Port {
    number: u16,
    proxies: Option<Vec<IpNet>>,
    xclients: Option<Vec<IpNet>>,
}

#[derive(Debug)]
struct Entry {
    networks: Vec<IpNet>,
    limits: ClientLimits,
    bare_newlines: BareNewlines,
}

/// What applies to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How much it may take.
    pub shares: Shares,
    /// What is done about a bare LF in the text of its messages.
    pub bare_newlines: BareNewlines,
}

impl Border {
    /// Reads what a manifest says.
    ///
    /// # Errors
    /// When a network is not in CIDR notation.
    pub fn new(spec: &SMTPRelaySpec) -> Result<Border, NetworkError> {
        let trusted =
            |trusted: &Option<Trusted>| trusted.as_ref().map(|trusted| networks(&trusted.networks)).transpose();
        let ports = spec.listeners.iter().map(|listener| {
            let (proxies, xclients) = (trusted(&listener.proxy_protocol)?, trusted(&listener.xclient)?);
            Ok(Port { number: listener.port, proxies, xclients })
        });
        let clients = spec.clients.iter().map(|client| {
            let limits = client.limits.or(&spec.limits.per_client);
            Ok(Entry { networks: networks(&client.networks)?, limits, bare_newlines: client.bare_newlines })
        });
        Ok(Border {
            ports: ports.collect::<Result<_, _>>()?,
            clients: clients.collect::<Result<_, _>>()?,
            others: spec.limits.per_client.clone(),
            all: spec.limits.all_clients.clone(),
            connections: spec.limits.client_connections,
        })
    }

    /// Whether whoever connects from `peer` to `port` has to say by the PROXY protocol for whom.
    #[must_use]
    pub fn is_proxy(&self, port: u16, peer: IpAddr) -> bool {
        self.port(port).and_then(|port| port.proxies.as_ref()).is_some_and(|proxies| holds(proxies, peer))
    }

    /// Whether whoever connects from `peer` to `port` may say by XCLIENT for whom.
    #[must_use]
    pub fn may_xclient(&self, port: u16, peer: IpAddr) -> bool {
        self.port(port).and_then(|port| port.xclients.as_ref()).is_some_and(|hosts| holds(hosts, peer))
    }

    /// What applies to `client`: the first entry that lists it decides.
    #[must_use]
    pub fn terms(&self, client: IpAddr) -> Terms {
        let entry = self.clients.iter().find(|entry| holds(&entry.networks, client));
        let limits = entry.map_or(&self.others, |entry| &entry.limits);
        Terms {
            shares: Shares::new(limits, &self.all, self.connections),
            bare_newlines: entry.map_or(BareNewlines::Refuse, |entry| entry.bare_newlines),
        }
    }

    fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    // Who comes over IPv4 into an IPv6 socket is known by the IPv4 address.
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::relay::Client;

    use super::*;

    #[test]
    fn the_first_entry_that_lists_a_client_decides_and_what_it_leaves_open_is_everybodys() {
        let mut spec = SMTPRelaySpec::default();
        spec.limits.client_connections = 9;
        spec.limits.per_client.rates.messages_per_minute = Some(7);
        let client = |network: &str, connections, bare_newlines| Client {
            networks: vec![network.to_owned()],
            limits: ClientLimits { connections, ..ClientLimits::default() },
            bare_newlines,
            ..Client::default()
        };
        spec.clients = vec![
            client("192.0.2.7/32", Some(3), BareNewlines::Normalize),
            client("192.0.2.0/24", None, BareNewlines::Refuse),
        ];
        spec.listeners[0].proxy_protocol = Some(Trusted { networks: vec!["10.0.0.0/8".into()] });
        let border = Border::new(&spec).unwrap();
        let rates = &spec.limits.per_client.rates;
        for (address, connections, bare_newlines) in [
            ("192.0.2.7", 3, BareNewlines::Normalize),
            ("::ffff:192.0.2.7", 3, BareNewlines::Normalize),
            ("192.0.2.8", 5, BareNewlines::Refuse),
            ("198.51.100.1", 5, BareNewlines::Refuse),
        ] {
            let own = ClientLimits { connections: Some(connections), rates: rates.clone() };
            let shares = Shares::new(&own, &Rates::default(), 9);
            assert_eq!(border.terms(address.parse().unwrap()), Terms { shares, bare_newlines }, "{address}");
        }
        for (port, peer, proxy) in [(25, "10.1.2.3", true), (25, "11.1.2.3", false), (26, "10.1.2.3", false)] {
            assert_eq!(border.is_proxy(port, peer.parse().unwrap()), proxy, "{peer} to {port}");
            assert!(!border.may_xclient(port, peer.parse().unwrap()));
        }
    }
}
