//! Bad input and the exact reply to it, over real sockets: each row is sent as one piece (pipelined), and octet group by octet
//! group, waiting for each reply. Texts are sent by DATA and by BDAT.

use std::{thread, time::Duration};

use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

/// What is said after EHLO, line by line, and the last reply.
const COMMANDS: [(&[&str], &str); 30] = [
    (&["RCPT TO:<a@one.test>"], "503 5.5.1 Send MAIL first"),
    (&["DATA"], "503 5.5.1 Send MAIL first"),
    (&["MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1 MAIL within a transaction; send RSET first"),
    (&["MAIL FROM:<>", "DATA"], "554 5.5.1 No valid recipients"),
    (&["MAIL FROM:a@example.org"], "501 5.1.7 Sender address is not in angle brackets: write <user@example.com>"),
    (&["MAIL FROM:<caffè@example.org>"], "553 5.6.7 Sender address is not ASCII: say SMTPUTF8 in MAIL"),
    (&["MAIL FROM:<>", "RCPT TO:<è@one.test>"], "553 5.6.7 Recipient address is not ASCII: say SMTPUTF8 in MAIL"),
    (&["MAIL FROM:<> SIZE=x"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> SIZE=99999999999"], "552 5.3.4 Message is larger than 52428800 octets"),
    (&["MAIL FROM:<> BODY=9BIT"], "555 5.5.4 Unsupported parameter"),
    (&["MAIL FROM:<> RET=ALL"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> ENVID=a=b"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> SMTPUTF8=1"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> X-OTHER"], "555 5.5.4 Unsupported parameter"),
    (
        &["MAIL FROM:<>", "RCPT TO:<>"],
        "501 5.1.3 Recipient local part is malformed: quote it if it holds special characters",
    ),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test> NOTIFY=NEVER,DELAY"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test> ORCPT=a@one.test"], "501 5.5.4 Malformed parameter"),
    (
        &["MAIL FROM:<> BODY=BINARYMIME", "RCPT TO:<a@one.test>", "DATA"],
        "503 5.5.1 A message of BODY=BINARYMIME comes by BDAT",
    ),
    (&["EXPN staff"], "502 5.5.1 EXPN is not implemented"),
    (&["TURN"], "500 5.5.1 Command not recognized"),
    (&["DATA now"], "501 5.5.4 DATA"),
    (&["NOOP \0"], "500 5.5.2 NUL in command"),
    (&[""], "500 5.5.2 Command expected"),
    (&["NOOP a\rb"], "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing"),
    (&["NOOP a\nNOOP"], "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing"),
    (&["GET / HTTP/1.1"], "521 5.5.1 This is an SMTP server; closing"),
    (&["BDAT x"], "521 5.5.4 Syntax: BDAT octets [LAST]; closing"),
    (&["BDAT 6\r\nQUIT", "RSET", "BDAT 0 LAST"], "503 5.5.1 Send MAIL first"),
    (&["MAIL FROM:<>", "BDAT 6 LAST\r\nQUIT"], "554 5.5.1 No valid recipients"),
    (
        &["MAIL FROM:<>", "RCPT TO:<a@one.test>", "BDAT 3\r\na", "DATA"],
        "503 5.5.1 A message is under way by BDAT; end it by LAST or RSET",
    ),
];

const BARE: &str = "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing";
const TAKEN: &str = "250 2.0.0 queued as ";

/// A text, and the reply to it by DATA and by BDAT. NUL, lines of any length and octets above 127 pass, as in Postfix.
fn texts() -> Vec<(Vec<u8>, &'static str)> {
    let hop = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n";
    vec![
        (b"a\nb\r\n".to_vec(), BARE),
        (b"a\rb\r\n".to_vec(), BARE),
        (b"a\r\r\n".to_vec(), BARE),
        (b"a\n.\nb\r\n".to_vec(), BARE),
        (b"a\r\n.\nb\r\n".to_vec(), BARE),
        (b"a\n.\r\nb\r\n".to_vec(), BARE),
        (b"a\r.\rb\r\n".to_vec(), BARE),
        (b"a\0b\r\n".to_vec(), TAKEN),
        ([b"x".repeat(100_000), b"\r\n".to_vec()].concat(), TAKEN),
        (b"caf\xe9\r\n".to_vec(), TAKEN),
        // The relay adds its own, and the sink counts as the relay does.
        (hop.repeat(99), TAKEN),
        (hop.repeat(101), "554 5.4.6 Too many hops: 101 Received lines"),
    ]
}

#[test]
fn bad_commands_get_the_reply_that_says_what_is_wrong() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    for (lines, reply) in COMMANDS {
        let mut one_by_one = Dialogue::open(relay.smtp);
        let last = lines.iter().map(|line| one_by_one.say(line)).last();
        assert_eq!(last.as_deref(), Some(reply), "{lines:?} line by line");
        let mut pipelined = Dialogue::open(relay.smtp);
        let whole: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        pipelined.send(whole.as_bytes());
        let replies: Vec<String> = lines.iter().map(|_| pipelined.reply()).collect();
        assert_eq!(replies.last().map(String::as_str), Some(reply), "{lines:?} pipelined");
        if reply.starts_with("521") {
            assert!(pipelined.is_closed(), "{lines:?}: the session goes on");
        } else {
            pipelined.expect("NOOP", "250");
        }
    }
    assert_eq!(sink.count(), 0);
}

#[test]
fn bad_texts_get_the_same_reply_by_data_and_by_bdat_in_one_piece_and_in_many() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut taken = 0;
    for (text, expected) in texts() {
        let envelope = b"MAIL FROM:<shop@example.org>\r\nRCPT TO:<a@one.test>\r\n".to_vec();
        let data = [&envelope[..], b"DATA\r\n", &text, b".\r\n"].concat();
        let bdat = [&envelope[..], format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat();
        for (wire, replies) in [(data, 4), (bdat, 3)] {
            for piece in [wire.len(), 17_000.min(wire.len() / 3)] {
                let mut client = Dialogue::open(relay.smtp);
                for part in wire.chunks(piece) {
                    // A server that has refused may have gone already.
                    if client.try_send(part).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(u64::from(piece < wire.len())));
                }
                let last = (0..replies).map(|_| client.reply()).last().unwrap_or_default();
                let shown = text.get(..40).unwrap_or(&text).escape_ascii();
                assert!(last.starts_with(expected), "{shown} in pieces of {piece} is answered {last:?}");
                taken += usize::from(expected == TAKEN);
            }
        }
    }
    let arrived = sink.await_messages(taken, PATIENCE);
    relay.await_empty();
    let originals: Vec<Vec<u8>> =
        texts().into_iter().filter(|(_, reply)| *reply == TAKEN).map(|(text, _)| text).collect();
    for message in arrived {
        let text = mail::without_trace(&message.octets);
        assert!(originals.iter().any(|original| mail::without_trace(original) == text), "{}", text.escape_ascii());
    }
}
