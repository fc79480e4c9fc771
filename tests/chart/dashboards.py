#!/usr/bin/python3
"""Dashboards, rules and docs against what relay and operator really export.

A real Prometheus scrapes a real relay under a small load, and a real operator, whose API server is a stand-in (fake_api.py). Every
expression of the dashboards is run there and must bring data; every metric that an expression or docs/monitoring.md names must exist.

    tests/chart/dashboards.py RELAY OPERATOR     the programs
"""

import contextlib
import json
import os
import re
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import autoscaler
import fake_api
from chart import CHART, ROOT, Failed, check, main
from rules import GROUPS

DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((CHART / "dashboards").glob("*.json"))}
VARIABLES = {"namespace": "shop", "relay": "outbound", "pod": ".*", "schedule": "gate", "__rate_interval": "30s"}
# What Prometheus itself exports.
OTHERS = {"up"}
PATIENCE = 60
MANIFESTS = """
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {{name: outbound}}
spec:
  scheduleRef: {{name: gate}}
  listeners: [{{name: smtp, port: {smtp}, tls: {{secretName: outbound-tls}}}}]
  clients: [{{networks: ["127.0.0.0/8"], senders: ["@example.org"]}}]
  routes:
  - {{domains: [held.example], smarthost: {{host: 127.0.0.1, port: 1}}}}
  - {{domains: ["*"], smarthost: {{host: 127.0.0.1, port: {sink}}}}}
---
apiVersion: mailsluice.dev/v1alpha1
kind: TCPSchedule
metadata: {{name: gate}}
spec: {{default: Open, windows: [{{from: "00:00", to: "00:01", link: Closed}}]}}
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def until(what, function):
    """What the function returns once it is something."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            found = function()
            if found:
                return found
        check(time.monotonic() < end, f"{what}: not so after {PATIENCE} s")
        time.sleep(0.1)


def until_empty(function):
    """Waits until the function returns an empty list; what is left is what failed."""
    end = time.monotonic() + PATIENCE
    while left := function():
        check(time.monotonic() < end, "no data:\n" + "\n".join(f"{what}: {text}" for what, text in left))
        time.sleep(0.5)


class Site:
    """The relay, a host for its mail, the operator and Prometheus; all of it goes with the folder."""

    def __init__(self, relay, operator, stack):
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack = stack
        ports = {name: free_port() for name in ("smtp", "sink", "relay", "operator", "prometheus")}
        self.prometheus = f"http://127.0.0.1:{ports['prometheus']}"
        self.relay, self.operator = (f"http://127.0.0.1:{ports[name]}/metrics" for name in ("relay", "operator"))
        manifests = self.write("relay.yaml", MANIFESTS.format(**ports))
        self.certificate(self.folder / "outbound-tls")
        self.start("sink", relay, "sink", f"127.0.0.1:{ports['sink']}")
        self.start("relay", relay, "run", manifests, "--spool", self.folder / "spool", "--http", f"127.0.0.1:{ports['relay']}")
        api = fake_api.start()
        stack.callback(api.shutdown)
        self.start("operator", operator, "--relay-image=relay", "--monitor-key-file", self.write("key", "k" * 64), "--http",
                   f"127.0.0.1:{ports['operator']}", KUBECONFIG=str(self.write("kubeconfig", yaml.safe_dump(fake_api.kubeconfig(api)))))
        scrape = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                self.job("mailsluice-relay", ports["relay"], relay="outbound", namespace="shop", pod="outbound-0"),
                self.job("mailsluice-operator", ports["operator"], namespace="mailsluice", pod="mailsluice-0"),
            ],
        }
        self.start("prometheus", "prometheus", "--config.file", self.write("prometheus.yaml", yaml.safe_dump(scrape)), "--storage.tsdb.path",
                   self.folder / "data", "--web.listen-address", f"127.0.0.1:{ports['prometheus']}", "--log.level=warn")
        self.smtp = ports["smtp"]

    @staticmethod
    def job(name, port, **labels):
        static = [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]
        return {"job_name": name, "honor_labels": True, "static_configs": static}

    @staticmethod
    def certificate(folder):
        """A Secret of type kubernetes.io/tls."""
        folder.mkdir()
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "tls.key"]
        command = ["openssl", "req", "-x509", *key, "-out", folder / "tls.crt", "-subj", "/CN=localhost", "-days", "30"]
        process = subprocess.run(command, capture_output=True, text=True)
        check(process.returncode == 0, process.stderr)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def start(self, name, *command, **more):
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | more)
        self.stack.callback(log.close)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)

    def logs(self):
        return "\n".join(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log")))

    def load(self):
        """Mail that is delivered, mail that waits, a refusal."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=10) as session:
            for number in range(3):
                text = f"From: a@example.org\r\nSubject: {number}\r\n\r\nHello\r\n"
                session.sendmail("a@example.org", ["b@example.com"], text)
            session.sendmail("a@example.org", ["b@held.example"], text)
            with contextlib.suppress(smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused):
                session.sendmail("a@not.example", ["b@example.com"], text)
                raise Failed("a sender that is not the client's was taken")

    def keep_loading(self):
        """Till the relay is gone."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            while True:
                self.load()
                # A session with a host ends, and is counted, when for two seconds there was nothing for it.
                time.sleep(3)

    def query(self, expression):
        """The samples of an expression now."""
        try:
            answer = get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        except urllib.error.HTTPError as error:
            raise Failed(f"{expression}: {error.read().decode()}") from None
        return json.loads(answer)["data"]["result"]

    def names(self):
        return set(json.loads(get(f"{self.prometheus}/api/v1/label/__name__/values"))["data"])


STACK = contextlib.ExitStack()


def site():
    """One site for all checks."""
    if not hasattr(site, "made"):
        check(len(sys.argv) == 3, __doc__)
        site.made = Site(sys.argv[1], sys.argv[2], STACK)
        try:
            until("the relay is ready", lambda: get(site.made.relay.replace("/metrics", "/readyz")))
            until("the operator has written", lambda: 'writes_total{object="SMTPRelay/status"}' in get(site.made.operator))
            until("Prometheus is ready", lambda: get(f"{site.made.prometheus}/-/ready"))
            site.made.load()
            threading.Thread(target=site.made.keep_loading, daemon=True).start()
            until("mail goes out", lambda: site.made.query("rate(mailsluice_recipients_delivered_total[30s]) > 0"))
        except Failed as failure:
            raise Failed(f"{failure}\n{site.made.logs()}") from None
    return site.made


def expressions():
    """Every expression of the dashboards, with where it stands."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: variable {variable['name']}", re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])[1]


def filled(expression):
    return re.sub(r"\$(\w+)", lambda found: VARIABLES[found[1]], expression)


def named(expression):
    """The metrics that an expression names."""
    return {word for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r'"[^"]*"', "", expression))
            if word.startswith(("mailsluice_", "up")) and (word == "up" or "_" in word)}


def panels_are_explained():
    """Each panel has a unit, a description and an expression, and lies over no other."""
    count = 0
    for name, dashboard in DASHBOARDS.items():
        check(dashboard["uid"] == f"mailsluice-{name}" and dashboard["title"] and dashboard["description"], name)
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        check({"datasource", "namespace"} <= variables, f"{name}: its variables are {variables}")
        ids, cells = set(), set()
        for panel in dashboard["panels"]:
            what, place = f"{name}: {panel['title']}", panel["gridPos"]
            ids.add(panel["id"])
            own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            check(not own & cells and place["x"] + place["w"] <= 24, f"{what}: lies over another panel")
            cells |= own
            if panel["type"] == "row":
                continue
            count += 1
            check(panel["title"] and panel["description"].endswith("."), f"{what}: no description")
            check(panel["fieldConfig"]["defaults"]["unit"], f"{what}: no unit")
            check(panel["datasource"]["uid"] == "${datasource}", f"{what}: another data source")
            check(panel["targets"] and all(target["expr"] for target in panel["targets"]), f"{what}: no expression")
            used = {word for target in panel["targets"] for word in re.findall(r"\$(\w+)", target["expr"])}
            check(used <= variables | {"__rate_interval"}, f"{what}: {used - variables} are no variables")
        check(len(ids) == len(dashboard["panels"]), f"{name}: a panel's id stands twice")
    return f"{count} panels of {len(DASHBOARDS)} dashboards"


def expressions_bring_data():
    """Every expression of the dashboards brings data from a relay and an operator that run."""
    here = site()

    def without_data():
        return [(what, text) for what, text in wanted if all(sample["value"][1] == "NaN" for sample in here.query(text))]

    wanted = [(what, filled(expression)) for what, expression in expressions()]
    until_empty(without_data)
    return f"{len(wanted)} expressions"


def rules_name_what_exists():
    """Alerts and recording rules name only metrics that relay and operator export."""
    exported, rules = site().names() | OTHERS, [rule for group in GROUPS for rule in group["rules"]]
    for rule in rules:
        own = rule.get("alert") or rule["record"]
        names = named(rule["expr"])
        check(names, f"{own}: it names no metric")
        check(names <= exported, f"{own}: nobody exports {sorted(names - exported)}")
        site().query(rule["expr"])
    for rule in rules:
        if "record" in rule:
            check(site().query(rule["expr"]), f"{rule['record']}: no data")
    return f"{len(rules)} rules"


def docs_name_all():
    """docs/monitoring.md lists the metrics that relay and operator export, all of them and no others."""
    said = set(re.findall(r"`(mailsluice_\w+)`", "".join(
        line.split("|")[1] for line in (ROOT / "docs/monitoring.md").read_text().splitlines() if line.startswith("| `mailsluice_"))))
    exported = {re.sub(r"_(bucket|sum|count)$", "", name) for name in site().names() if name.startswith("mailsluice_")}
    check(said == exported, f"said and not exported: {sorted(said - exported)}; exported and not said: {sorted(exported - said)}")
    return f"{len(said)} metrics"


def an_autoscaler_has_its_metric():
    """Prometheus has what its adapter looks for, and what an autoscaler asks of it."""
    queries = [autoscaler.RULE["seriesQuery"], autoscaler.filled(autoscaler.RULE["metricsQuery"])]
    until_empty(lambda: [("the adapter's rule", query) for query in queries if not site().query(query)])


def runbooks_name_what_exists():
    """Runbooks name only metrics that relay and operator export."""
    names = 0
    for page in sorted((ROOT / "docs/runbooks").glob("*.md")):
        found = set(re.findall(r"\bmailsluice_\w+", page.read_text()))
        names += len(found)
        check(found <= site().names(), f"{page.name}: nobody exports {sorted(found - site().names())}")
    return f"{names} names"


def metrics_are_as_they_should_be():
    """promtool has nothing against the names, helps and types of the metrics."""
    for address in (site().relay, site().operator):
        process = subprocess.run(["promtool", "check", "metrics"], input=get(address), capture_output=True, text=True)
        check(process.returncode == 0, f"{address}\n{process.stdout}{process.stderr}")


if __name__ == "__main__":
    with STACK:
        main(
            panels_are_explained,
            expressions_bring_data,
            rules_name_what_exists,
            docs_name_all,
            an_autoscaler_has_its_metric,
            runbooks_name_what_exists,
            metrics_are_as_they_should_be,
        )
