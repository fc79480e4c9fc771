//! Every change of a Suspended Till is told, once, whatever happens to the queue.

use std::collections::BTreeMap;

use mailsluice_crds::monitor::Reason;
use proptest::prelude::*;

use super::*;

const HOSTS: [&str; 3] = ["a.test", "b.test", "c.test"];

#[derive(Debug, Clone)]
enum Happens {
    Comes { host: usize, held: bool, optional: bool },
    Passes(i64),
    IsSent { host: usize, settled: u8 },
    Fails(usize),
    IsSuspended { host: usize, till: Option<i64>, reason: Reason },
    IsReleased(Reason),
    IsAskedFor(usize),
    IsTakenOut { host: usize, gone: bool },
}

fn happens() -> impl Strategy<Value = Happens> {
    let host = 0..HOSTS.len();
    let reason = prop::sample::select(vec![Reason::TcpScheduleClosed, Reason::TlsFailed, Reason::ConnectionFailed]);
    let till = prop::option::of(1..900_i64);
    prop_oneof![
        4 => (host.clone(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(host, held, optional)| Happens::Comes { host, held, optional }),
        4 => (1..700_i64).prop_map(Happens::Passes),
        6 => (host.clone(), 0..3_u8).prop_map(|(host, settled)| Happens::IsSent { host, settled }),
        2 => host.clone().prop_map(Happens::Fails),
        2 => (host.clone(), till, reason.clone())
            .prop_map(|(host, till, reason)| Happens::IsSuspended { host, till, reason }),
        1 => reason.prop_map(Happens::IsReleased),
        1 => host.clone().prop_map(Happens::IsAskedFor),
        1 => (host, any::<bool>()).prop_map(|(host, gone)| Happens::IsTakenOut { host, gone }),
    ]
}

/// Has it happen at `now`, with the message of this number where one comes.
fn happen(queue: &mut Queue, happens: &Happens, number: u64, now: Timestamp) {
    let named = |queue: &Queue, host: usize| queue.hosts_named([HOSTS[host]]).first().copied();
    match *happens {
        Happens::Comes { host, held, optional } => {
            let mut arrival = arrival(number, &[HOSTS[host]]);
            arrival.parts[0].tls_optional = optional;
            arrival.timing.hold_until = held.then(|| now + SignedDuration::from_secs(400));
            queue.insert(arrival, now);
        }
        Happens::Passes(_) => queue.advance(now),
        Happens::IsSent { host, settled } => {
            let Some(id) = named(queue, host) else { return };
            queue.session_opened(id);
            if let Some(work) = queue.take(id, now) {
                let till = queue.retry_at(work.attempts + 1, now);
                let recipients = work.recipients.clone();
                queue.settle(
                    &work,
                    match settled {
                        0 => Settled::Gone,
                        1 => Settled::Untried,
                        _ => Settled::Deferred { recipients, till },
                    },
                );
            }
            queue.session_closed(id);
        }
        Happens::Fails(host) => {
            let Some(id) = named(queue, host) else { return };
            queue.suspend_after_failure(id, now, Reason::ConnectionFailed, |run| run.to_string(), error());
        }
        Happens::IsSuspended { host, till, reason } => {
            let Some(id) = named(queue, host) else { return };
            let till = till.map(|seconds| now + SignedDuration::from_secs(seconds));
            queue.suspend(id, Suspension { till, reason, problem: "so it is".into() });
        }
        Happens::IsReleased(reason) => drop(queue.release(&[reason], "something has changed")),
        Happens::IsAskedFor(host) => {
            let Some(id) = named(queue, host) else { return };
            let _ = queue.release_hosts(&[id], now);
        }
        Happens::IsTakenOut { host, gone } => {
            let Some(id) = named(queue, host) else { return };
            for work in queue.take_all(id) {
                queue.settle(&work, if gone { Settled::Gone } else { Settled::Untried });
            }
        }
    }
}

proptest! {
    #[test]
    fn whoever_heard_each_change_knows_what_the_monitor_shows(story in prop::collection::vec(happens(), 1..60)) {
        let limits = Limits { messages_per_minute: Some(3), ..queue().limits };
        let mut queue = Queue::new(limits);
        let mut heard: BTreeMap<String, (Option<Timestamp>, Reason)> = BTreeMap::new();
        let mut now = START;
        for (number, event) in (1..).zip(&story) {
            now += SignedDuration::from_secs(match event { Happens::Passes(seconds) => *seconds, _ => 1 });
            // As the dispatcher does, which looks before anything else.
            queue.advance(now);
            happen(&mut queue, event, number, now);
            for change in queue.take_changes() {
                let before = match change.reason {
                    Some(reason) => heard.insert(change.host, (change.till, reason)),
                    None => heard.remove(&change.host),
                };
                let told = change.reason.map(|reason| (change.till, reason));
                prop_assert!(before != told || before.is_some_and(|(till, _)| till <= Some(now)), "told twice: {told:?}");
                prop_assert!(!change.why.is_empty());
            }
            heard.retain(|_, (till, _)| till.is_none_or(|till| till > now));
            // What has just come to its time is over, though the dispatcher has not looked again.
            let shown: BTreeMap<String, (Option<Timestamp>, Reason)> = queue
                .rows(usize::MAX)
                .0
                .into_iter()
                .filter_map(|row| Some((row.host, (row.suspended_till, row.reason?))))
                .filter(|(_, (till, _))| till.is_none_or(|till| till > now))
                .collect();
            prop_assert_eq!(&heard, &shown, "after {:?} at {}", event, now);
        }
    }
}
