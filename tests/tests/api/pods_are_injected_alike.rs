//! A pod that asks for a sidecar gets the same one, whoever brings it.

use mailsluice_tests::{api::ApiServer, chart, operator::PATIENCE, plugin, wait};
use serde_json::{Value, json};

const IMAGE: &str = "mailsluice-relay:0.1.0";

/// Pods that get one.
fn injected() -> Vec<(&'static str, Value)> {
    vec![
        ("plain", pod(&json!({}), &json!({}))),
        (
            "with all annotations",
            pod(
                &json!({
                    "mailsluice.dev/relay-namespace": "mail",
                    "mailsluice.dev/relay-port": "465",
                    "mailsluice.dev/relay-tls-name": "smtp.Example.org",
                    "mailsluice.dev/relay-authorities": "trust.example",
                    "example.org/other": "x",
                }),
                &json!({}),
            ),
        ),
        (
            "with volumes and init containers of its own, as a user of its own",
            pod(
                &json!({"mailsluice.dev/relay-namespace": "2-mail"}),
                &json!({
                    "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
                    "initContainers": [{"name": "migrate", "image": "app"}, {"name": "other", "image": "app"}],
                    "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "more", "emptyDir": {}}],
                }),
            ),
        ),
    ]
}

/// Pods that get none.
fn refused() -> Vec<(&'static str, Value)> {
    let annotated = |key: &str, value: &str| pod(&json!({ format!("mailsluice.dev/{key}"): value }), &json!({}));
    let labelled = |label: &str| {
        let mut pod = pod(&json!({}), &json!({}));
        pod["metadata"]["labels"]["mailsluice.dev/inject"] = label.into();
        pod
    };
    vec![
        ("no namespace", annotated("relay-namespace", "mail.svc")),
        ("an empty namespace", annotated("relay-namespace", "")),
        ("a long namespace", annotated("relay-namespace", &"x".repeat(64))),
        ("no port", annotated("relay-port", "65536")),
        ("a port with a sign", annotated("relay-port", "+25")),
        ("port 0", annotated("relay-port", "0")),
        ("no name", annotated("relay-tls-name", "1.2.3")),
        ("a name that is not whole", annotated("relay-tls-name", "a..b")),
        ("no ConfigMap", annotated("relay-authorities", "-trust")),
        ("no relay", labelled("")),
        ("no name of a relay", labelled("2out")),
        ("hostNetwork", pod(&json!({}), &json!({"hostNetwork": true}))),
        ("for Windows", pod(&json!({}), &json!({"os": {"name": "windows"}}))),
        ("a volume in the way", pod(&json!({}), &json!({"volumes": [{"name": "mailsluice", "emptyDir": {}}]}))),
        ("a container in the way", pod(&json!({}), &json!({"containers": [{"name": "mailsluice", "image": "app"}]}))),
    ]
}

fn pod(annotations: &Value, more: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app", "labels": {"mailsluice.dev/inject": "outbound"}, "annotations": annotations},
        // This API server gives none by itself.
        "spec": {"serviceAccountName": "checkout", "containers": [{"name": "app", "image": "app"}]},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

#[test]
fn the_plugin_and_the_policy_bring_the_same_sidecar() {
    let server = ApiServer::start();
    let wanted = Wanted::of(&server);
    server.apply(&chart::rendered("injection-policy", "injection.policy.enabled=true"));
    await_injection(&server);
    wanted.compare(&server);
}

/// What the API server makes of the pods where nobody injects: of those that get a sidecar, as the plugin injects them; of the others, as they are.
struct Wanted {
    injected: Vec<Value>,
    bare: Vec<Value>,
}

impl Wanted {
    fn of(server: &ApiServer) -> Wanted {
        let inject = |(name, pod): &(&str, Value)| by_plugin(pod).unwrap_or_else(|said| panic!("{name}: {said}"));
        for (name, pod) in refused() {
            let said = by_plugin(&pod).expect_err(name);
            assert!(said.contains("Pod app: "), "{name}: {said}");
        }
        Wanted {
            injected: injected().iter().map(|pod| created(server, &inject(pod))).collect(),
            bare: refused().iter().map(|(_, pod)| created(server, pod)).collect(),
        }
    }

    /// Holds to it what the API server makes of them now.
    fn compare(&self, server: &ApiServer) {
        for ((name, pod), wanted) in injected().iter().zip(&self.injected) {
            assert_eq!(wanted["spec"]["initContainers"][0]["name"], "mailsluice", "{name}");
            assert_eq!(&created(server, pod), wanted, "{name}");
            assert_eq!(&created(server, wanted), wanted, "{name}: a second time changes nothing");
        }
        for ((name, pod), wanted) in refused().iter().zip(&self.bare) {
            assert_eq!(&created(server, pod), wanted, "{name}");
        }
        let mut unlabelled = pod(&json!({}), &json!({}));
        unlabelled["metadata"]["labels"] = json!({"app": "checkout"});
        assert_eq!(created(server, &unlabelled)["spec"].get("initContainers"), None, "nobody asked");
    }
}

/// Waits until the API server injects, as it does soon after it was told to.
fn await_injection(server: &ApiServer) {
    let (_, plain) = &injected()[0];
    wait::until_some(PATIENCE, "a sidecar is injected", || {
        created(server, plain)["spec"].get("initContainers").is_some().then_some(())
    });
}

/// What becomes of a pod that is created, without what each has of its own.
fn created(server: &ApiServer, pod: &Value) -> Value {
    let output = server.kubectl(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &pod.to_string());
    assert!(output.status.success(), "{pod}: {}", String::from_utf8_lossy(&output.stderr));
    let mut created: Value = serde_json::from_slice(&output.stdout).expect("a pod");
    for own in ["uid", "creationTimestamp"] {
        created["metadata"].as_object_mut().expect("metadata").remove(own);
    }
    created
}

/// The pod as the plugin injects it.
fn by_plugin(pod: &Value) -> Result<Value, String> {
    let text = plugin::inject(&pod.to_string(), IMAGE)?;
    Ok(mailsluice_crds::yaml::read(&text).expect("YAML").remove(0))
}
