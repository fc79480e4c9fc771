//! What is written to the disk for each octet of mail, and when the room comes back.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Bench, UNMEASURED,
    mta::{Mta, Setup, Who},
    process,
    report::{Line, megabytes},
    sink::Sink,
    throughput::{WARM_UP, WORKS, send},
};

/// Octets of a message.
const OCTETS: u64 = 4096;

/// Messages that flow.
const MESSAGES: u64 = 30_000;

/// Until when the room must be back.
const BACK: Duration = Duration::from_secs(60);

/// The two segments that are always held, of 16 MiB each, and some room for directories.
const HELD: u64 = 34 << 20;

struct Written {
    /// As its process counts it, where it is one.
    own: Option<f64>,
    /// As the disk counts it.
    disk: Option<f64>,
    held: u64,
    back: Option<Duration>,
}

impl Written {
    fn text(&self) -> String {
        let times = |times: Option<f64>| times.map_or("?".to_owned(), |times| format!("{times:.2}"));
        match self.own {
            Some(own) => format!("{own:.2}; {} at the disk", times(self.disk)),
            None => format!("{} at the disk", times(self.disk)),
        }
    }
}

/// How long a queue that has run empty takes to give its room back to the file system; none where that is too long.
pub(crate) fn back(queue: &Path) -> Option<Duration> {
    let emptied = Instant::now();
    while emptied.elapsed() < BACK {
        if process::held(queue) <= HELD {
            return Some(emptied.elapsed());
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}

/// A row of that.
pub(crate) fn room(what: impl Into<String>, held: u64, back: Option<Duration>) -> Line {
    let text = back.map_or_else(|| "not back".to_owned(), |back| format!("back after {:.1} s", back.as_secs_f64()));
    Line::new(what, "≤ 60 s", format!("{}; {text}", megabytes(held))).met(back.is_some())
}

fn measure(who: Who, messages: u64) -> Written {
    let sink = Sink::start();
    let mta = Mta::start(who, &Setup::to(sink.address));
    send(mta.address, WARM_UP, &WORKS[0].1);
    sink.await_warm_up(WARM_UP);
    mailsluice_tests::process::run(&mut Command::new("sync"));
    let queue = mta.queue();
    let ours = who == Who::Mailsluice;
    let own = ours.then(|| process::written(mta.process()));
    let disk = process::disk_written(&queue);
    send(mta.address, messages, &WORKS[0].1);
    sink.await_count(WARM_UP + messages);
    let held = process::held(&queue);
    let own = own.map(|before| process::written(mta.process()) - before);
    let back = if ours { back(&queue) } else { None };
    mailsluice_tests::process::run(&mut Command::new("sync"));
    let disk = disk.and_then(|before| Some(process::disk_written(&queue)? - before));
    let part = |octets: u64| octets as f64 / (messages * OCTETS) as f64;
    Written { own: own.map(part), disk: disk.map(part), held, back }
}

/// The rows.
pub(crate) fn run(bench: &mut Bench) {
    let messages = bench.scaled(MESSAGES);
    let ours = measure(Who::Mailsluice, messages);
    let mut line = Line::new("octets written for each octet of mail, steady flow", "≤ 1.3", ours.text());
    for who in Who::all().into_iter().skip(1) {
        let measured = bench.attempt(&format!("writes, {}", who.name()), || measure(who, who.share(messages)));
        line = line.beside(who, measured.map_or_else(|| UNMEASURED.to_owned(), |written| written.text()));
    }
    bench.tell(line.met(ours.own.is_some_and(|own| own <= 1.3)));
    bench.tell(room("room held when a steady flow has ended, and when it is back", ours.held, ours.back));
}
