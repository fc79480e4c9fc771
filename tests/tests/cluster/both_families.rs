//! A relay with addresses of both families takes mail by each, from the clients that it knows by an address of that family, and delivers to a
//! host that IPv6 alone leads to; one with IPv6 alone does so, too, and its pods hand mail to each other.

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE, PODS},
    pod::{SinkPod, Visitor},
    wait,
};
use serde_json::{Value, json};

use crate::support;

/// A relay of so many pods with this Service, which goes by the schedule of this name, for clients of these networks.
fn relay((name, replicas): (&str, u32), service: &Value, schedule: &str, networks: &[&str]) -> String {
    json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPRelay",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "service": service,
            "scheduleRef": {"name": schedule},
            "clients": [{"networks": networks}],
            "routes": [{"domains": ["*"], "mx": {"privateAddresses": "Allow"}}],
            "storage": {"size": "1Gi"},
        },
    })
    .to_string()
}

/// The addresses of a Service, as the families of each.
fn addresses(namespace: &Namespace, service: &str) -> (Vec<String>, String) {
    let service = namespace.object("service", service).expect("the Service");
    let addresses = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect();
    (addresses, service["spec"]["ipFamilies"].to_string())
}

/// The row of a client in a relay's status that has this at a JSON pointer.
fn row(namespace: &Namespace, relay: &str, pointer: &str, value: &str) -> Option<Value> {
    let relay = namespace.object("smtprelay", relay)?;
    let rows = relay.pointer("/status/clients")?.as_array()?;
    rows.iter().find(|row| row.pointer(pointer).is_some_and(|found| found == value)).cloned()
}

#[test]
fn mail_comes_and_goes_by_both_families_and_by_ipv6_alone() {
    let _turn = support::cluster();
    let namespace = Namespace::new("families");
    namespace.apply(&support::schedule("always", "Open"));
    namespace.apply(&support::schedule("office-hours", "Closed"));
    let both = json!({"ipFamilyPolicy": "RequireDualStack"});
    namespace.apply(&relay(("both", 1), &both, "always", &PODS[..1]));
    let six = json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]});
    namespace.apply(&relay(("six", 2), &six, "office-hours", &PODS));
    let sink = SinkPod::start_at(&namespace, "north", 2525, "IPv6");
    let visitor = Visitor::start(&namespace);
    for (relay, pods) in [("both", "1"), ("six", "2")] {
        namespace.await_at("smtprelay", relay, "/status/readyReplicas", pods);
    }

    by_both(&namespace, &visitor, &sink);
    by_ipv6_alone(&namespace, &visitor, &sink);
}

fn by_both(namespace: &Namespace, visitor: &Visitor<'_>, sink: &SinkPod) {
    let to = format!("someone@{}", sink.domain);
    let (relays, families) = addresses(namespace, "both");
    assert_eq!(families, r#"["IPv4","IPv6"]"#);
    let clients = visitor.addresses();
    assert!(clients[1].contains(':'), "a pod has an address of each family: {clients:?}");

    // Who is listed by the network of one family is a stranger by the other.
    assert!(visitor.sends(&relays[0], &to).starts_with("250 "));
    let refusal = visitor.sends(&relays[1], &to);
    assert!(refusal.starts_with("550 "), "{refusal}");
    let refused = wait::until_some(PATIENCE, "the refusal is in the status", || {
        row(namespace, "both", "/lastRefusal/address", &clients[1])
    });
    // Strangers are told apart by their /64.
    assert_eq!((&refused["listed"], refused["client"].as_str()), (&json!(false), Some(PODS[1])));
    let accepted = row(namespace, "both", "/client", &clients[0]).expect("the client that is listed");
    assert_eq!((&accepted["listed"], &accepted["accepted"]), (&json!(true), &json!(1)));
    let described = namespace.kubectl(&["describe", "smtprelay", "both"]);
    assert!(clients.iter().all(|client| described.contains(client)), "{described}");
    let patch = json!({"spec": {"clients": [{"networks": PODS}]}}).to_string();
    namespace.kubectl(&["patch", "smtprelay", "both", "--type=merge", "-p", &patch]);
    wait::until_some(PATIENCE, "it is a client by both", || {
        visitor.sends(&relays[1], &to).starts_with("250 ").then_some(())
    });
    let arrived = sink.await_messages(2, PATIENCE);
    assert!(arrived.iter().all(|message| message.envelope.client.is_ipv6()), "{arrived:#?}");
}

fn by_ipv6_alone(namespace: &Namespace, visitor: &Visitor<'_>, sink: &SinkPod) {
    let to = format!("someone@{}", sink.domain);
    let before = sink.count();
    for service in ["six", "six-pods"] {
        assert_eq!(addresses(namespace, service).1, r#"["IPv6"]"#, "{service}");
    }
    assert!(visitor.sends("six", &to).starts_with("250 "));
    assert!(visitor.sends("six-1.six-pods", &to).starts_with("250 "));
    namespace.await_at("smtprelay", "six", "/status/queue/messages", "2");

    namespace.kubectl(&["scale", "smtprelay", "six", "--replicas=1"]);
    wait::until_some(PATIENCE, "six-1 is gone", || namespace.object("pod", "six-1").is_none().then_some(()));
    namespace.await_at("smtprelay", "six", "/status/queue/messages", "2");
    assert_eq!(namespace.at("smtprelay", "six", "/status/queue/stranded"), "", "all of it is with the one that stays");
    namespace.apply(&support::schedule("office-hours", "Open"));
    let _ = sink.await_messages(before + 2, PATIENCE);
    support::await_empty(namespace, "six", PATIENCE);
}
