//! Without a smarthost, mail goes to the hosts that its domain names, in their order.

use std::net::SocketAddr;

use mailsluice_crds::{monitor::Reason, relay::Mx};
use mailsluice_tests::{
    dialogue::Dialogue,
    dns::Dns,
    mail,
    manifest::Manifest,
    network,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

/// Port 25 of a loopback address: of a test's own network, since every domain's hosts listen there.
fn host(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 25))
}

const ZONE: &str = "
ordered.test.   IN MX 20 second.hosts.test.
ordered.test.   IN MX 10 first.hosts.test.
failing.test.   IN MX 10 dead.hosts.test.
failing.test.   IN MX 20 second.hosts.test.
null.test.      IN MX 0 .
plain.test.     IN A 127.0.0.3
replies.test.   IN MX 10 third.hosts.test.
example.org.    IN MX 10 first.hosts.test.
first.hosts.test.  IN A 127.0.0.2
second.hosts.test. IN A 127.0.0.3
third.hosts.test.  IN A 127.0.0.4
dead.hosts.test.   IN A 127.0.0.9
";

fn start(dns: &Dns) -> Relay {
    Relay::start_with(&Manifest::by_mx(), &["--resolver", &dns.address.to_string()])
}

#[test]
fn mail_goes_to_the_hosts_that_its_domain_names() {
    network::alone("mx_delivery::mail_goes_to_the_hosts_that_its_domain_names", || {
        let dns = Dns::start(ZONE);
        let (first, second) = (Sink::start_at(host(2)), Sink::start_at(host(3)));
        let relay = start(&dns);
        let mut client = Dialogue::open(relay.smtp);
        let mut expected = [0, 0];
        for (domain, sink) in [("ordered.test", 0), ("failing.test", 1), ("plain.test", 1), ("[127.0.0.2]", 0)] {
            client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
            expected[sink] += 1;
            wait::until_equal(PATIENCE, &format!("messages at each host after {domain}"), expected, || {
                [first.count(), second.count()]
            });
        }
        relay.await_empty();
    });
}

#[test]
fn a_domain_that_takes_no_mail_and_one_that_is_not_there_bounce_at_once() {
    network::alone("mx_delivery::a_domain_that_takes_no_mail_and_one_that_is_not_there_bounce_at_once", || {
        let dns = Dns::start(ZONE);
        let senders = Sink::start_at(host(2));
        let relay = start(&dns);
        let mut client = Dialogue::open(relay.smtp);
        for (count, (domain, status)) in (1..).zip([("null.test", "5.1.10"), ("missing.test", "5.1.2")]) {
            client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
            let bounce = senders.await_messages(count, PATIENCE).pop().unwrap_or_else(|| unreachable!("waited for"));
            let text = String::from_utf8_lossy(&bounce.octets).into_owned();
            assert!(text.contains(&format!("Status: {status}")), "{domain}:\n{text}");
        }
        relay.await_empty();
    });
}

#[test]
fn nobodys_dns_sends_mail_inside_unless_the_route_says_so() {
    network::alone("mx_delivery::nobodys_dns_sends_mail_inside_unless_the_route_says_so", || {
        let dns = Dns::start(ZONE);
        let inside = Sink::start_at(host(3));
        let senders = Sink::start();
        let mut manifest = Manifest::by_mx().route(&["example.org"], senders.address);
        for route in &mut manifest.relay.routes {
            route.mx = route.mx.as_ref().map(|_| Mx::default());
        }
        let relay = Relay::start_with(&manifest, &["--resolver", &dns.address.to_string()]);
        let mut client = Dialogue::open(relay.smtp);
        for (count, to) in (1..).zip(["a@plain.test", "a@[127.0.0.3]"]) {
            client.message("shop@example.org", &[to], &mail::text(to));
            let bounce = senders.await_messages(count, PATIENCE).pop().unwrap_or_else(|| unreachable!("waited for"));
            let text = String::from_utf8_lossy(&bounce.octets).into_owned();
            assert!(text.contains("Status: 5.4.4") && text.contains("privateAddresses"), "{to}:\n{text}");
        }
        assert_eq!(inside.count(), 0);
        relay.await_empty();
    });
}

#[test]
fn each_recipient_has_its_own_reply() {
    network::alone("mx_delivery::each_recipient_has_its_own_reply", || {
        let dns = Dns::start(ZONE);
        let senders = Sink::start_at(host(2));
        let third = Scripted::start_at(host(4), |line| match line {
            "RCPT TO:<full@replies.test>" => Some("452 4.2.2 mailbox full".into()),
            "RCPT TO:<gone@replies.test>" => Some("550 5.1.1 no such user".into()),
            _ => None,
        });
        let relay = start(&dns);
        let to = ["here@replies.test", "full@replies.test", "gone@replies.test"];
        Dialogue::open(relay.smtp).message("shop@example.org", &to, &mail::text("three fates"));
        let bounce = senders.await_messages(1, PATIENCE).remove(0);
        let text = String::from_utf8_lossy(&bounce.octets).into_owned();
        assert!(text.contains("gone@replies.test") && !text.contains("Final-Recipient: rfc822; full@"), "{text}");
        let row = wait::until_some(PATIENCE, "the Monitor shows who was put off", || {
            relay.row("replies.test").filter(|row| row.reason == Some(Reason::MessagesDeferred))
        });
        assert!(row.last_error.is_some_and(|error| error.code.name() == "452 4.2.2"));
        let heard = third.heard();
        assert_eq!(heard.iter().filter(|line| *line == ".").count(), 1, "{heard:?}");
        wait::until_some(PATIENCE, "only the one that was put off is tried again", || {
            let rcpts: Vec<String> = third.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
            (rcpts.len() > 3).then(|| assert!(rcpts[3..].iter().all(|line| line.contains("<full@")), "{rcpts:?}"))
        });
    });
}
