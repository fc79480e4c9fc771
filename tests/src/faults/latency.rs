//! How long it takes from a fault until the Monitor shows it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use mailsluice_crds::{
    monitor::{Reason, Snapshot},
    quantity::Interval,
};

use super::{
    peer::Peer,
    row::{Act, At},
};
use crate::{dialogue::Dialogue, dns::Dns, http, mail, manifest::Manifest, relay::Relay};

/// The longest that a fault may stay unseen, before that counts as an error of the measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a fault was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By asking for `/monitor` again and again.
    Asked,
    /// In a line of `/monitor/stream`, which the operator reads.
    Streamed,
}

/// Measures so many faults, a host that greets with 421 each, seen in one way: how long each took, the shortest first.
#[must_use]
pub fn measure(way: Way, tries: u16) -> Vec<Duration> {
    let name = |number: u16| format!("host-{number}.test");
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        // Hosts of an earlier measurement still listen.
        SocketAddr::from(([127, 8 + way as u8, high, low], 25))
    };
    let zone = (1..=tries)
        .fold(String::new(), |zone, number| format!("{zone}{}. IN A {}\n", name(number), address(number).ip()));
    let dns = Dns::start(&zone);
    let mut manifest = Manifest::by_mx();
    manifest.relay.retry.first = Interval::from_secs(1);
    let relay = Relay::start_with(&manifest, &["--resolver", &dns.address.to_string()]);
    let lines = streamed(&relay);
    let mut took: Vec<Duration> = (1..=tries)
        .map(|number| {
            let peer = Peer::start(address(number), At::Banner, Act::Say("421 4.3.2 not now"));
            let host = name(number);
            Dialogue::open(relay.smtp).message("shop@example.org", &[&format!("a@{host}")], &mail::text("one"));
            let seen = match way {
                Way::Asked => until(|| shows(&relay.monitor(), &host).then(Timestamp::now)),
                Way::Streamed => until(|| {
                    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                    lines.iter().find(|(_, snapshot)| shows(snapshot, &host)).map(|(at, _)| *at)
                }),
            };
            peer.mend();
            let fault = peer.faults().first().copied().expect("the host said 421");
            lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Duration::try_from(fault.duration_until(seen)).unwrap_or_default()
        })
        .collect();
    took.sort_unstable();
    took
}

/// The value below which so many of a hundred are.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

type Lines = Arc<Mutex<Vec<(Timestamp, Snapshot)>>>;

fn streamed(relay: &Relay) -> Lines {
    let lines = Lines::default();
    let (ours, http) = (Arc::clone(&lines), relay.http);
    thread::spawn(move || {
        let Ok(stream) = http::lines(http, "/monitor/stream", Duration::from_secs(60)) else { return };
        for line in stream {
            let at = Timestamp::now();
            if let Ok(snapshot) = serde_json::from_str(&line) {
                ours.lock().unwrap_or_else(PoisonError::into_inner).push((at, snapshot));
            }
        }
    });
    lines
}

fn shows(snapshot: &Snapshot, host: &str) -> bool {
    snapshot.monitor.iter().any(|row| row.host == host && row.reason == Some(Reason::HostRefused))
}

fn until(mut look: impl FnMut() -> Option<Timestamp>) -> Timestamp {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(at) = look() {
            return at;
        }
        assert!(Instant::now() < end, "a fault is not seen after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
