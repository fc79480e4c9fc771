//! What the scenarios have in common.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, PODS},
    record::{self, Record},
    wait,
};
use serde_json::Value;

/// The time zone of every schedule here.
pub(crate) const ZONE: &str = "Europe/Rome";

/// The cluster, for one scenario at a time, with Mailsluice installed.
pub(crate) fn cluster() -> MutexGuard<'static, ()> {
    let turn = turn();
    cluster::install();
    turn
}

/// The cluster, for one scenario at a time, with whatever is installed.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the chart back, when it is dropped, as other scenarios have it.
pub(crate) struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        if !thread::panicking() {
            cluster::install();
        }
    }
}

/// Waits until a pod that is made gets a sidecar.
pub(crate) fn await_injection(shop: &Namespace) {
    let probe = "
apiVersion: v1
kind: Pod
metadata: {name: probe, labels: {mailsluice.dev/inject: outbound}}
spec:
  serviceAccountName: checkout
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
";
    wait::until_some(PATIENCE, "a sidecar is injected", || {
        let arguments = ["-n", shop.name(), "create", "--dry-run=server", "-o", "json", "-f", "-"];
        let output = cluster::try_kubectl(&arguments, probe);
        let pod: Value = serde_json::from_slice(&output.stdout).ok()?;
        pod["spec"].get("initContainers").map(|_| ())
    });
}

/// A relay for the cluster's pods that sends mail to each domain's own hosts, and obeys the schedule of this name.
pub(crate) fn relay(name: &str, schedule: &str) -> String {
    format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: {name}}}
spec:
  scheduleRef: {{name: {schedule}}}
  clients: [{{networks: {PODS:?}}}]
  routes: [{{domains: ['*'], mx: {{privateAddresses: Allow}}}}]
  retry: {{first: 2s, longest: 10s}}
  storage: {{size: 1Gi}}
"
    )
}

/// A schedule that is always open, or never.
pub(crate) fn schedule(name: &str, default: &str) -> String {
    windows(name, default, "[]")
}

/// A schedule that opens at a moment on a full minute, for an hour.
pub(crate) fn opening_at(name: &str, opens: Timestamp) -> String {
    let (from, to) = (clock(opens), clock(opens + SignedDuration::from_hours(1)));
    windows(name, "Closed", &format!("[{{from: \"{from}\", to: \"{to}\", link: Open}}]"))
}

fn windows(name: &str, default: &str, windows: &str) -> String {
    format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: TCPSchedule
metadata: {{name: {name}}}
spec: {{timeZone: {ZONE}, default: {default}, windows: {windows}}}
"
    )
}

/// A moment on the wall clock of [`ZONE`].
pub(crate) fn clock(at: Timestamp) -> String {
    at.in_tz(ZONE).expect("a zone").strftime("%H:%M").to_string()
}

/// Waits until a relay is ready.
pub(crate) fn await_ready(namespace: &Namespace, relay: &str) {
    let condition = "/status/readyReplicas";
    wait::until_equal(PATIENCE, &format!("{relay} is ready"), "1".to_owned(), || {
        namespace.at("smtprelay", relay, condition)
    });
}

/// Whether a relay's pod is the same, and has never been restarted.
pub(crate) fn pod_life(namespace: &Namespace, relay: &str) -> (String, String) {
    let pod = format!("{relay}-0");
    (namespace.at("pod", &pod, "/metadata/uid"), namespace.at("pod", &pod, "/status/containerStatuses/0/restartCount"))
}

/// The log records of a relay's pod.
pub(crate) fn records(namespace: &Namespace, relay: &str) -> Vec<Record> {
    let text = namespace.kubectl(&["logs", &format!("{relay}-0")]);
    text.lines().filter_map(|line| record::parse(line).ok()).collect()
}

/// Waits until nothing waits any more, as the status says.
pub(crate) fn await_empty(namespace: &Namespace, relay: &str, limit: Duration) {
    wait::until_equal(limit, "messages in the status", "0".to_owned(), || {
        namespace.at("smtprelay", relay, "/status/queue/messages")
    });
    wait::until_equal(limit, "rows in the status", String::new(), || {
        namespace.at("smtprelay", relay, "/status/monitor").replace("[]", "")
    });
}
