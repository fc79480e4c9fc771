//! A program that knows plain SMTP to localhost alone sends mail through the sidecar that comes into its pod, and a Job of it ends: whoever
//! injects, in a namespace that enforces `restricted`, to a relay of another namespace.

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    plugin, wait,
};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, IMAGE},
    support,
};

/// The program: it sends a message, and ends with an error where no server is there.
pub(crate) const PROGRAM: &str = r#"
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

#[test]
fn an_unmodified_program_sends_whoever_injects_its_sidecar() {
    let _turn = support::cluster();
    let shop = Namespace::new("injected-shop");
    let gateway = Gateway::start("injected-mail", 1, &shop, &["checkout"]);
    let _restore = support::Restore;
    let to = gateway.recipient();
    let mut sidecars = Vec::new();
    for (count, (way, values)) in
        [("plugin", ""), ("policy", "injection.policy.enabled=true"), ("webhook", "injection.webhook.enabled=true")]
            .into_iter()
            .enumerate()
    {
        let manifests = program(gateway.namespace.name(), &to, way);
        if values.is_empty() {
            shop.apply(&plugin::inject(&manifests, IMAGE).expect("the plugin injects"));
        } else {
            cluster::install_with(values);
            support::await_injection(&shop);
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
        let received = gateway.sink.await_messages(2 * (count + 1), PATIENCE);
        println!("{way}: a pod and a Job have ended, and {} messages have arrived", received.len());
        let pod = shop.object("pod", &format!("pod-{way}")).expect("the pod");
        sidecars.push(without_token(&pod["spec"]["initContainers"][0]));
    }
    assert!(sidecars.iter().all(|sidecar| *sidecar == sidecars[0]), "the same sidecar three times: {sidecars:#?}");
}

/// A container without the volumes that the cluster adds by itself.
fn without_token(container: &Value) -> Value {
    let mut container = container.clone();
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.retain(|mount| mount["name"] == "mailsluice");
    }
    container
}
