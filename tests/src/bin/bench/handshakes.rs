//! How many TLS handshakes a second a relay makes with clients, full ones and resumed ones.
//!
//! A session each: EHLO, STARTTLS, the handshake, EHLO, QUIT. The same without TLS tells what of that is not the handshake's.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::certificate::Certificate;
use rustls::ClientConfig;

use crate::{
    Bench,
    client::{Client, spread},
    mta::{Mta, Setup, Who},
    process,
    report::{Line, count, median},
    sink::Sink,
    tls,
};

/// Clients at a time.
const CLIENTS: u64 = 50;

/// Sessions of each kind in a round.
const SESSIONS: u64 = 6_000;

/// The share of the processors from which on the machine is said to have been busy.
const BUSY: f64 = 0.9;

/// Those that are measured: Exim forks for each connection, and resumes nothing unless told to.
const EVERYBODY: [Who; 2] = [Who::Mailsluice, Who::Postfix];

/// What the sessions have of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Full,
    Resumed,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::None, Kind::Full, Kind::Resumed];

    const fn meaning(self) -> &'static str {
        match self {
            Kind::None => "sessions without TLS or mail, 50 at a time",
            Kind::Full => "full TLS handshakes, a session each, 50 at a time",
            Kind::Resumed => "resumed TLS handshakes, a session each, 50 at a time",
        }
    }
}

/// What a round of one kind came to.
struct Seen {
    rate: f64,
    /// Processor time of the server for each session, in microseconds.
    server: f64,
    /// The same of the client.
    client: f64,
    /// The share of all processors that both had.
    busy: f64,
}

fn measure(who: Who, mta: &Mta, kind: Kind, sessions: u64) -> Seen {
    let (server, address, own) = (mta.process(), mta.address, std::process::id());
    let session = |tls: Option<&Arc<ClientConfig>>| {
        let client = Client::connect(address, tls).expect("a session");
        let resumed = client.resumed;
        client.quit().expect("its end");
        resumed
    };
    // Each session to resume is made before the time runs: a ticket is good for one more, and Postfix gives none for that.
    let begun_before = |next: &mut dyn FnMut() -> Option<u64>| {
        let mut clients = Vec::new();
        while next().is_some() {
            let tls = tls::resuming_client();
            session(Some(&tls));
            clients.push(tls);
        }
        clients
    };
    let clients = match kind {
        Kind::None => Vec::new(),
        Kind::Full => vec![tls::client(); usize::try_from(sessions).expect("a count")],
        Kind::Resumed => spread(CLIENTS, sessions, begun_before).concat(),
    };
    let (server_before, client_before, begun) = (process::cpu(server), process::own_cpu(own), Instant::now());
    let resumed = spread(CLIENTS, sessions, |next| {
        let mut resumed = 0_u64;
        while let Some(number) = next() {
            let tls = usize::try_from(number).ok().and_then(|number| clients.get(number));
            resumed += u64::from(session(tls));
        }
        resumed
    });
    let took = begun.elapsed();
    let (server, client) = (process::cpu(server) - server_before, process::own_cpu(own) - client_before);
    let (resumed, wanted) = (resumed.into_iter().sum::<u64>(), if kind == Kind::Resumed { sessions } else { 0 });
    assert_eq!(resumed, wanted, "sessions of {} that were resumed, of {sessions}, {kind:?}", who.name());
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / sessions as f64;
    Seen {
        rate: sessions as f64 / took.as_secs_f64(),
        server: each(server),
        client: each(client),
        busy: (server + client).as_secs_f64() / took.as_secs_f64() / cores,
    }
}

/// The rows.
pub(crate) fn run(bench: &mut Bench) {
    let sessions = bench.scaled(SESSIONS).max(CLIENTS * 4);
    let certificate = Certificate::of("bench.test");
    let mut seen: Vec<(Who, Kind, Seen)> = Vec::new();
    for round in 0..bench.rounds {
        for turn in 0..EVERYBODY.len() {
            let who = EVERYBODY[(turn + round) % EVERYBODY.len()];
            let sink = Sink::start();
            let mta = Mta::start(who, &Setup { tls: Some(certificate.clone()), ..Setup::to(sink.address) });
            // Its processes are there, and so is what they make once.
            measure(who, &mta, Kind::Full, CLIENTS * 4);
            for kind in Kind::ALL {
                seen.push((who, kind, measure(who, &mta, kind, sessions)));
            }
        }
    }
    for kind in Kind::ALL {
        let of = |who: Who, part: fn(&Seen) -> f64| {
            let those = seen.iter().filter(|(whose, what, _)| (*whose, *what) == (who, kind));
            median(those.map(|(_, _, seen)| part(seen)))
        };
        let text = |who| {
            let (rate, server, client) = (of(who, |s| s.rate), of(who, |s| s.server), of(who, |s| s.client));
            let limit = match of(who, |s| s.busy) {
                // What the client takes, the server has not: with a client elsewhere the rate is higher.
                busy if busy >= BUSY => "all processors busy",
                _ => "processors not all busy",
            };
            format!("{}/s; CPU each {server:.0} µs, the client's {client:.0} µs; {limit}", count(rate))
        };
        let ratio = of(Who::Mailsluice, |s| s.rate) / of(Who::Postfix, |s| s.rate);
        let line = Line::new(kind.meaning(), "", text(Who::Mailsluice)).ratio(ratio);
        bench.tell(line.beside(Who::Postfix, text(Who::Postfix)));
    }
}
