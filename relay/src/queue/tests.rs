//! The queue's promises as scenarios, with the moment passed in.

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    catalogue::Errno,
    monitor::{HostState, LastError, Reason, Stage},
};

use super::*;

mod administer;
mod changes;
mod clock_set;
mod fairness;
mod timing;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn queue() -> Queue {
    let backoff = Backoff { first: SignedDuration::from_secs(300), longest: SignedDuration::from_secs(14_400) };
    Queue::new(Limits { backoff, connections_per_host: 10, ..Limits::default() })
}

fn arrival(id: u64, hosts: &[&str]) -> Arrival {
    Arrival {
        id: MessageId::from_u64(id),
        location: Location { segment: 1, offset: 0, len: 100 },
        size: 100,
        received_at: after(id as i64),
        timing: Timing::default(),
        parts: hosts.iter().map(|host| part(host)).collect(),
    }
}

fn part(host: &str) -> Part {
    Part {
        host: host.to_owned(),
        recipients: Recipients::one(0),
        attempts: 0,
        due: None,
        told: Told::NOTHING,
        tls_optional: false,
    }
}

#[test]
fn only_messages_that_nothing_keeps_count_as_sendable() {
    let mut queue = queue();
    queue.configure(Limits { connections_per_host: 1, ..queue.limits });
    for id in 1..=5 {
        queue.insert(arrival(id, &["a.test", "b.test"]), START);
    }
    assert_eq!(queue.sendable(), 10);
    let (a, _) = queue.next_host().unwrap();
    queue.session_opened(a);
    assert_eq!(queue.sendable(), 5, "it has as many sessions as it may");
    queue.session_closed(a);
    queue.suspend(a, closed_till(after(60)));
    assert_eq!(queue.sendable(), 5, "it is suspended");
    queue.advance(after(60));
    let work = queue.take(a, after(60)).unwrap();
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(90) });
    assert_eq!(queue.sendable(), 9, "one was put off");
}

/// A host, for tests of what is told about one.
pub(crate) fn any_host(queue: &mut Queue) -> HostId {
    queue.insert(arrival(1, &["a.test"]), START);
    queue.hosts_with_mail()[0]
}

fn error() -> LastError {
    LastError::new(Errno::new(111).into(), Stage::Connect, None, START, "connection refused".into())
}

fn closed_till(till: Timestamp) -> Suspension {
    Suspension { till: Some(till), reason: Reason::TcpScheduleClosed, problem: "TCP/IP link is down".into() }
}

fn open(queue: &mut Queue) -> HostId {
    let (id, _) = queue.next_host().expect("a host is in turn");
    queue.session_opened(id);
    id
}

#[test]
fn a_message_goes_through() {
    let mut queue = queue();
    assert_eq!(queue.insert(arrival(1, &["a.test"]), START), [Wake::Dispatcher]);
    let host = open(&mut queue);
    assert_eq!(queue.host_name(host), Some("a.test"));
    let work = queue.take(host, START).expect("the message is ready");
    assert_eq!(queue.take(host, START).map(|work| work.id), None, "a message is taken once");
    assert!(queue.settle(&work, Settled::Gone), "nothing holds it any more");
    queue.session_closed(host);
    assert_eq!(queue.totals(), QueueTotals::default());
    assert_eq!(queue.host_name(host), None, "a host without mail is forgotten");
}

#[test]
fn a_message_for_two_hosts_counts_once_and_is_gone_when_both_have_it() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test", "b.test"]), START);
    let totals = queue.totals();
    assert_eq!((totals.messages, totals.bytes, totals.hosts), (1, 100, 2));
    let (a, b) = (open(&mut queue), open(&mut queue));
    let first = queue.take(a, START).unwrap();
    let second = queue.take(b, START).unwrap();
    assert!(!queue.settle(&first, Settled::Gone));
    assert!(queue.settle(&second, Settled::Gone));
}

#[test]
fn a_suspended_host_is_left_alone_till_its_time_and_not_longer() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    let (host, _) = queue.next_host().unwrap();
    assert!(queue.suspend(host, closed_till(after(60))));
    assert!(!queue.suspend(host, closed_till(after(60))), "the same suspension is no change");
    assert_eq!(queue.insert(arrival(2, &["a.test"]), START), [Wake::Nobody]);
    assert_eq!(queue.next_host(), None);
    assert_eq!(queue.next_wake(), Some(after(60)));
    assert_eq!(queue.totals().suspended_hosts, 1);
    queue.advance(after(59));
    assert_eq!(queue.next_host(), None, "a second early");
    queue.advance(after(60));
    assert_eq!(queue.next_host().map(|(_, name)| name.to_owned()).as_deref(), Some("a.test"));
    assert_eq!(queue.totals().suspended_hosts, 0);
}

#[test]
fn a_changed_schedule_releases_only_what_it_held() {
    let mut queue = queue();
    queue.insert(arrival(1, &["closed.test"]), START);
    queue.insert(arrival(2, &["down.test"]), START);
    let (closed, _) = queue.next_host().unwrap();
    queue.suspend(closed, closed_till(after(3_600)));
    let down = open(&mut queue);
    queue.suspend_after_failure(down, START, Reason::ConnectionFailed, |_| String::new(), error());
    queue.session_closed(down);
    assert_eq!(queue.release(&[Reason::TcpScheduleClosed], "changed"), 1);
    assert_eq!(queue.next_host().map(|(id, _)| id), Some(closed));
    assert_eq!(queue.next_host(), None, "the host that is down stays suspended");
}

#[test]
fn a_host_that_fails_waits_longer_each_time_and_sessions_that_fail_together_count_once() {
    let mut queue = queue();
    for id in 1..=3 {
        queue.insert(arrival(id, &["a.test"]), START);
    }
    let host = open(&mut queue);
    assert_eq!(open(&mut queue), host, "two sessions at first");
    let fail = |queue: &mut Queue, now| {
        queue.suspend_after_failure(
            host,
            now,
            Reason::ConnectionFailed,
            |run| run.to_string(),
            LastError { at: now, ..error() },
        )
    };
    let shown = |queue: &Queue| {
        let row = queue.rows(1).0.remove(0);
        (row.problem.unwrap_or_default(), row.failing_since)
    };
    assert_eq!(fail(&mut queue, START), Some(after(300)));
    assert_eq!(fail(&mut queue, after(5)), Some(after(300)), "the second session's failure changes nothing");
    queue.session_closed(host);
    queue.session_closed(host);
    queue.advance(after(300));
    assert_eq!(open(&mut queue), host);
    assert_eq!(queue.next_host(), None, "one session at a time after a failure");
    assert_eq!(fail(&mut queue, after(301)), Some(after(901)));
    assert_eq!(shown(&queue), ("2 attempts since 1970-01-01T00:00:00Z".to_owned(), Some(START)));
    queue.session_closed(host);
    queue.advance(after(901));
    open(&mut queue);
    let work = queue.take(host, after(901)).unwrap();
    queue.settle(&work, Settled::Gone);
    queue.succeeded(host);
    assert_eq!(fail(&mut queue, after(902)), Some(after(1_202)), "a success starts the count again");
    assert_eq!(shown(&queue), ("1 attempt since 1970-01-01T00:15:02Z".to_owned(), Some(after(902))));
}

#[test]
fn a_deferred_message_waits_alone() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    queue.insert(arrival(2, &["a.test"]), START);
    let host = open(&mut queue);
    let first = queue.take(host, START).unwrap();
    queue.settle(&first, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
    let second = queue.take(host, START).expect("the next message is not held back by it");
    queue.settle(&second, Settled::Gone);
    queue.note_error(host, LastError { peer: Some("192.0.2.1:25".into()), ..error() });
    queue.session_closed(host);
    let (rows, _) = queue.rows(10);
    assert_eq!(
        (rows[0].state, rows[0].reason, rows[0].suspended_till),
        (HostState::Suspended, Some(Reason::MessagesDeferred), Some(after(300)))
    );
    assert_eq!(
        rows[0].problem.as_deref(),
        Some(
            "ECONNREFUSED at Connect with 192.0.2.1:25: 1 message put off since 1970-01-01T00:00:00Z, \
             next at 1970-01-01T00:05:00Z after 1 attempt: connection refused"
        )
    );
    queue.advance(after(300));
    open(&mut queue);
    assert_eq!(queue.take(host, after(300)).map(|work| (work.id, work.attempts)), Some((first.id, 1)));
}

#[test]
fn what_puts_a_message_off_is_known_until_it_goes_whatever_else_is_taken() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    let host = open(&mut queue);
    let first = queue.take(host, START).unwrap();
    queue.note_error(host, LastError { stage: Stage::RcptTo, ..error() });
    queue.settle(&first, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
    queue.insert(arrival(2, &["a.test"]), after(1));
    let second = queue.take(host, after(1)).unwrap();
    queue.succeeded(host);
    queue.settle(&second, Settled::Gone);
    queue.set_idle(host, true);
    let row = queue.rows(10).0.remove(0);
    assert_eq!((row.state, row.reason), (HostState::Suspended, Some(Reason::MessagesDeferred)), "its session lingers");
    queue.set_idle(host, false);
    queue.session_closed(host);
    let row = queue.rows(10).0.remove(0);
    assert_eq!((row.last_error.map(|error| error.stage), row.failing_since), (Some(Stage::RcptTo), Some(START)));

    queue.advance(after(300));
    open(&mut queue);
    queue.take(host, after(300)).unwrap();
    queue.succeeded(host);
    assert_eq!(queue.rows(10).0.remove(0).last_error, None, "it has gone");
}

#[test]
fn an_idle_session_is_woken_instead_of_a_new_one_opened() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    let host = open(&mut queue);
    let work = queue.take(host, START).unwrap();
    queue.settle(&work, Settled::Gone);
    queue.set_idle(host, true);
    assert_eq!(queue.insert(arrival(2, &["a.test"]), START), [Wake::Idle(host)]);
    assert_eq!(queue.next_host(), None);
    queue.set_idle(host, false);
    assert!(queue.take(host, START).is_some());
}

#[test]
fn sessions_grow_with_success_up_to_the_limit() {
    let mut queue = queue();
    for id in 1..=100 {
        queue.insert(arrival(id, &["a.test"]), START);
    }
    let host = open(&mut queue);
    let mut sessions = 1;
    for _ in 0..50 {
        while let Some((id, _)) = queue.next_host() {
            queue.session_opened(id);
            sessions += 1;
        }
        let work = queue.take(host, START).unwrap();
        queue.settle(&work, Settled::Gone);
        queue.succeeded(host);
    }
    assert_eq!(sessions, 10);
}

#[test]
fn no_more_sessions_than_messages() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    open(&mut queue);
    assert_eq!(queue.next_host(), None);
}

#[test]
fn a_host_gets_no_more_messages_a_minute_than_allowed_even_when_its_queue_runs_empty() {
    let mut queue = queue();
    let limits = Limits { messages_per_minute: Some(2), connections_per_host: 10, ..Limits::default() };
    queue.configure(limits);
    for id in 1..=2 {
        queue.insert(arrival(id, &["a.test"]), START);
    }
    let host = open(&mut queue);
    for _ in 0..2 {
        let work = queue.take(host, START).expect("within the limit");
        queue.settle(&work, Settled::Gone);
    }
    queue.session_closed(host);
    queue.insert(arrival(3, &["a.test"]), after(10));
    let host = open(&mut queue);
    assert!(queue.take(host, after(10)).is_none(), "the third message of the minute");
    assert_eq!(queue.next_wake(), Some(after(60)));
    let (rows, _) = queue.rows(1);
    assert_eq!(rows[0].reason, Some(Reason::RateLimited));
    queue.advance(after(60));
    assert!(queue.take(host, after(60)).is_some());
}

#[test]
fn what_grew_too_old_is_taken_whatever_state_its_host_is_in() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    queue.insert(arrival(100, &["b.test"]), START);
    let (host, _) = queue.next_host().unwrap();
    queue.suspend(host, closed_till(after(100_000)));
    let age = SignedDuration::from_secs(50);
    assert_eq!(queue.next_expiry(age), Some(after(51)));
    let expired = queue.take_expired(age, after(60), 10);
    assert_eq!(expired.iter().map(|work| work.id).collect::<Vec<_>>(), [MessageId::from_u64(1)]);
    assert!(queue.take_expired(age, after(60), 10).is_empty(), "it is taken once");
    assert!(queue.settle(&expired[0], Settled::Gone));
}

#[test]
fn a_session_that_gives_a_message_back_keeps_its_place() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test"]), START);
    queue.insert(arrival(2, &["a.test"]), START);
    let host = open(&mut queue);
    let work = queue.take(host, START).unwrap();
    queue.settle(&work, Settled::Untried);
    assert_eq!(queue.take(host, START).map(|again| (again.id, again.attempts)), Some((work.id, 0)));
}

#[test]
fn the_monitor_shows_suspended_hosts_first_and_counts_those_left_out() {
    let mut queue = queue();
    for (id, host) in [(1, "a.test"), (2, "b.test"), (3, "c.test")] {
        queue.insert(arrival(id, &[host]), START);
    }
    while let Some((id, name)) = queue.next_host() {
        if name == "c.test" {
            queue.suspend(id, closed_till(after(60)));
        }
    }
    let (rows, left_out) = queue.rows(2);
    let shown: Vec<_> = rows.iter().map(|row| (row.host.as_str(), row.state)).collect();
    assert_eq!(shown, [("c.test", HostState::Suspended), ("a.test", HostState::Ready)]);
    assert_eq!(left_out, 1);
}

#[test]
fn mail_that_a_restart_found_keeps_its_due_time() {
    let mut queue = queue();
    let mut found = arrival(1, &["a.test"]);
    found.parts[0].attempts = 3;
    found.parts[0].due = Some(after(500));
    assert_eq!(queue.insert(found, after(400)), [Wake::Nobody]);
    assert_eq!(queue.next_wake(), Some(after(500)));
    queue.advance(after(500));
    let host = open(&mut queue);
    assert_eq!(queue.take(host, after(500)).map(|work| work.attempts), Some(3));
}

#[test]
fn a_changed_route_moves_what_waits_even_for_a_suspended_host() {
    let mut queue = queue();
    queue.insert(arrival(1, &["old.test"]), START);
    queue.insert(arrival(2, &["old.test"]), START);
    let (old, _) = queue.next_host().unwrap();
    queue.suspend(old, closed_till(after(3_600)));
    let all = queue.take_all(old);
    assert_eq!(all.len(), 2);
    queue.reassign(&all[0], vec![part("new.test:25")], &Timing::default(), START);
    queue.reassign(&all[1], vec![part("new.test:25")], &Timing::default(), START);
    assert_eq!(queue.host_name(old), None, "the old host has no mail any more");
    let new = open(&mut queue);
    assert_eq!(queue.host_name(new), Some("new.test:25"));
    for id in [1, 2] {
        let work = queue.take(new, START).expect("both are ready there");
        assert_eq!(work.id, MessageId::from_u64(id));
        assert!(queue.settle(&work, Settled::Gone));
    }
    assert_eq!(queue.totals().suspended_hosts, 0);
}

#[test]
fn a_part_whose_new_host_has_the_message_already_stays() {
    let mut queue = queue();
    queue.insert(arrival(1, &["a.test", "b.test"]), START);
    let (a, _) = queue.next_host().unwrap();
    let taken = queue.take_all(a);
    queue.reassign(&taken[0], vec![part("b.test")], &Timing::default(), START);
    assert_eq!(queue.totals().hosts, 2, "neither part is lost");
}

#[test]
fn mail_that_is_to_go_even_without_tls_is_found_among_all_and_by_nobody_twice() {
    let mut queue = queue();
    for id in 1..=4 {
        let mut arrival = arrival(id, &["a.test"]);
        arrival.parts[0].tls_optional = id % 2 == 0;
        queue.insert(arrival, START);
    }
    let host = open(&mut queue);
    let second = queue.take_tls_optional(host, START).expect("the second message");
    let fourth = queue.take_tls_optional(host, START).expect("the fourth message");
    assert_eq!((second.id.get(), fourth.id.get()), (2, 4));
    assert!(queue.take_tls_optional(host, START).is_none());
    // The host's failure holds the others alone.
    queue.settle(&fourth, Settled::Untried);
    queue.suspend(host, closed_till(after(60)));
    queue.settle(&second, Settled::Gone);
    assert!(queue.take(host, START).is_none());
    let again = queue.take_tls_optional(host, START).expect("the fourth message again");
    assert_eq!(again.id.get(), 4);
    queue.settle(&again, Settled::Deferred { recipients: again.recipients.clone(), till: after(30) });
    assert!(queue.take_tls_optional(host, START).is_none(), "it waits for its own time");
}

#[test]
fn mail_that_is_to_go_even_without_tls_does_not_wait_for_it() {
    for (reason, tls_optional, tried) in [
        (Reason::TlsFailed, true, true),
        (Reason::TlsFailed, false, false),
        (Reason::TcpScheduleClosed, true, false),
        (Reason::ConnectionFailed, true, false),
    ] {
        let mut queue = queue();
        let host = any_host(&mut queue);
        queue.suspend(host, Suspension { reason, ..closed_till(after(600)) });
        let mut arrival = arrival(2, &["a.test"]);
        arrival.parts[0].tls_optional = tls_optional;
        queue.insert(arrival, after(2));
        assert_eq!(queue.next_host().is_some(), tried, "{reason:?} {tls_optional}");
        assert_eq!(queue.totals().suspended_hosts, u32::from(!tried), "{reason:?} {tls_optional}");
    }
}
