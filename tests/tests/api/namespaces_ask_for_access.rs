//! A namespace asks for access to another's relay by a resource of its own: it is granted what the relay's owner allows, told what to write
//! where it is not, and let in no longer when the owner's allowance, its label or its ask goes.

use mailsluice_crds::manifest::{self, Source};
use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

const ALLOWED: &str = "
access:
    namespaces: {from: Selector, selector: {matchLabels: {mail: allowed}}}
    senders: ['@{namespace}.example.org', '<>']
";

fn namespace(name: &str, labels: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}")
}

fn relay(access: &str) -> String {
    format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: outbound, namespace: mail}}
spec:
  listeners: [{{name: submission, port: 587, tls: {{secretName: outbound-tls}}}}]
  clients: [{{serviceAccounts: [{{namespace: mail, name: ops}}], senders: ['@ops.example.org']}}]
  {}
",
        access.trim()
    )
}

fn access(namespace: &str, relay: &str, senders: &str) -> String {
    format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPAccess
metadata: {{name: checkout, namespace: {namespace}}}
spec: {{relayRef: {{name: {relay}, namespace: mail}}, serviceAccounts: [checkout], senders: [{senders}]}}
"
    )
}

/// A pod that asks for a sidecar and has it.
fn pod() -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "checkout", "namespace": "shop",
            "labels": {"mailsluice.dev/inject": "outbound"}, "annotations": {"mailsluice.dev/relay-namespace": "mail"},
        },
        "spec": {"serviceAccountName": "checkout", "containers": [{"name": "app", "image": "app"}]},
    })
    .to_string()
}

#[test]
fn what_is_allowed_is_granted_and_what_is_withdrawn_is_gone() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    for (name, labels) in [("mail", ""), ("shop", ""), ("bank", "mail: allowed")] {
        server.apply(&namespace(name, labels));
    }
    server.apply(&relay(""));
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));

    server.apply(&pod());
    server.apply(&access("shop", "inbound", "orders@shop.example.org"));
    await_answer(&server, "shop", "False RelayNotFound");
    server.apply(&access("shop", "outbound", "orders@shop.example.org"));
    await_answer(&server, "shop", "False NotAllowed");
    assert_eq!(granted(&server), [] as [&str; 0]);

    // Granted by the label alone, and told of the pod that it is for: before that it was none of the relay's business.
    server.apply(&relay(ALLOWED));
    assert_eq!(injected(&server), None);
    server.apply(&namespace("shop", "mail: allowed"));
    await_answer(&server, "shop", "True Accepted");
    await_granted(&server, &["shop/checkout: orders@shop.example.org"]);
    let lacks = "False: 1 of 1 pods that ask for a sidecar lack it: shop/checkout";
    wait::until_equal(PATIENCE, "the condition", Some(lacks.to_owned()), || injected(&server));

    // Another's senders are not its own.
    server.apply(&access("bank", "outbound", "boss@bank.example.org, orders@shop.example.org"));
    await_answer(&server, "bank", "False SendersNotAllowed");
    let message = accepted(&server, "bank").expect("a condition")["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        message,
        "SMTPRelay mail/outbound does not let namespace bank use orders@shop.example.org: write senders within @bank.example.org, <>, or \
         have its owner allow more"
    );
    server.apply(&access("bank", "outbound", "boss@bank.example.org, <>"));
    await_answer(&server, "bank", "True Accepted");
    let both = ["bank/checkout: boss@bank.example.org <>", "shop/checkout: orders@shop.example.org"];
    await_granted(&server, &both);

    // The label goes, and with it the access: the pod is none of the relay's business any more, and is told why.
    let output = server.kubectl(&["label", "namespace", "shop", "mail-"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    await_answer(&server, "shop", "False NotAllowed");
    await_granted(&server, &both[..1]);
    let lacks = "True: no pod lacks the sidecar that it asks for";
    wait::until_equal(PATIENCE, "the condition", Some(lacks.to_owned()), || injected(&server));
    // The ask goes.
    let output = server.kubectl(&["delete", "smtpaccess", "checkout", "--namespace", "bank"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    await_granted(&server, &[]);
    // The allowance goes.
    server.apply(&namespace("shop", "mail: allowed"));
    await_answer(&server, "shop", "True Accepted");
    await_granted(&server, &both[1..]);
    server.apply(&relay(""));
    await_answer(&server, "shop", "False NotAllowed");
    await_granted(&server, &[]);
}

#[test]
fn an_operator_of_one_namespace_says_that_it_sees_no_other() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    for name in ["mail", "shop"] {
        server.apply(&namespace(name, "mail: allowed"));
    }
    server.apply(&relay(ALLOWED));
    server.apply(&access("mail", "outbound", "orders@mail.example.org"));
    let operator = Operator::start_with(&server, "operator", &["--watch-namespace", "mail"]);
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));
    await_answer(&server, "mail", "False NamespacesNotSeen");
    server.apply(&relay("access: {senders: ['@{namespace}.example.org']}"));
    await_answer(&server, "mail", "True Accepted");
    await_granted(&server, &["mail/checkout: orders@mail.example.org"]);
}

#[test]
fn an_operator_works_without_the_definition_and_takes_it_up_when_it_comes() {
    let server = ApiServer::start();
    let all = definitions::all();
    let (own, others): (Vec<_>, Vec<_>) = all.split("\n---\n").partition(|text| text.contains("name: smtpaccesses."));
    assert_eq!(own.len(), 1);
    server.install(&others.join("\n---\n"));
    server.apply(&namespace("mail", ""));
    server.apply(&relay("access: {senders: ['@{namespace}.example.org']}"));
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "the relay is carried out", || get(&server, "configmap", "outbound-config", "mail"));
    assert!(operator.log().contains("its definition is not installed"), "{}", operator.log());
    server.install(own[0]);
    server.apply(&access("mail", "outbound", "orders@mail.example.org"));
    await_answer(&server, "mail", "True Accepted");
    await_granted(&server, &["mail/checkout: orders@mail.example.org"]);
}

/// The condition Accepted of a namespace's ask.
fn accepted(server: &ApiServer, namespace: &str) -> Option<Value> {
    let access = get(server, "smtpaccess", "checkout", namespace)?;
    let conditions = access["status"]["conditions"].as_array()?;
    let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
    // One of before the last change says nothing of it.
    (accepted["observedGeneration"] == access["metadata"]["generation"]).then(|| accepted.clone())
}

fn await_answer(server: &ApiServer, namespace: &str, answer: &str) {
    wait::until_equal(PATIENCE, &format!("the answer to {namespace}"), Some(answer.to_owned()), || {
        let accepted = accepted(server, namespace)?;
        Some(format!("{} {}", accepted["status"].as_str()?, accepted["reason"].as_str()?))
    });
}

/// What the relay's pods are told to grant, as they would read it.
fn granted(server: &ApiServer) -> Vec<String> {
    let Some(config_map) = get(server, "configmap", "outbound-config", "mail") else { return Vec::new() };
    let text = config_map["data"]["relay.yaml"].as_str().expect("manifests");
    let loaded = manifest::load(&[Source { name: "relay.yaml", text }]).expect("manifests that a relay takes");
    let mut granted: Vec<_> =
        loaded.accesses.iter().map(|access| format!("{}: {}", access.place(), access.spec.senders.join(" "))).collect();
    granted.sort();
    granted
}

fn await_granted(server: &ApiServer, wanted: &[&str]) {
    let wanted: Vec<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
    wait::until_equal(PATIENCE, "what is granted", wanted, || granted(server));
}

/// The relay's condition Injected.
fn injected(server: &ApiServer) -> Option<String> {
    let relay = get(server, "smtprelay", "outbound", "mail")?;
    let conditions = relay["status"]["conditions"].as_array()?;
    let injected = conditions.iter().find(|condition| condition["type"] == "Injected")?;
    Some(format!("{}: {}", injected["status"].as_str()?, injected["message"].as_str()?))
}

fn get(server: &ApiServer, kind: &str, name: &str, namespace: &str) -> Option<Value> {
    let output = server.kubectl(&["get", kind, name, "--namespace", namespace, "-o", "json", "--ignore-not-found"], "");
    serde_json::from_slice(&output.stdout).ok()
}
