//! Which exchanger, and which of its addresses, is tried first.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rand::{Rng, seq::SliceRandom as _};

use crate::tls::dane::TlsaSet;

/// Addresses tried in one attempt. Each may take the whole time of a connection that nobody answers, and the attempt
/// holds one of the relay's connections meanwhile; RFC 5321 section 5.1 wants at least two.
pub(super) const MAX_TARGETS: usize = 8;

/// Addresses of one exchanger among them, so that one with many does not hide those behind it.
const MAX_PER_EXCHANGER: usize = 4;

/// An address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host's name, as a report to the sender gives it.
    pub name: String,
    /// Its address and port.
    pub address: SocketAddr,
    /// The host's TLSA records, where they were asked for and it is proved that it has some.
    pub tlsa: Option<Arc<TlsaSet>>,
    /// Whether nobody but the domain, or the route, can have named this host: not so where an MX record does without DNSSEC.
    pub proved: bool,
}

/// `mx.example.com 192.0.2.1:25`, with what the DNS has proved of it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.address)?;
        match &self.tlsa {
            Some(tlsa) => write!(f, " with TLSA records of {}", tlsa.base()),
            None => Ok(()),
        }
    }
}

/// A mail exchanger, as an MX record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchanger {
    pub(super) preference: u16,
    /// Without a dot at its end: empty in a null MX (RFC 7505).
    pub(super) name: String,
}

/// Sorts exchangers: the lowest preference first, those of one preference in random order to share the load between
/// them (RFC 5321 section 5.1). One that is listed twice counts where it is preferred.
pub(super) fn by_preference(mut exchangers: Vec<Exchanger>, rng: &mut impl Rng) -> Vec<Exchanger> {
    exchangers.shuffle(rng);
    exchangers.sort_by_key(|exchanger| exchanger.preference);
    let mut sorted: Vec<Exchanger> = Vec::with_capacity(exchangers.len());
    for exchanger in exchangers {
        if sorted.iter().all(|other| other.name != exchanger.name) {
            sorted.push(exchanger);
        }
    }
    sorted
}

/// The addresses of one host: both families in turn, so that one that does not get through costs one attempt and not
/// all of them; within a family at random, to share the load.
pub(super) fn in_turn(addresses: Vec<IpAddr>, rng: &mut impl Rng) -> Vec<IpAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    six.shuffle(rng);
    four.shuffle(rng);
    let pairs = six.len().max(four.len());
    (0..pairs).flat_map(|index| [six.get(index), four.get(index)]).flatten().copied().collect()
}

/// Adds the addresses of one exchanger to what is tried, within the limits; one that is there already is not tried
/// twice.
pub(super) fn add_targets(
    targets: &mut Vec<Target>,
    name: &str,
    addresses: Vec<IpAddr>,
    port: u16,
    tlsa: Option<&Arc<TlsaSet>>,
    proved: bool,
) {
    for address in addresses.into_iter().take(MAX_PER_EXCHANGER) {
        let address = SocketAddr::new(address, port);
        if targets.len() < MAX_TARGETS && targets.iter().all(|target| target.address != address) {
            targets.push(Target { name: name.to_owned(), address, tlsa: tlsa.cloned(), proved });
        }
    }
}

/// The two addresses to race next: the first, and the one after it where that is of the same exchanger and of the other
/// family. Addresses of one family gain nothing by a race, and another exchanger is tried only when this one fails.
#[must_use]
pub fn next_race(left: &[Target]) -> Option<(&Target, Option<&Target>)> {
    let (first, rest) = left.split_first()?;
    let raced = |second: &&Target| second.name == first.name && second.address.is_ipv4() != first.address.is_ipv4();
    Some((first, rest.first().filter(raced)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn exchangers(list: &[(u16, &str)]) -> Vec<Exchanger> {
        list.iter().map(|(preference, name)| Exchanger { preference: *preference, name: (*name).to_owned() }).collect()
    }

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn preference_rules_and_chance_decides_within_one() {
        let listed = exchangers(&[(20, "c"), (10, "a"), (30, "d"), (10, "b"), (20, "a")]);
        let orders: HashSet<_> = (0..50)
            .map(|seed| by_preference(listed.clone(), &mut StdRng::seed_from_u64(seed)))
            .map(|sorted| sorted.into_iter().map(|exchanger| exchanger.name).collect::<Vec<_>>())
            .collect();
        let expected: HashSet<_> =
            [["a", "b", "c", "d"], ["b", "a", "c", "d"]].map(|order| order.map(str::to_owned).to_vec()).into();
        assert_eq!(orders, expected);
    }

    #[test]
    fn families_take_turns_and_no_address_is_lost() {
        for (found, expected) in [
            (vec!["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"], "6444"),
            (vec!["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"], "6464"),
            (vec!["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"], "6466"),
            (vec!["192.0.2.1"], "4"),
            (vec!["2001:db8::1"], "6"),
            (vec![], ""),
        ] {
            for seed in 0..20 {
                let order = in_turn(addresses(&found), &mut StdRng::seed_from_u64(seed));
                let families: String = order.iter().map(|address| if address.is_ipv6() { '6' } else { '4' }).collect();
                assert_eq!(families, expected, "{found:?}");
                let all: HashSet<_> = order.into_iter().collect();
                assert_eq!(all, addresses(&found).into_iter().collect(), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_tried_is_bounded_and_leaves_room_for_the_next_exchanger() {
        let mut targets = Vec::new();
        let many = |net: u8| (1..=9).map(|host| IpAddr::from([192, 0, net, host])).collect::<Vec<_>>();
        add_targets(&mut targets, "a", many(1), 25, None, true);
        add_targets(&mut targets, "same-as-a", many(1), 25, None, true);
        add_targets(&mut targets, "b", many(2), 25, None, true);
        add_targets(&mut targets, "c", many(3), 25, None, true);
        let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["a", "a", "a", "a", "b", "b", "b", "b"]);
    }

    #[test]
    fn only_the_two_families_of_one_exchanger_race() {
        let target = |name: &str, address: &str| Target {
            name: name.to_owned(),
            address: (address.parse::<IpAddr>().unwrap(), 25).into(),
            tlsa: None,
            proved: true,
        };
        let (a6, a4) = (target("a", "2001:db8::1"), target("a", "192.0.2.1"));
        let (other_a4, b6) = (target("a", "192.0.2.2"), target("b", "2001:db8::2"));
        for (left, raced) in [
            (vec![a6.clone(), a4.clone(), b6.clone()], 2),
            (vec![a4.clone(), a6.clone()], 2),
            (vec![a4.clone(), other_a4.clone(), a6.clone()], 1),
            (vec![a4.clone(), b6.clone()], 1),
            (vec![b6], 1),
            (vec![], 0),
        ] {
            let race = next_race(&left).map_or(0, |(_, second)| 1 + usize::from(second.is_some()));
            assert_eq!(race, raced, "{left:?}");
        }
    }
}
