//! How many pods a relay's StatefulSet has while some of them are scaled away: one goes only when its mail is with its siblings, or stays on
//! its claim for a reason.
//!
//! The operator keeps the StatefulSet as it is, tells the pods how many stay, and takes away those at the end that have said that they are
//! done. Not by a preStop hook: that has only the grace period, which a long queue outlasts, is run when a pod is replaced or its node drained
//! too, when the mail had better stay on its claim, and is not run when the container has just failed. So `kubectl scale`, an autoscaler and an edit
//! of the SMTPRelay are all the same, and a scale-up in the middle of it only ends it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::{
    SMTPRelay,
    monitor::{HandoverState, StrandedMail},
};

use crate::{monitor::Seen, names};

/// A pod that leaves and says nothing about it is waited for so long: the kubelet may take more than a minute to show it how many stay.
const SILENCE: Duration = Duration::from_secs(150);

/// How a relay's StatefulSet is to be scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// How many pods there are to be now.
    pub replicas: u32,
    /// How many of them are to go.
    pub leaving: u32,
    /// The claims that hold mail of pods that are gone, or are about to.
    pub stranded: Vec<StrandedMail>,
    /// When to look again.
    pub again: Option<Duration>,
}

/// Since when pods leave, by relay and number.
#[derive(Default)]
pub struct Departures(Mutex<HashMap<ObjectRef<SMTPRelay>, HashMap<u32, Instant>>>);

impl Departures {
    /// Decides. `seen` is what is known of the relay's pods, and `before` the stranded mail that its status tells of.
    pub fn decide(
        &self,
        relay: &ObjectRef<SMTPRelay>,
        (wanted, present): (u32, Option<u32>),
        seen: &[Seen],
        before: &[StrandedMail],
        now: Instant,
    ) -> Scale {
        let present = present.unwrap_or(wanted);
        let mut departures = self.lock();
        let since = departures.entry(relay.clone()).or_default();
        since.retain(|number, _| (wanted..present).contains(number));
        for number in wanted..present {
            since.entry(number).or_insert(now);
        }
        scale(&relay.name, (wanted, present), seen, before, |number| {
            since.get(&number).map_or(Duration::ZERO, |since| now.saturating_duration_since(*since))
        })
    }

    /// Forgets relays that are not there any more.
    pub fn retain(&self, exists: impl Fn(&ObjectRef<SMTPRelay>) -> bool) {
        self.lock().retain(|relay, _| exists(relay));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<SMTPRelay>, HashMap<u32, Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many pods a StatefulSet is told to have.
#[must_use]
pub fn present(stateful_set: &StatefulSet) -> Option<u32> {
    stateful_set.spec.as_ref()?.replicas.and_then(|replicas| u32::try_from(replicas).ok())
}

/// How many pods there are to be where their StatefulSet is gone, as it is for a moment while it is made anew: as many as it had, or those that
/// leave would go with their mail.
#[must_use]
pub fn left<'a>(relay: &str, pods: impl Iterator<Item = &'a str>) -> Option<u32> {
    pods.filter_map(|pod| names::pod_number(relay, pod)).max().map(|last| last + 1)
}

fn scale(
    relay: &str,
    (wanted, present): (u32, u32),
    seen: &[Seen],
    before: &[StrandedMail],
    waited: impl Fn(u32) -> Duration,
) -> Scale {
    let of = |number: u32| seen.iter().find(|seen| seen.pod == names::pod(relay, number));
    let state = |number: u32| of(number).and_then(|seen| seen.handover);
    let may_go = |number: u32| match of(number).filter(|seen| seen.fresh).and_then(|seen| seen.handover) {
        Some(HandoverState::Done | HandoverState::Stranded) => true,
        Some(HandoverState::UnderWay) => false,
        None => waited(number) >= SILENCE,
    };
    let mut replicas = present.max(wanted);
    while replicas > wanted && may_go(replicas - 1) {
        replicas -= 1;
    }
    let waiting = (wanted..replicas).filter(|number| state(*number).is_none());
    let again = waiting.filter_map(|number| SILENCE.checked_sub(waited(number))).min();

    // What its pod says counts; else what was known before, until a pod has the claim again.
    let told = |number: u32| match state(number) {
        Some(HandoverState::Stranded) => of(number).map(|seen| seen.messages),
        Some(HandoverState::Done | HandoverState::UnderWay) => None,
        // It never said that its mail is with its siblings.
        None if number >= replicas && number < present => of(number).map(|seen| seen.messages),
        None if number >= replicas => {
            before.iter().find(|known| known.claim == names::claim(relay, number)).map(|known| known.messages)
        }
        None => None,
    };
    let known = before.iter().filter_map(|known| names::claim_number(relay, &known.claim)).map(|number| number + 1);
    let end = known.chain([present]).max().unwrap_or(present);
    let stranded = (wanted..end).filter_map(|number| {
        let messages = told(number).filter(|messages| *messages > 0)?;
        Some(StrandedMail { claim: names::claim(relay, number), messages })
    });
    Scale { stranded: stranded.collect(), leaving: replicas - wanted, replicas, again }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: u32, handover: Option<HandoverState>, messages: u64) -> Seen {
        Seen { pod: names::pod("outbound", number), fresh: true, handover, messages, shares: None }
    }

    fn mail(number: u32, messages: u64) -> StrandedMail {
        StrandedMail { claim: names::claim("outbound", number), messages }
    }

    #[test]
    fn pods_go_from_the_end_each_when_its_mail_is_safe_elsewhere_or_stays_for_a_reason() {
        use HandoverState::{Done, Stranded, UnderWay};
        let no = Duration::ZERO;
        let stale = Seen { fresh: false, ..seen(1, Some(Done), 0) };
        for (name, scaled, pods, before, waited, replicas, stranded) in [
            ("as it is", (2, 2), vec![], vec![], no, 2, vec![]),
            ("up", (5, 2), vec![], vec![], no, 5, vec![]),
            ("it was not told yet", (1, 2), vec![seen(1, None, 7)], vec![], no, 2, vec![]),
            ("on its way", (1, 2), vec![seen(1, Some(UnderWay), 7)], vec![], 2 * SILENCE, 2, vec![]),
            ("done", (1, 2), vec![seen(1, Some(Done), 0)], vec![], no, 1, vec![]),
            ("what it said before is old", (1, 2), vec![stale], vec![], no, 2, vec![]),
            ("no sibling stays", (0, 1), vec![seen(0, Some(Stranded), 7)], vec![], no, 0, vec![mail(0, 7)]),
            ("nothing is stranded", (0, 1), vec![seen(0, Some(Stranded), 0)], vec![], no, 0, vec![]),
            (
                "one in the middle is not done",
                (1, 4),
                vec![seen(1, Some(Done), 0), seen(2, Some(UnderWay), 3), seen(3, Some(Done), 0)],
                vec![],
                no,
                3,
                vec![],
            ),
            ("it never says anything", (1, 2), vec![seen(1, None, 7)], vec![], SILENCE, 1, vec![mail(1, 7)]),
            ("its pod is gone", (0, 0), vec![], vec![mail(0, 7)], no, 0, vec![mail(0, 7)]),
            ("its claim is in use again", (1, 0), vec![], vec![mail(0, 7)], no, 1, vec![]),
            ("one of two claims is", (1, 1), vec![], vec![mail(0, 7), mail(1, 8)], no, 1, vec![mail(1, 8)]),
        ] {
            let scale = scale("outbound", scaled, &pods, &before, |_| waited);
            assert_eq!((scale.replicas, scale.stranded), (replicas, stranded), "{name}");
            assert_eq!(scale.leaving, replicas - scaled.0, "{name}");
        }
    }

    #[test]
    fn pods_without_a_stateful_set_are_as_many_as_it_had() {
        for (pods, many) in [
            (vec![], None),
            (vec!["outbound-0"], Some(1)),
            (vec!["outbound-2", "outbound-0"], Some(3)),
            (vec!["other-7", "outbound-x"], None),
        ] {
            assert_eq!(left("outbound", pods.iter().copied()), many, "{pods:?}");
        }
    }

    #[test]
    fn a_pod_that_says_nothing_is_looked_at_again_when_its_time_is_over() {
        let departures = Departures::default();
        let (relay, start) = (ObjectRef::new("outbound"), Instant::now());
        let decide = |scaled, after| departures.decide(&relay, scaled, &[], &[], start + after);
        let first = decide((1, Some(2)), Duration::ZERO);
        assert_eq!((first.replicas, first.again), (2, Some(SILENCE)));
        let later = decide((1, Some(2)), SILENCE / 2);
        assert_eq!((later.replicas, later.again), (2, Some(SILENCE / 2)));
        // A scale-up in the middle of it begins anew.
        assert_eq!(decide((2, Some(2)), SILENCE / 2).replicas, 2);
        assert_eq!(decide((1, Some(2)), SILENCE).replicas, 2);
        assert_eq!(decide((1, Some(2)), 2 * SILENCE).replicas, 1);
        assert_eq!(decide((3, None), Duration::ZERO).replicas, 3, "there is no StatefulSet yet");
    }
}
