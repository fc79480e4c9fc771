//! A relay that asks for a NetworkPolicy has one that follows it, as long as it asks; and with it, and with the operator's own, there is a way
//! for those who have business with the other, and for nobody else.

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, RELEASE},
    pod::{SinkPod, Visitor},
    wait,
};
use serde_json::{Value, json};

use crate::{
    applications_send_by_injected_sidecars::PROGRAM,
    gateway::{self, Gateway},
    support,
};

/// Changes what the relay `outbound` is asked for.
fn ask(namespace: &Namespace, spec: &Value) {
    let patch = json!({"spec": spec}).to_string();
    namespace.kubectl(&["patch", "smtprelay", "outbound", "--type=merge", "-p", &patch]);
}

#[test]
fn a_policy_follows_its_relay_and_goes_when_it_is_asked_for_no_more() {
    let _turn = support::cluster();
    let namespace = Namespace::new("fenced");
    // Its objects are all that this is about: no pod has to run.
    namespace.apply(
        "{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {replicas: 0}}",
    );
    namespace.await_at("statefulset", "outbound", "/spec/replicas", "0");
    assert_eq!(namespace.object("networkpolicy", "outbound"), None);
    ask(&namespace, &json!({"networkPolicy": {}}));
    namespace.await_at("networkpolicy", "outbound", "/spec/egress/3/ports/0/port", "25");
    ask(&namespace, &json!({"networkPolicy": {"egress": [{"ports": [{"port": 2525}]}]}}));
    namespace.await_at("networkpolicy", "outbound", "/spec/egress/4/ports/0/port", "2525");
    ask(&namespace, &json!({"networkPolicy": null}));
    wait::until_some(PATIENCE, "the policy goes", || {
        namespace.object("networkpolicy", "outbound").is_none().then_some(())
    });
}

/// Who has business with the relay, or has none; each in a namespace of its own.
struct Visitors<'a> {
    /// Its namespace is among `clientsFrom`.
    office: Visitor<'a>,
    /// Its namespace is among `metricsFrom`, of the relay and of the chart.
    watch: Visitor<'a>,
    /// Nobody knows its namespace.
    street: Visitor<'a>,
}

/// What can be reached, by each family: the relay's listener, its Monitor, and the operator's metrics.
const EACH: [u16; 3] = [587, 8025, 8080];

impl Visitors<'_> {
    /// Waits until each reaches of [`EACH`] what it is to reach.
    fn await_reach(&self, gateway: &Gateway, what: &str, wanted: [[bool; 3]; 3]) {
        let relay = pod_addresses(&gateway.namespace.object("pod", "outbound-0").expect("the relay's pod"));
        let operators = cluster::objects(RELEASE, "pod");
        let operator = operators.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let operator = pod_addresses(operator.expect("an operator"));
        let visitors = [("office", &self.office), ("watch", &self.watch), ("street", &self.street)];
        for ((name, visitor), wanted) in visitors.into_iter().zip(wanted) {
            for family in [0, 1] {
                let targets = [&relay, &relay, &operator].map(|addresses| addresses[family].as_str());
                let targets: Vec<(&str, u16)> = targets.into_iter().zip(EACH).collect();
                let what = format!("{what}: what the {name} reaches of {targets:?}");
                wait::until_equal(PATIENCE, &what, wanted.to_vec(), || visitor.reaches(&targets));
            }
        }
    }
}

/// A pod's addresses, the IPv4 one first.
fn pod_addresses(pod: &Value) -> Vec<String> {
    let addresses = pod["status"]["podIPs"].as_array().into_iter().flatten();
    addresses.filter_map(|address| address["ip"].as_str().map(str::to_owned)).collect()
}

/// Those of the namespace of this name.
fn those_of(namespace: &str) -> Value {
    json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}])
}

#[test]
fn behind_policies_there_is_a_way_for_who_has_business_and_for_nobody_else() {
    let _turn = support::turn();
    let _restore = support::Restore;
    let metrics_from = r"networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name";
    cluster::install_with(&format!(
        "networkPolicy.enabled=true,{metrics_from}=fenced-watch,injection.webhook.enabled=true"
    ));
    let shop = Namespace::new("fenced-shop");
    let [office, watch, street] = ["fenced-office", "fenced-watch", "fenced-street"].map(Namespace::new);
    let visitors =
        Visitors { office: Visitor::start(&office), watch: Visitor::start(&watch), street: Visitor::start(&street) };

    // The operator makes its objects, reads its Monitor and writes its status from behind a policy.
    let gateway = Gateway::start("fenced-mail", 1, &shop, &["checkout"]);
    let mail = &gateway.namespace;
    let policy = json!({"clientsFrom": those_of("fenced-office"), "metricsFrom": those_of("fenced-watch")});
    ask(mail, &json!({"networkPolicy": policy, "retry": {"first": "2s", "longest": "2s"}}));
    visitors.await_reach(
        &gateway,
        "policies are in force",
        [[true, false, false], [false, true, true], [false, false, false]],
    );

    // Mail comes from the service account's namespace, and goes to port 25.
    let south = SinkPod::start_at(mail, "south", 25, "IPv4");
    support::await_injection(&shop);
    let programs = [("north", &gateway.sink), ("south", &south)].map(|(name, sink)| program(&gateway, name, sink));
    shop.apply(&gateway::list(programs.into()));
    for name in ["north", "south"] {
        let sidecar = shop.at("pod", name, "/spec/initContainers/0/name");
        assert_eq!(sidecar, "mailsluice", "the API server reaches the webhook");
        shop.await_at("pod", name, "/status/phase", "Succeeded");
    }
    let _ = south.await_messages(1, PATIENCE);
    // A policy sees the port of the sink's pod, which is 2525.
    let refused = wait::until_some(PATIENCE, "the status tells that the other port is closed", || {
        let rows = mail.object("smtprelay", "outbound")?.pointer("/status/monitor")?.as_array()?.clone();
        rows.into_iter().find(|row| row["host"] == gateway.sink.domain.as_str() && row["lastError"].is_object())
    });
    println!("{refused:#}");
    assert_eq!(gateway.sink.count(), 0);
    ask(mail, &json!({"networkPolicy": {"egress": [{"ports": [{"port": 2525}]}]}}));
    let _ = gateway.sink.await_messages(1, PATIENCE);
    support::await_empty(mail, "outbound", PATIENCE);

    ask(mail, &json!({"networkPolicy": null}));
    visitors.await_reach(
        &gateway,
        "the relay has no policy",
        [[true, true, false], [true, true, true], [true, true, false]],
    );
}

/// A pod of the service account, to be given its sidecar by whoever injects, that sends a message to a sink.
fn program(gateway: &Gateway, name: &str, sink: &SinkPod) -> Value {
    let to = format!("someone@{}", sink.domain);
    let containers = json!([{"name": "program", "image": "localhost/python:test", "args": ["-c", PROGRAM, to, name]}]);
    gateway.pod(name, &containers, &json!([]))
}
