//! Whatever happens to pods, node, operator and API server while mail flows: each message that was answered 250 arrives.

use std::{
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, RELEASE, StoppedApiServer, kubectl, try_kubectl},
    pod::{self, Sender, SinkPod},
    setting, wait,
};

use crate::support;

/// Pods of the relay, at the most: that many claims may hold mail in the end.
const MOST: u32 = 5;
/// From one blow to the next.
const PAUSE: Duration = Duration::from_secs(4);
/// For what waits in the end; a container that failed often is started again minutes later.
const LIMIT: Duration = Duration::from_secs(420);

/// What is done, in words, and how.
type Blow = (&'static str, fn(&Namespace));

/// What is done to the relay while it has mail. In this order, so that a run of minutes has each of them.
const BLOWS: [Blow; 16] = [
    ("a relay's process is killed", |namespace| {
        if let Some(pod) = pods(namespace).first() {
            pod::kill(namespace, pod);
        }
    }),
    ("scaled to 5", |namespace| scale(namespace, 5)),
    ("the link is closed", |namespace| namespace.apply(&support::schedule("office-hours", "Closed"))),
    ("a pod is evicted", evict),
    ("the operators are killed", |_| {
        kubectl(&["-n", RELEASE, "delete", "pod", "--all", "--grace-period=0", "--force", "--wait=false"]);
    }),
    ("scaled to 2", |namespace| scale(namespace, 2)),
    ("the API server is killed and started again", |_| cluster::restart_api_server()),
    ("the link is opened", |namespace| namespace.apply(&support::schedule("office-hours", "Open"))),
    ("all pods are deleted at once", |namespace| {
        namespace.kubectl(&["delete", "pod", "-l", RELAY, "--grace-period=0", "--force", "--wait=false"]);
    }),
    ("scaled to 0", |namespace| scale(namespace, 0)),
    ("the API server stands still for 5 s", |_| {
        let stopped = StoppedApiServer::stop();
        thread::sleep(Duration::from_secs(5));
        drop(stopped);
    }),
    ("scaled to 3", |namespace| scale(namespace, 3)),
    ("the node is drained", drain),
    ("a leaving pod's process is killed", |namespace| {
        let before = pods(namespace);
        scale(namespace, 1);
        thread::sleep(Duration::from_secs(1));
        if let Some(pod) = before.last().filter(|_| before.len() > 1) {
            pod::kill(namespace, pod);
        }
    }),
    ("the operator is rolled", |_| {
        kubectl(&["-n", RELEASE, "rollout", "restart", "deployment", RELEASE]);
    }),
    ("the relay is rolled", |namespace| {
        namespace.kubectl(&["rollout", "restart", "statefulset", "outbound"]);
    }),
];

/// The pods of relays.
const RELAY: &str = "app.kubernetes.io/name=mailsluice-relay";

#[test]
fn whatever_kubernetes_does_to_its_pods_no_answered_message_is_lost() {
    let _turn = support::cluster();
    let minutes = setting("MAILSLUICE_TEST_CHAOS_MINUTES", 5);
    let namespace = Namespace::new("chaos");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    scale(&namespace, 3);
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "3");
    let senders: Vec<Sender> = (0..4)
        .map(|number| Sender::start(&namespace, &format!("sender-{number}"), &sink.domain, Duration::from_millis(50)))
        .collect();
    wait::until_some(PATIENCE, "mail flows", || (sink.count() > 20).then_some(()));

    let begun = Instant::now();
    let end = begun + Duration::from_secs(u64::from(minutes) * 60);
    let mut struck = 0;
    for (what, blow) in BLOWS.iter().cycle().take_while(|_| Instant::now() < end) {
        println!("{:5.1} s, {} messages have arrived: {what}", begun.elapsed().as_secs_f64(), sink.count());
        blow(&namespace);
        struck += 1;
        thread::sleep(PAUSE);
    }

    // Every claim that may have mail is opened again.
    namespace.apply(&support::schedule("office-hours", "Open"));
    scale(&namespace, MOST);
    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    let arrived = sink.await_subjects(&answered, LIMIT);
    println!(
        "{minutes} minutes, {struck} blows: {} messages answered 250, {} lost, {} delivered twice",
        answered.len(),
        arrived.lost.len(),
        arrived.twice
    );
    assert!(minutes < 5 || struck >= BLOWS.len(), "only {struck} of {} blows were struck", BLOWS.len());
    let first = arrived.lost.iter().take(20).collect::<Vec<_>>();
    assert!(!answered.is_empty() && arrived.lost.is_empty(), "{} lost: {first:?}", arrived.lost.len());
    support::await_empty(&namespace, "outbound", PATIENCE);
}

fn scale(namespace: &Namespace, replicas: u32) {
    namespace.kubectl(&["scale", "smtprelay", "outbound", &format!("--replicas={replicas}")]);
}

/// The relay's pods that run, in their order.
fn pods(namespace: &Namespace) -> Vec<String> {
    let selected = ["get", "pod", "-l", RELAY, "--field-selector=status.phase=Running", "-o", "name"];
    let names = namespace.kubectl(&selected);
    let mut names: Vec<String> = names.lines().map(|name| name.trim_start_matches("pod/").to_owned()).collect();
    names.sort();
    names
}

/// Asks for a pod's eviction; a PodDisruptionBudget may refuse it, as it should when another one is away.
fn evict(namespace: &Namespace) {
    let Some(pod) = pods(namespace).pop() else { return };
    let eviction =
        format!("{{\"apiVersion\": \"policy/v1\", \"kind\": \"Eviction\", \"metadata\": {{\"name\": \"{pod}\"}}}}");
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", namespace.name());
    let answer = try_kubectl(&["create", "--raw", &path, "-f", "-"], &eviction);
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success() || said.contains("disruption budget") || said.contains("not found"), "{said}");
}

/// Drains the node of relays, as far as their budget allows in 20 s, and opens it again.
fn drain(namespace: &Namespace) {
    let node = namespace.kubectl(&["get", "node", "-o", "jsonpath={.items[0].metadata.name}"]);
    let selector = format!("--pod-selector={RELAY}");
    // The budget lets one pod go at a time, and none comes back while the only node is closed: so it does not end in order.
    let _ =
        try_kubectl(&["drain", &node, &selector, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=20s"], "");
    kubectl(&["uncordon", &node]);
}
