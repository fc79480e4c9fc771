#!/usr/bin/python3
"""What docs/prometheus-adapter.yaml asks Prometheus for, under series that promtool plays: what a HorizontalPodAutoscaler is told of a relay."""

import re
import subprocess
import tempfile
from pathlib import Path

import yaml

from chart import ROOT, check, main

RULE, = yaml.safe_load((ROOT / "docs/prometheus-adapter.yaml").read_text())["rules"]["external"]
METRIC = RULE["name"]["as"]
EXAMPLE = list(yaml.safe_load_all((ROOT / "examples/autoscaling.yaml").read_text()))
# Seconds from one sample of a series below to the next.
STEP = 15
# How a series reads when its pod is gone and Prometheus, which scrapes every 30 s, has not let go of it for 66 s.
GONE = "_ _ _ _ stale"
# The samples of each pod; then, from second to second, what is told. Not at the very second two minutes after a change: whether that is still in
# the window is another matter in Prometheus 2 than in 3.
CASES = {
    # outbound-1 is seen for the last time with what outbound-0 has had since then.
    "mail is handed over": ({"outbound-0": "1000x20 2000x30", "outbound-1": f"1000x20 {GONE}"}, {(0, 750): 2000}),
    "mail is handed over while more comes in": (
        {"outbound-0": "1000+10x19 2200+20x30", "outbound-1": f"1000+10x19 {GONE}"}, {(600, 600): 2440}),
    "a burst that is over in a minute": ({"outbound-0": "0x20 5000 5000 3000 1000 0x30"}, {(0, 800): 0}),
    "mail that stays": ({"outbound-0": "0x20 3000x30", "outbound-1": "0x20 4000x30"}, {(0, 405): 0, (435, 700): 7000}),
    "mail that goes": ({"outbound-0": "3000x20 100x30"}, {(0, 300): 3000, (315, 700): 100}),
    "a scrape that fails": ({"outbound-0": "500x9 stale 500x40", "outbound-1": "500x50"}, {(0, 120): 1000, (285, 700): 1000}),
}
# What is not this relay's.
OTHERS = [
    f'{METRIC}{{namespace="shop",relay="invoices",pod="invoices-0"}}',
    f'{METRIC}{{namespace="office",relay="outbound",pod="outbound-0"}}',
]


def filled(template):
    """As the adapter fills a query in for the HorizontalPodAutoscaler of relay `outbound` in namespace `shop`."""
    query = template.replace("<<.Series>>", METRIC).replace("<<.LabelMatchers>>", 'relay="outbound",namespace="shop"')
    check("<<" not in query, query)
    return query


def unit(name, query):
    pods, told = CASES[name]
    series = [{"series": f'{METRIC}{{namespace="shop",relay="outbound",pod="{pod}"}}', "values": values} for pod, values in pods.items()]
    series += [{"series": other, "values": "9000x60"} for other in OTHERS]
    times = [(second, value) for (first, last), value in told.items() for second in range(first, last + 1, STEP)]
    return {
        "name": name,
        "interval": f"{STEP}s",
        "input_series": series,
        "promql_expr_test": [
            {"expr": query, "eval_time": f"{second}s", "exp_samples": [{"labels": '{relay="outbound"}', "value": value}]} for second, value in times
        ],
    }


def play(*units):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.yaml"
        file.write_text(yaml.safe_dump({"evaluation_interval": f"{STEP}s", "tests": units}))
        return subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)


def tells_what_waits():
    """An autoscaler is told what has waited for two minutes, mail that is handed over once."""
    units = [unit(name, filled(RULE["metricsQuery"])) for name in CASES]
    process = play(*units)
    check(process.returncode == 0, process.stdout + process.stderr)
    return f"{sum(len(one['promql_expr_test']) for one in units)} samples of {len(units)} cases"


def others_tell_more():
    """The sum of the moment, or the largest of some minutes, of a pod or of all, counts mail that is handed over twice."""
    for other in (
        "sum by (relay) (<<.Series>>{<<.LabelMatchers>>})",
        "sum by (relay) (max_over_time(<<.Series>>{<<.LabelMatchers>>}[3m]))",
        "max_over_time((sum by (relay) (<<.Series>>{<<.LabelMatchers>>}))[3m:15s])",
    ):
        process = play(unit("mail is handed over", filled(other)))
        check(process.returncode != 0 and re.search(r"got: .* 3(E\+03|000)\b", process.stdout + process.stderr), f"{other}\n{process.stdout}{process.stderr}")


def the_example_asks_for_it():
    """The example asks for that metric of its own relay."""
    relay, scaler = EXAMPLE
    spec = scaler["spec"]
    external, = [metric["external"] for metric in spec["metrics"] if metric["type"] == "External"]
    check(external["metric"]["name"] == METRIC, external["metric"]["name"])
    name = relay["metadata"]["name"]
    check(external["metric"]["selector"]["matchLabels"] == {"relay": name} and spec["scaleTargetRef"]["name"] == name, f"{external}")


if __name__ == "__main__":
    main(tells_what_waits, others_tell_more, the_example_asks_for_it)
