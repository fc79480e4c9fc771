use super::*;

const HEADERS: &[u8] = b"Received: from app (app [192.0.2.10])\r\n\tby relay.example with ESMTP id 0001;\r\n\
    \tTue, 24 Nov 2026 08:00:00 +0000\r\nFrom: Shop <shop@shop.example>\r\nSubject: Your order\r\n";

fn original<'a>(headers: &'a [u8]) -> Original<'a> {
    Original {
        sender: "shop@shop.example",
        arrival: "2026-11-24T08:00:00Z".parse().unwrap(),
        message_id: "0001",
        envelope_id: None,
        timing: Timing::default(),
        tls_optional: false,
        headers,
        whole: None,
    }
}

fn refused<'a>(recipient: &'a str, reply: &'a str) -> ReportedRecipient<'a> {
    ReportedRecipient {
        recipient,
        original: None,
        status: "5.1.1",
        reply: Some(reply),
        remote: Some("mx1.example.com"),
        text: reply,
    }
}

fn write(original: &Original<'_>, failed: &[ReportedRecipient<'_>], hostname: &str) -> String {
    let now = "2026-11-24T08:00:07.25Z".parse().unwrap();
    let message = super::write(Occasion::Failed, original, failed, hostname, now, original.message_id).unwrap();
    check(&message);
    String::from_utf8(message).unwrap()
}

/// What holds for every bounce: ASCII, CRLF and nothing bare, lines that every host takes.
fn check(message: &[u8]) {
    assert!(text::passes(message), "{}", String::from_utf8_lossy(message));
    let text = String::from_utf8(message.to_vec()).unwrap();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF in {text}");
}

#[test]
fn a_bounce_says_to_people_and_programs_what_happened() {
    let failed = [
        refused("bob@example.com", "550 5.1.1 <bob@example.com>: no such user here"),
        ReportedRecipient {
            recipient: "carol@gone.example",
            original: None,
            status: "5.1.2",
            reply: None,
            remote: None,
            text: "the domain gone.example does not exist",
        },
    ];
    let message = write(&original(HEADERS), &failed, "relay.example");
    assert_eq!(message.replace("\r\n", "\n"), include_str!("bounce.eml"));
}

#[test]
fn whatever_a_host_answers_the_bounce_stays_readable() {
    let long = "far too many words ".repeat(400);
    let long_word = "x".repeat(5_000);
    for (reply, in_fields) in [
        ("550", "smtp; 550"),
        ("554 5.7.1 unerwünscht", "smtp; 554 5.7.1 unerw\\x{FC}nscht"),
        ("550 拒绝", "smtp; 550 \\x{62D2}\\x{7EDD}"),
        ("550 a\r\nBcc: x@y.example\r\n\r\nbody", "smtp; 550 a Bcc: x@y.example body"),
        (long.as_str(), "smtp; far too many words far"),
        (long_word.as_str(), "smtp;\r\n xxx"),
    ] {
        let message = write(&original(HEADERS), &[refused("bob@example.com", reply)], "relay.example");
        assert!(message.contains(&format!("Diagnostic-Code: {in_fields}")), "{reply}: {message}");
        assert!(message.len() < 20_000, "{} octets", message.len());
    }
}

#[test]
fn the_returned_header_is_encoded_where_it_must_be_and_bounded() {
    let many = b"X-Filler: 0123456789\r\n".repeat(5_000);
    let long_line = [b"Subject: ".to_vec(), b"y".repeat(3_000), b"\r\n".to_vec()].concat();
    for (headers, encoding, holds) in [
        (HEADERS, Some("7bit"), "Subject: Your order\r\n"),
        ("Subject: grün\r\n".as_bytes(), Some("quoted-printable"), "Subject: gr=C3=BCn\r\n"),
        (b"Subject: gr\xfcn\r\nTo: x\r\n", Some("quoted-printable"), "Subject: gr=FCn\r\nTo: x\r\n"),
        (&long_line, Some("quoted-printable"), "yyy=\r\nyyy"),
        (&many, Some("7bit"), "X-Filler: 0123456789\r\n"),
        (b"", None, ""),
        (b"cut off in its first li", None, ""),
    ] {
        let message = write(&original(headers), &[refused("bob@example.com", "550 no")], "relay.example");
        let part = message.split_once("Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: ");
        match (part, encoding) {
            (Some((_, part)), Some(encoding)) => {
                assert!(part.starts_with(encoding) && part.contains(holds), "{part}");
                assert!(part.len() < HEADERS_MAX + 200, "{} octets", part.len());
            }
            (None, None) => assert!(message.contains("message/delivery-status"), "{message}"),
            _ => panic!("{encoding:?}: {message}"),
        }
    }
}

#[test]
fn every_address_and_every_machine_can_be_answered() {
    for (sender, hostname, to, from) in [
        ("a_b@under_score.example", "relay_1", "<a_b@under_score.example>", "MAILER-DAEMON@relay_1>"),
        ("\"a b\"@[192.0.2.1]", "RELAY.example.", "<\"a b\"@[192.0.2.1]>", "MAILER-DAEMON@relay.example>"),
        ("x@[IPv6:2001:db8::1]", "my relay\r\nX: y", "<x@[IPv6:2001:db8::1]>", "MAILER-DAEMON@localhost>"),
    ] {
        let original = Original { sender, ..original(HEADERS) };
        let message = write(&original, &[refused("\"odd one\"@example.com", "550 no")], hostname);
        assert!(message.contains(&format!("\r\nTo: {to}\r\n")), "{message}");
        assert!(message.contains(from), "{message}");
    }
}

#[test]
fn a_message_without_sender_is_not_answered() {
    let original = Original { sender: "", ..original(HEADERS) };
    let result = super::write(
        Occasion::Failed,
        &original,
        &[refused("bob@example.com", "550 no")],
        "relay.example",
        Timestamp::UNIX_EPOCH,
        "1",
    );
    assert!(matches!(result, Err(ReportError::Sender { .. })), "{result:?}");
}

#[test]
fn two_bounces_of_one_message_are_two_messages() {
    let write = |second| {
        let now = Timestamp::from_second(second).unwrap();
        let message = super::write(
            Occasion::Failed,
            &original(HEADERS),
            &[refused("bob@example.com", "550 no")],
            "relay.example",
            now,
            "0001",
        );
        String::from_utf8(message.unwrap()).unwrap()
    };
    let id = |message: &str| message.lines().find(|line| line.starts_with("Message-ID: ")).map(str::to_owned).unwrap();
    assert_ne!(id(&write(1)), id(&write(2)));
}

#[test]
fn a_report_waives_tls_where_its_message_does() {
    for tls_optional in [false, true] {
        let original = Original { tls_optional, ..original(HEADERS) };
        let message = write(&original, &[refused("bob@example.com", "550 no")], "relay.example");
        assert_eq!(message.contains("\r\nTLS-Required: No\r\n"), tls_optional, "{message}");
    }
}

#[test]
fn a_report_repeats_what_the_sender_asked_it_to() {
    let now = "2026-11-24T08:00:07.25Z".parse().unwrap();
    let text = "Subject: Your order\r\n\r\nTwo gr\u{fc}n ones.\r\n".as_bytes();
    let recipient = ReportedRecipient {
        original: Some("rfc822;Bob@alias.example"),
        status: "2.0.0",
        ..refused("bob@example.com", "250 2.0.0 taken")
    };
    for (occasion, whole, holds) in [
        (
            Occasion::Failed,
            Some(text),
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Your order",
        ),
        (Occasion::Failed, None, "Content-Type: text/rfc822-headers"),
        (Occasion::Relayed, None, "Action: relayed\r\nStatus: 2.0.0\r\n"),
    ] {
        let original = Original { envelope_id: Some("order 7+1"), whole, ..original(HEADERS) };
        let message = super::write(occasion, &original, &[recipient], "relay.example", now, "0001").unwrap();
        let message = String::from_utf8(message).unwrap();
        for part in [holds, "Original-Envelope-Id: order 7+1\r\n", "Original-Recipient: rfc822;Bob@alias.example\r\n"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(message.contains("It will not be tried again"), occasion == Occasion::Failed, "{message}");
    }
}

#[test]
fn a_warning_says_what_is_waited_for_till_when_and_that_nothing_is_to_be_done() {
    let late = ReportedRecipient {
        status: "4.4.7",
        reply: None,
        remote: None,
        text: "TcpScheduleClosed: TCP/IP link is down",
        ..refused("bob@example.com", "")
    };
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let occasion = Occasion::Delayed { until: at("2026-11-29T08:00:00Z") };
    let deliver_by = crate::spool::Deadline {
        at: at("2026-11-24T12:00:00Z"),
        late: crate::smtp::extensions::timing::Late::Notify,
        trace: false,
    };
    let timing =
        Timing { hold_until: Some(at("2026-11-24T09:00:00Z")), deliver_by: Some(deliver_by), ..Timing::default() };
    let original = Original { timing, ..original(HEADERS) };
    let message =
        super::write(occasion, &original, &[late], "relay.example", at("2026-11-24T12:00:00Z"), "0001").unwrap();
    check(&message);
    let message = String::from_utf8(message).unwrap();
    for part in [
        "Subject: Your message to\r\n bob@example.com is delayed\r\n",
        "tried again until Sun, 29 Nov 2026 08:00:00",
        "    TcpScheduleClosed: TCP/IP link is down\r\n",
        "\r\nAction: delayed\r\nStatus: 4.4.7\r\n",
        "\r\nDeliver-By-Date: Tue, 24 Nov 2026 12:00:00",
        "\r\nFuture-Release-Request: until;2026-11-24T09:00:00Z\r\n",
        "\r\nWill-Retry-Until: Sun, 29 Nov 2026 08:00:00",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("will not be tried again"), "{message}");
}

#[test]
fn addresses_in_utf_8_are_named_as_rfc_6533_has_them() {
    let named = "Final-Recipient: utf-8; b\\x{FC}ro@example.com\r\n";
    let ascii = write(&original(HEADERS), &[refused("b\u{fc}ro@example.com", "550 no")], "relay.example");
    assert!(ascii.contains(named) && ascii.contains("message/delivery-status"), "{ascii}");

    let original = Original { sender: "gr\u{fc}n@shop.example", ..original("Subject: gr\u{fc}n\r\n".as_bytes()) };
    let failed = [refused("b\u{fc}ro@example.com", "550 unerw\u{fc}nscht")];
    let now = "2026-11-24T08:00:07.25Z".parse().unwrap();
    let message = super::write(Occasion::Failed, &original, &failed, "relay.example", now, "0001").unwrap();
    let message = String::from_utf8(message).unwrap();
    for part in [
        "To: <gr\u{fc}n@shop.example>\r\n",
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Final-Recipient: utf-8; b\u{fc}ro@example.com\r\n",
        "Diagnostic-Code: smtp; 550 unerw\u{fc}nscht\r\n",
        "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: gr\u{fc}n\r\n",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
