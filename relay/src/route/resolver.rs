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

use std::net::IpAddr;

use futures::future;
use hickory_resolver::{
    TokioResolver,
    net::{DnsError, NetError, NoRecords},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::{
    NextHop, ResolverSource, RouteCode, RouteError, Target, Terms,
    order::{self, Exchanger, MAX_TARGETS},
    servers::Servers,
};
use crate::smtp::Domain;

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
    /// A resolver that asks the servers of `source`; none is asked yet.
    #[must_use]
    pub fn new(source: ResolverSource) -> Resolver {
        Resolver { servers: Servers::new(source) }
    }

    /// The addresses to try, in this order: at least one, and no more than an attempt should take.
    ///
    /// # Errors
    /// When there is none now, or none at all.
    pub async fn targets(&self, hop: &NextHop, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
        match hop {
            NextHop::Mx(domain) => match domain.literal() {
                Some(address) => of_domain(domain, vec![address], terms),
                None => self.by_mx(domain, terms).await,
            },
            NextHop::Smarthost { host, port } => self.of_smarthost(host, *port).await,
            NextHop::Nowhere => {
                let text = "no route is for this recipient: its address has no domain, or one that no route names";
                Err(RouteError::of_domain(RouteCode::NoRoute, text.to_owned()))
            }
        }
    }

    async fn by_mx(&self, domain: &Domain, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
        let resolver = self.ready().map_err(|(code, text)| RouteError::of_domain(code, text))?;
        let no_such_domain =
            || RouteError::of_domain(RouteCode::NxDomain, format!("the domain {domain} does not exist"));
        match exchangers(&resolver, domain.as_str()).await {
            Ok(exchangers) => {
                let mut exchangers = order::by_preference(exchangers, &mut rand::rng());
                exchangers.retain(|exchanger| !exchanger.name.is_empty());
                if exchangers.is_empty() {
                    let text = format!("the domain {domain} takes no mail: its MX record says so");
                    return Err(RouteError::of_domain(RouteCode::NullMx, text));
                }
                exchangers.truncate(MAX_EXCHANGERS);
                of_exchangers(&resolver, domain, &exchangers, terms).await
            }
            // Without an MX record the domain itself is the exchanger.
            Err(NoAnswer::NoRecord) => match addresses(&resolver, domain.as_str()).await {
                Ok(addresses) => of_domain(domain, addresses, terms),
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

    async fn of_smarthost(&self, host: &str, port: u16) -> Result<Vec<Target>, RouteError> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(targets(host, vec![address], port));
        }
        let failed = |(code, text)| RouteError::of_smarthost(code, text);
        let resolver = self.ready().map_err(failed)?;
        match addresses(&resolver, host).await {
            Ok(addresses) => Ok(targets(host, addresses, port)),
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

    fn ready(&self) -> Result<TokioResolver, (RouteCode, String)> {
        self.servers.current().map_err(|error| (RouteCode::DnsServers, error.to_string()))
    }
}

/// Why a question brought no record.
enum NoAnswer {
    /// There is no such name.
    NoName,
    /// The name has no such record.
    NoRecord,
    /// It is not known whether there is one.
    Failed(RouteCode, String),
}

/// The exchangers' addresses, the preferred ones' first.
async fn of_exchangers(
    resolver: &TokioResolver,
    domain: &Domain,
    exchangers: &[Exchanger],
    terms: &Terms<'_>,
) -> Result<Vec<Target>, RouteError> {
    let mut found: Vec<(&Exchanger, Vec<IpAddr>)> = Vec::new();
    let mut failure = None;
    let mut own: Option<&Exchanger> = None;
    let mut inside = None;
    let mut count = 0;
    for some in exchangers.chunks(LOOKUPS_AT_ONCE) {
        let answers = future::join_all(some.iter().map(|exchanger| addresses(resolver, &exchanger.name))).await;
        for (exchanger, answer) in some.iter().zip(answers) {
            if terms.is_own_name(&exchanger.name) {
                own = own.or(Some(exchanger));
            }
            match answer {
                Ok(addresses) if addresses.iter().any(|address| (terms.ours)((*address, SMTP_PORT).into())) => {
                    own = own.or(Some(exchanger));
                }
                Ok(mut addresses) => {
                    inside = inside.or_else(|| addresses.iter().copied().find(|address| !terms.allow(*address)));
                    addresses.retain(|address| terms.allow(*address));
                    count += addresses.len();
                    found.push((exchanger, addresses));
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
    for (exchanger, addresses) in found {
        let addresses = order::in_turn(addresses, &mut rand::rng());
        order::add_targets(&mut targets, &exchanger.name, addresses, SMTP_PORT);
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
fn of_domain(domain: &Domain, mut addresses: Vec<IpAddr>, terms: &Terms<'_>) -> Result<Vec<Target>, RouteError> {
    let name = domain.as_str();
    if terms.is_own_name(name) || addresses.iter().any(|address| (terms.ours)((*address, SMTP_PORT).into())) {
        return Err(RouteError::of_domain(RouteCode::MxLoop, looping(domain, name)));
    }
    let inside = addresses.iter().copied().find(|address| !terms.allow(*address));
    addresses.retain(|address| terms.allow(*address));
    match inside {
        Some(address) if addresses.is_empty() => {
            Err(RouteError::of_domain(RouteCode::PrivateAddress, private(domain, address)))
        }
        _ => Ok(targets(name, addresses, SMTP_PORT)),
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

fn targets(name: &str, addresses: Vec<IpAddr>, port: u16) -> Vec<Target> {
    let mut targets = Vec::new();
    order::add_targets(&mut targets, name, order::in_turn(addresses, &mut rand::rng()), port);
    targets
}

async fn exchangers(resolver: &TokioResolver, domain: &str) -> Result<Vec<Exchanger>, NoAnswer> {
    ask(resolver, domain, RecordType::MX, |data| match data {
        RData::MX(mx) => {
            let name = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
            Some(Exchanger { preference: mx.preference, name })
        }
        _ => None,
    })
    .await
}

/// The addresses of both families. A family about which nothing can be learnt is passed over where the other has some.
async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
    let six = ask(resolver, name, RecordType::AAAA, |data| match data {
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    let four = ask(resolver, name, RecordType::A, |data| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    });
    match future::join(six, four).await {
        (Ok(mut six), Ok(four)) => {
            six.extend(four);
            Ok(six)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(failed @ NoAnswer::Failed(..)), Err(_)) | (Err(_), Err(failed @ NoAnswer::Failed(..))) => Err(failed),
        (Err(NoAnswer::NoName), Err(_)) | (Err(_), Err(NoAnswer::NoName)) => Err(NoAnswer::NoName),
        (Err(NoAnswer::NoRecord), Err(NoAnswer::NoRecord)) => Err(NoAnswer::NoRecord),
    }
}

/// Asks for the records of one type and takes from them what `take` takes; never answers with an empty list.
async fn ask<T>(
    resolver: &TokioResolver,
    name: &str,
    record_type: RecordType,
    take: impl Fn(&RData) -> Option<T>,
) -> Result<Vec<T>, NoAnswer> {
    let Ok(absolute) = Name::from_ascii(format!("{name}.")) else {
        return Err(NoAnswer::Failed(RouteCode::BadName, format!("{name:?} is no host name")));
    };
    let lookup = resolver.lookup(absolute, record_type).await.map_err(|error| no_answer(&error, name, record_type))?;
    // Among the answers are the aliases on the way.
    let found: Vec<T> = lookup.answers().iter().filter_map(|record| take(&record.data)).collect();
    if found.is_empty() { Err(NoAnswer::NoRecord) } else { Ok(found) }
}

fn no_answer(error: &NetError, name: &str, record_type: RecordType) -> NoAnswer {
    let (code, why) = match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code: ResponseCode::NXDomain, .. })) => {
            return NoAnswer::NoName;
        }
        NetError::Dns(DnsError::NoRecordsFound(_)) => return NoAnswer::NoRecord,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => {
            (RouteCode::ServFail, "the DNS server could not find out".to_owned())
        }
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => {
            (RouteCode::Refused, "the DNS server refused to answer".to_owned())
        }
        NetError::Timeout => (RouteCode::DnsTimeout, "no DNS server answered in time".to_owned()),
        NetError::Io(_) | NetError::NoConnections | NetError::Busy => {
            (RouteCode::DnsUnreachable, format!("no DNS server could be reached: {error}"))
        }
        _ => (RouteCode::DnsProtocol, format!("the DNS server's answer could not be used: {error}")),
    };
    NoAnswer::Failed(code, format!("look up {record_type} of {name}: {why}"))
}

#[cfg(test)]
mod tests;
