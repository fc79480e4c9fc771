//! Measures what being followed costs: messages a second at three Log Levels in the same run, the time from a change of the level in
//! the manifest to its effect, and the status of a relay with a great many suspended hosts.
//!
//! `cargo run --release -p mailsluice-tests --bin log [MESSAGES [CHANGES [HOSTS]]]`. The relay is a process of its own and writes its log
//! to a file, as under a container's runtime; so is the host that takes the mail.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, Unit};
use mailsluice_crds::{LogLevel, SMTPRelayStatus, monitor::Snapshot};
use mailsluice_operator::{
    growth::Growth,
    monitor::{Picture, merge},
    schedule::ScheduleUse,
    status::{Facts, Injected, Rollout, draw},
};
use mailsluice_tests::{
    dialogue::Dialogue,
    http, mail,
    manifest::Manifest,
    process::{self, Process},
    record,
    relay::{self, Relay},
    wait,
};

/// Clients that send at a time.
const CLIENTS: u64 = 8;

/// Octets of a message.
const SIZE: usize = 4096;

/// How often each level has its turn.
const ROUNDS: usize = 5;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(600);

const LEVELS: [LogLevel; 3] = [LogLevel::Problems, LogLevel::LowLevel, LogLevel::AllInfo];

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let messages = arguments.next().unwrap_or(4_000);
    let changes = arguments.next().unwrap_or(200);
    let hosts = arguments.next().unwrap_or(10_000);
    println!(
        "{} cores; the relay: {}",
        thread::available_parallelism().map_or(0, usize::from),
        relay::program().display()
    );
    rates(messages);
    for (way, set) in [("a level in the manifest", by_manifest as Set), ("ctl log LEVEL", by_ctl)] {
        effects(changes, way, set);
    }
    status(hosts);
}

/// Messages a second until all are delivered, at each level in turn.
fn rates(messages: u64) {
    let sink = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let _sink = Process::start(
        Command::new(relay::program()).args(["sink", &sink.to_string(), "--quiet"]).stdout(Stdio::null()),
    );
    let mut manifest = Manifest::to(sink);
    let relay = Relay::start(&manifest);
    let log = relay.folder().join("log");
    let mut rows: Vec<(LogLevel, Vec<f64>, u64)> = LEVELS.map(|level| (level, Vec::new(), 0)).to_vec();
    send(relay.smtp, messages / 4);
    relay.await_empty_for(LIMIT);
    for _ in 0..ROUNDS {
        for (level, rates, octets) in &mut rows {
            manifest.relay.log.level = *level;
            relay.rewrite(&manifest);
            let name = format!("mailsluice_log_level{{level=\"{}\"}}", level.name());
            wait::until_equal(LIMIT, "the level", Some(1.0), || relay.metrics().get(&name).copied());
            let before = size(&log);
            let begun = Instant::now();
            send(relay.smtp, messages);
            relay.await_empty_for(LIMIT);
            rates.push(messages as f64 / begun.elapsed().as_secs_f64());
            *octets += size(&log) - before;
        }
    }
    println!(
        "\n{messages} messages of {SIZE} octets over {CLIENTS} kept sessions until all are delivered, {ROUNDS} rounds in turn:"
    );
    let base = median(&rows[0].1);
    for (level, rates, octets) in &rows {
        let (middle, least, most) = (median(rates), low(rates), high(rates));
        println!(
            "  {:<9} {middle:>6.0} messages/s ({least:.0} to {most:.0}), {:>3.0} % of Problems, {:>5} octets of log a message",
            level.name(),
            100.0 * middle / base,
            octets / (messages * ROUNDS as u64),
        );
    }
}

/// Sends so many messages over kept sessions, as fast as they are taken.
fn send(address: SocketAddr, messages: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let text = mail::text_of_size("measured", SIZE);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Dialogue::open(address);
                while next.fetch_add(1, Ordering::Relaxed) < messages {
                    client.message("shop@example.org", &["a@one.test"], &text);
                }
            });
        }
    });
}

/// Sets the level of a relay.
type Set = fn(&Relay, &mut Manifest, LogLevel);

/// From the change to the first record of the new level.
fn effects(changes: u64, way: &str, set: Set) {
    let sink = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut manifest = Manifest::to(sink);
    manifest.relay.log.level = LogLevel::Problems;
    let relay = Relay::start(&manifest);
    let log = relay.folder().join("log");
    let stop = AtomicBool::new(false);
    let mut took: Vec<f64> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Dialogue::open(relay.smtp);
            while !stop.load(Ordering::Relaxed) {
                client.expect("NOOP", "250");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let took = (0..changes).map(|_| {
            set(&relay, &mut manifest, LogLevel::Problems);
            await_silence(&log);
            let from = size(&log);
            let changed = Timestamp::now();
            set(&relay, &mut manifest, LogLevel::LowLevel);
            let first = wait::until_some(LIMIT, "a record of the new level", || {
                rest(&log, from).lines().filter_map(|line| record::parse(line).ok()).find(|r| r.msg == "> NOOP")
            });
            changed.duration_until(first.time).as_secs_f64() * 1_000.0
        });
        let took = took.collect();
        stop.store(true, Ordering::Relaxed);
        took
    });
    took.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| took[((took.len() - 1) as f64 * part).round() as usize];
    println!("\nfrom {way} to its first record, {changes} changes, a command each millisecond:");
    println!("  p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms", at(0.5), at(0.99), at(1.0));
}

fn by_manifest(relay: &Relay, manifest: &mut Manifest, level: LogLevel) {
    manifest.relay.log.level = level;
    relay.rewrite(manifest);
}

fn by_ctl(relay: &Relay, _: &mut Manifest, level: LogLevel) {
    let typed = relay.ctl(&["log", level.name()]);
    assert!(typed.success, "{typed:?}");
}

/// Waits until nothing is written any more: the lower level is in force.
fn await_silence(log: &Path) {
    loop {
        let before = size(log);
        thread::sleep(Duration::from_millis(100));
        if size(log) == before {
            return;
        }
    }
}

/// The bounded status of a relay with so many suspended hosts.
fn status(hosts: u64) {
    let sink = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let opens = Timestamp::now().round(Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    let mut manifest = Manifest::by_mx().opening_at(opens);
    manifest.relay.log.level = LogLevel::Failures;
    let relay = Relay::start_with(&manifest, &["--resolver", &sink.to_string()]);
    let next = Arc::new(AtomicU64::new(0));
    let text = mail::text("waits");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Dialogue::open(relay.smtp);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= hosts {
                        return;
                    }
                    client.message("shop@example.org", &[&format!("a@host{number}.example.com")], &text);
                }
            });
        }
    });
    let suspended = "mailsluice_hosts{state=\"Suspended\"}";
    wait::until_equal(LIMIT, "suspended hosts", Some(hosts as f64), || relay.metrics().get(suspended).copied());
    let asked = Instant::now();
    let whole = http::get(relay.http, "/monitor", None).expect("the Monitor").body;
    println!("\n{hosts} suspended hosts:");
    println!("  /monitor: {} octets, answered in {:.0} ms", whole.len(), asked.elapsed().as_secs_f64() * 1_000.0);
    let whole: Snapshot = serde_json::from_str(&whole).expect("a snapshot");
    let mut worst = whole.clone();
    worst.monitor.truncate(64);
    worst.hosts_not_shown = u32::try_from(whole.monitor.len() - worst.monitor.len()).unwrap_or(u32::MAX);
    let line = serde_json::to_vec(&worst).expect("JSON").len();
    println!("  a line of /monitor/stream, the {} worst hosts: {line} octets", worst.monitor.len());
    for (name, snapshots) in
        [("three replicas' lines of the stream", three(worst)), ("three replicas' whole Monitors", three(whole))]
    {
        let mut took: Vec<f64> = Vec::new();
        let mut status = SMTPRelayStatus::default();
        for _ in 0..100 {
            let begun = Instant::now();
            let merged = merge(&snapshots).expect("there are some");
            status = drawn(&Picture::Known(Box::new(merged)));
            took.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        let octets = serde_json::to_vec(&status).expect("JSON").len();
        println!(
            "  {name}: merged and bounded in {:.2} ms (most {:.2}); a status of {octets} octets with {} hosts and {} not shown",
            median(&took),
            high(&took),
            status.monitor.len(),
            status.hosts_not_shown,
        );
    }
}

/// The same from each of three replicas.
fn three(snapshot: Snapshot) -> Vec<Arc<Snapshot>> {
    std::iter::repeat_n(Arc::new(snapshot), 3).collect()
}

fn drawn(picture: &Picture) -> SMTPRelayStatus {
    draw(&Facts {
        relay: "outbound",
        generation: Some(1),
        paused: false,
        wanted: 3,
        pods: 3,
        ready: 3,
        rollout: Rollout::Complete,
        obstacles: &[],
        growth: &Growth::Done,
        schedule: &ScheduleUse::None,
        picture,
        unreadable: &[],
        stranded: &[],
        injected: &Injected::default(),
        before: &SMTPRelayStatus::default(),
        now: Timestamp::now(),
    })
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).expect("a log").len()
}

/// What was written behind this octet.
fn rest(file: &Path, from: u64) -> String {
    let mut text = String::new();
    let mut file = fs::File::open(file).expect("a log");
    file.seek(SeekFrom::Start(from)).expect("its end");
    file.read_to_string(&mut text).expect("its text");
    text
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn low(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn high(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
