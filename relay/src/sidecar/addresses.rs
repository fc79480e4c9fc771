//! In which order the gateway's addresses are tried: by chance, so that the replicas share the load, and those that have just failed last.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rand::{Rng, seq::SliceRandom as _};

/// For so long an address that failed is tried after the others.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What is known of addresses that failed.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    failed: HashMap<SocketAddr, Instant>,
}

impl Addresses {
    /// An address has failed.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Instant) {
        self.failed.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        self.failed.insert(address, now);
    }

    /// An address works.
    pub(super) fn works(&mut self, address: SocketAddr) {
        self.failed.remove(&address);
    }

    /// Those that are found, each once, in the order in which they are to be tried.
    pub(super) fn order(&self, mut found: Vec<SocketAddr>, chance: &mut impl Rng, now: Instant) -> Vec<SocketAddr> {
        found.sort_unstable();
        found.dedup();
        found.shuffle(chance);
        // A stable sort: where nothing failed, chance decides alone; else the longest ago comes first.
        found.sort_by_key(|address| {
            self.failed.get(address).filter(|at| now.duration_since(**at) < REMEMBERED).copied()
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 587).into()
    }

    #[test]
    fn chance_decides_and_what_has_just_failed_comes_last() {
        let (mut addresses, start) = (Addresses::default(), Instant::now());
        let all: Vec<_> = (1..=4).chain([1, 2]).map(address).collect();
        let order = |addresses: &Addresses, seconds| {
            addresses.order(all.clone(), &mut rand::rng(), start + Duration::from_secs(seconds))
        };
        let firsts: HashSet<_> = (0..200).map(|_| order(&addresses, 0)[0]).collect();
        assert_eq!(firsts.len(), 4, "each has its turn");
        addresses.failed(address(3), start);
        addresses.failed(address(1), start + Duration::from_secs(5));
        for _ in 0..20 {
            let order = order(&addresses, 6);
            assert_eq!((order.len(), &order[2..]), (4, &[address(3), address(1)][..]));
        }
        addresses.works(address(3));
        for _ in 0..20 {
            assert_eq!(order(&addresses, 7)[3], address(1));
        }
        let lasts: HashSet<_> = (0..200).map(|_| order(&addresses, 36)[3]).collect();
        assert_eq!(lasts.len(), 4, "it is forgotten");
    }
}
