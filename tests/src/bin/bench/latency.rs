//! How long a 250 takes when messages come at a steady rate.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Bench, UNMEASURED, client,
    mta::{Mta, Setup, Who},
    report::{Line, milliseconds},
    sink::Sink,
};

/// Messages a second that are offered.
const RATE: u64 = 1_000;

/// The most that the 99th percentile may be.
const GOAL: Duration = Duration::from_millis(20);

/// Three percentiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
}

impl Percentiles {
    /// Of times in order.
    pub(crate) fn of(sorted: &[Duration]) -> Percentiles {
        let at = |part: f64| {
            let index = (sorted.len() as f64 * part) as usize;
            sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }

    fn text(&self) -> String {
        let Percentiles { p50, p99, p999 } = self;
        format!("{}, {}, {}", milliseconds(*p50), milliseconds(*p99), milliseconds(*p999))
    }
}

/// What a relay that runs answers to so many messages a second, after a second to warm up; and how many it took in all.
pub(crate) fn of(address: SocketAddr, rate: u64, time: Duration) -> (Percentiles, u64) {
    let warm_up = client::offer(address, rate, Duration::from_secs(1), 4096);
    let took = client::offer(address, rate, time, 4096);
    (Percentiles::of(&took), (warm_up.len() + took.len()) as u64)
}

/// The row.
pub(crate) fn run(bench: &mut Bench) {
    let mut texts = Vec::new();
    let mut met = false;
    for who in Who::all() {
        let time = if who == Who::Mailsluice { 10 } else { 5 };
        let measured = bench.attempt(&format!("latency, {}", who.name()), || {
            let sink = Sink::start();
            let mta = Mta::start(who, &Setup::to(sink.address));
            of(mta.address, RATE, Duration::from_secs(time)).0
        });
        let Some(percentiles) = measured else {
            texts.push((who, UNMEASURED.to_owned()));
            continue;
        };
        if who == Who::Mailsluice {
            met = percentiles.p99 <= GOAL;
        }
        texts.push((who, percentiles.text()));
    }
    let mut line = Line::new(
        "time to the 250 from the moment a message is due, 1,000 messages/s offered: p50, p99, p99.9",
        "p99 ≤ 20 ms",
        texts.remove(0).1,
    );
    for (who, text) in texts {
        line = line.beside(who, text);
    }
    bench.tell(line.met(met));
}
