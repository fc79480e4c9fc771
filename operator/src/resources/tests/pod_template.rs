//! What becomes of what an SMTPRelay says of its pods.

use k8s_openapi::api::core::v1::{PodTemplateSpec, TopologySpreadConstraint};
use mailsluice_crds::relay::PodTemplate;
use serde_json::{Value, json};

use super::*;

fn template(given: Value) -> PodTemplateSpec {
    let pod_template: PodTemplate = serde_json::from_value(given).unwrap();
    let plan = Plan { spec: SMTPRelaySpec { pod_template, ..plan().spec }, ..plan() };
    build(&plan).stateful_set.spec.unwrap().template
}

fn spread(template: &PodTemplateSpec) -> &[TopologySpreadConstraint] {
    template.spec.as_ref().unwrap().topology_spread_constraints.as_deref().unwrap()
}

#[test]
fn without_a_word_of_its_pods_a_relay_has_the_operators_own() {
    let template = template(json!({}));
    assert_eq!(template.metadata.as_ref().unwrap().labels, Some(names::labels("outbound")));
    let whole = serde_json::to_value(&template).unwrap();
    let fields: Vec<&str> = whole["spec"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "automountServiceAccountToken",
            "containers",
            "enableServiceLinks",
            "securityContext",
            "serviceAccountName",
            "terminationGracePeriodSeconds",
            "topologySpreadConstraints",
            "volumes",
        ],
        "whatever else is in it rolls all pods at an upgrade"
    );
    assert_eq!(whole["metadata"].as_object().unwrap().len(), 1);
    assert_eq!(whole["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "50m", "memory": "64Mi"}}));
}

#[test]
fn pods_are_spread_over_zones_and_nodes_where_they_can_be_unless_it_is_said_how() {
    let default = template(json!({}));
    let keys: Vec<_> =
        spread(&default).iter().map(|one| (one.topology_key.as_str(), one.when_unsatisfiable.as_str())).collect();
    let anyway = "ScheduleAnyway";
    assert_eq!(keys, [("topology.kubernetes.io/zone", anyway), ("kubernetes.io/hostname", anyway)]);
    assert!(spread(&default).iter().all(|one| one.label_selector == Some(names::pod_selector("outbound"))));

    let rack = json!({"maxSkew": 2, "topologyKey": "example.org/rack", "whenUnsatisfiable": "DoNotSchedule"});
    let given = template(json!({"spec": {"topologySpreadConstraints": [rack]}}));
    let [only] = spread(&given) else { panic!("what is given takes the place of the default: {given:?}") };
    assert_eq!((only.max_skew, only.topology_key.as_str()), (2, "example.org/rack"));
    assert_eq!(only.label_selector, Some(names::pod_selector("outbound")), "one without a selector selects no pod");
    assert_eq!(spread(&template(json!({"spec": {"topologySpreadConstraints": []}}))), []);
}

#[test]
fn what_is_said_of_pods_is_laid_over_them_and_takes_nothing_of_the_operators_away() {
    let given = template(json!({
        "metadata": {"labels": {"team": "mail"}, "annotations": {"example.org/note": "yes"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"team": "mail"}}},
            ]}},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "priorityClassName": "mail",
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [{"name": "authorities", "configMap": {"name": "corp-ca"}}],
            "containers": [{
                "name": "relay",
                "resources": {"requests": {"cpu": 2}, "limits": {"memory": "1Gi"}},
                "volumeMounts": [{"name": "authorities", "mountPath": "/etc/ssl/corp", "readOnly": true}],
            }],
        },
    }));
    let labels = given.metadata.as_ref().unwrap().labels.as_ref().unwrap();
    assert_eq!(labels["team"], "mail");
    assert!(names::labels("outbound").iter().all(|(key, value)| labels.get(key) == Some(value)), "{labels:?}");
    let whole = serde_json::to_value(&given).unwrap();
    assert_eq!(whole["metadata"]["annotations"], json!({"example.org/note": "yes"}));
    let pod = &whole["spec"];
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/arch": "arm64"}));
    assert!(pod["affinity"]["podAntiAffinity"].is_object());
    assert_eq!(pod["tolerations"], json!([{"key": "dedicated", "operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "mail");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&pod["volumes"]), ["config", "siblings", "authorities"]);
    let container = &pod["containers"][0];
    assert_eq!(names(&container["volumeMounts"]), ["spool", "config", "siblings", "authorities"]);
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}),
        "they take the place of the operator's as a whole"
    );
    assert_eq!(container["image"], "registry.example/mailsluice-relay:1");
}

#[test]
fn what_is_said_of_pods_is_no_configuration_of_the_relay() {
    let pod_template: PodTemplate = serde_json::from_value(json!({"metadata": {"labels": {"team": "mail"}}})).unwrap();
    let spec = SMTPRelaySpec { pod_template, ..plan().spec };
    assert_eq!(manifests("shop", ("outbound", &spec), None, []).unwrap(), plan().manifests);
}
