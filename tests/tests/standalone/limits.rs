//! Whoever sends too much of anything is told so, and others are served on.

use mailsluice_crds::quantity::ByteSize;
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

#[test]
fn a_message_over_the_limit_is_refused_before_and_after_it_is_sent() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.limits.message_size = ByteSize::from_bytes(64 << 10);
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org> SIZE=65537", "552 5.3.4");
    client.expect("MAIL FROM:<shop@example.org> SIZE=65536", "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    client.send(&stuffed(&mail::text_of_size("too large", 66 << 10)));
    let said = client.reply();
    assert!(said.starts_with("552 5.3.4"), "{said:?}");
    client.message("shop@example.org", &["a@one.test"], &mail::text_of_size("large", 60 << 10));
    let arrived = sink.await_messages(1, PATIENCE);
    assert_eq!(arrived[0].text(), mail::text_of_size("large", 60 << 10));
}

#[test]
fn recipients_over_the_limit_are_put_off_and_the_others_get_the_message() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.limits.recipients = 3;
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org>", "250");
    for name in ["a", "b", "c"] {
        client.expect(&format!("RCPT TO:<{name}@one.test>"), "250");
    }
    client.expect("RCPT TO:<d@one.test>", "452 4.5.3");
    client.expect("DATA", "354");
    client.send(b"Subject: three\r\n\r\n.\r\n");
    assert!(client.reply().starts_with("250"));
    assert_eq!(sink.await_messages(1, PATIENCE)[0].envelope.recipients, ["a@one.test", "b@one.test", "c@one.test"]);
}

#[test]
fn a_command_line_that_is_too_long_is_refused_and_the_session_goes_on() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut client = Dialogue::open(relay.smtp);
    let said = client.say(&format!("NOOP {}", "x".repeat(100_000)));
    assert!(said.starts_with("500"), "{said:?}");
    client.message("shop@example.org", &["a@one.test"], &mail::text("goes on"));
}

#[test]
fn connections_over_the_limit_are_told_to_come_back_and_one_that_ends_makes_room() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.limits.client_connections = 3;
    manifest.relay.limits.per_client.connections = Some(3);
    let relay = Relay::start(&manifest);
    let mut open: Vec<Dialogue> = (0..3).map(|_| Dialogue::open(relay.smtp)).collect();
    let refused = Dialogue::try_open(relay.smtp).expect_err("the fourth is refused").to_string();
    assert!(refused.starts_with("421 4.3.2"), "{refused}");
    open.pop();
    wait::until_some(PATIENCE, "there is room again", || Dialogue::try_open(relay.smtp).ok());
}

#[test]
fn a_client_that_talks_nonsense_is_shown_the_door() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut client = Dialogue::open(relay.smtp);
    let last = (0..100).map(|_| client.say("GIBBERISH")).find(|said| !said.starts_with("500"));
    assert!(last.as_deref().is_some_and(|said| said.starts_with("421 4.7.0")), "{last:?}");
    assert!(client.is_closed());
}
