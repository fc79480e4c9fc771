//! A relay that somebody has paused: nothing of it is touched, its status stays live, and the end of the pause makes up for it.

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::Value;

use crate::definitions;

#[test]
fn a_paused_relay_is_left_as_it_is_until_it_goes_on() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let operator = Operator::start(&server, "operator");
    server.apply(&relay("outbound"));
    wait::until_some(PATIENCE, "it is made", || server.object("poddisruptionbudget", "outbound"));
    wait::until_equal(PATIENCE, "its status", Some((1, 1)), || generations(&server));
    assert_eq!(condition(&server, "Paused"), None);

    run(&server, &["annotate", "smtprelay", "outbound", "mailsluice.dev/paused=true"]);
    await_condition(&server, "Paused", "True", "PausedByAnnotation");
    await_condition(&server, "Progressing", "False", "PausedByAnnotation");
    wait::until_equal(PATIENCE, "it is counted", Some(1.0), || operator.counted("mailsluice_operator_relay_paused"));

    run(&server, &["patch", "smtprelay", "outbound", "--type=merge", "-p", r#"{"spec": {"replicas": 2}}"#]);
    run(&server, &["delete", "service", "outbound"]);
    run(&server, &["annotate", "configmap", "outbound-config", "mailsluice.dev/applied-"]);
    // A pod that comes is a change of the status, which is written: the operator has looked at the relay since.
    server.run_pod("outbound", [127, 0, 0, 2].into());
    wait::until_equal(PATIENCE, "its pods are counted", Some(1), || status(&server)?["replicas"].as_u64());
    server.apply(&relay("other"));
    wait::until_some(PATIENCE, "another one is made", || server.object("poddisruptionbudget", "other"));
    assert_eq!(generations(&server), Some((2, 1)), "nobody is told that the change was carried out");
    assert_eq!(replicas(&server), Some(1));
    assert_eq!(server.object("service", "outbound"), None);
    assert_eq!(annotation(&server, "configmap", "outbound-config", "applied"), None, "what was changed by hand stays");
    assert_eq!(annotation(&server, "pod", "outbound-0", "config"), None, "a pod is told nothing");

    run(&server, &["annotate", "smtprelay", "outbound", "mailsluice.dev/paused-"]);
    wait::until_equal(PATIENCE, "the change", Some(2), || replicas(&server));
    wait::until_some(PATIENCE, "the Service", || server.object("service", "outbound"));
    wait::until_some(PATIENCE, "the ConfigMap", || annotation(&server, "configmap", "outbound-config", "applied"));
    wait::until_some(PATIENCE, "the pod", || annotation(&server, "pod", "outbound-0", "config"));
    await_condition(&server, "Paused", "False", "Resumed");
    wait::until_equal(PATIENCE, "its status", Some((2, 2)), || generations(&server));
    wait::until_equal(PATIENCE, "it is not counted", None, || operator.counted("mailsluice_operator_relay_paused"));
    for (reason, kind) in [("PausedByAnnotation", "Warning"), ("Resumed", "Normal")] {
        wait::until_equal(PATIENCE, reason, vec![kind.to_owned()], || events(&server, reason));
    }
}

fn relay(name: &str) -> String {
    format!("{{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {{name: {name}}}, spec: {{}}}}")
}

fn run(server: &ApiServer, arguments: &[&str]) {
    let output = server.kubectl(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn status(server: &ApiServer) -> Option<Value> {
    server.object("smtprelay", "outbound").map(|mut relay| relay["status"].take())
}

/// The generation of the relay's specification, and the one that its status is about.
fn generations(server: &ApiServer) -> Option<(u64, u64)> {
    let relay = server.object("smtprelay", "outbound")?;
    Some((relay["metadata"]["generation"].as_u64()?, relay["status"]["observedGeneration"].as_u64()?))
}

fn replicas(server: &ApiServer) -> Option<u64> {
    server.object("statefulset", "outbound")?["spec"]["replicas"].as_u64()
}

/// What the operator has written on an object.
fn annotation(server: &ApiServer, kind: &str, name: &str, key: &str) -> Option<String> {
    let object = server.object(kind, name)?;
    object["metadata"]["annotations"][format!("mailsluice.dev/{key}")].as_str().map(str::to_owned)
}

fn condition(server: &ApiServer, kind: &str) -> Option<(String, String)> {
    let status = status(server)?;
    let condition = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

fn await_condition(server: &ApiServer, kind: &str, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    wait::until_equal(PATIENCE, kind, wanted, || condition(server, kind));
}

/// The types of the Events with that reason.
fn events(server: &ApiServer, reason: &str) -> Vec<String> {
    let output = server.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let events = list["items"].as_array().into_iter().flatten().filter(|event| event["reason"] == reason);
    events.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
}
