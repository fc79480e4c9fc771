#!/usr/bin/env python3
"""The health checks of docs/gitops.md, run as Argo CD runs them: by Lua, with the object as a table."""

import re
import subprocess

import yaml

from chart import ROOT, check, main

PREFIX = "resource.customizations.health."


def condition(kind, status, message="a sentence"):
    return {"type": kind, "status": status, "reason": "Reason", "message": message}


def of(generation, *conditions):
    return {"observedGeneration": generation, "conditions": list(conditions)}


# The check, the object's status at generation 2, and what is to come of it.
CASES = [
    ("SMTPRelay", None, "Progressing"),
    ("SMTPRelay", of(1, condition("Ready", "True")), "Progressing"),
    ("SMTPRelay", of(2), "Degraded"),
    ("SMTPRelay", of(2, condition("Ready", "False"), condition("Progressing", "True")), "Progressing"),
    ("SMTPRelay", of(2, condition("Ready", "False"), condition("Progressing", "False")), "Degraded"),
    ("SMTPRelay", of(2, condition("Ready", "True"), condition("Progressing", "False")), "Healthy"),
    ("SMTPRelay", of(2, condition("Ready", "True"), condition("Delivering", "False")), "Healthy"),
    ("SMTPRelay", of(1, condition("Ready", "True"), condition("Paused", "True")), "Suspended"),
    ("SMTPRelay", of(2, condition("Ready", "True"), condition("Paused", "False")), "Healthy"),
    ("TCPSchedule", None, "Progressing"),
    ("TCPSchedule", of(1, condition("Accepted", "True")), "Progressing"),
    ("TCPSchedule", of(2, condition("Accepted", "True")), "Healthy"),
    ("TCPSchedule", of(2, condition("Accepted", "False")), "Degraded"),
    ("TCPSchedule", of(2), "Degraded"),
    ("SMTPAccess", None, "Progressing"),
    ("SMTPAccess", of(2, condition("Accepted", "True")), "Healthy"),
    ("SMTPAccess", of(2, condition("Accepted", "False")), "Degraded"),
    ("SMTPAccess", of(2, condition("Accepted", "Unknown")), "Degraded"),
]


def lua(value):
    """A value as Lua writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{lua(key)}] = {lua(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(lua, value)) + "}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)


def checks():
    """The scripts of the page, by the kind that they are for."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/gitops.md").read_text(), re.MULTILINE | re.DOTALL)
    data = [block for block in map(yaml.safe_load, blocks) if "data" in block]
    return {key.removeprefix(f"{PREFIX}mailsluice.dev_"): script for block in data for key, script in block["data"].items()}


def argo_cd():
    """Argo CD's health checks tell a relay that is on its way from one that is not, and from one whose mail waits."""
    scripts = checks()
    check(set(scripts) == {kind for kind, _, _ in CASES}, f"checks for {sorted(scripts)}")
    for kind, status, expected in CASES:
        thing = {"metadata": {"generation": 2}} | ({"status": status} if status else {})
        program = f"local obj = {lua(thing)}\nlocal function health()\n{scripts[kind]}\nend\nlocal found = health()\nprint(found.status)\nprint(found.message)"
        process = subprocess.run(["lua5.4", "-"], input=program, capture_output=True, text=True)
        check(process.returncode == 0, f"{kind}: {process.stderr}")
        found, message = process.stdout.splitlines()
        check(found == expected, f"{kind} with {status}: {found} and not {expected}")
        check(message not in ("", "nil"), f"{kind} with {status}: no message")
    return f"{len(CASES)} statuses"


main(argo_cd)
