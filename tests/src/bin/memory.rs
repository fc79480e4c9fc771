//! Measures the relay's memory: with 1,000 idle clients, and with 20 sessions of 50 MiB each, in and out, in clear and under TLS.
//!
//! `cargo run --release -p mailsluice-tests --bin memory`. What is counted is memory that is the process's own (RssAnon), so that
//! pages of the program and of its files are not; for the sessions with large messages, the most that was seen.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mailsluice_crds::{LogLevel, relay::TlsPolicy, schedule::LinkState};
use mailsluice_tests::{
    authority::Authority,
    dialogue::{Dialogue, stuffed},
    door::{Door, Way},
    mail,
    manifest::Manifest,
    process::{self, Process},
    relay, secure,
};

const IDLE: usize = 1_000;
const SESSIONS: usize = 20;
const OCTETS: usize = 50 << 20;
/// How long deliveries may take.
const LIMIT: Duration = Duration::from_secs(300);

fn main() {
    println!("{}", relay::program().display());
    for way in [Way::Plain, Way::StartTls] {
        idle(way);
    }
    for way in [Way::Plain, Way::StartTls] {
        large(way);
    }
}

/// Kibioctets of memory that are a process's own.
fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn mebi(kibi: u64) -> f64 {
    kibi as f64 / 1_024.0
}

fn manifest(host: SocketAddr) -> Manifest {
    let mut manifest = Manifest::to(host);
    manifest.relay.log.level = LogLevel::Problems;
    manifest.relay.limits.client_connections = 2_000;
    manifest.relay.limits.per_client.connections = Some(2_000);
    manifest.relay.limits.connections_per_host = 20;
    manifest
}

fn idle(way: Way) {
    let door = Door::start(way, &manifest(SocketAddr::from(([127, 0, 0, 1], 9))));
    // One message first: what is made once is not of the idle ones.
    door.open().message("shop@example.org", &["a@one.test"], &mail::text_of_size("first", 4096));
    thread::sleep(Duration::from_secs(3));
    let before = memory(door.relay.id());
    let clients: Vec<Dialogue> = (0..IDLE).map(|_| door.open()).collect();
    let at_once = memory(door.relay.id());
    thread::sleep(Duration::from_secs(6));
    let after = memory(door.relay.id());
    println!(
        "{IDLE} idle connections, {way:?}: {:.1} MiB with none, {:.1} MiB more at once, {:.1} MiB more when idle for 6 s",
        mebi(before),
        mebi(at_once.saturating_sub(before)),
        mebi(after.saturating_sub(before)),
    );
    let mut clients = clients;
    for client in &mut clients {
        client.message("shop@example.org", &["a@one.test"], &mail::text_of_size("one each", 4096));
    }
    thread::sleep(Duration::from_secs(6));
    let after = mebi(memory(door.relay.id()).saturating_sub(before));
    println!("  and {after:.1} MiB more when each of them has sent a message of 4 KiB, which waits, and is idle again");
}

/// The most memory that a process has while `work` is done.
fn most_while<T>(id: u32, work: impl FnOnce() -> T) -> (u64, T) {
    let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watcher = {
        let (most, stop) = (Arc::clone(&most), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                most.fetch_max(memory(id), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        })
    };
    let result = work();
    stop.store(true, Ordering::Relaxed);
    watcher.join().expect("the watcher ends");
    (most.load(Ordering::Relaxed), result)
}

fn large(way: Way) {
    let host = Host::start(way);
    let address = host.address;
    let closed = manifest(address).scheduled(LinkState::Closed, Vec::new());
    let door = Door::start(way, &closed);
    let id = door.relay.id();
    door.open().message("shop@example.org", &["a@one.test"], &mail::text_of_size("first", 4096));
    let before = memory(id);
    let wire = Arc::new(stuffed(&mail::text_of_size("large", OCTETS - 1_000)));
    let (most, ()) = most_while(id, || {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|_| {
                let (mut client, wire) = (door.open(), Arc::clone(&wire));
                thread::spawn(move || {
                    client.expect("MAIL FROM:<shop@example.org>", "250");
                    client.expect("RCPT TO:<a@one.test>", "250");
                    client.expect("DATA", "354");
                    client.send(&wire);
                    let reply = client.reply();
                    assert!(reply.starts_with("250"), "{reply}");
                })
            })
            .collect();
        sessions.into_iter().for_each(|session| session.join().expect("a session ends"));
    });
    let say = |what: &str, most: u64, before: u64| {
        let more = mebi(most.saturating_sub(before));
        println!(
            "{SESSIONS} sessions of 50 MiB {what}: {:.1} MiB with none, at most {more:.1} MiB more, {:.2} MiB a session",
            mebi(before),
            more / SESSIONS as f64
        );
    };
    say(&format!("in, {way:?}"), most, before);
    thread::sleep(Duration::from_secs(3));
    let before = memory(id);
    let (most, ()) = most_while(id, || {
        let mut open = closed.clone();
        open.schedule = None;
        open.relay.schedule_ref = None;
        if way != Way::Plain {
            open.relay.tls = TlsPolicy::Required;
        }
        door.relay.rewrite(&open);
        door.relay.await_empty_for(LIMIT);
    });
    say(&format!("out, {way:?}"), most, before);
    host.assert_taken(way);
}

/// Where large messages go.
struct Host {
    address: SocketAddr,
    kind: Kind,
}

enum Kind {
    /// A process of its own.
    Plain { _process: Process },
    /// Which that cannot be: here.
    Tls(secure::Host),
}

impl Host {
    fn start(way: Way) -> Host {
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let kind = match way {
            Way::Plain => {
                let mut command = Command::new(relay::program());
                let process = Process::start(command.args(["sink", &address.to_string()]).stdout(Stdio::null()));
                Kind::Plain { _process: process }
            }
            _ => {
                let tls = Authority::new().issue("mail.test").server();
                Kind::Tls(secure::Host::start_at(address, Some(tls)))
            }
        };
        process::await_port(address);
        Host { address, kind }
    }

    /// All of them arrived, under TLS where that is the way.
    fn assert_taken(&self, way: Way) {
        if let Kind::Tls(host) = &self.kind {
            let large = host.arrivals().iter().filter(|arrival| arrival.sealed).count();
            assert_eq!(large, SESSIONS + 1, "{way:?}");
        }
    }
}
