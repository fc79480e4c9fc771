//! Everything that the operator makes runs where the `restricted` Pod Security Standard is enforced, and holds no token for the API.

use mailsluice_tests::cluster::Namespace;
use serde_json::{Value, json};

use crate::support;

#[test]
fn a_relay_runs_under_the_restricted_standard_with_nothing_it_does_not_need() {
    let _turn = support::cluster();
    let namespace = Namespace::new("restricted");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let pod = namespace.object("pod", "outbound-0").expect("the relay's pod");
    for (pointer, expected) in [
        ("/spec/automountServiceAccountToken", json!(false)),
        ("/spec/containers/0/securityContext/readOnlyRootFilesystem", json!(true)),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(false)),
        ("/spec/containers/0/securityContext/capabilities/drop/0", json!("ALL")),
        ("/spec/securityContext/runAsNonRoot", json!(true)),
        ("/spec/securityContext/seccompProfile/type", json!("RuntimeDefault")),
    ] {
        assert_eq!(pod.pointer(pointer), Some(&expected), "{pointer}");
    }
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
    let projected = volumes.iter().filter_map(|volume| volume.pointer("/projected/sources")?.as_array()).flatten();
    let tokens = projected.filter_map(|source| source.get("serviceAccountToken"));
    let audiences: Vec<_> = tokens.map(|token| token["audience"].as_str()).collect();
    // The API server takes no token for another audience.
    assert_eq!(audiences, [Some("mailsluice-siblings")], "no API token is mounted: {volumes:#?}");
    for (kind, name) in [
        ("service", "outbound"),
        ("service", "outbound-pods"),
        ("poddisruptionbudget", "outbound"),
        ("serviceaccount", "outbound-relay"),
    ] {
        let object = namespace.object(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        let owner = object.pointer("/metadata/ownerReferences/0/kind").and_then(Value::as_str);
        assert_eq!(owner, Some("SMTPRelay"), "{kind} {name} goes with its relay");
    }
}
