//! A route says from which address mail leaves and under which envelope sender; the relay, by which name.

use std::{net::SocketAddr, process::Command};

use mailsluice_crds::relay::SourceAddress;
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    network::{self, Neighbour},
    process,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

#[test]
fn mail_leaves_from_the_address_of_its_route_and_waits_while_the_machine_has_none() {
    network::alone(
        "how_mail_leaves::mail_leaves_from_the_address_of_its_route_and_waits_while_the_machine_has_none",
        || {
            let second: SocketAddr = "[fd00::2]:2525".parse().expect("an address");
            for address in ["fd00::2/128", "fd00::9/128"] {
                let _ =
                    process::run(Command::new("/usr/sbin/ip").args(["address", "add", address, "dev", "lo", "nodad"]));
            }
            let four = Sink::start_at(SocketAddr::from(([127, 0, 0, 2], 2525)));
            let six = Sink::start_at(second);
            let source = |ipv4: Option<&str>, ipv6: Option<&str>, interface: Option<&str>| {
                let mut manifest = Manifest::to(four.address).route(&["six.test"], six.address);
                for route in &mut manifest.relay.routes {
                    route.source = Some(SourceAddress {
                        ipv4: ipv4.map(|address| address.parse().expect("an address")),
                        ipv6: ipv6.map(|address| address.parse().expect("an address")),
                        interface: interface.map(str::to_owned),
                    });
                }
                manifest
            };
            let relay = Relay::start(&source(Some("127.0.0.9"), Some("fd00::9"), None));
            let send = |subject: &str| {
                let mut client = Dialogue::open(relay.smtp);
                client.message("shop@example.org", &["a@four.test"], &mail::text(subject));
                client.message("shop@example.org", &["a@six.test"], &mail::text(subject));
            };
            send("from the source");
            let arrived =
                [&four, &six].map(|sink| sink.await_messages(1, PATIENCE)[0].envelope.client.ip().to_string());
            assert_eq!(arrived, ["127.0.0.9", "fd00::9"]);

            // An address that the machine does not have, and an interface that it does not have.
            for (reload, (ipv4, ipv6, interface, says)) in (1..).zip([
                (Some("203.0.113.7"), Some("2001:db8::7"), None, "EADDRNOTAVAIL"),
                (None, None, Some("net1"), "ENODEV"),
                // No source of the family.
                (Some("127.0.0.9"), None, None, "EAFNOSUPPORT"),
            ]) {
                relay.rewrite(&source(ipv4, ipv6, interface));
                relay.await_reloads(reload);
                Dialogue::open(relay.smtp).message("shop@example.org", &["a@six.test"], &mail::text(says));
                let row = wait::until_some(PATIENCE, &format!("{says} in the Monitor"), || {
                    relay
                        .row("[fd00::2]:2525")
                        .filter(|row| row.last_error.as_ref().is_some_and(|error| error.code.name() == says))
                });
                let problem = row.problem.expect("a problem");
                assert!(problem.contains("from the route's source"), "{problem}");
            }
            relay.rewrite(&source(None, None, Some("lo")));
            assert_eq!(six.await_messages(4, PATIENCE).len(), 4);
            relay.await_empty();
        },
    );
}

#[test]
fn mail_leaves_for_another_machine_by_the_interface_and_from_the_address_of_its_route() {
    network::alone(
        "how_mail_leaves::mail_leaves_for_another_machine_by_the_interface_and_from_the_address_of_its_route",
        || {
            let here = ["192.0.2.1/24", "192.0.2.9/24", "fd01::1/64", "fd01::9/64"];
            let far = Neighbour::behind(&here, &["192.0.2.2/24", "fd01::2/64"]);
            let [four, six] = ["192.0.2.2:2525", "[fd01::2]:2525"]
                .map(|address| Sink::start_on(&far, address.parse().expect("an address")));
            let manifest = |source: Option<SourceAddress>| {
                let mut manifest = Manifest::to(four.address).route(&["six.test"], six.address);
                manifest.relay.routes.iter_mut().for_each(|route| route.source = source.clone());
                manifest
            };
            let relay = Relay::start(&manifest(None));
            let from = |ipv4: &str, ipv6: &str| SourceAddress {
                ipv4: Some(ipv4.parse().expect("an address")),
                ipv6: Some(ipv6.parse().expect("an address")),
                interface: None,
            };
            let by = SourceAddress { interface: Some("net1".into()), ..SourceAddress::default() };
            for (reloads, (source, expected)) in [
                (Some(from("192.0.2.9", "fd01::9")), Some(["192.0.2.9", "fd01::9"])),
                (Some(from("192.0.2.1", "fd01::1")), Some(["192.0.2.1", "fd01::1"])),
                // The machine itself says which of the interface's.
                (Some(by), None),
            ]
            .into_iter()
            .enumerate()
            {
                relay.rewrite(&manifest(source));
                relay.await_reloads(reloads + 1);
                let mut client = Dialogue::open(relay.smtp);
                client.message("shop@example.org", &["a@four.test"], &mail::text("four"));
                client.message("shop@example.org", &["a@six.test"], &mail::text("six"));
                let arrived = [&four, &six]
                    .map(|sink| sink.await_messages(reloads + 1, PATIENCE)[reloads].envelope.client.ip().to_string());
                match expected {
                    Some(expected) => assert_eq!(arrived, expected),
                    None => {
                        assert!(here.iter().filter(|one| arrived.iter().any(|ip| one.starts_with(ip))).count() >= 2)
                    }
                }
            }
            relay.await_empty();
        },
    );
}

#[test]
fn the_sender_is_of_the_routes_domain_outside_and_the_relays_own_bounce_finds_the_sender_itself() {
    let sink = Sink::start();
    let refusing = Scripted::start(|line| line.starts_with("RCPT").then(|| "550 5.1.1 nobody of that name".into()));
    let mut manifest = Manifest::to(sink.address).route(&["refusing.test"], refusing.address);
    for route in &mut manifest.relay.routes {
        route.sender_domain = Some("bounces.example".into());
    }
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.message("Shop.Orders@example.org", &["a@one.test"], &mail::text("kept"));
    let kept = sink.await_messages(1, PATIENCE).remove(0);
    assert_eq!(kept.envelope.sender, "Shop.Orders@bounces.example");
    assert_eq!(kept.text(), mail::text("kept"), "the header is left alone");

    client.message("Shop.Orders@example.org", &["a@refusing.test"], &mail::text("returned"));
    let bounce = sink.await_messages(2, PATIENCE).remove(1);
    assert_eq!(bounce.envelope.sender, "", "a bounce has no sender, on this route too");
    assert_eq!(bounce.envelope.recipients, ["Shop.Orders@example.org"]);
    assert!(refusing.heard().iter().any(|line| line.starts_with("MAIL FROM:<Shop.Orders@bounces.example>")));
}

#[test]
fn the_relay_has_the_name_that_it_is_given_and_another_at_once_after_a_change() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.hello = Some("{pod}.mail.example".into());
    let relay = Relay::start(&manifest);
    let machine = process::run(Command::new("uname").arg("-n"));
    let pod = machine.trim().split('.').next().expect("a name");
    let mut client = Dialogue::open(relay.smtp);
    client.expect("EHLO client.test", &format!("250-{pod}.mail.example"));
    client.message("shop@example.org", &["a@one.test"], &mail::text("one"));
    let one = sink.await_messages(1, PATIENCE).remove(0);
    assert_eq!(one.envelope.helo, format!("{pod}.mail.example"));
    assert!(String::from_utf8_lossy(&one.octets).contains(&format!("\r\n\tby {pod}.mail.example with ESMTP id ")));

    manifest.relay.hello = Some("other.example".into());
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("two"));
    let two = sink.await_messages(2, PATIENCE).remove(1);
    assert_eq!(two.envelope.helo, "other.example");
}
