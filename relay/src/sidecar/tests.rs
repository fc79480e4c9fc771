//! Sessions between an application and a gateway that both keep to a script.

use std::{net::Ipv4Addr, time::Instant};

use mailsluice_crds::relay::TlsMode;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::{gateway::Connection, offers::Offers, watcher::Watcher, *};
use crate::{
    smtp::{
        Reply,
        client::{Client, Config},
    },
    tls::{self, Stream},
};

mod ahead;

/// What one side does next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Reads exactly this, before it says anything.
    Hears(&'static str),
    Says(&'static str),
    /// Hears nothing more, but the end of the connection.
    HearsTheEnd,
}

use Turn::{Hears, HearsTheEnd, Says};

const MAIL: &str = "MAIL FROM:<a@one.test>\r\n";
const RCPT: &str = "RCPT TO:<b@one.test>\r\n";
const BOTH: &str = "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\n";
const OK: &str = "250 2.0.0 Ok\r\n";
/// To a MAIL that is answered ahead of the gateway.
const AHEAD: &str = "250 2.1.0 Ok\r\n";
const GO_ON: &str = "354 Go on\r\n";
const PIPELINING: &str = "250-gateway\r\n250 PIPELINING\r\n";

async fn play(mut stream: TcpStream, script: Vec<Turn>) -> TcpStream {
    for turn in script {
        match turn {
            Says(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Hears(text) => {
                let mut heard = vec![0; text.len()];
                let whole = time::timeout(Duration::from_secs(10), stream.read_exact(&mut heard)).await;
                let shown = heard.escape_ascii();
                assert!(whole.is_ok_and(|read| read.is_ok()) && heard == text.as_bytes(), "{shown} and not {text:?}");
            }
            HearsTheEnd => {
                let mut rest = Vec::new();
                // A reset is an end, too.
                let _ = time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap();
                assert!(rest.is_empty(), "{}", rest.escape_ascii());
            }
        }
    }
    stream
}

async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.unwrap(), other.unwrap().0, address)
}

/// A sidecar whose gateway is away but for the connections that are ready.
struct Stage {
    reception: Arc<Reception>,
    gateways: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

impl Stage {
    /// The first connection is used first.
    async fn with(scripts: Vec<Vec<Turn>>) -> Stage {
        Stage::offering(PIPELINING, scripts).await
    }

    /// All gateways answer EHLO by this.
    async fn offering(offers: &'static str, scripts: Vec<Vec<Turn>>) -> Stage {
        tls::install();
        let folder = TempDir::new().unwrap();
        let put = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let authority = rcgen::generate_simple_self_signed(["mail.test".to_owned()]).unwrap().cert.pem();
        let (metrics, log) = (Arc::new(Metrics::new("test").unwrap()), Log::new(io::sink()).unwrap());
        let stop = CancellationToken::new();
        let gateway = Gateway {
            // Nobody listens there.
            called: ("127.0.0.1".into(), 1),
            name: "mail.test".try_into().unwrap(),
            mode: TlsMode::StartTls,
            authorities: reread::authorities(put("ca.crt", &authority)).unwrap(),
            token: reread::token(put("token", "token"), "pod".into()).unwrap(),
            hello: "pod".into(),
            addresses: std::sync::Mutex::default(),
            metrics: metrics.clone(),
            log: log.clone(),
        };
        let terms = Terms { warm: 0, most: 2, wait: Duration::ZERO };
        let pool = Arc::new(Pool::new(gateway, terms, stop.clone()));
        let mut gateways = Vec::new();
        for script in scripts.into_iter().rev() {
            let (ours, theirs, address) = pair().await;
            let hello = [Says("220 gateway\r\n"), Hears("EHLO pod\r\n"), Says(offers)];
            // It hangs up where its script ends.
            let script = [hello.to_vec(), script].concat();
            gateways.push(tokio::spawn(async { drop(play(theirs, script).await) }));
            let watcher = Watcher::new(log.clone(), address);
            let client = Client::start(Stream::Plain(ours), Arc::new(Config::new("pod")), watcher).await.unwrap();
            let (opened, offers) = (Instant::now(), Offers::of(&Reply::new(250, "gateway\nPIPELINING\nSIZE 9")));
            pool.add(Connection { client, address, opened, offers, _open: metrics.connection() });
        }
        gateways.reverse();
        let reception = Arc::new(Reception { pool, hostname: "pod".into(), metrics, log, stop });
        Stage { reception, gateways, _folder: folder }
    }

    /// Has an application play its part behind the greeting, and go; then all gateways must have played theirs.
    async fn run(self, application: Vec<Turn>) -> Arc<Reception> {
        let hello = [Hears("220 pod ESMTP\r\n"), Says("HELO app\r\n"), Hears("250 pod\r\n")];
        let (ours, theirs, address) = pair().await;
        let session = tokio::spawn(session::run(self.reception.clone(), theirs, address));
        drop(play(ours, [hello.to_vec(), application].concat()).await);
        session.await.unwrap();
        for gateway in self.gateways {
            gateway.await.unwrap();
        }
        self.reception
    }
}

#[tokio::test]
async fn a_message_that_comes_at_once_is_two_round_trips_and_its_connection_serves_the_next() {
    let message = "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n";
    let replies = "250 2.1.0 Sender\r\n550 5.1.1 No such\r\n354 Go on\r\n";
    let again =
        [Hears(message), Says(replies), Hears("Hi\r\n..\r\n.\r\n"), Says("250-2.0.0 queued\r\n250 2.0.0 as 1\r\n")];
    let stage = Stage::with(vec![again.repeat(2)]).await;
    let sent = [
        Says("MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n"),
        Hears("250 2.1.0 Sender\r\n550 5.1.1 No such\r\n354 Go on\r\n"),
        Says("Hi\r\n..\r\n.\r\n"),
        Hears("250-2.0.0 queued\r\n250 2.0.0 as 1\r\n"),
    ];
    let reception = stage.run(sent.repeat(2)).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.accepted_bytes.get()), (2, 14));
    assert_eq!(reception.pool.count_ready(), 1);
}

#[tokio::test]
async fn a_last_reply_that_is_lost_is_neither_a_yes_nor_a_no() {
    let stage =
        Stage::with(vec![vec![Hears(MAIL), Says(OK), Hears("DATA\r\n"), Says(GO_ON), Hears("Hi\r\n.\r\n")]]).await;
    let sent = vec![Says(MAIL), Hears(AHEAD), Says("DATA\r\n"), Hears(GO_ON), Says("Hi\r\n.\r\n"), HearsTheEnd];
    let reception = stage.run(sent).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.unanswered.get()), (0, 1));
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_text_is_a_no() {
    let stage = Stage::with(vec![vec![Hears(MAIL), Says(OK), Hears("DATA\r\n"), Says(GO_ON), Hears("Hi\r\n")]]).await;
    let lost = "451 4.4.2 The connection to the mail gateway 127.0.0.1:1 was lost: at stage Body: ";
    let sent = vec![Says(MAIL), Hears(AHEAD), Says("DATA\r\n"), Hears(GO_ON), Says("Hi\r\n")];
    let (ours, theirs, address) = pair().await;
    let session = tokio::spawn(session::run(stage.reception.clone(), theirs, address));
    let hello = vec![Hears("220 pod ESMTP\r\n"), Says("HELO app\r\n"), Hears("250 pod\r\n")];
    let ours = play(ours, [hello, sent].concat()).await;
    for gateway in stage.gateways {
        gateway.await.unwrap();
    }
    drop(play(ours, vec![Says("there\r\n"), Says(".\r\n"), Hears(lost)]).await);
    session.await.unwrap();
    assert_eq!(stage.reception.metrics.unanswered.get(), 0);
}

#[tokio::test]
async fn a_gateway_that_has_heard_enough_is_quoted() {
    let refuses =
        vec![Hears(MAIL), Says(OK), Hears("DATA\r\n"), Says(GO_ON), Hears("Hi\r\n"), Says("552 5.3.4 Enough\r\n")];
    let stage = Stage::with(vec![[refuses, vec![Says("421 4.3.0 Bye\r\n")]].concat()]).await;
    let mut sent = vec![Says(MAIL), Hears(AHEAD), Says("DATA\r\n"), Hears(GO_ON), Says("Hi\r\n")];
    sent.extend([Says("there\r\n.\r\n"), Hears("552 5.3.4 Enough\r\n"), Says("NOOP\r\n"), Hears("250 2.0.0 Ok\r\n")]);
    let reception = stage.run(sent).await;
    assert_eq!(reception.pool.count_ready(), 0);
}

#[tokio::test]
async fn a_transaction_goes_on_over_another_connection() {
    let refused = [Hears(MAIL), Says(OK), Hears(RCPT), Says("421 4.3.2 Stopping\r\n")];
    // Of a transaction that the gateway has not told the application of, nothing is begun again.
    for (first, resumed) in
        [(vec![Hears(MAIL), Says(OK)], 0), (refused.to_vec(), 0), (vec![Hears(BOTH), Says(OK), Says(OK)], 1)]
    {
        let second = vec![Hears(BOTH), Says(OK), Says(OK), Hears("DATA\r\n"), Says(GO_ON), Hears(".\r\n"), Says(OK)];
        let stage = Stage::with(vec![first, second]).await;
        let sent = vec![Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(OK), Says("DATA\r\n"), Hears(GO_ON)];
        let reception = stage.run([sent, vec![Says(".\r\n"), Hears(OK)]].concat()).await;
        assert_eq!((reception.metrics.accepted.get(), reception.metrics.resumed.get()), (1, resumed));
    }
}

#[tokio::test]
async fn a_transaction_that_another_connection_refuses_is_lost_as_a_whole() {
    let first = vec![Hears(MAIL), Says(OK), Hears(RCPT), Says(OK)];
    let again = "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n";
    let second = vec![Hears(again), Says(OK), Says("450 4.2.0 Not now\r\n"), Says(GO_ON), HearsTheEnd];
    let stage = Stage::with(vec![first, second]).await;
    let lost = "451 4.4.2 The connection to the mail gateway 127.0.0.1:1 was lost, and over another it says: 450 4.2.0 Not now\r\n";
    let mut sent = vec![Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(OK), Says("DATA\r\n"), Hears(lost)];
    sent.extend([
        Says(RCPT),
        Hears(lost),
        Says("RSET\r\n"),
        Hears(OK),
        Says("QUIT\r\n"),
        Hears("221 2.0.0 Bye\r\n"),
        HearsTheEnd,
    ]);
    let reception = stage.run(sent).await;
    assert_eq!((reception.metrics.accepted.get(), reception.pool.count_ready()), (0, 0));
}

#[tokio::test]
async fn what_is_not_to_be_delivered_never_gets_its_end() {
    let until_text = vec![Hears(MAIL), Says(OK), Hears("DATA\r\n"), Says(GO_ON)];
    let begin = vec![Says(MAIL), Hears(AHEAD), Says("DATA\r\n"), Hears(GO_ON)];
    let bare = "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing\r\n";
    for (heard, rest) in [
        // It goes before a word of its text, or in the middle of it.
        (vec![HearsTheEnd], vec![]),
        (vec![Hears("Hi\r\n"), HearsTheEnd], vec![Says("Hi\r\n")]),
        (vec![HearsTheEnd], vec![Says("a\nb\r\n.\r\n"), Hears(bare), HearsTheEnd]),
        (vec![HearsTheEnd], vec![Says("a\r\n.\n.\r\n.\r\n"), Hears(bare), HearsTheEnd]),
    ] {
        let stage = Stage::with(vec![[until_text.clone(), heard].concat()]).await;
        let (ours, theirs, address) = pair().await;
        let session = tokio::spawn(session::run(stage.reception.clone(), theirs, address));
        let hello = vec![Hears("220 pod ESMTP\r\n"), Says("HELO app\r\n"), Hears("250 pod\r\n")];
        let ours = play(ours, [hello, begin.clone(), rest].concat()).await;
        // What was said is on its way before the end is.
        time::sleep(Duration::from_millis(50)).await;
        drop(ours);
        session.await.unwrap();
        for gateway in stage.gateways {
            gateway.await.unwrap();
        }
        assert_eq!((stage.reception.metrics.accepted.get(), stage.reception.pool.count_ready()), (0, 0));
    }
}

#[tokio::test]
async fn what_an_application_leaves_behind_is_reset_before_the_next() {
    let left = [Hears(BOTH), Says(OK), Says(OK), Hears("RSET\r\n"), Says(OK)];
    for leave in ["QUIT\r\n", "HELO app\r\n", ""] {
        let stage = Stage::with(vec![left.to_vec()]).await;
        let reception = stage.run(vec![Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(OK), Says(leave)]).await;
        let given_back = async {
            while reception.pool.count_ready() == 0 {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        time::timeout(Duration::from_secs(10), given_back).await.unwrap();
    }
}

#[tokio::test]
async fn chunks_are_passed_on_by_their_counts_whatever_is_in_them() {
    let gateway = vec![
        Hears("MAIL FROM:<a@one.test>\r\n"),
        Says(OK),
        Hears("BDAT 5\r\n.\r\nMA"),
        Says("250 2.0.0 5 octets\r\n"),
        Hears("BDAT 0 LAST\r\n"),
        Says("250 2.0.0 queued\r\n"),
    ];
    let mut sent = vec![Says("BDAT 4 LAST\r\nMAIL"), Hears("503 5.5.1 Send MAIL first\r\n"), Says(MAIL), Hears(AHEAD)];
    sent.extend([Says("BDAT 5\r\n.\r\nM"), Says("A"), Hears("250 2.0.0 5 octets\r\n")]);
    sent.extend([Says("BDAT 0 LAST\r\n"), Hears("250 2.0.0 queued\r\n")]);
    let reception = Stage::with(vec![gateway]).await.run(sent).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.accepted_bytes.get()), (1, 5));
    // A chunk is not sent again: what is lost behind one, is lost.
    let gateway = vec![Hears(MAIL), Says(OK), Hears("BDAT 2\r\nHi"), Says(OK)];
    let lost = "451 4.4.2 The connection to the mail gateway 127.0.0.1:1 was lost: at stage ";
    let sent = [Says(MAIL), Hears(AHEAD), Says("BDAT 2\r\nHi"), Hears(OK)];
    let stage = Stage::with(vec![gateway]).await;
    let (ours, theirs, address) = pair().await;
    tokio::spawn(session::run(stage.reception.clone(), theirs, address));
    let hello = vec![Hears("220 pod ESMTP\r\n"), Says("HELO app\r\n"), Hears("250 pod\r\n")];
    let ours = play(ours, [hello, sent.to_vec()].concat()).await;
    for gateway in stage.gateways {
        gateway.await.unwrap();
    }
    drop(play(ours, vec![Says("BDAT 1\r\nx"), Hears(lost)]).await);
}

#[tokio::test]
async fn a_gateway_that_is_away_is_told_with_the_reason() {
    let stage = Stage::with(vec![]).await;
    let away = "451 4.4.1 The mail gateway 127.0.0.1:1 cannot be used now: 127.0.0.1:1: Connection refused";
    let all = [Says("MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n"), Hears(away)];
    let reception = stage.run(all.to_vec()).await;
    assert_eq!((reception.metrics.gateway_up.get(), reception.metrics.accepted.get()), (0, 0));
}
