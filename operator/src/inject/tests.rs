use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Refusal, patch};

const IMAGE: &str = "registry.example/mailsluice-relay:1";

fn pod(annotations: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "checkout", "labels": {"mailsluice.dev/inject": "outbound"}, "annotations": annotations},
        "spec": spec,
    })
}

fn plain() -> Value {
    json!({"containers": [{"name": "checkout", "image": "checkout"}]})
}

fn inject(pod: &Value) -> Result<Value, Refusal> {
    let typed: Pod = serde_json::from_value(pod.clone()).unwrap();
    let mut injected = pod.clone();
    if let Some(patch) = patch(&typed.metadata, &typed.spec.unwrap(), IMAGE)? {
        json_patch::patch(&mut injected, &patch).unwrap();
    }
    Ok(injected)
}

#[test]
fn a_sidecar_comes_first_and_nothing_else_changes() {
    for (name, more, places) in [
        ("plain", json!({}), (0, 0)),
        ("with an empty list", json!({"initContainers": [], "volumes": []}), (0, 0)),
        ("with null", json!({"initContainers": null, "volumes": null}), (0, 0)),
        (
            "with its own",
            json!({"initContainers": [{"name": "migrate"}], "volumes": [{"name": "cache", "emptyDir": {}}]}),
            (0, 1),
        ),
        ("as another user", json!({"securityContext": {"runAsUser": 0}, "fieldOfTheFuture": {"a": 1}}), (0, 0)),
    ] {
        let mut spec = plain();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let before = pod(&json!({}), &spec);
        let mut after = inject(&before).unwrap();
        assert_eq!(inject(&after).unwrap(), after, "{name}: a second time changes nothing");
        let take = |after: &mut Value, list: &str, place: usize| {
            let entries = after["spec"][list].as_array_mut().unwrap();
            let entry = entries.remove(place);
            if entries.is_empty() {
                let was = spec.get(list).cloned();
                match was {
                    Some(was) => after["spec"][list] = was,
                    None => _ = after["spec"].as_object_mut().unwrap().remove(list),
                }
            }
            entry
        };
        let container = take(&mut after, "initContainers", places.0);
        let volume = take(&mut after, "volumes", places.1);
        assert_eq!((&container["name"], &volume["name"]), (&json!("mailsluice"), &json!("mailsluice")), "{name}");
        assert_eq!(container["securityContext"]["runAsUser"], 65_532, "{name}: root's pods too");
        assert_eq!(after, before, "{name}");
    }
}

#[test]
fn the_next_container_waits_for_a_hook_and_for_no_probe() {
    let injected = inject(&pod(&json!({}), &plain())).unwrap();
    let container = &injected["spec"]["initContainers"][0];
    assert_eq!(container["restartPolicy"], "Always");
    let hook = &container["lifecycle"]["postStart"]["exec"]["command"];
    assert_eq!(hook, &json!([container["command"][0], "await"]));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container.get(probe), None, "{probe}: the kubelet would look at it seconds later");
    }
}

#[test]
fn what_is_not_labelled_stays_as_it_is() {
    let mut pod = pod(&json!({"mailsluice.dev/relay-port": "nonsense"}), &plain());
    pod["metadata"]["labels"] = json!({"app": "checkout"});
    assert_eq!(inject(&pod).unwrap(), pod);
}

#[test]
fn annotations_say_where_the_relay_is_and_who_vouches_for_it() {
    for (annotations, gateway, more, authorities) in [
        (json!({}), "--gateway=outbound.$(POD_NAMESPACE).svc:587", None, "mailsluice-authorities"),
        (
            json!({
                "mailsluice.dev/relay-namespace": "mail",
                "mailsluice.dev/relay-port": "465",
                "mailsluice.dev/relay-tls-name": "smtp.Example.org",
                "mailsluice.dev/relay-authorities": "trust.example",
            }),
            "--gateway=outbound.mail.svc:465",
            Some("--tls-name=smtp.Example.org"),
            "trust.example",
        ),
    ] {
        let injected = inject(&pod(&annotations, &plain())).unwrap();
        let container = &injected["spec"]["initContainers"][0];
        assert_eq!(container["args"][1], gateway);
        assert_eq!(container["args"].get(5).and_then(Value::as_str), more);
        assert_eq!(container["image"], IMAGE);
        let sources = &injected["spec"]["volumes"][0]["projected"]["sources"];
        assert_eq!(sources[0]["serviceAccountToken"]["audience"], "mailsluice");
        assert_eq!(sources[1]["configMap"]["name"], authorities);
    }
}

#[test]
fn what_would_not_run_is_refused_with_the_reason() {
    let long = "x".repeat(64);
    for (key, value) in [
        ("mailsluice.dev/relay-namespace", ""),
        ("mailsluice.dev/relay-namespace", "Mail"),
        ("mailsluice.dev/relay-namespace", "mail.svc"),
        ("mailsluice.dev/relay-namespace", &long),
        ("mailsluice.dev/relay-port", "0"),
        ("mailsluice.dev/relay-port", "+25"),
        ("mailsluice.dev/relay-port", "65536"),
        ("mailsluice.dev/relay-port", "smtp"),
        ("mailsluice.dev/relay-tls-name", "1.2.3"),
        ("mailsluice.dev/relay-tls-name", "a..b"),
        ("mailsluice.dev/relay-tls-name", "a b"),
        ("mailsluice.dev/relay-authorities", "-trust"),
    ] {
        let refused = inject(&pod(&json!({key: value}), &plain())).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{key}: {value:?} is not ")), "{refused}");
    }
    for (relay, is_one) in [("outbound", true), ("out-2", true), ("2out", false), ("Outbound", false), ("", false)] {
        let mut pod = pod(&json!({}), &plain());
        pod["metadata"]["labels"]["mailsluice.dev/inject"] = relay.into();
        assert_eq!(inject(&pod).is_ok(), is_one, "{relay:?}");
    }
    for (spec, says) in [
        (json!({"hostNetwork": true, "containers": []}), "leave hostNetwork out"),
        (json!({"os": {"name": "windows"}, "containers": []}), "for Linux alone"),
        (json!({"containers": [{"name": "mailsluice"}]}), "another container named mailsluice"),
        (json!({"containers": [], "volumes": [{"name": "mailsluice"}]}), "another volume named mailsluice"),
    ] {
        let refused = inject(&pod(&json!({}), &spec)).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
