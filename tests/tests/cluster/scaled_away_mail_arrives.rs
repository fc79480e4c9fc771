//! Mail of pods that are scaled away: it is with those that stay, or stays on its claim and is named, and all of it arrives.

use std::{collections::BTreeSet, time::Instant};

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE},
    pod::{self, SinkPod},
    wait,
};

use crate::support;

#[test]
fn mail_of_pods_that_are_scaled_away_arrives() {
    let _turn = support::cluster();
    let namespace = Namespace::new("scaled");
    let sink = SinkPod::start(&namespace, "north");
    let domains = [sink.domain.as_str()];
    namespace.apply(&support::schedule("office-hours", "Closed"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    scale(&namespace, 2);
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "2");
    let life = support::pod_life(&namespace, "outbound");
    pod::send(&namespace, "outbound-0.outbound-pods", &domains, 5);
    pod::send(&namespace, "outbound-1.outbound-pods", &domains, 20);
    await_messages(&namespace, 25);

    let begun = Instant::now();
    scale(&namespace, 1);
    await_gone(&namespace, 1);
    println!("a pod with 20 messages was gone {:.1} s after kubectl scale", begun.elapsed().as_secs_f64());
    await_messages(&namespace, 25);
    assert_eq!(stranded(&namespace), "", "all of it is with the one that stays");
    assert_eq!(support::pod_life(&namespace, "outbound"), life, "which is the same as before");
    namespace.apply(&support::schedule("office-hours", "Open"));
    await_arrived(&sink, 25);
    support::await_empty(&namespace, "outbound", PATIENCE);

    namespace.apply(&support::schedule("office-hours", "Closed"));
    namespace.await_at("smtprelay", "outbound", "/status/link/state", "Closed");
    pod::send(&namespace, "outbound", &domains, 7);
    await_messages(&namespace, 7);
    scale(&namespace, 0);
    await_gone(&namespace, 0);
    let told = r#"[{"claim":"spool-outbound-0","messages":7}]"#;
    namespace.await_at("smtprelay", "outbound", "/status/queue/stranded", told);
    println!("{}", namespace.kubectl(&["get", "smtprelay", "outbound", "-o", "jsonpath={.status.queue}"]));

    namespace.apply(&support::schedule("office-hours", "Open"));
    scale(&namespace, 1);
    await_arrived(&sink, 32);
    wait::until_equal(PATIENCE, "stranded mail", String::new(), || stranded(&namespace));
    support::await_empty(&namespace, "outbound", PATIENCE);
}

fn scale(namespace: &Namespace, replicas: u32) {
    namespace.kubectl(&["scale", "smtprelay", "outbound", &format!("--replicas={replicas}")]);
}

fn await_gone(namespace: &Namespace, number: u32) {
    let pod = format!("outbound-{number}");
    wait::until_some(PATIENCE, &format!("{pod} is gone"), || namespace.object("pod", &pod).is_none().then_some(()));
}

fn await_messages(namespace: &Namespace, messages: u32) {
    namespace.await_at("smtprelay", "outbound", "/status/queue/messages", &messages.to_string());
}

/// Waits for so many messages, none of them twice.
fn await_arrived(sink: &SinkPod, messages: usize) {
    let arrived = sink.await_messages(messages, PATIENCE);
    let ids: BTreeSet<_> = arrived.iter().map(|message| message.id().expect("an id")).collect();
    assert_eq!((ids.len(), arrived.len()), (messages, messages), "each arrives once");
}

fn stranded(namespace: &Namespace) -> String {
    namespace.at("smtprelay", "outbound", "/status/queue/stranded")
}
