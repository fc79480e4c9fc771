//! How a relay's limits are divided among its pods, which come and go: see [`mailsluice_crds::shares`].
//!
//! What is divided stands in the ConfigMap that the pods mount, so that an operator that begins knows it. A pod that had a part keeps it until
//! it says in its Monitor that it keeps to the new one, or until it is seen gone; and where messages are counted by the minute, until a minute
//! after. A pod that cannot be reached may still send, so its part is nobody else's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::{
    SMTPRelay, SMTPRelaySpec,
    shares::{Division, Shares},
};

/// A pod that is gone may have sent all its messages of this minute.
const MINUTE: Duration = Duration::from_secs(60);

/// How long those that have a part keep it, where there are more pods than a limit allows.
const TURN: Duration = Duration::from_secs(60);

/// A pod that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Its number.
    pub number: u32,
    /// The version of the shares that it said it keeps to.
    pub keeps: Option<u64>,
}

/// What is published, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divided {
    /// What is to be published.
    pub shares: Shares,
    /// When that may change by itself.
    pub again: Option<Duration>,
}

/// What was seen of each relay since its shares were published.
#[derive(Default)]
pub struct Divisions(Mutex<HashMap<ObjectRef<SMTPRelay>, Watched>>);

/// One relay's shares, as they are watched.
struct Watched {
    version: u64,
    since: Instant,
    /// Pods that do not keep to them, as far as is known, by their number: when each was there last.
    missed: HashMap<u32, Instant>,
}

impl Divisions {
    /// Decides what is published next, after `published`. `version` is that of the next.
    pub fn decide(
        &self,
        relay: &ObjectRef<SMTPRelay>,
        spec: &SMTPRelaySpec,
        published: Shares,
        pods: &[Present],
        version: u64,
        now: Instant,
    ) -> Divided {
        let mut relays = self.lock();
        let watched = relays.entry(relay.clone()).or_insert_with(|| Watched::new(published.version, now));
        if watched.version != published.version {
            *watched = Watched::new(published.version, now);
        }
        let (kept, over) = watched.kept(&published, pods, spec.limits.messages_per_host_per_minute.is_some(), now);
        let mut wanted = Division { among: spec.replicas, turn: published.goal().turn };
        let mut turns = None;
        if published == Shares::first(wanted, published.version) && least(spec) < spec.replicas {
            turns = TURN.checked_sub(now.saturating_duration_since(watched.since)).filter(|left| !left.is_zero());
            if turns.is_none() {
                wanted.turn = wanted.turn.wrapping_add(1);
            }
        }
        let shares = published.towards(wanted, kept, version).unwrap_or(published);
        Divided { shares, again: [turns, over].into_iter().flatten().min() }
    }

    /// Forgets relays that are not there any more.
    pub fn retain(&self, exists: impl Fn(&ObjectRef<SMTPRelay>) -> bool) {
        self.lock().retain(|relay, _| exists(relay));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<SMTPRelay>, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn new(version: u64, now: Instant) -> Watched {
        Watched { version, since: now, missed: HashMap::new() }
    }

    /// Whether all that had a part keep to what is published, or are gone with all that they had; else when that may be so by itself.
    fn kept(&mut self, published: &Shares, pods: &[Present], counted: bool, now: Instant) -> (bool, Option<Duration>) {
        let (mut all, mut again) = (true, None);
        if published.next.is_none() {
            return (all, again);
        }
        for number in 0..published.now.among {
            let pod = pods.iter().find(|pod| pod.number == number);
            if pod.is_some_and(|pod| pod.keeps >= Some(published.version)) {
                self.missed.remove(&number);
                continue;
            }
            if pod.is_some() {
                self.missed.insert(number, now);
                all = false;
                continue;
            }
            let gone = now.saturating_duration_since(*self.missed.entry(number).or_insert(now));
            if let Some(left) = MINUTE.checked_sub(gone).filter(|left| counted && !left.is_zero()) {
                all = false;
                again = Some(again.map_or(left, |again: Duration| again.min(left)));
            }
        }
        (all, again)
    }
}

/// The smallest of the limits that are divided.
fn least(spec: &SMTPRelaySpec) -> u32 {
    let limits = &spec.limits;
    let least = limits.connections.min(limits.connections_per_host);
    limits.messages_per_host_per_minute.map_or(least, |messages| messages.min(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(replicas: u32, per_host: u32, messages: Option<u32>) -> SMTPRelaySpec {
        let mut spec = SMTPRelaySpec { replicas, ..SMTPRelaySpec::default() };
        spec.limits.connections_per_host = per_host;
        spec.limits.messages_per_host_per_minute = messages;
        spec
    }

    fn among(among: u32) -> Division {
        Division { among, turn: 0 }
    }

    /// Pods that keep to these versions, by their numbers; none, where a number has no pod.
    fn pods(keeps: &[Option<u64>]) -> Vec<Present> {
        (0..)
            .zip(keeps)
            .filter_map(|(number, keeps)| keeps.map(|keeps| Present { number, keeps: Some(keeps) }))
            .collect()
    }

    #[test]
    fn a_new_part_is_given_when_those_that_had_one_keep_to_less_or_are_gone() {
        let changing = |now, next| Shares { version: 5, now: among(now), next: Some(among(next)) };
        let (counted, uncounted) = (Some(100), None);
        for (name, published, replicas, messages, keeps, now, next) in [
            ("as it is", Shares::first(among(2), 5), 2, counted, vec![Some(5), Some(5)], 2, None),
            ("a third is asked for", Shares::first(among(2), 5), 3, counted, vec![Some(5), Some(5)], 2, Some(3)),
            ("one has not seen it", changing(2, 3), 3, counted, vec![Some(5), Some(4), Some(5)], 2, Some(3)),
            ("all have", changing(2, 3), 3, counted, vec![Some(5), Some(5), Some(4)], 3, None),
            ("the third is not there yet", changing(2, 3), 3, counted, vec![Some(5), Some(5)], 3, None),
            ("one that leaves has not", changing(3, 2), 2, uncounted, vec![Some(5), Some(5), Some(4)], 3, Some(2)),
            ("it is gone", changing(3, 2), 2, uncounted, vec![Some(5), Some(5), None], 2, None),
            ("it is gone, and sent mail", changing(3, 2), 2, counted, vec![Some(5), Some(5), None], 3, Some(2)),
            ("nobody is there", changing(3, 0), 0, uncounted, vec![], 0, None),
        ] {
            let divided = Divisions::default().decide(
                &ObjectRef::new("outbound"),
                &spec(replicas, 10, messages),
                published,
                &pods(&keeps),
                6,
                Instant::now(),
            );
            assert_eq!((divided.shares.now, divided.shares.next), (among(now), next.map(among)), "{name}");
            assert_eq!(divided.shares.version, if divided.shares == published { 5 } else { 6 }, "{name}");
        }
    }

    #[test]
    fn what_a_pod_that_is_gone_sent_in_its_last_minute_counts_to_its_end() {
        let (divisions, relay, start) = (Divisions::default(), ObjectRef::new("outbound"), Instant::now());
        let published = Shares { version: 5, now: among(3), next: Some(among(2)) };
        let decide = |keeps: &[Option<u64>], after: u64| {
            let now = start + Duration::from_secs(after);
            let divided = divisions.decide(&relay, &spec(2, 10, Some(100)), published, &pods(keeps), 6, now);
            (divided.shares.next.is_none(), divided.again.map(|again| again.as_secs()))
        };
        assert_eq!(decide(&[Some(5), Some(5), Some(4)], 0), (false, None), "it is there");
        assert_eq!(decide(&[Some(5), Some(5), Some(4)], 30), (false, None));
        assert_eq!(decide(&[Some(5), Some(5), None], 50), (false, Some(40)), "it is gone since then at the earliest");
        assert_eq!(decide(&[Some(5), Some(5), None], 90), (true, None));
        // One that kept to its part before it went has nothing to wait for.
        assert_eq!(decide(&[Some(5), Some(5), Some(5)], 91), (true, None));
    }

    #[test]
    fn pods_take_turns_where_a_limit_is_smaller_than_their_number_and_only_there() {
        let (divisions, relay, start) = (Divisions::default(), ObjectRef::new("outbound"), Instant::now());
        let settled = Shares::first(among(3), 5);
        let all = pods(&[Some(5), Some(5), Some(5)]);
        let decide = |spec: &SMTPRelaySpec, after| divisions.decide(&relay, spec, settled, &all, 6, start + after);
        assert_eq!(decide(&spec(3, 2, None), Duration::ZERO), Divided { shares: settled, again: Some(TURN) });
        let turned = decide(&spec(3, 2, None), TURN).shares;
        assert_eq!(turned, Shares { version: 6, now: among(3), next: Some(Division { among: 3, turn: 1 }) });
        for enough in [spec(3, 3, None), spec(3, 10, Some(3))] {
            assert_eq!(decide(&enough, 10 * TURN), Divided { shares: settled, again: None });
        }
        assert_ne!(decide(&spec(3, 10, Some(2)), 10 * TURN).shares, settled);
    }
}
