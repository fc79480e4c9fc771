//! The questions themselves, and what answers and silence mean.

use std::{net::IpAddr, sync::Arc};

use futures::future;
use hickory_resolver::{
    TokioResolver,
    net::{DnsError, NetError, NoRecords},
    proto::{
        dnssec::Proof,
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::super::{
    RouteCode,
    order::Exchanger,
    proof::{self, Chain},
    servers::Proofs,
};
use crate::tls::dane::{RawTlsa, TlsaSet};

/// Whom to ask, and whether to believe it.
pub(super) struct Dns {
    pub(super) resolver: TokioResolver,
    pub(super) proofs: Proofs,
}

/// Why a question brought no record.
pub(super) enum NoAnswer {
    /// There is no such name.
    NoName,
    /// The name has no such record.
    NoRecord,
    /// It is not known whether there is one.
    Failed(RouteCode, String),
}

/// A host, as far as the DNS knows it.
pub(super) struct Host {
    /// At least one.
    pub(super) addresses: Vec<IpAddr>,
    /// Its TLSA records, where they were asked for and it is proved that it has some.
    pub(super) tlsa: Option<Arc<TlsaSet>>,
}

/// The exchangers that a domain lists.
pub(super) struct Exchangers {
    /// At least one.
    pub(super) listed: Vec<Exchanger>,
    /// Whether it is proved that the domain lists them.
    pub(super) proved: bool,
}

/// Records, whether all of the answer is proved, and the names below which TLSA records of the name may be looked for.
struct Found<T> {
    records: Vec<T>,
    proved: bool,
    bases: Vec<String>,
}

impl Dns {
    pub(super) async fn exchangers(&self, domain: &str) -> Result<Exchangers, NoAnswer> {
        let take = |data: &RData| match data {
            RData::MX(mx) => {
                let name = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                Some(Exchanger { preference: mx.preference, name })
            }
            _ => None,
        };
        // Those of a domain that nobody signs are as good: their own records protect them (RFC 7672 section 2.2.1).
        let Found { records: listed, proved, .. } = self.ask(domain, RecordType::MX, take).await?;
        Ok(Exchangers { listed, proved })
    }

    /// The addresses of a host and, where answers are proved, its TLSA records for `port`.
    pub(super) async fn host(&self, name: &str, port: u16) -> Result<Host, NoAnswer> {
        let Found { records, bases, .. } = self.addresses(name).await?;
        for base in bases {
            if let Some(tlsa) = self.tlsa(&base, port).await? {
                return Ok(Host { addresses: records, tlsa: Some(Arc::new(tlsa)) });
            }
        }
        Ok(Host { addresses: records, tlsa: None })
    }

    /// The addresses of both families. A family about which nothing can be learnt is passed over where the other has some.
    async fn addresses(&self, name: &str) -> Result<Found<IpAddr>, NoAnswer> {
        let six = self.ask(name, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        let four = self.ask(name, RecordType::A, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        match future::join(six, four).await {
            (Ok(mut six), Ok(four)) => {
                six.records.extend(four.records);
                six.bases.retain(|base| four.bases.contains(base));
                Ok(six)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(failed @ NoAnswer::Failed(..)), Err(_)) | (Err(_), Err(failed @ NoAnswer::Failed(..))) => Err(failed),
            (Err(NoAnswer::NoName), Err(_)) | (Err(_), Err(NoAnswer::NoName)) => Err(NoAnswer::NoName),
            (Err(NoAnswer::NoRecord), Err(NoAnswer::NoRecord)) => Err(NoAnswer::NoRecord),
        }
    }

    /// The TLSA records below a name. Those that nobody signed are none (RFC 7672 section 2.2.2).
    async fn tlsa(&self, base: &str, port: u16) -> Result<Option<TlsaSet>, NoAnswer> {
        let take = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(tlsa.clone()),
            _ => None,
        };
        match self.ask(&format!("_{port}._tcp.{base}"), RecordType::TLSA, take).await {
            Ok(found) if found.bases.is_empty() => Ok(None),
            Ok(found) => {
                let raw = found.records.iter().map(|tlsa| RawTlsa {
                    usage: tlsa.cert_usage.into(),
                    selector: tlsa.selector.into(),
                    matching: tlsa.matching.into(),
                    data: &tlsa.cert_data,
                });
                Ok(Some(TlsaSet::new(base, raw)))
            }
            Err(NoAnswer::NoName | NoAnswer::NoRecord) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// The texts of a name's TXT records, each whole; none where it has none.
    pub(super) async fn texts(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        let take = |data: &RData| match data {
            RData::TXT(txt) => {
                let whole: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                String::from_utf8(whole).ok()
            }
            _ => None,
        };
        match self.ask(name, RecordType::TXT, take).await {
            Ok(found) => Ok(found.records),
            Err(NoAnswer::NoName | NoAnswer::NoRecord) => Ok(Vec::new()),
            Err(failed) => Err(failed),
        }
    }

    /// Asks for the records of one type and takes from them what `take` takes; never answers with an empty list.
    async fn ask<T>(
        &self,
        name: &str,
        record_type: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Found<T>, NoAnswer> {
        let Ok(asked) = Name::from_ascii(format!("{name}.")) else {
            return Err(NoAnswer::Failed(RouteCode::BadName, format!("{name:?} is no host name")));
        };
        let question = Question { name, asked: &asked, record_type };
        let lookup = self.resolver.lookup(asked.clone(), record_type).await;
        let lookup = lookup.map_err(|error| self.no_answer(&error, &question))?;
        let found = match self.proofs {
            // Among the answers are the aliases on the way.
            Proofs::None => Found {
                records: lookup.answers().iter().filter_map(|record| take(&record.data)).collect(),
                proved: false,
                bases: Vec::new(),
            },
            Proofs::Dnssec => match proof::chain(&asked, record_type, lookup.answers()) {
                Some(chain) if proof::is_sound(&chain, lookup.authorities()) => {
                    let Chain { records, secure, .. } = &chain;
                    let bases = match record_type {
                        RecordType::TLSA if chain.secure => vec![name.to_owned()],
                        RecordType::A | RecordType::AAAA => proof::tlsa_bases(name, &chain),
                        _ => Vec::new(),
                    };
                    let records = records.iter().filter_map(|record| take(&record.data)).collect();
                    Found { records, proved: *secure, bases }
                }
                _ => return Err(question.bogus()),
            },
        };
        if found.records.is_empty() { Err(NoAnswer::NoRecord) } else { Ok(found) }
    }

    fn no_answer(&self, error: &NetError, question: &Question<'_>) -> NoAnswer {
        let absent = |code| if code == ResponseCode::NXDomain { NoAnswer::NoName } else { NoAnswer::NoRecord };
        let (code, why) = match error {
            NetError::Dns(DnsError::NoRecordsFound(answer)) if self.believes(answer, question) => {
                return absent(answer.response_code);
            }
            NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, response, .. }) => {
                return absent(response.response_code);
            }
            NetError::Dns(DnsError::NoRecordsFound(_) | DnsError::DnssecBogus | DnsError::Nsec { .. }) => {
                return question.bogus();
            }
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
        question.failed(code, &why)
    }

    fn believes(&self, answer: &NoRecords, question: &Question<'_>) -> bool {
        match self.proofs {
            Proofs::None => true,
            Proofs::Dnssec => proof::is_denial(question.asked, answer),
        }
    }
}

struct Question<'a> {
    name: &'a str,
    asked: &'a Name,
    record_type: RecordType,
}

impl Question<'_> {
    fn failed(&self, code: RouteCode, why: &str) -> NoAnswer {
        NoAnswer::Failed(code, format!("look up {} of {}: {why}", self.record_type, self.name))
    }

    fn bogus(&self) -> NoAnswer {
        self.failed(
            RouteCode::DnssecBogus,
            "DNSSEC does not prove the answer: it is forged, or signed wrongly, or the DNS server leaves signatures out",
        )
    }
}
