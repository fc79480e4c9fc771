//! A relay that pods of another namespace send by, under TLS, with the tokens of their service accounts; and those pods.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_tests::{
    certificate::Certificate,
    cluster::{Namespace, PATIENCE},
    plugin,
    pod::SinkPod,
    wait,
};
use serde_json::{Value, json};

/// The image of sidecars.
pub(crate) const IMAGE: &str = "localhost/mailsluice-relay:test";

/// SMTPRelay `outbound`, whose listener on port 587 takes mail of `shop@example.org` from service accounts, and a sink behind it.
pub(crate) struct Gateway {
    /// Its namespace.
    pub(crate) namespace: Namespace,
    /// Where its mail arrives.
    pub(crate) sink: SinkPod,
    certificate: Certificate,
}

impl Gateway {
    /// Starts it, with so many pods, for these accounts of that namespace, which comes to know its certificate; waits until it has the
    /// cluster's keys.
    pub(crate) fn start(name: &str, replicas: u32, shop: &Namespace, accounts: &[&str]) -> Gateway {
        let namespace = Namespace::new(name);
        let certificate = Certificate::of(&format!("outbound.{name}.svc"));
        let (chain, key) = (BASE64_STANDARD.encode(&certificate.chain), BASE64_STANDARD.encode(&certificate.key));
        let listed: Vec<Value> =
            accounts.iter().map(|account| json!({"namespace": shop.name(), "name": account})).collect();
        namespace.apply(&format!(
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
  replicas: {replicas}
  listeners: [{{name: submission, port: 587, tls: {{secretName: outbound-tls}}}}]
  clients: [{{serviceAccounts: {}, senders: [shop@example.org]}}]
  routes: [{{domains: ['*'], mx: {{privateAddresses: Allow}}}}]
  storage: {{size: 1Gi}}
",
            json!(listed)
        ));
        let sink = SinkPod::start(&namespace, "north");
        let gateway = Gateway { namespace, sink, certificate };
        gateway.introduce(shop, accounts);
        gateway.namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", &replicas.to_string());
        wait::until_some(PATIENCE, "the cluster's keys are handed over", || {
            gateway.keys().contains("\"issuer\"").then_some(())
        });
        gateway
    }

    /// Makes service accounts, and the authority's ConfigMap, in the namespace of pods that send by it.
    fn introduce(&self, shop: &Namespace, accounts: &[&str]) {
        let mut items: Vec<Value> = accounts
            .iter()
            .map(|name| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}))
            .collect();
        items.push(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "mailsluice-authorities"},
            "data": {"ca.crt": self.certificate.chain},
        }));
        shop.apply(&list(items));
    }

    /// The cluster's keys, as its pods are given them.
    pub(crate) fn keys(&self) -> String {
        self.namespace.at("configmap", "outbound-config", "/data/service-account-keys.json")
    }

    /// The address of someone whose mail arrives at the sink.
    pub(crate) fn recipient(&self) -> String {
        format!("someone@{}", self.sink.domain)
    }

    /// A pod of account `checkout` that asks for a sidecar to it.
    pub(crate) fn pod(&self, name: &str, containers: &Value, volumes: &Value) -> Value {
        let mut pod = pod(name, "checkout", containers, volumes);
        pod["metadata"]["labels"] = json!({"mailsluice.dev/inject": "outbound", "app": "sender"});
        pod["metadata"]["annotations"] = json!({"mailsluice.dev/relay-namespace": self.namespace.name()});
        pod
    }
}

/// A pod that runs under the `restricted` standard.
pub(crate) fn pod(name: &str, account: &str, containers: &Value, volumes: &Value) -> Value {
    let mut containers = containers.clone();
    for container in containers.as_array_mut().into_iter().flatten() {
        container["securityContext"] = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "serviceAccountName": account,
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": containers,
            "volumes": volumes,
        },
    })
}

/// Manifests as one.
pub(crate) fn list(items: Vec<Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Manifests as one, in which pods that ask for it have their sidecar.
pub(crate) fn injected(items: Vec<Value>) -> String {
    plugin::inject(&list(items), IMAGE).expect("the plugin injects")
}
