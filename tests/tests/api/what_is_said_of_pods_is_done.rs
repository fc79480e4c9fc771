//! `podTemplate`, `service` and `networkPolicy` of an SMTPRelay become objects that a real API server takes, and go again with their words.

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

#[test]
fn pods_service_and_network_are_as_the_relay_says_and_as_before_when_it_says_no_more() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let _operator = Operator::start(&server, "first");
    apply(&server, &json!({}));
    let plain = object(&server, "statefulset", |_| true);
    let service = object(&server, "service", |_| true);
    assert_eq!(server.object("networkpolicy", "outbound"), None, "nobody asked for it");

    apply(&server, &everything());
    let pods = object(&server, "statefulset", |set| set["spec"]["template"]["spec"]["priorityClassName"] == "mail");
    let template = &pods["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["example.org/team"], "mail");
    assert_eq!(template["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "2", "memory": "1Gi"}));
    let volumes = template["spec"]["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().any(|volume| volume["name"] == "authorities"), "{volumes:#?}");
    let open = object(&server, "service", |service| service["spec"]["type"] == "LoadBalancer");
    assert_eq!(open["spec"]["externalTrafficPolicy"], "Local");
    assert_eq!(open["metadata"]["annotations"]["service.example.org/subnet"], "mail");
    let policy = object(&server, "networkpolicy", |_| true);
    assert_eq!(policy["spec"]["ingress"][0]["from"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
    assert_eq!(problem(&server), None);

    apply(&server, &json!({}));
    let again = object(&server, "statefulset", |set| set["spec"]["template"]["spec"]["priorityClassName"].is_null());
    assert_eq!(again["spec"]["template"], plain["spec"]["template"]);
    let closed = object(&server, "service", |service| service["spec"]["type"] == "ClusterIP");
    for spec in ["type", "ports", "externalTrafficPolicy", "internalTrafficPolicy", "clusterIPs", "ipFamilyPolicy"] {
        assert_eq!(closed["spec"][spec], service["spec"][spec], "{spec}");
    }
    wait::until_some(PATIENCE, "the policy goes", || {
        server.object("networkpolicy", "outbound").is_none().then_some(())
    });
    assert_eq!(problem(&server), None);
}

#[test]
fn what_only_the_api_server_can_refuse_is_told_and_the_pods_stay() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let _operator = Operator::start(&server, "first");
    apply(&server, &json!({}));
    let before = object(&server, "statefulset", |_| true);
    // A taint of any value cannot be tolerated by one value.
    let tolerations = json!([{"key": "dedicated", "operator": "Exists", "value": "mail"}]);
    apply(&server, &json!({"podTemplate": {"spec": {"tolerations": tolerations}}}));
    let told = wait::until_some(PATIENCE, "the refusal is told", || problem(&server));
    assert!(told.starts_with(r#"the API server refused the StatefulSet "outbound": "#), "{told}");
    let after = object(&server, "statefulset", |_| true);
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
}

fn everything() -> Value {
    json!({
        "clients": [{"networks": ["10.0.0.0/8"]}],
        "podTemplate": {
            "metadata": {"labels": {"example.org/team": "mail"}, "annotations": {"example.org/note": "yes"}},
            "spec": {
                "nodeSelector": {"kubernetes.io/arch": "amd64"},
                "priorityClassName": "mail",
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
                ],
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [{"name": "authorities", "configMap": {"name": "corp-ca"}}],
                "containers": [{
                    "name": "relay",
                    "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
                    "volumeMounts": [{"name": "authorities", "mountPath": "/etc/ssl/corp", "readOnly": true}],
                }],
            },
        },
        "service": {
            "type": "LoadBalancer",
            "annotations": {"service.example.org/subnet": "mail"},
            "loadBalancerSourceRanges": ["198.51.100.0/24"],
            "internalTrafficPolicy": "Local",
        },
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
    })
}

fn apply(server: &ApiServer, spec: &Value) {
    let relay = json!({
        "apiVersion": "mailsluice.dev/v1alpha1", "kind": "SMTPRelay", "metadata": {"name": "outbound"}, "spec": spec,
    });
    server.apply(&relay.to_string());
}

/// The relay's object of that kind, once it is so.
fn object(server: &ApiServer, kind: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait::until_some(PATIENCE, &format!("the {kind}"), || server.object(kind, "outbound").filter(&is_so))
}

fn problem(server: &ApiServer) -> Option<String> {
    Some(server.object("smtprelay", "outbound")?["status"]["problem"].as_str()?.to_owned())
}
