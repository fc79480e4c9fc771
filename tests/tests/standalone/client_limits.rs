//! A client takes no more than it may: it is told when to come again, it is seen, and others are served on.

use std::collections::BTreeMap;

use mailsluice_crds::{
    quantity::ByteSize,
    relay::{Client, ClientLimits, Rates, Trusted},
};
use mailsluice_tests::{dialogue::Dialogue, mail, manifest::Manifest, relay::Relay, sink::Sink};

/// A relay behind a load balancer, so that a test can be any client.
fn relay(sink: &Sink, change: impl FnOnce(&mut Manifest)) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.proxy_protocol = Some(Trusted { networks: vec!["127.0.0.1/32".into()] });
    manifest.relay.clients = vec![Client { networks: vec!["192.0.2.0/24".into()], ..Client::default() }];
    change(&mut manifest);
    Relay::start(&manifest)
}

/// A connection of this client, and what it is greeted with.
fn come(relay: &Relay, client: &str) -> (Dialogue, String) {
    let mut dialogue = Dialogue::connect(relay.smtp).expect("connect");
    dialogue.send(format!("PROXY TCP4 {client} 192.0.2.1 4242 25\r\n").as_bytes());
    let greeting = dialogue.reply();
    (dialogue, greeting)
}

fn open(relay: &Relay, client: &str) -> Dialogue {
    let (mut dialogue, greeting) = come(relay, client);
    assert!(greeting.starts_with("220 "), "{greeting}");
    dialogue.expect("EHLO client.test", "250");
    dialogue
}

/// How often each limit was reached.
fn reached(relay: &Relay) -> BTreeMap<String, f64> {
    let metrics = relay.metrics().into_iter();
    metrics.filter(|(name, value)| name.starts_with("mailsluice_client_limits_reached_total") && *value > 0.0).collect()
}

/// `refused` says all of `start`, and a time of at most a minute after which to come again.
fn assert_told(refused: &str, start: &str) {
    let seconds = refused.strip_prefix(start).and_then(|rest| rest.strip_suffix(" seconds"));
    let seconds: u32 = seconds.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{refused:?}"));
    assert!((1..=60).contains(&seconds), "{refused}");
}

#[test]
fn each_limit_of_a_client_is_told_with_the_time_to_come_again_and_others_are_served_on() {
    let sink = Sink::start();
    let relay = relay(&sink, |manifest| {
        manifest.relay.limits.per_client = ClientLimits {
            connections: None,
            rates: Rates {
                connections_per_minute: Some(3),
                messages_per_minute: Some(4),
                recipients_per_minute: Some(5),
                bytes_per_minute: Some(ByteSize::from_bytes(100_000)),
            },
        };
        let own =
            ClientLimits { connections: Some(1), rates: Rates { messages_per_minute: Some(1), ..Rates::default() } };
        let entry = Client { networks: vec!["192.0.2.99/32".into()], limits: own, ..Client::default() };
        manifest.relay.clients.insert(0, entry);
    });
    let send = |client: &mut Dialogue, text: &[u8]| client.message("shop@example.org", &["a@one.test"], text);

    let mut messages = open(&relay, "192.0.2.1");
    (0..4).for_each(|_| send(&mut messages, &mail::text("small")));
    let refused = messages.say("MAIL FROM:<shop@example.org>");
    assert_told(&refused, "451 4.7.1 192.0.2.1 may begin 4 messages a minute; try again in ");
    let mut recipients = open(&relay, "192.0.2.2");
    recipients.expect("MAIL FROM:<shop@example.org>", "250");
    (0..5).for_each(|_| drop(recipients.expect("RCPT TO:<a@one.test>", "250")));
    let refused = recipients.say("RCPT TO:<a@one.test>");
    assert_told(&refused, "451 4.7.1 192.0.2.2 may name 5 recipients a minute; try again in ");
    let mut bytes = open(&relay, "192.0.2.3");
    send(&mut bytes, &mail::text_of_size("large", 110_000));
    let refused = bytes.say("MAIL FROM:<shop@example.org>");
    assert!(refused.starts_with("451 4.7.1 192.0.2.3 may send 100000 octets a minute; try again in "), "{refused}");

    let (_second, _third) = (open(&relay, "192.0.2.1"), open(&relay, "192.0.2.1"));
    let (mut refused, greeting) = come(&relay, "192.0.2.1");
    assert_told(&greeting, "421 4.7.0 192.0.2.1 may begin 3 connections a minute; try again in ");
    assert!(refused.is_closed());

    // An entry's own limits come first.
    let mut own = open(&relay, "192.0.2.99");
    send(&mut own, &mail::text("the one"));
    own.expect("MAIL FROM:<shop@example.org>", "451 4.7.1 192.0.2.99 may begin 1 messages a minute");
    assert!(come(&relay, "192.0.2.99").1.starts_with("421 4.7.0 192.0.2.99 may have 1 connections open"));

    let mut another = open(&relay, "192.0.2.4");
    send(&mut another, &mail::text("served on"));
    let of_client = |limit: &str, count: f64| {
        (format!("mailsluice_client_limits_reached_total{{limit=\"{limit}\",scope=\"client\"}}"), count)
    };
    assert_eq!(
        reached(&relay),
        BTreeMap::from([
            of_client("bytesPerMinute", 1.0),
            of_client("connections", 1.0),
            of_client("connectionsPerMinute", 1.0),
            of_client("messagesPerMinute", 2.0),
            of_client("recipientsPerMinute", 1.0),
        ])
    );
    let record = relay.await_record("the refusal", |record| record.field("limit").as_deref() == Some("bytesPerMinute"));
    assert_eq!(record.field("client").as_deref(), Some("192.0.2.3:4242"));
}

#[test]
fn what_all_clients_take_together_is_limited_as_well() {
    let sink = Sink::start();
    let relay = relay(&sink, |manifest| {
        manifest.relay.limits.all_clients = Rates { messages_per_minute: Some(2), ..Rates::default() };
    });
    for client in ["192.0.2.1", "192.0.2.2"] {
        open(&relay, client).message("shop@example.org", &["a@one.test"], &mail::text(client));
    }
    let refused = open(&relay, "192.0.2.3").say("MAIL FROM:<shop@example.org>");
    assert_told(&refused, "451 4.7.1 all clients together may begin 2 messages a minute; try again in ");
    let all = "mailsluice_client_limits_reached_total{limit=\"messagesPerMinute\",scope=\"all\"}";
    assert_eq!(reached(&relay), BTreeMap::from([(all.to_owned(), 1.0)]));
}

#[test]
fn no_client_has_more_than_half_of_all_connections_unless_it_is_told_to() {
    let sink = Sink::start();
    let relay = relay(&sink, |manifest| manifest.relay.limits.client_connections = 6);
    let _open: Vec<Dialogue> = (0..3).map(|_| open(&relay, "192.0.2.1")).collect();
    let (_, greeting) = come(&relay, "192.0.2.1");
    assert!(greeting.starts_with("421 4.7.0 192.0.2.1 may have 3 connections open; "), "{greeting}");
    let _others: Vec<Dialogue> = (0..3).map(|_| open(&relay, "192.0.2.2")).collect();
}
