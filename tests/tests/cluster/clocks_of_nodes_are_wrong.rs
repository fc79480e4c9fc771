//! The clocks of nodes are an hour off while mail flows and pods come and go: each message that was answered 250 arrives, and none goes back.
//!
//! Each pod's volume `clock` stands for the clock of its node, as there is one node here; the image is the one of `tests/cluster/images clock`.

use std::{thread, time::Duration};

use mailsluice_tests::{
    clock,
    cluster::{self, Namespace, PATIENCE},
    pod::{self, Sender, SinkPod},
    record, wait,
};

use crate::support;

const HOUR: i64 = 3_600;
/// Mail comes and goes meanwhile.
const PAUSE: Duration = Duration::from_secs(3);

#[test]
fn no_message_is_lost_or_returned_while_clocks_of_nodes_are_an_hour_off() {
    let _turn = support::turn();
    cluster::install_with("relay.image.repository=localhost/mailsluice-relay-clock");
    let namespace = Namespace::new("clocks");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    // Mail that is older than this goes back: less than the clocks are off, and more than this takes.
    let spec = r#"{"spec": {"replicas": 3, "retry": {"expireAfter": "30m"}, "podTemplate": {"spec": {
        "volumes": [{"name": "clock", "emptyDir": {}}],
        "containers": [{"name": "relay", "volumeMounts": [{"name": "clock", "mountPath": "/clock"}]}]}}}}"#;
    namespace.kubectl(&["patch", "smtprelay", "outbound", "--type=merge", "-p", spec]);
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "3");
    let senders: Vec<Sender> = (0..3)
        .map(|number| Sender::start(&namespace, &format!("sender-{number}"), &sink.domain, Duration::from_millis(50)))
        .collect();
    wait::until_some(PATIENCE, "mail flows", || (sink.count() > 20).then_some(()));

    // One that is ahead leaves, and what waits there is handed over.
    link(&namespace, "Closed");
    thread::sleep(PAUSE);
    set(&namespace, 1, HOUR, "the clock was set forward");
    thread::sleep(PAUSE);
    scale(&namespace, 1);

    // One that is ahead stays, and takes nothing that is handed over; its sibling does.
    scale(&namespace, 3);
    set(&namespace, 0, HOUR, "the clock was set forward");
    link(&namespace, "Open");
    thread::sleep(PAUSE);
    link(&namespace, "Closed");
    thread::sleep(PAUSE);
    scale(&namespace, 2);

    // One is put right, and one that is behind is killed, and leaves.
    set(&namespace, 0, 0, "the clock was set back");
    set(&namespace, 1, -HOUR, "the clock was set back");
    thread::sleep(PAUSE);
    assert!(pod::kill(&namespace, "outbound-1"), "it runs");
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "2");
    thread::sleep(PAUSE);
    scale(&namespace, 1);

    link(&namespace, "Open");
    // What could not be handed over is on its claim.
    scale(&namespace, 3);
    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    let arrived = sink.await_subjects(&answered, PATIENCE * 2);
    println!(
        "{} messages answered 250, {} lost, {} delivered twice",
        answered.len(),
        arrived.lost.len(),
        arrived.twice
    );
    assert!(!answered.is_empty() && arrived.lost.is_empty(), "{} lost", arrived.lost.len());
    support::await_empty(&namespace, "outbound", PATIENCE);
    for pod in 0..3 {
        let returned =
            records(&namespace, pod).into_iter().find(|record| record.msg.starts_with("gave a recipient up"));
        assert!(returned.is_none(), "its time was not over: {returned:?}");
    }
}

fn link(namespace: &Namespace, state: &str) {
    namespace.apply(&support::schedule("office-hours", state));
    namespace.await_at("smtprelay", "outbound", "/status/link/state", state);
}

/// Scales it, and waits until all that stay are ready and the others are gone.
fn scale(namespace: &Namespace, replicas: u32) {
    let replicas = replicas.to_string();
    namespace.kubectl(&["scale", "smtprelay", "outbound", &format!("--replicas={replicas}")]);
    namespace.await_at("statefulset", "outbound", "/status/replicas", &replicas);
    namespace.await_at("statefulset", "outbound", "/status/readyReplicas", &replicas);
}

/// Sets a pod's clock so far from the right one, and waits until it has noticed.
fn set(namespace: &Namespace, pod: u32, seconds: i64, says: &str) {
    let uid = namespace.at("pod", &format!("outbound-{pod}"), "/metadata/uid");
    let folder = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/clock"));
    clock::set_in(&folder, seconds);
    wait::until_some(PATIENCE, &format!("outbound-{pod} says: {says}"), || {
        records(namespace, pod).into_iter().rfind(|record| record.msg.starts_with(says))
    });
}

fn records(namespace: &Namespace, pod: u32) -> Vec<record::Record> {
    let text = namespace.kubectl(&["logs", &format!("outbound-{pod}")]);
    text.lines().filter_map(|line| record::parse(line).ok()).collect()
}
