//! Only CRLF.CRLF ends a message: no other end of line lets a client hide a second message in a first.

use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

#[test]
fn only_crlf_dot_crlf_ends_a_message_and_bare_newlines_are_refused() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
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
        let mut client = Dialogue::open(relay.smtp);
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
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("last"));
    let arrived = sink.await_messages(2, PATIENCE);
    relay.await_empty();
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
