//! Clients hand over mail under TLS; what they say in clear before it counts for nothing.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use mailsluice_crds::{
    monitor::ProblemReason,
    relay::{ListenerTls, TlsMode},
};
use mailsluice_tests::{
    certificate::Certificate,
    dialogue::Dialogue,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};
use tempfile::TempDir;

const SECRET: &str = "outbound-tls";

/// A relay whose port has TLS by `mode`, with this certificate or none yet.
fn relay(sink: &Sink, mode: TlsMode, certificate: Option<&Certificate>) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.tls = Some(ListenerTls { secret_name: SECRET.into(), mode });
    let folder = TempDir::new().expect("a temporary folder");
    if let Some(certificate) = certificate {
        let _ = certificate.put(folder.path(), SECRET);
    }
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

/// Sends a message by Python's smtplib, which trusts `authority` alone; what it printed, its errors too.
fn send(server: SocketAddr, mode: TlsMode, authority: &Path) -> Result<String, String> {
    let begin = match mode {
        TlsMode::StartTls => "s = smtplib.SMTP('127.0.0.1', port); s._host = 'mail.test'; s.starttls(context=c)",
        TlsMode::Implicit => "s = Named('127.0.0.1', port, context=c)",
    };
    let script = format!(
        "import smtplib, ssl, sys, socket\n\
         port, authority = int(sys.argv[1]), sys.argv[2]\n\
         c = ssl.create_default_context(cafile=authority)\n\
         class Named(smtplib.SMTP_SSL):\n\
         \x20   def _get_socket(self, host, port, timeout):\n\
         \x20       return self.context.wrap_socket(socket.create_connection((host, port)), server_hostname='mail.test')\n\
         {begin}\n\
         s.ehlo()\n\
         print('STARTTLS after it:', s.has_extn('starttls'))\n\
         s.sendmail('shop@example.org', ['a@one.test'], 'Subject: sealed\\r\\n\\r\\nUnder TLS.\\r\\n')\n\
         s.quit()\n"
    );
    let mut command = Command::new("python3");
    let output = process::output(command.args(["-c", &script, &server.port().to_string()]).arg(authority));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn secret_problem(relay: &Relay) -> Option<String> {
    let problems = relay.monitor().problems.into_iter();
    problems.map(|p| (p.reason, p.message)).find(|(reason, _)| *reason == ProblemReason::SecretInvalid).map(|(_, m)| m)
}

#[test]
fn mail_comes_in_under_tls_by_starttls_and_at_once_and_its_received_line_says_so() {
    for mode in [TlsMode::StartTls, TlsMode::Implicit] {
        let sink = Sink::start();
        let certificate = Certificate::of("mail.test");
        let relay = relay(&sink, mode, Some(&certificate));
        let printed = send(relay.smtp, mode, &relay.folder().join(SECRET).join("tls.crt")).expect("a message");
        assert_eq!(printed.trim(), "STARTTLS after it: False", "{mode:?}");
        let messages = sink.await_messages(1, PATIENCE);
        let text = String::from_utf8_lossy(&messages[0].octets).into_owned();
        assert!(text.contains("\r\n\t(using TLSv1.3 with cipher TLS_"), "{mode:?}: {text}");
        assert!(text.contains(" with ESMTPS id "), "{mode:?}: {text}");
        let record = relay.await_record("the handshake", |record| record.msg == "TLS is established");
        assert_eq!(record.field("tlsVersion").as_deref(), Some("TLSv1.3"));
        let done = "mailsluice_smtp_server_tls_handshakes_total{result=\"full\"}";
        assert!((relay.metric(done) - 1.0).abs() < f64::EPSILON, "{mode:?}");
    }
}

#[test]
fn a_client_that_comes_again_resumes_its_session() {
    // OpenSSL, which shows its last session each time; whether it was taken up again, a line for each of three connections.
    const SCRIPT: &str = "import socket, ssl, sys\n\
        port, authority, mode, version = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]\n\
        c = ssl.create_default_context(cafile=authority)\n\
        c.maximum_version = ssl.TLSVersion[version]\n\
        def reply(s):\n\
        \x20   text = b''\n\
        \x20   while not text.endswith(b'\\n') or text.splitlines()[-1][3:4] == b'-':\n\
        \x20       got = s.recv(4096)\n\
        \x20       assert got, text\n\
        \x20       text += got\n\
        \x20   return text\n\
        def say(s, command, code):\n\
        \x20   s.sendall(command + b'\\r\\n')\n\
        \x20   got = reply(s)\n\
        \x20   assert got.startswith(code), got\n\
        session = None\n\
        for _ in range(3):\n\
        \x20   s = socket.create_connection(('127.0.0.1', port))\n\
        \x20   if mode == 'StartTls':\n\
        \x20       reply(s)\n\
        \x20       say(s, b'STARTTLS', b'220')\n\
        \x20   s = c.wrap_socket(s, server_hostname='mail.test', session=session)\n\
        \x20   if mode != 'StartTls':\n\
        \x20       reply(s)\n\
        \x20   say(s, b'EHLO client.test', b'250')\n\
        \x20   print(s.session_reused)\n\
        \x20   session = s.session\n\
        \x20   say(s, b'QUIT', b'221')\n";
    let sink = Sink::start();
    let certificate = Certificate::of("mail.test");
    for mode in [TlsMode::StartTls, TlsMode::Implicit] {
        let relay = relay(&sink, mode, Some(&certificate));
        let authority = relay.folder().join(SECRET).join("tls.crt");
        let come = |version: &str| {
            let mut command = Command::new("python3");
            command.args(["-c", SCRIPT, &relay.smtp.port().to_string()]).arg(&authority);
            process::run(command.args([&format!("{mode:?}"), version]))
        };
        let count =
            |result: &str| relay.metric(&format!("mailsluice_smtp_server_tls_handshakes_total{{result=\"{result}\"}}"));
        for (version, full, resumed) in [("TLSv1_3", 1.0, 2.0), ("TLSv1_2", 2.0, 4.0)] {
            assert_eq!(come(version), "False\nTrue\nTrue\n", "{mode:?} {version}");
            let counted = [count("full"), count("resumed"), count("failed")];
            assert_eq!(counted, [full, resumed, 0.0], "{mode:?} {version}");
        }
    }
}

#[test]
fn what_is_sent_in_clear_behind_starttls_is_never_obeyed() {
    let sink = Sink::start();
    let relay = relay(&sink, TlsMode::StartTls, Some(&Certificate::of("mail.test")));
    // In one piece with STARTTLS, so that a careless server keeps it in its buffer.
    for behind in ["RSET\r\n", "EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n", "\r\n", "\0"] {
        let mut client = Dialogue::open(relay.smtp);
        client.send(format!("STARTTLS\r\n{behind}").as_bytes());
        let reply = client.reply();
        assert!(reply.starts_with("521 5.5.1 "), "{behind:?} is answered {reply:?}");
        assert!(client.is_closed(), "{behind:?}");
    }
    // After the 220, where only a handshake may come.
    let mut client = Dialogue::open(relay.smtp);
    client.expect("STARTTLS", "220 ");
    client.send(b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<a@one.test>\r\n");
    let answer = client.try_reply();
    assert!(!answer.as_ref().is_ok_and(|reply| reply.starts_with("250")), "{answer:?}");
    relay.await_record("the failed handshake", |record| record.msg.starts_with("no TLS handshake with the client"));
    assert_eq!(relay.monitor().queue.messages, 0);
}

#[test]
fn starttls_keeps_its_order_among_the_commands() {
    let sink = Sink::start();
    let relay = relay(&sink, TlsMode::StartTls, Some(&Certificate::of("mail.test")));
    let mut client = Dialogue::open(relay.smtp);
    assert!(client.say("EHLO client.test").contains("STARTTLS"));
    client.expect("STARTTLS now", "501 ");
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("STARTTLS", "503 5.5.1 ");
    client.expect("RSET", "250");
    client.expect("STARTTLS", "220 2.0.0 ");
    let plain = Relay::start(&Manifest::to(sink.address));
    let mut client = Dialogue::open(plain.smtp);
    assert!(!client.say("EHLO client.test").contains("STARTTLS"));
    client.expect("STARTTLS", "502 5.5.1 ");
}

#[test]
fn a_missing_or_bad_secret_stops_only_tls_and_is_named_till_it_is_mended() {
    let sink = Sink::start();
    let relay = relay(&sink, TlsMode::StartTls, None);
    let problem = wait::until_some(PATIENCE, "the problem", || secret_problem(&relay));
    assert!(problem.starts_with("Secret outbound-tls: tls.crt: No such file"), "{problem}");
    assert!((relay.metric("mailsluice_secrets_invalid") - 1.0).abs() < f64::EPSILON);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("STARTTLS", "454 4.7.0 ");
    client.message("shop@example.org", &["a@one.test"], b"Subject: in clear\r\n\r\nThe rest goes on.\r\n");
    let _ = sink.await_messages(1, PATIENCE);

    let (first, second) = (Certificate::of("mail.test"), Certificate::of("mail.test"));
    let authority = first.put(relay.folder(), SECRET);
    wait::until_equal(PATIENCE, "the problem", None, || secret_problem(&relay));
    send(relay.smtp, TlsMode::StartTls, &authority).expect("a message under the first certificate");

    // A key that belongs to another certificate: what was in force stays in force.
    let _ = Certificate { key: second.key.clone(), ..first.clone() }.put(relay.folder(), SECRET);
    let problem = wait::until_some(PATIENCE, "the problem", || secret_problem(&relay));
    assert!(problem.contains("tls.key: does not go with the certificate"), "{problem}");
    assert!(!relay.log_text().contains("PRIVATE KEY"), "a secret is in the log");
    send(relay.smtp, TlsMode::StartTls, &authority).expect("a message under the first certificate, still");

    let process = relay.id();
    let authority = second.put(relay.folder(), SECRET);
    wait::until_equal(PATIENCE, "the problem", None, || secret_problem(&relay));
    send(relay.smtp, TlsMode::StartTls, &authority).expect("a message under the second certificate");
    assert_eq!(relay.id(), process, "no restart");
    let _ = sink.await_messages(4, PATIENCE);
}

#[test]
fn a_port_of_implicit_tls_is_closed_while_it_has_no_certificate() {
    let sink = Sink::start();
    let relay = relay(&sink, TlsMode::Implicit, None);
    let refused = TcpStream::connect(relay.smtp).expect_err("the port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let authority = Certificate::of("mail.test").put(relay.folder(), SECRET);
    wait::until_equal(PATIENCE, "the port is open", true, || TcpStream::connect(relay.smtp).is_ok());
    send(relay.smtp, TlsMode::Implicit, &authority).expect("a message");
    let _ = sink.await_messages(1, PATIENCE);
}
