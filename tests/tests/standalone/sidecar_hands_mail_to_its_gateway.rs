//! An application that speaks plain SMTP to a sidecar on loopback has its mail taken by the gateway, in the gateway's own words, and a
//! message that broke midway is not both refused and delivered.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::relay::{Client as Entry, ListenerTls, ServiceAccount, TlsMode};
use mailsluice_tests::{
    certificate::Certificate,
    clients::Client,
    dialogue::{Dialogue, stuffed},
    load::{Load, tally},
    mail,
    manifest::Manifest,
    namespace,
    process::{self, Process},
    relay::{PATIENCE, Relay},
    sidecar::{Sidecar, program},
    sink::Sink,
    token::Issuer,
    wait,
};
use tempfile::TempDir;

const TLS: &str = "outbound-tls";
pub(crate) const FROM: &str = "shop@example.org";

/// A relay as gateway, and what a sidecar is let in by.
pub(crate) struct Gateway {
    pub(crate) relay: Relay,
    pub(crate) sink: Sink,
    certificate: Certificate,
    cluster: Issuer,
}

impl Gateway {
    pub(crate) fn start() -> Gateway {
        Gateway::start_by(TlsMode::StartTls)
    }

    fn start_by(mode: TlsMode) -> Gateway {
        Gateway::start_with(mode, |_| {})
    }

    pub(crate) fn start_with(mode: TlsMode, change: impl FnOnce(&mut Manifest)) -> Gateway {
        let (sink, cluster) = (Sink::start(), Issuer::new("one"));
        let mut manifest = Manifest::to(sink.address);
        manifest.relay.clients = vec![Entry {
            service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
            senders: vec![FROM.into()],
            ..Entry::default()
        }];
        manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode });
        change(&mut manifest);
        let folder = TempDir::new().expect("a temporary folder");
        let certificate = Certificate::of("mail.test");
        let _ = certificate.put(folder.path(), TLS);
        fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
        let file = folder.path().join("relay.yaml");
        Gateway { relay: Relay::start_on(folder, &file, &manifest, &[]), sink, certificate, cluster }
    }

    /// A session with it without a sidecar, by STARTTLS and the same token.
    pub(crate) fn direct(&self) -> Dialogue {
        let mut client = Dialogue::open(self.relay.smtp);
        client.expect("STARTTLS", "220");
        client.secure(&self.certificate);
        client.expect("EHLO client.test", "250");
        let shown = BASE64_STANDARD.encode(format!("n,,\x01auth=Bearer {}\x01\x01", self.token()));
        client.expect(&format!("AUTH OAUTHBEARER {shown}"), "235");
        client
    }

    fn authorities(&self) -> PathBuf {
        self.relay.folder().join(TLS).join("tls.crt")
    }

    fn token(&self) -> String {
        self.cluster.token("shop", "checkout", "mailsluice", 3600)
    }

    pub(crate) fn sidecar(&self, more: &[&str]) -> Sidecar {
        Sidecar::start(&self.relay.smtp.to_string(), &self.authorities(), &self.token(), more)
    }

    /// How many messages it has taken.
    pub(crate) fn taken(&self) -> f64 {
        self.relay.metric("mailsluice_messages_accepted_total")
    }

    /// Waits until no client is connected, so that nothing that was on its way is still to be taken.
    fn await_no_sessions(&self) {
        wait::until_equal(PATIENCE, "sessions at the gateway", 0.0, || {
            self.relay.metric("mailsluice_smtp_server_sessions")
        });
    }
}

/// Begins a message and sends half of its text, which is larger than what buffers on the way hold.
fn half_a_message(address: SocketAddr, subject: &str) -> (Dialogue, Vec<u8>) {
    let mut client = Dialogue::open(address);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    let wire = stuffed(&mail::text_of_size(subject, 400_000));
    let (half, rest) = wire.split_at(wire.len() / 2);
    client.send(half);
    (client, rest.to_vec())
}

#[test]
fn applications_that_know_plain_smtp_alone_send_through_it() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    for (client, address) in
        [(Client::Smtplib, sidecar.smtp), (Client::Swaks, sidecar.smtp), (Client::Smtplib, sidecar.smtp6)]
    {
        client.send(address, FROM, &["a@one.test", "b@one.test"], &mail::text(client.name()));
    }
    let arrived = gateway.sink.await_by_subject(3, PATIENCE);
    for (message, name) in arrived.iter().zip(["smtplib", "smtplib", "swaks"]) {
        assert_eq!(message.subject(), name);
        assert_eq!(message.text(), mail::text(name), "not an octet is changed");
        // The gateway knows the pod by its token, and TLS by itself.
        assert!(String::from_utf8_lossy(&message.octets).contains(" with ESMTPSA id "));
    }
    assert_eq!(sidecar.metric("mailsluice_messages_accepted_total"), 3.0);
    assert_eq!(gateway.taken(), 3.0);
    // Many messages over one connection, and one connection to the gateway.
    let logins = sidecar.metric("mailsluice_smtp_client_authentications_total{result=\"done\"}");
    let mut client = Dialogue::open(sidecar.smtp);
    for number in 0..20 {
        client.message(FROM, &["a@one.test"], &mail::text(&format!("of many {number}")));
    }
    let _ = gateway.sink.await_messages(23, PATIENCE);
    assert_eq!(sidecar.metric("mailsluice_smtp_client_authentications_total{result=\"done\"}"), logins);
    let log = sidecar.log_text() + &gateway.relay.log_text();
    assert!(gateway.token().split('.').skip(1).all(|part| !log.contains(part)), "a token is in a log");
}

#[test]
fn replies_and_offers_are_the_gateways_own() {
    let gateway = Gateway::start_by(TlsMode::Implicit);
    let sidecar = gateway.sidecar(&["--tls", "implicit"]);
    let mut client = Dialogue::open(sidecar.smtp);
    let offers = client.say("EHLO client.test");
    for (extension, offered) in [
        ("SIZE 52428800", true),
        ("PIPELINING", true),
        ("8BITMIME", true),
        ("SMTPUTF8", true),
        ("CHUNKING", true),
        ("BINARYMIME", true),
        ("DSN", true),
        ("ENHANCEDSTATUSCODES", true),
        ("AUTH", false),
        ("STARTTLS", false),
        ("REQUIRETLS", false),
    ] {
        assert_eq!(offers.contains(extension), offered, "{extension} in {offers}");
    }
    // The sender is bound, which the gateway says at RCPT.
    client.expect("MAIL FROM:<boss@example.org>", "250 2.1.0 ");
    let reply = client.expect("RCPT TO:<a@one.test>", "550 5.7.1 ");
    assert_eq!(reply, "550 5.7.1 <boss@example.org> is not a sender that this client may use");
    client.expect("DATA", "554 5.5.1 No valid recipients");
    client.expect("RSET", "250");
    client.expect(&format!("MAIL FROM:<{FROM}> SIZE=99999999999"), "552 5.3.4 ");
    client.expect("RCPT TO:<a@one.test>", "503");
    assert_eq!(sidecar.metric("mailsluice_smtp_refusals_total{code=\"550\"}"), 1.0);
    // All at once, with a text by BDAT behind a chunk that is no line.
    client.send(
        format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<a@one.test>\r\nNOOP\r\nBDAT 4\r\nSubjBDAT 17 LAST\r\nect: c\r\n\r\n.\r\nHi\r\n")
            .as_bytes(),
    );
    for reply in ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0 4 octets", "250 2.0.0 queued as "] {
        let found = client.reply();
        assert!(found.starts_with(reply), "{found:?} and not {reply}");
    }
    client.send(
        format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<a@one.test>\r\nDATA\r\nSubject: d\r\n\r\n..\r\n.\r\nQUIT\r\n")
            .as_bytes(),
    );
    for reply in ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0 queued as ", "221"] {
        let found = client.reply();
        assert!(found.starts_with(reply), "{found:?} and not {reply}");
    }
    let arrived = gateway.sink.await_by_subject(2, PATIENCE);
    assert_eq!(arrived[0].text(), b"Subject: c\r\n\r\n.\r\nHi\r\n");
    assert_eq!(arrived[1].text(), b"Subject: d\r\n\r\n.\r\n");
}

#[test]
fn what_could_smuggle_a_message_is_refused_and_nothing_of_it_delivered() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: a\r\n\r\nHi\n.\nMAIL FROM:<x@example.org>\r\n.\r\n");
    assert!(client.reply().starts_with("521 5.5.2 "));
    assert!(client.is_closed());
    let mut client = Dialogue::open(sidecar.smtp);
    assert!(client.say("NOOP\nNOOP").starts_with("521 5.5.2 "));
    Dialogue::open(sidecar.smtp).message(FROM, &["a@one.test"], &mail::text("after it"));
    assert_eq!(gateway.sink.await_messages(1, PATIENCE)[0].subject(), "after it");
    assert_eq!(gateway.taken(), 1.0);
}

#[test]
fn a_gateway_that_is_away_is_told_with_the_reason_and_mail_goes_on_when_it_is_back() {
    let mut gateway = Gateway::start();
    let address = gateway.relay.smtp;
    let sidecar = gateway.sidecar(&["--wait", "1"]);
    let mut client = Dialogue::open(sidecar.smtp);
    client.message(FROM, &["a@one.test"], &mail::text("before"));
    gateway.relay.await_empty();
    gateway.relay.terminate();
    let begun = Instant::now();
    let reply = client.expect(&format!("MAIL FROM:<{FROM}>"), "451 4.4.1 ");
    assert!(
        reply.contains(&format!("The mail gateway {address} cannot be used now: {address}: Connection refused")),
        "{reply}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    client.expect("RCPT TO:<a@one.test>", "451 4.4.1 ");
    assert_eq!(sidecar.metric("mailsluice_sidecar_gateway_up"), 0.0);
    gateway.relay.restart();
    client.expect("RSET", "250");
    client.message(FROM, &["a@one.test"], &mail::text("after"));
    sidecar.await_metric("mailsluice_sidecar_gateway_up", 1.0);
    let arrived = gateway.sink.await_messages(2, PATIENCE);
    let subjects: Vec<_> = arrived.iter().map(|message| message.subject()).collect();
    assert_eq!(subjects, ["before", "after"]);
}

#[test]
fn a_gateway_that_restarts_is_waited_for_in_the_middle_of_a_transaction() {
    let mut gateway = Gateway::start();
    let sidecar = gateway.sidecar(&["--wait", "20"]);
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    gateway.relay.terminate();
    gateway.relay.restart();
    client.expect("RCPT TO:<b@one.test>", "250 2.1.5 ");
    client.expect("DATA", "354");
    client.send(&stuffed(&mail::text("resumed")));
    assert!(client.reply().starts_with("250 2.0.0 queued as "));
    assert_eq!(sidecar.metric("mailsluice_sidecar_resumed_total"), 1.0);
    let arrived = gateway.sink.await_messages(1, PATIENCE);
    assert_eq!(arrived[0].envelope.recipients, ["a@one.test", "b@one.test"], "for all of its recipients");
    assert_eq!(gateway.taken(), 1.0);
}

#[test]
fn a_gateway_that_restarts_under_load_costs_no_application_an_error() {
    let mut gateway = Gateway::start();
    let sidecar = gateway.sidecar(&["--wait", "20"]);
    let load = Load::start(sidecar.smtp, 4, &["a@one.test"]);
    for restarts in 1..=2 {
        let before = load.answered();
        wait::until_some(PATIENCE, "mail is taken", || (load.answered() > before + 20).then_some(()));
        gateway.relay.terminate();
        gateway.relay.restart();
        println!("restart {restarts}: {} answered", load.answered());
    }
    let before = load.answered();
    wait::until_some(PATIENCE, "mail is taken again", || (load.answered() > before + 20).then_some(()));
    let answered = load.stop();
    gateway.relay.await_empty_for(Duration::from_secs(60));
    let tally = tally(&answered, &gateway.sink.received());
    assert!(tally.lost.is_empty() && tally.spoiled.is_empty() && tally.duplicates == 0, "{tally:?}");
    let log = sidecar.log_text();
    assert!(!log.contains("refused: "), "an application saw an error:\n{log}");
    assert_eq!(sidecar.metric("mailsluice_sidecar_unanswered_total"), 0.0);
}

/// Two replicas of a gateway, which have the two addresses of `mail.test`, and one port.
struct Replicas {
    relays: [Relay; 2],
    sink: Sink,
    place: String,
    token: String,
}

impl Replicas {
    /// To be called where [`two_addresses`] has made the name.
    fn start() -> Replicas {
        let gateway = Gateway::start();
        let (token, authorities) = (gateway.token(), gateway.authorities());
        let Gateway { relay, sink, .. } = gateway;
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("relay.yaml");
        for part in ["relay.yaml", "service-account-keys.json"] {
            fs::copy(relay.folder().join(part), folder.path().join(part)).expect("copy a file");
        }
        let secret = folder.path().join(TLS);
        fs::create_dir(&secret).expect("make a Secret");
        for key in ["tls.crt", "tls.key"] {
            fs::copy(authorities.with_file_name(key), secret.join(key)).expect("copy a key");
        }
        let other = Relay::start_on(folder, &file, &Manifest::to(sink.address), &["--bind", "127.0.0.2"]);
        let place = format!("mail.test:{}", relay.smtp.port());
        Replicas { relays: [relay, other], sink, place, token }
    }

    fn sidecar(&self, more: &[&str]) -> Sidecar {
        let authorities = self.relays[0].folder().join(TLS).join("tls.crt");
        Sidecar::start(&self.place, &authorities, &self.token, more)
    }
}

/// Runs the rest of a test where `mail.test` has two addresses; `name` is that of its function.
fn two_addresses(name: &str, body: impl FnOnce()) {
    let name = format!("sidecar_hands_mail_to_its_gateway::{name}");
    let hosts = "hosts=$(mktemp) && printf '127.0.0.1 mail.test\\n127.0.0.2 mail.test\\n' > \"$hosts\" && \
                 mount --bind \"$hosts\" /etc/hosts && rm \"$hosts\"";
    namespace::alone(&name, &["--mount"], hosts, body);
}

#[test]
fn another_replica_goes_on_where_one_died() {
    two_addresses("another_replica_goes_on_where_one_died", || {
        let mut replicas = Replicas::start();
        let sidecar = replicas.sidecar(&["--warm", "0", "--wait", "0"]);
        let mut client = Dialogue::open(sidecar.smtp);
        // What EHLO had to ask is given back, and used.
        client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
        client.expect("RCPT TO:<a@one.test>", "250");
        let serves = |relay: &Relay| relay.metric("mailsluice_smtp_server_sessions") > 0.0;
        let serving = replicas.relays.iter().position(serves).expect("one of the two serves");
        assert!(!serves(&replicas.relays[1 - serving]));
        replicas.relays[serving].kill();
        client.expect("RCPT TO:<b@one.test>", "250 2.1.5 ");
        client.expect("DATA", "354");
        client.send(&stuffed(&mail::text("by the other")));
        assert!(client.reply().starts_with("250 2.0.0 queued as "));
        client.message(FROM, &["a@one.test"], &mail::text("by the other, too"));
        assert_eq!(sidecar.metric("mailsluice_sidecar_resumed_total"), 1.0);
        let arrived = replicas.sink.await_by_subject(2, PATIENCE);
        assert_eq!(arrived[0].envelope.recipients, ["a@one.test", "b@one.test"]);
        assert_eq!(replicas.relays[1 - serving].metric("mailsluice_messages_accepted_total"), 2.0);
    });
}

#[test]
fn a_rolling_update_of_the_gateway_costs_no_application_an_error() {
    two_addresses("a_rolling_update_of_the_gateway_costs_no_application_an_error", || {
        let mut replicas = Replicas::start();
        let sidecars: Vec<_> = (0..8).map(|_| replicas.sidecar(&[])).collect();
        let loads: Vec<_> = sidecars.iter().map(|sidecar| Load::start(sidecar.smtp, 1, &["a@one.test"])).collect();
        let goes_on = |loads: &[Load]| {
            for load in loads {
                let before = load.answered();
                wait::until_some(PATIENCE, "mail is taken", || (load.answered() > before + 5).then_some(()));
            }
        };
        goes_on(&loads);
        for replica in &mut replicas.relays {
            replica.terminate();
            goes_on(&loads);
            replica.restart();
            goes_on(&loads);
        }
        // Each load counts its messages by itself, and so their subjects are those of others, too.
        let answered: usize = loads.into_iter().map(|load| load.stop().len()).sum();
        replicas.relays.iter().for_each(|relay| relay.await_empty_for(Duration::from_secs(60)));
        println!("{answered} answered");
        assert_eq!(replicas.sink.count(), answered, "none lost, none twice");
        for sidecar in &sidecars {
            assert!(!sidecar.log_text().contains("refused: "), "an application saw an error:\n{}", sidecar.log_text());
            assert_eq!(sidecar.metric("mailsluice_sidecar_unanswered_total"), 0.0);
        }
    });
}

#[test]
fn a_sidecar_that_is_killed_in_the_middle_of_a_text_delivers_nothing() {
    let gateway = Gateway::start();
    let mut sidecar = gateway.sidecar(&[]);
    let (mut client, rest) = half_a_message(sidecar.smtp, "cut off");
    thread::sleep(Duration::from_millis(200));
    sidecar.kill();
    let seen = client.try_send(&rest).and_then(|()| client.try_reply());
    assert!(seen.is_err(), "the application sees an error: {seen:?}");
    gateway.await_no_sessions();
    assert_eq!((gateway.taken(), gateway.sink.count()), (0.0, 0));
}

#[test]
fn an_application_that_goes_in_the_middle_of_a_text_has_nothing_delivered() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&["--warm", "0"]);
    drop(half_a_message(sidecar.smtp, "gone"));
    // The gateway was within the text, and the connection is dropped as it is.
    sidecar.await_metric("mailsluice_smtp_server_sessions", 0.0);
    gateway.await_no_sessions();
    let mut client = Dialogue::open(sidecar.smtp);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: gone, too\r\n\r\nHi\r\n");
    drop(client);
    sidecar.await_metric("mailsluice_smtp_server_sessions", 0.0);
    assert_eq!((gateway.taken(), gateway.sink.count()), (0.0, 0));
    // What follows is no part of what was left.
    Dialogue::open(sidecar.smtp).message(FROM, &["a@one.test"], &mail::text("whole"));
    assert_eq!(gateway.sink.await_messages(1, PATIENCE)[0].text(), mail::text("whole"));
    assert_eq!(gateway.taken(), 1.0);
}

#[test]
fn a_gateway_that_dies_in_the_middle_of_a_text_has_it_refused_and_not_delivered() {
    let mut gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let (mut client, rest) = half_a_message(sidecar.smtp, "refused");
    thread::sleep(Duration::from_millis(200));
    gateway.relay.kill();
    client.send(&rest);
    let reply = client.reply();
    assert!(reply.starts_with("451 4.4.2 The connection to the mail gateway "), "{reply}");
    gateway.relay.restart();
    client.message(FROM, &["a@one.test"], &mail::text("again"));
    let arrived = gateway.sink.await_messages(1, PATIENCE);
    assert_eq!(arrived[0].subject(), "again");
    gateway.relay.await_empty();
    assert_eq!(gateway.sink.count(), 1);
}

#[test]
fn a_stop_finishes_the_message_under_way_and_is_told_to_the_others() {
    let gateway = Gateway::start();
    let mut sidecar = gateway.sidecar(&[]);
    let mut idle = Dialogue::open(sidecar.smtp);
    let address = sidecar.smtp;
    let (mut client, rest) = half_a_message(address, "under way");
    let finishing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        client.send(&rest);
        client.reply()
    });
    let (took, status) = sidecar.terminate();
    println!("stopped in {took:?}");
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    assert!(finishing.join().expect("an answer").starts_with("250 2.0.0 queued as "));
    assert!(idle.reply().starts_with("421 4.3.2 "));
    assert_eq!(gateway.sink.await_messages(1, PATIENCE)[0].subject(), "under way");
}

#[test]
fn its_hook_ends_when_applications_are_served_and_fails_in_no_case() {
    let gateway = Gateway::start();
    let place = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let (smtp, http) = (place(process::free_port()), place(process::free_port()));
    let hook = move || {
        let ended = process::output(Command::new(program()).args(["await", "--http", &http.to_string()]));
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let said = hook();
    assert!(said.contains("no sidecar has opened its ports yet"), "{said}");
    let waiting = thread::spawn(move || {
        // On a slow machine it may have given up before.
        wait::until_some(PATIENCE, "the hook finds the sidecar", || hook().is_empty().then_some(()));
        TcpStream::connect(smtp).map(|_| ())
    });
    let token = gateway.relay.folder().join("token");
    fs::write(&token, gateway.token()).expect("write a token");
    let _sidecar = Process::start(
        Command::new(program())
            .args(["run", "--gateway", &gateway.relay.smtp.to_string(), "--authorities"])
            .arg(gateway.authorities())
            .arg("--token")
            .arg(&token)
            .args(["--listen", &smtp.to_string(), "--http", &http.to_string()])
            .stdout(Stdio::null()),
    );
    waiting.join().expect("the hook").expect("the application's port is open");
}

#[test]
fn a_large_text_waits_at_the_application_while_the_gateway_reads_nothing() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let own_memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", sidecar.id())).expect("the process");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    };
    let mut client = Dialogue::open(sidecar.smtp);
    client.message(FROM, &["a@one.test"], &mail::text("before"));
    let before = own_memory();
    let text = mail::text_of_size("large", 40 << 20);
    client.expect(&format!("MAIL FROM:<{FROM}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    let tell = |signal: &str| process::run(Command::new("kill").args([signal, &gateway.relay.id().to_string()]));
    let _ = tell("-STOP");
    let wire = stuffed(&text);
    let sending = thread::spawn(move || {
        client.send(&wire);
        client.reply()
    });
    thread::sleep(Duration::from_secs(1));
    let (waits, grown) = (!sending.is_finished(), own_memory().saturating_sub(before));
    let _ = tell("-CONT");
    assert!(waits, "the application is read no faster than the gateway reads");
    assert!(grown < 2 << 20, "{grown} octets are held");
    assert!(sending.join().expect("an answer").starts_with("250 2.0.0 queued as "));
    let arrived = gateway.sink.await_by_subject(2, PATIENCE);
    assert!(arrived[1].text() == text, "not an octet is changed");
}

#[test]
fn a_token_that_is_refused_is_told_and_a_new_one_is_read() {
    let gateway = Gateway::start();
    let stranger = Issuer::new("one").token("shop", "checkout", "mailsluice", 3600);
    let sidecar = Sidecar::start(&gateway.relay.smtp.to_string(), &gateway.authorities(), &stranger, &[]);
    let mut client = Dialogue::open(sidecar.smtp);
    let reply = client.expect(&format!("MAIL FROM:<{FROM}>"), "451 4.4.1 ");
    assert!(reply.contains("at stage Auth: 535 5.7.8 "), "{reply}");
    sidecar.renew(&gateway.token());
    client.message(FROM, &["a@one.test"], &mail::text("renewed"));
    let _ = gateway.sink.await_messages(1, PATIENCE);
    let log = sidecar.log_text();
    assert!(stranger.split('.').skip(1).all(|part| !log.contains(part)), "a token is in the log");
}

#[test]
fn a_gateway_that_cannot_be_verified_is_shown_no_token() {
    let gateway = Gateway::start();
    let folder = TempDir::new().expect("a temporary folder");
    let other = Certificate::of("mail.test").put(folder.path(), "other");
    let sidecar = Sidecar::start(&gateway.relay.smtp.to_string(), &other, &gateway.token(), &[]);
    let reply = Dialogue::open(sidecar.smtp).say(&format!("MAIL FROM:<{FROM}>"));
    assert!(reply.starts_with("451 4.4.1 ") && reply.contains("at stage StartTls: "), "{reply}");
    // By another name than its certificate has.
    let more = ["--tls-name", "other.test"];
    let place = gateway.relay.smtp.to_string();
    let failed = process::output(
        Command::new(program())
            .args(["run", "--gateway", &place, "--listen", "0.0.0.0:2525", "--authorities"])
            .arg(gateway.authorities())
            .arg("--token")
            .arg(gateway.authorities())
            .args(more),
    );
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("write an address of loopback"), "{said}");
    let tried = gateway.relay.metric("mailsluice_smtp_server_authentications_total{result=\"done\"}")
        + gateway.relay.metric("mailsluice_smtp_server_authentications_total{result=\"failed\"}");
    assert_eq!(tried, 0.0, "no token was shown");
}

#[test]
fn a_python_program_sees_the_gateways_refusal_as_its_own() {
    let gateway = Gateway::start();
    let sidecar = gateway.sidecar(&[]);
    let refused = Client::Smtplib.try_send(sidecar.smtp, "boss@example.org", &["a@one.test"], &mail::text("no"));
    let said = refused.expect_err("it is refused");
    assert!(said.contains("5.7.1 <boss@example.org> is not a sender that this client may use"), "{said}");
    let mut client = Dialogue::connect(sidecar.smtp).expect("connect");
    assert!(client.try_reply().is_ok_and(|greeting| greeting.starts_with("220 ")));
    let closed: io::Result<String> = client.try_send(b"QUIT\r\n").and_then(|()| client.try_reply());
    assert!(closed.is_ok_and(|bye| bye.starts_with("221 ")));
}
