"""The manifests in deploy/, for those without Helm: what helm renders of the chart, without what is Helm's."""

import os
import shutil
import subprocess

import yaml

from paths import CHART, GENERATED, ROOT

NAMESPACE = "mailsluice"
KEY = "mailsluice-monitor-key"
VALUES = {
    # Names without a registry: the overlay says where yours are.
    "operator": {"image": {"repository": "mailsluice-operator"}},
    "relay": {"image": {"repository": "mailsluice-relay"}},
    # A key that is in a repository is none: deploy/README.md says how to make it.
    "monitorKey": {"existingSecret": KEY},
    "crds": {"install": False},
}
MONITORING = {
    "metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
    "prometheusRule": {"enabled": True},
}
HELMS = ("app.kubernetes.io/managed-by", "helm.sh/chart")


class Unrendered(Exception):
    """helm is not there, or cannot render the chart."""


class Dumper(yaml.SafeDumper):
    """Writes YAML as a person would: no aliases, long texts in blocks."""

    def ignore_aliases(self, data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def helm():
    built = os.path.join(os.environ.get("MAILSLUICE_CLUSTER", ROOT / "target/cluster"), "bin/helm")
    found = built if os.access(built, os.X_OK) else shutil.which("helm")
    if not found:
        raise Unrendered("helm is neither in target/cluster/bin (tests/cluster/build helm) nor on the PATH")
    return found


def rendered(values):
    # The same whatever helm takes for the newest Kubernetes.
    about = ["--kube-version", "1.34.0", "--api-versions", "monitoring.coreos.com/v1"]
    command = [helm(), "template", "mailsluice", CHART, "-n", NAMESPACE, *about, "-f", "-"]
    process = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True)
    if process.returncode:
        raise Unrendered(process.stderr)
    return [without_helm(document) for document in yaml.safe_load_all(process.stdout) if document]


def without_helm(value):
    """Without the labels by which Helm knows its own."""
    if isinstance(value, list):
        return [without_helm(part) for part in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("labels"), dict):
        value = value | {"labels": {key: text for key, text in value["labels"].items() if key not in HELMS}}
    return {key: without_helm(part) for key, part in value.items()}


def namespace():
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def text_of(documents):
    texts = [yaml.dump(document, Dumper=Dumper, sort_keys=False, width=160, allow_unicode=True) for document in documents]
    return GENERATED + "---\n" + "---\n".join(texts)


def operator():
    return [namespace(), *rendered(VALUES)]


def files():
    """What the files in deploy/ should hold."""
    monitoring = [document for document in rendered(VALUES | MONITORING) if document["apiVersion"].startswith("monitoring.coreos.com/")]
    return {
        ROOT / "deploy/base/mailsluice.yaml": text_of(operator()),
        ROOT / "deploy/monitoring/monitoring.yaml": text_of(monitoring),
    }


def bundle():
    """The definitions, the namespace and the operator in one file."""
    definitions = [file.read_text() for file in sorted((ROOT / "crds").glob("*.yaml"))]
    return text_of(operator()) + "".join(f"---\n{text}" for text in definitions)
