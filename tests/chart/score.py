#!/usr/bin/python3
"""kube-score over what the chart renders, and over what the operator makes for relays.

    tests/chart/score.py OPERATOR     the program
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

import fake_api
from chart import BIN, IMAGES, check, main, objects, of_kind
from matrix import ALL

KUBERNETES = "v1.34"
# Not on by itself.
OPTIONAL = ("container-ports-check", "container-seccomp-profile")
# Grades below this are findings.
GOOD = 7
PATIENCE = 60
# What the operator makes for a relay that asks for all of it.
KINDS = {"ServiceAccount", "ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"}

# Findings that are not followed, and why.
PINNED = {
    ("container-image-pull-policy", "ImagePullPolicy is not set to Always"):
        "the tag is a version or a digest, and a pod must be able to start while the registry is away",
}
NO_FILES = {
    ("container-ephemeral-storage-request-and-limit", f"Ephemeral Storage {what} is not set"):
        "the root is read-only, and there is no emptyDir: what counts as ephemeral is the log alone, which the kubelet rotates"
    for what in ("request", "limit")
}
NO_CPU_LIMIT = {("container-resources", "CPU limit is not set"): "it would slow mail down while the node's processors idle"}
NO_MEMORY_LIMIT = {
    ("container-resources", "Memory limit is not set"):
        "what a relay needs grows with its queue: a limit too small would kill it at each start until somebody raises it, mail waiting; podTemplate sets one",
}
OPEN = {
    ("pod-networkpolicy", "The pod does not have a matching NetworkPolicy"):
        "whoever installs it knows from where Prometheus and clients come: it is made where it is asked for, and scored there",
}
PLACED = {
    ("deployment-has-host-podantiaffinity", "Deployment does not have a host podAntiAffinity set"):
        "the affinity of whoever installs it takes the place of the chart's",
}
SPREAD = {
    ("statefulset-has-host-podantiaffinity", "StatefulSet does not have a host podAntiAffinity set"):
        "topologySpreadConstraints keep the pods apart, over zones too",
}
OF_CHART = {
    "Deployment/mailsluice": PINNED | NO_FILES | NO_CPU_LIMIT | OPEN,
    # The one with all the values that there are.
    "Deployment/sluice": PINNED | NO_FILES | PLACED,
}
OF_RELAYS = {
    "StatefulSet/outbound": PINNED | NO_FILES | NO_CPU_LIMIT | NO_MEMORY_LIMIT | OPEN,
    "StatefulSet/fenced": PINNED | NO_FILES | NO_CPU_LIMIT | NO_MEMORY_LIMIT | SPREAD,
}


def score(documents):
    """The findings of kube-score: the object, the check and what it says; and how many checks were made."""
    optional = [argument for name in OPTIONAL for argument in ("--enable-optional-test", name)]
    command = [BIN / "kube-score", "score", "--output-format=json", f"--kubernetes-version={KUBERNETES}", *optional, "-"]
    process = subprocess.run(command, input=yaml.safe_dump_all(documents), capture_output=True, text=True)
    check(process.stdout.startswith("["), process.stdout + process.stderr)
    found, count = set(), 0
    for scored in json.loads(process.stdout):
        what = f"{scored['type_meta']['kind']}/{scored['object_meta']['name']}"
        for made in scored["checks"]:
            count += not made["skipped"]
            if not made["skipped"] and made["grade"] < GOOD:
                found |= {(what, made["check"]["id"], comment["summary"]) for comment in made["comments"] or [{"summary": ""}]}
    return found, count


def judge(excuses, *lots):
    """Holds the findings in these lots of objects to the excuses: neither a finding without one, nor one without a finding."""
    scored = [score(lot) for lot in lots]
    found = set().union(*(one for one, _ in scored))
    excused = {(what, *finding) for what, findings in excuses.items() for finding in findings}
    lines = [f"{what}: {name}: {said}" for what, name, said in sorted(found - excused)]
    lines += [f"{what}: {name}: {said}: the excuse is not needed any more" for what, name, said in sorted(excused - found)]
    check(not lines, "\n".join(lines))
    count = sum(count for _, count in scored)
    check(count > 20, f"kube-score made {count} checks")
    return f"{count} checks, {len(found)} findings excused"


def made_for_relays(operator):
    """What the operator applies for relays."""
    server = fake_api.start()
    # The status says what came of it, and so is written last.
    done = {("SMTPRelay", relay["metadata"]["name"]) for relay in (fake_api.RELAY, fake_api.FENCED)}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        key, kubeconfig = Path(folder) / "key", Path(folder) / "kubeconfig"
        key.write_text("k" * 64)
        kubeconfig.write_text(yaml.safe_dump(fake_api.kubeconfig(server)))
        command = [operator, "--relay-image=registry.example/mailsluice-relay:0.1.0", "--monitor-key-file", key, "--http", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"KUBECONFIG": str(kubeconfig)})
        try:
            end = time.monotonic() + PATIENCE
            while not done <= server.applied.keys():
                log.seek(0)
                check(time.monotonic() < end and process.poll() is None, f"without a status: {done - server.applied.keys()}\n{log.read()}")
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
    server.shutdown()
    made = [value for (kind, _), value in server.applied.items() if kind in KINDS]
    kinds = {document["kind"] for document in made}
    check(kinds == KINDS, f"not made: {KINDS - kinds}")
    return made


def finds_what_is_wrong():
    """kube-score finds an image without a version."""
    deployment, = of_kind(objects(IMAGES), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/mailsluice-operator"
    found, _ = score([deployment])
    check(("Deployment/mailsluice", "container-image-tag", "Image with latest tag") in found, f"{sorted(found)}")


def chart_is_scored():
    """kube-score finds nothing in the chart, with its own values and with all that there are, that has no excuse."""
    return judge(OF_CHART, objects(IMAGES), objects(ALL))


def relays_are_scored():
    """kube-score finds nothing in what the operator makes for a relay, closed off or not, that has no excuse."""
    check(len(sys.argv) == 2, __doc__)
    return judge(OF_RELAYS, made_for_relays(sys.argv[1]))


if __name__ == "__main__":
    main(finds_what_is_wrong, chart_is_scored, relays_are_scored)
