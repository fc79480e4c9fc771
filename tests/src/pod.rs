//! Pods that tests put beside the relays: sinks to deliver to, and clients with nothing but Python's smtplib. And the end of any pod's process.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    cluster::{self, Namespace},
    sink::{self, Received},
    wait,
};

/// What every pod here says, so that a namespace that enforces `restricted` takes it, and its user may have port 25.
const SECURITY: &str = "securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]}";
const CONTAINER_SECURITY: &str =
    "securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}";

/// A sink in a pod, behind a Service of its name with port 25; domain NAME.NAMESPACE.mx.test has it as its mail exchanger.
#[derive(Debug)]
pub struct SinkPod {
    folder: PathBuf,
    /// The mail domain that it is for.
    pub domain: String,
}

impl SinkPod {
    /// Starts one, and waits until it is ready.
    #[must_use]
    pub fn start(namespace: &Namespace, name: &str) -> SinkPod {
        SinkPod::start_at(namespace, name, 2525, "IPv4")
    }

    /// Starts one whose pod listens on that port, and whose Service is of that family.
    #[must_use]
    pub fn start_at(namespace: &Namespace, name: &str, port: u16, family: &str) -> SinkPod {
        namespace.apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{sink: {name}}}}}
spec:
  automountServiceAccountToken: false
  {SECURITY}
  containers:
  - name: sink
    image: localhost/mailsluice-relay:test
    args: [sink, '[::]:{port}', --save, /mail]
    {CONTAINER_SECURITY}
    readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}
    volumeMounts: [{{name: mail, mountPath: /mail}}]
  volumes: [{{name: mail, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{sink: {name}}}, ipFamilies: [{family}], ports: [{{name: smtp, port: 25, targetPort: {port}}}]}}
"
        ));
        namespace.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
        let uid = namespace.at("pod", name, "/metadata/uid");
        // The pod has no shell to look with, but its volume is a folder of this machine.
        let folder = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/mail"));
        SinkPod { folder, domain: format!("{name}.{}.mx.test", namespace.name()) }
    }

    /// How many messages have arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        sink::count(&self.folder)
    }

    /// The messages that have arrived.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        sink::read(&self.folder)
    }

    /// Waits until all of these subjects have arrived, or until the time is over; what had arrived by then.
    #[must_use]
    pub fn await_subjects(&self, answered: &[String], limit: Duration) -> Arrived {
        let end = Instant::now() + limit;
        loop {
            let received = self.received();
            let distinct: HashSet<String> = received.iter().map(Received::subject).collect();
            let lost: Vec<String> = answered.iter().filter(|subject| !distinct.contains(*subject)).cloned().collect();
            if lost.is_empty() || Instant::now() > end {
                return Arrived { lost, twice: received.len() - distinct.len() };
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Waits for so many messages.
    #[must_use]
    pub fn await_messages(&self, count: usize, limit: Duration) -> Vec<Received> {
        wait::until_some(limit, &format!("{count} messages arrive for {}", self.domain), || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }
}

/// What became of messages that were answered 250.
#[derive(Debug)]
pub struct Arrived {
    /// Those that did not arrive.
    pub lost: Vec<String>,
    /// How many arrived again, counting each copy beyond the first.
    pub twice: usize,
}

/// A pod that sends one message after the other until it is told to stop, whatever becomes of the relay.
#[derive(Debug)]
pub struct Sender {
    name: String,
    control: PathBuf,
}

/// What it runs; it prints the subject of each message that was answered 250.
const SENDER: &str = r#"
import os, smtplib, sys, time
name, domain, pause, most = sys.argv[1:]
number = 0
while not os.path.exists("/control/stop"):
    try:
        with smtplib.SMTP("outbound", 25, timeout=5) as smtp:
            for _ in range(int(most)):
                if os.path.exists("/control/stop"):
                    break
                number += 1
                text = f"Subject: {name}-{number}\r\n\r\ntext\r\n"
                smtp.sendmail("shop@example.org", [f"a@{domain}"], text)
                print(f"{name}-{number}", flush=True)
                time.sleep(float(pause))
    except (OSError, smtplib.SMTPException):
        time.sleep(0.02)
"#;

impl Sender {
    /// Starts one that sends to this domain by the relay `outbound`, with a pause after each message, over one connection while it lasts.
    #[must_use]
    pub fn start(namespace: &Namespace, name: &str, domain: &str, pause: Duration) -> Sender {
        Sender::start_anew_after(u32::MAX, namespace, name, domain, pause)
    }

    /// The same, over a new connection after so many messages: pods that come have their share.
    #[must_use]
    pub fn start_anew_after(most: u32, namespace: &Namespace, name: &str, domain: &str, pause: Duration) -> Sender {
        let script: String = SENDER.lines().map(|line| format!("      {line}\n")).collect();
        namespace.apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  {SECURITY}
  containers:
  - name: client
    image: localhost/python:test
    {CONTAINER_SECURITY}
    volumeMounts: [{{name: control, mountPath: /control}}]
    args:
    - -c
    - |
{script}    - {name}
    - {domain}
    - \"{}\"
    - \"{most}\"
  volumes: [{{name: control, emptyDir: {{}}}}]
",
            pause.as_secs_f64()
        ));
        let uid = namespace.at("pod", name, "/metadata/uid");
        let control = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/control"));
        Sender { name: name.to_owned(), control }
    }

    /// Stops it; the subjects of the messages that were answered 250.
    #[must_use]
    pub fn stop(self, namespace: &Namespace) -> Vec<String> {
        let stop = self.control.join("stop");
        fs::write(&stop, "").unwrap_or_else(|error| panic!("{}: {error}", stop.display()));
        namespace.await_at("pod", &self.name, "/status/phase", "Succeeded");
        namespace.kubectl(&["logs", &self.name]).lines().map(str::to_owned).collect()
    }
}

/// A pod that runs what it is told, in Python, until its namespace goes.
#[derive(Debug)]
pub struct Visitor<'a> {
    namespace: &'a Namespace,
}

/// Of each address and port, whether a connection came about.
const REACH: &str = r#"
import socket, sys
for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        socket.create_connection((address, int(port)), timeout=5).close()
        print("reached")
    except OSError:
        print("not")
"#;

/// Prints the reply to a message for that recipient, or to what was refused before.
const SEND: &str = r#"
import smtplib, sys
host, to = sys.argv[1:]
with connect(host, 25) as smtp:
    smtp.ehlo()
    smtp.mail("shop@example.org")
    code, said = smtp.rcpt(to)
    if code == 250:
        code, said = smtp.data("From: <shop@example.org>\r\nSubject: by a visitor\r\n\r\nHello.\r\n")
    print(code, said.decode())
"#;

impl<'a> Visitor<'a> {
    /// Starts one in a namespace, and waits until it runs.
    #[must_use]
    pub fn start(namespace: &'a Namespace) -> Visitor<'a> {
        namespace.apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: visitor}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  {SECURITY}
  containers:
  - name: visitor
    image: localhost/python:test
    {CONTAINER_SECURITY}
    args: [-c, 'import time; time.sleep(3600)']
"
        ));
        namespace.kubectl(&["wait", "--for=condition=Ready", "pod/visitor", "--timeout=60s"]);
        Visitor { namespace }
    }

    /// Its addresses, of both families, the IPv4 one first.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let pod = self.namespace.object("pod", "visitor").expect("the pod");
        let addresses = pod["status"]["podIPs"].as_array().into_iter().flatten();
        addresses.filter_map(|address| address["ip"].as_str().map(str::to_owned)).collect()
    }

    /// To which of these addresses and ports a connection comes about.
    #[must_use]
    pub fn reaches(&self, targets: &[(&str, u16)]) -> Vec<bool> {
        let words: Vec<String> =
            targets.iter().flat_map(|(address, port)| [(*address).to_owned(), port.to_string()]).collect();
        self.run(REACH, &words).lines().map(|line| line == "reached").collect()
    }

    /// Sends a message by the relay at this address or name; what the relay answered last.
    #[must_use]
    pub fn sends(&self, relay: &str, to: &str) -> String {
        self.run(&[CONNECT, SEND].concat(), &[relay.to_owned(), to.to_owned()])
    }

    fn run(&self, script: &str, arguments: &[String]) -> String {
        let mut typed = vec!["exec", "visitor", "--", "/usr/bin/python3", "-c", script];
        typed.extend(arguments.iter().map(String::as_str));
        self.namespace.kubectl(&typed)
    }
}

/// `kill -9` of the process of a pod's first container; whether there was one.
pub fn kill(namespace: &Namespace, pod: &str) -> bool {
    let found = namespace.object("pod", pod);
    let first = found.as_ref().and_then(|pod| pod.pointer("/status/containerStatuses/0"));
    first.and_then(process_of).is_some_and(|process| kill_process(process, Signal::KILL).is_ok())
}

/// `kill -9` of the process of the container of this name, a sidecar's too; whether there was one.
pub fn kill_container(namespace: &Namespace, pod: &str, container: &str) -> bool {
    let Some(found) = namespace.object("pod", pod) else { return false };
    let statuses = ["initContainerStatuses", "containerStatuses"].map(|kind| found["status"][kind].as_array());
    let mut statuses = statuses.into_iter().flatten().flatten();
    let status = statuses.find(|status| status["name"] == container);
    status.and_then(process_of).is_some_and(|process| kill_process(process, Signal::KILL).is_ok())
}

/// The process of a container of this status, as this machine numbers it.
fn process_of(status: &Value) -> Option<Pid> {
    let id = status["containerID"].as_str()?.strip_prefix("containerd://")?.to_owned();
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    processes
        .filter(|process| {
            fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(&id))
        })
        .find_map(Pid::from_raw)
}

/// Python's `connect(host, port)`, which waits: a Service and its name lead to a pod a moment after that is ready.
pub const CONNECT: &str = r#"
import smtplib, time
def connect(host, port):
    end = time.monotonic() + 60
    while True:
        try:
            return smtplib.SMTP(host, port, timeout=20)
        except OSError as error:
            if isinstance(error, smtplib.SMTPException) or time.monotonic() > end:
                raise
            time.sleep(0.2)
"#;

/// Sends `count` messages to each of `domains` from a pod that has nothing but Python's smtplib, one session for each
/// domain; their subjects are `message 0` and on, and their text is what [`crate::mail::text`] makes.
pub fn send(namespace: &Namespace, relay: &str, domains: &[&str], count: usize) {
    let domains = domains.join(" ");
    let script = r#"
import sys
relay, count, *domains = sys.argv[1:]
lines = [".", "..", ".leading dot", "trailing space ", "", "\ttab", "From here", "caffè", "quoted = =3D"]
number = 0
for domain in domains:
    with connect(relay, 25) as smtp:
        for _ in range(int(count)):
            head = f"From: <shop@example.org>\r\nTo: <someone@example.com>\r\nSubject: message {number}\r\n\r\n"
            text = head + "".join(line + "\r\n" for line in lines)
            smtp.sendmail("shop@example.org", [f"someone@{domain}"], text.encode(), mail_options=["BODY=8BITMIME"])
            number += 1
print("sent", number)
"#;
    let script: String = CONNECT.lines().chain(script.lines()).map(|line| format!("      {line}\n")).collect();
    let arguments: String = domains.split(' ').map(|domain| format!("    - {domain}\n")).collect();
    namespace.apply(&format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  {SECURITY}
  containers:
  - name: client
    image: localhost/python:test
    {CONTAINER_SECURITY}
    args:
    - -c
    - |
{script}    - {relay}
    - \"{count}\"
{arguments}"
    ));
    wait::until_some(cluster::PATIENCE, "the client has ended", || {
        let phase = namespace.at("pod", "client", "/status/phase");
        assert_ne!(phase, "Failed", "the client failed:\n{}", namespace.kubectl(&["logs", "client"]));
        (phase == "Succeeded").then_some(())
    });
    namespace.kubectl(&["delete", "pod", "client", "--grace-period=1"]);
}
