//! A host that takes few connections from an address at a time, and its time for each message: mail for it piles up, and more pods
//! send more of it. In the end it can be told to hurry.

use std::{fs, path::PathBuf};

use mailsluice_tests::cluster::{self, Namespace};

const OBJECTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: north}
spec: {selector: {host: north}, ports: [{name: smtp, port: 25, targetPort: 2525}]}
---
apiVersion: v1
kind: Pod
metadata: {name: north, labels: {host: north}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: mail, emptyDir: {}}]
  containers:
  - name: host
    image: localhost/python:test
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    readinessProbe: {exec: {command: [/usr/bin/python3, -c, "open('/mail/subjects')"]}, periodSeconds: 1}
    volumeMounts: [{name: mail, mountPath: /mail}]
    args:
    - -c
    - |
      import collections, os, socketserver, threading, time
      CONNECTIONS, SECONDS = 4, 0.2
      lock, sessions = threading.Lock(), collections.Counter()

      class Host(socketserver.StreamRequestHandler):
          def say(self, line):
              self.wfile.write(line.encode() + b"\r\n")

          def handle(self):
              client = self.client_address[0]
              with lock:
                  sessions[client] += 1
                  crowded = sessions[client] > CONNECTIONS and not os.path.exists("/mail/hurry")
              try:
                  self.say("421 4.7.0 too many connections from your address") if crowded else self.converse()
              except OSError:
                  pass
              with lock:
                  sessions[client] -= 1

          def converse(self):
              self.say("220 north ESMTP")
              for line in self.rfile:
                  verb = line.split(b" ")[0].strip().upper()
                  if verb == b"DATA":
                      self.say("354 go on")
                      self.take()
                  self.say("250-north\r\n250 8BITMIME" if verb == b"EHLO" else "250 2.0.0 ok")
                  if verb == b"QUIT":
                      return

          def take(self):
              subject = None
              while (line := self.rfile.readline()) != b".\r\n":
                  if not line:
                      raise OSError("the client has gone")
                  if subject is None and line.startswith(b"Subject: "):
                      subject = line[9:].decode().strip()
              if not os.path.exists("/mail/hurry"):
                  time.sleep(SECONDS)
              with lock:
                  print(subject, file=subjects, flush=True)

      class Server(socketserver.ThreadingTCPServer):
          daemon_threads, request_queue_size = True, 128

      server = Server(("", 2525), Host)
      subjects = open("/mail/subjects", "w")
      server.serve_forever()
"#;

/// The host, in a pod behind a Service.
pub(crate) struct Host {
    /// Its mail domain.
    pub(crate) domain: String,
    folder: PathBuf,
}

impl Host {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(namespace: &Namespace) -> Host {
        namespace.apply(OBJECTS);
        namespace.kubectl(&["wait", "--for=condition=Ready", "pod/north", "--timeout=60s"]);
        let uid = namespace.at("pod", "north", "/metadata/uid");
        // Its volume is a folder of this machine.
        let folder = cluster::run().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/mail"));
        Host { domain: format!("north.{}.mx.test", namespace.name()), folder }
    }

    /// From now on it takes whatever comes, at once.
    pub(crate) fn hurry(&self) {
        fs::write(self.folder.join("hurry"), "").expect("tell the host");
    }

    /// The subjects of all messages that it has taken, in their order.
    pub(crate) fn taken(&self) -> Vec<String> {
        let file = self.folder.join("subjects");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.lines().map(str::to_owned).collect()
    }
}
