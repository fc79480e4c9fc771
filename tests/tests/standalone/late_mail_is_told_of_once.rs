//! A sender is told once that a message is late, and not at all who does not want to know or cannot be told.

use std::net::SocketAddr;

use mailsluice_crds::quantity::Interval;
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

fn send(client: &mut Dialogue, mail: &str, recipients: &[&str], subject: &str) {
    client.expect(mail, "250");
    for recipient in recipients {
        client.expect(&format!("RCPT TO:{recipient}"), "250");
    }
    client.expect("DATA", "354");
    client.send(&stuffed(&mail::text(subject)));
    assert!(client.reply().starts_with("250"));
}

#[test]
fn a_sender_is_told_once_that_a_message_is_late_across_a_restart_too() {
    let senders = Sink::start();
    let nobody = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut manifest = Manifest::to(nobody).route(&["example.org"], senders.address);
    manifest.relay.retry.warn_after = Some(Interval::from_secs(1));
    let mut relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    let shop = "MAIL FROM:<shop@example.org>";
    send(&mut client, shop, &["<a@one.test>", "<b@two.test>", "<c@two.test> NOTIFY=FAILURE"], "to three");
    send(&mut client, "MAIL FROM:<>", &["<a@one.test>"], "a bounce");
    send(&mut client, shop, &["<a@one.test> NOTIFY=NEVER"], "never");
    send(&mut client, shop, &["<a@one.test> NOTIFY=SUCCESS,DELAY"], "asked for");
    let warnings = senders.await_messages(2, PATIENCE);
    wait::until_equal(PATIENCE, "senders told", 2.0, || relay.metric("mailsluice_delays_told_total"));
    let texts: Vec<_> = warnings.iter().map(|warning| String::from_utf8_lossy(&warning.octets).into_owned()).collect();
    let to_three = texts.iter().find(|text| text.contains("Subject: to three")).expect("the first one's warning");
    assert!(texts.iter().any(|text| text.contains("Subject: asked for")), "{texts:?}");
    for part in [
        "Action: delayed",
        "Status: 4.4.1",
        "Final-Recipient: rfc822; a@one.test",
        "Final-Recipient: rfc822; b@two.test",
        "Will-Retry-Until: ",
        "You need do nothing",
        "ECONNREFUSED at Connect",
        "Auto-Submitted: auto-",
    ] {
        assert!(to_three.contains(part), "{part}: {to_three}");
    }
    assert!(!to_three.contains("c@two.test"), "it did not ask for that: {to_three}");
    assert!(warnings.iter().all(|warning| warning.envelope.sender.is_empty()));
    relay.kill();
    relay.restart();
    let mut client = Dialogue::open(relay.smtp);
    send(&mut client, shop, &["<a@one.test>"], "the next");
    let _ = senders.await_messages(3, PATIENCE);
    wait::until_equal(PATIENCE, "of the new one alone", 1.0, || relay.metric("mailsluice_delays_told_total"));
    assert_eq!(senders.count(), 3, "nothing is told twice");
    assert_eq!(relay.monitor().queue.messages, 5, "all of it waits on");
}
