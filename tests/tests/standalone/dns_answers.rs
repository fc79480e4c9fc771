//! What a DNS server says, or does not say, has the right outcome: mail goes, waits with the answer's code in the Monitor, or
//! goes back, and other mail is not held up.

use std::{fs, net::SocketAddr, time::Duration};

use mailsluice_crds::monitor::{Reason, Stage};
use mailsluice_tests::{
    dialogue::Dialogue,
    dns::{Dns, Trouble},
    mail,
    manifest::Manifest,
    network,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};
use tempfile::TempDir;

/// Silence takes as long as a DNS server is given, and that again for each question after it.
const SILENCE: Duration = Duration::from_secs(60);

/// More exchangers than fit into a datagram.
fn huge() -> String {
    (0..60).fold(String::new(), |zone, number| {
        let host = format!("mx-{number:02}.a-name-that-fills-the-answer-up.huge.test");
        format!("{zone}huge.test. IN MX {number} {host}.\n{host}. IN A 127.0.0.2\n")
    })
}

fn zone() -> String {
    let small = "
mx.test.            IN MX 10 host.test.
host.test.          IN A 127.0.0.2
no-mx.test.         IN A 127.0.0.2
null.test.          IN MX 0 .
alias-mx.test.      IN MX 10 alias.test.
alias.test.         IN CNAME host.test.
alias-domain.test.  IN CNAME mx.test.
text-only.test.     IN TXT nothing
dangling.test.      IN MX 10 gone.test.
half.test.          IN MX 10 servfail-host.test.
half.test.          IN MX 20 host.test.
no-host.test.       IN MX 10 servfail-host.test.
circle.test.        IN MX 10 outer.test.
outer.test.         IN A 127.0.0.1
backup.test.        IN MX 10 host.test.
backup.test.        IN MX 20 outer.test.
slow.test.          IN MX 10 host.test.
example.org.        IN MX 10 host.test.
";
    format!("{small}{}", huge())
}

fn host() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], 25))
}

fn start(dns: &Dns, manifest: &Manifest) -> Relay {
    Relay::start_with(manifest, &["--resolver", &dns.address.to_string()])
}

#[test]
fn mail_goes_where_the_answers_lead() {
    network::alone("dns_answers::mail_goes_where_the_answers_lead", || {
        let dns = Dns::start(&zone());
        dns.trouble("servfail-host.test", Some(Trouble::ServFail));
        dns.trouble("slow.test", Some(Trouble::Slow(Duration::from_secs(2))));
        let sink = Sink::start_at(host());
        let relay = start(&dns, &Manifest::by_mx());
        let mut client = Dialogue::open(relay.smtp);
        let domains = ["mx", "no-mx", "alias-mx", "alias-domain", "half", "backup", "slow", "huge"]
            .map(|name| format!("{name}.test"));
        for domain in &domains {
            client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
        }
        let mut expected: Vec<_> = domains.iter().map(|domain| format!("a@{domain}")).collect();
        let messages = sink.await_messages(domains.len(), SILENCE);
        let mut found: Vec<_> = messages.into_iter().flat_map(|message| message.envelope.recipients).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        relay.await_empty();
        assert!(dns.asked().contains(&"huge.test MX TCP".to_owned()), "what is cut off is asked for over TCP");
    });
}

#[test]
fn what_no_answer_will_mend_goes_back_with_its_status() {
    network::alone("dns_answers::what_no_answer_will_mend_goes_back_with_its_status", || {
        let dns = Dns::start(&zone());
        let senders = Sink::start_at(host());
        // Where hosts are looked for, so that it can find itself.
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("relay.yaml");
        fs::write(&file, Manifest::by_mx().text(25)).expect("write the manifests");
        let relay = Relay::start_on(folder, &file, &Manifest::by_mx(), &["--resolver", &dns.address.to_string()]);
        let mut client = Dialogue::open(([127, 0, 0, 1], 25).into());
        for (count, (domain, status, says)) in (1..).zip([
            ("nowhere.test", "5.1.2", "does not exist"),
            ("null.test", "5.1.10", "takes no mail"),
            ("text-only.test", "5.4.4", "neither a mail exchanger nor an address"),
            ("dangling.test", "5.4.4", "no mail exchanger of dangling.test has an address"),
            ("circle.test", "5.4.6", "loops back to this relay"),
        ]) {
            client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
            let bounce = senders.await_messages(count, PATIENCE).pop().unwrap_or_else(|| unreachable!("waited for"));
            let text = String::from_utf8_lossy(&bounce.octets).replace("\r\n ", " ").replace("\r\n", " ");
            assert!(text.contains(&format!("Status: {status}")) && text.contains(says), "{domain}:\n{text}");
        }
        relay.await_empty();
    });
}

#[test]
fn what_another_answer_may_mend_waits_and_says_why() {
    network::alone("dns_answers::what_another_answer_may_mend_waits_and_says_why", || {
        let dns = Dns::start(&zone());
        for (name, trouble) in [
            ("servfail.test", Trouble::ServFail),
            ("servfail-host.test", Trouble::ServFail),
            ("lame.test", Trouble::Lame),
            ("silent.test", Trouble::Silent),
        ] {
            dns.trouble(name, Some(trouble));
        }
        let sink = Sink::start_at(host());
        let relay = start(&dns, &Manifest::by_mx());
        let mut client = Dialogue::open(relay.smtp);
        let waiting = [
            ("servfail.test", "SERVFAIL", "look up MX of servfail.test"),
            ("no-host.test", "SERVFAIL", "of servfail-host.test"),
            ("lame.test", "REFUSED", "refused to answer"),
            ("silent.test", "DNS_TIMEOUT", "no DNS server answered in time"),
        ];
        for (domain, ..) in waiting {
            client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
        }
        // Behind them all, and not held up by them.
        client.message("shop@example.org", &["a@mx.test"], &mail::text("neighbour"));
        let _ = sink.await_messages(1, PATIENCE);
        for (domain, code, says) in waiting {
            let row = wait::until_some(SILENCE, &format!("{domain} is suspended"), || {
                relay.row(domain).filter(|row| row.reason == Some(Reason::DnsFailed))
            });
            let error = row.last_error.unwrap_or_else(|| panic!("{domain} has an error"));
            assert_eq!((&*error.code.name(), error.stage), (code, Stage::Dns), "{domain}");
            assert!(error.text.contains(says), "{domain}: {}", error.text);
            assert!(
                row.suspended_till.is_some() && row.problem.is_some_and(|problem| problem.contains(code)),
                "{domain}"
            );
        }
        // The zones are mended, and the mail is on its way.
        dns.trouble("servfail-host.test", None);
        let _ = sink.await_messages(2, SILENCE);
        wait::until_equal(PATIENCE, "messages that wait", 3, || relay.monitor().queue.messages);
    });
}
