mod auth;
mod chunks;
mod require_tls;
mod xclient;

use super::*;
use crate::smtp::{command::Site, envelope::BodyType};
use proptest::prelude::*;

/// What a driver saw and what the client was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    output: String,
    messages: Vec<(Envelope, Vec<u8>)>,
    refused_messages: usize,
    dropped_messages: usize,
    closed: Option<CloseReason>,
}

impl Seen {
    fn codes(&self) -> Vec<u16> {
        self.output
            .lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }
}

fn config() -> Config {
    Config::new("mx.example", 1000)
}

/// Refuses senders and recipients whose local part says so.
fn policy(address: &str) -> Option<Reply> {
    match address.split('@').next().unwrap_or_default() {
        "no" => Some(Reply::enhanced(550, (7, 1), "Relaying denied")),
        "later" => Some(Reply::enhanced(451, (7, 1), "Not now")),
        "bye" => Some(Reply::enhanced(421, (7, 0), "Go away")),
        _ => None,
    }
}

/// Drives a session over input that comes in these pieces.
fn drive(config: Config, pieces: &[&[u8]]) -> Seen {
    let mut session = Session::new(Arc::new(config));
    let mut pieces = pieces.iter();
    let (mut input, mut output, mut body) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let mut message = Vec::new();
    let mut seen = Seen::default();
    loop {
        let answer = match session.next(&mut input, &mut output, &mut body) {
            Event::NeedInput | Event::NeedBody => {
                assert!(input.len() < AUTH_LINE_MAX, "input piles up");
                message.append(&mut body);
                seen.output.push_str(std::str::from_utf8(&output.split()).unwrap());
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return seen,
                }
                continue;
            }
            Event::Flush => {
                seen.output.push_str(std::str::from_utf8(&output.split()).unwrap());
                continue;
            }
            Event::Authenticate(shown) => match auth::judge(shown) {
                Ok(Some(answer)) => {
                    session.answer_scram(answer);
                    continue;
                }
                Ok(None) => None,
                Err(reply) => Some(reply),
            },
            // Not offered by these configurations.
            Event::StartTls | Event::Handshake | Event::XClient(_) => Some(Reply::enhanced(454, (7, 0), "No TLS")),
            Event::Turn { site } => match site {
                Site::Below(_) => Some(Reply::enhanced(459, (7, 1), "Not yours")),
                _ => None,
            },
            Event::CheckSender { envelope } => policy(envelope.from.as_str()),
            Event::CheckRecipient { recipient, .. } => policy(recipient.path.as_str()),
            Event::BodyStart { envelope, .. } => {
                assert!(!envelope.recipients.is_empty());
                message.clear();
                match envelope.from.as_str() {
                    "full@a.example" => Some(Reply::enhanced(452, (3, 1), "No room")),
                    _ => None,
                }
            }
            Event::MessageEnd(envelope) => {
                message.append(&mut body);
                let text = std::mem::take(&mut message);
                let lost = text.starts_with(b"lose");
                seen.messages.push((envelope, text));
                if !lost {
                    session.accept_with(Reply::enhanced(250, (0, 0), "Queued"));
                    continue;
                }
                Some(Reply::enhanced(451, (3, 0), "Not stored"))
            }
            Event::MessageRefused { .. } => {
                body.clear();
                message.clear();
                seen.refused_messages += 1;
                continue;
            }
            Event::MessageDropped => {
                body.clear();
                message.clear();
                seen.dropped_messages += 1;
                continue;
            }
            Event::Close { reason } => {
                seen.output.push_str(std::str::from_utf8(&output.split()).unwrap());
                seen.closed = Some(reason);
                return seen;
            }
        };
        match answer {
            None => session.accept(),
            Some(reply) => session.refuse(reply),
        }
    }
}

fn talk(client: &str) -> Seen {
    drive(config(), &[client.as_bytes()])
}

const MESSAGE: &str = "EHLO c.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n";

#[test]
fn a_whole_session_goes_as_in_rfc_5321() {
    let seen = talk(&format!("{MESSAGE}Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"));
    assert_eq!(
        seen.output,
        "220 mx.example ESMTP\r\n\
         250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n\
         250-LIMITS RCPTMAX=1000\r\n250-DELIVERBY\r\n250-MT-PRIORITY\r\n250 ETRN\r\n\
         250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n\
         354 End the message with <CR><LF>.<CR><LF>\r\n250 2.0.0 Queued\r\n221 2.0.0 Bye\r\n"
    );
    assert_eq!(seen.closed, Some(CloseReason::Quit));
    let (envelope, text) = &seen.messages[0];
    assert_eq!(text, b"Subject: x\r\n\r\n.dot\r\n");
    assert_eq!(envelope.from.as_str(), "a@a.example");
    assert_eq!(envelope.recipients[0].path.as_str(), "b@b.example");
    assert_eq!(envelope.size, Some(20));
    assert_eq!(envelope.body, BodyType::SevenBit);
}

#[test]
fn commands_have_their_order_and_each_refusal_its_code() {
    // what the client says after EHLO; the codes of the replies to it
    let cases: [(&str, &[u16]); 29] = [
        ("RCPT TO:<b@b.example>", &[503]),
        ("DATA", &[503]),
        ("MAIL FROM:<a@a.example>|MAIL FROM:<a@a.example>", &[250, 503]),
        ("MAIL FROM:<a@a.example>|DATA", &[250, 554]),
        ("MAIL FROM:<a@a.example>|RCPT TO:<no@b.example>|DATA", &[250, 550, 554]),
        ("MAIL FROM:<a@a.example>|RCPT TO:<later@b.example>|DATA", &[250, 451, 554]),
        ("MAIL FROM:<no@a.example>|RCPT TO:<b@b.example>|DATA", &[550, 503, 503]),
        ("MAIL FROM:<no@a.example>|MAIL FROM:<a@a.example>", &[550, 250]),
        ("MAIL FROM:<a@a.example>|RSET|RCPT TO:<b@b.example>", &[250, 250, 503]),
        ("MAIL FROM:<a@a.example>|EHLO x|RCPT TO:<b@b.example>", &[250, 250, 503]),
        ("MAIL FROM:<a@a.example>|HELO x|RCPT TO:<b@b.example>", &[250, 250, 503]),
        ("MAIL FROM:<a@a.example>|NOOP|VRFY x|HELP|RCPT TO:<b@b.example>", &[250, 250, 252, 214, 250]),
        ("MAIL FROM:<a@a.example>|FOO|RCPT TO:<b@b.example>", &[250, 500, 250]),
        ("MAIL FROM:<a@a.example>|RCPT TO:<x|RCPT TO:<b@b.example>", &[250, 501, 250]),
        ("MAIL FROM:<full@a.example>|RCPT TO:<b@b.example>|DATA|MAIL FROM:<a@a.example>", &[250, 250, 452, 250]),
        ("MAIL FROM:<a@a.example> SIZE=1000", &[250]),
        ("MAIL FROM:<a@a.example> SIZE=1001", &[552]),
        ("MAIL FROM:<a@a.example> SIZE=99999999999999999999", &[552]),
        ("MAIL FROM:<a@a.example> BODY=8BITMIME", &[250]),
        (
            "MAIL FROM:<a@a.example> SMTPUTF8|RCPT TO:<\u{e9}@b.example>|RSET|MAIL FROM:<>|RCPT TO:<\u{e9}@b.example>",
            &[250, 250, 250, 250, 553],
        ),
        ("MAIL FROM:<>|RCPT TO:<postmaster>", &[250, 250]),
        ("MAIL FROM:<a@a.example> RET=HDRS ENVID=x|RCPT TO:<b@b.example> NOTIFY=NEVER", &[250, 250]),
        ("RCPT TO:<b@b.example> X=1", &[555]),
        ("EXPN x", &[502]),
        ("VRFY x", &[252]),
        ("STARTTLS", &[502]),
        ("", &[500]),
        ("QUIT|NOOP", &[221]),
        ("MAIL FROM:<bye@a.example>|NOOP", &[421]),
    ];
    for (client, codes) in cases {
        let client = client.replace('|', "\r\n");
        let seen = talk(&format!("EHLO c.example\r\n{client}\r\n"));
        assert_eq!(&seen.codes()[2..], codes, "{client}\n{}", seen.output);
    }
}

#[test]
fn mail_needs_a_hello_first() {
    let seen = talk("MAIL FROM:<a@a.example>\r\nRSET\r\nHELO c.example\r\nMAIL FROM:<a@a.example>\r\n");
    assert_eq!(seen.codes(), [220, 503, 250, 250, 250]);
    assert!(seen.output.contains("250 mx.example\r\n"), "{}", seen.output);
}

#[test]
fn what_is_known_of_the_client_is_there_for_the_received_line() {
    for (hello, protocol, extended) in [("EHLO c", "ESMTP", true), ("HELO c", "SMTP", false)] {
        let mut session = Session::new(Arc::new(config()));
        assert_eq!(session.hello(), None);
        let mut input = BytesMut::from(format!("{hello}\r\nMAIL FROM:<a@a.example>\r\n").as_bytes());
        session.next(&mut input, &mut BytesMut::new(), &mut Vec::new());
        assert_eq!(session.hello().map(|hello| hello.protocol(false, false, false)), Some(protocol));
        let name = "c".to_owned();
        assert_eq!(session.hello(), Some(&Hello { extended, name }));
        assert_eq!(session.envelope().unwrap().from.as_str(), "a@a.example");
    }
}

#[test]
fn one_recipient_too_many_gets_452_and_the_message_goes_on() {
    let config = Config { max_recipients: 2, ..config() };
    let rcpt = "RCPT TO:<b@b.example>\r\n";
    let client =
        format!("EHLO c\r\nMAIL FROM:<a@a.example>\r\n{rcpt}RCPT TO:<no@b.example>\r\n{rcpt}{rcpt}DATA\r\nx\r\n.\r\n");
    let seen = drive(config, &[client.as_bytes()]);
    assert_eq!(seen.codes(), [220, 250, 250, 250, 550, 250, 452, 354, 250]);
    assert!(seen.output.contains("452 4.5.3 "), "{}", seen.output);
    assert_eq!(seen.messages[0].0.recipients.len(), 2);
}

#[test]
fn junk_commands_end_the_session_and_an_accepted_message_forgives_them() {
    let seen = talk(&"FOO\r\n".repeat(30));
    let mut codes = vec![220];
    codes.extend([500; 20]);
    codes.push(421);
    assert_eq!(seen.codes(), codes);
    assert_eq!(seen.closed, Some(CloseReason::TooManyErrors));
    assert!(seen.output.ends_with("421 4.7.0 Too many errors; closing\r\n"));

    let junk = "FOO\r\n".repeat(19);
    let seen = talk(&format!("{junk}{MESSAGE}x\r\n.\r\n{junk}NOOP\r\n"));
    assert_eq!(seen.closed, None, "{}", seen.output);
    assert_eq!(seen.codes().last(), Some(&250));

    // A message that was not stored forgives nothing; refused recipients are no junk.
    let seen = talk(&format!("{junk}{MESSAGE}lose\r\n.\r\nFOO\r\n"));
    assert_eq!(seen.closed, Some(CloseReason::TooManyErrors));
    let refused = "RCPT TO:<no@b.example>\r\n".repeat(50);
    let seen = talk(&format!("EHLO c\r\nMAIL FROM:<a@a.example>\r\n{refused}"));
    assert_eq!(seen.closed, None);
}

#[test]
fn a_message_over_the_limit_gets_552_and_the_session_goes_on() {
    let line = format!("{}\r\n", "x".repeat(98));
    let seen = talk(&format!("{MESSAGE}{}.\r\nNOOP\r\n", line.repeat(10)));
    assert_eq!(seen.messages.len(), 1, "1000 octets are not too many");
    let seen = talk(&format!("{MESSAGE}{}y\r\n.\r\nNOOP\r\n", line.repeat(10)));
    assert_eq!(seen.codes(), [220, 250, 250, 250, 354, 552, 250]);
    assert_eq!((seen.messages.len(), seen.refused_messages), (0, 1));
    assert!(seen.output.contains("552 5.3.4 "), "{}", seen.output);
}

#[test]
fn eight_bit_text_is_noted_whatever_mail_had_declared() {
    for (declared, text, expected) in [
        ("", &b"plain\r\n"[..], BodyType::SevenBit),
        (" BODY=8BITMIME", b"plain\r\n", BodyType::SevenBit),
        (" BODY=7BIT", b"\xc3\xa9\r\n", BodyType::EightBitMime),
        ("", b"\xe9\r\n", BodyType::EightBitMime),
    ] {
        let head = format!("EHLO c\r\nMAIL FROM:<a@a.example>{declared}\r\nRCPT TO:<b@b.example>\r\nDATA\r\n");
        let seen = drive(config(), &[head.as_bytes(), text, b".\r\n"]);
        assert_eq!(seen.messages[0].0.body, expected, "{declared}");
    }
}

#[test]
fn smuggled_messages_are_refused_and_the_session_closed() {
    let evil = "MAIL FROM:<evil@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nevil\r\n.\r\n";
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\n.\r",
        "\r.\r",
        "\r.\n",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r",
        "\r\n\r.\r\n",
        "\r\r\n",
        "\n",
        "\r",
        "\r\n.\r.",
    ] {
        let client = format!("{MESSAGE}good{end}{evil}NOOP\r\n");
        let seen = talk(&client);
        let shown = end.escape_debug();
        assert_eq!(seen.codes(), [220, 250, 250, 250, 354, 521], "{shown}");
        assert!(seen.messages.is_empty(), "{shown} let a message through");
        assert_eq!(seen.refused_messages, 1, "{shown}");
        assert_eq!(seen.closed, Some(CloseReason::BareNewline), "{shown}");
        assert!(seen.output.contains("\r\n521 5.5.2 "), "{}", seen.output);
    }
}

#[test]
fn a_bare_newline_in_a_command_ends_the_session_at_once() {
    for (client, codes) in [
        ("NOOP\nNOOP\r\n", &[220, 521][..]),
        ("\nNOOP\r\n", &[220, 521]),
        ("NOOP\r\nNOOP\n", &[220, 250, 521]),
        ("NOOP a\rb\r\nNOOP\r\n", &[220, 521]),
        ("NOOP\r\r\nNOOP\r\n", &[220, 521]),
        ("EHLO c\r\nMAIL FROM:<a@a.example>\nRCPT TO:<b@b.example>\r\n", &[220, 250, 521]),
    ] {
        let seen = talk(client);
        assert_eq!(seen.codes(), codes, "{}", client.escape_debug());
        assert_eq!(seen.closed, Some(CloseReason::BareNewline));
    }
}

#[test]
fn what_is_not_smtp_is_cut_off() {
    let clients: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nMAIL FROM:<a@a.example>\r\n",
        b"CONNECT x:25 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\xff\xfb",
        b"\x00",
    ];
    for client in clients {
        let seen = drive(config(), &[client]);
        assert_eq!(seen.codes(), [220, 521], "{}", client.escape_ascii());
        assert_eq!(seen.closed, Some(CloseReason::NotSmtp));
    }
}

#[test]
fn an_overlong_line_is_read_past() {
    let line = |length: usize| format!("NOOP {}\r\n", "x".repeat(length - 7));
    for (length, code) in [(2048, 250), (2049, 500), (2050, 500), (100_000, 500)] {
        let client = format!("{}NOOP\r\n", line(length));
        let whole = talk(&client);
        assert_eq!(whole.codes(), [220, code, 250], "{length}");
        let pieces: Vec<&[u8]> = client.as_bytes().chunks(997).collect();
        assert_eq!(drive(config(), &pieces), whole, "{length}");
    }
    for cut in 2040..2060 {
        let client = line(2049);
        let (a, b) = client.as_bytes().split_at(cut.min(client.len()));
        assert_eq!(drive(config(), &[a, b]).codes(), [220, 500], "cut at {cut}");
    }
    let seen = talk(&format!("{}\nNOOP\r\n", "x".repeat(3000)));
    assert_eq!(seen.codes(), [220, 521]);
}

#[test]
fn replies_that_pile_up_are_flushed() {
    let mut session = Session::new(Arc::new(config()));
    let mut input = BytesMut::from("EHLO c\r\n".repeat(2000).as_bytes());
    let mut output = BytesMut::new();
    let mut flushes = 0;
    while session.next(&mut input, &mut output, &mut Vec::new()) == Event::Flush {
        assert!(output.len() < 2 * OUTPUT_SOFT_MAX);
        output.clear();
        flushes += 1;
    }
    assert!(flushes > 10, "{flushes} flushes");
    assert!(input.is_empty());
}

#[test]
fn nothing_behind_a_question_is_looked_at_before_the_answer_and_silence_is_no() {
    let mut session = Session::new(Arc::new(config()));
    let mut input = BytesMut::from("EHLO c\r\nMAIL FROM:<a@a.example>\r\nNOOP\r\n".as_bytes());
    let mut output = BytesMut::new();
    let mut body = Vec::new();
    assert!(matches!(session.next(&mut input, &mut output, &mut body), Event::CheckSender { .. }));
    assert_eq!(&input[..], b"NOOP\r\n");
    output.clear();
    assert_eq!(session.next(&mut input, &mut output, &mut body), Event::NeedInput);
    assert!(output.starts_with(b"451 4.3.0 "), "{}", output.escape_ascii());
    // An answer to nothing is not kept for the next question.
    session.accept();
    input.extend_from_slice(b"NOOP\r\n");
    session.next(&mut input, &mut output, &mut body);
    input.extend_from_slice(b"MAIL FROM:<a@a.example>\r\n");
    session.next(&mut input, &mut output, &mut body);
    output.clear();
    session.next(&mut input, &mut output, &mut body);
    assert!(output.starts_with(b"451 4.3.0 "), "{}", output.escape_ascii());
}

#[test]
fn timeouts_and_shutdown_say_what_they_are() {
    let end = |client: &str, how: fn(&mut Session, &mut BytesMut)| {
        let mut session = Session::new(Arc::new(config()));
        let (mut input, mut output) = (BytesMut::from(client.as_bytes()), BytesMut::new());
        let mut body = Vec::new();
        loop {
            match session.next(&mut input, &mut output, &mut body) {
                Event::NeedInput | Event::NeedBody => break,
                _ => session.accept(),
            }
        }
        output.clear();
        how(&mut session, &mut output);
        let code = String::from_utf8(output[..9].to_vec()).unwrap();
        assert!(matches!(session.next(&mut input, &mut output, &mut body), Event::Close { .. }));
        code
    };
    assert_eq!(end("EHLO c\r\nNO", Session::time_out), "421 4.4.2");
    assert_eq!(end(&format!("{MESSAGE}text"), Session::time_out), "421 4.4.2");
    assert_eq!(end(&format!("{MESSAGE}text\n.\n"), Session::time_out), "521 5.5.2");
    assert_eq!(end("EHLO c\r\n", Session::shut_down), "421 4.3.2");
}

#[test]
fn a_large_message_passes_through_small_buffers() {
    let mut session = Session::new(Arc::new(Config::new("mx.example", 50 << 20)));
    let (mut input, mut output) = (BytesMut::from(MESSAGE.as_bytes()), BytesMut::new());
    let mut body = Vec::new();
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let piece = line.repeat(200);
    let mut left = 2000;
    let mut octets = 0;
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::NeedBody => {
                octets += body.len();
                body.clear();
                input.extend_from_slice(if left > 0 { &piece } else { b".\r\n" });
                left -= 1;
            }
            Event::MessageEnd(envelope) => {
                assert_eq!(envelope.size, Some(octets as u64));
                assert_eq!(octets, 2000 * piece.len());
                break;
            }
            Event::NeedInput => panic!("the message did not begin"),
            _ => session.accept(),
        }
    }
    assert!(body.capacity() < 256 * 1024 && input.capacity() < 256 * 1024);
}

fn any_piece() -> impl Strategy<Value = String> {
    let command = proptest::sample::select(vec![
        "EHLO c.example\r\n",
        "MAIL FROM:<a@a.example>\r\n",
        "MAIL FROM:<no@a.example> SIZE=3\r\n",
        "RCPT TO:<b@b.example>\r\n",
        "RCPT TO:<later@b.example>\r\n",
        "DATA\r\n",
        "DATA\r\n",
        "text\r\n..\r\n",
        ".\r\n",
        ".\r\n",
        "RSET\r\n",
        "QUIT\r\n",
        "FOO\r\n",
        "NOOP\n",
        "\r\n.\n",
        "\r",
        "\u{e9}\r\n",
    ]);
    prop_oneof![
        8 => Just(MESSAGE.to_owned()),
        20 => command.prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn however_the_input_is_cut_the_session_is_the_same(pieces in proptest::collection::vec(any_piece(), 1..10)) {
        let client = pieces.concat();
        let whole = talk(&client);
        for cut in 0..=client.len() {
            let (a, b) = client.as_bytes().split_at(cut);
            prop_assert_eq!(&drive(config(), &[a, b]), &whole, "cut at {}", cut);
        }
        let single: Vec<&[u8]> = client.as_bytes().chunks(1).collect();
        prop_assert_eq!(&drive(config(), &single), &whole);
    }

    #[test]
    fn no_input_makes_the_session_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        drive(config(), &[&input]);
    }
}

#[test]
fn a_site_asks_for_its_mail_after_ehlo_and_outside_a_transaction() {
    for (client, codes) in [
        ("ETRN a.example\r\n", vec![220, 503]),
        ("HELO c.example\r\nETRN a.example\r\n", vec![220, 250, 503]),
        ("EHLO c.example\r\nETRN a.example\r\nETRN #a.example:25\r\nNOOP\r\n", vec![220, 250, 250, 250, 250]),
        ("EHLO c.example\r\nETRN @a.example\r\nETRN\r\n", vec![220, 250, 459, 501]),
        ("EHLO c.example\r\nMAIL FROM:<a@a.example>\r\nETRN a.example\r\n", vec![220, 250, 250, 503]),
    ] {
        assert_eq!(talk(client).codes(), codes, "{client}");
    }
}

#[test]
fn a_port_for_submission_lets_no_site_ask() {
    let seen = drive(Config { etrn: false, ..config() }, &[b"EHLO c.example\r\nETRN a.example\r\n"]);
    assert!(!seen.output.contains("ETRN\r\n") && seen.output.contains("502 5.5.1 ETRN"), "{}", seen.output);
}

#[test]
fn mail_is_held_only_where_that_is_offered() {
    let client = "EHLO c.example\r\nMAIL FROM:<a@a.example> HOLDFOR=60\r\n";
    let seen = talk(client);
    assert!(!seen.output.contains("FUTURERELEASE") && seen.output.contains("555 5.5.4"), "{}", seen.output);
    let future_release = Some(FutureRelease {
        longest: jiff::SignedDuration::from_hours(24),
        latest: "2026-12-01T00:00:00.5Z".parse().unwrap(),
    });
    let seen = drive(Config { future_release, ..config() }, &[client.as_bytes()]);
    let offered = seen.output.contains("FUTURERELEASE 86400 2026-12-01T00:00:0");
    assert!(offered && seen.output.ends_with("250 2.1.0 Ok\r\n"), "{}", seen.output);
}
