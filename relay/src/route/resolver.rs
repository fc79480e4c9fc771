//! From the next hop to the addresses to try (RFC 5321 section 5.1).
//!
//! Decisions:
//! - Names are asked for with a dot at their end, so that no search list makes others of them.
//! - A domain that does not exist, takes no mail, or has nothing with an address returns its mail; anything that
//!   another answer may follow keeps it waiting. No such answer about a smarthost returns mail: see
//!   [`RouteError::of_smarthost`].
//! - An exchanger that points to nothing, or cannot be looked up, is passed over while others are left.
//! - An exchanger that is the relay itself takes those with it that are no nearer to the domain; with nothing left, the mail
//!   goes back (5.4.6) instead of in circles. Addresses inside are passed over unless the route allows them.
//! - An exchanger's name may be an alias. RFC 2181 section 10.3 forbids it, and there are many.
//! - Where the route asks for DANE, answers are proved by DNSSEC, and an exchanger of which it cannot be learnt whether it has TLSA
//!   records is passed over like one that cannot be looked up (RFC 7672 section 2.1): with no other left, mail waits.

mod lookup;

use std::net::{IpAddr, SocketAddr};

use futures::future;
use hickory_resolver::proto::dnssec::TrustAnchors;

use super::{
    NextHop, ResolverSource, RouteCode, RouteError, Target, Terms,
    order::{self, Exchanger, MAX_TARGETS},
    servers::{Proofs, Servers},
    terms::is_private,
};
use crate::smtp::Domain;
use lookup::{Dns, Exchangers, Host, NoAnswer};

/// The port of mail exchangers.
const SMTP_PORT: u16 = 25;

/// Exchangers of one domain that are looked at: a domain that lists more of them asks for look-ups, not for mail.
const MAX_EXCHANGERS: usize = 16;

/// Exchangers whose addresses are looked up at a time; most domains have no more, and wait once.
const LOOKUPS_AT_ONCE: usize = 4;

/// Answers where mail goes.
pub struct Resolver {
    servers: Servers,
}

impl Resolver {
    /// A resolver that asks the servers of `source`; none is asked yet. Where answers are to be proved, it is from these keys on.
    #[must_use]
    pub fn new(source: ResolverSource, anchors: TrustAnchors) -> Resolver {
        Resolver { servers: Servers::new(source, anchors) }
    }

    /// The addresses to try, in this order: at least one, and no more than an attempt should take.
    ///
    /// # Errors
    /// When there is none now, or none at all.
    pub async fn targets(&self, hop: &NextHop, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
        match hop {
            NextHop::Mx(domain) => match domain.literal() {
                Some(address) => of_domain(domain, Host { addresses: vec![address], tlsa: None }, terms),
                None => self.by_mx(domain, terms).await,
            },
            NextHop::Smarthost { host, port } => self.of_smarthost(host, *port, terms).await,
            NextHop::Nowhere => {
                let text = "no route is for this recipient: its address has no domain, or one that no route names";
                Err(RouteError::of_domain(RouteCode::NoRoute, text.to_owned()))
            }
        }
    }

    async fn by_mx(&self, domain: &Domain, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
        let dns = self.ready(terms).map_err(|(code, text)| RouteError::of_domain(code, text))?;
        let no_such_domain =
            || RouteError::of_domain(RouteCode::NxDomain, format!("the domain {domain} does not exist"));
        match dns.exchangers(domain.as_str()).await {
            Ok(Exchangers { listed, proved }) => {
                let mut exchangers = order::by_preference(listed, &mut rand::rng());
                exchangers.retain(|exchanger| !exchanger.name.is_empty());
                if exchangers.is_empty() {
                    let text = format!("the domain {domain} takes no mail: its MX record says so");
                    return Err(RouteError::of_domain(RouteCode::NullMx, text));
                }
                exchangers.truncate(MAX_EXCHANGERS);
                of_exchangers(&dns, domain, (&exchangers, proved), terms).await
            }
            // Without an MX record the domain itself is the exchanger.
            Err(NoAnswer::NoRecord) => match dns.host(domain.as_str(), SMTP_PORT).await {
                Ok(host) => of_domain(domain, host, terms),
                Err(NoAnswer::NoName) => Err(no_such_domain()),
                Err(NoAnswer::NoRecord) => {
                    let text = format!("the domain {domain} has neither a mail exchanger nor an address");
                    Err(RouteError::of_domain(RouteCode::NoAddress, text))
                }
                Err(NoAnswer::Failed(code, text)) => Err(RouteError::of_domain(code, text)),
            },
            Err(NoAnswer::NoName) => Err(no_such_domain()),
            Err(NoAnswer::Failed(code, text)) => Err(RouteError::of_domain(code, text)),
        }
    }

    async fn of_smarthost(&self, host: &str, port: u16, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(targets(host, Host { addresses: vec![address], tlsa: None }, port));
        }
        let failed = |(code, text)| RouteError::of_smarthost(code, text);
        let dns = self.ready(terms).map_err(failed)?;
        match dns.host(host, port).await {
            Ok(found) => Ok(targets(host, found, port)),
            Err(NoAnswer::NoName) => {
                let text = format!(
                    "the smarthost {host} does not exist; no search list completes its name, so the route must give \
                     it whole"
                );
                Err(failed((RouteCode::NxDomain, text)))
            }
            Err(NoAnswer::NoRecord) => {
                Err(failed((RouteCode::NoAddress, format!("the smarthost {host} has no address"))))
            }
            Err(NoAnswer::Failed(code, text)) => Err(failed((code, text))),
        }
    }

    /// The texts of a name's TXT records; none where it has none.
    ///
    /// # Errors
    /// When it cannot be learnt.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, RouteError> {
        let failed = |(code, text)| RouteError::of_smarthost(code, text);
        let dns = self.dns(Proofs::None).map_err(failed)?;
        match dns.texts(name).await {
            Ok(texts) => Ok(texts),
            Err(NoAnswer::NoName | NoAnswer::NoRecord) => Ok(Vec::new()),
            Err(NoAnswer::Failed(code, text)) => Err(failed((code, text))),
        }
    }

    /// The addresses of a web server that a mail domain names, those inside left out unless `private`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn web_server(&self, name: &str, port: u16, private: bool) -> Result<Vec<SocketAddr>, RouteError> {
        let failed = |code, text| RouteError::of_smarthost(code, text);
        let dns = self.dns(Proofs::None).map_err(|(code, text)| failed(code, text))?;
        match dns.host(name, port).await {
            Ok(mut host) => {
                host.addresses.retain(|address| private || !is_private(*address));
                if host.addresses.is_empty() {
                    let text = format!("the address of {name} is none of the public Internet");
                    return Err(failed(RouteCode::PrivateAddress, text));
                }
                Ok(targets(name, host, port).into_iter().map(|target| target.address).collect())
            }
            Err(NoAnswer::NoName) => Err(failed(RouteCode::NxDomain, format!("{name} does not exist"))),
            Err(NoAnswer::NoRecord) => Err(failed(RouteCode::NoAddress, format!("{name} has no address"))),
            Err(NoAnswer::Failed(code, text)) => Err(failed(code, text)),
        }
    }

    fn ready(&self, terms: &Terms<'_>) -> Result<Dns, (RouteCode, String)> {
        self.dns(if terms.dane { Proofs::Dnssec } else { Proofs::None })
    }

    fn dns(&self, proofs: Proofs) -> Result<Dns, (RouteCode, String)> {
        let resolver = self.servers.current(proofs);
        resolver.map(|resolver| Dns { resolver, proofs }).map_err(|error| (RouteCode::DnsServers, error.to_string()))
    }
}

/// The exchangers' addresses, the preferred ones' first.
async fn of_exchangers(
    dns: &Dns,
    domain: &Domain,
    (exchangers, proved): (&[Exchanger], bool),
    terms: &Terms<'_>,
) -> Result<Vec<Target>, RouteError> {
    let mut found: Vec<(&Exchanger, Host)> = Vec::new();
    let mut failure = None;
    let mut own: Option<&Exchanger> = None;
    let mut inside = None;
    let mut count = 0;
    for some in exchangers.chunks(LOOKUPS_AT_ONCE) {
        let answers = future::join_all(some.iter().map(|exchanger| dns.host(&exchanger.name, SMTP_PORT))).await;
        for (exchanger, answer) in some.iter().zip(answers) {
            if terms.is_own_name(&exchanger.name) {
                own = own.or(Some(exchanger));
            }
            match answer {
                Ok(host) if host.addresses.iter().any(|address| (terms.ours)((*address, SMTP_PORT).into())) => {
                    own = own.or(Some(exchanger));
                }
                Ok(mut host) => {
                    inside = inside.or_else(|| host.addresses.iter().copied().find(|address| !terms.allow(*address)));
                    host.addresses.retain(|address| terms.allow(*address));
                    count += host.addresses.len();
                    found.push((exchanger, host));
                }
                Err(NoAnswer::Failed(code, text)) => failure = failure.or(Some((code, text))),
                Err(NoAnswer::NoName | NoAnswer::NoRecord) => {}
            }
        }
        if count >= MAX_TARGETS || own.is_some() {
            break;
        }
    }
    if let Some(own) = own {
        // Whoever is as near to the domain as this relay, or less, would only send it back here (RFC 5321 section 5.1).
        found.retain(|(exchanger, _)| exchanger.preference < own.preference);
    }
    let mut targets = Vec::new();
    for (exchanger, Host { addresses, tlsa }) in found {
        let addresses = order::in_turn(addresses, &mut rand::rng());
        order::add_targets(&mut targets, &exchanger.name, addresses, SMTP_PORT, tlsa.as_ref(), proved);
    }
    if !targets.is_empty() {
        return Ok(targets);
    }
    let (code, text) = match (failure, own, inside) {
        (Some(failure), _, _) => failure,
        (None, Some(own), _) => (RouteCode::MxLoop, looping(domain, &own.name)),
        (None, None, Some(address)) => (RouteCode::PrivateAddress, private(domain, address)),
        (None, None, None) => {
            let names: Vec<&str> = exchangers.iter().map(|exchanger| exchanger.name.as_str()).collect();
            (RouteCode::NoAddress, format!("no mail exchanger of {domain} has an address: {}", names.join(", ")))
        }
    };
    Err(RouteError::of_domain(code, text))
}

/// The addresses of a domain that is its own exchanger.
fn of_domain(domain: &Domain, mut host: Host, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
    let name = domain.as_str();
    if terms.is_own_name(name) || host.addresses.iter().any(|address| (terms.ours)((*address, SMTP_PORT).into())) {
        return Err(RouteError::of_domain(RouteCode::MxLoop, looping(domain, name)));
    }
    let inside = host.addresses.iter().copied().find(|address| !terms.allow(*address));
    host.addresses.retain(|address| terms.allow(*address));
    match inside {
        Some(address) if host.addresses.is_empty() => {
            Err(RouteError::of_domain(RouteCode::PrivateAddress, private(domain, address)))
        }
        _ => Ok(targets(name, host, SMTP_PORT)),
    }
}

fn looping(domain: &Domain, name: &str) -> String {
    format!("mail for {domain} loops back to this relay: its mail exchanger {name} is the relay itself")
}

fn private(domain: &Domain, address: IpAddr) -> String {
    format!(
        "the domain {domain} sends its mail to {address}, which is no address of the public Internet; a route may allow that \
         with mx.privateAddresses: Allow"
    )
}

/// The addresses of a host that no MX record names.
fn targets(name: &str, host: Host, port: u16) -> Vec<Target> {
    let mut targets = Vec::new();
    let addresses = order::in_turn(host.addresses, &mut rand::rng());
    order::add_targets(&mut targets, name, addresses, port, host.tlsa.as_ref(), true);
    targets
}

#[cfg(test)]
mod tests;
