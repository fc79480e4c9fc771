//! Measures the relay beside Postfix, in the same run: the same source, the same sink, the same machine.
//!
//! `cargo run --release -p mailsluice-tests --bin bench [MESSAGES [ROUNDS]]`, as root, with Postfix's package installed.
//! Each takes mail from `smtp-source -s 50 -l 4096` and delivers it to a fresh `smtp-sink`; each round starts both afresh
//! and swaps their order. What is counted is what the sink has, never what the source thinks.

use std::{
    fs,
    io::Read,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mailsluice_crds::LogLevel;
use mailsluice_tests::{manifest::Manifest, postfix::Postfix, process, relay, relay::Relay, wait};

/// Messages that are sent before anything is measured.
const WARM_UP: u64 = 100;

/// How long one round of one relay may take.
const LIMIT: Duration = Duration::from_secs(600);

/// How the source sends: its options, and what they mean.
const WAYS: [(&str, &[&str]); 2] =
    [("50 sessions, kept open", &["-s", "50", "-d"]), ("50 sessions, a connection for each message", &["-s", "50"])];

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Mailsluice,
    Postfix,
}

/// What a round came to, in messages per second.
#[derive(Clone, Copy)]
struct Rates {
    /// Until all were answered 250.
    accepted: f64,
    /// Until all had arrived.
    delivered: f64,
}

/// One of a round's figures.
type Part = fn(&Rates) -> f64;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let messages = arguments.next().unwrap_or(5_000);
    let rounds = arguments.next().unwrap_or(3);
    conditions(messages, rounds);
    for (meaning, options) in WAYS {
        let mut results: [Vec<Rates>; 2] = Default::default();
        for round in 0..rounds {
            let order = if round % 2 == 0 { [Who::Mailsluice, Who::Postfix] } else { [Who::Postfix, Who::Mailsluice] };
            for who in order {
                results[who as usize].push(measure(who, messages, options));
            }
        }
        report(meaning, &results);
    }
}

/// Says what the figures depend on.
fn conditions(messages: u64, rounds: u64) {
    let first_line = |file: &str, start: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    let version =
        |command: &str, arguments: &[&str]| process::run(Command::new(command).args(arguments)).trim().to_owned();
    println!(
        "{} cores, {}",
        thread::available_parallelism().map_or(0, usize::from),
        first_line("/proc/cpuinfo", "model name")
    );
    println!("kernel {}", first_line("/proc/version", "").chars().take(60).collect::<String>());
    println!("{}, {}", relay::program().display(), version(&relay::program().display().to_string(), &["--version"]));
    println!("Postfix: {}", version("/usr/sbin/postconf", &["-d", "mail_version"]));
    println!(
        "{messages} messages of 4096 octets, {rounds} rounds, medians; both sync each message to disk before its 250"
    );
}

fn measure(who: Who, messages: u64, options: &[&str]) -> Rates {
    let sink = CountingSink::start();
    // Kept until the end of the round: each stops when it is dropped.
    let (_relay, _postfix, address);
    match who {
        Who::Mailsluice => {
            let mut manifest = Manifest::to(sink.address);
            manifest.relay.log.level = LogLevel::Problems;
            manifest.relay.limits.connections_per_host = 50;
            let relay = Relay::start(&manifest);
            address = relay.smtp;
            (_relay, _postfix) = (Some(relay), None);
        }
        Who::Postfix => {
            let postfix = Postfix::start(sink.address);
            address = postfix.address;
            (_relay, _postfix) = (None, Some(postfix));
        }
    }
    send(address, WARM_UP, options);
    sink.await_count(WARM_UP);
    let begun = Instant::now();
    send(address, messages, options);
    let accepted = begun.elapsed();
    sink.await_count(WARM_UP + messages);
    let delivered = begun.elapsed();
    let rate = |time: Duration| messages as f64 / time.as_secs_f64();
    Rates { accepted: rate(accepted), delivered: rate(delivered) }
}

fn send(address: SocketAddr, messages: u64, options: &[&str]) {
    process::run(
        Command::new("/usr/sbin/smtp-source")
            .args(options)
            .args(["-l", "4096", "-m", &messages.to_string(), "-f", "a@example.org", "-t", "b@one.test"])
            .arg(address.to_string()),
    );
}

fn report(meaning: &str, results: &[Vec<Rates>; 2]) {
    println!("\n{meaning}");
    let median = |rates: &[Rates], part: Part| {
        let mut values: Vec<f64> = rates.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let parts: [(&str, Part); 2] = [("accepted", |rates| rates.accepted), ("delivered", |rates| rates.delivered)];
    for (name, part) in parts {
        let [ours, theirs] = [median(&results[0], part), median(&results[1], part)];
        println!("  {name:<10} Mailsluice {ours:>8.0}/s   Postfix {theirs:>8.0}/s   ratio {:>5.1}", ours / theirs);
    }
}

/// Postfix's smtp-sink, and how many messages it has.
struct CountingSink {
    address: SocketAddr,
    count: Arc<AtomicU64>,
    _process: process::Process,
}

impl CountingSink {
    fn start() -> CountingSink {
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new("/usr/sbin/smtp-sink");
        command.args(["-c", "-u", "nobody", &address.to_string(), "1000"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = process::Process::start(&mut command);
        let mut output = process.output().expect("its output");
        let count = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&count);
        // It shows `sess=1 quit=0 mesg=17` over and over, each time in the place of the one before.
        thread::spawn(move || {
            let mut text = String::new();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                text.push_str(&String::from_utf8_lossy(&chunk[..length]));
                let (whole, rest) = text.rsplit_once('\r').unwrap_or(("", &text));
                if let Some((_, last)) = whole.rsplit_once("mesg=") {
                    theirs.fetch_max(last.trim().parse().unwrap_or(0), Ordering::Relaxed);
                }
                text = rest.to_owned();
            }
        });
        process::await_port(address);
        CountingSink { address, count, _process: process }
    }

    fn await_count(&self, count: u64) {
        wait::until_some(LIMIT, &format!("{count} messages arrive"), || {
            (self.count.load(Ordering::Relaxed) >= count).then_some(())
        });
    }
}
