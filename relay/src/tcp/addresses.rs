//! Addresses that are left alone for a while: which, till when, and why. Pure.
//!
//! What fails before a host knows whose mail it is (the connection, the greeting, EHLO) says something about the address, to
//! every domain that leads there. What fails later may be about one domain's mail alone, and counts for that host only: so a
//! bad domain never blocks its neighbours on the same exchanger.

use std::{collections::HashMap, net::SocketAddr};

use jiff::Timestamp;
use mailsluice_crds::monitor::{AddressRow, LastError, Reason};

use crate::queue::Backoff;

/// Addresses remembered. Beyond it those go whose time is over, and then nothing more is noted: an address that is tried in
/// vain costs a connection, not mail.
const MOST: usize = 10_000;

/// Addresses of one host that the Monitor shows.
const ADDRESSES_SHOWN: usize = 8;

/// For whom an address is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// For every host that leads to it.
    Address,
    /// For mail of the host that failed alone.
    HostThere,
}

/// Why and till when an address is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its Suspended Till.
    pub till: Timestamp,
    /// Why.
    pub reason: Reason,
    /// What went wrong there.
    pub error: LastError,
    /// Failures in a row.
    pub failures: u32,
    /// When the first of them was.
    pub since: Timestamp,
}

/// A change of what is suspended, for its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// An address is suspended. If nothing held it before, no host but this one has met it since.
    Suspended {
        /// The address and port.
        address: SocketAddr,
        /// The host that failed there.
        host: String,
        /// For whom.
        blame: Blame,
        /// Till when, and why.
        held: Held,
    },
    /// A host has come upon an address that others have found wanting, so that its row shows it.
    Met {
        /// The address and port.
        address: SocketAddr,
        /// The host.
        host: String,
        /// Till when, and why.
        held: Held,
    },
    /// An address is free again, for everyone or for one host.
    Free {
        /// The address and port.
        address: SocketAddr,
        /// The host that it is free for; none: for everyone.
        host: Option<String>,
        /// Why.
        why: &'static str,
    },
}

/// The suspended addresses, and those over which sessions go on.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Changes that are not told yet.
    changes: Vec<AddressChange>,
    records: HashMap<SocketAddr, Record>,
    /// Where each host has met one of them.
    met: HashMap<String, Vec<SocketAddr>>,
    /// Open sessions of each host over each address.
    live: HashMap<SocketAddr, Vec<(String, u32)>>,
}

#[derive(Debug, Default)]
struct Record {
    everyone: Option<Held>,
    hosts: Vec<(String, Held)>,
}

impl Record {
    fn held(&self, host: &str, now: Timestamp) -> Option<&Held> {
        let of_host = self.hosts.iter().find(|(name, _)| name == host).map(|(_, held)| held);
        self.everyone.iter().chain(of_host).filter(|held| held.till > now).max_by_key(|held| held.till)
    }

    /// For how many it is, everyone being one.
    fn parts(&self) -> usize {
        usize::from(self.everyone.is_some()) + self.hosts.len()
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.everyone.iter().chain(self.hosts.iter().map(|(_, held)| held)).all(|held| held.till <= now)
    }
}

impl Addresses {
    /// Why and till when `host` leaves the address alone; none when it may try it.
    #[must_use]
    pub fn held(&self, address: SocketAddr, host: &str, now: Timestamp) -> Option<&Held> {
        self.records.get(&address)?.held(host, now)
    }

    /// Whether nothing at all is suspended, as is nearly always so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The changes since this was asked last, in their order.
    pub fn take_changes(&mut self) -> Vec<AddressChange> {
        std::mem::take(&mut self.changes)
    }

    /// Notes that `host` has met a suspended address, for its row in the Monitor.
    pub fn meet(&mut self, host: &str, address: SocketAddr, now: Timestamp) {
        if self.note(host, address)
            && let Some(held) = self.held(address, host, now).cloned()
        {
            self.changes.push(AddressChange::Met { address, host: host.to_owned(), held });
        }
    }

    /// True where that is new.
    fn note(&mut self, host: &str, address: SocketAddr) -> bool {
        if let Some(met) = self.met.get_mut(host) {
            let fits = met.len() < ADDRESSES_SHOWN && !met.contains(&address);
            if fits {
                met.push(address);
            }
            return fits;
        }
        let fits = self.met.len() < MOST;
        if fits {
            self.met.insert(host.to_owned(), vec![address]);
        }
        fits
    }

    /// Suspends an address after a failure; the wait doubles with each failure in a row. Sessions that fail side by side are one
    /// failure. Returns its Suspended Till.
    pub fn suspend(
        &mut self,
        address: SocketAddr,
        host: &str,
        blame: Blame,
        (reason, error): (Reason, LastError),
        backoff: Backoff,
        now: Timestamp,
    ) -> Timestamp {
        if self.records.len() >= MOST {
            self.forget_over(now);
        }
        let full = self.records.len() >= MOST && !self.records.contains_key(&address);
        let record = self.records.get(&address);
        let before = record.and_then(|record| match blame {
            Blame::Address => record.everyone.as_ref(),
            Blame::HostThere => record.hosts.iter().find(|(name, _)| name == host).map(|(_, held)| held),
        });
        if let Some(held) = before.filter(|held| held.till > now) {
            let till = held.till;
            self.meet(host, address, now);
            return till;
        }
        let since = before.map_or(now, |held| held.since);
        let failures = before.map_or(0, |held| held.failures).saturating_add(1);
        let till = backoff.till(failures, now);
        if full {
            return till;
        }
        if record.is_some_and(|record| record.is_over(now)) {
            self.forget_who_met(address);
        }
        self.note(host, address);
        let held = Held { till, reason, error, failures, since };
        self.changes.push(AddressChange::Suspended { address, host: host.to_owned(), blame, held: held.clone() });
        let record = self.records.entry(address).or_default();
        match blame {
            Blame::Address => record.everyone = Some(held),
            Blame::HostThere => {
                record.hosts.retain(|(name, _)| name != host);
                record.hosts.push((host.to_owned(), held));
            }
        }
        till
    }

    /// The address answers: its failures are over, those that count for everyone, or those of this host.
    pub fn answered(&mut self, address: SocketAddr, host: &str, blame: Blame) {
        if self.records.is_empty() {
            return;
        }
        if let Some(record) = self.records.get_mut(&address) {
            let before = record.parts();
            match blame {
                Blame::Address => record.everyone = None,
                Blame::HostThere => record.hosts.retain(|(name, _)| name != host),
            }
            if record.parts() < before {
                let host = (blame == Blame::HostThere).then(|| host.to_owned());
                self.changes.push(AddressChange::Free { address, host, why: "it answers" });
            }
            if record.parts() == 0 {
                self.records.remove(&address);
                self.forget_who_met(address);
            }
        }
    }

    /// What a host has met may be tried again at once; how often it failed in a row is forgotten with it.
    pub fn try_again(&mut self, host: &str) {
        const WHY: &str = "its site asks for its mail";
        for address in self.met.get(host).cloned().unwrap_or_default() {
            let Some(record) = self.records.get_mut(&address) else { continue };
            if record.everyone.take().is_some() {
                self.changes.push(AddressChange::Free { address, host: None, why: WHY });
            }
            if record.hosts.iter().any(|(name, _)| name == host) {
                record.hosts.retain(|(name, _)| name != host);
                self.changes.push(AddressChange::Free { address, host: Some(host.to_owned()), why: WHY });
            }
            if record.parts() == 0 {
                self.records.remove(&address);
                self.forget_who_met(address);
            }
        }
    }

    /// Forgets what was suspended for one of these reasons: what it was suspended for has changed, as `why` says.
    pub fn release(&mut self, reasons: &[Reason], why: &'static str) {
        self.release_where(|held| reasons.contains(&held.reason), why);
    }

    /// Forgets all that was suspended.
    pub fn release_all(&mut self, why: &'static str) {
        self.release_where(|_| true, why);
    }

    fn release_where(&mut self, is_over: impl Fn(&Held) -> bool, why: &'static str) {
        for (address, record) in &mut self.records {
            let address = *address;
            if record.everyone.take_if(|held| is_over(held)).is_some() {
                self.changes.push(AddressChange::Free { address, host: None, why });
            }
            for (host, _) in record.hosts.extract_if(.., |(_, held)| is_over(held)) {
                self.changes.push(AddressChange::Free { address, host: Some(host), why });
            }
        }
        self.records.retain(|_, record| record.parts() > 0);
        self.forget_met();
    }

    /// A session of `host` over the address is under way.
    pub fn opened(&mut self, address: SocketAddr, host: &str) {
        let hosts = self.live.entry(address).or_default();
        match hosts.iter_mut().find(|(name, _)| name == host) {
            Some((_, count)) => *count += 1,
            None => hosts.push((host.to_owned(), 1)),
        }
    }

    /// That session has ended.
    pub fn closed(&mut self, address: SocketAddr, host: &str) {
        let Some(hosts) = self.live.get_mut(&address) else { return };
        if let Some((_, count)) = hosts.iter_mut().find(|(name, _)| name == host) {
            *count = count.saturating_sub(1);
        }
        hosts.retain(|(_, count)| *count > 0);
        if hosts.is_empty() {
            self.live.remove(&address);
        }
    }

    /// Sessions of `host` that are under way over the address.
    #[must_use]
    pub fn live(&self, address: SocketAddr, host: &str) -> u32 {
        let hosts = self.live.get(&address).map(Vec::as_slice).unwrap_or_default();
        hosts.iter().find(|(name, _)| name == host).map_or(0, |(_, count)| *count)
    }

    /// The suspended addresses of a host, as the Monitor shows them.
    #[must_use]
    pub fn rows(&self, host: &str, now: Timestamp) -> Vec<AddressRow> {
        let met = self.met.get(host).map(Vec::as_slice).unwrap_or_default();
        met.iter()
            .filter_map(|address| {
                let held = self.held(*address, host, now)?;
                Some(AddressRow {
                    address: address.to_string(),
                    suspended_till: held.till,
                    reason: held.reason,
                    code: held.error.code.clone(),
                })
            })
            .collect()
    }

    fn forget_over(&mut self, now: Timestamp) {
        self.records.retain(|_, record| !record.is_over(now));
        self.forget_met();
    }

    /// No host has met the address any more: it is not suspended, or anew.
    fn forget_who_met(&mut self, address: SocketAddr) {
        self.met.retain(|_, met| {
            met.retain(|other| *other != address);
            !met.is_empty()
        });
    }

    fn forget_met(&mut self) {
        let records = &self.records;
        self.met.retain(|_, met| {
            met.retain(|address| records.contains_key(address));
            !met.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use mailsluice_crds::{catalogue::ReplyCode, monitor::Stage};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 25).into()
    }

    fn why(reason: Reason) -> (Reason, LastError) {
        let text = String::new();
        let error = LastError::new(ReplyCode::new(421, None).into(), Stage::Banner, None, at(0), text);
        (reason, error)
    }

    fn suspend(addresses: &mut Addresses, last: u8, host: &str, blame: Blame, now: i64) -> Timestamp {
        let backoff = Backoff { first: SignedDuration::from_secs(10), longest: SignedDuration::from_secs(60) };
        addresses.suspend(address(last), host, blame, why(Reason::ConnectionFailed), backoff, at(now))
    }

    #[test]
    fn a_dead_address_is_left_alone_by_every_host_and_a_refusal_by_its_own_only() {
        for (blame, neighbour_waits) in [(Blame::Address, true), (Blame::HostThere, false)] {
            let mut addresses = Addresses::default();
            suspend(&mut addresses, 1, "a.test", blame, 0);
            for (last, host, now, waits) in [
                (1, "a.test", 0, true),
                (1, "a.test", 9, true),
                (1, "a.test", 10, false),
                (1, "b.test", 5, neighbour_waits),
                (2, "a.test", 5, false),
            ] {
                let held = addresses.held(address(last), host, at(now)).is_some();
                assert_eq!(held, waits, "{blame:?}: {host} at {last} after {now} s");
            }
        }
    }

    #[test]
    fn failures_in_a_row_wait_longer_and_those_side_by_side_count_once() {
        let mut addresses = Addresses::default();
        let mut next = |now| suspend(&mut addresses, 1, "a.test", Blame::Address, now);
        assert_eq!(
            [next(0), next(1), next(10), next(29), next(30), next(70), next(130)].map(Timestamp::as_second),
            [10, 10, 30, 30, 70, 130, 190]
        );
        addresses.answered(address(1), "a.test", Blame::Address);
        assert!(addresses.is_empty());
        assert_eq!(suspend(&mut addresses, 1, "a.test", Blame::Address, 200), at(210), "an answer ends the row");
    }

    #[test]
    fn what_has_changed_is_tried_again() {
        let mut addresses = Addresses::default();
        let backoff = Backoff { first: SignedDuration::from_secs(10), longest: SignedDuration::from_secs(60) };
        for (last, blame, reason) in [
            (1, Blame::HostThere, Reason::TlsFailed),
            (2, Blame::Address, Reason::TlsFailed),
            (3, Blame::HostThere, Reason::HostRefused),
        ] {
            addresses.suspend(address(last), "a.test", blame, why(reason), backoff, at(0));
        }
        addresses.release(&[Reason::TlsFailed], "the Secrets have changed");
        assert_eq!(
            [1, 2, 3].map(|last| addresses.held(address(last), "a.test", at(5)).is_some()),
            [false, false, true]
        );
        assert_eq!(addresses.rows("a.test", at(5)).len(), 1);
    }

    #[test]
    fn the_monitor_shows_what_a_host_waits_for_and_no_more_than_fits() {
        let mut addresses = Addresses::default();
        for last in 1..20 {
            suspend(&mut addresses, last, "a.test", Blame::Address, 0);
        }
        assert_eq!(addresses.rows("a.test", at(5)).len(), ADDRESSES_SHOWN);
        assert_eq!(addresses.rows("b.test", at(5)), []);
        addresses.meet("b.test", address(3), at(5));
        assert_eq!(addresses.rows("a.test", at(10)), [], "their time is over");
        let rows = addresses.rows("b.test", at(5));
        assert_eq!((rows.len(), rows[0].address.as_str(), rows[0].suspended_till), (1, "192.0.2.3:25", at(10)));
    }

    #[test]
    fn sessions_that_go_on_are_counted_by_host_and_address() {
        let mut addresses = Addresses::default();
        addresses.opened(address(1), "a.test");
        addresses.opened(address(1), "a.test");
        addresses.opened(address(1), "b.test");
        addresses.closed(address(1), "a.test");
        assert_eq!(
            [("a.test", 1), ("b.test", 1), ("a.test", 2)].map(|(h, n)| addresses.live(address(n), h)),
            [1, 1, 0]
        );
        addresses.closed(address(1), "a.test");
        addresses.closed(address(1), "b.test");
        assert!(addresses.live.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut addresses = Addresses::default();
        let backoff = Backoff { first: SignedDuration::from_secs(10), longest: SignedDuration::from_secs(10) };
        let mut add = |number: u32, now| {
            let address = SocketAddr::from((number.to_be_bytes(), 25));
            addresses.suspend(address, "a.test", Blame::Address, why(Reason::ConnectionFailed), backoff, at(now));
            addresses.records.len()
        };
        for number in 0..MOST as u32 {
            add(number, 0);
        }
        assert_eq!(add(20_000, 5), MOST);
        assert_eq!(add(20_000, 10), 1, "those whose time is over make room");
    }
}
