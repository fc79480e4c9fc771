//! Lets a HorizontalPodAutoscaler scale a relay on its queue: Prometheus scrapes the relay as `docs/prometheus.yaml` says, its adapter is told
//! `docs/prometheus-adapter.yaml`, and the autoscaler is that of `examples/autoscaling.yaml`, but for its CPU, which wants a metrics server,
//! and for its patience. Mail comes in faster than its host takes it from two addresses, until there is a third pod. Then the TCP Schedule
//! closes: what waits for that needs no pod, and those that leave hand it over. When there are two pods again, it opens, and all has to arrive.
//! It prints what was seen, and fails where a message that was answered 250 has not arrived.
//!
//! `tests/cluster/build prometheus prometheus-adapter`, then `cargo run -p mailsluice-tests --bin autoscale`, with the cluster up and the relay's and
//! operator's images in it. It takes about seven minutes.

mod host;
mod metrics;

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{
    cluster::{self, Namespace, try_kubectl},
    pod::Sender,
    workspace,
};
use serde_json::{Value, json};

use crate::{host::Host, metrics::Metrics};

const RELAY: &str = "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: outbound}
spec:
  scheduleRef: {name: office-hours}
  clients: [{networks: [198.18.0.0/24, 'fd00:198:18::/64']}]
  routes: [{domains: ['*'], mx: {privateAddresses: Allow}}]
  limits: {connections: 400, connectionsPerHost: 100}
  storage: {size: 1Gi}
";
const SENDERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(35);
/// Messages over one connection of a sender.
const SESSION: u32 = 10;
/// How long mail comes in after the first scale-up, so that the new pods have some too.
const SHARE: Duration = Duration::from_secs(30);
/// From one look to the next.
const LOOK: Duration = Duration::from_secs(10);
/// For all of it, from the first message.
const LIMIT: Duration = Duration::from_secs(600);

fn main() {
    cluster::install();
    let metrics = Metrics::start();
    let namespace = Namespace::new("shop");
    let host = Host::start(&namespace);
    namespace.apply(&schedule("Open"));
    namespace.apply(RELAY);
    namespace.apply(&autoscaler(&namespace).to_string());
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "2");
    metrics::await_metric(&namespace, "outbound");
    println!("{}", namespace.kubectl(&["get", "hpa"]));

    let watch = Watch { namespace: &namespace, host: &host, begun: Instant::now() };
    println!("    s    told  wanted    pods   ready   waiting   arrived");
    let senders: Vec<Sender> = (0..SENDERS)
        .map(|number| {
            let name = format!("sender-{number}");
            Sender::start_anew_after(SESSION, &namespace, &name, &host.domain, PAUSE)
        })
        .collect();
    watch.until("a third pod is ready", |seen| seen.ready > 2);
    println!("{}", namespace.kubectl(&["get", "hpa"]));
    thread::sleep(SHARE);
    println!("the TCP Schedule closes");
    namespace.apply(&schedule("Closed"));
    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    println!("no more is sent: {} messages have been answered 250", answered.len());
    watch.until("two pods are left", |seen| seen.pods == 2 && seen.ready == 2);
    println!("{}", namespace.kubectl(&["get", "hpa"]));
    println!("the TCP Schedule opens, and the host takes all at once");
    host.hurry();
    namespace.apply(&schedule("Open"));
    watch.until("nothing waits", |seen| seen.waiting == 0);
    let of_autoscaler = "--field-selector=involvedObject.kind=HorizontalPodAutoscaler";
    println!("{}", namespace.kubectl(&["get", "events", of_autoscaler, "--sort-by=.lastTimestamp"]));

    let handed_over = metrics.ask("sum(max_over_time(mailsluice_messages_taken_over_total{relay=\"outbound\"}[15m]))");
    let taken = host.taken();
    let distinct: HashSet<&String> = taken.iter().collect();
    let lost: Vec<&String> = answered.iter().filter(|subject| !distinct.contains(subject)).collect();
    println!(
        "{} messages answered 250, {} lost, {} delivered twice, {} handed over at scale-down",
        answered.len(),
        lost.len(),
        taken.len() - distinct.len(),
        handed_over.unwrap_or_default()
    );
    assert!(lost.is_empty(), "lost: {:?}", lost.iter().take(20).collect::<Vec<_>>());
    assert!(handed_over > Some(0.0), "no pod that left had mail");
}

/// A TCP Schedule that is always open, or never.
fn schedule(default: &str) -> String {
    format!(
        "{{apiVersion: mailsluice.dev/v1alpha1, kind: TCPSchedule, metadata: {{name: office-hours}}, spec: {{timeZone: Europe/Rome, default: {default}}}}}"
    )
}

/// A file of the repository.
fn page(path: &str) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The autoscaler of the example, for the relay `outbound`.
fn autoscaler(namespace: &Namespace) -> Value {
    let example = page("examples/autoscaling.yaml").replace("newsletters", "outbound");
    let (_, scaler) = example.split_once("\n---\n").expect("the example has two objects");
    let read = try_kubectl(&["-n", namespace.name(), "create", "--dry-run=client", "-o", "json", "-f", "-"], scaler);
    let mut scaler: Value = serde_json::from_slice(&read.stdout).expect("an autoscaler as JSON");
    let spec = &mut scaler["spec"];
    spec["metrics"].as_array_mut().expect("its metrics").retain(|metric| metric["type"] == "External");
    spec["behavior"]["scaleDown"] =
        json!({"stabilizationWindowSeconds": 30, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}]});
    scaler
}

/// What is looked at every few seconds.
struct Watch<'a> {
    namespace: &'a Namespace,
    host: &'a Host,
    begun: Instant,
}

/// A relay's pods and its mail at one moment.
struct Seen {
    pods: u64,
    ready: u64,
    waiting: u64,
}

impl Watch<'_> {
    /// Looks, and prints what it sees, until it is so; panics with `what` when the time is over.
    fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        while !is_so(&self.look()) {
            assert!(self.begun.elapsed() < LIMIT, "{what}: not so after {LIMIT:?}");
            thread::sleep(LOOK);
        }
    }

    fn look(&self) -> Seen {
        let relay = self.namespace.object("smtprelay", "outbound").expect("the relay");
        let number = |pointer| relay.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let seen = Seen {
            pods: number("/status/replicas"),
            ready: number("/status/readyReplicas"),
            waiting: number("/status/queue/messages"),
        };
        let told =
            metrics::told(self.namespace, "outbound").map_or_else(|| "-".to_owned(), |told| format!("{told:.0}"));
        println!(
            "{:5.0} {told:>7} {:>7} {:>7} {:>7} {:>9} {:>9}",
            self.begun.elapsed().as_secs_f64(),
            number("/spec/replicas"),
            seen.pods,
            seen.ready,
            seen.waiting,
            self.host.taken().len()
        );
        seen
    }
}
