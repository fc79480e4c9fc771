//! Unmodified programs in pods that send one message after the other through their sidecars, and note what they see.

use std::{fs, path::PathBuf, time::Duration};

use mailsluice_tests::cluster::{self, Namespace};
use serde_json::{Value, json};

use crate::gateway::{self, Gateway};

/// What each runs: it prints the subject of each message that was answered 250, and each error, as it would show to whoever uses it.
const PROGRAM: &str = r#"
import os, smtplib, sys, time
name, to, pause = sys.argv[1:]
number = 0
stopped = lambda: os.path.exists("/control/stop")
while not stopped():
    try:
        with smtplib.SMTP("localhost", 2525, timeout=60) as smtp:
            for _ in range(20):
                if stopped():
                    break
                number += 1
                text = f"From: <shop@example.org>\r\nSubject: {name}-{number}\r\n\r\nHello.\r\n"
                smtp.sendmail("shop@example.org", [to], text)
                print(f"{name}-{number}", flush=True)
                time.sleep(float(pause))
    except (OSError, smtplib.SMTPException) as error:
        print(f"ERROR {name}-{number} {type(error).__name__} {error}", flush=True)
        time.sleep(0.5)
"#;

/// Some of them, of one name.
pub(crate) struct Applications<'a> {
    shop: &'a Namespace,
    name: &'static str,
    pods: Vec<String>,
    controls: Vec<PathBuf>,
}

/// What they have seen.
pub(crate) struct Seen {
    /// The subjects of messages that were answered 250.
    pub(crate) answered: Vec<String>,
    /// Each error, in words.
    pub(crate) errors: Vec<String>,
}

impl<'a> Applications<'a> {
    /// Starts so many, and waits until all are ready.
    pub(crate) fn start(
        gateway: &Gateway,
        shop: &'a Namespace,
        name: &'static str,
        (count, pause): (usize, Duration),
    ) -> Applications<'a> {
        let pods: Vec<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
        let pod = |pod: &String| -> Value {
            let containers = json!([{
                "name": "program",
                "image": "localhost/python:test",
                "args": ["-c", PROGRAM, pod, gateway.recipient(), pause.as_secs_f64().to_string()],
                "volumeMounts": [{"name": "control", "mountPath": "/control"}],
            }]);
            let mut pod = gateway.pod(pod, &containers, &json!([{"name": "control", "emptyDir": {}}]));
            pod["metadata"]["labels"]["app"] = json!(name);
            pod
        };
        shop.apply(&gateway::injected(pods.iter().map(pod).collect()));
        shop.kubectl(&["wait", "--for=condition=Ready", "pod", "-l", &format!("app={name}"), "--timeout=180s"]);
        let control = |pod: &String| {
            let uid = shop.at("pod", pod, "/metadata/uid");
            cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/control"))
        };
        let controls = pods.iter().map(control).collect();
        Applications { shop, name, pods, controls }
    }

    /// What they have seen so far.
    pub(crate) fn seen(&self) -> Seen {
        let selector = format!("app={}", self.name);
        let said =
            self.shop.kubectl(&["logs", "-l", &selector, "-c", "program", "--tail=-1", "--max-log-requests=100"]);
        let (errors, answered) = said.lines().map(str::to_owned).partition(|line: &String| line.starts_with("ERROR "));
        Seen { answered, errors }
    }

    /// Stops them, each behind its message under way; what they have seen.
    pub(crate) fn stop(self) -> Seen {
        for control in &self.controls {
            fs::write(control.join("stop"), "").unwrap_or_else(|error| panic!("{}: {error}", control.display()));
        }
        let pods = self.pods.iter().map(|pod| format!("pod/{pod}"));
        let mut arguments: Vec<String> =
            ["wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s"].map(str::to_owned).into();
        arguments.extend(pods);
        self.shop.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        self.seen()
    }
}
