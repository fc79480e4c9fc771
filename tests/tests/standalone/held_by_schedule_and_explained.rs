//! Mail that its schedule holds says so, says till when, and goes as soon as the schedule lets it.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    monitor::{HostState, Reason},
    schedule::LinkState,
};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::{Manifest, SCHEDULE},
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

#[test]
fn mail_held_by_its_schedule_is_explained_and_let_out_byte_for_byte() {
    let (one, two) = (Sink::start(), Sink::start());
    // Two hours ahead, so that no minute that passes meanwhile opens it.
    let opens = Timestamp::now().round(jiff::Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    let closed = Manifest::to(one.address).route(&["two.test"], two.address).opening_at(opens);
    let relay = Relay::start(&closed);
    let process = relay.id();
    let mut client = Dialogue::open(relay.smtp);
    for number in 0..10 {
        let domain = if number % 2 == 0 { "one.test" } else { "two.test" };
        client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(&format!("message {number}")));
    }

    for host in [one.address.to_string(), two.address.to_string()] {
        let row = wait::until_some(PATIENCE, "the host is suspended by the schedule", || {
            relay.row(&host).filter(|row| row.reason == Some(Reason::TcpScheduleClosed))
        });
        let problem = row.problem.clone().unwrap_or_default();
        let (now, till) = ("Europe/Rome", opens.in_tz("Europe/Rome").expect("a zone").strftime("%a %H:%M").to_string());
        assert_eq!(row.state, HostState::Suspended, "{row:?}");
        assert_eq!(row.messages, 5, "{row:?}");
        assert_eq!(row.suspended_till, Some(opens), "{row:?}");
        let start = format!("TCP/IP link is down: TCP Schedule {SCHEDULE} allows no connections on ");
        assert!(problem.starts_with(&start) && problem.contains(now), "{problem}");
        assert!(problem.ends_with(&format!("it opens {till}")), "{problem}");
    }
    let link = relay.monitor().link;
    assert_eq!((link.state, link.changes_at), (LinkState::Closed, Some(opens)), "{link:?}");
    assert_eq!(link.schedule.as_deref(), Some(SCHEDULE));
    let asked = relay.await_record("a session was asked for", |record| record.marker.as_deref() == Some("TCP(SMTP)"));
    assert!(
        asked.msg.contains(SCHEDULE) || asked.fields.values().any(|v| v.to_string().contains(SCHEDULE)),
        "{asked:?}"
    );
    assert_eq!((one.count(), two.count()), (0, 0), "nothing goes out while the link is down");

    let changed = Instant::now();
    relay.rewrite(&closed.scheduled(LinkState::Open, Vec::new()));
    let first = wait::until_some(PATIENCE, "the first delivery", || (one.count() > 0).then(|| changed.elapsed()));
    println!("from the change of the manifest to the first delivery: {first:?}");
    let all = [one.await_messages(5, PATIENCE), two.await_messages(5, PATIENCE)].concat();
    assert_eq!(all.len(), 10);
    for message in &all {
        assert_eq!(message.text(), mail::text(&message.subject()), "{} is changed", message.subject());
    }
    relay.await_empty();
    wait::until_equal(PATIENCE, "rows of the Monitor", 0, || relay.monitor().monitor.len());
    assert_eq!(relay.id(), process, "nothing was restarted");
}

#[test]
fn a_relay_whose_schedule_is_not_there_holds_its_mail_and_names_it() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Open, Vec::new());
    let schedule = manifest.schedule.take();
    let relay = Relay::start(&manifest);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("held"));
    let row = wait::until_some(PATIENCE, "the host is held", || {
        relay.row(&sink.address.to_string()).filter(|row| row.reason == Some(Reason::ScheduleNotFound))
    });
    assert!(row.problem.as_deref().is_some_and(|text| text.contains(SCHEDULE)), "{row:?}");
    assert_eq!((row.state, row.suspended_till), (HostState::Held, None), "{row:?}");
    assert!(relay.monitor().problems.iter().any(|problem| problem.message.contains(SCHEDULE)), "{:?}", relay.monitor());
    assert_eq!(sink.count(), 0);

    manifest.schedule = schedule;
    relay.rewrite(&manifest);
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "held");
}
