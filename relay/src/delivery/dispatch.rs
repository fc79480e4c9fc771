//! The loop that lets hosts have their turn: what is due is let go, each host in turn asks for a session, and what has
//! grown too old goes back to its sender.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::relay::Retry;
use tokio::{task::JoinSet, time};

use super::{Courier, expire, session::Session, warn};
use crate::{clock, ids::SessionId, tcp::Permission};

/// The longest sleep. The clock on the wall may be set while the relay sleeps; it is late by no more than this then.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Reports written at a time, so that a great many of them do not hold up what is due. The next is begun as soon as one is done.
const REPORTS_AT_ONCE: usize = 100;

/// Lets hosts have their turn until the relay stops.
pub async fn run(courier: Arc<Courier>) {
    let mut reports = JoinSet::new();
    while !courier.stop.is_cancelled() {
        courier.look_whether_the_clock_was_set();
        let (now, now_for_ages) = (clock::now(), courier.watch.now_for_ages());
        courier.queue.dispatch(|queue| queue.advance(now));
        let all_asked = give_turns(&courier, now);
        let retry = courier.config.borrow().spec.retry.clone();
        report(&courier, &mut reports, &retry, now_for_ages);
        let sleep = sleep_time(&courier, retry.expire_after.duration(), now, now_for_ages);
        tokio::select! {
            biased;
            () = courier.queue.rung() => {}
            () = courier.gate.session_ended(), if !all_asked => {}
            Some(_) = reports.join_next() => {}
            () = time::sleep(sleep) => {}
            () = courier.stop.cancelled() => {}
        }
    }
    // Those under way are finished: a stop waits for them as for sessions.
    reports.detach_all();
}

/// Asks for a session for each host in turn; false when there was no connection left for one.
fn give_turns(courier: &Arc<Courier>, now: Timestamp) -> bool {
    loop {
        let next = courier.queue.dispatch(|queue| queue.next_host().map(|(id, name)| (id, name.to_owned())));
        let Some((id, host)) = next else { return true };
        let session = SessionId::next();
        match courier.gate.ask(&host, session, now) {
            Permission::Granted(lease) => {
                let hold = courier.queue.hold(id);
                let session = Session::new(courier.clone(), (id, host), session, hold, lease);
                courier.sessions.spawn(session.run());
            }
            Permission::Suspended(suspension, facts) => {
                courier.queue.change_for(&facts, |queue| queue.suspend(id, suspension));
            }
            Permission::NoConnectionLeft => {
                courier.queue.dispatch(|queue| queue.give_back_turn(id));
                return false;
            }
        }
    }
}

fn sleep_time(courier: &Courier, age: SignedDuration, now: Timestamp, now_for_ages: Timestamp) -> Duration {
    let (wake, expiry) = courier.queue.read(|queue| (queue.next_wake(), queue.next_expiry(age)));
    // What is already too old is in somebody's hand, and looked at again after the longest sleep.
    let expiry = expiry.map(|at| now_for_ages.duration_until(at)).filter(SignedDuration::is_positive);
    let wake = wake.map(|at| now.duration_until(at));
    let next = [wake, expiry].into_iter().flatten().min();
    let until = next.map_or(LONGEST_SLEEP, |left| left.try_into().unwrap_or(Duration::ZERO));
    // The timer counts in milliseconds: a wake-up a moment early would only look again at once.
    until.clamp(Duration::from_millis(1), LONGEST_SLEEP)
}

/// Returns what has expired, and tells senders what is late.
fn report(courier: &Arc<Courier>, reports: &mut JoinSet<()>, retry: &Retry, now: Timestamp) {
    while reports.try_join_next().is_some() {}
    let room = REPORTS_AT_ONCE.saturating_sub(reports.len());
    if room == 0 {
        return;
    }
    let (expired, late) = courier.queue.dispatch(|queue| {
        let expired = queue.take_expired(retry.expire_after.duration(), now, room);
        let left = room.saturating_sub(expired.len());
        (expired, queue.take_late(retry.warn_after.map(|after| after.duration()), now, left))
    });
    for work in expired {
        reports.spawn(courier.sessions.track_future(expire::give_back(courier.clone(), work)));
    }
    for message in late {
        reports.spawn(courier.sessions.track_future(warn::tell(courier.clone(), message)));
    }
}
