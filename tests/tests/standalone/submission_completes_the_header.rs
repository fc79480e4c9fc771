//! A port for submission adds Date and Message-ID, takes Bcc out, and wants complete domains; a port for servers touches nothing.

use mailsluice_crds::relay::Role;
use mailsluice_tests::{
    dialogue::Dialogue,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

const TEXT: &[u8] =
    b"From: shop@example.org\r\nBcc: secret@one.test,\r\n other@one.test\r\nSubject: s\r\n\r\nBcc: in the text\r\n";

fn relay(sink: &Sink, role: Option<Role>) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.role = role;
    Relay::start(&manifest)
}

#[test]
fn date_and_message_id_are_added_and_bcc_goes_only_on_submission() {
    for (role, changed) in [(Some(Role::Submission), true), (Some(Role::Relay), false), (None, false)] {
        let sink = Sink::start();
        let relay = relay(&sink, role);
        let mut client = Dialogue::open(relay.smtp);
        client.message("shop@example.org", &["secret@one.test"], TEXT);
        let whole = b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <mine@example.org>\r\n\r\n";
        client.message("shop@example.org", &["secret@one.test"], whole);
        let arrived = sink.await_messages(2, PATIENCE);
        let text = |part: &str| {
            let texts = arrived.iter().map(|message| String::from_utf8_lossy(&message.octets).into_owned());
            texts.filter(|text| text.contains(part)).collect::<Vec<_>>().concat()
        };
        let first = text("Subject: s");
        assert_eq!(first.contains("\r\nDate: "), changed, "{role:?}: {first}");
        assert_eq!(first.contains("\r\nMessage-ID: <"), changed, "{role:?}: {first}");
        assert_eq!(first.contains("\r\nBcc: secret@one.test,\r\n other@one.test\r\n"), !changed, "{role:?}: {first}");
        assert!(first.ends_with("\r\n\r\nBcc: in the text\r\n"), "{role:?}: {first}");
        if !changed {
            assert!(first.ends_with(&String::from_utf8_lossy(TEXT).into_owned()), "{role:?}: {first}");
        }
        let second = text("mine@example.org");
        assert_eq!(second.matches("Date: ").count(), 1, "{role:?}: {second}");
        assert!(second.ends_with(&String::from_utf8_lossy(whole).into_owned()), "{role:?}: {second}");
    }
}

#[test]
fn domains_must_be_complete_on_submission() {
    let sink = Sink::start();
    let relay = relay(&sink, Some(Role::Submission));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<root@host>", "554 5.1.8 host is not a complete domain");
    client.expect("MAIL FROM:<root@host.example.org>", "250");
    client.expect("RCPT TO:<root@localhost>", "554 5.1.2 localhost is not a complete domain");
    client.expect("RCPT TO:<root@[192.0.2.1]>", "250");
}

#[test]
fn whoever_may_not_send_is_told_so_at_mail_on_submission() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.role = Some(Role::Submission);
    manifest.relay.clients.clear();
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org>", "550 5.7.1 relaying denied");
}
