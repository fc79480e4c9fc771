//! What the operator counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mailsluice_crds::monitor::StrandedMail;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The kinds that are reconciled.
const KINDS: [&str; 3] = ["SMTPRelay", "TCPSchedule", "SMTPAccess"];
/// How a reconcile ends.
const RESULTS: [&str; 2] = ["done", "failed"];
/// Seconds: one that finds nothing to do takes microseconds, one that writes a few round trips to the API server.
const RECONCILE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What the operator counts. No label has more values than the code names, but for those that name an SMTPRelay, and claims with stranded mail.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    reconciles_waiting: IntGaugeVec,
    writes: IntCounterVec,
    requests: IntCounterVec,
    /// Events that were not made, since there were too many about their object.
    pub events_withheld: IntCounter,
    /// Snapshots that came from pods' Monitors.
    pub snapshots: IntCounter,
    /// Attempts to read a pod's Monitor that failed or ended.
    pub stream_failures: IntCounter,
    /// Pods whose Monitor is followed.
    pub pods_followed: IntGauge,
    /// 1 while this operator leads.
    pub leader: IntGauge,
    replicas: Replicas,
}

/// Pods, and mail of pods that are gone, by their SMTPRelay.
struct Replicas {
    wanted: IntGaugeVec,
    ready: IntGaugeVec,
    stranded: IntGaugeVec,
    paused: IntGaugeVec,
    /// Namespace and name of each SMTPRelay that is shown, with the claims that are.
    relays: Mutex<BTreeMap<(String, String), BTreeSet<String>>>,
}

impl Metrics {
    /// All counts at zero.
    ///
    /// # Errors
    /// When a name is given twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let reconciles = IntCounterVec::new(
            Opts::new("mailsluice_operator_reconciles_total", "Reconciles, by kind and result."),
            &["kind", "result"],
        )?;
        // From the start, so that the first failure is an increase.
        for kind in KINDS {
            for result in RESULTS {
                reconciles.with_label_values(&[kind, result]);
            }
        }
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new("mailsluice_operator_reconcile_seconds", "How long reconciles took, by kind.")
                .buckets(RECONCILE_BUCKETS.to_vec()),
            &["kind"],
        )?;
        for kind in KINDS {
            reconcile_seconds.with_label_values(&[kind]);
        }
        let reconciles_waiting = IntGaugeVec::new(
            Opts::new(
                "mailsluice_operator_reconciles_waiting",
                "Objects whose reconcile was asked for and has not begun, by kind.",
            ),
            &["kind"],
        )?;
        for kind in KINDS {
            reconciles_waiting.with_label_values(&[kind]);
        }
        let leader = IntGauge::new("mailsluice_operator_leader", "1 while this operator leads; the others stand by.")?;
        let writes = IntCounterVec::new(
            Opts::new("mailsluice_operator_writes_total", "Writes to the API server, by what was written."),
            &["object"],
        )?;
        let requests = IntCounterVec::new(
            Opts::new(
                "mailsluice_operator_api_requests_total",
                "Requests to the API server, by method and by the answer's code; none, where there was no answer.",
            ),
            &["method", "code"],
        )?;
        let events_withheld = IntCounter::new(
            "mailsluice_operator_events_withheld_total",
            "Events that were not made, since there were too many about their object.",
        )?;
        let snapshots =
            IntCounter::new("mailsluice_operator_snapshots_total", "Snapshots that came from pods' Monitors.")?;
        let stream_failures = IntCounter::new(
            "mailsluice_operator_monitor_failures_total",
            "Attempts to read a pod's Monitor that failed or ended.",
        )?;
        let pods_followed = IntGauge::new("mailsluice_operator_pods_followed", "Pods whose Monitor is followed.")?;
        let of_relays = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["namespace", "relay"]);
        let replicas = Replicas {
            wanted: of_relays("mailsluice_operator_relay_replicas", "Pods that the SMTPRelay asks for.")?,
            ready: of_relays("mailsluice_operator_relay_ready_replicas", "Pods of the SMTPRelay that are ready.")?,
            stranded: IntGaugeVec::new(
                Opts::new(
                    "mailsluice_operator_relay_stranded_messages",
                    "Messages on the claim of a pod that is scaled away, which no sibling took.",
                ),
                &["namespace", "relay", "claim"],
            )?,
            paused: of_relays(
                "mailsluice_operator_relay_paused",
                "1 while the SMTPRelay is paused: nothing of it is carried out.",
            )?,
            relays: Mutex::default(),
        };
        let build = IntGaugeVec::new(
            Opts::new("mailsluice_operator_build_info", "Always 1; the label is the program's version."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        registry.register(Box::new(reconciles_waiting.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(events_withheld.clone()))?;
        registry.register(Box::new(snapshots.clone()))?;
        registry.register(Box::new(stream_failures.clone()))?;
        registry.register(Box::new(pods_followed.clone()))?;
        registry.register(Box::new(replicas.wanted.clone()))?;
        registry.register(Box::new(replicas.ready.clone()))?;
        registry.register(Box::new(replicas.stranded.clone()))?;
        registry.register(Box::new(replicas.paused.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Metrics {
            registry,
            reconciles,
            reconcile_seconds,
            reconciles_waiting,
            writes,
            requests,
            events_withheld,
            snapshots,
            stream_failures,
            pods_followed,
            leader,
            replicas,
        })
    }

    /// Notes how many pods an SMTPRelay asks for, and how many of them are ready.
    pub fn replicas(&self, namespace: &str, relay: &str, wanted: u32, ready: u32) {
        // Held till both are set, so that a relay that goes is not brought back.
        let mut relays = self.replicas.lock();
        relays.entry((namespace.to_owned(), relay.to_owned())).or_default();
        self.replicas.wanted.with_label_values(&[namespace, relay]).set(i64::from(wanted));
        self.replicas.ready.with_label_values(&[namespace, relay]).set(i64::from(ready));
    }

    /// Notes on which claims an SMTPRelay has stranded mail, and how much; others have none any more.
    pub fn stranded(&self, namespace: &str, relay: &str, mail: &[StrandedMail]) {
        let mut relays = self.replicas.lock();
        let claims = relays.entry((namespace.to_owned(), relay.to_owned())).or_default();
        let known = std::mem::replace(claims, mail.iter().map(|mail| mail.claim.clone()).collect());
        for gone in known.difference(claims) {
            // It is there, as long as the claim is in the set.
            let _ = self.replicas.stranded.remove_label_values(&[namespace, relay, gone]);
        }
        for StrandedMail { claim, messages } in mail {
            let messages = i64::try_from(*messages).unwrap_or(i64::MAX);
            self.replicas.stranded.with_label_values(&[namespace, relay, claim]).set(messages);
        }
    }

    /// Notes whether an SMTPRelay is paused; those that are not are not shown.
    pub fn paused(&self, namespace: &str, relay: &str, paused: bool) {
        let mut relays = self.replicas.lock();
        if paused {
            relays.entry((namespace.to_owned(), relay.to_owned())).or_default();
            self.replicas.paused.with_label_values(&[namespace, relay]).set(1);
        } else {
            // Most often it is not there.
            let _ = self.replicas.paused.remove_label_values(&[namespace, relay]);
        }
    }

    /// Shows no more SMTPRelays that are not there any more, told by namespace and name.
    pub fn retain_relays(&self, exists: impl Fn(&str, &str) -> bool) {
        self.replicas.lock().retain(|(namespace, relay), claims| {
            let stays = exists(namespace, relay);
            if !stays {
                // All are there, as long as the relay is in the map, but that it is paused.
                let _ = self.replicas.wanted.remove_label_values(&[namespace, relay]);
                let _ = self.replicas.ready.remove_label_values(&[namespace, relay]);
                let _ = self.replicas.paused.remove_label_values(&[namespace, relay]);
                for claim in claims.iter() {
                    let _ = self.replicas.stranded.remove_label_values(&[namespace, relay, claim]);
                }
            }
            stays
        });
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: &str, result: &str) {
        self.reconciles.with_label_values(&[kind, result]).inc();
    }

    /// Notes how long a reconcile took.
    pub fn reconcile_took(&self, kind: &str, time: Duration) {
        self.reconcile_seconds.with_label_values(&[kind]).observe(time.as_secs_f64());
    }

    /// Where the objects of that kind are shown whose reconcile was asked for and has not begun.
    #[must_use]
    pub fn reconciles_waiting(&self, kind: &str) -> IntGauge {
        self.reconciles_waiting.with_label_values(&[kind])
    }

    /// Where requests to the API server are counted, by method and code.
    #[must_use]
    pub fn requests(&self) -> IntCounterVec {
        self.requests.clone()
    }

    /// Counts a write to the API server.
    pub fn wrote(&self, object: &str) {
        self.writes.with_label_values(&[object]).inc();
    }

    /// All of it, as Prometheus reads it.
    ///
    /// # Errors
    /// When it cannot be written as text.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Replicas {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), BTreeSet<String>>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_is_gone_is_shown_no_more() {
        let metrics = Metrics::new().unwrap();
        metrics.replicas("shop", "outbound", 3, 2);
        metrics.replicas("mill", "outbound", 1, 1);
        let shown = |text: &str| metrics.render().unwrap().lines().any(|line| line == text);
        let shop = |value: u32| {
            format!("mailsluice_operator_relay_ready_replicas{{namespace=\"shop\",relay=\"outbound\"}} {value}")
        };
        assert!(shown(&shop(2)));
        assert!(shown("mailsluice_operator_relay_replicas{namespace=\"shop\",relay=\"outbound\"} 3"));
        metrics.replicas("shop", "outbound", 3, 3);
        assert!(shown(&shop(3)) && !shown(&shop(2)));
        metrics.retain_relays(|namespace, _| namespace == "mill");
        let text = metrics.render().unwrap();
        assert!(!text.contains("shop") && text.contains("mill"), "{text}");
    }

    #[test]
    fn a_relay_is_shown_as_paused_while_it_is() {
        let metrics = Metrics::new().unwrap();
        let shown = || {
            metrics
                .render()
                .unwrap()
                .contains("mailsluice_operator_relay_paused{namespace=\"shop\",relay=\"outbound\"} 1")
        };
        metrics.paused("shop", "outbound", false);
        assert!(!shown());
        metrics.paused("shop", "outbound", true);
        assert!(shown());
        metrics.paused("shop", "outbound", false);
        assert!(!shown());
        metrics.paused("shop", "outbound", true);
        metrics.retain_relays(|_, _| false);
        assert!(!shown());
    }

    #[test]
    fn stranded_mail_is_shown_by_its_claim_until_it_is_taken_up() {
        let metrics = Metrics::new().unwrap();
        let mail = |number: u32, messages| StrandedMail { claim: format!("spool-outbound-{number}"), messages };
        let shown = || {
            let text = metrics.render().unwrap();
            let lines =
                text.lines().filter_map(|line| line.strip_prefix("mailsluice_operator_relay_stranded_messages"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let line = |number: u32, messages: u64| {
            format!("{{claim=\"spool-outbound-{number}\",namespace=\"shop\",relay=\"outbound\"}} {messages}")
        };
        metrics.stranded("shop", "outbound", &[mail(1, 7), mail(2, 3)]);
        assert_eq!(shown(), [line(1, 7), line(2, 3)]);
        metrics.stranded("shop", "outbound", &[mail(2, 4)]);
        assert_eq!(shown(), [line(2, 4)]);
        metrics.retain_relays(|_, _| false);
        assert_eq!(shown(), [""; 0]);
    }

    #[test]
    fn what_alerts_count_is_there_from_the_start() {
        let text = Metrics::new().unwrap().render().unwrap();
        for kind in KINDS {
            for result in RESULTS {
                let line = format!("mailsluice_operator_reconciles_total{{kind=\"{kind}\",result=\"{result}\"}} 0");
                assert!(text.lines().any(|shown| shown == line), "{line} is missing:\n{text}");
            }
        }
        assert!(text.lines().any(|shown| shown == "mailsluice_operator_leader 0"), "{text}");
    }
}
