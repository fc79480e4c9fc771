//! A pod sends with the token of its service account and no password; the relay verifies it by the cluster's keys, which the
//! operator has handed over. Who is no client may ask to be one by an SMTPAccess.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_tests::{
    certificate::Certificate,
    cluster::{Namespace, PATIENCE},
    pod::{CONNECT, SinkPod},
    wait,
};

use crate::support;

/// Shows the pod's token under TLS and sends a message; prints the replies to AUTH and RCPT.
const CLIENT: &str = r#"
import base64, ssl, sys
token = open("/token/token").read()
with connect("outbound", 25) as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile="/authority/tls.crt"))
    smtp.ehlo()
    shown = base64.b64encode(f"n,,\x01auth=Bearer {token}\x01\x01".encode()).decode()
    code, said = smtp.docmd("AUTH", "OAUTHBEARER " + shown)
    if code == 334:
        code, said = smtp.docmd("AQ==")
    print("AUTH", code, flush=True)
    smtp.mail("shop@example.org")
    code, said = smtp.rcpt(sys.argv[1])
    print("RCPT", code, said.decode(), flush=True)
    if code == 250:
        smtp.data("Subject: by token\r\n\r\nHello.\r\n")
"#;

/// What a pod of that service account prints, with a token for that audience.
fn send(namespace: &Namespace, account: &str, audience: &str, to: &str) -> String {
    let script: String = CONNECT.lines().chain(CLIENT.lines()).map(|line| format!("      {line}\n")).collect();
    let name = format!("client-{account}-{audience}");
    namespace.apply(&format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {account}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  serviceAccountName: {account}
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  volumes:
  - name: token
    projected: {{sources: [{{serviceAccountToken: {{audience: {audience}, expirationSeconds: 600, path: token}}}}]}}
  - {{name: authority, secret: {{secretName: outbound-tls, items: [{{key: tls.crt, path: tls.crt}}]}}}}
  containers:
  - name: client
    image: localhost/python:test
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: token, mountPath: /token}}, {{name: authority, mountPath: /authority}}]
    args:
    - -c
    - |
{script}    - {to}
"
    ));
    wait::until_some(PATIENCE, "the client has ended", || {
        let phase = namespace.at("pod", &name, "/status/phase");
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(())
    });
    let said = namespace.kubectl(&["logs", &name]);
    let _ = namespace.kubectl(&["delete", "pod", &name, "--now"]);
    said
}

#[test]
fn a_pod_is_let_in_by_the_token_of_its_service_account_and_by_no_other() {
    let _turn = support::cluster();
    let namespace = Namespace::new("tokens");
    let sink = SinkPod::start(&namespace, "north");
    let certificate = Certificate::of("outbound");
    let (chain, key) = (BASE64_STANDARD.encode(&certificate.chain), BASE64_STANDARD.encode(&certificate.key));
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
  listeners: [{{name: smtp, port: 25, tls: {{secretName: outbound-tls}}}}]
  clients: [{{serviceAccounts: [{{namespace: {}, name: checkout}}], senders: [shop@example.org]}}]
  access: {{senders: [shop@example.org]}}
  routes: [{{domains: ['*'], mx: {{privateAddresses: Allow}}}}]
  storage: {{size: 1Gi}}
",
        namespace.name()
    ));
    support::await_ready(&namespace, "outbound");
    let keys = || namespace.at("configmap", "outbound-config", "/data/service-account-keys.json");
    wait::until_some(PATIENCE, "the cluster's keys are handed over", || keys().contains("\"issuer\"").then_some(()));
    let to = format!("someone@{}", sink.domain);
    let said = send(&namespace, "checkout", "mailsluice", &to);
    assert!(said.contains("AUTH 235") && said.contains("RCPT 250"), "{said}");
    let _ = sink.await_messages(1, PATIENCE);
    let said = send(&namespace, "checkout", "other", &to);
    assert!(said.contains("AUTH 535") && said.contains("RCPT 530"), "{said}");
    let said = send(&namespace, "returns", "mailsluice", &to);
    assert!(said.contains("AUTH 235") && said.contains("RCPT 550"), "{said}");
    assert_eq!(sink.count(), 1);

    // Its namespace asks for it, and is granted what the relay's owner allows; until it asks no more.
    namespace.apply(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPAccess
metadata: {name: returns}
spec: {relayRef: {name: outbound}, serviceAccounts: [returns], senders: [shop@example.org]}
",
    );
    let accepted = ["wait", "smtpaccess/returns", "--for=condition=Accepted", "--timeout=60s"];
    let _ = namespace.kubectl(&accepted);
    let is_answered = |code: &str| {
        let said = send(&namespace, "returns", "mailsluice", &to);
        (said.contains("AUTH 235") && said.contains(&format!("RCPT {code}"))).then_some(())
    };
    wait::until_some(PATIENCE, "the account is let in", || is_answered("250"));
    let _ = sink.await_messages(2, PATIENCE);
    let _ = namespace.kubectl(&["delete", "smtpaccess", "returns"]);
    wait::until_some(PATIENCE, "the account is let in no more", || is_answered("550"));
}
