//! A message that was answered 250 arrives, though the pod's process is killed again and again.

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, try_kubectl},
    pod::SinkPod,
    setting, wait,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support;

/// Sends, no faster than a busy application, until it is told to stop by the file `/control/stop`; prints the subject of
/// each message that was answered 250.
const CLIENT: &str = r#"
import os, smtplib, time
number = 0
while not os.path.exists("/control/stop"):
    try:
        with smtplib.SMTP("outbound", 25, timeout=5) as smtp:
            while not os.path.exists("/control/stop"):
                number += 1
                text = f"Subject: CLIENT-{number}\r\n\r\ntext\r\n"
                smtp.sendmail("shop@example.org", ["a@DOMAIN"], text)
                print(f"CLIENT-{number}", flush=True)
                time.sleep(0.01)
    except (OSError, smtplib.SMTPException):
        time.sleep(0.02)
"#;

#[test]
fn a_pod_whose_process_is_killed_under_load_loses_no_answered_message() {
    let _turn = support::cluster();
    let kills = setting("MAILSLUICE_TEST_POD_KILLS", 5);
    let namespace = Namespace::new("killed");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let clients = ["client-0", "client-1", "client-2", "client-3"];
    for client in clients {
        start_client(&namespace, client, &sink.domain);
    }

    for kill in 1..=kills {
        let before = sink.count();
        wait::until_some(PATIENCE, "mail flows", || (sink.count() > before + 20).then_some(()));
        kill_process(process_of(&namespace), Signal::KILL).expect("kill the relay");
        let restarts = |namespace: &Namespace| support::pod_life(namespace, "outbound").1.parse().unwrap_or(0);
        // The kubelet waits longer each time that a container fails; a pod that is made anew starts at once.
        if kill % 3 == 0 {
            namespace.kubectl(&["delete", "pod", "outbound-0", "--grace-period=1"]);
        } else {
            wait::until_some(PATIENCE, "the container is started again", || {
                (restarts(&namespace) >= kill % 3).then_some(())
            });
        }
        support::await_ready(&namespace, "outbound");
    }

    let answered: Vec<String> = clients.iter().flat_map(|client| stop_client(&namespace, client)).collect();
    support::await_empty(&namespace, "outbound", Duration::from_secs(120));
    // The status may be of before the last restart: what has not arrived is given a little time.
    let end = Instant::now() + Duration::from_secs(30);
    let (received, distinct, lost) = loop {
        let received = sink.received();
        let distinct: HashSet<String> = received.iter().map(|message| message.subject()).collect();
        let lost: Vec<_> = answered.iter().filter(|subject| !distinct.contains(*subject)).cloned().collect();
        if lost.is_empty() || Instant::now() > end {
            break (received, distinct, lost);
        }
        thread::sleep(Duration::from_secs(1));
    };
    println!(
        "killed {kills} times: {} messages answered 250, {} lost, {} delivered twice",
        answered.len(),
        lost.len(),
        received.len() - distinct.len()
    );
    assert!(!answered.is_empty() && lost.is_empty(), "lost: {lost:?}");
}

fn start_client(namespace: &Namespace, name: &str, domain: &str) {
    let script = CLIENT.replace("CLIENT", name).replace("DOMAIN", domain);
    let script: String = script.lines().map(|line| format!("      {line}\n")).collect();
    namespace.apply(&format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: client
    image: localhost/python:test
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: control, mountPath: /control}}]
    args:
    - -c
    - |
{script}  volumes: [{{name: control, emptyDir: {{}}}}]
"
    ));
}

fn stop_client(namespace: &Namespace, name: &str) -> Vec<String> {
    let uid = namespace.at("pod", name, "/metadata/uid");
    let volume = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/control/stop"));
    fs::write(&volume, "").unwrap_or_else(|error| panic!("{}: {error}", volume.display()));
    namespace.await_at("pod", name, "/status/phase", "Succeeded");
    namespace.kubectl(&["logs", name]).lines().map(str::to_owned).collect()
}

/// The process of the relay's container, as this machine numbers it.
fn process_of(namespace: &Namespace) -> Pid {
    wait::until_some(PATIENCE, "the relay's process", || {
        let output = try_kubectl(&["-n", namespace.name(), "get", "pod", "outbound-0", "-o", "json"], "");
        let pod: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let id =
            pod.pointer("/status/containerStatuses/0/containerID")?.as_str()?.strip_prefix("containerd://")?.to_owned();
        let processes =
            fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        processes
            .filter(|process| {
                fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(&id))
            })
            .find_map(Pid::from_raw)
    })
}
