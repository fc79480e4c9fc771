//! Measures the operator with many relays: 1,000 SMTPRelays and 200 TCPSchedules on a real API server, first from nothing, then after
//! a restart, idle, with one Monitor in ten changing every second, and with hosts that are suspended.
//!
//! `tests/cluster/build && cargo run --release -p mailsluice-tests --bin scale [RELAYS [SCHEDULES [SECONDS]]]`. The API server and etcd are real, the
//! kubelet and the StatefulSets' controller are played by [`kubelet`], and each relay's Monitor is served by [`monitors`], on a loopback
//! address of its own. All of them share the machine.

mod kubelet;
mod monitors;
mod objects;
mod processor;
mod statuses;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use mailsluice_tests::{api::ApiServer, audit::Request, definitions, operator::Operator};
use monitors::Monitors;
use processor::Processor;
use statuses::Statuses;
use tokio::time;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let relays = arguments.next().unwrap_or(1_000);
    let schedules = arguments.next().unwrap_or(200);
    let seconds = arguments.next().unwrap_or(60);
    monitors::allow_files(relays);
    let server = tokio::task::block_in_place(ApiServer::start);
    server.install(&definitions::all());
    let client = client(&server).await;
    objects::create(&client, relays, schedules).await;
    let monitors = Monitors::start(relays).await;
    let statuses = Statuses::watch(client.clone());
    tokio::spawn(kubelet::play(client));
    println!(
        "{relays} SMTPRelays, {schedules} TCPSchedules, {} cores",
        std::thread::available_parallelism().map_or(0, usize::from)
    );

    let round = Round::begin(&server);
    let mut operator = tokio::task::block_in_place(|| Operator::start(&server, "first"));
    statuses.await_ready(relays, LIMIT).await;
    round.end(&server, &operator, "from nothing: all objects made, all Monitors read, all statuses written");

    let round = Round::begin(&server);
    tokio::task::block_in_place(|| operator.terminate());
    operator = tokio::task::block_in_place(|| Operator::start(&server, "second"));
    await_pods(&operator, relays).await;
    round.end(&server, &operator, "a restart, until all Monitors are read again");

    time::sleep(Duration::from_secs(5)).await;
    let round = Round::begin(&server);
    time::sleep(Duration::from_secs(seconds as u64)).await;
    round.end(&server, &operator, "idle");

    let changing = relays.div_ceil(10);
    statuses.begin();
    let round = Round::begin(&server);
    for second in 1..=seconds as u64 {
        let tick = Instant::now();
        for relay in 0..changing {
            statuses.sent(relay, second);
            monitors.show_messages(relay, second);
        }
        time::sleep(Duration::from_secs(1).saturating_sub(tick.elapsed())).await;
    }
    statuses.await_seen(LIMIT).await;
    round.end(&server, &operator, &format!("{changing} Monitors change every second"));
    statuses.print_staleness("a change until the status has it, or a later one");

    // Others than those above, each once: no write of theirs is held back by one before.
    statuses.begin();
    let round = Round::begin(&server);
    for relay in changing..relays.min(changing * 4) {
        statuses.sent(relay, 1);
        monitors.suspend(relay);
        time::sleep(Duration::from_millis(50)).await;
    }
    statuses.await_seen(LIMIT).await;
    round.end(&server, &operator, "a host of another relay is suspended every 50 ms");
    statuses.print_staleness("a suspension until the status has it");
}

async fn client(server: &ApiServer) -> Client {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("the kubeconfig");
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a configuration");
    Client::try_from(config).expect("a client")
}

/// Waits until that many pods' Monitors are read, and no reconcile is asked for any more.
async fn await_pods(operator: &Operator, pods: usize) {
    let (begun, mut settled) = (Instant::now(), 0);
    let done = || {
        let followed = operator.counted("mailsluice_operator_snapshots_total").unwrap_or_default();
        let waiting = operator.counted("mailsluice_operator_reconciles_waiting").unwrap_or(1.0);
        followed >= pods as f64 && waiting == 0.0
    };
    while settled < 3 {
        assert!(begun.elapsed() < LIMIT, "the operator does not come to rest");
        settled = if tokio::task::block_in_place(done) { settled + 1 } else { 0 };
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// A part of the measurement.
struct Round {
    since: Timestamp,
    begun: Instant,
    processor: Processor,
}

impl Round {
    fn begin(server: &ApiServer) -> Round {
        Round { since: Timestamp::now(), begun: Instant::now(), processor: Processor::begin(server) }
    }

    /// Prints what it took.
    fn end(self, server: &ApiServer, operator: &Operator, what: &str) {
        let took = self.begun.elapsed().as_secs_f64();
        let processor = self.processor.taken(operator.id());
        let requests = server.requests(self.since);
        let of_lease = requests.iter().filter(|request| request.is_of_lease()).count();
        let (writes, reads): (Vec<&Request>, Vec<&Request>) =
            requests.iter().filter(|request| !request.is_of_lease()).partition(|request| request.is_write());
        println!("\n{what}\n  {took:.1} s; memory {}", memory(operator.id()));
        println!("  writes {} ({:.1}/s): {}", writes.len(), writes.len() as f64 / took, tally(&writes));
        println!("  reads {}: {}; of the Lease {of_lease}", reads.len(), tally(&reads));
        println!("  processor time {processor}");
    }
}

fn tally(requests: &[&Request]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        let object = request.object_ref.as_ref().map_or_else(
            || "others".to_owned(),
            |object| match &object.subresource {
                Some(part) => format!("{}/{part}", object.resource),
                None => object.resource.clone(),
            },
        );
        *counts.entry(format!("{} {object}", request.verb)).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    counts.join(", ")
}

/// A process's own memory, and its whole, in MB.
fn memory(id: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process");
    let mega = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1_024.0 / 1e6
    };
    format!("{:.1} MB (its own {:.1}, the most {:.1})", mega("VmRSS:"), mega("RssAnon:"), mega("VmHWM:"))
}
