"""As much of a Kubernetes API server as the operator wants in order to reconcile SMTPRelays and leave one alone: what it applies is taken, and what came last is kept."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

RELAY = {
    "apiVersion": "mailsluice.dev/v1alpha1",
    "kind": "SMTPRelay",
    "metadata": {"name": "outbound", "namespace": "shop", "uid": "11111111-1111-4111-8111-111111111111", "resourceVersion": "2", "generation": 1},
    # A pod that was scaled away has left mail.
    "status": {"queue": {"messages": 0, "bytes": 0, "hosts": 0, "suspendedHosts": 0, "stranded": [{"claim": "spool-outbound-1", "messages": 2}]}},
    "spec": {"clients": [{"networks": ["198.18.0.0/16"]}], "routes": [{"domains": ["*"], "mx": {}}]},
}
# Another one, with several pods and a NetworkPolicy.
FENCED = RELAY | {
    "metadata": RELAY["metadata"] | {"name": "fenced", "uid": "44444444-4444-4444-8444-444444444444"},
    "spec": RELAY["spec"] | {"replicas": 3, "networkPolicy": {}},
}
# Another one, which somebody has paused.
PAUSED = RELAY | {
    "metadata": RELAY["metadata"] | {
        "name": "paused", "uid": "33333333-3333-4333-8333-333333333333", "annotations": {"mailsluice.dev/paused": "true"},
    },
}
RELAYS = {relay["metadata"]["name"]: relay for relay in (RELAY, FENCED, PAUSED)}


class Handler(BaseHTTPRequestHandler):
    """Lists hold these relays; a watch brings nothing; what is applied comes back as it is."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing: a test shows its own failure."""

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        address = urlsplit(self.path)
        parts = address.path.strip("/").split("/")
        if parse_qs(address.query).get("watch"):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            time.sleep(300)
            self.close_connection = True
        elif "namespaces" in parts[:-1] or parts[0] not in ("api", "apis"):
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404,
                      "message": "not found"}
            self.answer(404, status)
        else:
            items = list(RELAYS.values()) if parts[-1] == "smtprelays" else []
            self.answer(200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "2"}, "items": items})

    def take(self, status):
        value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "kind" in value:
            self.server.applied[value["kind"], value["metadata"].get("name")] = value
        own = {"uid": "22222222-2222-4222-8222-222222222222", "resourceVersion": "3", "generation": 1, "namespace": "shop"}
        value["metadata"] = own | value.get("metadata", {})
        if value.get("kind") == "SMTPRelay":
            value = RELAYS[value["metadata"]["name"]] | {"status": value.get("status")}
        self.answer(status, value)

    def do_PUT(self):
        self.take(200)

    def do_PATCH(self):
        self.take(200)

    def do_POST(self):
        self.take(201)


def kubeconfig(server):
    """What leads a program to it."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }


def start():
    """Serves on a free port of loopback until the program ends; `applied` has what came last of each kind and name."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.applied = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
