//! A pod sends with the token of its service account and no password, and with no other token: a table of those that are refused, with
//! the codes and the reasons. The relay verifies them by what the operator has handed over, and asks nobody.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    pod::CONNECT,
    token::Issuer,
    wait,
};
use serde_json::{Value, json};

use crate::{
    gateway::{self, Gateway},
    support,
};

/// Shows a token under TLS and sends a message; prints the replies to AUTH and MAIL.
const CLIENT: &str = r#"
import base64, ssl, sys
relay, token, recipient, subject = sys.argv[1:]
if token == "own":
    token = open("/token/token").read()
with connect(relay, 587) as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile="/authority/ca.crt"))
    smtp.ehlo()
    shown = base64.b64encode(f"n,,\x01auth=Bearer {token}\x01\x01".encode()).decode()
    code, said = smtp.docmd("AUTH", "OAUTHBEARER " + shown)
    if code == 334:
        code, said = smtp.docmd("AQ==")
    auth = f"{code} {said.decode().split()[0]}"
    code, said = smtp.mail("shop@example.org")
    print(auth + ",", code, said.decode().split()[0])
    if code == 250:
        smtp.rcpt(recipient)
        smtp.data(f"Subject: {subject}\r\n\r\nHello.\r\n")
"#;

/// A pod in which clients are run.
fn client(name: &str, account: &str) -> Value {
    let containers = json!([{
        "name": "client",
        "image": "localhost/python:test",
        "args": ["-c", "import time; time.sleep(3600)"],
        "volumeMounts": [{"name": "token", "mountPath": "/token"}, {"name": "authority", "mountPath": "/authority"}],
    }]);
    let volumes = json!([
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {
            "audience": "mailsluice", "expirationSeconds": 600, "path": "token",
        }}]}},
        {"name": "authority", "configMap": {"name": "mailsluice-authorities"}},
    ]);
    gateway::pod(name, account, &containers, &volumes)
}

struct Scene {
    gateway: Gateway,
    shop: Namespace,
}

impl Scene {
    /// What a client in a pod is answered, with this token.
    fn show(&self, pod: &str, token: &str, subject: &str) -> String {
        let relay = format!("outbound.{}.svc", self.gateway.namespace.name());
        let to = self.gateway.recipient();
        let script = [CONNECT, CLIENT].concat();
        let arguments = ["exec", pod, "--", "/usr/bin/python3", "-c", &script, &relay, token, &to, subject];
        self.shop.kubectl(&arguments).trim().to_owned()
    }

    /// A token as the API server makes it.
    fn token(&self, account: &str, audience: &str, pod: Option<&str>) -> String {
        let audience = format!("--audience={audience}");
        let mut arguments = vec!["create", "token", account, audience.as_str(), "--duration=1h"];
        let name = pod.map(|pod| format!("--bound-object-name={pod}"));
        if let Some(name) = &name {
            arguments.extend(["--bound-object-kind=Pod", name]);
        }
        self.shop.kubectl(&arguments).trim().to_owned()
    }

    /// Whether the relay finds this in the list of pods that the operator publishes.
    fn mounted(&self, part: &str) -> bool {
        let relay = self.gateway.namespace.at("pod", "outbound-0", "/metadata/uid");
        let volumes = cluster::run().join(format!("kubelet/pods/{relay}/volumes"));
        let volumes =
            fs::read_dir(volumes).into_iter().flatten().flatten().filter_map(|kind| fs::read_dir(kind.path()).ok());
        let mut files = volumes.flatten().flatten().map(|volume| volume.path().join("client-pods.json"));
        files.any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(part)))
    }

    /// Why the relay refused the last token, as its log says.
    fn reason(&self) -> String {
        let records = support::records(&self.gateway.namespace, "outbound");
        let last = records.iter().rev().find_map(|record| record.msg.split_once("the token is not good: "));
        last.map(|(_, why)| why.to_owned()).unwrap_or_default()
    }

    /// Waits until that is this, in part; the whole of it.
    fn await_reason(&self, part: &str) -> String {
        wait::until_some(PATIENCE, &format!("the log says {part:?}"), || {
            Some(self.reason()).filter(|reason| reason.contains(part))
        })
    }
}

/// The token with other claims, signed as the API server itself signs: there is no other way to one that is as real and has expired, since
/// the API server makes none for less than ten minutes.
fn forged(token: &str, change: impl Fn(&mut Value)) -> String {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next().expect("a header"), parts.next().expect("claims"));
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims in JSON");
    change(&mut claims);
    let signed = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(cluster::run().join("pki/sa.key"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run openssl");
    openssl.stdin.take().expect("its input").write_all(signed.as_bytes()).expect("write to openssl");
    let signature = openssl.wait_with_output().expect("wait for openssl").stdout;
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_lets_in_its_own_pod_while_that_lives_and_nobody_else() {
    let _turn = support::cluster();
    let shop = Namespace::new("refused-shop");
    let gateway = Gateway::start("refused-mail", 1, &shop, &["checkout"]);
    let scene = Scene { gateway, shop };
    scene.shop.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: returns}}");
    let pods = [("own", "checkout"), ("gone", "checkout"), ("other", "returns")];
    scene.shop.apply(&gateway::list(pods.iter().map(|(name, account)| client(name, account)).collect()));
    scene.shop.kubectl(&["wait", "--for=condition=Ready", "pod/own", "pod/gone", "pod/other", "--timeout=90s"]);
    let uid = |pod: &str| scene.shop.at("pod", pod, "/metadata/uid");
    let (own, gone) = (uid("own"), uid("gone"));
    wait::until_some(PATIENCE, "the relay is told of the pods", || {
        // A pod is listed before it has an address, and until then nothing speaks against who shows its token.
        let addressed = |uid: &str| scene.mounted(&format!("\"{uid}\":[\""));
        (addressed(&own) && addressed(&gone)).then_some(())
    });
    thread::sleep(Duration::from_secs(2));

    // Made while its pod lives; the pod goes while the other rows are tried.
    let left_over = scene.token("checkout", "mailsluice", Some("gone"));
    scene.shop.kubectl(&["delete", "pod", "gone", "--wait=false"]);

    let good = scene.token("checkout", "mailsluice", Some("own"));
    let minute_ago = |claims: &mut Value| claims["exp"] = json!(claims["iat"].as_i64().unwrap_or_default() - 60);
    let api = "https://kubernetes.default.svc";
    let mut table = Vec::new();
    let mut row = |what: &str, pod: &str, token: &str, expected: &str, reason: &str| {
        let said = scene.show(pod, token, what);
        let found = if said.starts_with("535") { scene.await_reason(reason) } else { String::new() };
        table.push(format!("| {what} | {pod} | {said} | {found} |"));
        assert_eq!(said, expected, "{what}: {found}");
    };
    let (accepted, refused) = ("235 2.7.0, 250 2.1.0", "535 5.7.8, 530 5.7.0");
    row("its own, as the kubelet projects it", "own", "own", accepted, "");
    row("its own, made by kubectl create token", "own", &good, accepted, "");
    row("of no pod", "own", &scene.token("checkout", "mailsluice", None), accepted, "");
    row("for another audience", "own", &scene.token("checkout", "other", Some("own")), refused, "InvalidAudience");
    row("for the API server", "own", &scene.token("checkout", api, Some("own")), refused, "InvalidAudience");
    let other_issuer = forged(&good, |claims| claims["iss"] = json!("https://other.test"));
    row("of another issuer", "own", &other_issuer, refused, "InvalidIssuer");
    let other_cluster = Issuer::new("one").token("refused-shop", "checkout", "mailsluice", 3600);
    row("signed by another cluster", "own", &other_cluster, refused, "among the cluster's");
    row("expired", "own", &forged(&good, minute_ago), refused, "ExpiredSignature");
    row("replayed from another pod", "other", &good, refused, "whose address");
    row("of another account", "other", "own", "235 2.7.0, 550 5.7.1", "");
    wait::until_some(PATIENCE, "the relay is told that the pod is gone", || (!scene.mounted(&gone)).then_some(()));
    // Of a token from a pod's last seconds only the second list after its end can tell; till then it is let in. Who fails ten times is not
    // answered for a while.
    let deleted = "of a deleted pod";
    wait::until_some(PATIENCE, "the token of a deleted pod is refused for that", || {
        thread::sleep(Duration::from_secs(2));
        let said = scene.show("other", &left_over, deleted);
        (said == refused && scene.reason().contains("its pod gone is gone")).then_some(())
    });
    table.push(format!("| of a deleted pod | other | {refused} | {} |", scene.reason()));

    println!(
        "| token | shown by pod | AUTH, MAIL | in the relay's log |\n| --- | --- | --- | --- |\n{}",
        table.join("\n")
    );
    let arrived = scene.gateway.sink.await_messages(3, PATIENCE).into_iter().map(|message| message.subject());
    let arrived: Vec<String> = arrived.filter(|subject| subject != deleted).collect();
    assert_eq!(arrived.len(), 3, "{arrived:?}");
}
