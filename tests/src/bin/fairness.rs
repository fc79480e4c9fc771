//! Measures whether one destination delays another: three messages at a time to a quick host, while another host is idle, has a
//! great many messages that go out to it, takes connections and says nothing, refuses them, or answers not even to that.
//!
//! `cargo run --release -p mailsluice-tests --bin fairness [MESSAGES [PROBES]]`. The relay is a process of its own, and so is the host
//! with many messages; all run in a network of their own, since something in it has to drop what comes; what is counted is when a message was answered 250 here, and when the quick host had its last octet.

use std::{
    fmt,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mailsluice_crds::LogLevel;
use mailsluice_tests::{
    manifest::Manifest,
    namespace,
    process::{self, Process},
    relay::{self, Relay},
    wait,
};

/// Clients that fill the queue.
const CLIENTS: u64 = 8;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(1_800);

/// The domain of the host with many messages, and of the quick one.
const MANY: &str = "many.test";
const QUICK: &str = "quick.test";

/// A network in which what is sent to 192.0.2.0/24 is lost: it comes out of the other end of a cable, where nobody is who passes it on.
const HOLE: &str = "ip link set lo up && ip link add hole type veth peer name end && \
    ip address add 198.51.100.1/32 dev hole && ip link set end up && ip link set hole arp off up && \
    ip route add 192.0.2.0/24 dev hole";

fn main() {
    namespace::enter(&["--net"], HOLE);
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let messages = arguments.next().unwrap_or(100_000);
    let probes = arguments.next().unwrap_or(20);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    println!("{messages} messages for {MANY}; {probes} times three messages to {QUICK}; {cores} cores");
    println!("the relay: {}", relay::program().display());

    for (name, other) in [
        ("nothing else waits", Other::Idle),
        ("the other host takes its messages meanwhile", Other::Drains),
        ("the other host takes connections and says nothing", Other::Tarpit),
        ("the other host refuses connections", Other::Refuses),
        ("the other host's network drops what is sent there", Other::Drops),
    ] {
        measure(name, other, messages, probes);
    }
}

/// What the host with many messages does while the quick one is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    /// It has none.
    Idle,
    Drains,
    Tarpit,
    Refuses,
    Drops,
}

fn measure(name: &str, other: Other, messages: u64, probes: u64) {
    let quick = Quick::start();
    let many = match other {
        Other::Drops => SocketAddr::from(([192, 0, 2, 1], 25)),
        _ => SocketAddr::from(([127, 0, 0, 1], process::free_port())),
    };
    let mut manifest = Manifest::to(many).route(&[QUICK], quick.address);
    manifest.relay.log.level = LogLevel::Failures;
    let relay = Relay::start(&manifest);
    // A silent host is silent from the first on, so that it gets as many connections as one may without having taken mail.
    let tarpit = (other == Other::Tarpit).then(|| silent(many));
    let before = Instant::now();
    if other != Other::Idle {
        flood(relay.smtp, messages);
    }
    let filled = before.elapsed();
    let waiting = relay.monitor().queue.messages;
    // To a port that was closed till now: the host is suspended.
    let sink = (other == Other::Drains).then(|| drain(many));
    if other == Other::Drains {
        wait::until_some(LIMIT, "the crowded host is served", || {
            (relay.metric("mailsluice_recipients_delivered_total") > 100.0).then_some(())
        });
    }
    if let Some(connections) = &tarpit {
        wait::until_some(LIMIT, "the tarpit has a connection", || {
            (connections.load(Ordering::Relaxed) > 0).then_some(())
        });
    }
    let (begun, sent_before) = (Instant::now(), relay.metric("mailsluice_recipients_delivered_total"));
    let mut delays = Vec::new();
    for probe in 0..probes {
        let three: Vec<String> = (0..3).map(|number| format!("probe-{probe}-{number}")).collect();
        let answered = submit(relay.smtp, &three);
        for (subject, answered) in three.iter().zip(answered) {
            let arrived = wait::until_some(LIMIT, subject, || quick.arrived(subject));
            delays.push(arrived.saturating_duration_since(answered));
        }
        // Every other time the quick host's session has ended by then, and a new one is opened.
        thread::sleep(Duration::from_millis(if probe % 2 == 0 { 300 } else { 2_500 }));
    }
    let took = begun.elapsed();
    let left = relay.monitor().queue.messages;
    println!("\n{name}:");
    println!("  waiting at the start {waiting} (filled in {filled:.1?}), at the end {left}");
    println!("  delay of the quick host's messages: {}", Spread::of(delays));
    if other == Other::Drains {
        let rate = (relay.metric("mailsluice_recipients_delivered_total") - sent_before) / took.as_secs_f64();
        println!("  delivered meanwhile: {rate:.0} messages/s");
        if left == 0 {
            println!("  the other host ran out of messages: take more");
        }
    }
    if let Some(connections) = tarpit {
        println!("  connections that the silent host holds: {}", connections.load(Ordering::Relaxed));
    }
    drop(sink);
}

/// The spread of some durations.
struct Spread {
    median: Duration,
    most: Duration,
    worst: Duration,
    count: usize,
}

impl Spread {
    fn of(mut all: Vec<Duration>) -> Spread {
        all.sort_unstable();
        let at = |share: f64| all.get(((all.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or_default();
        Spread { median: at(0.5), most: at(0.95), worst: at(1.0), count: all.len() }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let Spread { median, most, worst, count } = self;
        write!(f, "median {:.1} ms, 95 % {:.1} ms, worst {:.1} ms of {count}", ms(*median), ms(*most), ms(*worst))
    }
}

/// A host that notes when each message was whole, by its subject.
struct Quick {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Quick {
    fn start() -> Quick {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("listen");
        let address = listener.local_addr().expect("its address");
        let arrivals: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
        let theirs = Arc::clone(&arrivals);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let arrivals = Arc::clone(&theirs);
                thread::spawn(move || serve(stream, &arrivals).ok());
            }
        });
        Quick { address, arrivals }
    }

    fn arrived(&self, subject: &str) -> Option<Instant> {
        let arrivals = self.arrivals.lock().expect("no panic while it was held");
        arrivals.iter().find(|(name, _)| name == subject).map(|(_, at)| *at)
    }
}

fn serve(stream: TcpStream, arrivals: &Mutex<Vec<(String, Instant)>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    output.write_all(b"220 quick ESMTP\r\n")?;
    let (mut line, mut subject, mut in_text) = (String::new(), String::new(), false);
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let said = line.trim_end();
        let answer: &[u8] = match (in_text, said) {
            (true, ".") => {
                in_text = false;
                arrivals.lock().expect("no panic while it was held").push((subject.clone(), Instant::now()));
                b"250 taken\r\n"
            }
            (true, text) => {
                if let Some(name) = text.strip_prefix("Subject: ") {
                    name.clone_into(&mut subject);
                }
                continue;
            }
            (false, "DATA") => {
                in_text = true;
                b"354 go\r\n"
            }
            (false, said) if said.starts_with("EHLO") => b"250-quick\r\n250 PIPELINING\r\n",
            (false, "QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        output.write_all(answer)?;
    }
}

/// The relay's own sink, as a process, at this address.
fn drain(address: SocketAddr) -> Process {
    let mut command = Command::new(relay::program());
    command.arg("sink").arg(address.to_string()).arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
    let sink = Process::start(&mut command);
    process::await_port(address);
    sink
}

/// A host that takes every connection and never says a word; how many it holds.
fn silent(address: SocketAddr) -> Arc<AtomicU64> {
    let listener = TcpListener::bind(address).expect("listen");
    let count = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&count);
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            held.push(stream);
            theirs.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

/// A session with the relay that is past EHLO.
fn session(relay: SocketAddr) -> (BufReader<TcpStream>, TcpStream) {
    let stream = TcpStream::connect(relay).expect("connect to the relay");
    stream.set_nodelay(true).expect("no delay");
    let (mut input, mut output) = (BufReader::new(stream.try_clone().expect("a second handle")), stream);
    expect(&mut input, "220");
    output.write_all(b"EHLO client.test\r\n").expect("send");
    expect(&mut input, "250");
    (input, output)
}

fn expect(input: &mut BufReader<TcpStream>, code: &str) {
    loop {
        let mut line = String::new();
        input.read_line(&mut line).expect("a reply");
        assert!(line.starts_with(code), "{line:?} and not {code}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    }
}

/// Sends one message in two flights.
fn one((input, output): &mut (BufReader<TcpStream>, TcpStream), domain: &str, subject: &str) {
    let commands = format!("MAIL FROM:<shop@example.org>\r\nRCPT TO:<a@{domain}>\r\nDATA\r\n");
    output.write_all(commands.as_bytes()).expect("send");
    expect(input, "250");
    expect(input, "250");
    expect(input, "354");
    let text = format!("From: <shop@example.org>\r\nSubject: {subject}\r\n\r\n{}\r\n.\r\n", "x".repeat(500));
    output.write_all(text.as_bytes()).expect("send");
    expect(input, "250");
}

/// Fills the queue of the host with many messages.
fn flood(relay: SocketAddr, messages: u64) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let mut open = session(relay);
                for _ in (client..messages).step_by(CLIENTS as usize) {
                    one(&mut open, MANY, "one of many");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client ends");
    }
}

/// Sends these messages to the quick host; when each was answered.
fn submit(relay: SocketAddr, subjects: &[String]) -> Vec<Instant> {
    let mut open = session(relay);
    let sent = subjects.iter().map(|subject| {
        one(&mut open, QUICK, subject);
        Instant::now()
    });
    sent.collect()
}
