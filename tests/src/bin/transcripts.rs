//! Draws the examples of `docs/kubectl.md` anew from `kubectl mailsluice` on the test cluster, where mail waits for several hosts: the
//! live Monitor in a terminal, the trace of a message whose host was suspended twice, and the summary page of `support`.
//!
//! `cargo run -p mailsluice-tests --bin transcripts`, with the cluster up and the relay's and operator's images in it. It takes about
//! two minutes.

use std::{fs, process::Command, thread, time::Duration};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    plugin::Person,
    pod::{self, SinkPod},
    process, wait, workspace,
};
use serde_json::Value;
use tempfile::TempDir;

/// Columns and rows of the terminal that the Monitor is shown in.
const SIZE: (u16, u16) = (132, 24);
/// How long the Monitor may take to ask the pods and to draw.
const DRAWN: Duration = Duration::from_secs(4);

/// The relay, and two hosts: one that shuts two sessions out before it takes mail, and one where nobody listens.
const OBJECTS: &str = r#"
apiVersion: mailsluice.dev/v1alpha1
kind: TCPSchedule
metadata: {name: office-hours}
spec: {timeZone: Europe/Rome, default: Open}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: outbound}
spec:
  scheduleRef: {name: office-hours}
  clients: [{networks: [198.18.0.0/24, 'fd00:198:18::/64']}]
  routes: [{domains: ['*'], mx: {privateAddresses: Allow}}]
  retry: {first: 10s, longest: 5m}
  storage: {size: 1Gi}
---
apiVersion: v1
kind: Service
metadata: {name: south}
spec: {selector: {host: south}, ports: [{name: smtp, port: 25, targetPort: 2525}]}
---
apiVersion: v1
kind: Service
metadata: {name: west}
spec: {selector: {host: west}, ports: [{name: smtp, port: 25, targetPort: 2525}]}
---
apiVersion: v1
kind: Pod
metadata: {name: south, labels: {host: south}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: host
    image: localhost/python:test
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    args:
    - -c
    - |
      import socketserver
      greeted = 0
      class Host(socketserver.StreamRequestHandler):
          def say(self, line):
              self.wfile.write(line.encode() + b"\r\n")
          def handle(self):
              global greeted
              greeted += 1
              if greeted <= 2:
                  return self.say("421 4.3.2 south is starting, try again soon")
              self.say("220 south ESMTP")
              for line in self.rfile:
                  verb = line.split(b" ")[0].strip().upper()
                  if verb == b"DATA":
                      self.say("354 go on")
                      while self.rfile.readline() not in (b".\r\n", b""):
                          pass
                  self.say("250-south\r\n250 8BITMIME" if verb == b"EHLO" else "250 2.0.0 ok")
                  if verb == b"QUIT":
                      return
      print("listens", flush=True)
      socketserver.ThreadingTCPServer(("", 2525), Host).serve_forever()
"#;

fn main() {
    cluster::install();
    let namespace = Namespace::new("shop");
    namespace.apply(OBJECTS);
    let _north = SinkPod::start(&namespace, "north");
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "1");
    wait::until_some(PATIENCE, "south listens", || {
        let said = cluster::try_kubectl(&["-n", namespace.name(), "logs", "south"], "");
        String::from_utf8_lossy(&said.stdout).contains("listens").then_some(())
    });
    let ann = Person::with_role(&namespace, "ann", "mailsluice-operate");
    let mut page = fs::read_to_string(workspace().join("docs/kubectl.md")).expect("the page");
    page = put(&page, "trace", &trace(&namespace, &ann));
    let (table, host) = monitor(&namespace, &ann);
    page = put(&page, "monitor", &table);
    page = put(&page, "host", &host);
    page = put(&page, "support", &support(&ann));
    fs::write(workspace().join("docs/kubectl.md"), page).expect("write the page");
}

/// The life of a message to the host that is suspended twice.
fn trace(namespace: &Namespace, ann: &Person) -> String {
    pod::send(namespace, "outbound", &["south.shop.mx.test"], 1);
    let waits = || {
        let answers: Value = serde_json::from_str(&ann.does(&["queue", "south.shop.mx.test", "-o", "json"])).ok()?;
        Some(answers[0]["answer"]["messages"][0]["id"].as_str()?.to_owned())
    };
    let id = wait::until_some(PATIENCE, "a message waits for south", waits);
    wait::until_some(PATIENCE, "south has taken it", || {
        let life = ann.tries(&["trace", &id]);
        String::from_utf8_lossy(&life.stdout).contains("was delivered").then_some(())
    });
    format!("$ kubectl mailsluice trace {id}\n{}", ann.does(&["trace", &id]))
}

/// The live Monitor: all hosts, and then the second one of them.
fn monitor(namespace: &Namespace, ann: &Person) -> (String, String) {
    ann.does(&["hold", "north.shop.mx.test", "--reason", "their server moves"]);
    pod::send(namespace, "outbound", &["north.shop.mx.test"], 3);
    pod::send(namespace, "outbound", &["west.shop.mx.test", "nowhere.mx.test"], 2);
    thread::sleep(DRAWN);
    let terminal = ann.terminal(&["monitor"], SIZE);
    thread::sleep(DRAWN);
    let table = terminal.screen();
    terminal.press(&["Down", "Enter"]);
    thread::sleep(DRAWN);
    let host = terminal.screen();
    terminal.press(&["q", "q"]);
    (format!("$ kubectl mailsluice monitor\n{}", without_empty(&table)), without_empty(&host))
}

/// A screen without more than one empty line at a time.
fn without_empty(screen: &str) -> String {
    let mut lines: Vec<&str> = screen.lines().collect();
    lines.dedup_by(|one, other| one.is_empty() && other.is_empty());
    lines.join("\n") + "\n"
}

/// The first page of an archive.
fn support(ann: &Person) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let archive = folder.path().join("support.tar.gz");
    let file = archive.to_str().expect("a path in UTF-8");
    ann.does(&["support", "--file", file, "--describe", "Mail to the west is late since this morning."]);
    process::run(Command::new("tar").args(["-xzf", file, "--strip-components=1", "-C"]).arg(folder.path()));
    fs::read_to_string(folder.path().join("SUMMARY.md")).expect("the summary")
}

/// The page with this text in the block behind the comment `transcript: NAME`.
fn put(page: &str, name: &str, text: &str) -> String {
    let mark = format!("<!-- transcript: {name} -->\n");
    let (before, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("the page has no {mark}"));
    let (fence, rest) = rest.split_once('\n').expect("a block");
    let (_, after) = rest.split_once("\n```\n").expect("the block's end");
    format!("{before}{mark}{fence}\n{}\n```\n{after}", text.trim_end())
}
