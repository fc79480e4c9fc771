//! Under the policy MtaSts, mail goes as its domain's own policy says, which is remembered over restarts and failures.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mailsluice_crds::{
    monitor::{Reason, Stage},
    relay::TlsPolicy,
};
use mailsluice_tests::{
    authority::Authority,
    dialogue::Dialogue,
    dns::Dns,
    http, mail,
    manifest::Manifest,
    network,
    relay::{PATIENCE, Relay},
    secure::{Host, Page, Web},
    wait,
};
use tempfile::TempDir;

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], port))
}

/// A domain with an exchanger and a web server, and a record that announces a policy.
fn domain(name: &str, exchanger: u8, web: u8) -> String {
    format!(
        "{name}.test. IN MX 10 mx.{name}.test.\nmx.{name}.test. IN A 127.0.0.{exchanger}\n\
         _mta-sts.{name}.test. IN TXT \"v=STSv1; id=1;\"\nmta-sts.{name}.test. IN A 127.0.0.{web}\n"
    )
}

fn policy(mode: &str, exchanger: &str) -> Page {
    Page::text(&format!("version: STSv1\r\nmode: {mode}\r\nmx: {exchanger}\r\nmax_age: 86400\r\n"))
}

fn start(dns: &Dns, authority: &Authority, folder: &TempDir) -> Relay {
    let mut manifest = Manifest::by_mx();
    manifest.relay.tls = TlsPolicy::MtaSts;
    let authorities = authority.file(folder.path());
    Relay::start_with(
        &manifest,
        &["--resolver", &dns.address.to_string(), "--authorities", authorities.to_str().expect("a path in UTF-8")],
    )
}

fn send(relay: &Relay, domains: &[&str]) {
    let mut client = Dialogue::open(relay.smtp);
    for domain in domains {
        client.message("shop@example.org", &[&format!("a@{domain}.test")], &mail::text(domain));
    }
}

fn arrived(host: &Host, domain: &str) -> Vec<(bool, Option<String>)> {
    let to = vec![format!("a@{domain}.test")];
    let arrivals = host.arrivals().into_iter().filter(|arrival| arrival.recipients == to);
    arrivals.map(|arrival| (arrival.sealed, arrival.name)).collect()
}

fn await_waiting(relay: &Relay, domain: &str, code: &str, stage: Stage) {
    let row = wait::until_some(PATIENCE, &format!("{domain} is suspended"), || {
        relay.row(&format!("{domain}.test")).filter(|row| row.reason == Some(Reason::TlsFailed))
    });
    let error = row.last_error.unwrap_or_else(|| panic!("{domain} has an error"));
    assert_eq!((&*error.code.name(), error.stage), (code, stage), "{domain}: {}", error.text);
}

fn reports(relay: &Relay) -> String {
    let answer = http::get(relay.http, "/tls-reports", None).expect("the TLS reports");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[test]
fn mail_goes_as_its_domains_policy_says() {
    network::alone("mta_sts::mail_goes_as_its_domains_policy_says", || {
        let authority = Authority::new();
        let zone: String = [
            domain("good", 2, 10),
            domain("stranger", 3, 11),
            domain("moved", 2, 12),
            domain("trial", 4, 13),
            domain("withdrawn", 4, 14),
            "nothing.test. IN MX 10 mx.nothing.test.\nmx.nothing.test. IN A 127.0.0.4\n".to_owned(),
        ]
        .concat();
        let dns = Dns::start(&zone);
        let sealed = Host::start_at(at(2, 25), Some(authority.issue("mx.good.test").server()));
        let stranger = Host::start_at(at(3, 25), Some(authority.issue("mx.other.test").server()));
        let clear = Host::start_at(at(4, 25), None);
        let web = |last, name: &str, page| {
            Web::start_at(at(last, 443), authority.issue(&format!("mta-sts.{name}.test")).server(), Some(page))
        };
        let _webs = [
            web(11, "stranger", policy("enforce", "mx.stranger.test")),
            web(12, "moved", policy("enforce", "mx.elsewhere.test")),
            web(13, "trial", policy("testing", "mx.trial.test")),
            web(14, "withdrawn", policy("none", "mx.elsewhere.test")),
        ];
        let of_good = web(10, "good", policy("enforce", "*.good.test"));
        let folder = TempDir::new().expect("a temporary folder");
        let mut relay = start(&dns, &authority, &folder);
        send(&relay, &["stranger", "moved", "good", "trial", "withdrawn", "nothing"]);
        for (host, domain, how) in [
            (&sealed, "good", (true, Some("mx.good.test".to_owned()))),
            (&clear, "trial", (false, None)),
            (&clear, "withdrawn", (false, None)),
            (&clear, "nothing", (false, None)),
        ] {
            wait::until_equal(PATIENCE, &format!("how mail for {domain} arrived"), vec![how], || arrived(host, domain));
        }
        await_waiting(&relay, "stranger", "CERT_WRONG_NAME", Stage::StartTls);
        await_waiting(&relay, "moved", "STS_OTHER_HOST", Stage::Dns);
        assert!(stranger.arrivals().is_empty());
        let report = reports(&relay);
        for part in [
            r#""policy-type":"sts","policy-string":["version: STSv1","mode: enforce","mx: *.good.test","max_age: 86400"],"policy-domain":"good.test","mx-host":["*.good.test"]"#,
            r#""result-type":"certificate-host-mismatch""#,
            r#""result-type":"starttls-not-supported""#,
            r#""policy-type":"no-policy-found","policy-domain":"nothing.test""#,
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }

        // The policy outlives its web server, and the relay.
        assert_eq!(of_good.asked(), 1);
        of_good.show(None);
        let (_, status) = relay.terminate();
        assert!(status.success());
        sealed.show(Some(authority.issue("mx.evil.test").server()));
        relay.restart();
        send(&relay, &["good"]);
        await_waiting(&relay, "good", "CERT_WRONG_NAME", Stage::StartTls);
        assert_eq!(of_good.asked(), 1, "what is remembered is not asked for again");
        assert!(reports(&relay).contains("*.good.test"), "what was counted is counted still");
        sealed.show(Some(authority.issue("mx.good.test").server()));
        wait::until_equal(PATIENCE, "messages for good.test", 2, || arrived(&sealed, "good").len());
    });
}

#[test]
fn what_is_no_policy_is_none_and_is_counted() {
    network::alone("mta_sts::what_is_no_policy_is_none_and_is_counted", || {
        let authority = Authority::new();
        let names = ["redirect", "page", "huge", "garbage", "silent", "wrong", "expired", "away"];
        let zone: String = names.iter().zip(10..).map(|(name, web)| domain(name, 2, web)).collect();
        let dns = Dns::start(&zone);
        // Any of these would be enforced, were it believed.
        let enforce = |name: &str| policy("enforce", &format!("mx.{name}.test"));
        let pages = [
            Some(Page { status: "302 Found".into(), ..enforce("redirect") }),
            Some(Page { content_type: "text/html".into(), ..enforce("page") }),
            Some(Page::text(&format!("{}{}", enforce("huge").text, "x: y\r\n".repeat(20_000)))),
            Some(Page::text("mode: enforce")),
            None,
            Some(enforce("wrong")),
            Some(enforce("expired")),
        ];
        let _webs: Vec<_> = names
            .iter()
            .zip(10..)
            .zip(pages)
            .map(|((name, last), page)| {
                let certificate = match *name {
                    "wrong" => authority.issue("mta-sts.other.test"),
                    "expired" => authority.issue_expired("mta-sts.expired.test"),
                    name => authority.issue(&format!("mta-sts.{name}.test")),
                };
                Web::start_at(at(last, 443), certificate.server(), page)
            })
            .collect();
        let clear = Host::start_at(at(2, 25), None);
        let folder = TempDir::new().expect("a temporary folder");
        let relay = start(&dns, &authority, &folder);
        send(&relay, &names);
        for name in names {
            wait::until_equal(PATIENCE, &format!("how mail for {name} arrived"), vec![(false, None)], || {
                arrived(&clear, name)
            });
        }
        for (name, kind, says) in [
            ("redirect", "sts-policy-fetch-error", "302 Found"),
            ("page", "sts-policy-fetch-error", "text/html"),
            ("huge", "sts-policy-fetch-error", "64 KiB"),
            ("garbage", "sts-policy-invalid", "it has no version"),
            ("silent", "sts-policy-fetch-error", "HTTP"),
            ("wrong", "sts-webpki-invalid", "certificate"),
            ("expired", "sts-webpki-invalid", "certificate"),
            ("away", "sts-policy-fetch-error", "connect to 127.0.0.17:443"),
        ] {
            let host = format!("{name}.test");
            let record = relay.await_record(&format!("why {name} has no policy"), |record| {
                record.field("host").as_ref() == Some(&host)
                    && record.msg.contains("MTA-STS policy could not be fetched")
            });
            assert!(record.msg.contains(says), "{name}: {}", record.msg);
            assert!(relay.log_text().contains(kind), "{name}");
            let report = reports(&relay);
            let of_domain = report.split("\"organization-name\"").find(|report| report.contains(&host));
            assert!(of_domain.is_some_and(|report| report.contains(kind)), "{name}: {report}");
        }
    });
}

#[test]
fn a_web_server_that_takes_for_ever_is_given_half_a_minute_and_holds_up_nobody_else() {
    network::alone("mta_sts::a_web_server_that_takes_for_ever_is_given_half_a_minute_and_holds_up_nobody_else", || {
        let authority = Authority::new();
        let dns = Dns::start(&[domain("slow", 2, 10), domain("quick", 2, 11)].concat());
        let drips = Page { pace: Some(Duration::from_secs(1)), ..policy("enforce", "mx.slow.test") };
        let _webs =
            [(10, "slow", drips), (11, "quick", policy("testing", "mx.quick.test"))].map(|(last, name, page)| {
                Web::start_at(at(last, 443), authority.issue(&format!("mta-sts.{name}.test")).server(), Some(page))
            });
        let clear = Host::start_at(at(2, 25), None);
        let folder = TempDir::new().expect("a temporary folder");
        let relay = start(&dns, &authority, &folder);
        let begun = Instant::now();
        send(&relay, &["slow", "quick"]);
        wait::until_equal(PATIENCE, "mail for quick", 1, || arrived(&clear, "quick").len());
        assert_eq!(arrived(&clear, "slow").len(), 0, "after {:?}", begun.elapsed());
        wait::until_equal(Duration::from_secs(30) + PATIENCE, "mail for slow", 1, || arrived(&clear, "slow").len());
        assert!(begun.elapsed() > Duration::from_secs(29), "after {:?}", begun.elapsed());
        relay.await_record("why slow has no policy", |record| record.msg.contains("no policy came within 30 s"));
        assert!(reports(&relay).contains("sts-policy-fetch-error"));
    });
}
