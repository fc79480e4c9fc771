//! Only CRLF.CRLF ends a message: no other end of line lets a client hide a second message in a first.

use mailsluice_crds::relay::BareNewlines;
use mailsluice_tests::{
    dialogue::Dialogue,
    door::{Door, Way},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

#[test]
fn only_crlf_dot_crlf_ends_a_message_and_bare_newlines_are_refused() {
    for way in Way::ALL {
        no_end_but_the_true_one(way);
    }
}

fn no_end_but_the_true_one(way: Way) {
    let sink = Sink::start();
    let door = Door::start(way, &Manifest::to(sink.address));
    // Each as the end that a careless server would see, followed by a message that would then be smuggled.
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\0.\r\n",
        "\n.\r",
        "\r\n.\r\r\n",
        "\r\r\n.\n",
    ] {
        let mut client = door.open();
        client.expect("MAIL FROM:<shop@example.org>", "250");
        client.expect("RCPT TO:<a@one.test>", "250");
        client.expect("DATA", "354");
        let hidden =
            "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@one.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\n";
        client.send(format!("Subject: outer\r\n\r\ntext{end}{hidden}").as_bytes());
        let said = client.reply();
        if end.contains('\0') {
            // No newline stands alone in this one: it is text like any other, up to the real end.
            assert!(said.starts_with("250"), "{end:?} is answered {said:?}");
        } else {
            // Permanently, so that it returns to its author; and nothing behind it is listened to.
            assert!(said.starts_with("521 5.5.2"), "{end:?} is answered {said:?}");
            assert!(client.is_closed(), "{end:?}: the session goes on");
        }
    }
    door.open().message("shop@example.org", &["a@one.test"], &mail::text("last"));
    let arrived = sink.await_messages(2, PATIENCE);
    door.relay.await_empty();
    let subjects: Vec<String> = arrived.iter().map(|message| message.subject()).collect();
    assert!(!subjects.contains(&"smuggled".to_owned()), "{subjects:?}");
    assert!(arrived.iter().all(|message| message.envelope.sender != "evil@example.org"), "{subjects:?}");
}

#[test]
fn a_bare_newline_in_a_command_ends_the_session() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    for command in ["NOOP\nMAIL FROM:<evil@example.org>", "NOOP\rMAIL FROM:<evil@example.org>", "RSET\n"] {
        let mut client = Dialogue::open(relay.smtp);
        let said = client.say(command);
        assert!(said.starts_with("521 5.5.2"), "{command:?} is answered {said:?}");
        assert!(client.is_closed(), "{command:?}: the session goes on");
    }
}

#[test]
fn an_old_program_that_is_listed_has_its_bare_newlines_mended_and_still_smuggles_nothing() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients[0].bare_newlines = BareNewlines::Normalize;
    for way in Way::ALL {
        let door = Door::start(way, &manifest);
        let before = sink.count();
        let hidden = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@one.test>\r\nDATA\r\nhidden\r\n";
        let mut expected = Vec::new();
        // What the program sends, and what arrives: its lines, and as text whatever it takes for an end.
        for (end, lines) in [
            ("\n", "\r\n"),
            ("\n.\n", "\r\n.\r\n"),
            ("\n.\r\n", "\r\n.\r\n"),
            ("\r\n.\n", "\r\n.\r\n"),
            ("\n..leading\n", "\r\n.leading\r\n"),
        ] {
            let mut client = door.open();
            client.expect("MAIL FROM:<shop@example.org>", "250");
            client.expect("RCPT TO:<a@one.test>", "250");
            client.expect("DATA", "354");
            client.send(format!("Subject: old\n\ntext{end}{hidden}.\r\n").as_bytes());
            assert!(client.reply().starts_with("250"), "{end:?}, {way:?}");
            client.expect("NOOP", "250");
            expected.push(format!("Subject: old\r\n\r\ntext{lines}{hidden}"));
        }
        for (piece, bare) in [("a\rb", "DATA"), ("NOOP\n", "a command")] {
            let mut client = door.open();
            if bare == "DATA" {
                client.expect("MAIL FROM:<shop@example.org>", "250");
                client.expect("RCPT TO:<a@one.test>", "250");
                client.expect("DATA", "354");
                client.send(format!("{piece}\r\n.\r\n").as_bytes());
            } else {
                client.send(piece.as_bytes());
            }
            assert!(client.reply().starts_with("521 5.5.2"), "{piece:?} in {bare}, {way:?}");
        }
        let arrived = sink.await_messages(before + expected.len(), PATIENCE);
        door.relay.await_empty();
        assert_eq!(sink.count(), before + expected.len(), "{way:?}");
        let mut texts: Vec<String> = arrived[before..]
            .iter()
            .map(|message| String::from_utf8_lossy(mail::without_trace(&message.octets)).into_owned())
            .collect();
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected, "{way:?}");
    }
}
