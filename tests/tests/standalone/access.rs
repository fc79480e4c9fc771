//! Nobody may relay who is not listed.

use mailsluice_crds::relay::Client;
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

#[test]
fn clients_and_senders_that_are_not_listed_are_refused_at_rcpt() {
    let sink = Sink::start();
    let list = |networks: &[&str], senders: &[&str]| {
        vec![Client {
            networks: networks.iter().map(|text| (*text).to_owned()).collect(),
            senders: senders.iter().map(|text| (*text).to_owned()).collect(),
            ..Client::default()
        }]
    };
    for (clients, sender, reply) in [
        (Vec::new(), "shop@example.org", "550 5.7.1"),
        (list(&["192.0.2.0/24"], &[]), "shop@example.org", "550 5.7.1"),
        (list(&["127.0.0.1/32"], &[]), "shop@example.org", "250"),
        (list(&["127.0.0.1/32"], &["@example.org"]), "shop@example.org", "250"),
        // Whoever is bound to senders may not avoid that by having none.
        (list(&["127.0.0.1/32"], &["@example.org"]), "", "550 5.7.1"),
        (list(&["127.0.0.1/32"], &["@example.org", "<>"]), "", "250"),
        (list(&["127.0.0.1/32"], &[]), "", "250"),
        (list(&["127.0.0.1/32"], &["@example.org"]), "shop@example.com", "550 5.7.1"),
        (list(&["127.0.0.1/32"], &["orders@example.org"]), "shop@example.org", "550 5.7.1"),
    ] {
        let what = format!("{sender:?} with {clients:?}");
        let mut manifest = Manifest::to(sink.address);
        manifest.relay.clients = clients;
        let relay = Relay::start(&manifest);
        let mut client = Dialogue::open(relay.smtp);
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        let said = client.say("RCPT TO:<a@one.test>");
        assert!(said.starts_with(reply), "{what} is answered {said:?} and not {reply}");
        if reply != "250" {
            client.expect("DATA", "5");
            assert!(relay.metric("mailsluice_smtp_refusals_total{code=\"550\"}") >= 1.0, "{what}");
        }
    }
}

#[test]
fn a_client_that_is_listed_while_it_is_connected_may_relay_from_then_on() {
    let sink = Sink::start();
    let open = Manifest::to(sink.address);
    let mut shut = open.clone();
    shut.relay.clients.clear();
    let relay = Relay::start(&shut);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "550 5.7.1");
    client.expect("RSET", "250");
    relay.rewrite(&open);
    relay.await_reloads(1);
    client.message("shop@example.org", &["a@one.test"], &mail::text("listed now"));
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "listed now");
}
