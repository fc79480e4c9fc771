//! A load balancer or a filter does not hide the client: its word is taken where it is listed, and nobody else's is.

use mailsluice_crds::relay::{Client, ClientLimits, Trusted};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4242 25\r\n";

/// Version 2, for 192.0.2.7 port 4242.
fn v2() -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 7, 192, 0, 2, 1, 0x10, 0x92, 0, 25]].concat()
}

fn trusted() -> Option<Trusted> {
    Some(Trusted { networks: vec!["127.0.0.1/32".into()] })
}

/// A relay for the clients 192.0.2.0/24 alone.
fn manifest(sink: &Sink) -> Manifest {
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = vec![Client { networks: vec!["192.0.2.0/24".into()], ..Client::default() }];
    manifest
}

#[test]
fn a_load_balancers_header_says_who_the_client_is() {
    let sink = Sink::start();
    let mut manifest = manifest(&sink);
    manifest.proxy_protocol = trusted();
    manifest.relay.limits.per_client = ClientLimits { connections: Some(1), ..ClientLimits::default() };
    let relay = Relay::start(&manifest);
    for (number, header) in (1..).zip([V1.to_vec(), v2()]) {
        // In one piece with what the client says first, and octet by octet.
        for pieces in [header.len() + 100, 1] {
            // The place of the connection before may not be free yet.
            let mut client = wait::until_some(PATIENCE, "a place for the client", || {
                let mut client = Dialogue::connect(relay.smtp).expect("connect");
                for piece in [&header[..], b"EHLO client.test\r\n"].concat().chunks(pieces) {
                    client.try_send(piece).ok()?;
                }
                client.try_reply().is_ok_and(|reply| reply.starts_with("220 ")).then_some(client)
            });
            assert!(client.reply().starts_with("250-"));
            // The one connection that the client may have.
            let mut second = Dialogue::connect(relay.smtp).expect("connect");
            second.send(&header);
            assert_eq!(
                second.reply(),
                "421 4.7.0 192.0.2.7 may have 1 connections open; try again when one of them has ended"
            );
            client.message("shop@example.org", &["a@one.test"], &mail::text("from behind"));
            client.expect("QUIT", "221");
            assert!(client.is_closed());
        }
        let messages = sink.await_messages(2 * number, PATIENCE);
        let text = String::from_utf8_lossy(&messages.last().expect("a message").octets).into_owned();
        assert!(text.contains("Received: from client.test ([192.0.2.7])\r\n"), "{text}");
    }
    let record = relay.await_record("the client", |record| record.msg == "accepted");
    assert_eq!(record.field("client").as_deref(), Some("192.0.2.7:4242"));
    assert!(record.field("via").is_some_and(|via| via.starts_with("127.0.0.1:")), "{record:?}");
    // A health check is the load balancer's own, and is nobody's client.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = Dialogue::connect(relay.smtp).expect("connect");
        client.send(header);
        assert!(client.reply().starts_with("220 "));
        client.expect("EHLO balancer.test", "250");
        client.expect("MAIL FROM:<>", "250");
        client.expect("RCPT TO:<a@one.test>", "550 5.7.1 relaying denied: 127.0.0.1 is not listed");
    }
    // And without a header, or with a bad one, there is no session.
    for header in [&b"EHLO client.test\r\n"[..], b"PROXY TCP4 192.0.2.7\r\n", b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\0"] {
        let mut client = Dialogue::connect(relay.smtp).expect("connect");
        client.send(header);
        assert!(client.is_closed(), "{}", header.escape_ascii());
    }
    let headers = |result: &str| relay.metric(&format!("mailsluice_proxy_headers_total{{result=\"{result}\"}}"));
    assert!(headers("client") >= 8.0);
    assert_eq!(["local", "refused"].map(headers), [2.0, 3.0]);
    let reached = "mailsluice_client_limits_reached_total{limit=\"connections\",scope=\"client\"}";
    assert!(relay.metric(reached) >= 4.0);
}

#[test]
fn a_header_from_anybody_else_is_no_smtp() {
    let sink = Sink::start();
    let mut manifest = manifest(&sink);
    // Somebody else is believed.
    manifest.proxy_protocol = Some(Trusted { networks: vec!["127.0.0.2/32".into()] });
    let relay = Relay::start(&manifest);
    for header in [V1.to_vec(), v2()] {
        let mut client = Dialogue::connect(relay.smtp).expect("connect");
        assert!(client.reply().starts_with("220 "), "a client of its own needs no header");
        client.send(&header);
        let replies: Vec<String> = std::iter::from_fn(|| client.try_reply().ok()).collect();
        assert_eq!(
            replies.last().map(String::as_str),
            Some("521 5.5.1 This is an SMTP server; closing"),
            "{replies:?}"
        );
    }
}

#[test]
fn xclient_is_believed_from_those_who_are_listed_and_begins_the_session_anew() {
    let sink = Sink::start();
    let mut manifest = manifest(&sink);
    manifest.xclient = trusted();
    manifest.relay.limits.per_client.rates.messages_per_minute = Some(1);
    let relay = Relay::start(&manifest);
    let mut filter = Dialogue::open(relay.smtp);
    assert!(filter.say("EHLO filter.test").contains("XCLIENT NAME ADDR PORT PROTO HELO LOGIN"));
    filter.expect("MAIL FROM:<shop@example.org>", "250");
    filter.expect("RCPT TO:<a@one.test>", "550 5.7.1 relaying denied: 127.0.0.1");
    filter.expect("XCLIENT ADDR=192.0.2.7", "503 5.5.1 ");
    filter.expect("RSET", "250");
    let said = "XCLIENT NAME=shop.test ADDR=192.0.2.7 PORT=4242 PROTO=ESMTP HELO=spike LOGIN=shop";
    filter.expect(said, "220 ");
    filter.expect("EHLO shop", "250");
    filter.message("shop@example.org", &["a@one.test"], &mail::text("told"));
    let text = String::from_utf8_lossy(&sink.await_messages(1, PATIENCE)[0].octets).into_owned();
    assert!(text.contains("Received: from shop (shop.test [192.0.2.7])\r\n"), "{text}");
    let record = relay.await_record("the message", |record| record.msg == "accepted");
    assert_eq!(record.field("client").as_deref(), Some("192.0.2.7:4242"));
    assert_eq!(record.field("login").as_deref(), Some("shop"));
    // The limits are the client's, and what is told of one is not known of the next.
    let refused = filter.expect("MAIL FROM:<shop@example.org>", "451 4.7.1 192.0.2.7 may begin 1 messages a minute; ");
    assert!(refused.contains("; try again in ") && refused.ends_with(" seconds"), "{refused}");
    filter.expect("XCLIENT ADDR=192.0.2.8", "220 ");
    filter.expect("EHLO other", "250");
    filter.message("shop@example.org", &["a@one.test"], &mail::text("the next"));
    let text = String::from_utf8_lossy(&sink.await_messages(2, PATIENCE)[1].octets).into_owned();
    assert!(text.contains("Received: from other ([192.0.2.8])\r\n"), "{text}");
    filter.expect("XCLIENT ADDR=198.51.100.1", "220 ");
    filter.expect("EHLO stranger", "250");
    filter.expect("MAIL FROM:<shop@example.org>", "250");
    filter.expect("RCPT TO:<a@one.test>", "550 5.7.1 relaying denied: 198.51.100.1");

    manifest.xclient = None;
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    let mut other = Dialogue::open(relay.smtp);
    assert!(!other.say("EHLO other.test").contains("XCLIENT"));
    other.expect("XCLIENT ADDR=192.0.2.7", "550 5.7.0 ");
}
