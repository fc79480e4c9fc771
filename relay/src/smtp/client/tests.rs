mod auth;
mod extensions;
mod failures;
mod host;
mod start_tls;
mod with_server;

use super::*;
use crate::smtp::envelope::Recipient;
use host::{Host, Line::*};

const EHLO: &str = "250-h.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n";
const PLAIN: &str = "250 h.example\r\n";

fn config() -> Arc<Config> {
    Arc::new(Config::new("c.example"))
}

fn envelope(recipients: &[&str]) -> Envelope {
    let mut envelope = Envelope::new("a@a.example".parse().unwrap());
    envelope.recipients = recipients.iter().map(|path| Recipient::new(path.parse().unwrap())).collect();
    envelope
}

fn text() -> WholeBody {
    WholeBody::new(&b"Hi\r\n"[..])
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn stage(&mut self, stage: Stage) {
        self.0.push(format!("[{stage}]"));
    }
    fn reply(&mut self, reply: &Reply) {
        self.0.push(format!("< {reply}"));
    }
    fn command(&mut self, line: &str) {
        self.0.push(format!("> {line}"));
    }
}

fn codes(outcome: &Outcome, recipients: usize) -> Vec<(Stage, u16)> {
    outcome
        .verdicts(recipients)
        .enumerate()
        .map(|(index, verdict)| {
            assert_eq!(verdict.recipient, index);
            (verdict.stage, verdict.reply.code())
        })
        .collect()
}

#[tokio::test]
async fn a_probe_asks_for_the_transaction_and_sends_no_text() {
    for (replies, refused) in [
        ("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n", None),
        ("250 2.1.0 Ok\r\n550 5.1.1 nobody\r\n", Some((Stage::RcptTo, 550))),
        ("451 4.7.1 later\r\n503 5.5.1 what\r\n", Some((Stage::MailFrom, 451))),
    ] {
        let host = Host::start(vec![
            Say("220 h.example ESMTP\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(EHLO),
            Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n"),
            Say(replies),
            Expect("RSET\r\n"),
            Say("250 2.0.0 Ok\r\n"),
            Expect("QUIT\r\n"),
            Say("221 Bye\r\n"),
            ExpectEnd,
        ]);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let outcome = client.probe(&envelope(&["b@b.example"])).await.unwrap();
        assert_eq!(outcome.map(|outcome| (outcome.stage, outcome.reply.code())), refused);
        client.quit().await.unwrap();
        host.done().await;
    }
}

#[tokio::test]
async fn a_pipelined_message_is_two_writes_and_the_connection_serves_the_next() {
    let host = Host::start(vec![
        Say("220 h.example ESMTP\r\n"),
        Expect("EHLO c.example\r\n"),
        Say(EHLO),
        Expect("MAIL FROM:<a@a.example> SIZE=4\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 2.0.0 queued as 1\r\n"),
        Expect("MAIL FROM:<a@a.example> SIZE=4\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 2.0.0 queued as 2\r\n"),
        Expect("QUIT\r\n"),
        Say("221 Bye\r\n"),
        ExpectEnd,
    ]);
    let (stream, writes) = host.counted_stream();
    let mut client = Client::start(stream, config(), Notes::default()).await.unwrap();
    assert_eq!(client.banner().text(), "h.example ESMTP");
    let expected = Capabilities {
        pipelining: true,
        size: Some(1000),
        eight_bit_mime: true,
        enhanced_status_codes: true,
        ..Capabilities::default()
    };
    assert_eq!(client.capabilities(), &expected);
    let envelope = Envelope { size: Some(4), ..envelope(&["b@b.example"]) };
    for number in 1..=2 {
        let before = writes.get();
        let outcome = client.send(&envelope, &mut text()).await.unwrap();
        assert_eq!(outcome.stage, Stage::Reply);
        assert_eq!(outcome.decided_by, DecidedBy::Peer);
        assert_eq!(outcome.reply.text(), format!("queued as {number}"));
        assert!(client.is_usable());
        assert_eq!(writes.get() - before, 2, "writes for one message");
    }
    let notes = std::mem::take(&mut client.observer_mut().0);
    client.quit().await.unwrap();
    host.done().await;
    let expected = [
        "[Banner]",
        "< 220 h.example ESMTP",
        "[Ehlo]",
        "> EHLO c.example",
        "< 250 h.example / PIPELINING / SIZE 1000 / 8BITMIME / ENHANCEDSTATUSCODES",
        "[Idle]",
        "> MAIL FROM:<a@a.example> SIZE=4",
        "> RCPT TO:<b@b.example>",
        "> DATA",
        "[MailFrom]",
        "< 250 2.1.0 Ok",
        "[RcptTo]",
        "< 250 2.1.5 Ok",
        "[Data]",
        "< 354 go",
        "[Body]",
        "[Reply]",
        "< 250 2.0.0 queued as 1",
        "[Idle]",
    ];
    assert_eq!(notes[..expected.len()], expected);
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_its_reply() {
    let host = Host::start(vec![
        Say("220 h.example\r\n"),
        Expect("EHLO c.example\r\n"),
        Say(PLAIN),
        Expect("MAIL FROM:<a@a.example>\r\n"),
        Say("250 Ok\r\n"),
        Expect("RCPT TO:<b@b.example>\r\n"),
        Say("550 5.1.1 unknown\r\n"),
        Expect("RCPT TO:<postmaster>\r\n"),
        Say("250 Ok\r\n"),
        Expect("DATA\r\n"),
        Say("354 go\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 Ok\r\n"),
        // All refused: no DATA at all, and RSET by itself.
        Expect("MAIL FROM:<a@a.example>\r\n"),
        Say("250 Ok\r\n"),
        Expect("RCPT TO:<b@b.example>\r\n"),
        Say("450 later\r\n"),
        Expect("RSET\r\n"),
        Say("250 Ok\r\n"),
        Expect("MAIL FROM:<a@a.example>\r\n"),
        Say("553 no\r\n"),
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let two = envelope(&["b@b.example", "postmaster"]);
    let outcome = client.send(&two, &mut text()).await.unwrap();
    assert_eq!(codes(&outcome, 2), [(Stage::RcptTo, 550), (Stage::Reply, 250)]);
    let one = envelope(&["b@b.example"]);
    let outcome = client.send(&one, &mut text()).await.unwrap();
    assert_eq!(codes(&outcome, 1), [(Stage::RcptTo, 450)]);
    let outcome = client.send(&one, &mut text()).await.unwrap();
    assert_eq!(codes(&outcome, 1), [(Stage::MailFrom, 553)]);
    assert!(client.is_usable());
    host.done().await;
}

#[tokio::test]
async fn each_recipient_has_its_own_verdict() {
    const THREE: &str = "MAIL FROM:<a@a.example>\r\nRCPT TO:<x@b.example>\r\nRCPT TO:<y@b.example>\r\nRCPT TO:<z@b.example>\r\nDATA\r\n";
    use Stage::{Data, MailFrom, RcptTo, Reply};
    // replies to the flight; what the client sends then; the reply to that; the verdicts; whether RSET goes before the next MAIL
    type Row = (&'static str, &'static str, &'static str, [(Stage, u16); 3], bool);
    let rows: [Row; 9] = [
        (
            "250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 e\r\n",
            "Hi\r\n.\r\n",
            "250 f\r\n",
            [(Reply, 250), (RcptTo, 550), (Reply, 250)],
            false,
        ),
        (
            "250 a\r\n450 b\r\n250 c\r\n571 d\r\n354 e\r\n",
            "Hi\r\n.\r\n",
            "554 f\r\n",
            [(RcptTo, 450), (Reply, 554), (RcptTo, 571)],
            true,
        ),
        (
            "250\r\n251\r\n252\r\n250\r\n354\r\n",
            "Hi\r\n.\r\n",
            "250\r\n",
            [(Reply, 250), (Reply, 250), (Reply, 250)],
            false,
        ),
        ("250 a\r\n550 b\r\n551 c\r\n450 d\r\n554 e\r\n", "", "", [(RcptTo, 550), (RcptTo, 551), (RcptTo, 450)], true),
        // DATA accepted without recipients: a lone dot, whose answer counts for nobody (RFC 2920 section 3.1).
        (
            "250 a\r\n550 b\r\n551 c\r\n450 d\r\n354 e\r\n",
            ".\r\n",
            "250 f\r\n",
            [(RcptTo, 550), (RcptTo, 551), (RcptTo, 450)],
            true,
        ),
        (
            "550 5.7.1 a\r\n503 b\r\n503 c\r\n503 d\r\n503 e\r\n",
            "",
            "",
            [(MailFrom, 550), (MailFrom, 550), (MailFrom, 550)],
            true,
        ),
        (
            "451 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n",
            ".\r\n",
            "554 f\r\n",
            [(MailFrom, 451), (MailFrom, 451), (MailFrom, 451)],
            true,
        ),
        ("250 a\r\n250 b\r\n550 c\r\n250 d\r\n451 e\r\n", "", "", [(Data, 451), (RcptTo, 550), (Data, 451)], true),
        (
            "250-a\r\n250 a\r\n250-b\r\n250-b\r\n250 b\r\n250 c\n250 d\r\n354-e\r\n354 e\r\n",
            "Hi\r\n.\r\n",
            "299-f\r\n299 f\r\n",
            [(Reply, 299), (Reply, 299), (Reply, 299)],
            false,
        ),
    ];
    for (replies, then, answer, verdicts, reset) in rows {
        let again: String = if reset { format!("RSET\r\n{THREE}") } else { THREE.into() };
        let host = Host::start(vec![
            Say("220 h.example\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(EHLO),
            Expect(THREE),
            Say(replies),
            Expect(then),
            Say(answer),
            ExpectOwned(again),
            Say(if reset { "250 reset\r\n" } else { "" }),
            Say("250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n"),
            Expect("Hi\r\n.\r\n"),
            Say("250 f\r\n"),
        ]);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let three = envelope(&["x@b.example", "y@b.example", "z@b.example"]);
        let outcome = client.send(&three, &mut text()).await.unwrap();
        assert_eq!(codes(&outcome, 3), verdicts, "{replies}");
        let outcome = client.send(&three, &mut text()).await.unwrap();
        assert_eq!(codes(&outcome, 3), [(Reply, 250); 3], "the next message after {replies}");
        host.done().await;
    }
}

#[tokio::test]
async fn helo_follows_where_ehlo_is_not_known() {
    let host = Host::start(vec![
        Say("220 h.example\r\n"),
        Expect("EHLO c.example\r\n"),
        Say("502 what?\r\n"),
        Expect("HELO c.example\r\n"),
        Say("250-h.example\r\n250 PIPELINING\r\n"),
    ]);
    let client = Client::start(host.stream(), config(), ()).await.unwrap();
    assert_eq!(client.capabilities(), &Capabilities::default());
    host.done().await;
}

#[tokio::test]
async fn capabilities_are_read_in_any_case_and_order() {
    for (reply, size, pipelining) in [
        ("250 h.example\r\n", None, false),
        ("250-h.example\r\n250-size\r\n250 pipelining\r\n", Some(0), true),
        ("250-PIPELINING\r\n250 SIZE 10\r\n", Some(10), false),
        ("250-h\r\n250-SIZE  77 x\r\n250-\r\n250 Pipelining\r\n", Some(77), true),
        ("250-h\r\n250-SIZE big\r\n250 XPIPELINING\r\n", Some(0), false),
    ] {
        let host = Host::start(vec![Say("220 h\r\n"), Expect("EHLO c.example\r\n"), Say(reply)]);
        let client = Client::start(host.stream(), config(), ()).await.unwrap();
        assert_eq!(client.capabilities().size, size, "{reply}");
        assert_eq!(client.capabilities().pipelining, pipelining, "{reply}");
    }
}

#[tokio::test]
async fn what_the_host_announced_that_it_cannot_take_is_not_sent() {
    let host = Host::start(vec![
        Say("220 h\r\n"),
        Expect("EHLO c.example\r\n"),
        Say("250-h\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"),
        Expect("MAIL FROM:<a@a.example> SIZE=1000\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 e\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 f\r\n"),
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let one = envelope(&["b@b.example"]);
    for (envelope, code, enhanced) in [
        (Envelope { body: BodyType::EightBitMime, ..one.clone() }, 554, "5.6.3"),
        (Envelope { size: Some(1001), ..one.clone() }, 552, "5.3.4"),
        (envelope(&[]), 554, "5.5.1"),
    ] {
        let outcome = client.send(&envelope, &mut text()).await.unwrap();
        assert_eq!(outcome.decided_by, DecidedBy::Client);
        assert_eq!(outcome.reply.code(), code);
        assert_eq!(outcome.reply.enhanced_code().unwrap().to_string(), enhanced);
        assert!(client.is_usable());
    }
    let fits = Envelope { size: Some(1000), ..one };
    let outcome = client.send(&fits, &mut text()).await.unwrap();
    assert_eq!(outcome.decided_by, DecidedBy::Peer);
    host.done().await;
}

#[tokio::test]
async fn body_8bitmime_is_said_where_it_is_offered() {
    let host = Host::start(vec![
        Say("220 h\r\n"),
        Expect("EHLO c.example\r\n"),
        Say("250-h\r\n250 8BITMIME\r\n"),
        Expect("MAIL FROM:<> BODY=8BITMIME\r\n"),
        Say("550 no\r\n"),
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let envelope = Envelope {
        from: "".parse().unwrap(),
        body: BodyType::EightBitMime,
        size: Some(4),
        ..envelope(&["b@b.example"])
    };
    client.send(&envelope, &mut text()).await.unwrap();
    host.done().await;
}
