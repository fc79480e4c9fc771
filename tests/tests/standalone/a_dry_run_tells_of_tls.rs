//! A dry run tells what the domain itself asks of TLS, and whether its hosts keep to it.

use std::net::SocketAddr;

use mailsluice_crds::relay::{Route, SecretRef, Smarthost, TlsMode, TlsPolicy};
use mailsluice_ctl::words::test::{StepKind, StepResult, Tested, Verdict};
use mailsluice_tests::{
    authority::Authority,
    certificate::{self, Certificate},
    dns::{Dns, Signed},
    dry_run::{self, failed, step, told},
    manifest::Manifest,
    network,
    relay::Relay,
    secure::{Host, Page, Web},
    tls_host::TlsHost,
};
use serde_json::json;
use tempfile::TempDir;

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], port))
}

fn by_mx(policy: TlsPolicy) -> Manifest {
    let mut manifest = Manifest::by_mx();
    manifest.relay.tls = policy;
    manifest
}

fn to(relay: &Relay, domain: &str) -> Tested {
    dry_run::of(relay, &format!("ann@{domain}"), &[]).0
}

/// Of a step that is as it should be, that it says all this.
fn says(tested: &Tested, kind: StepKind, parts: &[&str]) {
    let step = step(tested, kind);
    assert_eq!(step.result, StepResult::Ok, "{tested:#?}");
    for part in parts {
        assert!(step.text.contains(part), "no {part} in {}", step.text);
    }
}

#[test]
fn a_domains_mta_sts_policy_is_fetched_and_its_hosts_are_held_to_it() {
    network::alone("a_dry_run_tells_of_tls::a_domains_mta_sts_policy_is_fetched_and_its_hosts_are_held_to_it", || {
        let authority = Authority::new();
        let domain = |name: &str, exchanger: u8, web: u8| {
            format!(
                "{name}.test. IN MX 10 mx.{name}.test.\nmx.{name}.test. IN A 127.0.0.{exchanger}\n\
                 _mta-sts.{name}.test. IN TXT \"v=STSv1; id=1;\"\nmta-sts.{name}.test. IN A 127.0.0.{web}\n"
            )
        };
        let nothing = "nothing.test. IN MX 10 mx.good.test.\n".to_owned();
        let zone =
            [domain("good", 2, 10), domain("moved", 2, 11), domain("stranger", 3, 12), domain("away", 2, 13), nothing];
        let dns = Dns::start(&zone.concat());
        let good = Host::start_at(at(2, 25), Some(authority.issue("mx.good.test").server()));
        let stranger = Host::start_at(at(3, 25), Some(authority.issue("mx.other.test").server()));
        let web = |last, name: &str, exchanger: &str| {
            let text = format!("version: STSv1\r\nmode: enforce\r\nmx: {exchanger}\r\nmax_age: 86400\r\n");
            let server = authority.issue(&format!("mta-sts.{name}.test")).server();
            Web::start_at(at(last, 443), server, Some(Page::text(&text)))
        };
        let _webs = [
            web(10, "good", "*.good.test"),
            web(11, "moved", "mx.elsewhere.test"),
            web(12, "stranger", "mx.stranger.test"),
        ];
        let folder = TempDir::new().expect("a temporary folder");
        let authorities = authority.file(folder.path());
        let authorities = authorities.to_str().expect("a path in UTF-8");
        let resolver = dns.address.to_string();
        let arguments = ["--resolver", resolver.as_str(), "--authorities", authorities];
        let relay = Relay::start_with(&by_mx(TlsPolicy::MtaSts), &arguments);

        let tested = to(&relay, "good.test");
        assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
        says(&tested, StepKind::MtaSts, &["mode Enforce", "*.good.test"]);
        says(&tested, StepKind::StartTls, &["MtaSts"]);

        // What the policy says, and then that the host is not in it.
        let tested = to(&relay, "moved.test");
        says(&tested, StepKind::MtaSts, &["mode Enforce", "mx.elsewhere.test"]);
        let last = tested.steps.last().expect("a step");
        assert_eq!(
            (tested.verdict, last.step, last.result),
            (Verdict::NotReached, StepKind::MtaSts, StepResult::Failed)
        );
        assert_eq!(last.code.as_ref().map(ToString::to_string).as_deref(), Some("STS_OTHER_HOST"), "{last:?}");

        let tested = to(&relay, "stranger.test");
        says(&tested, StepKind::MtaSts, &["mode Enforce", "mx.stranger.test"]);
        assert_eq!(
            (tested.verdict, told(&tested, StepKind::StartTls)),
            (Verdict::NotReached, failed("CERT_WRONG_NAME"))
        );

        // Announced, and not to be had: mail goes, and whoever asks is told.
        let tested = to(&relay, "away.test");
        let policy = step(&tested, StepKind::MtaSts);
        assert_eq!((tested.verdict, policy.result), (Verdict::Accepted, StepResult::Note), "{tested:#?}");
        assert!(policy.text.contains("connect to 127.0.0.13:443"), "{}", policy.text);

        let tested = to(&relay, "nothing.test");
        assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
        says(&tested, StepKind::MtaSts, &["the domain has no policy"]);
        assert!(good.arrivals().is_empty() && stranger.arrivals().is_empty(), "mail went along");
    });
}

#[test]
fn a_host_is_held_to_its_tlsa_records_and_a_forged_answer_is_told() {
    network::alone("a_dry_run_tells_of_tls::a_host_is_held_to_its_tlsa_records_and_a_forged_answer_is_told", || {
        let authority = Authority::new();
        let (own, other) = (authority.issue("own-mx.signed"), authority.issue("wrong-mx.signed"));
        let signed = format!(
            "own.signed. IN MX 10 own-mx.signed.\nown-mx.signed. IN A 127.0.0.2\n\
             _25._tcp.own-mx.signed. IN TLSA 3 1 1 {0}\n\
             wrong.signed. IN MX 10 wrong-mx.signed.\nwrong-mx.signed. IN A 127.0.0.3\n\
             _25._tcp.wrong-mx.signed. IN TLSA 3 1 1 {0}\n",
            own.tlsa()
        );
        let bogus = "bogus. IN MX 10 mx.bogus.\nmx.bogus. IN A 127.0.0.2\n";
        let dns = Dns::signed(&[("signed.", Signed::Well, &signed), ("bogus.", Signed::Badly, bogus)]);
        let folder = TempDir::new().expect("a temporary folder");
        let anchor = dns.trust_anchor(folder.path());
        let resolver = dns.address.to_string();
        let arguments = ["--resolver", resolver.as_str(), "--trust-anchor", anchor.to_str().expect("a path in UTF-8")];
        let relay = Relay::start_with(&by_mx(TlsPolicy::Dane), &arguments);
        let first = Host::start_at(at(2, 25), Some(own.server()));
        let second = Host::start_at(at(3, 25), Some(other.server()));

        let tested = to(&relay, "own.signed");
        assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
        says(&tested, StepKind::StartTls, &["Dane"]);
        let tested = to(&relay, "wrong.signed");
        assert_eq!((tested.verdict, told(&tested, StepKind::StartTls)), (Verdict::NotReached, failed("DANE_MISMATCH")));
        let tested = to(&relay, "bogus");
        assert_eq!((tested.verdict, told(&tested, StepKind::Dns)), (Verdict::NotReached, failed("DNSSEC_BOGUS")));
        assert!(step(&tested, StepKind::Dns).advice.is_some(), "{tested:#?}");
        assert!(first.arrivals().is_empty() && second.arrivals().is_empty(), "mail went along");
    });
}

#[test]
fn tls_that_begins_at_once_is_told_before_the_banner() {
    let dns = Dns::start("mail.test. IN A 127.0.0.1");
    for (name, code) in [("mail.test", None), ("elsewhere.test", Some("CERT_WRONG_NAME"))] {
        let (certificate, authority) = Certificate::signed(name, 2020..2090);
        let host = TlsHost::start(&certificate, &json!({"mode": "Implicit"}));
        let folder = TempDir::new().expect("a temporary folder");
        certificate::put(folder.path(), "mail-ca", "ca.crt", &authority);
        let file = folder.path().join("relay.yaml");
        let ca = Some(SecretRef { secret_name: "mail-ca".into() });
        let route = Route {
            domains: vec!["*".into()],
            smarthost: Some(Smarthost { tls_mode: TlsMode::Implicit, ca, ..host.named("mail.test") }),
            tls: Some(TlsPolicy::Verified),
            ..Route::default()
        };
        let resolver = dns.address.to_string();
        let relay = Relay::start_on(folder, &file, &Manifest::with_routes(vec![route]), &["--resolver", &resolver]);
        let tested = to(&relay, "one.test");
        let kinds: Vec<StepKind> =
            tested.steps.iter().map(|step| step.step).skip_while(|k| *k != StepKind::Connect).collect();
        match code {
            None => {
                use StepKind::{Banner, Connect, Ehlo, MailFrom, Quit, RcptTo, StartTls};
                assert_eq!(kinds, [Connect, StartTls, Banner, Ehlo, MailFrom, RcptTo, Quit], "{tested:#?}");
                assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
                says(&tested, StepKind::StartTls, &["TLSv1.3", "Verified"]);
            }
            Some(code) => {
                assert_eq!(kinds, [StepKind::Connect, StepKind::StartTls], "{tested:#?}");
                assert_eq!((tested.verdict, told(&tested, StepKind::StartTls)), (Verdict::NotReached, failed(code)));
            }
        }
        assert_eq!(host.messages(), Vec::<bool>::new());
    }
}
