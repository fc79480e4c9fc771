//! How many messages a second: until all are answered 250, and until all have arrived.

use std::{net::SocketAddr, process::Command, time::Instant};

use mailsluice_tests::{certificate::Certificate, process};

use crate::{
    Bench, UNMEASURED, client,
    mta::{Mta, Setup, Who},
    report::{Line, count, median},
    sink::Sink,
};

/// Messages that are sent before anything is measured.
pub(crate) const WARM_UP: u64 = 100;

/// One kind of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) meaning: &'static str,
    pub(crate) sessions: u64,
    /// Whether a connection is used for more than one message.
    pub(crate) kept: bool,
    pub(crate) octets: usize,
    pub(crate) tls: bool,
    /// How many messages ours gets; the others get their share of it.
    pub(crate) messages: u64,
    /// How many times Postfix's rate is asked for.
    pub(crate) goal: f64,
}

const KEPT: Work = Work {
    meaning: "50 sessions kept, 4 KiB",
    sessions: 50,
    kept: true,
    octets: 4096,
    tls: false,
    messages: 24_000,
    goal: 8.0,
};

/// The works of the table, by the names by which they are asked for.
pub(crate) const WORKS: [(&str, Work); 5] = [
    ("kept", KEPT),
    (
        "connections",
        Work {
            meaning: "50 sessions, a connection for each message, 4 KiB",
            kept: false,
            messages: 15_000,
            goal: 6.0,
            ..KEPT
        },
    ),
    ("large", Work { meaning: "50 sessions kept, 64 KiB", octets: 65_536, messages: 6_000, goal: 4.0, ..KEPT }),
    ("one", Work { meaning: "one session, 4 KiB", sessions: 1, messages: 4_000, goal: 5.0, ..KEPT }),
    (
        "starttls",
        Work {
            meaning: "50 sessions kept, 4 KiB, STARTTLS in and out",
            tls: true,
            messages: 15_000,
            goal: 5.0,
            ..KEPT
        },
    ),
];

/// What a round came to, in messages per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Until all were answered 250.
    pub(crate) accepted: f64,
    /// Until all had arrived.
    pub(crate) delivered: f64,
}

/// How many seconds `smtp-source` may take.
const LIMIT: &str = "300";

/// Sends by the source that can do it.
pub(crate) fn send(address: SocketAddr, messages: u64, work: &Work) {
    if work.tls {
        return client::flood(address, work.sessions, messages, work.octets, true);
    }
    let mut command = Command::new("timeout");
    command.args([LIMIT, "/usr/sbin/smtp-source"]);
    if work.kept {
        command.arg("-d");
    }
    process::run(
        command
            .args(["-s", &work.sessions.min(messages).to_string(), "-l", &work.octets.to_string()])
            .args(["-m", &messages.to_string(), "-f", "a@example.org", "-t", "b@one.test"])
            .arg(address.to_string()),
    );
}

fn timed(address: SocketAddr, sink: &Sink, messages: u64, work: &Work) -> Rates {
    send(address, WARM_UP, work);
    sink.await_warm_up(WARM_UP);
    let begun = Instant::now();
    send(address, messages, work);
    let accepted = begun.elapsed();
    let delivered = sink.await_count(WARM_UP + messages) - begun;
    let rate = |time: std::time::Duration| messages as f64 / time.as_secs_f64();
    Rates { accepted: rate(accepted), delivered: rate(delivered) }
}

/// The sink for a work, and the certificate where that is under TLS.
fn sink(work: &Work) -> (Sink, Option<Certificate>) {
    let certificate = work.tls.then(|| Certificate::of("bench.test"));
    let sink = certificate.as_ref().map_or_else(Sink::start, Sink::start_tls);
    (sink, certificate)
}

/// One round of one relay, started afresh, with a fresh sink behind it.
pub(crate) fn measure(who: Who, work: &Work, messages: u64) -> Rates {
    let (sink, tls) = sink(work);
    let mta = Mta::start(who, &Setup { tls, ..Setup::to(sink.address) });
    timed(mta.address, &sink, messages, work)
}

/// From the source straight into the sink: what this machine can do at most.
fn ceiling(work: &Work, messages: u64) -> f64 {
    let (sink, _) = sink(work);
    timed(sink.address, &sink, messages, work).delivered
}

/// The rows of one work.
pub(crate) fn run(bench: &mut Bench, name: &str, work: &Work) {
    let everybody = Who::all();
    let mut rates: Vec<Vec<Rates>> = vec![Vec::new(); everybody.len()];
    let mut ceilings = Vec::new();
    let messages = bench.scaled(work.messages);
    let mut failed = vec![false; everybody.len()];
    for round in 0..bench.rounds {
        ceilings.extend(bench.attempt(&format!("{name}, source → sink"), || ceiling(work, messages)));
        for turn in 0..everybody.len() {
            // Each begins a round in turn.
            let index = (turn + round) % everybody.len();
            let who = everybody[index];
            if failed[index] {
                continue;
            }
            let measured =
                bench.attempt(&format!("{name}, {}", who.name()), || measure(who, work, who.share(messages)));
            failed[index] = measured.is_none();
            rates[index].extend(measured);
        }
    }
    let of = |index: usize, part: fn(&Rates) -> f64| median(rates[index].iter().map(part));
    let ceiling = median(ceilings);
    let ratio = of(0, |rates| rates.delivered) / of(1, |rates| rates.delivered);
    let text = |index: usize| {
        if rates[index].is_empty() {
            return UNMEASURED.to_owned();
        }
        let rate = |part| count(of(index, part));
        format!("{}/s; {}/s accepted", rate(|rates| rates.delivered), rate(|rates| rates.accepted))
    };
    let mut line = Line::new(work.meaning, format!("{} × Postfix", work.goal), text(0));
    for (index, who) in everybody.iter().enumerate().skip(1) {
        line = line.beside(*who, text(index));
    }
    bench.tell(line.ratio(ratio).met(ratio >= work.goal));
    let part = of(0, |rates| rates.delivered) / (ceiling / 2.0);
    let line = Line::new(
        format!("{}: share of half of source → sink", work.meaning),
        if work.meaning == KEPT.meaning { "60 %" } else { "" },
        format!("{:.0} % (source → sink {}/s)", part * 100.0, count(ceiling)),
    );
    bench.tell(if work.meaning == KEPT.meaning { line.met(part >= 0.6) } else { line });
}

/// Rates against the number of sessions, for the plot.
pub(crate) fn by_sessions(bench: &mut Bench) {
    const SESSIONS: [u64; 6] = [1, 2, 5, 10, 20, 50];
    let mut curves = Vec::new();
    for who in Who::all() {
        let mut curve = Vec::new();
        for sessions in SESSIONS {
            let work = Work { sessions, ..KEPT };
            let messages = bench.scaled(who.share(3_000 * sessions.min(8)).max(300));
            let of = format!("{} with {sessions} sessions", who.name());
            let Some(rates) = bench.attempt(&of, || measure(who, &work, messages)) else { continue };
            curve.push((sessions as f64, rates.delivered));
            println!("{of}: {}/s delivered", count(rates.delivered));
        }
        curves.push((who, curve));
    }
    bench.plot("rate-by-sessions", ("sessions", "messages delivered a second"), &curves);
}
