//! What a long queue costs: memory, processor time and latency of what passes it, and a restart.
//!
//! 1,000 hosts do not answer, and mail for them waits; other mail passes to a host that does.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{http, wait};

use crate::{
    Bench, UNMEASURED, client, latency,
    mta::{DEAD, HOSTS, Mta, Setup, Who},
    process,
    report::{Line, count, megabytes, milliseconds},
    sink::Sink,
    throughput::{WORKS, send},
};

/// How much waits when it is measured.
const LENGTHS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The same for the others, whom more would keep for hours.
const SHORT: [u64; 2] = [1_000, 10_000];

/// Messages that pass the queue when that is measured.
const PASSING: u64 = 20_000;

/// The port of mail exchangers.
const SMTP: u16 = 25;

/// How long a restart may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The memory of a relay, in octets.
#[derive(Debug, Clone, Copy)]
struct Memory {
    all: u64,
    /// What of it is no page of its program, where it is one process.
    own: Option<u64>,
}

impl Memory {
    fn text(self) -> String {
        match self.own {
            Some(own) => format!("{} ({} without the program)", megabytes(self.all), megabytes(own)),
            None => megabytes(self.all),
        }
    }
}

/// What was seen with so much waiting.
struct Seen {
    waiting: u64,
    memory: Memory,
    rate: f64,
    cpu: Duration,
    p99: Duration,
}

/// Fills the queue to each length, and measures what passes it. `messages` pass each time.
fn grow(mta: &Mta, sink: &Sink, lengths: &[u64], (messages, offered): (u64, u64), seen: &mut Vec<Seen>) {
    let mut waiting = 0;
    let mut passed = 0;
    for length in lengths {
        client::fill(mta.address, DEAD, HOSTS as u64, (waiting, *length));
        waiting = *length;
        // The hosts are tried and found dead, and buffers go back.
        thread::sleep(Duration::from_secs(3));
        let memory = memory(mta);
        let cpu = process::cpu(mta.process());
        let begun = Instant::now();
        send(mta.address, messages, &WORKS[0].1);
        passed += messages;
        let took = sink.await_count(passed) - begun;
        let cpu = (process::cpu(mta.process()) - cpu) / u32::try_from(messages).expect("a count");
        let (percentiles, taken) = latency::of(mta.address, offered, Duration::from_secs(5));
        passed += taken;
        sink.await_count(passed);
        let rate = messages as f64 / took.as_secs_f64();
        println!(
            "with {} waiting: {}, {}/s pass, {} µs of CPU a message, p99 {}",
            count(waiting as f64),
            memory.text(),
            count(rate),
            cpu.as_micros(),
            milliseconds(percentiles.p99)
        );
        seen.push(Seen { waiting, memory, rate, cpu, p99: percentiles.p99 });
    }
}

/// Resident, of the one process that ours is; in proportion, of others' many.
fn memory(mta: &Mta) -> Memory {
    let root = mta.process();
    if process::family(root).len() > 1 {
        return Memory { all: process::memory(root), own: None };
    }
    Memory { all: process::resident(root), own: Some(process::own_memory(root)) }
}

/// The rows.
pub(crate) fn run(bench: &mut Bench) {
    let sink = Sink::start();
    let setup = Setup { dead_hosts: true, ..Setup::to(sink.address) };
    let messages = bench.scaled(100_000);
    let closed = bench.attempt("queue, held", || closed(&Setup { held: true, ..setup.clone() }, messages));
    if let Some(closed) = closed {
        let what = format!("memory, {} of 1 KiB for 1,000 hosts, the schedule closed", count(messages as f64));
        bench.tell(Line::new(what, "≤ 45 MB", closed.text()).met(closed.all <= 45_000_000));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut mta = Mta::start(Who::Mailsluice, &setup);
    thread::sleep(Duration::from_secs(2));
    let idle = memory(&mta);
    let lengths: Vec<u64> = LENGTHS.into_iter().filter(|length| *length <= bench.scaled(1_000_000)).collect();
    let passing = bench.scaled(PASSING);
    bench.attempt("queue, Mailsluice", || grow(&mta, &sink, &lengths, (passing, 1_000), &mut ours));
    if let Some(last) = ours.last() {
        let waiting = last.waiting;
        let restart = bench.attempt("restart", || restart(&mut mta));
        restart.into_iter().for_each(|restart| tell_restart(bench, waiting, restart));
    }
    drop(mta);

    let mut postfix_idle = None;
    bench.attempt("queue, Postfix", || {
        let sink = Sink::start();
        let mta = Mta::start(Who::Postfix, &Setup { dead_hosts: true, ..Setup::to(sink.address) });
        thread::sleep(Duration::from_secs(2));
        postfix_idle = Some(memory(&mta));
        grow(&mta, &sink, &SHORT, (2_000, 300), &mut theirs);
    });
    tell_growth(bench, (&ours, idle), (&theirs, postfix_idle));
    let curve = |seen: &[Seen], y: fn(&Seen) -> f64| seen.iter().map(|seen| (seen.waiting as f64, y(seen))).collect();
    let both = |y: fn(&Seen) -> f64| vec![(Who::Mailsluice, curve(&ours, y)), (Who::Postfix, curve(&theirs, y))];
    bench.plot("rate-by-queue", ("messages waiting", "messages passed a second"), &both(|seen| seen.rate));
    let p99 = both(|seen| seen.p99.as_secs_f64() * 1e3);
    bench.plot("latency-by-queue", ("messages waiting", "p99 of the 250, in ms"), &p99);
}

/// The rows of what a queue that grows costs.
fn tell_growth(bench: &mut Bench, (ours, idle): (&[Seen], Memory), (theirs, postfix_idle): (&[Seen], Option<Memory>)) {
    let beside = postfix_idle.map_or_else(|| UNMEASURED.to_owned(), Memory::text);
    let line = Line::new("memory, idle", "≤ 15 MB", idle.text()).met(idle.all <= 15_000_000);
    bench.tell(line.beside(Who::Postfix, beside));
    for (length, most) in [(100_000, 45_000_000), (1_000_000, 300_000_000)] {
        if let Some(seen) = ours.iter().find(|seen| seen.waiting == length) {
            let mut line = Line::new(
                format!("memory, {} of 1 KiB for 1,000 hosts, each tried and suspended", count(length as f64)),
                format!("≤ {} MB", most / 1_000_000),
                seen.memory.text(),
            );
            if let Some(last) = theirs.last() {
                let beside = format!("{} with {}", last.memory.text(), count(last.waiting as f64));
                line = line.beside(Who::Postfix, beside);
            }
            bench.tell(line.met(seen.memory.all <= most));
        }
    }
    if let (Some(first), Some(last)) = (ours.first(), ours.last()) {
        let growth = last.cpu.as_secs_f64() / first.cpu.as_secs_f64() - 1.0;
        let text = |seen: &Seen| format!("{} µs with {}", seen.cpu.as_micros(), count(seen.waiting as f64));
        let mut line = Line::new(
            "CPU a message that passes the queue, as that grows",
            "flat within 20 %",
            format!("{} → {} ({:+.0} %)", text(first), text(last), growth * 100.0),
        );
        if let (Some(first), Some(last)) = (theirs.first(), theirs.last()) {
            line = line.beside(Who::Postfix, format!("{} → {}", text(first), text(last)));
        }
        bench.tell(line.met(growth.abs() <= 0.2));
    }
}

fn tell_restart(bench: &mut Bench, waiting: u64, (first, all): (Duration, Duration)) {
    bench.tell(
        Line::new(
            format!("restart with {} waiting: first delivery; all is scheduled", count(waiting as f64)),
            "≤ 1 s; ≤ 10 s",
            format!("{:.2} s; {:.2} s", first.as_secs_f64(), all.as_secs_f64()),
        )
        .met(first <= Duration::from_secs(1) && all <= Duration::from_secs(10)),
    );
}

/// The memory of ours with so many messages that a closed schedule keeps.
fn closed(setup: &Setup, messages: u64) -> Memory {
    let mta = Mta::start(Who::Mailsluice, setup);
    client::fill(mta.address, DEAD, HOSTS as u64, (0, messages));
    thread::sleep(Duration::from_secs(3));
    memory(&mta)
}

/// Kills ours and starts it again, with all hosts answering now: until the first message arrives, and until the whole spool is
/// in the queue.
fn restart(mta: &mut Mta) -> (Duration, Duration) {
    let hosts = Sink::start_at(SocketAddr::from(([0, 0, 0, 0], SMTP)));
    let relay = mta.relay().expect("ours");
    relay.kill();
    let begun = Instant::now();
    relay.restart();
    println!("restart: ready after {}", milliseconds(begun.elapsed()));
    let address = relay.http;
    let all = thread::spawn(move || {
        wait::until_some(LIMIT, "the spool is read", || {
            let text = http::get(address, "/metrics", None).ok()?.body;
            text.lines().any(|line| line == "mailsluice_spool_recovering 0").then(Instant::now)
        })
    });
    let first = hosts.await_first() - begun;
    let all = all.join().expect("the metrics") - begun;
    (first, all)
}
