//! The loop that lets hosts have their turn: what is due is let go, each host in turn asks for a session, and what has
//! grown too old goes back to its sender.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::LogLevel;
use tokio::time;

use super::{Courier, outcome::Failure, session::Session};
use crate::{
    clock,
    log::Tag,
    queue::{Settled, Work},
    spool::{self, Mark},
    tcp::Permission,
};

/// The longest sleep. The clock on the wall may be set while the relay sleeps; it is late by no more than this then.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Expired messages taken at a time, so that a great many of them do not hold up what is due.
const EXPIRED_AT_ONCE: usize = 100;

/// The wait before an expired message that could not be returned is tried again.
const RETURN_AGAIN: Duration = Duration::from_secs(60);

/// Lets hosts have their turn until the relay stops.
pub async fn run(courier: Arc<Courier>) {
    while !courier.stop.is_cancelled() {
        let now = clock::now();
        courier.queue.dispatch(|queue| queue.advance(now));
        let all_asked = give_turns(&courier, now);
        let age = courier.config.borrow().spec.retry.expire_after.duration();
        return_expired(&courier, age, now);
        let sleep = sleep_time(&courier, age, now);
        tokio::select! {
            biased;
            () = courier.queue.rung() => {}
            () = courier.gate.session_ended(), if !all_asked => {}
            () = time::sleep(sleep) => {}
            () = courier.stop.cancelled() => {}
        }
    }
}

/// Asks for a session for each host in turn; false when there was no connection left for one.
fn give_turns(courier: &Arc<Courier>, now: Timestamp) -> bool {
    loop {
        let next = courier.queue.dispatch(|queue| queue.next_host().map(|(id, name)| (id, name.to_owned())));
        let Some((id, host)) = next else { return true };
        match courier.gate.ask(&host, now) {
            Permission::Granted(lease) => {
                let hold = courier.queue.hold(id);
                let session = Session::new(courier.clone(), id, host, hold, lease);
                courier.sessions.spawn(session.run());
            }
            Permission::Suspended(suspension) => {
                courier.queue.change(|queue| queue.suspend(id, suspension));
            }
            Permission::NoConnectionLeft => {
                courier.queue.dispatch(|queue| queue.give_back_turn(id));
                return false;
            }
        }
    }
}

fn sleep_time(courier: &Courier, age: SignedDuration, now: Timestamp) -> Duration {
    let (wake, expiry) = courier.queue.read(|queue| (queue.next_wake(), queue.next_expiry(age)));
    // What is already too old is in somebody's hand, and looked at again after the longest sleep.
    let next = [wake, expiry.filter(|at| *at > now)].into_iter().flatten().min();
    let until = next.map_or(LONGEST_SLEEP, |at| now.duration_until(at).try_into().unwrap_or(Duration::ZERO));
    // The timer counts in milliseconds: a wake-up a moment early would only look again at once.
    until.clamp(Duration::from_millis(1), LONGEST_SLEEP)
}

fn return_expired(courier: &Arc<Courier>, age: SignedDuration, now: Timestamp) {
    let expired = courier.queue.dispatch(|queue| queue.take_expired(age, now, EXPIRED_AT_ONCE));
    for work in expired {
        courier.sessions.spawn(return_one(courier.clone(), work));
    }
}

async fn return_one(courier: Arc<Courier>, work: Work) {
    let in_hand = courier.queue.in_hand(work.clone());
    let read = courier.spool.read(work.location).await;
    let result = match &read {
        Err(error) if error.is_damage() => return courier.unreadable(&work, error, in_hand),
        Ok((envelope, _)) => {
            let since = envelope.received_at;
            let failed: Vec<_> = work
                .recipients
                .iter()
                .map(|recipient| Failure {
                    recipient: *recipient,
                    // RFC 3463 section 3.5: X.4.7, delivery time expired.
                    status: "5.4.7".into(),
                    reply: None,
                    remote: None,
                    text: format!("could not be delivered since {since:.0}; the time for it is over"),
                })
                .collect();
            let body = courier.spool.body(work.location).await.ok();
            courier.bounce(envelope, body, &failed).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => {
            let outcomes = work.recipients.iter().map(|recipient| (*recipient, spool::Outcome::Failed)).collect();
            courier.spool.mark(Mark { id: work.id, location: work.location, outcomes });
            in_hand.settle(Settled::Gone);
        }
        Err(error) => {
            courier
                .log
                .at(LogLevel::Problems, Tag::Report)
                .field("message", work.id)
                .say(format_args!("an expired message could not be returned, trying again later: {error}"));
            // It stays in hand for so long, so that it is not taken again at once.
            tokio::select! {
                () = time::sleep(RETURN_AGAIN) => {}
                () = courier.stop.cancelled() => {}
            }
            in_hand.settle(Settled::Untried);
        }
    }
}
