//! An administrator's retry lifts a suspension at once; a TCP Schedule that is closed still holds.

use mailsluice_crds::{monitor::Reason, quantity::Interval, schedule::LinkState};
use mailsluice_ctl::words::act::Acted;
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

/// A relay that tries again after an hour.
fn patient(mut manifest: Manifest) -> Manifest {
    manifest.relay.retry.first = Interval::from_secs(3_600);
    manifest.relay.retry.longest = Interval::from_secs(3_600);
    manifest
}

#[test]
fn a_retry_lifts_a_suspension_at_once_and_a_closed_schedule_still_holds() {
    let mut sink = Sink::start();
    let (address, host) = (sink.address, sink.address.to_string());
    sink.kill();
    let open = patient(Manifest::to(address).scheduled(LinkState::Open, Vec::new()));
    let relay = Relay::start(&open);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("retried"));
    let suspended = |reason| relay.row(&host).filter(|row| row.reason == Some(reason));
    wait::until_some(PATIENCE, "the host is suspended", || suspended(Reason::ConnectionFailed));
    let sink = Sink::start_at(address);

    relay.rewrite(&open.clone().scheduled(LinkState::Closed, Vec::new()));
    relay.await_reloads(1);
    let acted: Acted = relay.ctl_json(&["retry", &host]);
    wait::until_some(PATIENCE, "the schedule holds it", || suspended(Reason::TcpScheduleClosed));
    let acted_again: Acted = relay.ctl_json(&["retry", "--all"]);
    assert_eq!(acted_again.results[0].messages, 0, "{acted:?}, {acted_again:?}");
    assert_eq!(acted_again.results[0].waiting[0].reason, Some(Reason::TcpScheduleClosed), "{acted_again:?}");
    let text = relay.ctl(&["retry", &host]).out;
    assert!(text.contains("TcpScheduleClosed: TCP/IP link is down"), "{text}");
    assert_eq!(sink.count(), 0);

    relay.rewrite(&open);
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "retried");
    relay.await_empty();
}

#[test]
fn a_retry_of_a_host_or_a_message_is_an_attempt_now() {
    let mut sink = Sink::start();
    let (address, host) = (sink.address, sink.address.to_string());
    sink.kill();
    let relay = Relay::start(&patient(Manifest::to(address)));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("retried"));
    wait::until_some(PATIENCE, "the host is suspended", || {
        relay.row(&host).filter(|row| row.reason == Some(Reason::ConnectionFailed))
    });
    let sink = Sink::start_at(address);
    let acted: Acted = relay.ctl_json(&["retry", &host, "--reason", "it is back"]);
    assert_eq!(acted.results[0].messages, 1, "{acted:?}");
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "retried");
    relay.await_empty();
}

#[test]
fn the_last_error_of_each_message_is_shown_and_one_of_them_can_be_retried() {
    let host = Scripted::start({
        let asked = std::sync::atomic::AtomicU32::new(0);
        move |line| {
            let first = line.starts_with("RCPT") && asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2;
            first.then(|| "451 4.7.1 greylisted, come again".into())
        }
    });
    let relay = Relay::start(&patient(Manifest::to(host.address)));
    for name in ["one", "two"] {
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text(name));
    }
    let name = host.address.to_string();
    let page = || match relay.ctl_json(&["queue", &name]) {
        mailsluice_ctl::words::queue::QueueSaid::Messages(page) => page.messages,
        hosts => panic!("asked for messages: {hosts:?}"),
    };
    let messages = wait::until_some(PATIENCE, "both are put off", || {
        Some(page()).filter(|page| page.len() == 2 && page.iter().all(|message| message.attempts == 1))
    });
    for message in &messages {
        let error = message.last_error.as_ref().unwrap_or_else(|| panic!("no error: {message:?}"));
        assert_eq!(error.code, "451 4.7.1", "{message:?}");
        assert!(error.text.contains("come again") && message.delayed_till.is_some(), "{message:?}");
    }
    let second = messages[1].id.to_string();
    let acted: Acted = relay.ctl_json(&["retry", &second]);
    assert_eq!(acted.results[0].messages, 1, "{acted:?}");
    wait::until_equal(PATIENCE, "messages that wait", 1, || relay.monitor().queue.messages);
    assert_eq!(page()[0].id, messages[0].id, "the other one waits for its time");
}
