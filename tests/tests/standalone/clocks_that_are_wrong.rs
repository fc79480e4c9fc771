//! A clock that is an hour off: at one of two pods when mail is handed over, and at a relay while it runs.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{monitor::HandoverState, quantity::Interval, relay::Role};
use mailsluice_ctl::words::queue::{MessageRow, MessageState, QueueSaid};
use mailsluice_tests::{
    clock::{self, Clock},
    dialogue::{Dialogue, stuffed},
    family::{self, Family},
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

const HOUR: i64 = 3_600;
/// How much of a time a busy machine may take from it.
const SLACK: SignedDuration = SignedDuration::from_mins(4);

/// Sends a message whose MAIL has parameters.
fn send(client: &mut Dialogue, parameters: &str, to: &str) {
    client.expect(&format!("MAIL FROM:<shop@example.org> {parameters}"), "250");
    client.expect(&format!("RCPT TO:<{to}>"), "250");
    client.expect("DATA", "354");
    client.send(&stuffed(&mail::text(to)));
    let reply = client.reply();
    assert!(reply.starts_with("250"), "{to}: {reply}");
}

/// What waits for the host, by its recipient.
fn waiting(relay: &Relay, host: SocketAddr) -> BTreeMap<String, MessageRow> {
    let QueueSaid::Messages(page) = relay.ctl_json(&["queue", &host.to_string()]) else { panic!("asked for messages") };
    page.messages.into_iter().map(|row| (row.addrs[0].clone(), row)).collect()
}

/// A pod whose clock is off hands over what was put off, what is to be delivered by a time, and what is held.
fn handed_over_by_a_pod_that_is_off_by(seconds: i64) {
    let family = Family::new();
    let host = Scripted::start(|line| line.starts_with("RCPT").then(|| "451 4.7.1 later".into()));
    let mut manifest = Manifest::to(host.address);
    manifest.role = Some(Role::Submission);
    manifest.relay.limits.future_release = Interval::from_secs(86_400);
    // It is put off once, and not again while this is looked at.
    manifest.relay.retry.first = Interval::from_secs(1_800);
    manifest.relay.retry.longest = Interval::from_secs(1_800);
    let clock = Clock::off_by(seconds);
    let (stays, leaves) = (family.start(0, &manifest), family.start_under(&clock, 1, &manifest));
    clock::assert_off_by(&leaves, seconds);
    clock::assert_off_by(&stays, 0);

    let begun = Timestamp::now();
    let named = (begun + SignedDuration::from_hours(3)).round(jiff::Unit::Second).expect("a second");
    let mut client = Dialogue::open(leaves.smtp);
    send(&mut client, "", "plain@one.test");
    send(&mut client, "BY=3000;N", "deadline@one.test");
    send(&mut client, "HOLDFOR=2400", "held-for@one.test");
    send(&mut client, &format!("HOLDUNTIL={named}"), "held-until@one.test");
    wait::until_equal(PATIENCE, "recipients that are put off", 2.0, || {
        leaves.metric("mailsluice_recipients_deferred_total")
    });
    family::tell(&leaves, 1);
    family::await_over(&leaves, HandoverState::Done, PATIENCE);

    let here = waiting(&stays, host.address);
    let about = |what: &str, at: Timestamp, wanted: Timestamp| {
        let off = wanted.duration_until(at).abs();
        assert!(off < SLACK, "{what}: {at} and not {wanted}, off by {off:#}");
    };
    let till = |name: &str| here[name].delayed_till.unwrap_or_else(|| panic!("{name} waits: {:?}", here[name]));
    assert_eq!(here.len(), 4, "{here:?}");
    for name in here.keys() {
        about(name, here[name].in_queue, begun);
    }
    for name in ["plain@one.test", "deadline@one.test"] {
        assert_eq!((here[name].attempts, here[name].state), (1, MessageState::Delayed), "{name}");
        about(name, till(name), begun + SignedDuration::from_secs(1_800));
        about(name, here[name].last_error.as_ref().expect("why").at, begun);
    }
    about("held for", till("held-for@one.test"), begun + SignedDuration::from_secs(2_400));
    assert_eq!(till("held-until@one.test"), named, "a moment that its sender named");
    let record = stays.await_record("of the clock", |record| record.msg.starts_with("the clock of a sibling"));
    let (ahead, off) = (record.msg.contains("is ahead"), record.field("seconds").expect("by how much"));
    let off: i64 = off.parse().expect("a number");
    assert!(ahead == (seconds > 0) && (off - seconds.abs()).abs() < SLACK.as_secs(), "{record:?}");
    let given_up = stays.records().into_iter().find(|record| record.msg.starts_with("gave a recipient up"));
    assert!(given_up.is_none(), "its time is not over: {given_up:?}");
    assert_eq!(stays.metric("mailsluice_delays_told_total"), 0.0, "nobody is told that it is late");
}

#[test]
fn a_pod_that_is_an_hour_ahead_hands_its_mail_over_with_the_time_that_is_left() {
    handed_over_by_a_pod_that_is_off_by(HOUR);
}

#[test]
fn a_pod_that_is_an_hour_behind_hands_its_mail_over_with_the_time_that_is_left() {
    handed_over_by_a_pod_that_is_off_by(-HOUR);
}

#[test]
fn a_clock_that_jumps_forward_and_back_returns_no_mail_and_keeps_none_waiting() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut manifest = Manifest::to(nobody);
    // Less than the clock jumps, and more than this takes.
    manifest.relay.retry.expire_after = Interval::from_secs(2_400);
    let clock = Clock::off_by(0);
    let relay = Relay::start_under(&clock, &manifest);
    clock::assert_off_by(&relay, 0);
    let mut client = Dialogue::open(relay.smtp);
    client.message("shop@example.org", &["before@one.test"], &mail::text("before"));
    let suspended = || relay.row(&nobody.to_string()).and_then(|row| row.suspended_till);
    wait::until_some(PATIENCE, "the host is suspended", suspended);

    clock.set(HOUR);
    let jumped = |what: &str, back: bool| {
        let start = if back { "the clock was set back" } else { "the clock was set forward" };
        let record = relay.await_record(what, |record| record.msg.starts_with(start));
        let seconds: i64 = record.field("seconds").expect("by how much").parse().expect("a number");
        assert!((seconds - HOUR).abs() < SLACK.as_secs(), "{record:?}");
    };
    jumped("of the jump forward", false);
    clock::assert_off_by(&relay, HOUR);
    client.message("shop@example.org", &["meanwhile@one.test"], &mail::text("meanwhile"));
    let ahead = || suspended().filter(|till| Timestamp::now().duration_until(*till) > SignedDuration::from_mins(30));
    wait::until_some(PATIENCE, "the host is suspended by the wrong clock", ahead);
    let row = relay.row(&nobody.to_string()).expect("a row");
    assert_eq!(row.messages, 2, "neither has gone back: {row:?}");

    clock.set(0);
    jumped("of the jump back", true);
    let right = || suspended().filter(|till| Timestamp::now().duration_until(*till) < SignedDuration::from_mins(30));
    wait::until_some(PATIENCE, "the Monitor has a moment by the right clock", right);
    let sink = Sink::start_at(nobody);
    let arrived = sink.await_by_subject(2, PATIENCE + Duration::from_secs(4));
    assert_eq!(arrived.iter().map(|message| message.subject()).collect::<Vec<_>>(), ["before", "meanwhile"]);
    relay.await_empty();
    let given_up = relay.records().into_iter().find(|record| record.msg.starts_with("gave a recipient up"));
    assert!(given_up.is_none(), "its time was not over: {given_up:?}");
}
