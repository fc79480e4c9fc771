//! The programs that people really send mail with get it through.

use mailsluice_tests::{
    clients::Client,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

#[test]
fn every_client_gets_its_mail_through_to_all_recipients() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    for (count, client) in (1..).zip(Client::FAST) {
        let subject = format!("from {client:?}");
        let text = format!(
            "From: <shop@example.org>\r\nTo: <someone@example.com>\r\nSubject: {subject}\r\n\r\n.\r\n..\r\n.leading dot\r\n\r\nend\r\n"
        );
        client.send(relay.smtp, "shop@example.org", &["a@one.test", "b@one.test"], text.as_bytes());
        let arrived = sink.await_messages(count, PATIENCE);
        let message = arrived.last().unwrap_or_else(|| unreachable!("it was waited for"));
        assert_eq!(message.subject(), subject);
        assert_eq!(String::from_utf8_lossy(message.text()), text, "{client:?}");
        assert_eq!(message.envelope.sender, "shop@example.org", "{client:?}");
        assert_eq!(message.envelope.recipients, ["a@one.test", "b@one.test"], "{client:?}");
    }
}

#[test]
fn every_client_is_told_when_it_may_not_relay() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients.clear();
    let relay = Relay::start(&manifest);
    for client in Client::FAST {
        match client.try_send(relay.smtp, "shop@example.org", &["a@one.test"], b"Subject: no\r\n\r\nno\r\n") {
            Ok(said) => panic!("{client:?} thinks that it was taken: {said}"),
            Err(said) => assert!(said.contains("relaying denied"), "{client:?} shows the reason: {said}"),
        }
    }
    assert_eq!(sink.count(), 0);
}
