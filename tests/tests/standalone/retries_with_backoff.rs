//! What fails for now is tried again: later each time, with the reason and the time for everyone to see.

use std::{
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use mailsluice_crds::monitor::{HostState, Reason, Stage};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    scripted::Scripted,
    sink::Sink,
    wait,
};

#[test]
fn a_host_that_puts_mail_off_is_asked_again_after_twice_the_time() {
    let attempts = AtomicUsize::new(0);
    let host = Scripted::start(move |line| {
        let first_three = line.starts_with("RCPT") && attempts.fetch_add(1, Ordering::Relaxed) < 3;
        first_three.then(|| "451 4.7.1 greylisted, come back later".into())
    });
    let relay = Relay::start(&Manifest::to(host.address));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("greylisted"));
    let row = wait::until_some(PATIENCE, "the Monitor shows the refusal", || {
        relay.row(&host.address.to_string()).filter(|row| row.last_error.is_some())
    });
    let error = row.last_error.clone().unwrap_or_else(|| unreachable!("it was looked for"));
    assert_eq!((&*error.code.name(), error.number, error.stage), ("451 4.7.1", Some(451), Stage::RcptTo), "{row:?}");
    assert!(error.text.contains("greylisted"), "{row:?}");
    let row = wait::until_some(PATIENCE, "the sentence of what waits", || {
        relay.row(&host.address.to_string()).filter(|row| row.reason == Some(Reason::MessagesDeferred))
    });
    let (problem, since) = (row.problem.expect("a problem"), row.failing_since.expect("a first failure"));
    let start = format!("451 4.7.1 at RcptTo with {}: 1 message put off since {since:.0}, next at ", host.address);
    assert!(problem.starts_with(&start) && problem.contains(" after "), "{problem}");

    relay.await_empty();
    let moments = host.moments("RCPT");
    let waits: Vec<f64> = moments.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    println!("waits between attempts: {waits:?} s");
    assert_eq!(waits.len(), 3, "{moments:?}");
    for (wait, least) in waits.iter().zip([1.0, 2.0, 4.0]) {
        assert!(*wait >= least - 0.01 && *wait < least + 3.0, "{waits:?} instead of about 1, 2 and 4 s");
    }
    assert_eq!(relay.metric("mailsluice_recipients_deferred_total").round() as u32, 3);
}

#[test]
fn a_host_that_is_not_there_is_suspended_with_the_systems_own_error() {
    let port = process::free_port();
    let address = ([127, 0, 0, 1], port).into();
    let relay = Relay::start(&Manifest::to(address));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("patient"));
    let row = wait::until_some(PATIENCE, "the host is suspended", || {
        relay.row(&address.to_string()).filter(|row| row.reason == Some(Reason::ConnectionFailed))
    });
    let error = row.last_error.clone().unwrap_or_else(|| panic!("no last error: {row:?}"));
    assert_eq!(
        (&*error.code.name(), error.number, error.stage),
        ("ECONNREFUSED", Some(111), Stage::Connect),
        "{row:?}"
    );
    assert_eq!(error.peer, Some(address.to_string()), "{row:?}");
    assert!(row.state == HostState::Suspended && row.suspended_till.is_some(), "{row:?}");
    let (problem, since) = (row.problem.expect("a problem"), row.failing_since.expect("a first failure"));
    assert!(problem.starts_with(&format!("ECONNREFUSED at Connect with {address}, ")), "{problem}");
    assert!(problem.contains(&format!(" since {since:.0}, next at ")), "{problem}");
    let explained = process::output(Command::new(program()).arg("explain").arg(&problem));
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.starts_with("ECONNREFUSED (111)") && explained.contains("nothing listens on that port"),
        "{explained}"
    );
    let record = relay.await_record("the suspension", |record| {
        record.marker.as_deref() == Some("TCP(SMTP)") && format!("{record:?}").contains("ECONNREFUSED")
    });
    println!("{record:?}");

    let sink = Sink::start_at(address);
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "patient");
}

#[test]
fn one_host_that_is_not_there_delays_no_other() {
    let sink = Sink::start();
    let dead = ([127, 0, 0, 1], process::free_port()).into();
    let relay = Relay::start(&Manifest::to(sink.address).route(&["dead.test"], dead));
    let mut client = Dialogue::open(relay.smtp);
    for number in 0..20 {
        client.message("shop@example.org", &["a@dead.test"], &mail::text(&format!("dead {number}")));
    }
    client.message("shop@example.org", &["a@dead.test", "b@live.test"], &mail::text("both"));
    let arrived = sink.await_messages(1, PATIENCE);
    assert_eq!(arrived[0].envelope.recipients, ["b@live.test"]);
    assert_eq!(relay.monitor().queue.messages, 21, "the other recipient's mail waits");
}
