//! Mail whose sender requires TLS goes under TLS all the way or comes back, and mail whose author waives it goes nevertheless.

use std::{fs, net::SocketAddr, process::Command};

use mailsluice_crds::{
    monitor::{Reason, Stage},
    quantity::Interval,
    relay::{ListenerTls, Route, Smarthost, TlsMode, TlsPolicy},
};
use mailsluice_tests::{
    authority::Authority,
    certificate::Certificate,
    dialogue::Dialogue,
    dns::{Dns, Signed},
    mail,
    manifest::Manifest,
    network, process,
    relay::{PATIENCE, Relay, program},
    scripted::Scripted,
    secure::{Host, Page, Web},
    tls_host::{Seen, TlsHost},
    wait,
};
use serde_json::json;
use tempfile::TempDir;

const ZONE: &str = "mail.test. IN A 127.0.0.1\nnext.test. IN A 127.0.0.1\nback.test. IN A 127.0.0.1";
const YEARS: std::ops::Range<i32> = 2020..2090;

/// A relay that takes mail under TLS with this certificate, and trusts these authorities.
fn relay(mut manifest: Manifest, door: &Certificate, authorities: &str, arguments: &[&str]) -> Relay {
    let folder = TempDir::new().expect("a temporary folder");
    let _ = door.put(folder.path(), "door");
    manifest.tls = Some(ListenerTls { secret_name: "door".into(), mode: TlsMode::StartTls });
    let trusted = folder.path().join("authorities.pem");
    fs::write(&trusted, authorities).expect("write the authorities");
    let trusted = trusted.to_string_lossy();
    let file = folder.path().join("relay.yaml");
    let arguments = [arguments, &["--authorities", &trusted]].concat();
    Relay::start_on(folder, &file, &manifest, &arguments)
}

fn route(domains: &[&str], smarthost: Smarthost) -> Route {
    Route {
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        smarthost: Some(smarthost),
        ..Route::default()
    }
}

fn under_tls(relay: &Relay, door: &Certificate) -> Dialogue {
    let mut client = Dialogue::open(relay.smtp);
    client.expect("STARTTLS", "220 ");
    client.secure(door);
    let offered = client.expect("EHLO client.test", "250");
    assert!(offered.contains("REQUIRETLS"), "{offered}");
    client
}

/// A message with these parameters in MAIL.
fn send(client: &mut Dialogue, parameters: &str, to: &str, text: &[u8]) {
    client.expect(&format!("MAIL FROM:<shop@back.test>{parameters}"), "250");
    client.expect(&format!("RCPT TO:<{to}>"), "250");
    client.expect("DATA", "354");
    client.send(&mailsluice_tests::dialogue::stuffed(text));
    let reply = client.reply();
    assert!(reply.starts_with("250"), "{reply}");
}

/// The MAIL commands that a host got, and whether each came under TLS.
fn mails(host: &TlsHost) -> Vec<(String, bool)> {
    let mail = |seen| match seen {
        Seen::Command { line, secure } if line.starts_with("MAIL ") => {
            Some((line.split(" SIZE").next().unwrap_or_default().to_owned() + required(&line), secure))
        }
        _ => None,
    };
    host.seen().into_iter().filter_map(mail).collect()
}

fn required(line: &str) -> &'static str {
    if line.ends_with(" REQUIRETLS") { " REQUIRETLS" } else { "" }
}

/// The messages that a host got whose text holds this.
fn texts(host: &TlsHost, part: &str) -> Vec<String> {
    let message = |seen| match seen {
        Seen::Message { text, .. } => Some(text),
        _ => None,
    };
    host.seen().into_iter().filter_map(message).filter(|text| text.contains(part)).collect()
}

#[test]
fn it_goes_under_verified_tls_from_relay_to_relay_and_is_not_forgotten_by_a_crash() {
    let dns = Dns::start(ZONE);
    let resolver = dns.address.to_string();
    let (door, door_by) = Certificate::signed("mail.test", YEARS);
    let (end, end_by) = Certificate::signed("next.test", YEARS);
    let last = TlsHost::start(&end, &json!({"requireTls": true}));
    let to_last = Route { tls: Some(TlsPolicy::Verified), ..route(&["*"], last.named("next.test")) };
    let second = relay(Manifest::with_routes(vec![to_last]), &door, &end_by, &["--resolver", &resolver]);

    let nobody = Scripted::start(|_| Some("421 4.3.2 not now".into()));
    let own = Certificate::of("mail.test");
    let mut first = relay(Manifest::to(nobody.address), &own, &door_by, &["--resolver", &resolver]);
    let mut client = under_tls(&first, &own);
    send(&mut client, " REQUIRETLS", "a@one.test", &mail::text("secret"));
    send(&mut client, "", "b@one.test", &mail::text("other"));
    first.kill();
    let spool = first.folder().join("spool");
    let tool = |what: &[&str], more: &[&str]| {
        let output = process::output(Command::new(program()).arg("spool").args(what).arg(&spool).args(more));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let listed: serde_json::Value = serde_json::from_str(&tool(&["list"], &["-o", "json"])).expect("JSON");
    assert_eq!((&listed[0]["requireTls"], listed[1].get("requireTls")), (&json!(true), None), "{listed}");
    let shown = tool(&["show"], &[listed[0]["id"].as_str().expect("an id")]);
    assert!(shown.contains("tls:       required all the way (REQUIRETLS)"), "{shown}");

    let smarthost = Smarthost::new("mail.test", second.smtp.port());
    let mut to_second = Manifest::with_routes(vec![route(&["*"], smarthost)]);
    to_second.tls = Some(ListenerTls { secret_name: "door".into(), mode: TlsMode::StartTls });
    first.rewrite(&to_second);
    first.restart();
    wait::until_equal(PATIENCE, "messages at the last host", 2, || last.messages().len());
    let mut found = mails(&last);
    found.sort();
    let from = "MAIL FROM:<shop@back.test>";
    assert_eq!(found, [(from.to_owned(), true), (format!("{from} REQUIRETLS"), true)]);
    first.await_empty();
    second.await_empty();
}

#[test]
fn what_a_host_cannot_have_so_comes_back_and_its_other_mail_goes_on() {
    let dns = Dns::start(ZONE);
    let own = Certificate::of("mail.test");
    let (good, good_by) = Certificate::signed("mail.test", YEARS);
    let (back, back_by) = Certificate::signed("back.test", YEARS);
    for (certificate, options, returned_to, status, says) in [
        (&good, json!({}), true, "5.7.30", "no REQUIRETLS is offered by mail.test"),
        (&good, json!({"mode": "None"}), true, "5.7.10", "TLS_NOT_OFFERED: the host offers no STARTTLS"),
        (&Certificate::of("mail.test"), json!({"requireTls": true}), true, "5.7.10", "CERT_UNKNOWN_ISSUER"),
        // The report is not lost where it cannot go as it should.
        (&good, json!({}), false, "5.7.30", "no REQUIRETLS is offered by mail.test"),
    ] {
        let host = TlsHost::start(certificate, &options);
        let origin = TlsHost::start(&back, &json!({"requireTls": returned_to}));
        let routes = vec![route(&["back.test"], origin.named("back.test")), route(&["*"], host.named("mail.test"))];
        let authorities = [good_by.as_str(), &back_by].concat();
        let arguments = ["--resolver", &dns.address.to_string()];
        let relay = relay(Manifest::with_routes(routes), &own, &authorities, &arguments);
        let mut client = under_tls(&relay, &own);
        send(&mut client, " REQUIRETLS RET=FULL", "a@one.test", &mail::text("secret"));
        send(&mut client, "", "b@one.test", &mail::text("other"));
        wait::until_equal(PATIENCE, &format!("other mail: {says}"), 1, || texts(&host, "Subject: other").len());
        let report =
            wait::until_some(PATIENCE, &format!("a report: {says}"), || texts(&origin, "Subject: secret").pop());
        // Lines are broken where they are long.
        let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [says, &format!("Status: {status}"), "without REQUIRETLS if that may be"] {
            assert!(words.contains(part), "{part}: {report}");
        }
        assert!(!report.contains(".leading dot"), "RET=FULL does not count: {report}");
        let expected = if returned_to { "MAIL FROM:<> REQUIRETLS" } else { "MAIL FROM:<>" };
        assert_eq!(mails(&origin), [(expected.to_owned(), true)], "{says}");
        assert!(texts(&host, "Subject: secret").is_empty(), "{says}");
        relay.await_empty();
    }
}

#[test]
fn what_may_be_otherwise_soon_keeps_it_waiting_and_nothing_else() {
    let dns = Dns::start(ZONE);
    let own = Certificate::of("mail.test");
    let (good, good_by) = Certificate::signed("mail.test", YEARS);
    let busy = json!({"startTls": "454 4.7.0 not now\r\n"});
    let host = TlsHost::start(&good, &busy);
    let routes = vec![route(&["*"], host.named("mail.test"))];
    let arguments = ["--resolver", &dns.address.to_string()];
    let relay = relay(Manifest::with_routes(routes), &own, &good_by, &arguments);
    let mut client = under_tls(&relay, &own);
    send(&mut client, " REQUIRETLS", "a@one.test", &mail::text("secret"));
    let row = wait::until_some(PATIENCE, "the message is put off", || {
        relay.monitor().monitor.into_iter().find(|row| row.reason == Some(Reason::MessagesDeferred))
    });
    let problem = row.problem.unwrap_or_default();
    let says = "the sender requires TLS all the way (REQUIRETLS), and whether a host has it is not known yet";
    assert!(problem.starts_with("454 4.7.0 at StartTls with ") && problem.contains(says), "{problem}");
    send(&mut client, "", "b@one.test", &mail::text("other"));
    wait::until_equal(PATIENCE, "messages", vec![false], || host.messages());
}

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], port))
}

fn arrived(host: &Host, to: &str) -> Vec<(bool, bool)> {
    let to = vec![to.to_owned()];
    let arrivals = host.arrivals().into_iter().filter(|arrival| arrival.recipients == to);
    arrivals.map(|arrival| (arrival.sealed, arrival.required)).collect()
}

#[test]
fn by_mx_it_goes_to_hosts_that_dnssec_or_a_policy_names() {
    network::alone("mail_that_requires_tls::by_mx_it_goes_to_hosts_that_dnssec_or_a_policy_names", || {
        let authority = Authority::new();
        let dane = authority.issue("elsewhere.invalid");
        let signed = format!(
            "
back.test.        IN MX 10 mx.back.test.
mx.back.test.     IN A 127.0.0.2
dane.test.        IN MX 10 mx.dane.test.
mx.dane.test.     IN A 127.0.0.3
_25._tcp.mx.dane.test. IN TLSA 3 1 1 {}
second.test.      IN MX 10 clear.second.test.
second.test.      IN MX 20 mx.back.test.
clear.second.test. IN A 127.0.0.5
",
            dane.tlsa()
        );
        let unsigned = "
policy.plain.     IN MX 10 mx.policy.plain.
mx.policy.plain.  IN A 127.0.0.4
_mta-sts.policy.plain. IN TXT \"v=STSv1; id=1;\"
mta-sts.policy.plain. IN A 127.0.0.10
no.plain.         IN MX 10 mx.policy.plain.
none.plain.       IN A 127.0.0.6
";
        let dns = Dns::signed(&[("test.", Signed::Well, &signed), ("plain.", Signed::Not, unsigned)]);
        let folder = TempDir::new().expect("a temporary folder");
        let (anchor, authorities) = (dns.trust_anchor(folder.path()), authority.file(folder.path()));
        let back = Host::start_at(at(2, 25), Some(authority.issue("mx.back.test").server()));
        let known = Host::start_at(at(3, 25), Some(dane.server()));
        let listed = Host::start_at(at(4, 25), Some(authority.issue("mx.policy.plain").server()));
        let clear = Host::start_at(at(5, 25), None);
        let itself = Host::start_at(at(6, 25), Some(authority.issue("none.plain").server()));
        let page = Page::text("version: STSv1\r\nmode: testing\r\nmx: mx.policy.plain\r\nmax_age: 86400\r\n");
        let _web = Web::start_at(at(10, 443), authority.issue("mta-sts.policy.plain").server(), Some(page));
        let own = Certificate::of("mail.test");
        let authorities = fs::read_to_string(authorities).expect("the authority");
        let (resolver, anchor) = (dns.address.to_string(), anchor.to_string_lossy());
        let arguments = ["--resolver", &resolver, "--trust-anchor", &anchor];
        let relay = relay(Manifest::by_mx(), &own, &authorities, &arguments);
        let mut client = under_tls(&relay, &own);
        let all = ["back.test", "dane.test", "second.test", "policy.plain", "none.plain", "no.plain"];
        for domain in all {
            send(&mut client, " REQUIRETLS", &format!("a@{domain}"), &mail::text(domain));
        }
        for (host, domain) in [
            (&back, "back.test"),
            (&known, "dane.test"),
            (&back, "second.test"),
            (&listed, "policy.plain"),
            (&itself, "none.plain"),
        ] {
            let to = format!("a@{domain}");
            wait::until_equal(PATIENCE, &format!("how mail for {domain} arrived"), vec![(true, true)], || {
                arrived(host, &to)
            });
        }
        wait::until_equal(PATIENCE, "reports of no.plain", vec![(true, true)], || arrived(&back, "shop@back.test"));
        relay.await_empty();
        assert!(arrived(&listed, "a@no.plain").is_empty() && clear.arrivals().is_empty());
        let _ = relay.await_log("nothing proves that mail for no.plain goes to mx.policy.plain");
    });
}

#[test]
fn mail_that_waives_tls_goes_where_the_domains_policy_would_hold_it() {
    network::alone("mail_that_requires_tls::mail_that_waives_tls_goes_where_the_domains_policy_would_hold_it", || {
        let authority = Authority::new();
        let domain = |name: &str, exchanger: u8, web: u8| {
            format!(
                "{name}.test. IN MX 10 mx.{name}.test.\nmx.{name}.test. IN A 127.0.0.{exchanger}\n\
                     _mta-sts.{name}.test. IN TXT \"v=STSv1; id=1;\"\nmta-sts.{name}.test. IN A 127.0.0.{web}\n"
            )
        };
        let zone = [domain("stranger", 3, 11), domain("moved", 4, 12), domain("strict", 3, 13)].concat();
        let dns = Dns::start(&zone);
        let stranger = Host::start_at(at(3, 25), Some(authority.issue_expired("mx.stranger.test").server()));
        let clear = Host::start_at(at(4, 25), None);
        let policy = |exchanger: &str| {
            Page::text(&format!("version: STSv1\r\nmode: enforce\r\nmx: {exchanger}\r\nmax_age: 86400\r\n"))
        };
        let web = |last, name: &str, page| {
            Web::start_at(at(last, 443), authority.issue(&format!("mta-sts.{name}.test")).server(), Some(page))
        };
        let _webs = [web(11, "stranger", policy("mx.stranger.test")), web(12, "moved", policy("mx.elsewhere.test"))];
        let mut manifest = Manifest::by_mx();
        manifest.relay.tls = TlsPolicy::MtaSts;
        // What fails is not tried again of itself while the test looks.
        manifest.relay.retry.first = Interval::from_secs(3_600);
        manifest.relay.retry.longest = Interval::from_secs(3_600);
        let own_policy = Route { tls: Some(TlsPolicy::Verified), ..manifest.relay.routes[0].clone() };
        manifest.relay.routes.insert(0, Route { domains: vec!["strict.test".into()], ..own_policy });
        let folder = TempDir::new().expect("a temporary folder");
        let authorities = authority.file(folder.path());
        let relay = Relay::start_with(
            &manifest,
            &["--resolver", &dns.address.to_string(), "--authorities", authorities.to_str().expect("UTF-8")],
        );
        let mut client = Dialogue::open(relay.smtp);
        let waives = |name: &str| [b"TLS-Required: No\r\n".as_slice(), &mail::text(name)].concat();
        for domain in ["stranger", "moved", "strict"] {
            client.message("shop@back.test", &[&format!("held@{domain}.test")], &mail::text(domain));
            wait::until_some(PATIENCE, &format!("{domain} is suspended"), || {
                relay.row(&format!("{domain}.test")).filter(|row| row.reason == Some(Reason::TlsFailed))
            });
            client.message("shop@back.test", &[&format!("goes@{domain}.test")], &waives(domain));
        }
        for (host, domain, sealed) in [(&stranger, "stranger", true), (&clear, "moved", false)] {
            let to = format!("goes@{domain}.test");
            wait::until_equal(PATIENCE, &format!("how mail for {domain} arrived"), vec![(sealed, false)], || {
                arrived(host, &to)
            });
        }
        // What the administrator asks for stays in force, and so does the policy for other mail.
        for (domain, waiting) in [("stranger", 1), ("moved", 1), ("strict", 2)] {
            wait::until_equal(PATIENCE, &format!("mail that waits for {domain}"), Some(waiting), || {
                let row = relay.row(&format!("{domain}.test"))?;
                (row.reason == Some(Reason::TlsFailed)).then_some(row.messages)
            });
        }
        let error = relay.row("stranger.test").and_then(|row| row.last_error).expect("an error");
        assert_eq!((&*error.code.name(), error.stage), ("CERT_EXPIRED", Stage::StartTls), "{error:?}");
        assert!(arrived(&stranger, "held@stranger.test").is_empty());
    });
}
