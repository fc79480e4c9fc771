//! A relay's claims become larger while it takes mail and delivers it: its StatefulSet is another one then, and its pod is the same.

use std::time::{Duration, Instant};

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE, kubectl, objects},
    pod::{Sender, SinkPod},
    wait,
};
use serde_json::{Value, json};

use crate::support;

/// The kubelet looks at a pod's volumes when it looks at the pod, which may be more than a minute later.
const KUBELET: Duration = Duration::from_secs(180);

/// More than any of the cluster's volumes has.
const SIZE: &str = "200Gi";

#[test]
fn claims_grow_while_mail_flows() {
    let _turn = support::cluster();
    let namespace = Namespace::new("growing");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let senders = ["one", "two"].map(|name| Sender::start(&namespace, name, &sink.domain, Duration::from_millis(50)));
    wait::until_some(PATIENCE, "mail flows", || (sink.count() > 20).then_some(()));
    let life = life(&namespace);
    let first = namespace.at("statefulset", "outbound", "/metadata/uid");

    let begun = Instant::now();
    let patch = json!({"spec": {"storage": {"size": SIZE}}}).to_string();
    namespace.kubectl(&["patch", "smtprelay", "outbound", "--type=merge", "-p", &patch]);
    let template = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
    namespace.await_at("statefulset", "outbound", template, SIZE);
    println!("the StatefulSet was another one {:.1} s after the patch", begun.elapsed().as_secs_f64());
    let second = namespace.at("statefulset", "outbound", "/metadata/uid");
    assert_ne!(second, first);
    namespace.await_at("pod", "outbound-0", "/metadata/ownerReferences/0/uid", &second);
    namespace.await_at("pvc", "spool-outbound-0", "/spec/resources/requests/storage", SIZE);
    await_progressing(&namespace, "GrowingStorage", PATIENCE);
    println!("{}", progressing(&namespace)["message"]);

    // What the storage's own controller would do: the volume is larger, and the rest is the kubelet's.
    let volume = namespace.at("pvc", "spool-outbound-0", "/spec/volumeName");
    enlarge(&volume);
    let pending =
        json!({"status": {"conditions": [{"type": "FileSystemResizePending", "status": "True"}]}}).to_string();
    namespace.kubectl(&["patch", "pvc", "spool-outbound-0", "--subresource=status", "--type=merge", "-p", &pending]);
    await_progressing(&namespace, "Complete", KUBELET);
    assert_eq!(namespace.at("pvc", "spool-outbound-0", "/status/capacity/storage"), SIZE);
    println!("the claim had its size {:.1} s after the patch", begun.elapsed().as_secs_f64());
    assert_eq!(self::life(&namespace), life, "the pod is the same, and of the same revision");

    // A scale-up makes a claim of that size, for which there has to be a volume.
    let volumes = objects("default", "pv");
    let free = volumes.iter().find(|volume| volume["status"]["phase"] == "Available").expect("a volume that is free");
    enlarge(free["metadata"]["name"].as_str().expect("its name"));
    namespace.kubectl(&["scale", "smtprelay", "outbound", "--replicas=2"]);
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "2");
    assert_eq!(namespace.at("pvc", "spool-outbound-1", "/spec/resources/requests/storage"), SIZE);
    await_progressing(&namespace, "Complete", PATIENCE);
    assert_eq!(self::life(&namespace), life);

    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    let arrived = sink.await_subjects(&answered, PATIENCE);
    println!(
        "{} messages were answered 250; of them {} were lost, {} came twice",
        answered.len(),
        arrived.lost.len(),
        arrived.twice
    );
    assert_eq!((arrived.lost, arrived.twice), (vec![], 0));
}

/// What tells whether the pod is the same, and none of another revision.
fn life(namespace: &Namespace) -> [String; 4] {
    let (uid, restarts) = support::pod_life(namespace, "outbound");
    let at = |pointer| namespace.at("pod", "outbound-0", pointer);
    [
        uid,
        restarts,
        at("/status/containerStatuses/0/state/running/startedAt"),
        at("/metadata/labels/controller-revision-hash"),
    ]
}

fn enlarge(volume: &str) {
    let patch = json!({"spec": {"capacity": {"storage": SIZE}}}).to_string();
    kubectl(&["patch", "pv", volume, "--type=merge", "-p", &patch]);
}

fn progressing(namespace: &Namespace) -> Value {
    let relay = namespace.object("smtprelay", "outbound").unwrap_or_default();
    let mut conditions = relay["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == "Progressing").cloned().unwrap_or_default()
}

fn await_progressing(namespace: &Namespace, reason: &str, limit: Duration) {
    wait::until_equal(limit, "Progressing", json!(reason), || progressing(namespace)["reason"].clone());
}
