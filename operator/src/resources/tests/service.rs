//! How a relay's listeners are reached.

use k8s_openapi::api::core::v1::ServiceSpec;
use serde_json::{Value, json};

use super::*;

/// The Service of the listeners, and that of the pods.
fn services(given: Value) -> (Service, ServiceSpec) {
    let service = serde_json::from_value(given).unwrap();
    let built = build(&Plan { spec: SMTPRelaySpec { service, ..plan().spec }, ..plan() });
    (built.service, built.headless_service.spec.unwrap())
}

#[test]
fn without_a_word_of_its_service_a_relay_has_a_cluster_address_of_each_family() {
    let (service, headless) = services(json!({}));
    assert_eq!(service.metadata.annotations, None);
    let whole = serde_json::to_value(service.spec.unwrap()).unwrap();
    let fields: Vec<&str> = whole.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["ipFamilyPolicy", "ports", "selector", "type"]);
    assert_eq!((&whole["type"], &whole["ipFamilyPolicy"]), (&json!("ClusterIP"), &json!("PreferDualStack")));
    assert_eq!(headless.ip_family_policy.as_deref(), Some("PreferDualStack"));
}

#[test]
fn connections_from_outside_keep_the_clients_address_unless_it_is_said_otherwise() {
    for (given, policy) in [
        (json!({}), None),
        (json!({"type": "NodePort"}), Some("Local")),
        (json!({"type": "LoadBalancer"}), Some("Local")),
        (json!({"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}), Some("Cluster")),
    ] {
        let (service, _) = services(given.clone());
        assert_eq!(service.spec.unwrap().external_traffic_policy.as_deref(), policy, "{given}");
    }
}

#[test]
fn a_load_balancer_is_made_as_it_is_said() {
    let (service, headless) = services(json!({
        "type": "LoadBalancer",
        "annotations": {"service.example.org/subnet": "mail"},
        "loadBalancerClass": "service.example.org/nlb",
        "loadBalancerSourceRanges": ["198.51.100.0/24"],
        "internalTrafficPolicy": "Local",
        "ipFamilies": ["IPv6"],
        "ipFamilyPolicy": "SingleStack",
    }));
    assert_eq!(service.metadata.annotations.unwrap()["service.example.org/subnet"], "mail");
    let spec = service.spec.unwrap();
    assert_eq!(spec.load_balancer_class.as_deref(), Some("service.example.org/nlb"));
    assert_eq!(spec.load_balancer_source_ranges, Some(vec!["198.51.100.0/24".to_owned()]));
    assert_eq!(spec.internal_traffic_policy.as_deref(), Some("Local"));
    // Pods reach each other by the same families.
    for spec in [&spec, &headless] {
        assert_eq!(spec.ip_families, Some(vec!["IPv6".to_owned()]));
        assert_eq!(spec.ip_family_policy.as_deref(), Some("SingleStack"));
    }
    assert_eq!(headless.type_, None);
    assert_eq!(headless.external_traffic_policy, None);
}
