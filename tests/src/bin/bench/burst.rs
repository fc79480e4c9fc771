//! A burst into a relay that is held closed, and then opened.

use std::time::{Duration, Instant};

use crate::{
    Bench,
    mta::{Mta, Setup, Who},
    process,
    report::{Line, count, milliseconds},
    sink::Sink,
    throughput::{WORKS, send},
    writes::{back, room},
};

/// Messages of the burst.
const MESSAGES: u64 = 200_000;

/// The most that the first message may take.
const FIRST: Duration = Duration::from_millis(100);

struct Burst {
    messages: u64,
    accepted: f64,
    drained: f64,
    first: Duration,
    /// The room on the disk when all was in, and how long it took to give that back when all was out.
    held: u64,
    back: Option<Duration>,
}

impl Burst {
    fn text(&self) -> String {
        let Burst { messages, accepted, drained, first, .. } = self;
        let (accepted, drained) = (count(*accepted), count(*drained));
        let messages = count(*messages as f64);
        format!("{messages}: accepted {accepted}/s, drained {drained}/s, first after {}", milliseconds(*first))
    }
}

fn measure(who: Who, messages: u64) -> Burst {
    let sink = Sink::start();
    let mut mta = Mta::start(who, &Setup { held: true, ..Setup::to(sink.address) });
    let begun = Instant::now();
    send(mta.address, messages, &WORKS[0].1);
    let accepted = begun.elapsed();
    assert_eq!(sink.count(), 0, "{} lets nothing out while it is closed", who.name());
    let held = process::held(&mta.queue());
    let opened = mta.open();
    let first = sink.await_first().saturating_duration_since(opened);
    let drained = sink.await_count(messages).saturating_duration_since(opened);
    let back = if who == Who::Mailsluice { back(&mta.queue()) } else { None };
    let rate = |time: Duration| messages as f64 / time.as_secs_f64();
    Burst { messages, accepted: rate(accepted), drained: rate(drained), first, held, back }
}

/// The row.
pub(crate) fn run(bench: &mut Bench) {
    let ours = measure(Who::Mailsluice, bench.scaled(MESSAGES));
    // A drain that is no slower than what is taken in, and a first message at once.
    let met = ours.first <= FIRST && ours.drained >= ours.accepted * 0.95;
    let goal = "drained at no less than it is accepted; first ≤ 100 ms";
    let mut line = Line::new("a burst of 4 KiB messages into a closed schedule, then opened", goal, ours.text());
    for who in Who::all().into_iter().skip(1) {
        let messages = bench.scaled(if who == Who::Postfix { 4_000 } else { 1_500 });
        let of = format!("burst, {}", who.name());
        let Some(burst) = bench.attempt(&of, || measure(who, messages)) else { continue };
        if who == Who::Postfix {
            line = line.ratio(ours.drained / burst.drained);
        }
        line = line.beside(who, burst.text());
    }
    bench.tell(line.met(met));
    bench.tell(room("room that the burst held, and when it is back after its last message", ours.held, ours.back));
}
