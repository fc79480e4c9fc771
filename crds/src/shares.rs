//! How the limits that hold for a relay as a whole are divided among its pods.
//!
//! The operator publishes [`Shares`] to all pods of a relay, and each keeps to its part of every limit; no pod asks anybody. A change
//! goes in two steps, so that the parts never come to more than the limit, in whatever order pods see it: first every pod keeps to the
//! smaller of its old part and its new one, and only when all that had a part are seen to do so do they take the new one.
//!
//! Where a limit is smaller than the number of pods, some have no part of it. They take turns ([`Division::turn`]), so that no pod's mail
//! waits for ever. A part of at least one each would be more than the limit, and the other side may count.

use serde::{Deserialize, Serialize};

/// The file with the published shares, beside a relay's manifests, and its key in their ConfigMap.
pub const FILE: &str = "shares";

/// One way of dividing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// Among so many pods: those with the lowest numbers.
    pub among: u32,
    /// How far what does not come out even has gone round among them.
    #[serde(default)]
    pub turn: u32,
}

impl Division {
    /// The part of `limit` that the pod of this number has. All pods' parts come to the limit.
    #[must_use]
    pub fn part(self, limit: u32, pod: u32) -> u32 {
        if pod >= self.among {
            return 0;
        }
        let place = (u64::from(pod) + u64::from(self.turn)) % u64::from(self.among);
        limit / self.among + u32::from(place < u64::from(limit % self.among))
    }
}

/// What the operator publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// Grows with each change. A pod never goes back to an older one.
    pub version: u64,
    /// The division in force.
    pub now: Division,
    /// The one that follows, while not all pods are seen to keep to both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Division>,
}

impl Shares {
    /// The first, for pods that have no part yet.
    #[must_use]
    pub fn first(now: Division, version: u64) -> Shares {
        Shares { version, now, next: None }
    }

    /// The part of `limit` that the pod of this number has.
    #[must_use]
    pub fn part(&self, limit: u32, pod: u32) -> u32 {
        let now = self.now.part(limit, pod);
        self.next.map_or(now, |next| now.min(next.part(limit, pod)))
    }

    /// The division that they come to, once every pod has seen them.
    #[must_use]
    pub fn goal(&self) -> Division {
        self.next.unwrap_or(self.now)
    }

    /// What to publish next on the way to `wanted`; none, where it is published already. `kept`: all pods that may have a part by
    /// [`Shares::now`] keep to these, or are gone with all that they had of it. `version` is that of the next, where it is newer.
    #[must_use]
    pub fn towards(&self, wanted: Division, kept: bool, version: u64) -> Option<Shares> {
        let (now, next) = match self.next {
            // Every pod that has a part has one of both, so that none has more than by the next.
            Some(next) if next == wanted && kept => (next, None),
            Some(next) if next == wanted => return None,
            // Whatever was to follow, nobody has more than by the one in force.
            Some(_) if self.now == wanted => (wanted, None),
            None if self.now == wanted => return None,
            _ => (self.now, Some(wanted)),
        };
        Some(Shares { version: version.max(self.version.saturating_add(1)), now, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(among: u32) -> Division {
        Division { among, turn: 0 }
    }

    #[test]
    fn the_parts_come_to_the_limit_and_differ_by_one_at_most() {
        for limit in 0..40 {
            for pods in 1..12 {
                for turn in [0, 1, 5, u32::MAX] {
                    let division = Division { among: pods, turn };
                    let parts: Vec<_> = (0..pods + 3).map(|pod| division.part(limit, pod)).collect();
                    assert_eq!(parts.iter().sum::<u32>(), limit, "{limit} by {division:?}: {parts:?}");
                    assert!(parts.iter().take(pods as usize).all(|part| part.abs_diff(limit / pods) <= 1), "{parts:?}");
                }
            }
        }
        assert_eq!(among(0).part(10, 0), 0, "a relay that is scaled to zero");
    }

    #[test]
    fn every_pod_has_its_turn_where_a_limit_is_smaller_than_their_number() {
        for (limit, pods) in [(1, 2), (2, 5), (1, 7)] {
            for pod in 0..pods {
                let turns = (0..pods).filter(|turn| Division { among: pods, turn: *turn }.part(limit, pod) > 0).count();
                assert_eq!(turns, limit as usize, "pod {pod} of {pods} in so many turns");
            }
        }
    }

    #[test]
    fn a_change_goes_in_two_steps_and_may_be_taken_back_or_changed_again() {
        let (two, three, five) = (among(2), among(3), among(5));
        let between = |now, next| Shares { version: 7, now, next: Some(next) };
        let settled = Shares::first(two, 7);
        for (name, shares, wanted, kept, now, next) in [
            ("a change begins", settled, three, true, two, Some(three)),
            ("it goes on when all keep to it", between(two, three), three, true, three, None),
            ("it is taken back", between(two, three), two, false, two, None),
            ("another takes its place", between(two, three), five, true, two, Some(five)),
        ] {
            let expected = Some(Shares { version: 8, now, next });
            assert_eq!(shares.towards(wanted, kept, 3), expected, "{name}");
        }
        assert_eq!(settled.towards(two, true, 9), None, "nothing is to change");
        assert_eq!(between(two, three).towards(three, false, 9), None, "it is waited for");
        assert_eq!(settled.towards(three, true, 90).map(|shares| shares.version), Some(90));
    }

    /// Numbers without a pattern, the same for the same seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, sides: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((self.0 >> 33) % u64::from(sides)).unwrap()
        }
    }

    const PODS: u32 = 7;

    /// A pod of some number: what it has seen, what it uses, and what is on its claim.
    #[derive(Default)]
    struct Pod {
        runs: bool,
        seen: Option<Shares>,
        kept_on_claim: Option<Shares>,
        used: u32,
        /// The newest version that it was seen to keep to. The operator remembers it by the number.
        reported: u64,
    }

    /// A relay with its operator, of which every part acts whenever it likes.
    struct World {
        limit: u32,
        /// All that was published; a pod may see any that it has not passed.
        published: Vec<Shares>,
        pods: Vec<Pod>,
        wanted: Division,
    }

    impl World {
        fn new(dice: &mut Dice) -> World {
            let wanted = among(1 + dice.below(PODS));
            let pods = (0..PODS).map(|_| Pod::default()).collect();
            World { limit: 1 + dice.below(2 * PODS), published: vec![Shares::first(wanted, 1)], pods, wanted }
        }

        fn latest(&self) -> Shares {
            *self.published.last().unwrap()
        }

        fn act(&mut self, dice: &mut Dice) {
            let number = dice.below(PODS);
            let latest = self.latest();
            let pod = &mut self.pods[number as usize];
            match dice.below(9) {
                0 => self.wanted = Division { among: dice.below(PODS + 1), turn: dice.below(3) },
                1 | 2 => self.operate(),
                // It starts: its mount shows what is published then, or its claim what it knew.
                3 if !pod.runs => {
                    pod.runs = true;
                    pod.seen =
                        [Some(latest), pod.kept_on_claim].into_iter().flatten().max_by_key(|known| known.version);
                    pod.kept_on_claim = pod.seen;
                }
                // It is killed, or evicted; its number may come back.
                4 => (pod.runs, pod.used) = (false, 0),
                5 if pod.runs => {
                    let newer =
                        self.published.iter().filter(|one| pod.seen.is_none_or(|seen| one.version > seen.version));
                    let newer: Vec<_> = newer.collect();
                    if !newer.is_empty() {
                        pod.seen = Some(*newer[dice.below(u32::try_from(newer.len()).unwrap()) as usize]);
                        pod.kept_on_claim = pod.seen;
                    }
                }
                // It opens all the connections that it may, or some of those that it has end.
                6 if pod.runs => pod.used = pod.used.max(pod.seen.unwrap().part(self.limit, number)),
                7 => pod.used -= dice.below(pod.used + 1),
                8 => self.report(number),
                _ => {}
            }
        }

        fn report(&mut self, number: u32) {
            let limit = self.limit;
            let pod = &mut self.pods[number as usize];
            if let Some(seen) = pod.seen.filter(|seen| pod.runs && pod.used <= seen.part(limit, number)) {
                pod.reported = seen.version;
            }
        }

        fn operate(&mut self) {
            let latest = self.latest();
            let mut had_a_part = self.pods.iter().take(latest.now.among as usize);
            let kept = had_a_part.all(|pod| !pod.runs || pod.reported >= latest.version);
            self.published.extend(latest.towards(self.wanted, kept, 0));
        }

        fn used(&self) -> u32 {
            self.pods.iter().map(|pod| pod.used).sum()
        }

        /// Everybody sees everything, until nothing changes any more.
        fn come_to_rest(&mut self) {
            for _ in 0..4 {
                let latest = self.latest();
                for number in 0..PODS {
                    let pod = &mut self.pods[number as usize];
                    pod.runs = true;
                    pod.seen = Some(latest);
                    pod.kept_on_claim = pod.seen;
                    pod.used = pod.used.min(latest.part(self.limit, number));
                    self.report(number);
                }
                self.operate();
            }
        }
    }

    #[test]
    fn in_whatever_order_things_are_seen_the_total_is_never_exceeded_and_at_rest_all_of_it_is_given() {
        for seed in 0..3_000 {
            let mut dice = Dice(seed);
            let mut world = World::new(&mut dice);
            for step in 0..300 {
                world.act(&mut dice);
                assert!(world.used() <= world.limit, "seed {seed}, step {step}: {} of {}", world.used(), world.limit);
            }
            world.come_to_rest();
            assert_eq!((world.latest().now, world.latest().next), (world.wanted, None), "seed {seed}");
            let given: u32 = (0..PODS).map(|pod| world.latest().part(world.limit, pod)).sum();
            assert_eq!(given, if world.wanted.among == 0 { 0 } else { world.limit }, "seed {seed}");
        }
    }
}
