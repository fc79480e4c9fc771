//! Users of a Secret send after they have shown their passwords, by every mechanism, with the programs that people have.

use std::{fs, path::Path, process::Command};

use mailsluice_crds::{
    monitor::ProblemReason,
    relay::{Client as Entry, ListenerTls, TlsMode, Users},
};
use mailsluice_tests::{
    certificate::Certificate,
    clients::{Client, Login},
    dialogue::Dialogue,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    sink::Sink,
    wait, workspace,
};
use tempfile::TempDir;

const SECRET: &str = "outbound-users";
const TLS: &str = "outbound-tls";

/// A line of the Secret, made as an admin makes it.
fn line(user: &str, password: &str, kind: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), format!("{password}\n")).expect("write a password");
    let input = fs::File::open(file.path()).expect("read a password");
    process::run(Command::new(program()).args(["hash-password", user, "--kind", kind]).stdin(input))
}

fn put(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join(SECRET)).expect("make a Secret");
    fs::write(folder.join("users.new"), text).expect("write a Secret");
    fs::rename(folder.join("users.new"), folder.join(SECRET).join("users")).expect("put a Secret in place");
}

fn relay(sink: &Sink, users: Option<&str>, tls: Option<TlsMode>) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    let users_of = Some(Users { secret_name: SECRET.into() });
    manifest.relay.clients = vec![Entry { users: users_of, ..Entry::default() }];
    manifest.tls = tls.map(|mode| ListenerTls { secret_name: TLS.into(), mode });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = Certificate::of("mail.test").put(folder.path(), TLS);
    if let Some(users) = users {
        put(folder.path(), users);
    }
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

const TEXT: &[u8] = b"From: <shop@example.org>\r\nSubject: mine\r\n\r\nHello.\r\n";

#[test]
fn every_client_is_let_in_by_its_password_and_told_when_it_is_wrong() {
    let sink = Sink::start();
    // SCRAM's keys are what every mechanism works with; htpasswd's bcrypt is beside them in the unit tests.
    let relay = relay(&sink, Some(&line("shop", "pencil", "scram")), None);
    let mut sent = 0;
    for client in [
        Client::Smtplib,
        Client::Swaks,
        Client::Nodemailer,
        Client::GoSmtp,
        Client::Curl,
        Client::Msmtp,
        Client::Lettre,
    ] {
        if let Some(why) = client.missing() {
            // Those that `tests/install fast` leaves out; the others have to be there.
            assert!(matches!(client, Client::Curl | Client::Msmtp), "{client:?}: {why}");
            continue;
        }
        let right = Login { user: "shop", password: "pencil" };
        client
            .try_send_as(right, relay.smtp, "shop@example.org", "a@one.test", TEXT)
            .unwrap_or_else(|said| panic!("{client:?} is not let in: {said}"));
        sent += 1;
        let arrived = sink.await_messages(sent, PATIENCE);
        let text = String::from_utf8_lossy(&arrived[sent - 1].octets).into_owned();
        // Some ask for SMTPUTF8 wherever it is offered.
        let named = [" with ESMTPA id ", " with UTF8SMTPA id "].iter().any(|protocol| text.contains(protocol));
        assert!(named, "{client:?}: {text}");
        let wrong = Login { user: "shop", password: "pen" };
        let said = client.try_send_as(wrong, relay.smtp, "shop@example.org", "a@one.test", TEXT);
        assert!(said.is_err(), "{client:?} is let in with a wrong password: {said:?}");
    }
    let refused = relay.metric("mailsluice_smtp_server_authentications_total{result=\"failed\"}");
    assert!(refused >= f64::from(u32::try_from(sent).unwrap_or(0)), "{refused} refusals");
    let log = relay.log_text();
    assert!(!log.contains("pencil"), "a password is in the log");
    assert_eq!(sink.count(), sent);
}

#[test]
fn scram_is_bound_to_the_connection_that_it_happens_on() {
    let sink = Sink::start();
    let relay = relay(&sink, Some(&line("shop", "pencil", "scram")), Some(TlsMode::Implicit));
    let authority = relay.folder().join(TLS).join("tls.crt");
    let mut sent = 0;
    for (password, binding, reply) in [
        ("pencil", "end-point", "235 2.7.0"),
        ("pencil", "exporter", "235 2.7.0"),
        ("pen", "end-point", "535 5.7.8"),
        ("pen", "exporter", "535 5.7.8"),
    ] {
        let mut command = Command::new("python3");
        command.arg(workspace().join("tests/clients/scram.py")).arg(relay.smtp.port().to_string()).arg(&authority);
        let printed = process::run(command.args(["shop", password, binding]));
        assert!(printed.starts_with(reply), "{binding} with {password}: {printed}");
        sent += usize::from(reply.starts_with("235"));
    }
    let arrived = sink.await_messages(sent, PATIENCE);
    assert!(String::from_utf8_lossy(&arrived[0].octets).contains(" with ESMTPSA id "));
}

#[test]
fn who_shows_nothing_is_told_to_and_in_clear_only_to_begin_tls() {
    let sink = Sink::start();
    let relay = relay(&sink, Some(&line("shop", "pencil", "argon2id")), Some(TlsMode::StartTls));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "530 5.7.0 ");
    client.expect("RSET", "250");
    // On loopback AUTH is offered in clear; SCRAM is not, since a hash is no key of it.
    let offered = client.say("EHLO client.test");
    assert!(offered.contains("AUTH PLAIN LOGIN"), "{offered}");
    client.expect("AUTH PLAIN AHNob3AAcGVuY2ls", "235 2.7.0 ");
    client.expect("AUTH PLAIN AHNob3AAcGVuY2ls", "503 5.5.1 ");
    client.message("shop@example.org", &["a@one.test"], TEXT);
    client.expect("STARTTLS", "220 ");
    let _ = sink.await_messages(1, PATIENCE);
}

#[test]
fn guessing_is_stopped_and_users_are_read_again_without_a_restart() {
    let sink = Sink::start();
    let relay = relay(&sink, None, None);
    let problem = || {
        let problems = relay.monitor().problems.into_iter();
        problems.filter(|p| p.reason == ProblemReason::SecretInvalid).map(|p| p.message).next()
    };
    let missing = wait::until_some(PATIENCE, "the problem", problem);
    assert!(missing.starts_with("Secret outbound-users: users: No such file"), "{missing}");
    put(relay.folder(), &format!("{}clerk:plain-text\n", line("shop", "pencil", "scram")));
    wait::until_some(PATIENCE, "the line", || {
        problem().filter(|text| text.contains("users: line 2: no hash of a known kind"))
    });
    let mut client = Dialogue::open(relay.smtp);
    client.expect("AUTH PLAIN AHNob3AAcGVuY2ls", "235 ");

    put(relay.folder(), &line("shop", "crayon", "scram"));
    wait::until_equal(PATIENCE, "the problem", None, problem);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("AUTH PLAIN AHNob3AAcGVuY2ls", "535 5.7.8 ");
    client.expect("AUTH PLAIN AHNob3AAY3JheW9u", "235 ");
    for attempt in 0.. {
        assert!(attempt < 20, "guessing goes on");
        let mut client = Dialogue::open(relay.smtp);
        if client.say("AUTH PLAIN AG5vYm9keQBwZW5jaWw=").starts_with("454 4.7.0 Too many failures") {
            break;
        }
    }
    let mut client = Dialogue::open(relay.smtp);
    client.expect("AUTH PLAIN AHNob3AAY3JheW9u", "454 4.7.0 ");
    assert!(relay.metric("mailsluice_smtp_server_authentications_total{result=\"limited\"}") >= 2.0);
}

#[test]
fn a_session_outlives_its_user_in_the_secret_and_not_the_entry_in_clients() {
    let sink = Sink::start();
    let relay = relay(&sink, Some(&line("shop", "pencil", "scram")), None);
    let mut open = Dialogue::open(relay.smtp);
    open.expect("AUTH PLAIN AHNob3AAcGVuY2ls", "235 ");
    put(relay.folder(), &line("clerk", "crayon", "scram"));
    wait::until_some(PATIENCE, "the user is gone", || {
        let mut client = Dialogue::open(relay.smtp);
        client.say("AUTH PLAIN AHNob3AAcGVuY2ls").starts_with("535 5.7.8 ").then_some(())
    });
    open.message("shop@example.org", &["a@one.test"], TEXT);
    let _ = sink.await_messages(1, PATIENCE);
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = vec![Entry { networks: vec!["192.0.2.0/24".into()], ..Entry::default() }];
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    open.expect("MAIL FROM:<shop@example.org>", "250");
    open.expect("RCPT TO:<a@one.test>", "550 5.7.1 ");
}
