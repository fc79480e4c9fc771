//! Smarthosts that ask for a login get the credentials of a Secret, by the strongest mechanism and never in clear; what they refuse
//! holds up the mail, harms no message, and goes on by itself when the Secret is put right.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    LogLevel,
    monitor::{HostRow, ProblemReason, Reason, Stage},
    relay::{Client, ListenerTls, SecretRef, Smarthost, TlsMode, TlsPolicy, Users},
};
use mailsluice_tests::{
    certificate::{self, Certificate},
    dialogue::Dialogue,
    dns::Dns,
    mail,
    manifest::{Manifest, smarthost},
    network, process,
    relay::{PATIENCE, Relay, program},
    scripted::Scripted,
    sink::Sink,
    wait,
};
use tempfile::TempDir;

const LOGIN: &str = "provider-login";
const USERS: &str = "provider-users";

/// A relay whose mail goes to this host, with the credentials of a Secret that holds these keys.
fn relay(host: Smarthost, policy: TlsPolicy, keys: &[(&str, &str)], more: &[&str]) -> Relay {
    let folder = TempDir::new().expect("a temporary folder");
    put(folder.path(), keys);
    relay_on(folder, host, policy, more)
}

fn relay_on(folder: TempDir, host: Smarthost, policy: TlsPolicy, more: &[&str]) -> Relay {
    let mut manifest = Manifest::to(SocketAddr::from(([127, 0, 0, 1], 1)));
    manifest.relay.tls = policy;
    manifest.relay.log.level = LogLevel::AllInfo;
    let credentials = Some(SecretRef { secret_name: LOGIN.into() });
    manifest.relay.routes[0].smarthost = Some(Smarthost { credentials, ..host });
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, more)
}

fn put(folder: &Path, keys: &[(&str, &str)]) {
    keys.iter().for_each(|(key, text)| certificate::put(folder, LOGIN, key, text));
}

fn send(relay: &Relay, subject: &str) {
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text(subject));
}

/// Waits until mail waits for the host, because of this code.
fn await_suspended(relay: &Relay, reason: Reason, code: &str) -> HostRow {
    wait::until_some(PATIENCE, &format!("the host is suspended for {code}"), || {
        let found = |row: &HostRow| {
            row.reason == Some(reason) && row.last_error.as_ref().is_some_and(|error| error.code.name() == code)
        };
        relay.monitor().monitor.into_iter().find(found)
    })
}

/// A host in clear that offers AUTH by these mechanisms, and answers what `answer` says.
fn host(mechanisms: &'static str, answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |line| match line.split(' ').next() {
        Some("EHLO") => Some(format!("250-scripted\r\n250-PIPELINING\r\n250 AUTH {mechanisms}")),
        _ => answer(line).map(str::to_owned),
    })
}

/// The lines that begin so, of what a host heard.
fn heard(host: &Scripted, start: &str) -> Vec<String> {
    host.heard().into_iter().filter(|line| line.starts_with(start)).collect()
}

/// A mail provider: a real relay that lets `shop` in with a password, under TLS; its folder has the Secrets.
fn provider(sink: &Sink, certificate: &Certificate, password: &str, more: &[&str]) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    let users = Some(Users { secret_name: USERS.into() });
    manifest.relay.clients = vec![Client { users, ..Client::default() }];
    manifest.tls = Some(ListenerTls { secret_name: "provider-tls".into(), mode: TlsMode::StartTls });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = certificate.put(folder.path(), "provider-tls");
    set_password(folder.path(), password);
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, more)
}

fn set_password(folder: &Path, password: &str) {
    let file = folder.join("password");
    fs::write(&file, format!("{password}\n")).expect("write a password");
    let input = fs::File::open(&file).expect("read a password");
    let line = process::run(Command::new(program()).args(["hash-password", "shop", "--kind", "scram"]).stdin(input));
    certificate::put(folder, USERS, "users", &line);
}

#[test]
fn a_password_is_proved_under_tls_and_a_new_one_is_in_force_without_a_restart() {
    let sink = Sink::start();
    let dns = Dns::start("mail.test. IN A 127.0.0.1");
    let (certificate, authority) = Certificate::signed("mail.test", 2020..2090);
    let provider = provider(&sink, &certificate, "pencil", &[]);
    let folder = TempDir::new().expect("a temporary folder");
    certificate::put(folder.path(), "provider-ca", "ca.crt", &authority);
    put(folder.path(), &[("username", "shop\n"), ("password", "pencil\n")]);
    let ca = Some(SecretRef { secret_name: "provider-ca".into() });
    let host = Smarthost { ca, ..Smarthost::new("mail.test", provider.smtp.port()) };
    let resolver = dns.address.to_string();
    let relay = relay_on(folder, host, TlsPolicy::Verified, &["--resolver", &resolver]);
    let id = relay.id();

    send(&relay, "first");
    let arrived = sink.await_messages(1, PATIENCE);
    let text = String::from_utf8_lossy(&arrived[0].octets).into_owned();
    assert!(text.contains(" with ESMTPSA id "), "it came with a login: {text}");
    let record = relay.await_record("the login", |record| record.msg.starts_with("logged in"));
    assert_eq!(record.field("mechanism").as_deref(), Some("SCRAM-SHA-256-PLUS"));
    assert_eq!(record.msg, "logged in with the credentials of Secret provider-login");

    // The provider has another password now, and the Secret not yet.
    set_password(provider.folder(), "crayon");
    wait::until_equal(PATIENCE, "the provider's readings", 2, || {
        provider.records().iter().filter(|record| record.msg == "the Secrets are read").count()
    });
    wait::until_equal(PATIENCE, "sessions", 0.0, || relay.metric("mailsluice_smtp_client_sessions"));
    send(&relay, "second");
    let row = await_suspended(&relay, Reason::AuthFailed, "535 5.7.8");
    let error = row.last_error.expect("an error");
    assert_eq!((error.stage, error.number), (Stage::Auth, Some(535)));
    let said = "the smarthost refused the credentials of Secret provider-login: 535 5.7.8 Authentication failed";
    assert_eq!(error.text, said);
    assert!(row.problem.expect("a problem").ends_with(said));
    assert_eq!((relay.monitor().queue.messages, sink.count()), (1, 1), "it waits, and nobody gets a bounce");

    // It is put right: at once, though the host is suspended for minutes yet.
    put(relay.folder(), &[("password", "crayon")]);
    assert_eq!(sink.await_messages(2, PATIENCE)[1].subject(), "second");
    relay.await_empty();
    assert_eq!(relay.id(), id);
    let count =
        |result: &str| relay.metric(&format!("mailsluice_smtp_client_authentications_total{{result=\"{result}\"}}"));
    assert!(count("done") >= 2.0 && count("refused") >= 1.0);
    let _ = relay.await_log("> AUTH SCRAM-SHA-256-PLUS …");
    let log = relay.await_log("< 334 …");
    assert!(!log.contains("pencil") && !log.contains("crayon"), "what is secret is not");
}

#[test]
fn nothing_is_shown_in_clear_nor_to_a_host_that_does_not_prove_who_it_is() {
    network::alone(
        "smarthosts_that_ask_for_a_login::nothing_is_shown_in_clear_nor_to_a_host_that_does_not_prove_who_it_is",
        || {
            let sink = Sink::start();
            let outer = format!("{}:0", network::OUTER_ADDRESS).parse().expect("an address");
            let clear = Scripted::start_at(outer, |line| {
                line.starts_with("EHLO").then(|| "250-scripted\r\n250 AUTH PLAIN LOGIN".to_owned())
            });
            let stranger = provider(&sink, &Certificate::of("mail.test"), "pencil", &["--bind", "0.0.0.0"]);
            let away = |port| Smarthost::new(network::OUTER_ADDRESS, port);
            let keys = [("username", "shop"), ("password", "pencil")];
            for policy in [TlsPolicy::Opportunistic, TlsPolicy::Required] {
                for (port, code) in
                    [(clear.address.port(), "TLS_NOT_OFFERED"), (stranger.smtp.port(), "CERT_UNKNOWN_ISSUER")]
                {
                    let relay = relay(away(port), policy, &keys, &[]);
                    send(&relay, "waits");
                    let _ = await_suspended(&relay, Reason::TlsFailed, code);
                    assert_eq!(relay.monitor().queue.messages, 1, "{policy:?}");
                }
            }
            assert_eq!(heard(&clear, "AUTH"), Vec::<String>::new());
            for result in ["done", "failed"] {
                let tried = format!("mailsluice_smtp_server_authentications_total{{result=\"{result}\"}}");
                assert!(stranger.metric(&tried) < 1.0, "{result}");
            }
            assert_eq!(sink.count(), 0);
        },
    );
}

#[test]
fn a_login_is_shown_in_clear_on_this_machine_and_tells_of_the_submitter() {
    let host = host("LOGIN PLAIN", |line| line.starts_with("AUTH PLAIN").then_some("235 2.7.0 in"));
    let keys = [("username", "shop"), ("password", "pencil")];
    let relay = relay(smarthost(host.address), TlsPolicy::Off, &keys, &[]);
    send(&relay, "one");
    send(&relay, "two");
    wait::until_equal(PATIENCE, "messages", 2, || heard(&host, ".").len());
    assert!(!heard(&host, "AUTH PLAIN AHNob3AAcGVuY2ls").is_empty());
    assert_eq!(heard(&host, "AUTH").len(), heard(&host, "EHLO").len(), "once for each connection");
    assert!(heard(&host, "MAIL").iter().all(|line| line.ends_with(" AUTH=<>")), "{:?}", host.heard());
    let log = relay.await_log("> AUTH PLAIN …");
    assert!(!log.contains("AHNob3A"), "{log}");
}

#[test]
fn a_missing_secret_holds_what_needs_it_and_is_named() {
    let host = host("PLAIN", |line| line.starts_with("AUTH PLAIN").then_some("235 2.7.0 in"));
    let relay = relay(smarthost(host.address), TlsPolicy::Off, &[], &[]);
    send(&relay, "held");
    let error = await_suspended(&relay, Reason::AuthFailed, "AUTH_NOT_READY").last_error.expect("an error");
    assert_eq!(error.stage, Stage::Auth);
    assert!(error.text.starts_with("the Secret provider-login is missing, or cannot be used"), "{}", error.text);
    let problem = |relay: &Relay| {
        let problems = relay.monitor().problems.into_iter();
        problems.filter(|problem| problem.reason == ProblemReason::SecretInvalid).map(|problem| problem.message).next()
    };
    let said = problem(&relay).expect("a problem");
    assert!(said.starts_with("Secret provider-login: username: No such file"), "{said}");
    assert!(said.ends_with("; mail for smarthosts with these credentials waits"), "{said}");
    assert_eq!(host.heard(), Vec::<String>::new(), "it is not even called");

    put(relay.folder(), &[("username", "shop")]);
    wait::until_some(PATIENCE, "the next thing that is missing", || {
        problem(&relay).filter(|said| said.contains("password: it is missing, and there is no token either"))
    });
    put(relay.folder(), &[("password", "pencil")]);
    relay.await_empty();
    assert_eq!((heard(&host, ".").len(), problem(&relay)), (1, None));
}

#[test]
fn what_else_a_host_says_holds_up_the_mail_and_returns_none_of_it() {
    for (mechanisms, answer, code) in [
        ("PLAIN", Some("454 4.7.0 Temporary authentication failure"), "454 4.7.0"),
        ("PLAIN", Some("534 5.7.9 Authentication mechanism is too weak"), "534 5.7.9"),
        ("PLAIN", Some("538 5.7.11 Encryption required"), "538 5.7.11"),
        ("PLAIN", Some("334 AAAA"), "AUTH_BROKEN_OFF"),
        ("GSSAPI NTLM", None, "AUTH_NO_MECHANISM"),
    ] {
        let host = host(mechanisms, move |line| line.starts_with("AUTH").then_some(answer).flatten());
        let keys = [("username", "shop"), ("password", "pencil")];
        let relay = relay(smarthost(host.address), TlsPolicy::Off, &keys, &[]);
        send(&relay, "waits");
        let error = await_suspended(&relay, Reason::AuthFailed, code).last_error.expect("an error");
        assert!(error.text.contains("credentials of Secret provider-login"), "{code}: {}", error.text);
        assert_eq!(relay.monitor().queue.messages, 1, "{code}");
        assert_eq!(heard(&host, "MAIL"), Vec::<String>::new(), "{code}");
    }
    let without = Scripted::start(|_| None);
    let relay = relay(smarthost(without.address), TlsPolicy::Off, &[("username", "shop"), ("password", "pencil")], &[]);
    send(&relay, "waits");
    let error = await_suspended(&relay, Reason::AuthFailed, "AUTH_NOT_OFFERED").last_error.expect("an error");
    assert!(error.text.ends_with("credentials of Secret provider-login: it offers no AUTH"), "{}", error.text);
    assert_eq!(heard(&without, "MAIL"), Vec::<String>::new());
}

#[test]
fn a_host_that_refuses_a_password_is_not_asked_again_over_its_other_addresses() {
    let refuse = |line: &str| match line.split(' ').next() {
        Some("EHLO") => Some("250-scripted\r\n250 AUTH PLAIN".to_owned()),
        Some("AUTH") => Some("535 5.7.8 Bad credentials".to_owned()),
        _ => None,
    };
    let one = Scripted::start(refuse);
    let other = Scripted::start_at(SocketAddr::from(([127, 0, 0, 2], one.address.port())), refuse);
    let dns = Dns::start("mail.test. IN A 127.0.0.1\nmail.test. IN A 127.0.0.2");
    let host = Smarthost::new("mail.test", one.address.port());
    let keys = [("username", "shop"), ("password", "pencil")];
    let relay = relay(host, TlsPolicy::Opportunistic, &keys, &["--resolver", &dns.address.to_string()]);
    send(&relay, "waits");
    let _ = await_suspended(&relay, Reason::AuthFailed, "535 5.7.8");
    assert_eq!(heard(&one, "AUTH").len() + heard(&other, "AUTH").len(), 1);
}

/// The token of an OAUTHBEARER's AUTH.
fn token(line: &str) -> String {
    let shown = BASE64_STANDARD.decode(line.trim_start_matches("AUTH OAUTHBEARER ")).expect("base64");
    let shown = String::from_utf8(shown).expect("UTF-8");
    shown.split("auth=Bearer ").nth(1).expect("a token").trim_end_matches('\x01').to_owned()
}

#[test]
fn a_token_is_shown_and_the_next_one_on_a_connection_of_its_own() {
    let host = host("OAUTHBEARER XOAUTH2 PLAIN", |line| match line {
        "AQ==" => Some("535 5.7.8 Token expired"),
        line if line.starts_with("AUTH OAUTHBEARER") && token(line) == "old" => Some("334 eyJzdGF0dXMiOiI0MDEifQ=="),
        line if line.starts_with("AUTH OAUTHBEARER") => Some("235 2.7.0 in"),
        _ => None,
    });
    let relay = relay(smarthost(host.address), TlsPolicy::Off, &[("username", "shop"), ("token", "old\n")], &[]);
    send(&relay, "one");
    let error = await_suspended(&relay, Reason::AuthFailed, "535 5.7.8").last_error.expect("an error");
    assert!(
        error.text.ends_with("Secret provider-login: 535 5.7.8 Token expired ({\"status\":\"401\"})"),
        "{}",
        error.text
    );
    put(relay.folder(), &[("token", "new")]);
    relay.await_empty();
    let read = || relay.records().iter().filter(|record| record.msg == "the Secrets are read").count();
    wait::until_equal(PATIENCE, "readings of the Secret, the first at the start", 2, read);
    put(relay.folder(), &[("token", "newer")]);
    wait::until_equal(PATIENCE, "readings of the Secret", 3, read);
    // Though the connection before it may still be open.
    send(&relay, "two");
    wait::until_equal(PATIENCE, "messages", 2, || heard(&host, ".").len());
    let shown: Vec<String> = heard(&host, "AUTH").iter().map(|line| token(line)).collect();
    assert_eq!(shown, ["old", "new", "newer"]);
}
