//! How often a client may fail to show who it is. Pure: time comes from outside.
//!
//! Failures are counted by where the client comes from (an IPv4 address, or an IPv6 /64, which one customer has) and by the name that it
//! gives, each with so many at once and one more every so often. Over that nothing is checked at all: 454 4.7.0 with the time after
//! which to try. A user cannot be shut out by others who guess: from where that user has come in of late, the count by name does
//! not hold.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Failures of one address: at once, and how long until there is one more.
const OF_ADDRESS: (u32, Duration) = (10, Duration::from_secs(30));
/// Failures by one name.
const OF_USER: (u32, Duration) = (30, Duration::from_secs(10));
/// How long a place from which a user came in is known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Addresses and names that are remembered. Beyond it the one that has the most left is forgotten.
const REMEMBERED: usize = 10_000;

/// The failures that there were.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_address: Buckets<IpAddr>,
    by_user: Buckets<Box<str>>,
    /// When that user last came in from there.
    known: HashMap<(IpAddr, Box<str>), Instant>,
}

/// When each key will have failed at no time again: a bucket that leaks, as one number.
#[derive(Debug)]
struct Buckets<K>(HashMap<K, Instant>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// How long until the key may fail again; None when it may now.
    fn wait(&self, key: &K, (burst, every): (u32, Duration), now: Instant) -> Option<Duration> {
        let level = self.0.get(key)?.saturating_duration_since(now);
        let over = (level + every).checked_sub(every * burst)?;
        (!over.is_zero()).then_some(over)
    }

    fn fail(&mut self, key: K, (_, every): (u32, Duration), now: Instant) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, empty| *empty > now);
            if self.0.len() >= REMEMBERED
                && let Some(least) = self.0.iter().min_by_key(|(_, empty)| **empty).map(|(key, _)| key.clone())
            {
                self.0.remove(&least);
            }
        }
        let empty = self.0.entry(key).or_insert(now);
        *empty = (*empty).max(now) + every;
    }
}

/// The address by which a client is counted.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Failures {
    /// How long the client has to wait before it may try; None when it may now.
    pub(super) fn wait(&self, address: IpAddr, user: Option<&str>, now: Instant) -> Option<Duration> {
        let place = place(address);
        let of_user = user.and_then(|user| {
            let user: Box<str> = user.into();
            let known = self.known.get(&(place, user.clone()));
            let is_known = known.is_some_and(|since| now.saturating_duration_since(*since) < KNOWN_FOR);
            if is_known { None } else { self.by_user.wait(&user, OF_USER, now) }
        });
        self.by_address.wait(&place, OF_ADDRESS, now).max(of_user)
    }

    /// The client failed.
    pub(super) fn failed(&mut self, address: IpAddr, user: Option<&str>, now: Instant) {
        self.by_address.fail(place(address), OF_ADDRESS, now);
        if let Some(user) = user {
            self.by_user.fail(user.into(), OF_USER, now);
        }
    }

    /// The client came in.
    pub(super) fn came_in(&mut self, address: IpAddr, user: &str, now: Instant) {
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, since| now.saturating_duration_since(*since) < KNOWN_FOR);
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
        }
        self.known.insert((place(address), user.into()), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_fail_ten_times_and_then_once_every_half_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let here = address("192.0.2.1");
        for _ in 0..10 {
            assert_eq!(failures.wait(here, None, now), None);
            failures.failed(here, None, now);
        }
        assert_eq!(failures.wait(here, Some("a"), now), Some(Duration::from_secs(30)));
        assert_eq!(failures.wait(here, None, now + Duration::from_secs(29)), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait(here, None, now + Duration::from_secs(30)), None);
        assert_eq!(failures.wait(address("::ffff:192.0.2.1"), None, now), Some(Duration::from_secs(30)));
        assert_eq!(failures.wait(address("192.0.2.2"), None, now), None);
        for _ in 0..10 {
            failures.failed(address("2001:db8::1"), None, now);
        }
        assert!(failures.wait(address("2001:db8::2"), None, now).is_some(), "one customer's network");
        assert!(failures.wait(address("2001:db8:0:1::1"), None, now).is_none());
    }

    #[test]
    fn a_name_that_many_addresses_guess_at_is_shut_but_for_those_who_know_its_password() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.came_in(address("198.51.100.1"), "boss", now);
        for host in 0..30 {
            let guesser = IpAddr::from([192, 0, 2, host]);
            assert_eq!(failures.wait(guesser, Some("boss"), now), None);
            failures.failed(guesser, Some("boss"), now);
        }
        assert_eq!(failures.wait(address("203.0.113.1"), Some("boss"), now), Some(Duration::from_secs(10)));
        assert_eq!(failures.wait(address("203.0.113.1"), Some("clerk"), now), None);
        assert_eq!(failures.wait(address("198.51.100.1"), Some("boss"), now), None);
        let later = now + KNOWN_FOR;
        for host in 0..200 {
            failures.failed(IpAddr::from([192, 0, 2, host]), Some("boss"), later);
        }
        assert!(failures.wait(address("198.51.100.1"), Some("boss"), later).is_some());
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_the_worst_stay() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let worst = address("192.0.2.1");
        for _ in 0..10 {
            failures.failed(worst, None, now);
        }
        for host in 0..20_000u32 {
            failures.failed(IpAddr::from((0x0a00_0000 + host).to_be_bytes()), None, now);
        }
        assert_eq!(failures.by_address.0.len(), REMEMBERED);
        assert!(failures.wait(worst, None, now).is_some());
    }
}
