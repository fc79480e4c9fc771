//! From the next hop to the addresses to try (RFC 5321 section 5.1).
//!
//! Decisions:
//! - Names are asked for with a dot at their end, so that no search list makes others of them.
//! - A domain that does not exist, takes no mail, or has nothing with an address returns its mail; anything that
//!   another answer may follow keeps it waiting. No such answer about a smarthost returns mail: see
//!   [`RouteError::of_smarthost`].
//! - An exchanger that points to nothing, or cannot be looked up, is passed over while others are left.
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
    NextHop, ResolverSource, RouteCode, RouteError, Target,
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
    pub async fn targets(&self, hop: &NextHop) -> Result<Vec<Target>, RouteError> {
        match hop {
            NextHop::Mx(domain) => match domain.literal() {
                Some(address) => Ok(vec![Target { name: domain.to_string(), address: (address, SMTP_PORT).into() }]),
                None => self.by_mx(domain).await,
            },
            NextHop::Smarthost { host, port } => self.of_smarthost(host, *port).await,
            NextHop::Nowhere => {
                let text = "no route is for this recipient: its address has no domain, or one that no route names";
                Err(RouteError::of_domain(RouteCode::NoRoute, text.to_owned()))
            }
        }
    }

    async fn by_mx(&self, domain: &Domain) -> Result<Vec<Target>, RouteError> {
        let resolver = self.ready().map_err(|(code, text)| RouteError::of_domain(code, text))?;
        let no_such_domain =
            || RouteError::of_domain(RouteCode::NxDomain, format!("the domain {domain} does not exist"));
        match exchangers(&resolver, domain.as_str()).await {
            Ok(exchangers) => {
                let mut names = order::by_preference(exchangers, &mut rand::rng());
                names.retain(|name| !name.is_empty());
                if names.is_empty() {
                    let text = format!("the domain {domain} takes no mail: its MX record says so");
                    return Err(RouteError::of_domain(RouteCode::NullMx, text));
                }
                names.truncate(MAX_EXCHANGERS);
                of_exchangers(&resolver, domain, &names).await
            }
            // Without an MX record the domain itself is the exchanger.
            Err(NoAnswer::NoRecord) => match addresses(&resolver, domain.as_str()).await {
                Ok(addresses) => Ok(targets(domain.as_str(), addresses, SMTP_PORT)),
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
async fn of_exchangers(resolver: &TokioResolver, domain: &Domain, names: &[String]) -> Result<Vec<Target>, RouteError> {
    let mut targets = Vec::new();
    let mut failure = None;
    for names in names.chunks(LOOKUPS_AT_ONCE) {
        let found = future::join_all(names.iter().map(|name| addresses(resolver, name))).await;
        for (name, found) in names.iter().zip(found) {
            match found {
                Ok(addresses) => {
                    let addresses = order::in_turn(addresses, &mut rand::rng());
                    order::add_targets(&mut targets, name, addresses, SMTP_PORT);
                }
                Err(NoAnswer::Failed(code, text)) => failure = failure.or(Some((code, text))),
                Err(NoAnswer::NoName | NoAnswer::NoRecord) => {}
            }
        }
        if targets.len() >= MAX_TARGETS {
            break;
        }
    }
    match (targets.is_empty(), failure) {
        (false, _) => Ok(targets),
        (true, Some((code, text))) => Err(RouteError::of_domain(code, text)),
        (true, None) => {
            let text = format!("no mail exchanger of {domain} has an address: {}", names.join(", "));
            Err(RouteError::of_domain(RouteCode::NoAddress, text))
        }
    }
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
