//! An application that says one thing at a time has each message cost its sidecar two round trips to the gateway, and what it is told and what
//! arrives is what it would be at the gateway itself.

use std::collections::BTreeMap;

use mailsluice_crds::relay::{Role, TlsMode};
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    mail,
    record::Record,
    relay::PATIENCE,
    sidecar::Sidecar,
    wait,
};

use super::sidecar_hands_mail_to_its_gateway::{FROM, Gateway};

/// The largest text that the sidecar gathers.
const GATHERED: usize = 64 << 10;

/// Begins a message, one step at a time, up to its text.
fn begin(client: &mut Dialogue, to: &str) {
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250 2.1.0 ");
    client.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5 ");
    client.expect("DATA", "354 ");
}

/// Sends a text, whose message must be taken.
fn end(client: &mut Dialogue, text: &[u8]) {
    client.send(&stuffed(text));
    let reply = client.reply();
    assert!(reply.starts_with("250 2.0.0 queued as "), "{reply}");
}

/// A text of so many octets, at least two, with lines that begin with dots.
fn text_of(size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size);
    while text.len() < size {
        // No line is of a CR or LF alone.
        let left = size - text.len();
        let length = if left > 66 { 64 } else { left };
        let dots = (text.len() / 64 % 3).min(length - 2);
        text.extend(std::iter::repeat_n(b'.', dots));
        text.extend(std::iter::repeat_n(b'x', length - 2 - dots));
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// Ends the session; how often the gateway was waited for on its behalf. `ended`: how many sessions have ended by then.
fn round_trips(mut client: Dialogue, sidecar: &Sidecar, ended: usize) -> usize {
    client.expect("QUIT", "221");
    let records = wait::until_some(PATIENCE, "the end of the session", || {
        let records = sidecar.records();
        let over = records.iter().filter(|record| record.msg == "the session is over").count();
        (over == ended).then_some(records)
    });
    let last = records.iter().rfind(|record| record.msg == "the session is over").expect("a session");
    let of_gateway = |record: &&Record| record.tag == "SMTP" && record.field("session") == last.field("session");
    let said: Vec<&str> = records.iter().filter(of_gateway).map(|record| record.msg.as_str()).collect();
    // Behind a 354 the text is sent, of which no log has anything.
    let sent = |line: &str| line.starts_with("> ") || line.starts_with("< 354 ");
    said.windows(2).filter(|pair| sent(pair[0]) && pair[1].starts_with("< ")).count()
}

#[test]
fn a_message_costs_two_round_trips_however_the_application_sends_it() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let text = mail::text("counted");

    let mut client = Dialogue::open(sidecar.smtp);
    for _ in 0..3 {
        begin(&mut client, "a@one.test");
        end(&mut client, &text);
    }
    assert_eq!(round_trips(client, &sidecar, 1), 3 * 2, "one step at a time, by DATA");

    let chunk = [format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat();
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.send(&chunk);
    assert!(client.reply().starts_with("250 2.0.0 queued as "));
    assert_eq!(round_trips(client, &sidecar, 2), 2, "one step at a time, by BDAT");

    let commands = format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<b@one.test>\r\n");
    let by_data = [commands.as_bytes(), b"DATA\r\n", &stuffed(&text)].concat();
    let by_chunk = [commands.as_bytes(), &chunk].concat();
    for (all, ended) in [(by_data, 3), (by_chunk, 4)] {
        let mut client = Dialogue::open(sidecar.smtp);
        client.send(&all);
        let wanted = ["250 2.1.0 ", "250 2.1.5 ", "250 2.1.5 ", "354 ", "250 2.0.0 queued as "];
        for start in wanted.into_iter().filter(|start| ended == 3 || *start != "354 ") {
            let reply = client.reply();
            assert!(reply.starts_with(start), "{reply:?} and not {start}");
        }
        assert_eq!(round_trips(client, &sidecar, ended), 2, "all at once");
    }
    let arrived = gateway.sink.await_messages(6, PATIENCE);
    assert!(arrived.iter().all(|message| message.text() == text));
    assert_eq!((sidecar.metric("mailsluice_messages_accepted_total"), gateway.taken()), (6.0, 6.0));
}

#[test]
fn a_mail_that_the_gateway_refuses_is_told_to_each_recipient_in_its_own_words() {
    // A port for submission wants complete domains, and says so at MAIL.
    let gateway = Gateway::start_with(TlsMode::StartTls, |manifest| {
        manifest.role = Some(Role::Submission);
        manifest.relay.clients[0].senders.clear();
    });
    let sidecar = gateway.sidecar(&[]);
    let refused = gateway.direct().say("MAIL FROM:<shop@intranet>");
    assert!(refused.starts_with("554 5.1.8 "), "{refused}");
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect("MAIL FROM:<shop@intranet>", "250 2.1.0 ");
    for line in ["RCPT TO:<a@one.test>", "RCPT TO:<b@one.test>", "DATA"] {
        assert_eq!(client.say(line), refused, "{line}");
    }
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<shop@intranet>", "250 2.1.0 ");
    assert_eq!(client.say("DATA"), refused);
    client.expect("RSET", "250");
    // All at once, there is nobody to be told ahead.
    client.send(b"MAIL FROM:<shop@intranet>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    assert_eq!(client.reply(), refused);
    assert!(client.reply().starts_with("503 "));
    assert!(client.reply().starts_with("503 "));
    begin(&mut client, "a@one.test");
    end(&mut client, &mail::text("complete"));
    assert_eq!(gateway.sink.await_messages(1, PATIENCE)[0].subject(), "complete");
    assert_eq!((gateway.taken(), sidecar.metric("mailsluice_messages_accepted_total")), (1.0, 1.0));
    assert_eq!(sidecar.metric("mailsluice_smtp_refusals_total{code=\"554\"}"), 3.0);
    let told = |record: &Record| record.msg.starts_with("refused: 554") && record.field("recipient").is_some();
    let record = wait::until_some(PATIENCE, "the refusal is written down", || sidecar.records().into_iter().find(told));
    assert_eq!(record.field("sender").as_deref(), Some("shop@intranet"), "{record:?}");
}

#[test]
fn a_text_arrives_octet_by_octet_by_data_and_by_chunks() {
    // Without senders nothing is read in a header.
    let gateway = Gateway::start_with(TlsMode::StartTls, |manifest| manifest.relay.clients[0].senders.clear());
    let sidecar = gateway.sidecar(&[]);
    let mut texts: Vec<Vec<u8>> = [
        &b""[..],
        b"\r\n",
        b".\r\n",
        b"..\r\n",
        b"\r\n.\r\n..\r\n...x\r\n\r\n",
        b"\0\r\n\xff\xfe\r\n",
        b"Subject: x\r\n\r\n\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let larger = [GATHERED + 1, 5 << 20];
    texts.extend([GATHERED - 1, GATHERED].into_iter().chain(larger).map(text_of));
    let mut sent = BTreeMap::new();
    let mut client = Dialogue::open(sidecar.smtp);
    for (number, text) in texts.iter().enumerate() {
        let to = format!("data{number}@one.test");
        begin(&mut client, &to);
        end(&mut client, text);
        sent.insert(to, text);
        let to = format!("chunk{number}@one.test");
        client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
        client.expect(&format!("RCPT TO:<{to}>"), "250");
        client.send(format!("BDAT {} LAST\r\n", text.len()).as_bytes());
        client.send(text);
        assert!(client.reply().starts_with("250 2.0.0 queued as "));
        sent.insert(to, text);
    }
    assert_eq!(round_trips(client, &sidecar, 1), 4 * texts.len() + larger.len(), "a larger text costs one more");
    let arrived = gateway.sink.await_messages(sent.len(), PATIENCE);
    for message in &arrived {
        let to = &message.envelope.recipients[0];
        assert!(message.text() == sent[to].as_slice(), "to {to}: {} octets", message.text().len());
    }
    assert_eq!(arrived.len(), sent.len());
    let octets: usize = sent.values().map(|text| text.len()).sum();
    assert_eq!(sidecar.metric("mailsluice_messages_accepted_bytes_total"), octets as f64);
}

#[test]
fn what_could_smuggle_is_refused_as_by_the_gateway_itself() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let large = text_of(GATHERED + 100);
    for outer in [&b"Subject: outer\r\n\r\ntext"[..], &large] {
        for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n.\r\r\n", "\r\r\n.\n"] {
            let text = [outer, end.as_bytes(), b"MAIL FROM:<evil@example.org>\r\n"].concat();
            let chunk = [format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat();
            let data = [&text[..], b".\r\n"].concat();
            let refused = |mut client: Dialogue, first: &str, rest: &[u8]| {
                client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
                client.expect("RCPT TO:<a@one.test>", "250");
                if !first.is_empty() {
                    client.expect(first, "354");
                }
                client.send(rest);
                let reply = client.reply();
                assert!(client.is_closed(), "{end:?}: the session goes on");
                reply
            };
            let replies = [
                refused(gateway.direct(), "DATA", &data),
                refused(Dialogue::open(sidecar.smtp), "DATA", &data),
                refused(gateway.direct(), "", &chunk),
                refused(Dialogue::open(sidecar.smtp), "", &chunk),
            ];
            assert!(replies[0].starts_with("521 5.5.2 "), "{end:?} is answered {}", replies[0]);
            assert!(replies.iter().all(|reply| *reply == replies[0]), "{end:?} is answered {replies:?}");
        }
    }
    begin_and_end(&sidecar, "after it");
    assert_eq!(gateway.sink.await_messages(1, PATIENCE)[0].subject(), "after it");
    gateway.relay.await_empty();
    assert_eq!((gateway.taken(), gateway.sink.count()), (1.0, 1));
}

fn begin_and_end(sidecar: &Sidecar, subject: &str) {
    let mut client = Dialogue::open(sidecar.smtp);
    begin(&mut client, "a@one.test");
    end(&mut client, &mail::text(subject));
}

#[test]
fn a_gateway_that_is_lost_before_it_has_the_text_costs_the_application_nothing() {
    let mut gateway = Gateway::start();
    let sidecar = gateway.sidecar(&["--wait", "20"]);
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    // The gateway has not been told of it, so that nothing begins again.
    gateway.relay.terminate();
    gateway.relay.restart();
    client.expect("RCPT TO:<a@one.test>", "250 2.1.5 ");
    assert_eq!(sidecar.metric("mailsluice_sidecar_resumed_total"), 0.0);
    client.expect("DATA", "354");
    let wire = stuffed(&mail::text("killed"));
    let (half, rest) = wire.split_at(wire.len() / 2);
    client.send(half);
    gateway.relay.kill();
    gateway.relay.restart();
    client.send(rest);
    let reply = client.reply();
    assert!(reply.starts_with("250 2.0.0 queued as "), "{reply}");
    assert_eq!(sidecar.metric("mailsluice_sidecar_resumed_total"), 1.0);
    gateway.relay.await_empty();
    begin(&mut client, "a@one.test");
    gateway.relay.terminate();
    gateway.relay.restart();
    end(&mut client, &mail::text("stopped"));
    assert_eq!(sidecar.metric("mailsluice_sidecar_resumed_total"), 2.0);
    let arrived = gateway.sink.await_by_subject(2, PATIENCE);
    for (message, subject) in arrived.iter().zip(["killed", "stopped"]) {
        assert_eq!(message.text(), mail::text(subject));
    }
    gateway.relay.await_empty();
    assert_eq!((gateway.sink.count(), sidecar.metric("mailsluice_sidecar_unanswered_total")), (2, 0.0));
}
