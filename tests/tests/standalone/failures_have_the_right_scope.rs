//! What fails is left alone, and nothing else: an address, not the domain; a domain, not its neighbours; a recipient, not the host.

use std::net::SocketAddr;

use mailsluice_crds::monitor::{HostState, Reason};
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

const ZONE: &str = "
dead.test.  IN MX 10 dead.hosts.test.
dead.test.  IN MX 20 good.hosts.test.
bad.test.   IN MX 10 shared.hosts.test.
good.test.  IN MX 10 shared.hosts.test.
good.hosts.test.   IN A 127.0.0.3
shared.hosts.test. IN A 127.0.0.4
dead.hosts.test.   IN A 127.0.0.9
";

fn host(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 25))
}

fn start(dns: &Dns) -> Relay {
    let mut manifest = Manifest::by_mx();
    // Long enough that nothing is tried again while the test looks.
    manifest.relay.retry.first = mailsluice_crds::quantity::Interval::from_secs(60);
    manifest.relay.retry.longest = mailsluice_crds::quantity::Interval::from_secs(60);
    Relay::start_with(&manifest, &["--resolver", &dns.address.to_string()])
}

#[test]
fn a_421_suspends_the_address_and_the_next_one_takes_the_mail() {
    network::alone("failures_have_the_right_scope::a_421_suspends_the_address_and_the_next_one_takes_the_mail", || {
        for (case, at) in (1_u8..).zip(["the greeting", "EHLO", "MAIL", "RCPT", "DATA"]) {
            let (domain, bad_at) = (format!("two{case}.test"), SocketAddr::from(([127, 0, case, 2], 25)));
            let dns = Dns::start(&format!(
                "{domain}. IN MX 10 bad.{domain}.\n{domain}. IN MX 20 good.{domain}.\n\
                 bad.{domain}. IN A 127.0.{case}.2\ngood.{domain}. IN A 127.0.{case}.3"
            ));
            let bad = Scripted::start_at(bad_at, move |line| {
                let now = if line.is_empty() { at == "the greeting" } else { line.starts_with(at) };
                now.then(|| "421 4.3.2 not now".into())
            });
            let good = Scripted::start_at(([127, 0, case, 3], 25).into(), |line| {
                line.contains("<later@").then(|| "451 4.7.1 greylisted".into())
            });
            let relay = start(&dns);
            let mut client = Dialogue::open(relay.smtp);
            client.message("shop@example.org", &[&format!("first@{domain}")], &mail::text("first"));
            wait::until_equal(PATIENCE, &format!("421 at {at}: the other address has it"), 1, || ends(&good));
            client.message("shop@example.org", &[&format!("second@{domain}")], &mail::text("second"));
            wait::until_equal(PATIENCE, "the second one goes there at once", 2, || ends(&good));
            client.message("shop@example.org", &[&format!("later@{domain}")], &mail::text("later"));
            let row = wait::until_some(PATIENCE, "the Monitor shows the address", || {
                relay.row(&domain).filter(|row| row.reason == Some(Reason::MessagesDeferred))
            });
            let [address] = row.addresses.as_slice() else { panic!("one suspended address: {row:?}") };
            assert_eq!((address.address.clone(), &*address.code.name()), (bad_at.to_string(), "421 4.3.2"), "{row:?}");
            let connections = bad.heard().iter().filter(|line| line.is_empty()).count();
            assert_eq!(connections, 1, "it is left alone: {:?}", bad.heard());
            relay.await_record("the suspension", |record| {
                let text = format!("{record:?}");
                record.marker.as_deref() == Some("TCP(SMTP)")
                    && text.contains(&bad_at.to_string())
                    && text.contains("the address is suspended")
            });
        }
    });
}

#[test]
fn a_refused_connection_costs_the_address_once_and_the_domain_nothing() {
    network::alone(
        "failures_have_the_right_scope::a_refused_connection_costs_the_address_once_and_the_domain_nothing",
        || {
            let dns = Dns::start(ZONE);
            let good = Sink::start_at(host(3));
            let relay = start(&dns);
            let mut client = Dialogue::open(relay.smtp);
            for number in 0..5 {
                client.message("shop@example.org", &["a@dead.test"], &mail::text(&format!("message {number}")));
            }
            let arrived = good.await_messages(5, PATIENCE);
            assert_eq!(arrived.len(), 5);
            relay.await_empty();
            let suspensions =
                relay.records().into_iter().filter(|record| format!("{record:?}").contains("the address is suspended"));
            assert_eq!(suspensions.count(), 1, "it is asked once");
        },
    );
}

#[test]
fn a_bad_domain_blocks_no_neighbour_on_the_same_exchanger() {
    network::alone("failures_have_the_right_scope::a_bad_domain_blocks_no_neighbour_on_the_same_exchanger", || {
        let dns = Dns::start(ZONE);
        let shared = Scripted::start_at(host(4), |line| {
            line.contains("@bad.test>").then(|| "421 4.7.0 too much for this domain".into())
        });
        let relay = start(&dns);
        let mut client = Dialogue::open(relay.smtp);
        client.message("shop@example.org", &["a@bad.test"], &mail::text("bad"));
        let row = wait::until_some(PATIENCE, "the bad domain is suspended", || {
            relay.row("bad.test").filter(|row| row.state == HostState::Suspended)
        });
        assert_eq!(
            row.last_error.as_ref().map(|error| error.code.to_string()).as_deref(),
            Some("421 4.7.0"),
            "{row:?}"
        );
        client.message("shop@example.org", &["a@good.test"], &mail::text("good"));
        wait::until_equal(PATIENCE, "its neighbour's mail goes on", 1, || ends(&shared));
        wait::until_equal(PATIENCE, "nothing of it waits", None, || relay.row("good.test"));
    });
}

#[test]
fn greylisting_is_no_failure_of_the_host() {
    network::alone("failures_have_the_right_scope::greylisting_is_no_failure_of_the_host", || {
        for (last, at, code) in [
            (4, "RCPT TO:<later@good.test>", "450 4.2.0"),
            (5, "RCPT TO:<later@good.test>", "451 4.7.1"),
            (6, "DATA", "450 4.2.0"),
        ] {
            let dns = Dns::start(&format!("good.test. IN A 127.0.0.{last}"));
            let once = std::sync::atomic::AtomicBool::new(false);
            let shared = Scripted::start_at(host(last), move |line| {
                let first = line == at && !once.swap(true, std::sync::atomic::Ordering::Relaxed);
                first.then(|| format!("{code} greylisted, come back later"))
            });
            let relay = start(&dns);
            let mut client = Dialogue::open(relay.smtp);
            client.message("shop@example.org", &["later@good.test"], &mail::text("later"));
            wait::until_some(PATIENCE, "one message waits for itself", || {
                relay.row("good.test").filter(|row| row.reason == Some(Reason::MessagesDeferred))
            });
            client.message("shop@example.org", &["now@good.test"], &mail::text("now"));
            wait::until_equal(PATIENCE, &format!("greylisted at {at}: the next one goes at once"), 1, || ends(&shared));
            let row = wait::until_some(PATIENCE, "one message waits on", || {
                relay.row("good.test").filter(|row| row.messages == 1)
            });
            assert!(row.addresses.is_empty(), "{row:?}");
        }
    });
}

/// Texts that a host has heard to their end.
fn ends(host: &Scripted) -> usize {
    host.heard().iter().filter(|line| *line == ".").count()
}
