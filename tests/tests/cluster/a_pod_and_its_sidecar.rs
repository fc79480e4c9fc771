//! A sidecar in its pod: a real program of others sends through it with its plain settings; it delays the pod's start little; and when it
//! is killed, the application knows of each message whether to send it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    pod::{self, SinkPod},
    process, setting, wait,
};
use serde_json::{Value, json};

use crate::{
    gateway::{self, Gateway},
    support,
};

/// What it runs of which the start is measured: it prints when it began, and whether a mail server was at localhost then.
const STARTED: &str = r#"
import time
began = time.time()
import socket
try:
    socket.create_connection(("localhost", 2525), timeout=20).close()
    served = True
except OSError:
    served = False
print(began, served, flush=True)
time.sleep(600)
"#;

/// Four clients at once, each message a second long; of each, what came of it, and where the connection broke.
const SLOW: &str = r#"
import os, smtplib, sys, threading, time
to = sys.argv[1]
stopped = lambda: os.path.exists("/control/stop")
def send(client):
    number = 0
    while not stopped():
        number += 1
        subject, stage = f"slow-{client}-{number}", "connect"
        try:
            with smtplib.SMTP("localhost", 2525, timeout=60) as smtp:
                smtp.ehlo()
                stage = "envelope"
                for command in (lambda: smtp.mail("shop@example.org"), lambda: smtp.rcpt(to), lambda: smtp.docmd("DATA")):
                    code, said = command()
                    if code >= 400:
                        break
                else:
                    stage = "text"
                    smtp.send(f"From: <shop@example.org>\r\nSubject: {subject}\r\n\r\n")
                    for _ in range(20):
                        smtp.send("x" * 70 + "\r\n")
                        time.sleep(0.05)
                    stage = "answer"
                    smtp.send(".\r\n")
                    code, said = smtp.getreply()
                outcome = f"{code}"
        except (OSError, smtplib.SMTPException):
            outcome = f"broken {stage}"
            time.sleep(1)
        print(subject, outcome, flush=True)
threads = [threading.Thread(target=send, args=(client,)) for client in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"#;

/// What an administrator writes for an Alertmanager whose mail server is on this host.
fn alertmanager(gateway: &Gateway) -> Vec<Value> {
    let settings = format!(
        "
global:
  smtp_smarthost: localhost:2525
  smtp_from: shop@example.org
  smtp_require_tls: false
route: {{receiver: mail, group_wait: 1s}}
receivers:
- name: mail
  email_configs: [{{to: {}}}]
",
        gateway.recipient()
    );
    let containers = json!([{
        "name": "alertmanager",
        "image": "localhost/alertmanager:test",
        "args": ["--config.file=/settings/alertmanager.yml", "--storage.path=/data", "--cluster.listen-address="],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9093}, "periodSeconds": 1},
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}, {"name": "data", "mountPath": "/data"}],
    }]);
    let volumes =
        json!([{"name": "settings", "configMap": {"name": "alertmanager"}}, {"name": "data", "emptyDir": {}}]);
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "alertmanager"},
            "data": {"alertmanager.yml": settings},
        }),
        gateway.pod("alertmanager", &containers, &volumes),
    ]
}

#[test]
fn a_sidecar_serves_a_program_of_others_starts_soon_and_leaves_no_doubt_when_it_is_killed() {
    let _turn = support::cluster();
    let shop = Namespace::new("sidecar-shop");
    let gateway = Gateway::start("sidecar-mail", 1, &shop, &["checkout"]);
    measure_starts(&gateway, &shop);
    shop.apply(&gateway::injected(alertmanager(&gateway)));
    kill_in_the_text(&gateway, &shop);
    alert(&shop, &gateway.sink);
}

/// How long a pod took since the cluster had its manifest: until its program began, and until it was ready; in seconds.
struct Start {
    began: f64,
    ready: f64,
    /// Whether the program found a mail server when it began.
    served: bool,
}

/// Starts a pod of this name, and takes it away again.
fn start(shop: &Namespace, name: &str, manifest: &str) -> Start {
    shop.apply(manifest);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let begun = Instant::now();
    shop.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=90s"]);
    let ready = begun.elapsed().as_secs_f64();
    let said = wait::until_some(PATIENCE, "the program has begun", || {
        let said = shop.kubectl(&["logs", name, "-c", "program"]);
        said.ends_with('\n').then_some(said)
    });
    let (began, served) = said.trim().split_once(' ').expect("two words");
    let began = began.parse::<f64>().expect("a time") - at;
    // Its end would take from the next one's start.
    shop.kubectl(&["delete", "pod", name]);
    Start { began, ready, served: served == "True" }
}

/// Prints how much longer a pod with a sidecar takes to start. `MAILSLUICE_TEST_POD_STARTS` says how many of each are started, in turns.
fn measure_starts(gateway: &Gateway, shop: &Namespace) {
    let containers = json!([{"name": "program", "image": "localhost/python:test", "args": ["-c", STARTED]}]);
    let count = setting("MAILSLUICE_TEST_POD_STARTS", 3).max(1);
    // With the volume that pods have unless they say otherwise, since the kubelet looks but three times a second whether volumes are there.
    let usual = |mut pod: Value| {
        pod["spec"]["automountServiceAccountToken"] = json!(true);
        vec![pod]
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (bare, injected) = (format!("bare-{number}"), format!("injected-{number}"));
        let pod = gateway::pod(&bare, "checkout", &containers, &json!([]));
        without.push(start(shop, &bare, &gateway::list(usual(pod))));
        let pod = gateway.pod(&injected, &containers, &json!([]));
        with.push(start(shop, &injected, &gateway::injected(usual(pod))));
    }
    println!(
        "| since the cluster has a pod's manifest, {count} of each: p50, most | without a sidecar | with one | longer, p50 | goal |\n\
         | --- | --- | --- | --- | --- |"
    );
    let tell = |what: &str, of: fn(&Start) -> f64| {
        let [(without, most_without), (with, most_with)] = [&without, &with].map(|starts| {
            let mut all: Vec<f64> = starts.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            (all[all.len() / 2], all[all.len() - 1])
        });
        println!(
            "| {what} | {without:.2} s, {most_without:.2} s | {with:.2} s, {most_with:.2} s | {:.2} s | ≤ 1 s |",
            with - without
        );
    };
    tell("until its program begins", |start| start.began);
    tell("until it is Ready", |start| start.ready);
    assert!(without.iter().all(|start| !start.served), "a pod without a sidecar has no mail server");
    assert!(with.iter().all(|start| start.served), "a program began before its sidecar took mail");
    // A sidecar that waits for what does not come would show as minutes.
    assert!(with.iter().all(|start| start.ready < 60.0), "a start took a minute");
}

/// Kills the sidecar twice while texts are under way.
fn kill_in_the_text(gateway: &Gateway, shop: &Namespace) {
    let containers = json!([{
        "name": "program",
        "image": "localhost/python:test",
        "args": ["-c", SLOW, gateway.recipient()],
        "volumeMounts": [{"name": "control", "mountPath": "/control"}],
    }]);
    let volumes = json!([{"name": "control", "emptyDir": {}}]);
    shop.apply(&gateway::injected(vec![gateway.pod("slow", &containers, &volumes)]));
    shop.kubectl(&["wait", "--for=condition=Ready", "pod/slow", "--timeout=90s"]);
    let said = || shop.kubectl(&["logs", "slow", "-c", "program"]);
    let answered = || said().lines().filter(|line| line.ends_with(" 250")).count();
    for _ in 0..2 {
        let before = answered();
        wait::until_some(PATIENCE, "messages are answered", || (answered() > before + 3).then_some(()));
        assert!(pod::kill_container(shop, "slow", "mailsluice"), "the sidecar is killed");
    }
    let before = answered();
    wait::until_some(PATIENCE, "messages are answered again", || (answered() > before + 3).then_some(()));
    let uid = shop.at("pod", "slow", "/metadata/uid");
    let control = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/control/stop"));
    fs::write(&control, "").unwrap_or_else(|error| panic!("{}: {error}", control.display()));
    shop.await_at("pod", "slow", "/status/phase", "Succeeded");

    let said = said();
    let outcomes: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(' ')).collect();
    let those = |wanted: &str| -> BTreeSet<String> {
        let those = outcomes.iter().filter(|(_, outcome)| outcome.starts_with(wanted));
        those.map(|(subject, _)| (*subject).to_owned()).collect()
    };
    let answered: Vec<String> = those("250").into_iter().collect();
    let arrived = gateway.sink.await_subjects(&answered, PATIENCE);
    assert!(arrived.lost.is_empty(), "answered 250 and lost: {:?}", arrived.lost);
    let delivered: BTreeSet<String> = gateway.sink.received().iter().map(|message| message.subject()).collect();
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    for (subject, outcome) in &outcomes {
        let (all, came) = counts.entry(*outcome).or_default();
        *all += 1;
        *came += usize::from(delivered.contains(*subject));
    }
    println!("| a sidecar killed twice: the application saw | messages | of them delivered |\n| --- | --- | --- |");
    for (outcome, (all, came)) in &counts {
        println!("| {outcome} | {all} | {came} |");
    }
    assert!(!those("broken text").is_empty(), "no text was under way:\n{said}");
    for refused in ["4", "5", "broken connect", "broken envelope", "broken text"] {
        let both: Vec<_> = those(refused).intersection(&delivered).cloned().collect();
        assert!(both.is_empty(), "{refused} and delivered: {both:?}");
    }
}

/// Has the Alertmanager send an alert, and waits for its mail.
fn alert(shop: &Namespace, sink: &SinkPod) {
    shop.kubectl(&["wait", "--for=condition=Ready", "pod/alertmanager", "--timeout=90s"]);
    let address = shop.at("pod", "alertmanager", "/status/podIP");
    let alerts =
        json!([{"labels": {"alertname": "DiskFull", "severity": "page"}, "annotations": {"summary": "No room."}}]);
    let post = ["curl", "--silent", "--show-error", "--fail", "--json", &alerts.to_string()];
    process::run(cluster::inside().args(post).arg(format!("http://{address}:9093/api/v2/alerts")));
    let begun = Instant::now();
    let mail = wait::until_some(PATIENCE, "the alert arrives as mail", || {
        sink.received().into_iter().find(|message| message.subject().contains("DiskFull"))
    });
    let text = String::from_utf8_lossy(&mail.octets);
    assert_eq!(mail.envelope.sender, "shop@example.org");
    assert!(text.contains("No room."), "{text}");
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let version = shop.kubectl(&["exec", "alertmanager", "-c", "alertmanager", "--", "/alertmanager", "--version"]);
    println!(
        "{}: its alert arrived {:.1} s after it was posted\n{}\n{}",
        version.lines().next().unwrap_or_default(),
        begun.elapsed().as_secs_f64(),
        line("From:"),
        line("Subject:")
    );
}
