//! STARTTLS: nothing that is said in clear is believed under TLS.

use super::{
    host::{Host, Line::*},
    *,
};
use crate::tls::TlsFault;

const OFFERED: &str = "250-h.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n";

async fn offered(lines: Vec<host::Line>) -> (Host, Client<tokio::io::DuplexStream, Notes>) {
    let greeting = vec![Say("220 h.example\r\n"), Expect("EHLO c.example\r\n"), Say(OFFERED), Expect("STARTTLS\r\n")];
    let host = Host::start([greeting, lines].concat());
    let client = Client::start(host.stream(), config(), Notes::default()).await.unwrap();
    assert!(client.capabilities().start_tls && client.capabilities().pipelining);
    (host, client)
}

#[tokio::test]
async fn under_tls_the_session_begins_anew_and_forgets_what_was_offered() {
    let (host, client) = offered(vec![Say("220 go\r\n"), ExpectEnd]).await;
    // What the handshake makes of the connection: another one, with another end.
    let secure = Host::start(vec![Expect("EHLO c.example\r\n"), Say(PLAIN), Expect("QUIT\r\n"), Say("221 Bye\r\n")]);
    let stream = secure.stream();
    let done = client.start_tls(|clear| async move {
        drop(clear);
        Ok(stream)
    });
    let StartTls::Done(mut client) = done.await.unwrap() else { panic!("refused") };
    assert_eq!(*client.capabilities(), Capabilities::default());
    let told = std::mem::take(&mut client.observer_mut().0);
    let at = told.iter().position(|line| line == "[StartTls]").unwrap();
    assert_eq!(told[at..at + 5], ["[StartTls]", "> STARTTLS", "< 220 go", "[Ehlo]", "> EHLO c.example"]);
    client.quit().await.unwrap();
    host.done().await;
    secure.done().await;
}

#[tokio::test]
async fn a_reply_that_is_forged_in_clear_ends_the_session_before_the_handshake() {
    for forged in [
        "220 go\r\n250 h.example\r\n",
        "220 go\r\n250-h.example\r\n250 AUTH PLAIN\r\n250 2.1.0 Ok\r\n",
        "220 go\r\n2",
        "220 go\r\n\r\n",
        "220 go\r\n\0",
    ] {
        let (host, client) = offered(vec![Say(forged), ExpectEnd]).await;
        let error = client
            .start_tls(|_| async {
                Err::<tokio::io::DuplexStream, _>(TlsFault::NotReady("the handshake began".into()))
            })
            .await
            .unwrap_err();
        assert_eq!(error.stage, Stage::StartTls);
        assert!(matches!(error.kind, ErrorKind::Tls(TlsFault::Injection)), "{forged:?}: {error}");
        host.done().await;
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_session_in_clear_as_it_was() {
    let (host, client) = offered(vec![
        Say("454 4.7.0 no certificate\r\n"),
        Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 c\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 d\r\n"),
    ])
    .await;
    let asked = client.start_tls(|_| async { Err::<tokio::io::DuplexStream, _>(TlsFault::NotOffered) }).await.unwrap();
    let StartTls::Refused(mut client, reply) = asked else { panic!("done") };
    assert_eq!(reply.code(), 454);
    client.send(&envelope(&["b@b.example"]), &mut text()).await.unwrap();
    host.done().await;
}

#[tokio::test]
async fn a_failed_handshake_and_a_host_that_leaves_end_the_session() {
    let (host, client) = offered(vec![Say("220 go\r\n"), ExpectEnd]).await;
    let failed = client
        .start_tls(|_| async { Err::<tokio::io::DuplexStream, _>(TlsFault::from(io::Error::from_raw_os_error(104))) })
        .await
        .unwrap_err();
    assert!(matches!(failed.kind, ErrorKind::Tls(TlsFault::Io(_))), "{failed}");
    host.done().await;
    for (said, code) in [("421 later\r\n", 421), ("521 never\r\n", 521)] {
        let (host, client) = offered(vec![Say(said), ExpectEnd]).await;
        let error =
            client.start_tls(|_| async { Err::<tokio::io::DuplexStream, _>(TlsFault::NotOffered) }).await.unwrap_err();
        assert_eq!(error.reply().map(Reply::code), Some(code), "{error}");
        host.done().await;
    }
}
