//! `kubectl mailsluice support`: the archive says what is wrong, and has no secret, token or text of a message.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp, Unit};
use mailsluice_tests::{
    certificate::Certificate,
    cluster::{self, Namespace, PATIENCE, PODS},
    plugin::Person,
    pod::{CONNECT, SinkPod},
    process, wait,
};
use tempfile::TempDir;

use crate::support;

/// What is sown all over the cluster, and must not come up in the archive.
const SEED: &str = "Zebra7Quagga";

/// Logs in with a password before and under TLS, and sends a message with texts and names that are to stay here.
const CLIENT: &str = r#"
import base64, ssl, sys
seed, to = sys.argv[1:]
def login(smtp):
    shown = base64.b64encode(f"\0shop\0{seed}-password".encode()).decode()
    print(smtp.docmd("AUTH", "PLAIN " + shown))
with connect("outbound", 25) as smtp:
    smtp.ehlo()
    login(smtp)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    smtp.starttls(context=context)
    smtp.ehlo()
    login(smtp)
    head = f"From: <shop@example.org>\r\nSubject: {seed}-subject\r\nX-Key: {seed}-header\r\n\r\n"
    smtp.sendmail("shop@example.org", [to], head + f"{seed}-body\r\n")
print("sent")
"#;

#[test]
fn a_support_archive_says_what_is_wrong_and_has_no_secret_token_or_text() {
    let _turn = support::cluster();
    let namespace = Namespace::new("archive");
    let sink = SinkPod::start(&namespace, "north");
    sow(&namespace, &sink);
    let ann = Person::with_role(&namespace, "ann", "mailsluice-operate");
    let folder = TempDir::new().expect("a temporary folder");
    let archive = folder.path().join("support.tar.gz");

    let to = namespace.at("service", "north", "/spec/clusterIP") + ":25";
    let typed = [
        "support",
        "--file",
        archive.to_str().expect("a path in UTF-8"),
        "--describe",
        "mail to the north is late",
        "--mail",
        "help@example.com",
        "--smtp",
        &to,
    ];
    let said = ann.does(&typed);
    assert!(said.contains("It was sent to help@example.com."), "{said}");
    process::run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()));
    fs::remove_file(&archive).expect("remove the archive");
    let files = files(folder.path());

    says_what_is_wrong(&files, &namespace);
    has_no_seed(&files, &namespace);
    let mail = sink.await_messages(1, PATIENCE);
    assert!(mail[0].subject().contains("SMTPRelay outbound in archive"), "{}", mail[0].subject());
}

/// A relay with Secrets, annotations, clients and mail, in all of which is what must not come out; it logs everything.
fn sow(namespace: &Namespace, sink: &SinkPod) {
    let certificate = Certificate::of("outbound");
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    namespace.apply(&format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: door}}
data: {{tls.crt: {chain}, tls.key: {key}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: users}}
stringData: {{users: \"shop:{SEED}-not-a-hash\"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: login, annotations: {{note: {SEED}-note}}}}
stringData: {{username: {SEED}-name, password: {SEED}-password}}
",
        chain = encoded(&certificate.chain),
        key = encoded(&certificate.key),
    ));
    let opens = Timestamp::now().round(Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    namespace.apply(&support::opening_at("night", opens));
    namespace.apply(&format!(
        "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: outbound, annotations: {{vault.example/token: {SEED}-annotation}}}}
spec:
  scheduleRef: {{name: night}}
  log: {{level: AllInfo}}
  listeners: [{{name: smtp, port: 25, tls: {{secretName: door}}}}]
  clients: [{{networks: {PODS:?}}}, {{users: {{secretName: users}}}}]
  routes:
  - {{domains: ['*'], smarthost: {{host: north.{namespace}.svc, port: 25, credentials: {{secretName: login}}}}}}
  storage: {{size: 1Gi}}
",
        namespace = namespace.name(),
    ));
    support::await_ready(namespace, "outbound");
    let to = format!("someone@{}", sink.domain);
    let script: String = CONNECT.lines().chain(CLIENT.lines()).map(|line| format!("      {line}\n")).collect();
    namespace.apply(&format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: client
    image: localhost/python:test
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    args:
    - -c
    - |
{script}    - {SEED}
    - {to}
"
    ));
    wait::until_some(PATIENCE, "the client has sent its mail", || {
        let phase = namespace.at("pod", "client", "/status/phase");
        assert_ne!(phase, "Failed", "the client failed:\n{}", namespace.kubectl(&["logs", "client"]));
        (phase == "Succeeded").then_some(())
    });
    // The status shows it, and so an Event has told it.
    namespace.await_at("smtprelay", "outbound", "/status/queue/messages", "1");
}

/// The files below a folder, by their paths.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                // The archive's own folder has the time in its name.
                let name =
                    name.split_once('/').map(|(_, name)| name.to_owned()).expect("a file in the archive's folder");
                files.insert(name, fs::read_to_string(&path).expect("text"));
            }
        }
    }
    files
}

fn says_what_is_wrong(files: &BTreeMap<String, String>, namespace: &Namespace) {
    let host = format!("north.{}.svc:25", namespace.name());
    let file = |name: &str| files.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
    let summary = file("SUMMARY.md");
    println!("{summary}");
    for part in [
        "# Support for SMTPRelay outbound in namespace archive",
        "mail to the north is late",
        "TcpScheduleClosed",
        "TCP/IP link is down",
        "**SecretInvalid**",
        &format!("### ◷ {host}"),
        "relay in outbound-0: ",
        "Kubernetes: v1.34",
        "outbound-0 on node0",
        "API server",
        "logs/outbound-0.log",
        "operator: not read: you may not list deployments.apps in all namespaces",
    ] {
        assert!(summary.contains(part), "{part:?} is missing");
    }
    assert!(!summary.contains("these clocks differ"), "it is one machine");
    let log = file("logs/outbound-0.log");
    assert!(log.contains(r#""TCP(SMTP)""#) && log.contains(&host), "the log says what happened:\n{log}");
    assert!(log.contains(r#""LowLevel""#), "the session of the client is in the log, and its password is not");
    for (name, part) in [
        ("resources/smtprelay.yaml", "secretName: login"),
        ("resources/tcpschedule.yaml", "default: Closed"),
        ("resources/statefulset.yaml", "mailsluice-relay"),
        ("resources/pods.yaml", "nodeName: node0"),
        ("resources/events.yaml", "TcpScheduleClosed"),
        ("monitor/outbound-0.json", "TcpScheduleClosed"),
        ("status/outbound-0.json", "AllInfo"),
    ] {
        assert!(file(name).contains(part), "{name} does not have {part:?}:\n{}", file(name));
    }
}

fn has_no_seed(files: &BTreeMap<String, String>, namespace: &Namespace) {
    let secret = |name: &str, pointer: &str| namespace.at("secret", name, pointer);
    let hash = namespace.at("configmap", "outbound-config", "/data/monitor-credential");
    let monitor_key = cluster::object(cluster::RELEASE, "secret", "mailsluice-monitor-key")
        .and_then(|key| key.pointer("/data/key").and_then(|key| key.as_str().map(str::to_owned)));
    let mut seeds = vec![
        SEED.to_owned(),
        BASE64_STANDARD.encode(format!("\0shop\0{SEED}-password")),
        secret("door", "/data/tls.key"),
        secret("login", "/data/password"),
        "PRIVATE KEY".to_owned(),
        hash.trim().to_owned(),
    ];
    seeds.extend(monitor_key);
    for seed in &seeds {
        assert!(seed.len() >= 8, "{seed:?} is too short to be looked for");
        for (name, text) in files {
            let line = text.lines().find(|line| line.contains(seed.as_str()));
            assert_eq!(line, None, "{name} has what is secret: {seed:?}");
        }
    }
    // Seeds that were nowhere to be found would prove nothing: they are where they were sown.
    assert!(namespace.kubectl(&["get", "smtprelay", "outbound", "-o", "yaml"]).contains(SEED));
}
