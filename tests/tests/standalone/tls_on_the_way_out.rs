//! Mail goes out under TLS as its route asks for it, to OpenSSL at the other end, or waits and says why.

use std::{thread, time::Duration};

use mailsluice_crds::{
    monitor::{HostRow, HostState, Reason, Stage},
    relay::{Route, SecretRef, Smarthost, TlsMode, TlsPolicy},
};
use mailsluice_tests::{
    certificate::{self, Certificate},
    dialogue::Dialogue,
    dns::Dns,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    tls_host::{Seen, TlsHost, TlsPort},
    wait,
};
use serde_json::json;

const ZONE: &str = "mail.test. IN A 127.0.0.1\nother.test. IN A 127.0.0.1";
const YEARS: std::ops::Range<i32> = 2020..2090;

/// A relay that sends everything to this host under this policy, and asks this DNS.
fn relay(policy: TlsPolicy, smarthost: Smarthost, dns: &Dns) -> Relay {
    Relay::start_with(&manifest(policy, smarthost), &["--resolver", &dns.address.to_string()])
}

fn manifest(policy: TlsPolicy, smarthost: Smarthost) -> Manifest {
    Manifest::with_routes(vec![Route {
        domains: vec!["*".into()],
        smarthost: Some(smarthost),
        tls: Some(policy),
        ..Route::default()
    }])
}

fn send(relay: &Relay, subject: &str) {
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text(subject));
}

/// Waits until mail for the host waits because of TLS.
fn suspended(relay: &Relay) -> HostRow {
    wait::until_some(PATIENCE, "the host is suspended", || {
        let mut rows = relay.monitor().monitor.into_iter();
        rows.find(|row| row.state == HostState::Suspended && row.reason == Some(Reason::TlsFailed))
    })
}

fn handshakes(relay: &Relay, policy: TlsPolicy, result: &str) -> f64 {
    let labels = format!("policy=\"{}\",result=\"{result}\"", policy.name());
    relay.metric(&format!("mailsluice_smtp_client_tls_handshakes_total{{{labels}}}"))
}

fn connections(host: &TlsHost) -> usize {
    host.seen().iter().filter(|seen| matches!(seen, Seen::Connection)).count()
}

fn secret(name: &str) -> Option<SecretRef> {
    Some(SecretRef { secret_name: name.into() })
}

#[test]
fn by_default_mail_goes_under_tls_where_a_host_offers_it_and_in_clear_elsewhere() {
    let dns = Dns::start(ZONE);
    for (mode, secure) in [("StartTls", true), ("None", false)] {
        let host = TlsHost::start(&Certificate::of("somebody.test"), &json!({"mode": mode}));
        let mut to_it = manifest(TlsPolicy::Opportunistic, host.named("mail.test"));
        to_it.relay.routes[0].tls = None;
        let relay = Relay::start_with(&to_it, &["--resolver", &dns.address.to_string()]);
        send(&relay, mode);
        wait::until_equal(PATIENCE, "messages", vec![secure], || host.messages());
        relay.await_empty();
        let counted = if secure { "full" } else { "notOffered" };
        assert!((handshakes(&relay, TlsPolicy::Opportunistic, counted) - 1.0).abs() < f64::EPSILON, "{mode}");
        if secure {
            let record = relay.await_record("the handshake", |record| record.msg == "TLS is established");
            assert_eq!(record.field("tlsVersion").as_deref(), Some("TLSv1.3"));
            assert_eq!(record.field("policy").as_deref(), Some("Opportunistic"));
        }
    }
}

#[test]
fn mail_waits_for_a_host_without_starttls_where_tls_is_required_and_goes_on_elsewhere() {
    let dns = Dns::start(ZONE);
    let sink = Sink::start();
    let host = TlsHost::start(&Certificate::of("mail.test"), &json!({"mode": "None"}));
    let asked = manifest(TlsPolicy::Required, host.named("mail.test")).route(&["plain.test"], sink.address);
    let relay = Relay::start_with(&asked, &["--resolver", &dns.address.to_string()]);
    send(&relay, "waits");
    let row = suspended(&relay);
    let error = row.last_error.clone().expect("an error");
    assert_eq!((&*error.code.name(), error.stage), ("TLS_NOT_OFFERED", Stage::StartTls), "{row:?}");
    let problem = row.problem.unwrap_or_default();
    assert!(problem.ends_with("the host offers no STARTTLS, and its route asks for TLS"), "{problem}");
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@plain.test"], &mail::text("goes on"));
    let _ = sink.await_messages(1, PATIENCE);
    assert_eq!(host.messages(), Vec::<bool>::new());

    // Another policy is in force at once, though the host is suspended for a while yet.
    let mut asked = asked;
    asked.relay.routes[1].tls = Some(TlsPolicy::Opportunistic);
    relay.rewrite(&asked);
    wait::until_equal(PATIENCE, "messages", vec![false], || host.messages());
}

#[test]
fn a_certificate_is_verified_by_name_by_date_and_by_its_authority() {
    let dns = Dns::start(ZONE);
    let (good, authority) = Certificate::signed("mail.test", YEARS);
    let (expired, expired_by) = Certificate::signed("mail.test", 2020..2021);
    let (early, early_by) = Certificate::signed("mail.test", 2089..2090);
    let (elsewhere, elsewhere_by) = Certificate::signed("elsewhere.test", YEARS);
    for (certificate, trusted, code, says) in [
        (&good, Some(&authority), None, ""),
        (
            &expired,
            Some(&expired_by),
            Some("CERT_EXPIRED"),
            "expired at 2021-01-01T00:00:00Z; it is for mail.test, issued by CN=Authority of mail.test",
        ),
        (
            &early,
            Some(&early_by),
            Some("CERT_NOT_YET_VALID"),
            "is not valid before 2089-01-01T00:00:00Z; it is for mail.test, issued by",
        ),
        (
            &elsewhere,
            Some(&elsewhere_by),
            Some("CERT_WRONG_NAME"),
            "is for elsewhere.test, not for mail.test; it is good from",
        ),
        (
            &good,
            Some(&elsewhere_by),
            Some("CERT_UNKNOWN_ISSUER"),
            "is issued by CN=Authority of mail.test, who is not trusted; it is for mail.test, from",
        ),
        // The public authorities.
        (&good, None, Some("CERT_UNKNOWN_ISSUER"), "issued by CN=Authority of mail.test"),
        (&Certificate::of("mail.test"), None, Some("CERT_UNKNOWN_ISSUER"), "is issued by itself, CN="),
    ] {
        let host = TlsHost::start(certificate, &json!({}));
        let mut smarthost = host.named("mail.test");
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        if let Some(trusted) = trusted {
            smarthost.ca = secret("mail-ca");
            certificate::put(folder.path(), "mail-ca", "ca.crt", trusted);
        }
        let file = folder.path().join("relay.yaml");
        let asked = manifest(TlsPolicy::Verified, smarthost);
        let relay = Relay::start_on(folder, &file, &asked, &["--resolver", &dns.address.to_string()]);
        send(&relay, "verified");
        let Some(code) = code else {
            wait::until_equal(PATIENCE, "messages", vec![true], || host.messages());
            continue;
        };
        let error = suspended(&relay).last_error.expect("an error");
        assert_eq!((&*error.code.name(), error.stage), (code, Stage::StartTls), "{error:?}");
        assert!(error.text.contains(says), "{code}: {}", error.text);
        assert_eq!(host.messages(), Vec::<bool>::new(), "{code}");
        assert!(handshakes(&relay, TlsPolicy::Verified, "failed") >= 1.0);

        if code == "CERT_UNKNOWN_ISSUER" && trusted.is_some() {
            // The right authority is put in place: in force without a restart, and tried at once.
            certificate::put(relay.folder(), "mail-ca", "ca.crt", &authority);
            wait::until_equal(PATIENCE, "messages", vec![true], || host.messages());
        }
    }
}

#[test]
fn a_missing_authority_holds_what_needs_it_and_is_named() {
    let dns = Dns::start(ZONE);
    let (certificate, authority) = Certificate::signed("mail.test", YEARS);
    let host = TlsHost::start(&certificate, &json!({}));
    let smarthost = Smarthost { ca: secret("mail-ca"), ..host.named("mail.test") };
    let relay = relay(TlsPolicy::Verified, smarthost, &dns);
    send(&relay, "held");
    let error = suspended(&relay).last_error.expect("an error");
    assert_eq!(
        (&*error.code.name(), error.text.as_str()),
        ("TLS_NOT_READY", "the Secret mail-ca is missing, or cannot be used")
    );
    let problem = relay.monitor().problems.remove(0).message;
    assert!(problem.starts_with("Secret mail-ca: ca.crt: No such file"), "{problem}");
    assert_eq!(connections(&host), 0, "it is not even called");
    certificate::put(relay.folder(), "mail-ca", "ca.crt", &authority);
    wait::until_equal(PATIENCE, "messages", vec![true], || host.messages());
}

#[test]
fn after_a_handshake_that_fails_mail_goes_in_clear_once_where_that_is_allowed() {
    let dns = Dns::start(ZONE);
    // What no client of today offers.
    let old = json!({"ciphers": "ECDHE-ECDSA-AES256-SHA384"});
    let host = TlsHost::start(&Certificate::of("mail.test"), &old);
    let relay_to = |policy| relay(policy, host.named("mail.test"), &dns);
    let tolerant = relay_to(TlsPolicy::Opportunistic);
    send(&tolerant, "in clear");
    wait::until_equal(PATIENCE, "messages", vec![false], || host.messages());
    tolerant.await_empty();
    assert_eq!(connections(&host), 2, "one for TLS, and one in clear");
    let record = tolerant.await_record("the fall", |record| record.msg.starts_with("mail goes in clear"));
    assert!(record.msg.contains("the alert handshake_failure"), "{}", record.msg);

    let strict = relay_to(TlsPolicy::Required);
    send(&strict, "not at all");
    let error = suspended(&strict).last_error.expect("an error");
    assert_eq!((&*error.code.name(), error.number), ("TLS_ALERT 40", Some(40)), "{error:?}");
    assert_eq!(host.messages(), vec![false]);
}

#[test]
fn what_is_forged_in_clear_is_never_believed_and_a_refusal_is() {
    let dns = Dns::start(ZONE);
    for forged in [
        "220 go\r\n250-forged.test\r\n250-AUTH PLAIN\r\n250 SIZE 0\r\n",
        "220 go\r\n250-forged.test\r\n250 SIZE 0\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 taken\r\n",
        "220 go\r\n2",
    ] {
        for policy in [TlsPolicy::Opportunistic, TlsPolicy::Required] {
            let host = TlsHost::start(&Certificate::of("mail.test"), &json!({"startTls": forged}));
            let relay = relay(policy, host.named("mail.test"), &dns);
            send(&relay, "not delivered");
            let error = suspended(&relay).last_error.expect("an error");
            assert_eq!((&*error.code.name(), error.stage), ("TLS_INJECTION", Stage::StartTls), "{error:?}");
            assert_eq!((relay.monitor().queue.messages, host.messages()), (1, Vec::new()), "{policy:?} {forged:?}");
        }
    }
    let refusal = json!({"startTls": "454 4.7.0 no TLS now\r\n"});
    let host = TlsHost::start(&Certificate::of("mail.test"), &refusal);
    let tolerant = relay(TlsPolicy::Opportunistic, host.named("mail.test"), &dns);
    send(&tolerant, "in clear");
    wait::until_equal(PATIENCE, "messages", vec![false], || host.messages());
    assert_eq!(connections(&host), 1, "the session goes on");
    let strict = relay(TlsPolicy::Required, host.named("mail.test"), &dns);
    send(&strict, "not at all");
    let error = suspended(&strict).last_error.expect("an error");
    assert_eq!((&*error.code.name(), error.stage), ("454 4.7.0", Stage::StartTls), "{error:?}");
}

#[test]
fn tls_begins_at_once_where_the_route_says_so_and_shows_the_relays_own_certificate() {
    let dns = Dns::start(ZONE);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (client, client_authority) = Certificate::signed("relay.test", YEARS);
    let (certificate, authority) = Certificate::signed("mail.test", YEARS);
    certificate::put(folder.path(), "clients", "ca.crt", &client_authority);
    let trusted = folder.path().join("clients/ca.crt");
    let host = TlsHost::start(&certificate, &json!({"mode": "Implicit", "authority": trusted}));
    let _ = client.put(folder.path(), "relay-tls");
    certificate::put(folder.path(), "mail-ca", "ca.crt", &authority);
    let smarthost = Smarthost {
        tls_mode: TlsMode::Implicit,
        ca: secret("mail-ca"),
        client_certificate: secret("relay-tls"),
        ..host.named("mail.test")
    };
    let file = folder.path().join("relay.yaml");
    let asked = manifest(TlsPolicy::Verified, smarthost);
    let relay = Relay::start_on(folder, &file, &asked, &["--resolver", &dns.address.to_string()]);
    send(&relay, "at once");
    wait::until_equal(PATIENCE, "messages", vec![true], || host.messages());
    let shown = host.seen().into_iter().find_map(|seen| match seen {
        Seen::Tls { client, .. } => client,
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some("relay.test"));
}

#[test]
fn sessions_are_resumed_within_a_policy_and_never_across() {
    let dns = Dns::start(ZONE);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (certificate, authority) = Certificate::signed("mail.test", YEARS);
    let host = TlsHost::start(&certificate, &json!({}));
    certificate::put(folder.path(), "mail-ca", "ca.crt", &authority);
    let verified = manifest(TlsPolicy::Verified, Smarthost { ca: secret("mail-ca"), ..host.named("mail.test") });
    let anybody = manifest(TlsPolicy::Opportunistic, host.named("mail.test"));
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &anybody, &["--resolver", &dns.address.to_string()]);
    let mut resumed = Vec::new();
    let steps = [(&anybody, false), (&anybody, true), (&verified, false), (&verified, true), (&anybody, true)];
    for (step, (asked, expected)) in steps.into_iter().enumerate() {
        relay.rewrite(asked);
        relay.await_reloads(step + 1);
        send(&relay, "again");
        resumed.push(("TLSv1.3".to_owned(), expected));
        wait::until_equal(PATIENCE, "handshakes", resumed.clone(), || host.handshakes());
        relay.await_empty();
        // Till the session is over: the next message is to need a connection of its own.
        wait::until_equal(PATIENCE, "sessions", 0.0, || relay.metric("mailsluice_smtp_client_sessions"));
    }
    assert!((handshakes(&relay, TlsPolicy::Opportunistic, "resumed") - 2.0).abs() < f64::EPSILON);
    assert!((handshakes(&relay, TlsPolicy::Verified, "resumed") - 1.0).abs() < f64::EPSILON);
}

/// How long the relay keeps a session that has nothing to do.
const IDLE_TIME: Duration = Duration::from_secs(2);

#[test]
fn another_client_certificate_is_shown_without_a_restart() {
    let dns = Dns::start(ZONE);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (first, first_by) = Certificate::signed("first.test", YEARS);
    let (second, second_by) = Certificate::signed("second.test", YEARS);
    certificate::put(folder.path(), "clients", "ca.crt", &format!("{first_by}{second_by}"));
    let trusted = folder.path().join("clients/ca.crt");
    let host = TlsHost::start(&Certificate::of("mail.test"), &json!({"authority": trusted}));
    let _ = first.put(folder.path(), "relay-tls");
    let smarthost = Smarthost { client_certificate: secret("relay-tls"), ..host.named("mail.test") };
    let file = folder.path().join("relay.yaml");
    let asked = manifest(TlsPolicy::Required, smarthost);
    let relay = Relay::start_on(folder, &file, &asked, &["--resolver", &dns.address.to_string()]);
    let shown = || {
        let shown = |seen| match seen {
            Seen::Tls { client, .. } => client,
            _ => None,
        };
        host.seen().into_iter().filter_map(shown).collect::<Vec<_>>()
    };
    send(&relay, "the first");
    wait::until_equal(PATIENCE, "certificates", vec!["first.test".to_owned()], shown);
    relay.await_empty();
    let _ = second.put(relay.folder(), "relay-tls");
    wait::until_some(PATIENCE, "the second one is shown", || {
        send(&relay, "perhaps the second");
        // A session that is in use goes on with the certificate that it began with: let it end.
        thread::sleep(2 * IDLE_TIME);
        shown().last().filter(|name| *name == "second.test").map(drop)
    });
    relay.await_empty();
}

#[test]
fn a_server_of_openssl_that_is_old_or_a_stranger_gets_nothing() {
    let dns = Dns::start(ZONE);
    let (good, authority) = Certificate::signed("mail.test", YEARS);
    let (expired, expired_by) = Certificate::signed("mail.test", 2020..2021);
    let (elsewhere, elsewhere_by) = Certificate::signed("elsewhere.test", YEARS);
    let own = Certificate::of("mail.test");
    for (certificate, trusted, options, code) in [
        (&expired, &expired_by, &[][..], "CERT_EXPIRED"),
        (&elsewhere, &elsewhere_by, &[], "CERT_WRONG_NAME"),
        (&own, &authority, &[], "CERT_UNKNOWN_ISSUER"),
        (&good, &authority, &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "TLS_ALERT 70"),
        (&good, &authority, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], "TLS_ALERT 40"),
    ] {
        let port = TlsPort::start(certificate, options);
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        certificate::put(folder.path(), "mail-ca", "ca.crt", trusted);
        let smarthost = Smarthost {
            tls_mode: TlsMode::Implicit,
            ca: secret("mail-ca"),
            ..Smarthost::new("mail.test", port.address.port())
        };
        let file = folder.path().join("relay.yaml");
        let asked = manifest(TlsPolicy::Verified, smarthost);
        let relay = Relay::start_on(folder, &file, &asked, &["--resolver", &dns.address.to_string()]);
        send(&relay, code);
        let error = suspended(&relay).last_error.expect("an error");
        assert_eq!(error.code.name(), code, "{options:?}: {error:?}");
        assert_eq!(relay.monitor().queue.messages, 1);
    }
}
