//! A program that knows plain SMTP to localhost alone sends mail through the sidecar that comes into its pod, and a Job of it ends: whoever
//! injects, in a namespace that enforces `restricted`, to a relay of another namespace.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_tests::{
    certificate::Certificate,
    cluster::{self, Namespace, PATIENCE},
    plugin,
    pod::SinkPod,
    wait,
};
use serde_json::{Value, json};

use crate::support;

const IMAGE: &str = "localhost/mailsluice-relay:test";

/// The program: it sends a message, and ends with an error where no server is there.
const PROGRAM: &str = r#"
import smtplib, sys
with smtplib.SMTP("localhost", 2525, timeout=60) as smtp:
    smtp.sendmail("shop@example.org", [sys.argv[1]], f"From: <shop@example.org>\r\nSubject: {sys.argv[2]}\r\n\r\nHello.\r\n")
"#;

/// The program as a pod and as a Job, which ask for a sidecar.
fn program(relay_namespace: &str, to: &str, way: &str) -> String {
    let template = |name: &str, user: u32| {
        json!({
            "metadata": {
                "name": name,
                "labels": {"mailsluice.dev/inject": "outbound"},
                "annotations": {"mailsluice.dev/relay-namespace": relay_namespace},
            },
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": "checkout",
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "program",
                    "image": "localhost/python:test",
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "args": ["-c", PROGRAM, to, name],
                }],
            },
        })
    };
    let mut pod = template(&format!("pod-{way}"), 1000);
    (pod["apiVersion"], pod["kind"]) = ("v1".into(), "Pod".into());
    let name = format!("job-{way}");
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template(&name, 2000)},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [pod, job]}).to_string()
}

/// Puts the chart back as other scenarios have it.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            cluster::install();
        }
    }
}

#[test]
fn an_unmodified_program_sends_whoever_injects_its_sidecar() {
    let _turn = support::cluster();
    let (mail, shop) = (Namespace::new("injected-mail"), Namespace::new("injected-shop"));
    let sink = SinkPod::start(&mail, "north");
    let certificate = Certificate::of("outbound.injected-mail.svc");
    let (chain, key) = (BASE64_STANDARD.encode(&certificate.chain), BASE64_STANDARD.encode(&certificate.key));
    mail.apply(&format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: outbound-tls}}
type: kubernetes.io/tls
data: {{tls.crt: {chain}, tls.key: {key}}}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: outbound}}
spec:
  listeners: [{{name: submission, port: 587, tls: {{secretName: outbound-tls}}}}]
  clients: [{{serviceAccounts: [{{namespace: {}, name: checkout}}], senders: [shop@example.org]}}]
  routes: [{{domains: ['*'], mx: {{privateAddresses: Allow}}}}]
  storage: {{size: 1Gi}}
",
        shop.name()
    ));
    shop.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: checkout}}");
    let authority: String = certificate.chain.lines().map(|line| format!("    {}\n", line.trim_end())).collect();
    shop.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: mailsluice-authorities}}\ndata:\n  ca.crt: |\n{authority}"
    ));
    support::await_ready(&mail, "outbound");
    let keys = || mail.at("configmap", "outbound-config", "/data/service-account-keys.json");
    wait::until_some(PATIENCE, "the cluster's keys are handed over", || keys().contains("\"issuer\"").then_some(()));

    let _restore = Restore;
    let to = format!("someone@{}", sink.domain);
    let mut sidecars = Vec::new();
    for (count, (way, values)) in
        [("plugin", ""), ("policy", "injection.policy.enabled=true"), ("webhook", "injection.webhook.enabled=true")]
            .into_iter()
            .enumerate()
    {
        let manifests = program(mail.name(), &to, way);
        if values.is_empty() {
            shop.apply(&plugin::inject(&manifests, IMAGE).expect("the plugin injects"));
        } else {
            cluster::install_with(values);
            await_injection(&shop);
            shop.apply(&manifests);
        }
        for (kind, name, pointer) in
            [("pod", format!("pod-{way}"), "/status/phase"), ("job", format!("job-{way}"), "/status/succeeded")]
        {
            wait::until_some(PATIENCE, &format!("{kind} {name} has ended"), || {
                let ended = shop.at(kind, &name, pointer);
                assert_ne!(ended, "Failed", "{}", shop.kubectl(&["logs", &name, "--all-containers"]));
                ["Succeeded", "1"].contains(&ended.as_str()).then_some(())
            });
        }
        let received = sink.await_messages(2 * (count + 1), PATIENCE);
        println!("{way}: a pod and a Job have ended, and {} messages have arrived", received.len());
        let pod = shop.object("pod", &format!("pod-{way}")).expect("the pod");
        sidecars.push(without_token(&pod["spec"]["initContainers"][0]));
    }
    assert!(sidecars.iter().all(|sidecar| *sidecar == sidecars[0]), "the same sidecar three times: {sidecars:#?}");
}

/// Waits until a pod that is made gets a sidecar.
fn await_injection(shop: &Namespace) {
    let probe = "
apiVersion: v1
kind: Pod
metadata: {name: probe, labels: {mailsluice.dev/inject: outbound}}
spec:
  serviceAccountName: checkout
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
";
    wait::until_some(PATIENCE, "a sidecar is injected", || {
        let arguments = ["-n", shop.name(), "create", "--dry-run=server", "-o", "json", "-f", "-"];
        let output = cluster::try_kubectl(&arguments, probe);
        let pod: Value = serde_json::from_slice(&output.stdout).ok()?;
        pod["spec"].get("initContainers").map(|_| ())
    });
}

/// A container without the volumes that the cluster adds by itself.
fn without_token(container: &Value) -> Value {
    let mut container = container.clone();
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.retain(|mount| mount["name"] == "mailsluice");
    }
    container
}
