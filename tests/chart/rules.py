#!/usr/bin/python3
"""The alerts and recording rules: promtool reads them, and each alert fires when it should and not else."""

import re
import subprocess
import tempfile
from pathlib import Path

import yaml

from chart import CHART, IMAGES, OBSERVED, ROOT, Failed, check, main, merged, objects, of_kind

TARGET = {
    "job": "mailsluice-relay", "namespace": "shop", "relay": "outbound", "pod": "outbound-0", "instance": "198.18.0.9:8025",
}
OPERATOR = {
    "job": "mailsluice-operator", "namespace": "shop", "relay": "outbound", "pod": "mailsluice-0", "instance": "198.18.0.8:8080",
}
SEVERITIES = {"critical", "warning", "info"}


class Texts(yaml.SafeLoader):
    """Reads every scalar as text: 0x10 is promtool's for ten zeros."""


Texts.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag == "tag:yaml.org,2002:merge"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def rendered():
    """The groups of the PrometheusRule."""
    rules, = of_kind(objects(merged(IMAGES, OBSERVED)), "PrometheusRule")
    return rules["spec"]["groups"]


GROUPS = rendered()
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
SOURCES = {
    alert["alert"]: alert for alerts in yaml.safe_load((CHART / "files/rules/alerts.yaml").read_text()).values() for alert in alerts
}
CASES = yaml.load((Path(__file__).parent / "alerts.yaml").read_text(), Texts)


def promtool(*arguments):
    process = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    check(process.returncode == 0, f"promtool {' '.join(map(str, arguments))}\n{process.stdout}{process.stderr}")
    return process.stdout


def series(name, samples):
    """A series in promtool's format, with the labels of the target that exports it."""
    name, _, own = name.partition("{")
    own = dict(re.findall(r'(\w+)="([^"]*)"', own))
    operator = name.startswith("mailsluice_operator_") or own.get("job") == OPERATOR["job"]
    labels = OPERATOR if operator else TARGET
    labels = ",".join(f'{key}="{value}"' for key, value in {**labels, **own}.items())
    return {"series": f"{name}{{{labels}}}", "values": samples}


def expected(alert, case):
    """What promtool must find of an alert that fires."""
    rule = ALERTS[alert]
    by = case.get("by", list(TARGET))
    labels = {key: TARGET[key] for key in by} | case.get("labels", {})
    description = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], rule["annotations"]["description"])
    description = re.sub(r"\{\{[^}]*\$value[^}]*\}\}", lambda _: case["value"], description)
    check("{{" not in description, f"{alert}: the cases cannot say what {description!r} becomes")
    return {"exp_labels": labels | rule["labels"], "exp_annotations": rule["annotations"] | {"description": description}}


def unit(alert, case, fires):
    return {
        "name": alert,
        "interval": "1m",
        "input_series": [series(name, samples) for name, samples in case["series"].items()],
        "alert_rule_test": [
            {"eval_time": f"{case['at']}m", "alertname": alert, "exp_alerts": [expected(alert, case)] if fires else []}
        ],
    }


def rules_are_read():
    """promtool reads the rules, and lints them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yaml"
        file.write_text(yaml.safe_dump({"groups": GROUPS}))
        promtool("check", "rules", "--lint=all", "--lint-fatal", file)
    return f"{len(ALERTS)} alerts, {sum(len(group['rules']) for group in GROUPS) - len(ALERTS)} recording rules"


def each_alert_fires_and_is_quiet():
    """Each alert fires with its labels and texts when it should, and not when it should not."""
    check(set(CASES) == set(ALERTS), f"without cases or without an alert: {sorted(set(CASES) ^ set(ALERTS))}")
    quiet = 0
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for alert, cases in CASES.items():
            check(cases.get("quiet"), f"{alert}: no case in which it must not fire")
            quiet += len(cases["quiet"])
            units = [unit(alert, cases["fires"], True)] + [unit(alert, case, False) for case in cases["quiet"]]
            # Each with a file of its one rule: else all would be evaluated for each.
            rules, tests = Path(folder) / f"{alert}.rules.yaml", Path(folder) / f"{alert}.yaml"
            rules.write_text(yaml.safe_dump({"groups": [{"name": "mailsluice", "rules": [ALERTS[alert]]}]}))
            tests.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": units}))
            files.append(tests)
        promtool("test", "rules", *files)
    return f"{len(CASES)} cases that fire, {quiet} that do not"


def the_configuration_in_docs_is_read():
    """promtool reads docs/prometheus.yaml, but for the discovery of pods, which Debian builds it without."""
    config = yaml.safe_load((ROOT / "docs/prometheus.yaml").read_text())
    for job in config["scrape_configs"]:
        check(job["kubernetes_sd_configs"][0]["role"] == "pod", job["job_name"])
        job |= {"kubernetes_sd_configs": None, "static_configs": [{"targets": ["198.18.0.9:8025"]}]}
        del job["kubernetes_sd_configs"]
    # The labels are those that the PodMonitor makes.
    endpoint, = of_kind(objects(merged(IMAGES, OBSERVED)), "PodMonitor")[0]["spec"]["podMetricsEndpoints"]
    made = {(rule["sourceLabels"][0], rule["targetLabel"]) for rule in endpoint["relabelings"] if "sourceLabels" in rule}
    relays, operator = config["scrape_configs"]
    check(made <= {(rule["source_labels"][0], rule.get("target_label")) for rule in relays["relabel_configs"]}, f"not all of {made}")
    check((relays["job_name"], operator["job_name"]) == (TARGET["job"], OPERATOR["job"]), "the jobs' names")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        promtool("check", "config", file)


def texts_and_runbooks_are_there():
    """Each alert has a severity, a summary and a runbook of its own, and no runbook is left over."""
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    check(pages == set(ALERTS), f"alerts without a page, or pages without an alert: {sorted(pages ^ set(ALERTS))}")
    index = (ROOT / "docs/runbooks/README.md").read_text()
    for alert, rule in ALERTS.items():
        page = (ROOT / f"docs/runbooks/{alert}.md").read_text()
        severity, texts = rule["labels"]["severity"], rule["annotations"]
        check(severity in SEVERITIES, f"{alert}: severity {severity}")
        check(texts["runbook_url"].endswith(f"/docs/runbooks/{alert}.md"), f"{alert}: {texts['runbook_url']}")
        check(page.startswith(f"# {alert}\n"), f"{alert}: its page has another heading")
        when = f"after {rule['for']}." if "for" in rule else "at once."
        check(f"\n`{severity}`, {when}" in page, f"{alert}: its page does not say `{severity}`, {when}")
        threshold = SOURCES[alert].get("threshold")
        said = re.findall(r"The threshold is ([\d.]+);", page)
        check(said == ([] if threshold is None else [str(threshold)]), f"{alert}: its page says {said} of the threshold {threshold}")
        check(f"[{alert}]({alert}.md)" in index, f"{alert}: README.md does not list it")
        for text in (texts["summary"], texts["description"]):
            check(text and len(text) < 400, f"{alert}: {text!r}")
        check(not texts["summary"].endswith("."), f"{alert}: a summary has no full stop")
    return f"{len(pages)} pages"


def runbooks_search_for_what_is_logged():
    """What a runbook greps logs for is what relay or operator write."""
    sources = "".join(file.read_text() for part in ("relay", "operator") for file in (ROOT / part / "src").rglob("*.rs"))
    searches = []
    for page in sorted((ROOT / "docs/runbooks").glob("*.md")):
        lines = [line for line in page.read_text().splitlines() if " logs " in line and "grep" in line]
        searches += [(page.name, *found) for line in lines for found in re.findall(r"grep (?:-\w+ )*(?:'([^']+)'|(\S+))", line)]
    check(searches, "none found")
    for page, quoted, bare in searches:
        # A field of a record is in the source by its name, a record by its text.
        text = re.sub(r'^"(\w+)":$', r'field("\1"', quoted or bare)
        check(text in sources, f"{page}: neither relay nor operator writes {quoted or bare!r}")
    return f"{len(searches)} searches"


def what_values_change():
    """Values change thresholds, times, severities and labels, switch alerts off, and name no alert in vain."""
    chosen = {
        "prometheusRule": {
            "labels": {"release": "prometheus"},
            "alertLabels": {"team": "mail"},
            "runbookUrl": "https://runbooks.example/",
            "recordingRules": False,
            "alerts": {
                "MailsluiceQueueLong": {"threshold": 7, "for": "2h", "severity": "critical"},
                "MailsluiceRelayDown": {"enabled": False},
                "MailsluiceTlsPolicyFailures": {"threshold": 0},
            },
        },
        "watchNamespace": "shop",
    }
    rules, = of_kind(objects(merged(IMAGES, OBSERVED, chosen), namespace="mail-system"), "PrometheusRule")
    check(rules["metadata"]["labels"]["release"] == "prometheus", "the object's labels")
    alerts = {rule.get("alert"): rule for group in rules["spec"]["groups"] for rule in group["rules"]}
    check(None not in alerts, "recording rules, though they are off")
    check(set(ALERTS) - set(alerts) == {"MailsluiceRelayDown"}, "MailsluiceRelayDown, though it is off")
    long = alerts["MailsluiceQueueLong"]
    check(alerts["MailsluiceTlsPolicyFailures"]["expr"].endswith("> 0"), "a threshold of 0")
    check(long["expr"].endswith("> 7") and long["for"] == "2h", f"MailsluiceQueueLong: {long}")
    check(long["labels"] == {"severity": "critical", "team": "mail"}, f"its labels: {long['labels']}")
    check(long["annotations"]["runbook_url"] == "https://runbooks.example/MailsluiceQueueLong.md", "its runbook")
    # An operator of one namespace is told of that namespace alone, and its own is its release's.
    check('{job="mailsluice-relay",namespace="shop"}' in long["expr"], long["expr"])
    check('mailsluice_operator_leader{job="mailsluice-operator",namespace="mail-system"}' in alerts["MailsluiceOperatorDown"]["expr"], "the operator")
    for wrong in ({"MailsluiceQueueLnog": {"enabled": False}}, {"MailsluiceRelayDown": {"threshold": 1}}):
        try:
            objects(merged(IMAGES, OBSERVED, {"prometheusRule": {"alerts": wrong}}))
        except Failed as refusal:
            check(f"prometheusRule.alerts.{list(wrong)[0]}" in str(refusal), str(refusal))
        else:
            raise Failed(f"{wrong} was taken")


if __name__ == "__main__":
    main(
        rules_are_read,
        each_alert_fires_and_is_quiet,
        the_configuration_in_docs_is_read,
        texts_and_runbooks_are_there,
        runbooks_search_for_what_is_logged,
        what_values_change,
    )
