"""The chart, rendered by helm without a cluster."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/mailsluice"
BIN = Path(os.environ.get("MAILSLUICE_CLUSTER", ROOT / "target/cluster")) / "bin"

# Values without which nothing is rendered.
IMAGES = {
    "operator": {"image": {"repository": "registry.example/mailsluice-operator"}},
    "relay": {"image": {"repository": "registry.example/mailsluice-relay"}},
}
# What the chart has for the Prometheus Operator and for Grafana.
OBSERVED = {
    "metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}
MONITORING = "monitoring.coreos.com/v1"
POLICIES = "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"


class Failed(Exception):
    """A check did not hold; the text has the facts."""


def check(holds, text):
    if not holds:
        raise Failed(text)


def merged(*values):
    """Values laid over each other, as helm does with several -f."""
    result = {}
    for layer in values:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def helm(*arguments, values):
    """Runs helm; the process that has ended. The same is run once."""
    return run_helm(arguments, yaml.safe_dump(values))


@functools.cache
def run_helm(arguments, values):
    return subprocess.run([BIN / "helm", *arguments, "-f", "-"], input=values, capture_output=True, text=True)


def template(values, release="mailsluice", namespace="mailsluice", apis=(MONITORING, POLICIES), kube="1.34.0"):
    """Renders the chart; the process that has ended."""
    versions = [argument for api in apis for argument in ("--api-versions", api)]
    return helm("template", release, CHART, "-n", namespace, "--kube-version", kube, *versions, values=values)


def objects(values, **more):
    """The rendered objects."""
    process = template(values, **more)
    check(process.returncode == 0, f"helm template: {process.stderr}")
    return [document for document in yaml.safe_load_all(process.stdout) if document]


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def main(*checks):
    """Runs checks, each a function with a docstring that says what holds; ends with an error if one does not."""
    failed = False
    for function in checks:
        try:
            counted = function()
            print(f"ok      {function.__doc__.splitlines()[0].rstrip('.')}{f': {counted}' if counted else ''}", flush=True)
        except Failed as failure:
            failed = True
            print(f"FAILED  {function.__doc__.splitlines()[0]}\n{failure}", flush=True)
    sys.exit(failed)
