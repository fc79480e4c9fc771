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

/// The row: of each relay the round with the median 99th percentile, since a stall of the disk strikes whom it strikes.
pub(crate) fn run(bench: &mut Bench) {
    let mut measured: Vec<(Who, Vec<Percentiles>)> = Who::all().into_iter().map(|who| (who, Vec::new())).collect();
    for round in 0..bench.rounds {
        measured.rotate_left(usize::from(round > 0));
        for (who, seen) in &mut measured {
            let time = if *who == Who::Mailsluice { 10 } else { 5 };
            seen.extend(bench.attempt(&format!("latency, {}", who.name()), || {
                let sink = Sink::start();
                let mta = Mta::start(*who, &Setup::to(sink.address));
                of(mta.address, RATE, Duration::from_secs(time)).0
            }));
        }
    }
    let middle = |mut seen: Vec<Percentiles>| {
        seen.sort_by_key(|percentiles| percentiles.p99);
        seen.get(seen.len() / 2).copied()
    };
    let measured: Vec<(Who, Option<Percentiles>)> =
        measured.into_iter().map(|(who, seen)| (who, middle(seen))).collect();
    let text = |seen: Option<Percentiles>| seen.map_or_else(|| UNMEASURED.to_owned(), |seen| seen.text());
    let own = measured.iter().find(|(who, _)| *who == Who::Mailsluice).and_then(|(_, seen)| *seen);
    let mut line = Line::new(
        "time to the 250 from the moment a message is due, 1,000 messages/s offered: p50, p99, p99.9",
        "p99 ≤ 20 ms",
        text(own),
    );
    for (who, seen) in measured.into_iter().filter(|(who, _)| *who != Who::Mailsluice) {
        line = line.beside(who, text(seen));
    }
    bench.tell(line.met(own.is_some_and(|own| own.p99 <= GOAL)));
}
