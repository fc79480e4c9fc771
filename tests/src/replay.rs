//! Suspended Tills, replayed from a relay's log records and nothing else. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::record::Record;

/// Addresses of one host that the Monitor shows.
const ADDRESSES_SHOWN: usize = 8;

/// Till when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The Suspended Till; none where no moment ends it.
    pub till: Option<Timestamp>,
    /// The reason.
    pub reason: String,
}

impl Hold {
    fn of(record: &Record) -> Option<Hold> {
        let till = record.field("suspendedTill").map(|till| till.parse().expect("a moment"));
        Some(Hold { till, reason: record.field("reason")? })
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.till.is_none_or(|till| till > now)
    }
}

/// What the records so far have come to.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    hosts: BTreeMap<String, Hold>,
    addresses: BTreeMap<String, Address>,
    met: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Default)]
struct Address {
    everyone: Option<Hold>,
    hosts: BTreeMap<String, Hold>,
}

impl Address {
    fn is_over(&self, now: Timestamp) -> bool {
        !self.everyone.iter().chain(self.hosts.values()).any(|hold| hold.holds(now))
    }
}

impl Replay {
    /// Takes the next record; those without the marker `TCP(SMTP)` say nothing of it.
    pub fn note(&mut self, record: &Record) {
        if record.marker.as_deref() != Some("TCP(SMTP)") {
            return;
        }
        let (host, address) = (record.field("host"), record.field("address"));
        match (record.field("event").as_deref(), host, address) {
            (Some("HostSuspended"), Some(host), _) => {
                self.hosts.insert(host, Hold::of(record).expect("a reason"));
            }
            (Some("HostReleased"), Some(host), _) => {
                self.hosts.remove(&host);
            }
            (Some("AddressSuspended"), Some(host), Some(address)) => {
                let hold = Hold::of(record).expect("a reason");
                let known = self.addresses.entry(address.clone()).or_default();
                if known.is_over(record.time) {
                    self.met.values_mut().for_each(|met| met.retain(|other| *other != address));
                }
                match record.field("scope").as_deref() {
                    Some("Address") => known.everyone = Some(hold),
                    _ => drop(known.hosts.insert(host.clone(), hold)),
                }
                self.meet(host, address);
            }
            (Some("AddressMet"), Some(host), Some(address)) => self.meet(host, address),
            (Some("AddressReleased"), host, Some(address)) => {
                let Some(known) = self.addresses.get_mut(&address) else { return };
                match host {
                    Some(host) => drop(known.hosts.remove(&host)),
                    None => known.everyone = None,
                }
                if known.everyone.is_none() && known.hosts.is_empty() {
                    self.addresses.remove(&address);
                    self.met.values_mut().for_each(|met| met.retain(|other| *other != address));
                }
            }
            _ => {}
        }
    }

    fn meet(&mut self, host: String, address: String) {
        let met = self.met.entry(host).or_default();
        if met.len() < ADDRESSES_SHOWN && !met.contains(&address) {
            met.push(address);
        }
    }

    /// Till when a host waits at `now`, and why.
    #[must_use]
    pub fn host(&self, host: &str, now: Timestamp) -> Option<&Hold> {
        self.hosts.get(host).filter(|hold| hold.holds(now))
    }

    /// The suspended addresses of a host at `now`.
    #[must_use]
    pub fn addresses(&self, host: &str, now: Timestamp) -> BTreeMap<String, Hold> {
        let met = self.met.get(host).map(Vec::as_slice).unwrap_or_default();
        let held = met.iter().filter_map(|address| {
            let known = self.addresses.get(address)?;
            let held = known.everyone.iter().chain(known.hosts.get(host)).filter(|hold| hold.holds(now));
            Some((address.clone(), held.max_by_key(|hold| hold.till)?.clone()))
        });
        held.collect()
    }
}
