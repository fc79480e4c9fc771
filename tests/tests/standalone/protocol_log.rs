//! The conversation is in the log at LowLevel and AllInfo, in all directions, by session and by message; secrets and texts never are.

use std::{collections::BTreeSet, fs, net::SocketAddr, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    LogLevel,
    relay::{Client, ListenerTls, SecretRef, ServiceAccount, Smarthost, TlsMode, TlsPolicy, Users},
};
use mailsluice_tests::{
    certificate::{self, Certificate},
    dialogue::{Dialogue, stuffed},
    manifest::{Manifest, smarthost},
    process,
    record::Record,
    relay::{PATIENCE, Relay, program},
    scripted::Scripted,
    sidecar::Sidecar,
    sink::Sink,
    token::Issuer,
    wait, workspace,
};
use tempfile::TempDir;

const PASSWORD: &str = "seeded-pencil";
const TEXT: &[u8] = b"From: <shop@example.org>\r\nSubject: seeded subject\r\n\r\nseeded content\r\nRSET is seeded\r\n";

/// A relay at AllInfo that lets a user and a service account in, under TLS at once.
fn relay(sink: &Sink, cluster: &Issuer) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = LogLevel::AllInfo;
    let account = ServiceAccount { namespace: "shop".into(), name: "checkout".into() };
    manifest.relay.clients = vec![
        Client { users: Some(Users { secret_name: "users".into() }), ..Client::default() },
        Client { service_accounts: vec![account], ..Client::default() },
    ];
    manifest.tls = Some(ListenerTls { secret_name: "tls".into(), mode: TlsMode::Implicit });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = Certificate::of("mail.test").put(folder.path(), "tls");
    fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("write a password");
    let input = fs::File::open(&file).expect("read a password");
    let line = process::run(Command::new(program()).args(["hash-password", "shop", "--kind", "scram"]).stdin(input));
    certificate::put(folder.path(), "users", "users", &line);
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

/// None of these is in a log, as it is or in base64.
fn assert_hidden<'a>(log: &str, secrets: impl IntoIterator<Item = &'a str>) {
    for secret in secrets {
        // What stands in base64 within something longer is there from its second group on, at one of three places.
        let encoded = [secret.to_owned(), format!(" {secret}"), format!("  {secret}")].map(|text| {
            let whole = BASE64_STANDARD.encode(text);
            whole.get(4..whole.len().saturating_sub(4)).unwrap_or_default().to_owned()
        });
        for form in [secret.to_owned()].into_iter().chain(encoded).filter(|form| form.len() > 5) {
            let found = log.lines().find(|line| line.contains(&form));
            assert_eq!(found, None, "{secret} is in the log as {form}");
        }
    }
}

fn said<'a>(records: &'a [Record], tag: &'a str, start: &'a str) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record.tag == tag && record.msg.starts_with(start))
}

#[test]
fn what_clients_show_and_send_is_hidden_and_what_they_say_is_not() {
    let (sink, cluster) = (Sink::start(), Issuer::new("one"));
    let relay = relay(&sink, &cluster);
    let certificate = Certificate {
        chain: fs::read_to_string(relay.folder().join("tls/tls.crt")).expect("a chain"),
        ..Certificate::of("mail.test")
    };
    let token = cluster.token("shop", "checkout", "mailsluice", 3600);
    let open = || {
        let mut client = Dialogue::connect(relay.smtp).expect("connect");
        client.secure(&certificate);
        assert!(client.reply().starts_with("220"));
        client.expect("EHLO client.test", "250");
        client
    };
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let plain = encode(&format!("\0shop\0{PASSWORD}"));
    let bearer = encode(&format!("n,,\x01auth=Bearer {token}\x01\x01"));
    let xoauth2 = encode(&format!("user=shop\x01auth=Bearer {token}\x01\x01"));
    for exchange in [
        vec![format!("AUTH PLAIN {plain}")],
        vec!["AUTH PLAIN".into(), plain.clone()],
        vec!["AUTH LOGIN".into(), encode("shop"), encode(PASSWORD)],
        vec![format!("AUTH LOGIN {}", encode("shop")), encode(PASSWORD)],
        vec![format!("AUTH OAUTHBEARER {bearer}")],
        vec![format!("AUTH XOAUTH2 {xoauth2}")],
        // Wrong in each way in which a secret may come where none is expected.
        vec![format!("AUTH {plain}")],
        vec![format!("AUTH GSSAPI {plain}")],
        vec![format!("AUTHPLAIN {plain}")],
        vec![encode(PASSWORD)],
        vec![PASSWORD.into()],
        vec![format!("NOOP {PASSWORD}")],
        vec!["AUTH PLAIN".into(), format!("{PASSWORD}!")],
    ] {
        let mut client = open();
        exchange.iter().for_each(|line| drop(client.say(line)));
        client.expect("QUIT", "221");
    }
    for binding in ["end-point", "exporter"] {
        let mut scram = Command::new("python3");
        scram.arg(workspace().join("tests/clients/scram.py")).arg(relay.smtp.port().to_string());
        process::run(scram.arg(relay.folder().join("tls/tls.crt")).args(["shop", PASSWORD, binding]));
    }
    let mut client = open();
    client.expect(&format!("AUTH PLAIN {plain}"), "235");
    // A text that comes though it was refused, one by DATA, and one in chunks.
    client.expect("DATA", "503");
    client.send(TEXT);
    TEXT.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).for_each(|_| drop(client.reply()));
    client.message("shop@example.org", &["a@one.test"], TEXT);
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.send(format!("BDAT {} LAST\r\n", TEXT.len()).as_bytes());
    client.send(TEXT);
    assert!(client.reply().starts_with("250"));
    client.expect("QUIT", "221");
    let _ = sink.await_messages(2, PATIENCE);
    relay.await_empty();
    wait::until_equal(PATIENCE, "sessions", 0.0, || relay.metric("mailsluice_smtp_server_sessions"));
    // The first of them came with the last session.
    relay.await_record("354", |record| record.tag == "SMTPI" && record.msg.starts_with("< 354 "));

    let log = relay.log_text();
    let parts: Vec<&str> = token.split('.').collect();
    assert_hidden(&log, parts.iter().copied().chain([PASSWORD, "seeded subject", "seeded content", "is seeded"]));
    let records = relay.records();
    for line in [
        "> EHLO client.test",
        "> AUTH PLAIN …",
        "> AUTH LOGIN",
        "> AUTH SCRAM-SHA-256-PLUS …",
        "> MAIL FROM:<shop@example.org>",
    ] {
        assert!(said(&records, "SMTPI", line).next().is_some(), "no {line}:\n{log}");
    }
    for reply in ["< 220 ", "< 334 …", "< 235 2.7.0", "< 354 ", "< 221 2.0.0"] {
        assert!(said(&records, "SMTPI", reply).next().is_some(), "no {reply}:\n{log}");
    }
    let over = said(&records, "SMTPI", "the session is over").next().expect("its end");
    assert!(over.field("sent").is_some() && over.field("received").is_some(), "{over:?}");
    assert!(said(&records, "SMTPI", "TLS is established").all(|record| record.field("tlsCipher").is_some()));
}

#[test]
fn what_hosts_are_shown_is_hidden_whatever_the_mechanism() {
    for (mechanism, keys) in [
        ("PLAIN", ("password", PASSWORD)),
        ("LOGIN", ("password", PASSWORD)),
        ("SCRAM-SHA-256", ("password", PASSWORD)),
        ("OAUTHBEARER", ("token", "seeded-token-of-a-provider")),
        ("XOAUTH2", ("token", "seeded-token-of-a-provider")),
    ] {
        let host = Scripted::start(move |line| match line.split(' ').next() {
            Some("EHLO") => Some(format!("250-scripted\r\n250 AUTH {mechanism}")),
            Some("AUTH") if mechanism == "LOGIN" => Some("334 VXNlcm5hbWU6".into()),
            Some("AUTH") if mechanism.starts_with("SCRAM") => {
                let first = line.rsplit(' ').next().and_then(|text| BASE64_STANDARD.decode(text).ok())?;
                let nonce = String::from_utf8_lossy(&first).rsplit("r=").next()?.to_owned();
                Some(format!("334 {}", BASE64_STANDARD.encode(format!("r={nonce}more,s=c2VlZGVk,i=4096"))))
            }
            Some("AUTH") => Some("235 2.7.0 in".into()),
            Some("MAIL" | "RCPT" | "DATA" | "QUIT" | "RSET" | "." | "") => None,
            Some("c2hvcA==") => Some("334 UGFzc3dvcmQ6".into()),
            Some(_) if mechanism == "LOGIN" => Some("235 2.7.0 in".into()),
            _ => Some("535 5.7.8 no".into()),
        });
        let folder = TempDir::new().expect("a temporary folder");
        for (key, text) in [("username", "shop"), keys] {
            certificate::put(folder.path(), "login", key, text);
        }
        let mut manifest = Manifest::to(SocketAddr::from(([127, 0, 0, 1], 1)));
        manifest.relay.tls = TlsPolicy::Off;
        manifest.relay.log.level = LogLevel::AllInfo;
        let credentials = Some(SecretRef { secret_name: "login".into() });
        manifest.relay.routes[0].smarthost = Some(Smarthost { credentials, ..smarthost(host.address) });
        let file = folder.path().join("relay.yaml");
        let relay = Relay::start_on(folder, &file, &manifest, &[]);
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], TEXT);
        let is_over = |record: &Record| record.tag == "SMTP" && record.msg == "the session is over";
        let over = relay.await_record("the end of a session", is_over);
        assert!(over.field("sent").is_some_and(|sent| sent.parse::<u64>().is_ok_and(|sent| sent > 20)), "{over:?}");
        let log = relay.log_text();
        let line = format!("> AUTH {mechanism}");
        let records = relay.records();
        let shown = said(&records, "SMTP", &line).next().unwrap_or_else(|| panic!("no {line}:\n{log}"));
        assert!(shown.msg == line || shown.msg == format!("{line} …"), "{shown:?}");
        // Each word that was heard while it logged in.
        let heard = host.heard();
        let verbs = ["", "EHLO", "MAIL", "RCPT", "DATA", "QUIT", "RSET", "."];
        let words = heard.iter().filter(|line| !verbs.contains(&line.split(' ').next().unwrap_or_default()));
        let words: BTreeSet<&str> =
            words.filter_map(|line| line.rsplit(' ').next()).filter(|w| *w != mechanism).collect();
        assert!(words.iter().any(|word| word.len() > 8), "{mechanism}: nothing was shown: {heard:?}");
        for word in words.iter().filter(|word| word.len() > 5) {
            assert!(!log.contains(*word), "{mechanism}: {word} is in the log");
        }
        assert_hidden(&log, [keys.1, "seeded subject", "seeded content"]);
    }
}

#[test]
fn a_sidecar_writes_both_conversations_down_under_one_id_and_no_token() {
    let (sink, cluster) = (Sink::start(), Issuer::new("one"));
    let relay = relay(&sink, &cluster);
    let token = cluster.token("shop", "checkout", "mailsluice", 3600);
    let authority = relay.folder().join("tls/tls.crt");
    let sidecar = Sidecar::start(&relay.smtp.to_string(), &authority, &token, &["--tls", "implicit"]);
    let mut client = Dialogue::open(sidecar.smtp);
    client.message("shop@example.org", &["a@one.test"], TEXT);
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    client.send(&stuffed(TEXT));
    let taken = client.reply();
    client.expect("QUIT", "221");
    let _ = sink.await_messages(2, PATIENCE);
    wait::until_some(PATIENCE, "the end of the session", || {
        sidecar.records().into_iter().find(|record| record.msg == "the session is over")
    });
    let log = sidecar.log_text();
    assert_hidden(&log, token.split('.').chain(["seeded subject", "seeded content"]));
    let records = sidecar.records();
    let accepted = said(&records, "SMTPI", "accepted").last().expect("a message");
    // By the gateway's own words, which name the message there.
    assert_eq!(accepted.field("reply").as_deref(), Some(&*taken), "{accepted:?}");
    let of_session: Vec<_> =
        records.iter().filter(|record| record.field("session") == accepted.field("session")).collect();
    for (tag, line) in [
        ("SMTPI", "< 220 "),
        ("SMTPI", "> EHLO client.test"),
        ("SMTPI", "> RCPT TO:<a@one.test>"),
        ("SMTP", "> RCPT TO:<a@one.test>"),
        ("SMTP", "> BDAT "),
        ("SMTPI", "< 354 "),
        ("SMTPI", "> QUIT"),
    ] {
        let found = of_session.iter().any(|record| record.tag == tag && record.msg.starts_with(line));
        assert!(found, "no {line} of {tag} in {of_session:#?}");
    }
    for (tag, line) in
        [("SMTP", "> AUTH OAUTHBEARER"), ("SMTP", "TLS is established"), ("ROUTE", "the DNS has led to ")]
    {
        assert!(said(&records, tag, line).next().is_some(), "no {line} of {tag}:\n{log}");
    }
}

#[test]
fn a_message_is_followed_by_its_id_and_a_session_by_its_own() {
    let times = std::sync::atomic::AtomicU32::new(0);
    let host = Scripted::start(move |line| {
        let first = line.starts_with("RCPT") && times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        first.then(|| "451 4.7.1 greylisted".into())
    });
    let relay = Relay::start(&Manifest::to(host.address));
    let reply = {
        let mut client = Dialogue::open(relay.smtp);
        client.expect("MAIL FROM:<shop@example.org>", "250");
        client.expect("RCPT TO:<a@one.test>", "250");
        client.expect("DATA", "354");
        client.send(&stuffed(TEXT));
        client.reply()
    };
    let id = reply.rsplit(' ').next().expect("an id").to_owned();
    // The log is written beside the work, and may come after it.
    let _ = relay.await_record("the delivery", |record| {
        record.msg.starts_with("delivered") && record.field("message") == Some(id.clone())
    });
    let records = relay.records();
    let of_message: Vec<_> = records.iter().filter(|record| record.field("message") == Some(id.clone())).collect();
    let words: Vec<&str> =
        of_message.iter().map(|record| record.msg.split([':', ' ']).next().unwrap_or_default()).collect();
    assert_eq!((words.first(), words.last()), (Some(&"accepted"), Some(&"delivered")), "{of_message:#?}");
    for line in ["> MAIL FROM:<shop@example.org>", "< 451 4.7.1 greylisted", "deferred", "> DATA", "< 250 2.0.0 taken"]
    {
        assert!(of_message.iter().any(|record| record.msg.starts_with(line)), "no {line} in {of_message:#?}");
    }
    // Every record of a conversation belongs to a session, and each session of the message begins and ends.
    let talk = |record: &&Record| record.msg.starts_with(['<', '>']) && record.tag.starts_with("SMTP");
    assert!(records.iter().filter(talk).all(|record| record.field("session").is_some()));
    let sessions: BTreeSet<String> = of_message.iter().filter_map(|record| record.field("session")).collect();
    assert!(sessions.len() >= 3, "it came, was put off, and went: {sessions:?}");
    wait::until_equal(PATIENCE, "sessions of the message that have ended", sessions.len(), || {
        let records = relay.records();
        let over = records.iter().filter(|record| record.msg == "the session is over");
        over.filter(|record| record.field("session").is_some_and(|id| sessions.contains(&id))).count()
    });
}
