//! AUTH: what is shown, by which mechanism, to whom, and what is made of the answers.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{
    host::{Host, Line::*},
    *,
};
use crate::smtp::{
    extensions::Extensions,
    sasl::{
        Credentials, ExchangeFault, Mechanism, Secret, from_base64,
        scram::{
            Binding, StoredKeys,
            client::{Channel, ScramFault},
        },
        to_base64,
    },
    server::{self, AuthOffer, Event, ScramAnswer, Session},
};

type Logged = (Result<Mechanism, ClientError>, Client<DuplexStream, Notes>);

fn credentials(secret: Secret) -> Arc<Credentials> {
    Arc::new(Credentials::new("shop", secret))
}

fn password() -> Secret {
    Secret::Password("pencil".into())
}

fn called(channel: Option<Channel>) -> Called<'static> {
    Called { host: "h.example", port: 587, channel }
}

fn channel() -> Option<Channel> {
    Some(Channel { kind: Binding::Exporter, octets: b"channel".to_vec() })
}

/// Logs in at a host that offers this and goes on with that script.
async fn log_in(offer: &str, secret: Secret, script: Vec<host::Line>) -> (Host, Logged) {
    let ehlo = Box::leak(format!("250-h.example\r\n250-PIPELINING\r\n250 {offer}\r\n").into_boxed_str());
    let greeting = vec![Say("220 h.example\r\n"), Expect("EHLO c.example\r\n"), Say(ehlo)];
    let host = Host::start([greeting, script].concat());
    let mut client = Client::start(host.stream(), config(), Notes::default()).await.unwrap();
    let result = client.authenticate(&credentials(secret), called(None)).await;
    (host, (result, client))
}

#[tokio::test]
async fn what_is_shown_goes_with_auth_and_nobody_is_told_of_it() {
    let script = vec![
        Expect("AUTH PLAIN AHNob3AAcGVuY2ls\r\n"),
        Say("235 2.7.0 Authentication successful\r\n"),
        Expect("MAIL FROM:<a@a.example> AUTH=<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 c\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 d\r\n"),
    ];
    let (host, (result, mut client)) = log_in("AUTH LOGIN PLAIN", password(), script).await;
    assert_eq!(result.unwrap(), Mechanism::Plain);
    client.send(&envelope(&["b@b.example"]), &mut text()).await.unwrap();
    host.done().await;
    let told = &client.observer_mut().0;
    let at = told.iter().position(|line| line == "[Auth]").unwrap();
    assert_eq!(told[at..at + 4], ["[Auth]", "> AUTH PLAIN …", "< 235 2.7.0 Authentication successful", "[Idle]"]);
}

#[tokio::test]
async fn login_answers_two_questions() {
    let script = vec![
        Expect("AUTH LOGIN\r\n"),
        Say("334 VXNlcm5hbWU6\r\n"),
        Expect("c2hvcA==\r\n"),
        Say("334 UGFzc3dvcmQ6\r\n"),
        Expect("cGVuY2ls\r\n"),
        Say("235 2.7.0 in\r\n"),
    ];
    let (host, (result, mut client)) = log_in("AUTH CRAM-MD5 LOGIN", password(), script).await;
    assert_eq!(result.unwrap(), Mechanism::Login);
    host.done().await;
    let told = client.observer_mut().0.join("\n");
    assert!(told.contains("> AUTH LOGIN\n< 334 …\n> …\n< 334 …\n> …\n< 235 2.7.0 in"), "{told}");
}

#[tokio::test]
async fn what_does_not_fit_into_a_command_line_waits_for_an_empty_challenge() {
    let long = "x".repeat(4_000);
    let message = to_base64(format!("user=shop\x01auth=Bearer {long}\x01\x01").as_bytes());
    let script = vec![
        Expect("AUTH XOAUTH2\r\n"),
        Say("334 \r\n"),
        ExpectOwned(format!("{message}\r\n")),
        Say("235 2.7.0 in\r\n"),
    ];
    let (host, (result, _)) = log_in("AUTH XOAUTH2", Secret::Token(long), script).await;
    assert_eq!(result.unwrap(), Mechanism::XOAuth2);
    host.done().await;
    // 512 octets are the longest line, with its end: 497 are left for base64, which comes by four.
    for (octets, fits) in [(372, true), (373, false)] {
        let token = "x".repeat(octets - "user=shop\x01auth=Bearer \x01\x01".len());
        let message = to_base64(format!("user=shop\x01auth=Bearer {token}\x01\x01").as_bytes());
        let line = format!("AUTH XOAUTH2 {message}\r\n");
        let first = if fits { line.clone() } else { "AUTH XOAUTH2\r\n".into() };
        assert_eq!(line.len() <= 512, fits, "{}", line.len());
        let script = vec![ExpectOwned(first), Say("454 4.7.0 later\r\n")];
        let (host, (result, _)) = log_in("AUTH XOAUTH2", Secret::Token(token), script).await;
        assert_eq!(result.unwrap_err().reply().map(Reply::code), Some(454));
        host.done().await;
    }
}

#[tokio::test]
async fn a_refusal_is_final_unless_the_host_does_not_know_what_it_offers() {
    let plain = Expect("AUTH PLAIN AHNob3AAcGVuY2ls\r\n");
    for (said, code) in [
        ("535 5.7.8 Bad credentials\r\n", 535),
        ("534 5.7.9 Too weak\r\n", 534),
        ("538 5.7.11 Encryption is needed\r\n", 538),
        ("432 4.7.12 A password transition is needed\r\n", 432),
        ("454 4.7.0 Later\r\n", 454),
        ("521 5.7.0 Go away\r\n", 521),
        ("421 4.7.0 Too busy\r\n", 421),
    ] {
        let (host, (result, _)) = log_in("AUTH PLAIN LOGIN", password(), vec![plain.clone(), Say(said)]).await;
        let error = result.unwrap_err();
        assert_eq!((error.stage, error.reply().map(Reply::code)), (Stage::Auth, Some(code)), "{error}");
        host.done().await;
    }
    let script = vec![
        plain,
        Say("504 5.5.4 Unrecognized authentication type\r\n"),
        Expect("AUTH LOGIN\r\n"),
        Say("504 5.5.4 Unrecognized authentication type\r\n"),
    ];
    let (host, (result, mut client)) = log_in("AUTH PLAIN LOGIN", password(), script).await;
    assert_eq!(result.unwrap_err().reply().map(Reply::code), Some(504));
    assert!(!client.is_usable());
    assert!(client.send(&envelope(&["b@b.example"]), &mut text()).await.is_err());
    host.done().await;
}

#[tokio::test]
async fn a_host_that_offers_nothing_to_log_in_by_is_shown_nothing() {
    for (offer, secret, fault) in [
        ("HELP", password(), "it offers no AUTH"),
        ("AUTH GSSAPI", password(), "it offers AUTH by none of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN"),
        // In clear there is nothing to bind to.
        (
            "AUTH SCRAM-SHA-256-PLUS",
            password(),
            "it offers AUTH by none of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN",
        ),
        ("AUTH PLAIN LOGIN", Secret::Token("a".into()), "it offers AUTH by none of OAUTHBEARER, XOAUTH2"),
        ("AUTH XOAUTH2", password(), "it offers AUTH by none of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN"),
    ] {
        let (host, (result, client)) = log_in(offer, secret, vec![ExpectEnd]).await;
        let error = result.unwrap_err();
        assert_eq!((error.stage, error.kind.to_string().as_str()), (Stage::Auth, fault), "{offer}");
        drop(client);
        host.done().await;
    }
}

#[tokio::test]
async fn a_refused_token_is_told_with_what_the_host_says_of_it() {
    let message = to_base64(b"n,a=shop,\x01host=h.example\x01port=587\x01auth=Bearer old\x01\x01");
    let script = vec![
        ExpectOwned(format!("AUTH OAUTHBEARER {message}\r\n")),
        Say("334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n"),
        Expect("AQ==\r\n"),
        Say("535 5.7.8 No\r\n"),
    ];
    let (host, (result, _)) = log_in("AUTH XOAUTH2 OAUTHBEARER", Secret::Token("old".into()), script).await;
    let ErrorKind::Auth(AuthFault::Refused { reply, said }) = result.unwrap_err().kind else { panic!("another") };
    assert_eq!((reply.code(), said.as_deref()), (535, Some(r#"{"status":"invalid_token"}"#)));
    host.done().await;
}

#[tokio::test]
async fn an_exchange_that_is_none_is_ended_by_an_asterisk() {
    let plain = || Expect("AUTH PLAIN AHNob3AAcGVuY2ls\r\n");
    for (challenge, fault) in [
        ("334 go on?\r\n", ExchangeFault::NotBase64),
        ("334 =AAA\r\n", ExchangeFault::NotBase64),
        ("334-AAAA\r\n334 AAAA\r\n", ExchangeFault::NotBase64),
        ("334 AAAA\r\n", ExchangeFault::TooMuch),
    ] {
        let script = vec![plain(), Say(challenge), Expect("*\r\n"), Say("501 5.7.0 given up\r\n"), ExpectEnd];
        let (host, (result, client)) = log_in("AUTH PLAIN", password(), script).await;
        let error = result.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Auth(AuthFault::Exchange(found)) if found == fault), "{challenge}");
        drop(client);
        host.done().await;
    }
    let (host, (result, _)) = log_in("AUTH PLAIN", password(), vec![plain(), Say("354 go on\r\n")]).await;
    assert!(matches!(result.unwrap_err().kind, ErrorKind::Protocol(ReplyError::Unexpected(_))));
    host.done().await;
}

/// A host that lets `shop` in by SCRAM, and says what it was sent behind AUTH. `binds`: what its end of the connection has to bind to,
/// under TLS; none in clear.
async fn scram_host(mut stream: DuplexStream, password: &str, binds: Option<&[u8]>) -> Vec<String> {
    let auth = Some(AuthOffer { passwords: false, scram: true, tokens: false, in_clear: true });
    let mut session = Session::new(Arc::new(server::Config { auth, ..server::Config::new("h.example", 1000) }));
    if binds.is_some() {
        session.secured();
    }
    let (mut input, mut output, mut body) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let mut heard = Vec::new();
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::Authenticate(server::Credentials::ScramUser { binding, .. }) => {
                let keys = StoredKeys::of(password, b"salt", 4096);
                let binding = binding.and(binds).unwrap_or_default().to_vec();
                session.answer_scram(ScramAnswer { keys, binding, nonce: "SERVER".into() });
            }
            Event::Authenticate(server::Credentials::Scram { proven: true, .. }) => session.accept(),
            Event::Authenticate(_) => session.refuse(Reply::enhanced(535, (7, 8), "Authentication failed")),
            Event::NeedInput => {
                stream.write_all(&output.split()).await.unwrap();
                let before = input.len();
                if stream.read_buf(&mut input).await.unwrap() == 0 {
                    return firsts(&heard);
                }
                heard.extend_from_slice(&input[before..]);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The mechanisms that AUTH named, each with what was said first, as far as it is the same every time.
fn firsts(heard: &[u8]) -> Vec<String> {
    let lines =
        std::str::from_utf8(heard).unwrap().lines().filter_map(|line| line.strip_prefix("AUTH ")?.split_once(' '));
    lines
        .map(|(name, first)| {
            let first = String::from_utf8(from_base64(first.as_bytes()).unwrap()).unwrap();
            format!("{name} {}", first.split_once(",r=").unwrap().0)
        })
        .collect()
}

#[tokio::test]
async fn scram_proves_both_sides_on_the_channel_that_they_are_on() {
    let bound = Some(&b"channel"[..]);
    for (known, binds, here, firsts, result) in [
        ("pencil", None, None, &["SCRAM-SHA-256 n,,n=shop"][..], Ok(Mechanism::ScramSha256)),
        ("other", None, None, &["SCRAM-SHA-256 n,,n=shop"], Err(535)),
        ("pencil", bound, channel(), &["SCRAM-SHA-256-PLUS p=tls-exporter,,n=shop"], Ok(Mechanism::ScramSha256Plus)),
        // Somebody stands between the two, with a connection to each.
        ("pencil", Some(b"another"), channel(), &["SCRAM-SHA-256-PLUS p=tls-exporter,,n=shop"], Err(535)),
        // The client knows of nothing to bind to.
        ("pencil", bound, None, &["SCRAM-SHA-256 n,,n=shop"], Ok(Mechanism::ScramSha256)),
    ] {
        let (near, far) = tokio::io::duplex(4096);
        let host = tokio::spawn(scram_host(far, known, binds));
        let mut client = Client::start(near, config(), Notes::default()).await.unwrap();
        let found = client.authenticate(&credentials(password()), called(here)).await;
        assert_eq!(found.map_err(|error| error.reply().map_or(0, Reply::code)), result, "{known} {binds:?}");
        let told = client.observer_mut().0.join("\n");
        assert!(told.contains("< 334 …\n> …\n"), "{told}");
        drop(client);
        assert_eq!(host.await.unwrap(), firsts);
    }
}

#[tokio::test]
async fn a_binding_that_the_host_does_not_know_is_left_out_and_one_that_it_hides_is_told_of() {
    for (offer, second, codes) in [
        (
            "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256",
            "n,,n=shop,r=",
            ["535 5.7.8 unknown binding\r\n", "535 5.7.8 no\r\n"],
        ),
        ("AUTH SCRAM-SHA-256", "y,,n=shop,r=", ["", "535 5.7.8 no\r\n"]),
    ] {
        let (near, mut far) = tokio::io::duplex(4096);
        let [plus, plain] = codes;
        let ehlo = format!("250-h.example\r\n250 {offer}\r\n");
        let host = tokio::spawn(async move {
            let mut seen = Vec::new();
            far.write_all(b"220 h.example\r\n").await.unwrap();
            for reply in [ehlo.as_str(), plus, plain].into_iter().filter(|reply| !reply.is_empty()) {
                let mut line = BytesMut::new();
                while !line.ends_with(b"\r\n") {
                    assert!(far.read_buf(&mut line).await.unwrap() > 0);
                }
                seen.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                far.write_all(reply.as_bytes()).await.unwrap();
            }
            seen
        });
        let mut client = Client::start(near, config(), ()).await.unwrap();
        let error = client.authenticate(&credentials(password()), called(channel())).await.unwrap_err();
        assert_eq!(error.reply().map(Reply::text), Some("no"));
        let seen = host.await.unwrap();
        let shown = seen.last().unwrap().strip_prefix("AUTH SCRAM-SHA-256 ").unwrap();
        assert!(from_base64(shown.as_bytes()).unwrap().starts_with(second.as_bytes()), "{seen:?}");
    }
}

#[tokio::test]
async fn scram_believes_no_host_that_does_not_know_the_password() {
    // It says yes at once; it asks for something else.
    for (steps, fault) in [
        (&["235 2.7.0 in\r\n"][..], ExchangeFault::TooSoon),
        (&["334 cj1ub2JvZHksaT00MDk2\r\n"], ExchangeFault::Scram(ScramFault::Malformed)),
    ] {
        let (near, mut far) = tokio::io::duplex(4096);
        let host = tokio::spawn(async move {
            let mut line = BytesMut::new();
            for said in ["220 h.example\r\n", "250-h.example\r\n250 AUTH SCRAM-SHA-256\r\n"].iter().chain(steps) {
                far.write_all(said.as_bytes()).await.unwrap();
                line.clear();
                while !line.ends_with(b"\r\n") && far.read_buf(&mut line).await.unwrap() > 0 {}
            }
            if &line[..] == b"*\r\n" {
                far.write_all(b"501 5.7.0 given up\r\n").await.unwrap();
            }
        });
        let mut client = Client::start(near, config(), ()).await.unwrap();
        let error = client.authenticate(&credentials(password()), called(None)).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Auth(AuthFault::Exchange(found)) if found == fault), "{error}");
        assert!(!client.is_usable());
        drop(client);
        host.await.unwrap();
    }
}

#[tokio::test]
async fn the_submitter_is_told_to_a_host_that_let_the_relay_in_and_left_out_where_it_is_not_understood() {
    let flight = |submitter: &str| {
        ExpectOwned(format!("MAIL FROM:<a@a.example>{submitter}\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"))
    };
    let taken = || [Say("250 a\r\n250 b\r\n354 c\r\n"), Expect("Hi\r\n.\r\n"), Say("250 d\r\n")];
    let said = Some(Box::new(Extensions { auth: Some("e+3Dmc2@example.com".into()), ..Extensions::default() }));
    let known = Envelope { extensions: said, ..envelope(&["b@b.example"]) };

    let start = vec![Expect("AUTH PLAIN AHNob3AAcGVuY2ls\r\n"), Say("235 in\r\n"), flight(" AUTH=e+3Dmc2@example.com")];
    let script = [start, taken().to_vec()].concat();
    let (host, (_, mut client)) = log_in("AUTH PLAIN", password(), script).await;
    client.send(&known, &mut text()).await.unwrap();
    host.done().await;

    // Who has not logged in says nothing of it.
    let ehlo = vec![
        Say("220 h.example\r\n"),
        Expect("EHLO c.example\r\n"),
        Say("250-h.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"),
    ];
    let host = Host::start([ehlo, vec![flight("")], taken().to_vec()].concat());
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    client.send(&known, &mut text()).await.unwrap();
    host.done().await;

    // A host that does not know what RFC 4954 asks of it is not asked again on this connection.
    let script = vec![
        Expect("AUTH PLAIN AHNob3AAcGVuY2ls\r\n"),
        Say("235 in\r\n"),
        flight(" AUTH=<>"),
        Say("555 5.5.4 no such parameter\r\n503 5.5.1 no MAIL\r\n503 5.5.1 no MAIL\r\n"),
        ExpectOwned("RSET\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n".into()),
        Say("250 r\r\n"),
    ];
    let script = [script, taken().to_vec(), vec![flight("")], taken().to_vec()].concat();
    let (host, (_, mut client)) = log_in("AUTH PLAIN", password(), script).await;
    for _ in 0..2 {
        let outcome = client.send(&envelope(&["b@b.example"]), &mut text()).await.unwrap();
        assert_eq!(codes(&outcome, 1), [(Stage::Reply, 250)]);
    }
    host.done().await;
}
