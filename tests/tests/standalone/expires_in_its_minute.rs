//! A message goes back when `expireAfter` is over, whatever its host is doing.

use std::{net::SocketAddr, thread, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{monitor::Reason, quantity::Interval, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

const AGE: SignedDuration = SignedDuration::from_secs(5);

/// In tests a message lives for five seconds.
fn short(mut manifest: Manifest) -> Manifest {
    manifest.relay.retry.expire_after = Interval::from_secs(5);
    manifest
}

/// When the relay gave the recipient up, and what it said.
fn given_up(relay: &Relay, recipient: &str) -> (Timestamp, String) {
    let record = relay.await_record("a recipient is given up", |record| {
        record.msg.starts_with("gave a recipient up") && format!("{record:?}").contains(recipient)
    });
    (record.time, record.msg)
}

fn in_time(accepted: Timestamp, given_up: Timestamp) {
    let waited = accepted.duration_until(given_up);
    assert!(waited >= AGE && waited < AGE + SignedDuration::from_mins(1), "given up after {waited:#}");
}

#[test]
fn under_a_closed_schedule_too() {
    let sink = Sink::start();
    let relay = Relay::start(&short(Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new())));
    let accepted = Timestamp::now();
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("too late"));
    let (at, why) = given_up(&relay, "a@one.test");
    in_time(accepted, at);
    assert!(why.contains("TcpScheduleClosed"), "{why}");
    assert_eq!(sink.count(), 0, "nothing leaves, the report neither");
    wait::until_some(PATIENCE, "the report waits for the link", || {
        relay.row(&sink.address.to_string()).filter(|row| row.messages == 1)
    });
}

#[test]
fn while_a_schedule_is_missing_or_a_rate_is_reached_or_the_host_is_down() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let down = Relay::start(&short(Manifest::to(nobody)));
    let mut missing = short(Manifest::to(nobody));
    missing.relay.schedule_ref = Some(mailsluice_crds::relay::ScheduleRef { name: "nowhere".into() });
    let missing = Relay::start(&missing);
    let slow = Sink::start();
    let mut rate = short(Manifest::to(slow.address));
    rate.relay.limits.messages_per_host_per_minute = Some(1);
    let rate = Relay::start(&rate);
    let accepted = Timestamp::now();
    for relay in [&down, &missing, &rate] {
        let mut client = Dialogue::open(relay.smtp);
        client.message("<>".trim_matches(['<', '>']), &["first@one.test"], &mail::text("first"));
        client.message("", &["second@one.test"], &mail::text("second"));
    }
    for (relay, reason) in [
        // The host may be tried at that very moment.
        (&down, "ECONNREFUSED"),
        (&missing, Reason::ScheduleNotFound.name()),
        (&rate, Reason::RateLimited.name()),
    ] {
        let (at, why) = given_up(relay, "second@one.test");
        in_time(accepted, at);
        assert!(why.contains(reason), "{why}");
        relay.await_empty();
    }
    assert_eq!(slow.count(), 1, "the first of the minute");
}

#[test]
fn while_a_host_keeps_a_session_waiting() {
    let senders = Sink::start();
    let tarpit = Scripted::start(|line| {
        if line.starts_with("RCPT") {
            thread::sleep(Duration::from_secs(100));
        }
        None
    });
    let relay = Relay::start(&short(Manifest::to(tarpit.address).route(&["example.org"], senders.address)));
    let accepted = Timestamp::now();
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("stuck"));
    let (at, _) = given_up(&relay, "a@one.test");
    in_time(accepted, at);
    let report = senders.await_messages(1, PATIENCE).remove(0);
    assert!(String::from_utf8_lossy(&report.octets).contains("Status: 5.4.7"));
    relay.await_empty();
}
