//! Under the policy Dane, mail goes to the host that its TLSA records name, or waits: and mail for others goes on.

use std::net::SocketAddr;

use mailsluice_crds::{
    monitor::{Reason, Stage},
    relay::TlsPolicy,
};
use mailsluice_tests::{
    authority::Authority,
    dialogue::Dialogue,
    dns::{Dns, Signed, Trouble},
    http, mail,
    manifest::Manifest,
    network,
    relay::{PATIENCE, Relay},
    secure::Host,
    wait,
};
use serde_json::Value;
use tempfile::TempDir;

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 25))
}

fn start(dns: &Dns, folder: &TempDir) -> Relay {
    let mut manifest = Manifest::by_mx();
    manifest.relay.tls = TlsPolicy::Dane;
    let anchor = dns.trust_anchor(folder.path());
    Relay::start_with(
        &manifest,
        &["--resolver", &dns.address.to_string(), "--trust-anchor", anchor.to_str().expect("a path in UTF-8")],
    )
}

fn send(relay: &Relay, domains: &[&str]) {
    let mut client = Dialogue::open(relay.smtp);
    for domain in domains {
        client.message("shop@example.org", &[&format!("a@{domain}")], &mail::text(domain));
    }
}

fn arrived(host: &Host, domain: &str) -> Option<(bool, Option<String>)> {
    let to = vec![format!("a@{domain}")];
    host.arrivals().into_iter().find(|arrival| arrival.recipients == to).map(|arrival| (arrival.sealed, arrival.name))
}

/// Of each policy domain and type: how many sessions were good, and the result types of the others.
fn reports(relay: &Relay) -> Vec<(String, String, u64, Vec<String>)> {
    let answer = http::get(relay.http, "/tls-reports", None).expect("the TLS reports");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let reports: Value = serde_json::from_str(&answer.body).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let policies =
        reports.as_array().expect("reports").iter().flat_map(|report| report["policies"].as_array().expect("policies"));
    policies
        .map(|policy| {
            let details = policy["failure-details"].as_array().cloned().unwrap_or_default();
            (
                text(&policy["policy"]["policy-domain"]),
                text(&policy["policy"]["policy-type"]),
                policy["summary"]["total-successful-session-count"].as_u64().unwrap_or_default(),
                details.iter().map(|detail| text(&detail["result-type"])).collect(),
            )
        })
        .collect()
}

#[test]
fn mail_goes_to_the_host_that_its_records_name_or_waits() {
    network::alone("dane::mail_goes_to_the_host_that_its_records_name_or_waits", || {
        let authority = Authority::new();
        // It names another than the one that the records are about: with 3 1 1 that does not matter.
        let own = authority.issue("elsewhere.invalid");
        let vouched = authority.issue("vouched-mx.signed");
        let other = authority.issue("wrong-mx.signed");
        let signed = format!(
            "
own.signed.       IN MX 10 own-mx.signed.
own-mx.signed.    IN A 127.0.0.2
_25._tcp.own-mx.signed. IN TLSA 3 1 1 {}
vouched.signed.   IN MX 10 vouched-mx.signed.
vouched-mx.signed. IN A 127.0.0.3
_25._tcp.vouched-mx.signed. IN TLSA 2 0 1 {}
wrong.signed.     IN MX 10 wrong-mx.signed.
wrong-mx.signed.  IN A 127.0.0.4
_25._tcp.wrong-mx.signed. IN TLSA 3 1 1 {}
clear.signed.     IN MX 10 clear-mx.signed.
clear-mx.signed.  IN A 127.0.0.5
_25._tcp.clear-mx.signed. IN TLSA 3 1 1 {}
none.signed.      IN MX 10 none-mx.signed.
none-mx.signed.   IN A 127.0.0.5
unusable.signed.  IN MX 10 unusable-mx.signed.
unusable-mx.signed. IN A 127.0.0.2
_25._tcp.unusable-mx.signed. IN TLSA 1 1 1 {}
second.signed.    IN MX 10 wrong-mx.signed.
second.signed.    IN MX 20 own-mx.signed.
robbed.signed.    IN MX 10 robbed-mx.signed.
robbed-mx.signed. IN A 127.0.0.5
",
            own.tlsa(),
            vouched.authority_tlsa(),
            own.tlsa(),
            own.tlsa(),
            other.tlsa(),
        );
        let bogus = "bogus. IN MX 10 mx.bogus.\nmx.bogus. IN A 127.0.0.5\n";
        let unsigned =
            "unsigned. IN MX 10 mx.unsigned.\nmx.unsigned. IN A 127.0.0.5\nhosted.unsigned. IN MX 10 own-mx.signed.\n";
        let dns = Dns::signed(&[
            ("signed.", Signed::Well, &signed),
            ("bogus.", Signed::Badly, bogus),
            ("unsigned.", Signed::Not, unsigned),
        ]);
        // Somebody on the way says that there are none.
        dns.trouble("_25._tcp.robbed-mx.signed", Some(Trouble::Denies("unsigned.")));
        let folder = TempDir::new().expect("a temporary folder");
        let relay = start(&dns, &folder);
        let first = Host::start_at(at(2), Some(own.server()));
        let second = Host::start_at(at(3), Some(vouched.server()));
        let third = Host::start_at(at(4), Some(other.server()));
        let fourth = Host::start_at(at(5), None);

        let waiting = ["wrong.signed", "clear.signed", "bogus", "robbed.signed"];
        send(&relay, &waiting);
        send(
            &relay,
            &[
                "own.signed",
                "vouched.signed",
                "none.signed",
                "unusable.signed",
                "second.signed",
                "unsigned",
                "hosted.unsigned",
            ],
        );
        let named = |name: &str| Some((true, Some(name.to_owned())));
        for (host, domain, how) in [
            (&first, "own.signed", named("own-mx.signed")),
            (&second, "vouched.signed", named("vouched-mx.signed")),
            (&fourth, "none.signed", Some((false, None))),
            (&first, "unusable.signed", named("unusable-mx.signed")),
            (&first, "second.signed", named("own-mx.signed")),
            (&fourth, "unsigned", Some((false, None))),
            (&first, "hosted.unsigned", named("own-mx.signed")),
        ] {
            wait::until_equal(PATIENCE, &format!("how mail for {domain} arrived"), how, || arrived(host, domain));
        }
        for (domain, reason, code, stage) in [
            ("wrong.signed", Reason::TlsFailed, "DANE_MISMATCH", Stage::StartTls),
            ("clear.signed", Reason::TlsFailed, "TLS_NOT_OFFERED", Stage::StartTls),
            ("bogus", Reason::DnsFailed, "DNSSEC_BOGUS", Stage::Dns),
            ("robbed.signed", Reason::DnsFailed, "DNSSEC_BOGUS", Stage::Dns),
        ] {
            let row = wait::until_some(PATIENCE, &format!("{domain} is suspended"), || {
                relay.row(domain).filter(|row| row.reason == Some(reason))
            });
            let error = row.last_error.unwrap_or_else(|| panic!("{domain} has an error"));
            assert_eq!((&*error.code.name(), error.stage), (code, stage), "{domain}: {}", error.text);
            assert!(row.suspended_till.is_some(), "{domain}");
        }
        assert_eq!(relay.monitor().queue.messages, 4);
        assert!(third.arrivals().is_empty(), "{:?}", third.arrivals());

        let found = reports(&relay);
        for (domain, policy, good, bad) in [
            ("own-mx.signed", "tlsa", true, vec![]),
            ("vouched-mx.signed", "tlsa", true, vec![]),
            ("wrong-mx.signed", "tlsa", false, vec!["validation-failure"]),
            ("clear-mx.signed", "tlsa", false, vec!["starttls-not-supported"]),
            ("unusable-mx.signed", "tlsa", false, vec!["tlsa-invalid"]),
            ("bogus", "tlsa", false, vec!["dnssec-invalid"]),
            ("unsigned", "no-policy-found", false, vec!["starttls-not-supported"]),
        ] {
            let Some((_, _, successes, failures)) =
                found.iter().find(|(name, kind, ..)| name == domain && kind == policy)
            else {
                panic!("nothing of {domain} in {found:?}");
            };
            assert_eq!((*successes > 0, failures.iter().map(String::as_str).collect()), (good, bad), "{domain}");
        }

        // Both are mended, and their mail goes.
        third.show(Some(own.server()));
        fourth.show(Some(own.server()));
        for (host, domain, name) in
            [(&third, "wrong.signed", "wrong-mx.signed"), (&fourth, "clear.signed", "clear-mx.signed")]
        {
            wait::until_equal(PATIENCE, &format!("how mail for {domain} arrived"), named(name), || {
                arrived(host, domain)
            });
        }
    });
}
