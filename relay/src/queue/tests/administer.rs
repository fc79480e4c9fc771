//! What administrators hold, let go, try now and take out.

use mailsluice_ctl::{Hold, Line, Target, hold::HoldOn, words::queue::MessageState};

use super::*;

fn hold() -> Hold {
    Hold { by: Line::fitted("alice"), since: START, reason: Some(Line::fitted("their server moves")) }
}

fn holds(targets: &[&str]) -> Holds {
    Holds::of(targets.iter().map(|target| HoldOn { target: target_of(target), hold: hold() }))
}

/// A host, a message's number, or `all`.
fn target_of(text: &str) -> Target {
    match (text, text.parse()) {
        ("all", _) => Target::All,
        (_, Ok(number)) => Target::Message(mailsluice_ctl::MessageId::from_u64(number)),
        (host, Err(_)) => host.parse().unwrap(),
    }
}

fn in_turn(queue: &mut Queue) -> Option<String> {
    queue.next_host().map(|(_, name)| name.to_owned())
}

/// Two messages for a host and one for another.
fn filled() -> Queue {
    let mut queue = queue();
    for (id, host) in [(1, "a.test"), (2, "b.test"), (3, "a.test")] {
        queue.insert(arrival(id, &[host]), START);
    }
    queue
}

fn rows(queue: &Queue) -> Vec<(String, HostState, Option<Reason>, Option<String>)> {
    let mut rows = queue.rows(10).0;
    rows.sort_by(|one, other| one.host.cmp(&other.host));
    rows.into_iter().map(|row| (row.host, row.state, row.reason, row.problem)).collect()
}

#[test]
fn a_held_host_waits_with_what_comes_and_says_who_holds_it_and_why() {
    let mut queue = filled();
    queue.set_holds(holds(&["a.test"]));
    queue.insert(arrival(4, &["a.test"]), START);
    assert_eq!((in_turn(&mut queue).as_deref(), in_turn(&mut queue)), (Some("b.test"), None));
    let said = "held by alice since 1970-01-01T00:00:00Z: their server moves".to_owned();
    assert_eq!(rows(&queue)[0], ("a.test".to_owned(), HostState::Held, Some(Reason::Held), Some(said)));
    assert_eq!((queue.totals().suspended_hosts, queue.held(&target_of("a.test"))), (1, 3));
    queue.advance(after(86_400));
    assert_eq!(in_turn(&mut queue), None, "no time ends it");
    let wakes = queue.set_holds(Holds::default());
    assert!(wakes.contains(&Wake::Dispatcher));
    assert_eq!((in_turn(&mut queue).as_deref(), queue.totals().suspended_hosts), (Some("a.test"), 0));
}

#[test]
fn all_mail_is_held_that_of_new_hosts_too() {
    let mut queue = filled();
    queue.set_holds(holds(&["all"]));
    queue.insert(arrival(4, &["new.test"]), START);
    assert_eq!(in_turn(&mut queue), None);
    let said = queue.row("new.test").and_then(|row| row.problem).unwrap();
    assert!(said.starts_with("all mail is held by alice since"), "{said}");
    queue.set_holds(Holds::default());
    assert_eq!(std::iter::from_fn(|| in_turn(&mut queue)).count(), 3);
}

#[test]
fn a_single_message_is_held_and_the_others_pass_it() {
    let mut queue = filled();
    queue.set_holds(holds(&["1"]));
    let host = open(&mut queue);
    assert_eq!(queue.take(host, START).map(|work| work.id.get()), Some(3));
    assert_eq!(queue.take(host, START).map(|work| work.id), None);
    let states =
        |queue: &Queue| -> Vec<MessageState> { queue.page("a.test", None, 9).0.iter().map(|m| m.state).collect() };
    assert_eq!(states(&queue), [MessageState::Held, MessageState::Sending]);
    queue.set_holds(Holds::default());
    assert_eq!(states(&queue), [MessageState::Ready, MessageState::Sending]);
    assert_eq!(queue.take(host, START).map(|work| work.id.get()), Some(1));
}

#[test]
fn a_host_with_nothing_but_held_messages_says_so() {
    let mut queue = filled();
    queue.set_holds(holds(&["1", "3"]));
    let said =
        "2 messages are held, the oldest is held by alice since 1970-01-01T00:00:00Z: their server moves".to_owned();
    assert_eq!(rows(&queue)[0], ("a.test".to_owned(), HostState::Held, Some(Reason::Held), Some(said)));
}

#[test]
fn a_message_that_is_being_sent_is_held_when_it_comes_back() {
    for deferred in [false, true] {
        let mut queue = filled();
        let host = open(&mut queue);
        let work = queue.take(host, START).unwrap();
        queue.set_holds(holds(&["1"]));
        let settled = match deferred {
            true => Settled::Deferred { recipients: Recipients::one(0), till: after(300) },
            false => Settled::Untried,
        };
        queue.settle(&work, settled);
        queue.advance(after(600));
        assert_eq!(queue.take(host, after(600)).map(|work| work.id.get()), Some(3));
        assert_eq!(queue.take(host, after(600)).map(|work| work.id), None, "deferred: {deferred}");
        queue.set_holds(Holds::default());
        queue.advance(after(600));
        assert_eq!(queue.take(host, after(600)).map(|work| work.id.get()), Some(1), "deferred: {deferred}");
    }
}

#[test]
fn a_released_message_goes_back_to_the_time_that_it_waited_for() {
    let mut queue = queue();
    let until = after(1_000);
    let timing = Timing { hold_until: Some(until), ..Timing::default() };
    queue.insert(Arrival { timing, ..arrival(1, &["a.test"]) }, START);
    queue.set_holds(holds(&["1"]));
    queue.advance(after(2_000));
    assert_eq!(in_turn(&mut queue), None, "its sender's time is over, and the administrator's hold is not");
    queue.set_holds(Holds::default());
    assert_eq!(queue.next_wake(), Some(until));
    queue.advance(after(2_000));
    assert_eq!(in_turn(&mut queue).as_deref(), Some("a.test"));
}

#[test]
fn a_hold_on_a_message_is_known_before_a_restart_finds_it_and_goes_with_it() {
    let mut queue = queue();
    queue.set_holds(holds(&["1", "77"]));
    queue.insert(arrival(1, &["a.test"]), START);
    assert_eq!(in_turn(&mut queue), None);
    queue.recovery_ended();
    assert_eq!(queue.holds(), &holds(&["1"]), "what is not there is not held");
    let host = queue.hosts_of(&Target::All)[0];
    let taken = queue.take_some(host, None, MessageId::from_u64(9), 10);
    assert!(queue.settle(&taken.works[0], Settled::Gone));
    assert_eq!(queue.holds(), &Holds::default());
}

#[test]
fn releasing_lets_go_what_is_held_singly_within_and_nothing_that_is_held_wider() {
    for (held, released, left) in [
        (&["a.test", "1", "2"][..], "a.test", &["2"][..]),
        (&["a.test", "1", "2"], "1", &["a.test", "2"]),
        (&["a.test", "1", "all"], "all", &[]),
        (&["all", "a.test"], "a.test", &["all"]),
        (&["b.test"], "a.test", &["b.test"]),
    ] {
        let queue = filled();
        let mut after = holds(held);
        after.remove(&target_of(released), &queue.messages_of("a.test"));
        assert_eq!(after, holds(left), "{released} of {held:?}");
    }
}

#[test]
fn a_site_that_asks_for_its_mail_lifts_no_hold() {
    let mut queue = filled();
    queue.set_holds(holds(&["a.test"]));
    let hosts = queue.hosts_named(["a.test"]);
    assert!(matches!(queue.release_hosts(&hosts, START), Released::Held(held) if held.reason == Reason::Held));
}

fn suspended(reason: Reason) -> Queue {
    let mut queue = filled();
    let id = queue.hosts_named(["a.test"])[0];
    queue.suspend(id, Suspension { till: Some(after(3_600)), reason, problem: String::new() });
    queue
}

#[test]
fn a_retry_lifts_failures_and_neither_a_schedule_nor_a_rate_nor_a_hold() {
    for (reason, lifted) in [
        (Reason::DnsFailed, true),
        (Reason::ConnectionFailed, true),
        (Reason::TlsFailed, true),
        (Reason::AuthFailed, true),
        (Reason::HostRefused, true),
        (Reason::TcpScheduleClosed, false),
        (Reason::TcpSchedulePause, false),
        (Reason::ScheduleNotFound, false),
        (Reason::RateLimited, false),
    ] {
        for target in ["a.test", "1", "all"] {
            let mut queue = suspended(reason);
            let retried = queue.retry(&target_of(target));
            assert_eq!(retried.waiting.is_empty(), lifted, "{target} {reason:?}");
            assert_eq!(queue.row("a.test").unwrap().suspended_till.is_none(), lifted, "{target} {reason:?}");
            assert_eq!(queue.totals().suspended_hosts, u32::from(!lifted), "{target} {reason:?}");
            let of_b = u64::from(target == "all");
            let of_a = if target == "1" { 1 } else { 2 };
            assert_eq!(retried.due, of_b + if lifted { of_a } else { 0 }, "{target} {reason:?}");
        }
    }
    let mut queue = suspended(Reason::ConnectionFailed);
    queue.set_holds(holds(&["a.test"]));
    assert_eq!(queue.retry(&target_of("a.test")).waiting.len(), 1);
}

#[test]
fn a_retry_lets_go_what_was_put_off_one_or_all() {
    let put_off = || {
        let mut queue = filled();
        let host = open(&mut queue);
        for _ in 0..2 {
            let work = queue.take(host, START).unwrap();
            queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
        }
        (queue, host)
    };
    for (target, due) in [("3", 1), ("a.test", 2)] {
        let (mut queue, host) = put_off();
        assert_eq!(queue.retry(&target_of(target)).due, due, "{target}");
        assert_eq!(std::iter::from_fn(|| queue.take(host, START)).count() as u64, due, "{target}");
    }
}

#[test]
fn messages_are_taken_out_page_by_page_but_for_those_in_hand_and_those_that_come_meanwhile() {
    let mut queue = queue();
    for id in 1..=7 {
        queue.insert(arrival(id, &["a.test"]), START);
    }
    queue.set_holds(holds(&["4"]));
    let host = open(&mut queue);
    let in_hand = queue.take(host, START).unwrap();
    let last = queue.newest().unwrap();
    queue.insert(arrival(8, &["a.test"]), after(1));
    let (mut out, mut sending, mut from) = (Vec::new(), 0, None);
    loop {
        let taken = queue.take_some(host, from, last, 3);
        assert!(taken.works.len() <= 3);
        sending += taken.sending;
        for work in taken.works {
            queue.settle(&work, Settled::Gone);
            out.push(work.id.get());
        }
        from = taken.more_after;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((out, sending), (vec![2, 3, 4, 5, 6, 7], 1), "held ones too, and 1 is being sent");
    assert_eq!(queue.count(&Target::All), (2, 1));
    queue.settle(&in_hand, Settled::Gone);
    assert_eq!(queue.take(host, after(1)).map(|work| work.id.get()), Some(8));
}

#[test]
fn a_page_tells_how_each_message_waits() {
    let mut queue = queue();
    for id in 1..=3 {
        queue.insert(arrival(id, &["a.test"]), START);
    }
    let until = after(500);
    let timing = Timing { hold_until: Some(until), ..Timing::default() };
    queue.insert(Arrival { timing, ..arrival(4, &["a.test"]) }, START);
    let host = open(&mut queue);
    let _sending = queue.take(host, START).unwrap();
    let second = queue.take(host, START).unwrap();
    queue.settle(&second, Settled::Deferred { recipients: Recipients::one(0), till: after(300) });
    let shown = |queue: &Queue, from: Option<u64>, most| {
        let (page, more) = queue.page("a.test", from.map(MessageId::from_u64), most);
        (page.into_iter().map(|m| (m.id.get(), m.state, m.due, m.attempts)).collect::<Vec<_>>(), more)
    };
    assert_eq!(
        shown(&queue, None, 2),
        (vec![(1, MessageState::Sending, None, 0), (2, MessageState::Delayed, Some(after(300)), 1)], true)
    );
    assert_eq!(
        shown(&queue, Some(2), 2),
        (vec![(3, MessageState::Ready, None, 0), (4, MessageState::HeldBySender, Some(until), 0)], false)
    );
    assert_eq!(shown(&queue, Some(4), 2), (Vec::new(), false));
    assert!(queue.page("none.test", None, 2).0.is_empty());
}

#[test]
fn what_is_held_grows_old_as_other_mail() {
    let mut queue = filled();
    queue.set_holds(holds(&["a.test", "2"]));
    assert_eq!(queue.take_expired(SignedDuration::from_secs(60), after(90), 9).len(), 3);
}
