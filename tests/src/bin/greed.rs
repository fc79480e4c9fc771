//! Measures whether greedy clients slow another one: a client at its full speed, alone and beside ten greedy ones.
//!
//! `cargo run --release -p mailsluice-tests --bin greed [SECONDS [ROUNDS]] [--postfix]`. Each client has an address of its own, told
//! by the PROXY protocol. The modest one has one session, each greedy one has twenty; all send messages of 4 KiB as fast as they are
//! taken, command by command. Nothing is delivered meanwhile, so that all of the machine is there for taking mail. Rounds with
//! and without the greedy ones take turns, and medians are printed. `--postfix` (as root) measures a Postfix in the same way, and a
//! relay beside it in every round.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mailsluice_crds::{
    LogLevel,
    relay::{Client, ClientLimits, Rates, Trusted},
    schedule::LinkState,
};
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    mail,
    manifest::Manifest,
    postfix::Postfix,
    relay::{self, Relay},
    sink::Sink,
};

const GREEDY: u8 = 10;
const SESSIONS: usize = 20;
const OCTETS: usize = 4096;
/// What a Postfix has in the place of the relay's manifest: clients told by the PROXY protocol, room for all of their sessions, and no
/// delivery.
const POSTFIX: &str = "smtpd_upstream_proxy_protocol = haproxy\nmynetworks = 127.0.0.0/8 192.0.2.0/24\n\
    default_process_limit = 300\ndefer_transports = smtp relay\n";
/// Messages that a greedy client may begin in a minute, in the rounds where that is limited.
const LIMIT: u32 = 600;

/// What one client came to in a round.
struct Result {
    /// Messages a second.
    rate: f64,
    /// From the last octet of a message to its 250, sorted.
    waits: Vec<Duration>,
}

/// What one server came to, round by round.
#[derive(Default)]
struct Results {
    alone: Vec<Result>,
    beside: Vec<Result>,
    /// Messages a second of all the greedy ones.
    greedy: Vec<f64>,
}

impl Results {
    /// A round of each kind, with a server that is new each time: so that none has a longer queue than another.
    fn measure(&mut self, address: SocketAddr, time: Duration) {
        self.alone.push(round(address, time, 0).0);
        let (modest, others) = round(address, time, GREEDY);
        self.beside.push(modest);
        self.greedy.push(others);
    }

    fn print(&self, server: &str) {
        println!("\n{server}:");
        say("the modest client alone", &self.alone);
        say("the modest client beside ten greedy ones", &self.beside);
        let each = median(self.greedy.iter().map(|rate| rate / f64::from(GREEDY)).collect());
        println!("each greedy client, of {SESSIONS} sessions        {each:>8.0} messages/s");
        let rate = |results: &[Result]| median(results.iter().map(|result| result.rate).collect());
        let (with, without) = (rate(&self.beside), rate(&self.alone));
        let share = (with + each * f64::from(GREEDY)) / f64::from(GREEDY + 1);
        println!(
            "the modest client keeps {:.0} % of its speed, and has {:.2} of an equal share, which is {share:.0} messages/s",
            100.0 * with / without,
            with / share
        );
    }
}

fn main() {
    let (options, numbers): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|text| text.starts_with("--"));
    let beside_postfix = match options.as_slice() {
        [] => false,
        [only] if only == "--postfix" => true,
        other => panic!("{other:?}: the only option is --postfix"),
    };
    let mut numbers = numbers.iter().map(|text| text.parse::<u64>().expect("a number"));
    let time = Duration::from_secs(numbers.next().unwrap_or(5));
    let rounds = numbers.next().unwrap_or(3);
    println!("{}", relay::program().display());
    println!(
        "{} cores; {rounds} rounds of {time:?} each, medians",
        thread::available_parallelism().map_or(0, usize::from)
    );
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
    manifest.proxy_protocol = Some(Trusted { networks: vec!["127.0.0.1/32".into()] });
    manifest.relay.clients = vec![Client { networks: vec!["192.0.2.0/24".into()], ..Client::default() }];
    manifest.relay.log.level = LogLevel::Problems;
    let mut limited_manifest = manifest.clone();
    limited_manifest.relay.limits.per_client.rates.messages_per_minute = Some(LIMIT);
    let modest = Client { networks: vec!["192.0.2.1/32".into()], limits: unlimited(), ..Client::default() };
    limited_manifest.relay.clients.insert(0, modest);
    let (mut ours, mut theirs, mut limited) = (Results::default(), Results::default(), Vec::new());
    for _ in 0..rounds {
        let relay = Relay::start(&manifest);
        ours.measure(relay.smtp, time);
        drop(relay);
        if beside_postfix {
            let postfix = Postfix::start_with(sink.address, POSTFIX);
            theirs.measure(postfix.address, time);
        } else {
            let relay = Relay::start(&limited_manifest);
            limited.push(round(relay.smtp, time, GREEDY).0);
        }
    }
    ours.print("the relay");
    if beside_postfix {
        theirs.print("Postfix");
    } else {
        say("beside ten that perClient limits", &limited);
    }
}

fn say(who: &str, results: &[Result]) {
    let rate = median(results.iter().map(|result| result.rate).collect());
    let wait = |part: f64| {
        let of =
            |result: &Result| result.waits[((result.waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
        median(results.iter().map(of).collect())
    };
    println!("{who:<42} {rate:>8.0} messages/s, its 250 after {:.1} ms (p50), {:.1} ms (p99)", wait(0.5), wait(0.99));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The modest client's result beside so many greedy ones, and the rate of all of those.
fn round(address: SocketAddr, time: Duration, greedy: u8) -> (Result, f64) {
    let stop = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(AtomicU64::new(0));
    let sessions = usize::from(greedy) * SESSIONS;
    let ready = Arc::new(Barrier::new(sessions + 1));
    let threads: Vec<_> = (0..sessions)
        .map(|number| {
            let (stop, taken, ready) = (Arc::clone(&stop), Arc::clone(&taken), Arc::clone(&ready));
            thread::spawn(move || {
                let mut session = open(address, 10 + number / SESSIONS);
                ready.wait();
                while !stop.load(Ordering::Relaxed) {
                    match send(&mut session) {
                        Ok(_) => drop(taken.fetch_add(1, Ordering::Relaxed)),
                        // Over its limit: it tries again as fast as it is answered.
                        Err(error) => assert!(error.to_string().starts_with("451 4.7.1 "), "{error}"),
                    }
                }
            })
        })
        .collect();
    let mut session = open(address, 1);
    ready.wait();
    // Until all are at their speed.
    let warm = Instant::now();
    while warm.elapsed() < time / 5 {
        send(&mut session).expect("a message is taken");
    }
    let (begun, before) = (Instant::now(), taken.load(Ordering::Relaxed));
    let mut waits = Vec::new();
    while begun.elapsed() < time {
        waits.push(send(&mut session).expect("a message is taken"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let others = (taken.load(Ordering::Relaxed) - before) as f64 / seconds;
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a client ends"));
    let rate = waits.len() as f64 / seconds;
    waits.sort_unstable();
    (Result { rate, waits }, others)
}

/// A session of the client 192.0.2.`number`.
fn open(address: SocketAddr, number: usize) -> Dialogue {
    let mut session = Dialogue::connect(address).expect("connect");
    session.send(format!("PROXY TCP4 192.0.2.{number} 192.0.2.250 4242 25\r\n").as_bytes());
    let greeting = session.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    session.expect("EHLO client.test", "250");
    session
}

/// The limits of the modest client, where others are limited.
fn unlimited() -> ClientLimits {
    let rates = Rates { messages_per_minute: Some(10_000_000), ..Rates::default() };
    ClientLimits { rates, ..ClientLimits::default() }
}

/// One message; how long its 250 took.
fn send(session: &mut Dialogue) -> io::Result<Duration> {
    for command in ["MAIL FROM:<shop@example.org>\r\n", "RCPT TO:<a@one.test>\r\n", "DATA\r\n"] {
        session.try_send(command.as_bytes())?;
        let reply = session.try_reply()?;
        if !reply.starts_with(['2', '3']) {
            return Err(io::Error::other(reply));
        }
    }
    session.try_send(&stuffed(&mail::text_of_size("measured", OCTETS)))?;
    let sent = Instant::now();
    let reply = session.try_reply()?;
    if reply.starts_with("250") { Ok(sent.elapsed()) } else { Err(io::Error::other(reply)) }
}
