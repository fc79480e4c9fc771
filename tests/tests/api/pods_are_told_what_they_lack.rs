//! A pod that asks for a sidecar is told by Events what keeps its mail from going, and the relay's status says who lacks a sidecar.

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

fn relay(account: &str) -> String {
    format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: outbound}}
spec:
  listeners: [{{name: submission, port: 587, tls: {{secretName: outbound-tls}}}}]
  clients: [{{serviceAccounts: [{{namespace: default, name: {account}}}]}}]
"
    )
}

fn pod(name: &str, relay: &str, init: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"mailsluice.dev/inject": relay}},
        "spec": {"serviceAccountName": "checkout", "containers": [{"name": "app", "image": "app"}], "initContainers": init},
    })
    .to_string()
}

#[test]
fn what_is_wrong_is_told_once_and_who_lacks_a_sidecar_is_in_the_status() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    server.apply(&pod("bare", "outbound", &json!([])));
    server.apply(&pod(
        "lost",
        "nowhere",
        &json!([{"name": "mailsluice", "image": "relay", "restartPolicy": "Always"}]),
    ));
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));
    let both = ["RelayNotFound", "SidecarMissing"];
    await_told(&server, "bare", &both);
    await_told(&server, "lost", &["RelayNotFound"]);

    server.apply(&relay("other"));
    await_told(&server, "bare", &["ClientNotAllowed", "RelayNotFound", "SidecarMissing"]);
    assert_eq!(condition(&server), None, "who may not use the relay is none of its business");
    server.apply(&relay("checkout"));
    let wanted = "False: 1 of 1 pods that ask for a sidecar lack it: default/bare";
    wait::until_equal(PATIENCE, "the condition", Some(wanted.to_owned()), || condition(&server));

    let output = server.kubectl(&["delete", "pod", "bare", "--grace-period=0", "--force"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = "True: no pod lacks the sidecar that it asks for";
    wait::until_equal(PATIENCE, "the condition", Some(wanted.to_owned()), || condition(&server));
    await_told(&server, "lost", &["RelayNotFound"]);
}

/// Waits until the Events about a pod have these reasons, each once.
fn await_told(server: &ApiServer, pod: &str, reasons: &[&str]) {
    wait::until_equal(PATIENCE, &format!("the Events about {pod}"), reasons.to_vec(), || {
        let mut told: Vec<_> = events(server)
            .into_iter()
            .filter(|event| event["regarding"]["name"] == pod && event["type"] == "Warning")
            .filter_map(|event| event["reason"].as_str().map(str::to_owned))
            .collect();
        told.sort();
        told.into_iter()
            .map(|reason| reasons.iter().find(|wanted| **wanted == reason).copied().unwrap_or("another"))
            .collect()
    });
}

fn events(server: &ApiServer) -> Vec<Value> {
    let output = server.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
    let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The relay's condition Injected.
fn condition(server: &ApiServer) -> Option<String> {
    let relay = server.object("smtprelay", "outbound")?;
    let conditions = relay["status"]["conditions"].as_array()?;
    let injected = conditions.iter().find(|condition| condition["type"] == "Injected")?;
    Some(format!("{}: {}", injected["status"].as_str()?, injected["message"].as_str()?))
}
