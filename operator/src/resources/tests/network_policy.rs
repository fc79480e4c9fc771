//! Who reaches a relay's pods, and what they reach.

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Map, Value, json};

use super::*;

fn policy(spec: Value) -> Option<NetworkPolicySpec> {
    let spec: SMTPRelaySpec = serde_json::from_value(spec).unwrap();
    let policy = build(&Plan { spec, ..plan() }).network_policy?;
    assert_eq!(policy.metadata.name.as_deref(), Some("outbound"));
    policy.spec
}

/// Rules in one line each: their ports, and their peers.
fn lines(rules: &Value, peers: &str) -> Vec<String> {
    let peer = |peer: &Value| {
        let labels = |selector: &str| {
            let labels = peer[selector].as_object()?.get("matchLabels").and_then(Value::as_object);
            let join =
                |labels: &Map<String, Value>| labels.values().filter_map(Value::as_str).collect::<Vec<_>>().join("+");
            Some(labels.map_or("any".into(), join))
        };
        let pods = labels("podSelector").map(|pods| format!("pods {pods}"));
        let namespace = labels("namespaceSelector").map(|name| format!("namespace {name}"));
        let network = peer["ipBlock"]["cidr"].as_str().map(str::to_owned);
        [network, namespace, pods].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let all = |list: &Value, show: &dyn Fn(&Value) -> String| -> String {
        list.as_array().map_or("anywhere".into(), |list| list.iter().map(show).collect::<Vec<_>>().join(", "))
    };
    let port = |port: &Value| format!("{}/{}", port["protocol"].as_str().unwrap_or("TCP"), port["port"]);
    let rules = rules.as_array().unwrap();
    rules.iter().map(|rule| format!("{}: {}", all(&rule["ports"], &port), all(&rule[peers], &peer))).collect()
}

fn ingress(spec: Value) -> Vec<String> {
    lines(&serde_json::to_value(policy(spec).unwrap()).unwrap()["ingress"], "from")
}

fn egress(spec: Value) -> Vec<String> {
    lines(&serde_json::to_value(policy(spec).unwrap()).unwrap()["egress"], "to")
}

const OWN: &str = "pods outbound+mailsluice-operator+mailsluice-relay";

#[test]
fn there_is_no_policy_unless_one_is_asked_for() {
    assert_eq!(policy(json!({})), None);
    let asked = policy(json!({"networkPolicy": {}})).unwrap();
    assert_eq!(asked.pod_selector, Some(names::pod_selector("outbound")));
    assert_eq!(asked.policy_types, Some(vec!["Ingress".to_owned(), "Egress".to_owned()]));
}

#[test]
fn in_come_those_who_may_relay_and_who_reads_the_monitor() {
    let monitor = format!("TCP/8025: namespace any pods mailsluice-operator, {OWN}");
    let tls = json!({"secretName": "t"});
    for (name, spec, expected) in [
        ("nobody", json!({}), vec![monitor.clone()]),
        (
            "networks, each once",
            json!({"clients": [{"networks": ["10.0.0.0/8", "2001:db8::/32"]}, {"networks": ["10.0.0.0/8"], "users": {"secretName": "u"}}]}),
            vec!["TCP/25: 10.0.0.0/8, 2001:db8::/32".into(), monitor.clone()],
        ),
        (
            "service accounts, by their namespaces",
            json!({"clients": [{"serviceAccounts": [{"namespace": "shop", "name": "a"}, {"namespace": "shop", "name": "b"}]}]}),
            vec!["TCP/25: namespace shop".into(), monitor.clone()],
        ),
        (
            "users, who can be anywhere",
            json!({"clients": [{"networks": ["10.0.0.0/8"]}, {"users": {"secretName": "u"}}]}),
            vec!["TCP/25: anywhere".into(), monitor.clone()],
        ),
        (
            "load balancers at the listener that trusts them",
            json!({
                "clients": [{"networks": ["10.0.0.0/8"]}],
                "listeners": [
                    {"name": "smtp", "port": 25},
                    {"name": "proxied", "port": 2525, "tls": tls, "proxyProtocol": {"networks": ["192.0.2.0/24"]}},
                ],
            }),
            vec!["TCP/25: 10.0.0.0/8".into(), "TCP/2525: 10.0.0.0/8, 192.0.2.0/24".into(), monitor.clone()],
        ),
        (
            "further peers",
            json!({"networkPolicy": {
                "clientsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}],
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            }}),
            vec!["TCP/25: namespace shop".into(), format!("{monitor}, namespace monitoring")],
        ),
    ] {
        let mut spec = spec;
        spec.as_object_mut().unwrap().entry("networkPolicy").or_insert(json!({}));
        assert_eq!(ingress(spec), expected, "{name}");
    }
}

#[test]
fn out_goes_mail_where_routes_lead_it_and_what_has_to_be_asked_first() {
    let dns = ["UDP/53, TCP/53: anywhere".to_owned(), "UDP/5353, TCP/5353: namespace any".to_owned()];
    let handover = format!("TCP/8025: {OWN}");
    let smarthost = |host: &str, port: u16| json!({"domains": ["*"], "smarthost": {"host": host, "port": port}});
    for (name, spec, expected) in [
        ("by MX", json!({}), vec!["TCP/25: anywhere".to_owned()]),
        ("by MX, as the domains ask", json!({"tls": "MtaSts"}), vec!["TCP/25, TCP/443: anywhere".into()]),
        (
            "to a smarthost by name",
            json!({"routes": [smarthost("smtp.provider.example", 587)]}),
            vec!["TCP/587: anywhere".into()],
        ),
        ("to one by address", json!({"routes": [smarthost("192.0.2.7", 2525)]}), vec!["TCP/2525: 192.0.2.7/32".into()]),
        (
            "to one by IPv6 address",
            json!({"routes": [smarthost("2001:db8::7", 25)]}),
            vec!["TCP/25: 2001:db8::7/128".into()],
        ),
        (
            "to one whose pods have another port",
            json!({"routes": [smarthost("mta.mail.svc", 25)], "networkPolicy": {"egress": [{"ports": [{"port": 2525}]}]}}),
            vec!["TCP/25: anywhere".into(), "TCP/2525: anywhere".into()],
        ),
    ] {
        let mut spec = spec;
        spec.as_object_mut().unwrap().entry("networkPolicy").or_insert(json!({}));
        assert_eq!(egress(spec), [dns.as_slice(), std::slice::from_ref(&handover), &expected].concat(), "{name}");
    }
}
