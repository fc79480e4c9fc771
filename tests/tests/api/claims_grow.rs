//! Larger claims: those that are there are asked, and the StatefulSet is made anew around its pods. There is no controller and no resizer here: the tests do what
//! those would.

use std::{thread, time::Duration};

use jiff::Timestamp;
use mailsluice_tests::{
    api::ApiServer,
    audit::Request,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

/// Longer than the operator takes from one look at claims that grow to the next.
const LOOK: Duration = Duration::from_secs(7);
/// No request.
const NOTHING: [&str; 0] = [];
/// What was refused is asked for again each minute.
const REFUSED: Duration = Duration::from_secs(60);

#[test]
fn claims_grow_and_their_stateful_set_is_made_anew() {
    let server = start();
    let mut operator = Operator::start(&server, "operator");
    server.apply(&relay("grows", 2));
    let first = wait::until_some(PATIENCE, "the StatefulSet", || uid(&server));
    // The last one was left behind by a scale-down.
    for number in 0..3 {
        claim(&server, number, "grows");
    }
    for number in 0..2 {
        pod(&server, number);
    }
    wait::until_equal(PATIENCE, "its pods", Some(2), || status(&server)?["replicas"].as_u64());

    run(&server, &["annotate", "smtprelay", "outbound", "mailsluice.dev/paused=true"]);
    await_progressing(&server, "False", "PausedByAnnotation");
    let paused = Timestamp::now();
    ask_for(&server, "20Gi");
    thread::sleep(LOOK);
    assert_eq!(of_claims(&server, paused), NOTHING, "a pause holds it off");
    run(&server, &["annotate", "smtprelay", "outbound", "mailsluice.dev/paused-"]);

    for number in 0..3 {
        wait::until_equal(PATIENCE, "what a claim asks for", Some("20Gi".into()), || requested(&server, number));
    }
    await_progressing(&server, "True", "GrowingStorage");
    let finalizers = "/metadata/finalizers";
    wait::until_equal(PATIENCE, "who keeps the StatefulSet", Some(json!(["orphan"])), || {
        stateful_set(&server, finalizers)
    });
    assert_eq!(template(&server).as_deref(), Some("10Gi"));

    // The operator is killed between the end of the one StatefulSet and the beginning of the next, and meanwhile a pod is to leave.
    operator.kill();
    run(&server, &["scale", "smtprelay", "outbound", "--replicas=1"]);
    run(&server, &["patch", "statefulset", "outbound", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#]);
    wait::until_equal(PATIENCE, "the StatefulSet", None, || uid(&server));
    let operator = Operator::start(&server, "other");
    wait::until_equal(PATIENCE, "its template", Some("20Gi".into()), || template(&server));
    assert_ne!(uid(&server), Some(first));
    assert_eq!(stateful_set(&server, "/spec/replicas"), Some(json!(2)), "a pod hands its mail over before it goes");
    await_progressing(&server, "True", "GrowingStorage");

    let pending = json!({"status": {"conditions": [
        {"type": "FileSystemResizePending", "status": "True", "message": "waiting for the node"},
    ]}});
    write_status(&server, 1, &pending);
    wait::until_some(PATIENCE, "what the resizer says", || {
        let words =
            "spool-outbound-1 has 10Gi and is asked for 20Gi: FileSystemResizePending: waiting for the node; 1 other";
        progressing(&server)?.2.starts_with(words).then_some(())
    });
    for number in 0..2 {
        write_status(&server, number, &json!({"status": {"capacity": {"storage": "20Gi"}, "conditions": []}}));
    }
    // The one without a pod is not waited for; and a pod is still to hand its mail over.
    await_progressing(&server, "True", "HandingOver");
    for reason in ["GrowingStorage", "StorageGrown"] {
        wait::until_equal(PATIENCE, reason, vec!["Normal".to_owned()], || events(&server, reason));
    }
    let deletions = requests(&server, Timestamp::UNIX_EPOCH, "statefulsets");
    assert_eq!(deletions.iter().filter(|request| request.verb == "delete").count(), 1);

    let grown = Timestamp::now();
    thread::sleep(LOOK);
    assert_eq!(of_claims(&server, grown), NOTHING, "nobody looks at claims that have grown");
    drop(operator);
}

#[test]
fn a_claim_that_may_not_grow_is_told_of_and_asked_again_each_minute() {
    let server = start();
    let operator = Operator::start(&server, "operator");
    server.apply(&relay("fixed", 1));
    let first = wait::until_some(PATIENCE, "the StatefulSet", || uid(&server));
    claim(&server, 0, "fixed");
    wait::until_some(PATIENCE, "its status", || progressing(&server));

    let asked = Timestamp::now();
    ask_for(&server, "20Gi");
    await_progressing(&server, "False", "StorageUnchanged");
    let (_, _, message) = progressing(&server).expect("the condition");
    println!("{message}");
    assert!(message.starts_with("spool-outbound-0 has 10Gi and is asked for 20Gi, and cannot grow"), "{message}");
    assert!(message.contains("the storageclass that provisions the pvc must support resize"), "{message}");
    wait::until_equal(PATIENCE, "a warning", vec!["Warning".to_owned()], || events(&server, "StorageUnchanged"));
    // What else is asked for is carried out meanwhile, and that takes reconciles.
    run(&server, &["scale", "smtprelay", "outbound", "--replicas=2"]);
    wait::until_equal(PATIENCE, "the pods", Some(json!(2)), || stateful_set(&server, "/spec/replicas"));
    thread::sleep(LOOK);
    let patches = |since| of_claims(&server, since).into_iter().filter(|verb| verb == "patch").count();
    assert_eq!(patches(asked), 1, "it is not asked for over and over");
    assert_eq!((uid(&server), template(&server).as_deref()), (Some(first.clone()), Some("10Gi")));

    run(&server, &["patch", "storageclass", "fixed", "-p", r#"{"allowVolumeExpansion": true}"#]);
    let limit = REFUSED + PATIENCE;
    wait::until_equal(limit, "what the claim asks for", Some("20Gi".into()), || requested(&server, 0));
    await_progressing(&server, "True", "GrowingStorage");
    assert_eq!(patches(asked), 2);
    drop(operator);
}

#[test]
fn claims_do_not_shrink() {
    let server = ApiServer::start();
    // The definition refuses it. One that did not would change nothing.
    let rule = "quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0";
    let definitions = definitions::all();
    assert!(definitions.contains(rule));
    server.install(&definitions.replace(rule, "true"));
    let operator = Operator::start(&server, "operator");
    server.apply(&relay("grows", 1));
    wait::until_some(PATIENCE, "its status", || progressing(&server));
    let shrunk = Timestamp::now();
    ask_for(&server, "5Gi");
    await_progressing(&server, "False", "StorageUnchanged");
    let (_, _, message) = progressing(&server).expect("the condition");
    assert!(message.contains("asks for 5Gi of storage class grows, and the claims were made with 10Gi"), "{message}");
    assert_eq!((of_claims(&server, shrunk).len(), template(&server).as_deref()), (0, Some("10Gi")));
    drop(operator);
}

/// A server with a storage class that lets claims grow, and one that does not.
fn start() -> ApiServer {
    let server = ApiServer::start();
    server.install(&definitions::all());
    for (name, grows) in [("grows", true), ("fixed", false)] {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "disks.example",
            "allowVolumeExpansion": grows,
        });
        server.apply(&class.to_string());
    }
    server
}

fn relay(class: &str, replicas: u32) -> String {
    json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPRelay",
        "metadata": {"name": "outbound"},
        "spec": {"replicas": replicas, "storage": {"size": "10Gi", "storageClassName": class}},
    })
    .to_string()
}

/// Makes a pod's claim as the StatefulSet's controller would, and binds it.
fn claim(server: &ApiServer, number: u32, class: &str) {
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": format!("spool-outbound-{number}")},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "volumeName": format!("disk-{number}"),
            "resources": {"requests": {"storage": "10Gi"}},
        },
    });
    server.apply(&claim.to_string());
    write_status(server, number, &json!({"status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}}));
}

fn pod(server: &ApiServer, number: u32) {
    let labels = json!({
        "app.kubernetes.io/name": "mailsluice-relay",
        "app.kubernetes.io/instance": "outbound",
        "app.kubernetes.io/managed-by": "mailsluice-operator",
    });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("outbound-{number}"), "labels": labels},
        "spec": {"containers": [{"name": "relay", "image": "relay"}]},
    });
    server.apply(&pod.to_string());
}

fn write_status(server: &ApiServer, number: u32, status: &Value) {
    let claim = format!("spool-outbound-{number}");
    run(server, &["patch", "pvc", &claim, "--subresource=status", "--type=merge", "-p", &status.to_string()]);
}

fn ask_for(server: &ApiServer, size: &str) {
    let patch = json!({"spec": {"storage": {"size": size}}}).to_string();
    run(server, &["patch", "smtprelay", "outbound", "--type=merge", "-p", &patch]);
}

fn run(server: &ApiServer, arguments: &[&str]) {
    let output = server.kubectl(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn requested(server: &ApiServer, number: u32) -> Option<String> {
    text(&server.object("pvc", &format!("spool-outbound-{number}"))?["spec"]["resources"]["requests"]["storage"])
}

fn stateful_set(server: &ApiServer, pointer: &str) -> Option<Value> {
    server.object("statefulset", "outbound")?.pointer(pointer).cloned()
}

fn uid(server: &ApiServer) -> Option<String> {
    text(&stateful_set(server, "/metadata/uid")?)
}

/// The size of the StatefulSet's claims.
fn template(server: &ApiServer) -> Option<String> {
    text(&stateful_set(server, "/spec/volumeClaimTemplates/0/spec/resources/requests/storage")?)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn status(server: &ApiServer) -> Option<Value> {
    server.object("smtprelay", "outbound").map(|mut relay| relay["status"].take())
}

/// The condition's status, reason and message.
fn progressing(server: &ApiServer) -> Option<(String, String, String)> {
    let status = status(server)?;
    let condition = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Progressing")?;
    Some((text(&condition["status"])?, text(&condition["reason"])?, text(&condition["message"])?))
}

fn await_progressing(server: &ApiServer, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    wait::until_equal(PATIENCE, "Progressing", wanted, || {
        progressing(server).map(|(status, reason, _)| (status, reason))
    });
}

fn requests(server: &ApiServer, since: Timestamp, resource: &str) -> Vec<Request> {
    let all = server.requests(since).into_iter();
    all.filter(|request| request.object_ref.as_ref().is_some_and(|object| object.resource == resource)).collect()
}

/// The verbs of what the operator asked of claims.
fn of_claims(server: &ApiServer, since: Timestamp) -> Vec<String> {
    requests(server, since, "persistentvolumeclaims").into_iter().map(|request| request.verb).collect()
}

/// The types of the Events with that reason.
fn events(server: &ApiServer, reason: &str) -> Vec<String> {
    let output = server.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let events = list["items"].as_array().into_iter().flatten().filter(|event| event["reason"] == reason);
    events.filter_map(|event| text(&event["type"])).collect()
}
