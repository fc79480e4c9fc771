//! Measures what a sidecar costs: its memory, the time that it adds to the gateway's answers, and the rate through it beside that of
//! clients which log in at the gateway themselves, under TLS with the same token; and the processor time of each message.
//!
//! `cargo run --release -p mailsluice-tests --bin sidecar`. The ways take turns, and the medians of their rounds are compared. All of
//! it, the gateway and the clients included, shares this machine: where its processors are the limit, what the sidecar takes is missing
//! at the gateway. So the rates are measured a second time with the gateway limited to a part of a processor, as a container with such a
//! limit is, which takes root: then the gateway is the limit, and the sidecar has processors of its own, as in its application's pod.
//! `MAILSLUICE_EARLIER` names another build of `mailsluice-sidecar`, which is measured beside: what a change has come to.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    LogLevel,
    relay::{Client, ListenerTls, ServiceAccount, TlsMode},
    schedule::LinkState,
};
use mailsluice_tests::{
    certificate::Certificate,
    dialogue::{Dialogue, stuffed},
    mail,
    manifest::Manifest,
    quota::Quota,
    relay::{self, Relay},
    sidecar::{self, Sidecar},
    token::Issuer,
};
use tempfile::TempDir;

const TLS: &str = "outbound-tls";
const ROUNDS: usize = 5;
const MESSAGES: usize = 300;
const CLIENTS: usize = 20;
const ROUND_TIME: Duration = Duration::from_secs(5);
const SIZE: usize = 2_000;
/// Of a processor, what the gateway has where it is to be the limit: little enough for the rest to have all that it wants.
const THOUSANDTHS: u32 = 300;

/// Names another build to measure beside this one.
const EARLIER: &str = "MAILSLUICE_EARLIER";

/// One way to the gateway.
#[derive(Clone)]
enum Way {
    Direct { gateway: SocketAddr, certificate: Arc<Certificate>, token: Arc<str> },
    Sidecar(SocketAddr),
}

impl Way {
    fn open(&self) -> Dialogue {
        match self {
            Way::Sidecar(address) => Dialogue::open(*address),
            Way::Direct { gateway, certificate, token } => {
                let mut client = Dialogue::open(*gateway);
                client.expect("STARTTLS", "220");
                client.secure(certificate);
                client.expect("EHLO client.test", "250");
                let shown = BASE64_STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"));
                client.expect(&format!("AUTH OAUTHBEARER {shown}"), "235");
                client
            }
        }
    }
}

fn main() {
    println!("{}\n{}", relay::program().display(), sidecar::program().display());
    let cluster = Issuer::new("one");
    // What is taken stays: to send it on would take its share of the machine.
    let mut manifest = Manifest::to(SocketAddr::from(([127, 0, 0, 1], 1))).scheduled(LinkState::Closed, Vec::new());
    manifest.relay.log.level = LogLevel::Problems;
    manifest.relay.clients = vec![Client {
        service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
        ..Client::default()
    }];
    manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode: TlsMode::StartTls });
    let folder = TempDir::new().expect("a temporary folder");
    let certificate = Arc::new(Certificate::of("mail.test"));
    let _: PathBuf = certificate.put(folder.path(), TLS);
    fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
    let file = folder.path().join("relay.yaml");
    let gateway = Relay::start_on(folder, &file, &manifest, &[]);
    let token: Arc<str> = cluster.token("shop", "checkout", "mailsluice", 3600).into();
    let authorities = gateway.folder().join(TLS).join("tls.crt");
    let sidecar = Sidecar::start(&gateway.smtp.to_string(), &authorities, &token, &["--log-level", "Problems"]);
    // So that its warm connections are there.
    sidecar.await_metric("mailsluice_smtp_client_sessions", 2.0);
    tell_memory("at idle", sidecar.id());
    Dialogue::open(sidecar.smtp).message("shop@example.org", &["a@one.test"], &mail::text("one"));
    tell_memory("at idle, after a message", sidecar.id());

    let earlier = env::var_os(EARLIER).map(|build| {
        let place = gateway.smtp.to_string();
        Sidecar::start_build(Path::new(&build), &place, &authorities, &token, &["--log-level", "Problems"])
    });
    let mut ways = vec![
        ("at the gateway", Way::Direct { gateway: gateway.smtp, certificate, token }, sidecar.id()),
        ("through the sidecar", Way::Sidecar(sidecar.smtp), sidecar.id()),
    ];
    ways.extend(earlier.iter().map(|earlier| ("through the earlier one", Way::Sidecar(earlier.smtp), earlier.id())));

    let mut latencies = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, way, _), all) in ways.iter().zip(&mut latencies) {
            all.extend(answers(way));
        }
    }
    for ((name, ..), all) in ways.iter().zip(latencies) {
        println!("answer to a message {name}, p50: {:.2} ms", median(all).as_secs_f64() * 1e3);
    }

    tell_rates("", &ways, gateway.id());
    match Quota::limit(gateway.id(), THOUSANDTHS) {
        Ok(_limited) => {
            tell_rates(&format!("a gateway of {THOUSANDTHS} thousandths of a processor, "), &ways, gateway.id());
        }
        Err(error) => println!("not measured: the rates with a limited gateway, as it cannot be limited: {error}"),
    }
    tell_memory("after it", sidecar.id());
}

/// Measures the rates of all ways in turns, and prints the median of each.
fn tell_rates(when: &str, ways: &[(&str, Way, u32)], gateway: u32) {
    let mut rates: Vec<Vec<Rate>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((_, way, sidecar), all) in ways.iter().zip(&mut rates) {
            all.push(rate(way, [gateway, *sidecar]));
        }
    }
    let mut of_gateway = None;
    for ((name, ..), mut all) in ways.iter().zip(rates) {
        all.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        let Rate { per_second, micros: [gateway, sidecar] } = all.swap_remove(all.len() / 2);
        let percent = per_second / *of_gateway.get_or_insert(per_second) * 100.0;
        println!(
            "{when}{CLIENTS} clients {name}: {per_second:.0} messages a second, {percent:.0} % of the gateway's; \
             processor time of one: gateway {gateway:.0} µs, sidecar {sidecar:.0} µs"
        );
    }
}

/// How long each of some messages takes from its end to its answer, on one session.
fn answers(way: &Way) -> Vec<Duration> {
    let mut client = way.open();
    let text = stuffed(&mail::text_of_size("latency", SIZE));
    let took = (0..MESSAGES).map(|_| {
        client.expect("MAIL FROM:<shop@example.org> BODY=8BITMIME", "250");
        client.expect("RCPT TO:<a@one.test>", "250");
        client.expect("DATA", "354");
        let begun = Instant::now();
        client.send(&text);
        let reply = client.reply();
        assert!(reply.starts_with("250"), "{reply}");
        begun.elapsed()
    });
    took.collect()
}

/// What many clients have answered, each on one session.
struct Rate {
    /// Messages a second.
    per_second: f64,
    /// Processor time of each in the gateway and in the sidecar, in microseconds.
    micros: [f64; 2],
}

/// Has many clients send for a while.
fn rate(way: &Way, processes: [u32; 2]) -> Rate {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let text: Arc<[u8]> = mail::text_of_size("rate", SIZE).into();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (way, stop, count, text) = (way.clone(), stop.clone(), count.clone(), text.clone());
            thread::spawn(move || {
                let mut client = way.open();
                while !stop.load(Ordering::Relaxed) {
                    client.message("shop@example.org", &["a@one.test"], &text);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    let (begun, before, used) = (Instant::now(), count.load(Ordering::Relaxed), processes.map(micros_used));
    thread::sleep(ROUND_TIME);
    let messages = (count.load(Ordering::Relaxed) - before) as f64;
    let per_second = messages / begun.elapsed().as_secs_f64();
    let [gateway, sidecar] = processes.map(micros_used);
    let micros = [(gateway - used[0]) / messages, (sidecar - used[1]) / messages];
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client ends"));
    Rate { per_second, micros }
}

/// Processor time that a process has used, in microseconds.
fn micros_used(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("the process");
    // Behind the name, which may hold blanks; in ticks, of which Linux shows 100 a second.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    ticks * 10_000.0
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Memory of its own, and pages of its program.
fn tell_memory(when: &str, id: u32) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process");
    let mega = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1_024.0 / 1e6
    };
    println!(
        "memory {when}: {:.1} MB, of it {:.1} MB its own and {:.1} MB pages of its program",
        mega("VmRSS:"),
        mega("RssAnon:"),
        mega("RssFile:")
    );
}
