//! The accounts of clients. Pure: time is a number that comes from outside, in milliseconds.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{Counted, Over, Quota, Scope, Shares};

/// Clients that are known at a time, at most: their accounts take 4 MiB.
pub const MOST_CLIENTS: usize = 32_768;

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// Accounts among which nobody is looked for to be forgotten.
const FEW: usize = 256;

/// One client: an IPv4 address, as IPv6 maps it, or the first half of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

impl Key {
    pub(super) fn of(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key(Ipv4Addr::to_ipv6_mapped(&address).to_bits()),
            IpAddr::V6(address) => Key(address.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// What is counted of one client, or of all.
#[derive(Debug, Default)]
struct Account {
    /// When its minute began.
    begun: u64,
    /// Octets in it, and what was too many before it.
    bytes: u64,
    /// Connections, messages and recipients in it.
    counts: [u32; 3],
    /// Connections that are open.
    open: u32,
}

impl Account {
    /// Begins another minute where the last one is over.
    fn roll(&mut self, quota: &Quota, now: u64) {
        let minutes = now.saturating_sub(self.begun) / MINUTE;
        if minutes == 0 && !self.is_blank() {
            return;
        }
        let paid = quota.of(Counted::Bytes).saturating_mul(minutes);
        self.counts = [0; 3];
        self.bytes = self.bytes.saturating_sub(paid);
        // A debt is paid off by whole minutes; else the next minute begins with what comes now.
        self.begun = if self.bytes > 0 { self.begun + minutes * MINUTE } else { now };
    }

    /// Nothing is counted in this minute.
    fn is_blank(&self) -> bool {
        self.counts == [0; 3] && self.bytes == 0
    }

    /// Nothing is lost when it is forgotten.
    fn is_over(&self, now: u64) -> bool {
        self.open == 0 && self.bytes == 0 && now.saturating_sub(self.begun) >= MINUTE
    }

    fn value(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Bytes => self.bytes,
            other => self.counts.get(other as usize).copied().map_or(0, u64::from),
        }
    }

    /// Whether one more is allowed.
    fn check(&self, scope: Scope, counted: Counted, quota: &Quota, now: u64) -> Result<(), Over> {
        let (value, limit) = (self.value(counted), quota.of(counted));
        if value < limit {
            return Ok(());
        }
        let minutes = if counted == Counted::Bytes { value / limit.max(1) } else { 1 };
        let end = self.begun.saturating_add(minutes.saturating_mul(MINUTE));
        let wait = Some(Duration::from_millis(end.saturating_sub(now)));
        Err(Over { scope, counted: Some(counted), limit, wait })
    }

    fn add(&mut self, counted: Counted) {
        if let Some(count) = self.counts.get_mut(counted as usize) {
            *count = count.saturating_add(1);
        }
    }
}

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    clients: HashMap<Key, Account>,
    all: Account,
    /// How many accounts there may be until the next search for those that can be forgotten.
    sweep_at: usize,
    swept: u64,
}

impl Ledger {
    pub(super) fn enter(&mut self, client: Key, shares: &Shares, now: u64) -> Result<(), Over> {
        let open = self.clients.get(&client).map_or(0, |account| account.open);
        if open >= shares.connections {
            let limit = shares.connections.into();
            return Err(Over { scope: Scope::Client, counted: None, limit, wait: None });
        }
        self.count(client, Counted::Connections, shares, now)?;
        let account = self.account(client, now);
        account.open = account.open.saturating_add(1);
        Ok(())
    }

    pub(super) fn leave(&mut self, client: Key, now: u64) {
        if let Some(account) = self.clients.get_mut(&client) {
            account.open = account.open.saturating_sub(1);
            if account.open == 0 && (account.is_blank() || account.is_over(now)) {
                self.clients.remove(&client);
            }
        }
    }

    pub(super) fn count(&mut self, client: Key, counted: Counted, shares: &Shares, now: u64) -> Result<(), Over> {
        if shares.is_free(counted) {
            return Ok(());
        }
        self.all.roll(&shares.all, now);
        let account = self.account(client, now);
        account.roll(&shares.own, now);
        account.check(Scope::Client, counted, &shares.own, now)?;
        self.all.check(Scope::All, counted, &shares.all, now)?;
        self.all.add(counted);
        self.account(client, now).add(counted);
        Ok(())
    }

    pub(super) fn has_room(&mut self, client: Key, shares: &Shares, now: u64) -> Result<(), Over> {
        self.all.roll(&shares.all, now);
        let account = self.account(client, now);
        account.roll(&shares.own, now);
        account.check(Scope::Client, Counted::Bytes, &shares.own, now)?;
        self.all.check(Scope::All, Counted::Bytes, &shares.all, now)
    }

    pub(super) fn took(&mut self, client: Key, octets: u64, shares: &Shares, now: u64) {
        self.all.roll(&shares.all, now);
        self.all.bytes = self.all.bytes.saturating_add(octets);
        let account = self.account(client, now);
        account.roll(&shares.own, now);
        account.bytes = account.bytes.saturating_add(octets);
    }

    /// The client's account, opened if need be.
    fn account(&mut self, client: Key, now: u64) -> &mut Account {
        if !self.clients.contains_key(&client) {
            self.make_room(now);
        }
        self.clients.entry(client).or_insert_with(|| Account { begun: now, ..Account::default() })
    }

    /// Forgets clients before there are too many.
    fn make_room(&mut self, now: u64) {
        let full = self.clients.len() >= MOST_CLIENTS;
        // With all of them busy, not at every step: it takes a while.
        if self.clients.len() >= self.sweep_at.max(FEW) && (!full || now.saturating_sub(self.swept) >= 1_000) {
            self.swept = now;
            self.clients.retain(|_, account| !account.is_over(now));
            self.sweep_at = (2 * self.clients.len()).min(MOST_CLIENTS);
            self.clients.shrink_to(self.sweep_at);
        }
        if self.clients.len() >= MOST_CLIENTS {
            let idle = self.clients.iter().find(|(_, account)| account.open == 0).map(|(key, _)| *key);
            if let Some(idle) = idle {
                self.clients.remove(&idle);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::{
        quantity::ByteSize,
        relay::{ClientLimits, Rates},
    };

    use super::*;

    fn key(text: &str) -> Key {
        Key::of(text.parse().unwrap())
    }

    fn rates(connections: u32, messages: u32, bytes: u64) -> Rates {
        Rates {
            connections_per_minute: Some(connections),
            messages_per_minute: Some(messages),
            recipients_per_minute: None,
            bytes_per_minute: Some(ByteSize::from_bytes(bytes)),
        }
    }

    fn shares(own: Rates, all: &Rates) -> Shares {
        Shares::new(&ClientLimits { connections: Some(2), rates: own }, all, 100)
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[test]
    fn a_count_begins_anew_a_minute_after_its_first_and_the_wait_is_told_rightly() {
        let shares = shares(rates(100, 3, 1_000), &Rates::default());
        let (a, b) = (key("192.0.2.1"), key("192.0.2.2"));
        let mut ledger = Ledger::default();
        for (client, now, wait) in [
            (a, 5_000, None),
            (a, 30_000, None),
            (a, 64_000, None),
            (a, 64_500, Some(500)),
            (b, 64_500, None),
            (a, 65_000, None),
            (a, 65_000, None),
            (a, 124_999, None),
            (a, 124_999, Some(1)),
            (a, 125_000, None),
        ] {
            let wait = wait.map(Duration::from_millis);
            let result = ledger.count(client, Counted::Messages, &shares, now);
            let expected = wait.map_or(Ok(()), |wait| {
                Err(Over { scope: Scope::Client, counted: Some(Counted::Messages), limit: 3, wait: Some(wait) })
            });
            assert_eq!(result, expected, "{client:?} at {now}");
        }
    }

    #[test]
    fn octets_beyond_the_limit_count_towards_the_minutes_that_follow() {
        let shares = shares(rates(100, 100, 1_000), &Rates::default());
        let a = key("192.0.2.1");
        let mut ledger = Ledger::default();
        let wait = |ledger: &mut Ledger, now| ledger.has_room(a, &shares, now).err().and_then(|over| over.wait);
        assert_eq!(wait(&mut ledger, 0), None);
        ledger.took(a, 999, &shares, 1_000);
        assert_eq!(wait(&mut ledger, 2_000), None);
        ledger.took(a, 2_500, &shares, 3_000);
        assert_eq!(wait(&mut ledger, 3_000), Some(Duration::from_millis(178_000)));
        assert_eq!(wait(&mut ledger, 61_000), Some(Duration::from_millis(120_000)));
        assert_eq!(wait(&mut ledger, 180_999), Some(Duration::from_millis(1)));
        assert_eq!(wait(&mut ledger, 181_000), None);
    }

    #[test]
    fn connections_are_limited_at_a_time_for_each_and_by_the_minute_for_all() {
        let shares = shares(rates(10, 100, 1_000), &rates(3, 100, 1_000_000));
        let (a, b) = (key("192.0.2.1"), key("192.0.2.2"));
        let mut ledger = Ledger::default();
        assert_eq!(ledger.enter(a, &shares, 0), Ok(()));
        assert_eq!(ledger.enter(a, &shares, 0), Ok(()));
        let open = Over { scope: Scope::Client, counted: None, limit: 2, wait: None };
        assert_eq!(ledger.enter(a, &shares, 1), Err(open));
        assert_eq!(ledger.enter(b, &shares, 1), Ok(()));
        let all = Over {
            scope: Scope::All,
            counted: Some(Counted::Connections),
            limit: 3,
            wait: Some(Duration::from_millis(59_998)),
        };
        assert_eq!(ledger.enter(b, &shares, 2), Err(all));
        ledger.leave(a, 3);
        assert_eq!(ledger.enter(a, &shares, 60_000), Ok(()));
    }

    #[test]
    fn what_is_known_of_clients_is_bounded_and_given_back() {
        let shares = shares(rates(10, 100, 1_000), &Rates::default());
        let mut ledger = Ledger::default();
        let client = |number: u32| Key::of(Ipv4Addr::from_bits(number).into());
        let busy = key("2001:db8::1");
        assert_eq!(ledger.enter(busy, &shares, 0), Ok(()));
        for number in 0..200_000 {
            assert_eq!(ledger.count(client(number), Counted::Messages, &shares, 0), Ok(()));
            assert!(ledger.clients.len() <= MOST_CLIENTS);
        }
        assert_eq!(ledger.clients[&busy].open, 1, "one with a connection is never forgotten");
        for number in 0..1_000 {
            assert_eq!(ledger.count(client(number), Counted::Messages, &shares, 200_000), Ok(()));
        }
        assert!(ledger.clients.len() <= 1_001 && ledger.clients.capacity() < 10_000, "{}", ledger.clients.capacity());
        // A client that comes and goes uncounted leaves nothing.
        let free = Shares::new(&ClientLimits::default(), &Rates::default(), 10);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.enter(busy, &free, 0), Ok(()));
        ledger.leave(busy, 0);
        assert!(ledger.clients.is_empty());
    }
}
