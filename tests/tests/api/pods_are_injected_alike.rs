//! A pod that asks for a sidecar gets the same one, whoever brings it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use mailsluice_tests::{
    api::ApiServer,
    chart,
    operator::{Operator, PATIENCE},
    plugin, process, wait,
};
use serde_json::{Value, json};

use crate::definitions;

/// The image that the chart gives sidecars here, and the one that the operator does.
const IMAGES: [&str; 2] = ["mailsluice-relay:0.1.0", "relay"];

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
    let wanted = Wanted::of(&server, IMAGES[0]);
    server.apply(&chart::rendered("injection-policy", "injection.policy.enabled=true"));
    await_injection(&server);
    wanted.compare(&server);
}

#[test]
fn the_webhook_brings_the_same_sidecar_and_looks_after_its_certificate() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let wanted = Wanted::of(&server, IMAGES[1]);
    let port = process::free_port();
    server.apply(&webhook_of_this_machine(port));
    let address = format!("127.0.0.1:{port}");
    let arguments = [
        "--webhook",
        &address,
        "--webhook-host",
        "127.0.0.1",
        "--webhook-secret",
        "mailsluice-webhook",
        "--webhook-configuration",
        "mailsluice.default",
    ];
    let mut operator = Operator::start_with(&server, "first", &arguments);
    await_injection(&server);
    wanted.compare(&server);
    let known = authorities(&server);
    assert_eq!(known.matches("BEGIN CERTIFICATE").count(), 1);

    operator.kill();
    let (_, plain) = &injected()[0];
    let bare = created(&server, plain);
    assert_eq!(bare["spec"].get("initContainers"), None, "pods are made while nobody answers");

    // The authority is the one in the Secret, and has served most of its time.
    let until =
        BASE64_STANDARD.encode((Timestamp::now() + SignedDuration::from_hours(24 * 100)).strftime("%F").to_string());
    let old = json!([{"op": "replace", "path": "/data/until", "value": until}]).to_string();
    let output = server.kubectl(&["patch", "secret", "mailsluice-webhook", "--type=json", "-p", &old], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _operator = Operator::start_with(&server, "second", &arguments);
    await_injection(&server);
    let renewed = authorities(&server);
    assert_eq!(renewed.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(renewed.ends_with(&known), "the authority before is still believed");
}

/// The chart's objects for the webhook that the API server has to do with, where it asks this port of this machine.
fn webhook_of_this_machine(port: u16) -> String {
    let rendered = chart::rendered("injection-webhook", "injection.webhook.enabled=true");
    let mut objects = mailsluice_crds::yaml::read(&rendered).expect("YAML");
    for object in &mut objects {
        if object["kind"] == "MutatingWebhookConfiguration" {
            object["webhooks"][0]["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}/inject")});
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// The certificates that the API server believes the webhook by.
fn authorities(server: &ApiServer) -> String {
    let configuration = server.object("mutatingwebhookconfiguration", "mailsluice.default").expect("the configuration");
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().expect("a bundle");
    String::from_utf8(BASE64_STANDARD.decode(bundle).expect("base64")).expect("PEM")
}

/// What the API server makes of the pods where nobody injects: of those that get a sidecar, as the plugin injects them; of the others, as they are.
struct Wanted {
    injected: Vec<Value>,
    bare: Vec<Value>,
}

impl Wanted {
    fn of(server: &ApiServer, image: &str) -> Wanted {
        let inject =
            |(name, pod): &(&str, Value)| by_plugin(pod, image).unwrap_or_else(|said| panic!("{name}: {said}"));
        for (name, pod) in refused() {
            let said = by_plugin(&pod, image).expect_err(name);
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
fn by_plugin(pod: &Value, image: &str) -> Result<Value, String> {
    let text = plugin::inject(&pod.to_string(), image)?;
    Ok(mailsluice_crds::yaml::read(&text).expect("YAML").remove(0))
}
