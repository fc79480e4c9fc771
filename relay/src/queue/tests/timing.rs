//! Mail that has a time: held, late, important, asked for.

use mailsluice_crds::monitor::HostState;

use super::*;
use crate::{
    smtp::extensions::timing::{Late, Priority},
    spool::Deadline,
};

fn timed(id: u64, host: &str, timing: Timing) -> Arrival {
    Arrival { timing, ..arrival(id, &[host]) }
}

fn held_till(seconds: i64) -> Timing {
    Timing { hold_until: Some(after(seconds)), ..Timing::default() }
}

fn by(seconds: i64, late: Late) -> Timing {
    Timing { deliver_by: Some(Deadline { at: after(seconds), late, trace: false }), ..Timing::default() }
}

fn important(priority: i8) -> Timing {
    Timing { priority: Priority::new(priority), ..Timing::default() }
}

const AGE: SignedDuration = SignedDuration::from_secs(1_000);

fn ids(work: &[Work]) -> Vec<u64> {
    work.iter().map(|work| work.id.get()).collect()
}

#[test]
fn a_held_message_waits_till_its_time_and_the_monitor_says_whose_wish_that_is() {
    let mut queue = queue();
    assert_eq!(queue.insert(timed(1, "a.test", held_till(500)), after(1)), [Wake::Nobody]);
    let (rows, _) = queue.rows(1);
    let shown = (rows[0].state, rows[0].suspended_till, rows[0].reason);
    assert_eq!(shown, (HostState::Suspended, Some(after(500)), Some(Reason::HeldBySender)));
    assert_eq!(queue.next_wake(), Some(after(500)));
    queue.advance(after(499));
    assert_eq!(queue.next_host(), None);
    queue.advance(after(500));
    let host = open(&mut queue);
    assert!(queue.take(host, after(500)).is_some());
}

#[test]
fn as_many_hosts_are_counted_as_suspended_as_the_rows_show() {
    let mut queue = queue();
    queue.insert(arrival(1, &["put-off.test"]), START);
    let host = open(&mut queue);
    let work = queue.take(host, START).unwrap();
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
    queue.session_closed(host);
    queue.insert(arrival(2, &["suspended.test"]), START);
    let host = queue.hosts_named(["suspended.test"])[0];
    queue.suspend(host, closed_till(after(600)));
    queue.insert(timed(3, "held-by-sender.test", held_till(900)), START);
    queue.insert(arrival(4, &["ready.test"]), START);
    for (second, wanted) in [(0, 3), (300, 2), (600, 1), (900, 0)] {
        queue.advance(after(second));
        let (rows, _) = queue.rows(10);
        let shown = rows.iter().filter(|row| row.state >= HostState::Suspended).count();
        assert_eq!((shown, queue.totals().suspended_hosts), (wanted, wanted as u32), "after {second} s");
    }
}

#[test]
fn a_held_message_grows_old_from_its_time_on_and_not_from_its_acceptance() {
    let mut queue = queue();
    queue.insert(timed(1, "a.test", held_till(5_000)), after(1));
    assert_eq!(queue.next_too_old(AGE), Some(after(6_000)));
    queue.insert(arrival(2, &["b.test"]), after(2));
    assert_eq!(queue.next_expiry(AGE), Some(after(1_002)));
    assert_eq!(ids(&queue.take_expired(AGE, after(5_999), 10)), [2]);
    assert_eq!(ids(&queue.take_expired(AGE, after(6_000), 10)), [1]);
}

#[test]
fn a_change_of_routes_and_a_failed_return_let_no_held_message_go() {
    let mut queue = queue();
    queue.insert(timed(1, "a.test", held_till(500)), after(1));
    let host = queue.hosts_with_mail()[0];
    let work = queue.take_all(host).remove(0);
    queue.settle(&work, Settled::Untried);
    assert_eq!(queue.next_host(), None);
    assert_eq!(queue.next_wake(), Some(after(500)));
    let work = queue.take_all(host).remove(0);
    queue.reassign(&work, vec![part("b.test")], &held_till(500), after(2));
    assert_eq!(queue.next_host(), None);
    assert_eq!(queue.next_wake(), Some(after(500)));
}

#[test]
fn what_is_not_to_be_late_goes_back_at_its_time_whatever_state_its_host_is_in() {
    let mut queue = queue();
    queue.insert(timed(1, "a.test", by(60, Late::Return)), START);
    queue.insert(timed(2, "a.test", by(90, Late::Return)), START);
    queue.insert(timed(3, "a.test", by(30, Late::Notify)), START);
    let (host, _) = queue.next_host().unwrap();
    queue.suspend(host, Suspension { till: None, reason: Reason::ScheduleNotFound, problem: "held".into() });
    assert_eq!(queue.next_expiry(AGE), Some(after(30)));
    assert_eq!(queue.next_too_old(AGE), Some(after(1_001)));
    assert_eq!(ids(&queue.take_expired(AGE, after(59), 10)), [0_u64; 0]);
    assert_eq!(ids(&queue.take_expired(AGE, after(60), 10)), [1]);
    assert_eq!(ids(&queue.take_expired(AGE, after(60), 10)), [0_u64; 0], "once");
}

#[test]
fn its_sender_is_told_once_that_a_message_is_late_for_itself_or_for_the_sender() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test", "b.test"]), after(1));
    queue.insert(timed(2, "a.test", by(30, Late::Notify)), after(2));
    queue.insert(timed(3, "a.test", held_till(200)), after(3));
    let mut late = |now| {
        let late = queue.take_late(Some(SignedDuration::from_secs(100)), now, 10);
        late.into_iter().map(|late| (late.id.get(), late.told, late.parts.len())).collect::<Vec<_>>()
    };
    assert_eq!(late(after(5_000)), [], "not before a restart has found all");
    queue.recovery_ended();
    let mut late = |now| {
        let late = queue.take_late(Some(SignedDuration::from_secs(100)), now, 10);
        late.into_iter().map(|late| (late.id.get(), late.told, late.parts.len())).collect::<Vec<_>>()
    };
    assert_eq!(late(after(29)), []);
    assert_eq!(late(after(30)), [(2, Told::OVERDUE, 1)]);
    assert_eq!(late(after(100)), []);
    assert_eq!(late(after(101)), [(1, Told::LATE, 2)], "both hosts in one");
    assert_eq!(late(after(102)), [(2, Told::LATE, 1)]);
    assert_eq!(late(after(299)), []);
    assert_eq!(late(after(300)), [(3, Told::LATE, 1)]);
    assert_eq!(late(after(10_000)), []);
}

#[test]
fn what_was_told_before_a_restart_is_not_told_again() {
    let mut queue = queue();
    let mut found = arrival(1, &["a.test"]);
    found.parts[0].told = Told::LATE;
    queue.insert(found, after(500));
    queue.insert(arrival(2, &["a.test"]), after(500));
    queue.recovery_ended();
    let late = queue.take_late(Some(SignedDuration::from_secs(100)), after(500), 10);
    assert_eq!(late.iter().map(|late| late.id.get()).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_a_session_has_in_hand_is_told_of_when_it_is_put_off_again() {
    let mut queue = queue();
    queue.recovery_ended();
    queue.insert(arrival(1, &["a.test"]), after(1));
    let host = open(&mut queue);
    let work = queue.take(host, after(1)).unwrap();
    let after_100 = Some(SignedDuration::from_secs(100));
    assert!(queue.take_late(after_100, after(200), 10).is_empty());
    assert_eq!(queue.waiting(host, work.id), None);
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(500) });
    let late = queue.take_late(after_100, after(200), 10);
    assert_eq!(late.iter().map(|late| late.id.get()).collect::<Vec<_>>(), [1]);
    assert_eq!(queue.waiting(host, work.id), Some((1, Some(after(500)), Told::LATE)));
    assert!(queue.take_late(after_100, after(300), 10).is_empty());
}

#[test]
fn on_a_short_window_the_important_mail_goes_first_at_a_host_and_among_hosts() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    queue.insert(timed(2, "b.test", important(-4)), START);
    queue.insert(timed(3, "c.test", important(6)), START);
    queue.insert(timed(4, "a.test", important(9)), START);
    let mut order = Vec::new();
    while let Some((host, name)) = queue.next_host() {
        order.push(name.to_owned());
        queue.suspend(host, closed_till(after(60)));
    }
    assert_eq!(order, ["a.test", "c.test", "b.test"]);
    queue.advance(after(60));
    let host = open(&mut queue);
    assert_eq!(queue.take(host, after(60)).map(|work| work.id.get()), Some(4));
    assert_eq!(queue.take(host, after(60)).map(|work| work.id.get()), Some(1));
}

#[test]
fn a_site_that_asks_gets_what_failed_and_not_what_is_held() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    queue.insert(arrival(2, &["a.test"]), START);
    queue.insert(timed(3, "a.test", held_till(9_000)), START);
    let host = open(&mut queue);
    let work = queue.take(host, START).unwrap();
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
    queue.suspend_after_failure(host, START, Reason::ConnectionFailed, |_| String::new(), error());
    queue.session_closed(host);
    let named = queue.hosts_named(["a.test", "b.test"]);
    assert_eq!(named, [host]);
    assert!(matches!(queue.release_hosts(&named, after(5)), Released::Held(_)), "it failed just now");
    assert_eq!(queue.release_hosts(&named, after(60)), Released::Now(2));
    assert_eq!(queue.totals().suspended_hosts, 0);
    let again = open(&mut queue);
    assert_eq!(again, host);
    assert!(queue.take(host, after(60)).is_some() && queue.take(host, after(60)).is_some());
    assert!(queue.take(host, after(60)).is_none(), "the third is held");
}

#[test]
fn a_site_that_asks_ends_the_wait_after_every_kind_of_failure_and_of_its_hosts_some_may_stay_held() {
    let mut queue = queue();
    let failures = [Reason::DnsFailed, Reason::ConnectionFailed, Reason::TlsFailed, Reason::HostRefused];
    for (id, reason) in (1..).zip(failures) {
        queue.insert(arrival(id, &[reason.name()]), START);
        let host = queue.hosts_named([reason.name()])[0];
        queue.suspend_after_failure(host, START, reason, |_| String::new(), error());
        assert_eq!(queue.release_hosts(&[host], after(60)), Released::Now(1), "{reason:?}");
    }
    queue.insert(arrival(9, &["held.test"]), START);
    let held = queue.hosts_named(["held.test"])[0];
    queue.suspend(held, closed_till(after(600)));
    let both = queue.hosts_named([Reason::TlsFailed.name(), "held.test"]);
    assert_eq!(queue.release_hosts(&both, after(60)), Released::Partly);
    assert_eq!(queue.release_hosts(&[held], after(60)), Released::Held(closed_till(after(600))));
}

#[test]
fn a_site_that_asks_does_not_open_a_closed_schedule() {
    let mut queue = queue();
    for (id, name) in [(1, "a.test"), (2, "x.a.test"), (3, "xa.test")] {
        queue.insert(arrival(id, &[name]), START);
    }
    assert_eq!(queue.hosts_below("a.test").len(), 2);
    assert_eq!(queue.release_hosts(&[], START), Released::Nothing);
    while let Some((id, _)) = queue.next_host() {
        queue.suspend(id, closed_till(after(600)));
    }
    let named = queue.hosts_named(["a.test"]);
    assert_eq!(queue.release_hosts(&named, after(60)), Released::Held(closed_till(after(600))));
    assert_eq!(queue.totals().suspended_hosts, 3);
}

#[test]
fn everything_expires_in_its_minute_in_whatever_state_its_host_is() {
    let held = || Suspension { till: None, reason: Reason::ScheduleNotFound, problem: String::new() };
    type Put = fn(&mut Queue, HostId);
    let states: [(&str, Put); 5] = [
        ("closed", |queue, host| _ = queue.suspend(host, closed_till(after(100_000)))),
        ("failed", |queue, host| {
            queue.suspend_after_failure(host, START, Reason::ConnectionFailed, |_| String::new(), error());
        }),
        ("rate", |queue, host| {
            let suspension = Suspension { till: Some(after(9_000)), reason: Reason::RateLimited, problem: "".into() };
            queue.suspend(host, suspension);
        }),
        ("deferred", |queue, host| {
            queue.session_opened(host);
            let work = queue.take(host, START).unwrap();
            queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(50_000) });
        }),
        ("no connection left", |queue, host| queue.give_back_turn(host)),
    ];
    for (name, put) in states {
        let mut queue = queue();
        queue.insert(arrival(0, &["a.test"]), START);
        let (host, _) = queue.next_host().unwrap();
        put(&mut queue, host);
        assert!(queue.take_expired(AGE, after(999), 10).is_empty(), "{name}: a second early");
        assert_eq!(ids(&queue.take_expired(AGE, after(1_000), 10)), [0], "{name}");
    }
    let mut queue = queue();
    queue.insert(arrival(0, &["a.test"]), START);
    let (host, _) = queue.next_host().unwrap();
    queue.suspend(host, held());
    assert_eq!(ids(&queue.take_expired(AGE, after(1_000), 10)), [0], "held");
    // In a session's hand: as soon as it is given back.
    let mut queue = super::queue();
    queue.insert(arrival(0, &["a.test"]), START);
    let host = open(&mut queue);
    let work = queue.take(host, START).unwrap();
    assert!(queue.take_expired(AGE, after(1_000), 10).is_empty(), "it may be delivered still");
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(5_000) });
    assert_eq!(ids(&queue.take_expired(AGE, after(1_001), 10)), [0]);
}
