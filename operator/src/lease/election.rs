//! Who leads: what a candidate does about what it sees of the Lease. Pure.
//!
//! Nobody's wall clock is believed but for show. A candidate counts from when it first saw a record, which is not before
//! its holder wrote it; the holder counts from when it began to write, which is not after. So a holder that stops writing at
//! [`HELD`] has stopped before anybody may take the Lease, [`LENGTH`] after.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
use tokio::time::Instant;

/// A Lease that has not changed for so long may be taken.
pub const LENGTH: Duration = Duration::from_secs(10);
/// A leader may write for so long after it began a renewal that was done. The rest of [`LENGTH`] is for what is still on its way to
/// the API server.
pub const HELD: Duration = Duration::from_secs(7);
/// How often a leader renews.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// How often everybody else looks, and how soon a leader whose renewal failed tries again.
pub const LOOK: Duration = Duration::from_secs(1);

/// [`LENGTH`], as the Lease has it.
const LENGTH_SECONDS: i32 = 10;

/// A candidate.
#[derive(Debug)]
pub struct Election {
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
}

impl Election {
    /// A candidate by this name, which no other process ever has, nor this one after a restart.
    #[must_use]
    pub fn new(identity: String) -> Election {
        Election { identity, seen: None }
    }

    /// What to write in order to lead, after a look at the Lease, which may not exist; `None`: look again later.
    pub fn claim(&mut self, found: Option<&LeaseSpec>, wall: Timestamp, now: Instant) -> Option<LeaseSpec> {
        let Some(found) = found else { return Some(self.taken(None, wall)) };
        if self.is_holder(found) {
            // An answer was lost: the write that it was to was done.
            return Some(renewed(found, wall));
        }
        if is_free(found) {
            return Some(self.taken(Some(found), wall));
        }
        match &self.seen {
            Some((seen, since)) if seen == found => {
                (now.saturating_duration_since(*since) >= length(found)).then(|| self.taken(Some(found), wall))
            }
            _ => {
                self.seen = Some((found.clone(), now));
                None
            }
        }
    }

    /// Whether this candidate holds the Lease.
    #[must_use]
    pub fn is_holder(&self, found: &LeaseSpec) -> bool {
        found.holder_identity.as_deref() == Some(&*self.identity)
    }

    fn taken(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let changes = before.and_then(|before| before.lease_transitions);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LENGTH_SECONDS),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(before.map_or(0, |_| changes.unwrap_or(0).saturating_add(1))),
            ..LeaseSpec::default()
        }
    }
}

/// What the holder writes in order to stay.
#[must_use]
pub fn renewed(held: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
    LeaseSpec { renew_time: Some(MicroTime(wall)), ..held.clone() }
}

/// What the holder writes in order to go: anybody may take it at once.
#[must_use]
pub fn released(held: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
    LeaseSpec { holder_identity: Some(String::new()), ..renewed(held, wall) }
}

fn is_free(found: &LeaseSpec) -> bool {
    found.holder_identity.as_deref().unwrap_or_default().is_empty()
}

/// How long its holder wants it to be left alone; ours, where it does not say.
fn length(found: &LeaseSpec) -> Duration {
    let seconds = found.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(LENGTH, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(LENGTH_SECONDS),
            acquire_time: Some(MicroTime(wall(0))),
            renew_time: Some(MicroTime(wall(renewed))),
            lease_transitions: Some(4),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_once_its_holder_has_let_it_go_or_said_nothing_for_its_length() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let other = || Some(held_by("b", 1));
        for (name, looks, taken_at) in [
            ("there is none", vec![(0, None)], Some(0)),
            ("it was let go", vec![(0, Some(held_by("", 1)))], Some(0)),
            ("it was let go while somebody looked", vec![(0, other()), (1, Some(held_by("", 2)))], Some(1)),
            ("it was deleted", vec![(0, other()), (1, None)], Some(1)),
            ("it names no holder", vec![(0, Some(LeaseSpec::default()))], Some(0)),
            ("it is seen for the first time, however old it says it is", vec![(0, other())], None),
            ("nobody renews it", vec![(0, other()), (9, other()), (10, other())], Some(10)),
            (
                "it is renewed",
                vec![
                    (0, other()),
                    (9, Some(held_by("b", 2))),
                    (18, Some(held_by("b", 3))),
                    (27, Some(held_by("b", 4))),
                ],
                None,
            ),
            ("it changes hands", vec![(0, other()), (9, Some(held_by("c", 1))), (18, Some(held_by("c", 1)))], None),
            ("a clock that goes back", vec![(0, Some(held_by("b", 100))), (9, other()), (18, other())], None),
            ("the answer to our write was lost", vec![(0, other()), (1, Some(held_by("a", 2)))], Some(1)),
            (
                "its holder wants longer",
                [0, 10, 29, 30]
                    .map(|at| (at, Some(LeaseSpec { lease_duration_seconds: Some(30), ..held_by("b", 1) })))
                    .into(),
                Some(30),
            ),
        ] {
            let mut election = Election::new("a".into());
            let claimed = looks.into_iter().find_map(|(at, found)| {
                let claim = election.claim(found.as_ref(), wall(50), after(at))?;
                assert!(election.is_holder(&claim), "{name}");
                Some(at)
            });
            assert_eq!(claimed, taken_at, "{name}");
        }
    }

    #[test]
    fn what_is_written_says_who_holds_it_since_when_and_how_often_it_changed_hands() {
        let mut election = Election::new("a".into());
        let first = election.claim(None, wall(50), Instant::now()).unwrap();
        assert_eq!((first.lease_transitions, first.lease_duration_seconds), (Some(0), Some(LENGTH_SECONDS)));
        assert_eq!((&first.acquire_time, &first.renew_time), (&Some(MicroTime(wall(50))), &Some(MicroTime(wall(50)))));
        let later = renewed(&first, wall(53));
        assert_eq!((&later.acquire_time, &later.renew_time), (&first.acquire_time, &Some(MicroTime(wall(53)))));
        let gone = released(&later, wall(54));
        assert!(!election.is_holder(&gone) && is_free(&gone));
        let next = Election::new("b".into()).claim(Some(&gone), wall(55), Instant::now()).unwrap();
        assert_eq!((next.lease_transitions, next.acquire_time), (Some(1), Some(MicroTime(wall(55)))));
    }

    #[test]
    fn a_leader_stops_writing_before_anybody_may_take_its_lease() {
        assert_eq!(LENGTH, length(&held_by("a", 0)));
        assert!(HELD + Duration::from_secs(2) < LENGTH, "time for what is on its way");
        assert!(RENEWAL + 2 * LOOK < HELD, "a renewal that fails is tried again");
    }
}
