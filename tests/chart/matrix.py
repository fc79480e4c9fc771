#!/usr/bin/python3
"""The chart over a matrix of values: lint, render, and hold what comes out to the schemas of Kubernetes."""

import re
import subprocess
import sys

import yaml

import schemas
from chart import BIN, CHART, IMAGES, OBSERVED, ROOT, Failed, check, helm, main, merged, objects, of_kind, template

sys.path.insert(0, str(ROOT / "charts/generator"))
import manifests  # noqa: E402

PLACED = {
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "infra", "operator": "Exists"}]}]}}},
    "imagePullSecrets": ["registry"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "podLabels": {"sidecar.example/inject": "false"},
    "podAnnotations": {"example.org/pod": "yes"},
    "annotations": {"example.org/deployment": "yes"},
    "serviceAccount": {"annotations": {"example.org/account": "yes"}},
    "logLevel": "info,mailsluice_operator=debug",
    "resources": {"limits": {"memory": "512Mi", "cpu": 1}},
}
OPTIONS = {
    "nothing": {},
    "one namespace": {"watchNamespace": "shop"},
    "a key of one's own": {"monitorKey": {"existingSecret": "key"}},
    "no definitions": {"crds": {"install": False}},
    "no user roles": {"rbac": {"aggregateToDefaultRoles": False}},
    "placed": {"operator": PLACED},
    "named": {"fullnameOverride": "sluice"},
    "labelled": {"commonLabels": {"team": "mail"}, "commonAnnotations": {"example.org/all": "yes"}},
    "digest": {"operator": {"image": {"tag": "0.1.0@sha256:" + "0" * 64}}},
    "observed": OBSERVED,
    "observed closely": {
        "metrics": {
            "service": {"annotations": {"prometheus.io/scrape": "true"}},
            "podMonitor": {"interval": "15s", "scrapeTimeout": "5s", "labels": {"release": "prometheus"},
                           "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
                           "metricRelabelings": [{"regex": "mailsluice_log_level", "sourceLabels": ["__name__"], "action": "drop"}]},
            "serviceMonitor": {"interval": "1m", "labels": {"release": "prometheus"}},
        },
        "dashboards": {"namespace": "grafana", "annotations": {"grafana_folder": "Mail"}, "labels": {"grafana_dashboard": "1"}},
    },
    "injected by the API server": {"injection": {"policy": {"enabled": True}}},
    "injected by the operator": {"injection": {"webhook": {"enabled": True}}},
    "fenced": {"networkPolicy": {"enabled": True}},
    "fenced closely": {"networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "apiServer": {"ports": [6443], "networks": ["198.51.100.0/24", "2001:db8::/32"]},
    }},
}
ALL = merged(IMAGES, *OPTIONS.values())
MATRIX = {name: merged(IMAGES, values) for name, values in OPTIONS.items()} | {
    "all at once": ALL,
    "no warnings": merged(IMAGES, {"admissionWarnings": {"enabled": False}}),
    "one operator": merged(IMAGES, {"operator": {"replicas": 1}}),
    "all at once, every namespace": merged(ALL, {"watchNamespace": ""}),
    "observed and fenced in one namespace": merged(IMAGES, OBSERVED, OPTIONS["fenced"], OPTIONS["one namespace"]),
}
POLICIES = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
                "MutatingWebhookConfiguration", *POLICIES}


def lint():
    """helm lint has nothing to say."""
    for values in (IMAGES, ALL):
        # lint asks no cluster, and takes no --api-versions: what needs some is rendered below.
        plain = merged(values, {"metrics": {"podMonitor": {"enabled": False}, "serviceMonitor": {"enabled": False}},
                                "prometheusRule": {"enabled": False}, "injection": {"policy": {"enabled": False}}})
        process = helm("lint", CHART, "--strict", "--quiet", "--kube-version", "1.34.0", values=plain)
        check(process.returncode == 0, process.stdout + process.stderr)


def valid_everywhere():
    """What is rendered is valid, under every version of Kubernetes that the chart is for."""
    rendered = {}
    for name, kube in [*((name, "1.34.0") for name in MATRIX), ("all at once", "1.32.0"), ("all at once", "1.36.0")]:
        process = template(MATRIX[name], kube=kube)
        check(process.returncode == 0, f"{name} on {kube}: {process.stderr}")
        rendered[f"{name} on {kube}"] = process.stdout
    try:
        count = schemas.validate("\n---\n".join(rendered.values()), "all of them")
    except Failed:
        # Which it was.
        for name, text in rendered.items():
            schemas.validate(text, name)
        raise
    return f"{count} objects of {len(rendered)} renderings"


def schemas_are_strict():
    """The schemas refuse a field that does not exist, and a value of another type."""
    for kind in ("Deployment", "PodMonitor", "PrometheusRule", "NetworkPolicy"):
        document, = of_kind(objects(ALL), kind)
        check(schemas.validate(yaml.safe_dump(document), kind) == 1, kind)
        for wrong in (document["spec"] | {"sepc": {}}, {key: 7 for key in document["spec"]}):
            try:
                schemas.validate(yaml.safe_dump(document | {"spec": wrong}), kind)
            except Failed:
                continue
            raise Failed(f"{kind}: {wrong} was taken")


def told_apart():
    """Objects have their labels and annotations, the namespace they belong to, and no name twice."""
    for name, values in MATRIX.items():
        documents = objects(values)
        keys = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
        check(len(set(keys)) == len(keys), f"{name}: twice among {keys}")
        for kind, namespace, own in keys:
            check((namespace is None) == (kind in CLUSTER_WIDE), f"{name}: {kind} {own} in namespace {namespace}")
            of_all = {"mailsluice", values.get("watchNamespace") or "mailsluice", values.get("dashboards", {}).get("namespace")}
            check(namespace is None or namespace in of_all, f"{name}: {kind} {own} in {namespace}")
        for document in documents:
            what, metadata = f"{name}: {document['kind']}", document["metadata"]
            for key, value in {"app.kubernetes.io/part-of": "mailsluice", **values.get("commonLabels", {})}.items():
                check(metadata["labels"].get(key) == value, f"{what}: label {key}")
            for key, value in values.get("commonAnnotations", {}).items():
                check(metadata.get("annotations", {}).get(key) == value, f"{what}: annotation {key}")


def selected():
    """Selectors find what they are for: the operator's pod and Service, and the pods that the operator makes."""
    documents = objects(merged(IMAGES, OBSERVED, OPTIONS["fenced"], OPTIONS["labelled"]))
    one = lambda kind: of_kind(documents, kind)[0]
    pod = one("Deployment")["spec"]["template"]
    within = lambda selector, labels: selector.items() <= labels.items()
    for kind, selector in (
        ("Deployment", one("Deployment")["spec"]["selector"]["matchLabels"]),
        ("Service", one("Service")["spec"]["selector"]),
        ("NetworkPolicy", one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]),
    ):
        check(within(selector, pod["metadata"]["labels"]), f"{kind} does not select the operator's pod")
        check("team" not in selector, f"{kind}: a selector with commonLabels could not be changed later")
    check(within(one("ServiceMonitor")["spec"]["selector"]["matchLabels"], one("Service")["metadata"]["labels"]), "ServiceMonitor")
    port = one("ServiceMonitor")["spec"]["endpoints"][0]["port"]
    check(port in [port["name"] for port in one("Service")["spec"]["ports"]], "the ServiceMonitor's port")
    # The relays' side is what the operator's source says.
    names = (ROOT / "operator/src/names.rs").read_text()
    labels = {"app.kubernetes.io/name": "mailsluice-relay", "app.kubernetes.io/managed-by": "mailsluice-operator"}
    check(f'"{",".join(f"{key}={value}" for key, value in labels.items())}"' in names, "names.rs labels relays otherwise")
    check(one("PodMonitor")["spec"]["selector"]["matchLabels"] == labels, "PodMonitor")
    check('chain([("http", names::MONITOR_PORT)])' in (ROOT / "operator/src/resources/stateful_set.rs").read_text(), "the port's name")
    port, = re.findall(r"MONITOR_PORT: u16 = (\d+)", names)
    out = [rule for rule in one("NetworkPolicy")["spec"]["egress"] if rule["ports"][0]["port"] == int(port)]
    check(len(out) == 1 and out[0]["to"][0]["podSelector"]["matchLabels"] == labels, "NetworkPolicy: the way to Monitors")


def stands_by():
    """Of two operators one leads, by a Lease that both may write and nobody else's; a drain takes one of them at a time."""
    for name, values in MATRIX.items():
        documents = objects(values)
        deployment, = of_kind(documents, "Deployment")
        spec, own = deployment["spec"]["template"]["spec"], deployment["metadata"]["name"]
        check(f"--lease={own}" in spec["containers"][0]["args"], f"{name}: {spec['containers'][0]['args']}")
        role, = [role for role in of_kind(documents, "Role") if role["metadata"]["name"] == f"{own}-lease"]
        check(role["metadata"]["namespace"] == deployment["metadata"]["namespace"], f"{name}: another namespace's Leases")
        unnamed = [rule["verbs"] for rule in role["rules"] if "resourceNames" not in rule]
        check(unnamed == [["create"]], f"{name}: {unnamed} on any Lease")
        check([rule.get("resourceNames") for rule in role["rules"]] == [None, [own]], f"{name}: {role['rules']}")
        elsewhere = [role["metadata"]["name"] for kind in ("ClusterRole", "Role") for role in of_kind(documents, kind)
                     for rule in role.get("rules") or () if "leases" in rule.get("resources", ())]
        check(set(elsewhere) == {f"{own}-lease"}, f"{name}: {elsewhere}")
        budgets = of_kind(documents, "PodDisruptionBudget")
        check(len(budgets) == (deployment["spec"]["replicas"] > 1), f"{name}: {budgets}")
        for budget in budgets:
            selector = budget["spec"]["selector"]
            check(selector == deployment["spec"]["selector"] and budget["spec"]["maxUnavailable"] == 1, f"{name}: {budget}")
    apart = of_kind(objects(IMAGES), "Deployment")[0]["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    check(list(apart) == ["preferredDuringSchedulingIgnoredDuringExecution"], f"on one node there would be one: {apart}")


def warned():
    """What is legal and dangerous is warned of and never refused, where the operator looks, and where the API server can."""
    for name, values in MATRIX.items():
        documents = objects(values)
        policies, bindings = (of_kind(documents, kind) for kind in sorted(POLICIES))
        check(bool(policies) == (values.get("admissionWarnings", {}).get("enabled") is not False), f"{name}: {len(policies)} policies")
        check({one["metadata"]["name"] for one in policies} == {one["spec"]["policyName"] for one in bindings}, f"{name}: a policy without a binding")
        check(all(one["spec"]["failurePolicy"] == "Ignore" for one in policies), f"{name}: a policy that can refuse")
        where = values.get("watchNamespace")
        for binding in bindings:
            check(binding["spec"]["validationActions"] == ["Warn"], f"{name}: {binding}")
            selected = binding["spec"].get("matchResources", {}).get("namespaceSelector", {}).get("matchLabels")
            check(selected == ({"kubernetes.io/metadata.name": where} if where else None), f"{name}: {binding}")
    check(template(IMAGES, kube="1.31.0").returncode != 0, "the definitions' rules are not known to Kubernetes 1.31")


def answers():
    """The webhook is reached where the API server asks, and the operator may write for it what it must and no more."""
    for name in ("injected by the operator", "all at once", "all at once, every namespace"):
        documents = objects(MATRIX[name])
        deployment, = of_kind(documents, "Deployment")
        own, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        configuration, = of_kind(documents, "MutatingWebhookConfiguration")
        webhook, = configuration["webhooks"]
        asked = webhook["clientConfig"]["service"]
        service, = [service for service in of_kind(documents, "Service") if service["metadata"]["name"] == asked["name"]]
        port, = [port for port in service["spec"]["ports"] if port["port"] == asked["port"]]
        listens, = [listens for listens in container["ports"] if listens["name"] == port["targetPort"]]
        secret, = [one for one in of_kind(documents, "Secret") if one["metadata"]["name"] == f"{own}-webhook"]
        for argument in (f"--webhook=[::]:{listens['containerPort']}", f"--webhook-host={asked['name']}.{namespace}.svc",
                         f"--webhook-secret={secret['metadata']['name']}", f"--webhook-configuration={configuration['metadata']['name']}"):
            check(argument in container["args"], f"{name}: {argument} in {container['args']}")
        check(webhook["failurePolicy"] == "Ignore" and "data" not in secret, f"{name}: {webhook}")
        rules = [rule for kind in ("ClusterRole", "Role") for role in of_kind(documents, kind) for rule in role.get("rules") or ()]
        for resource, named in (("secrets", secret), ("mutatingwebhookconfigurations", configuration)):
            found = [rule.get("resourceNames") for rule in rules if resource in rule.get("resources", ())]
            check(found == [[named["metadata"]["name"]]], f"{name}: {resource}: {found}")


def restricted():
    """The operator's pod keeps to the Pod Security Standard `restricted`, whatever else is set."""
    for name, values in MATRIX.items():
        spec = of_kind(objects(values), "Deployment")[0]["spec"]["template"]["spec"]
        own = spec["containers"][0]["securityContext"]
        held = [
            spec["securityContext"]["runAsNonRoot"] is True,
            spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            own["allowPrivilegeEscalation"] is False,
            own["capabilities"] == {"drop": ["ALL"]},
            own["readOnlyRootFilesystem"] is True,
            not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            all("secret" in volume for volume in spec["volumes"]),
        ]
        check(all(held), f"{name}: {held}")


def refused():
    """What makes no sense is refused, with a text that says what to do."""
    wrong = {
        "image.repository": ({"operator": {"image": {"repository": ""}}}, "build the image from images/operator.Containerfile"),
        "no such value": ({"metrics": {"podmonitor": {}}}, "podmonitor"),
        "a number as a label": ({"commonLabels": {"team": 7}}, "team"),
        "no duration": ({"metrics": {"podMonitor": {"interval": "often"}}}, "interval"),
        "no network": ({"networkPolicy": {"apiServer": {"networks": ["198.51.100.1"]}}}, "networks"),
        "a threshold that is none": ({"prometheusRule": {"alerts": {"MailsluiceQueueLong": {"threshold": "many"}}}}, "threshold"),
    }
    for name, (values, said) in wrong.items():
        process = template(merged(IMAGES, OBSERVED, values))
        check(process.returncode != 0, f"{name}: it was taken")
        check(said in process.stderr, f"{name}: {process.stderr}")
    # Without what it takes nothing is left out in silence.
    switches = ("metrics.podMonitor.enabled", "metrics.serviceMonitor.enabled", "prometheusRule.enabled", "injection.policy.enabled")
    for switch in switches:
        values = True
        for key in reversed(switch.split(".")):
            values = {key: values}
        process = template(merged(IMAGES, values), apis=())
        check(process.returncode != 0 and f"{switch}: the cluster does not know" in process.stderr, process.stderr)
    check(template(merged(IMAGES, {"dashboards": {"enabled": True}}), apis=()).returncode == 0, "dashboards need no operator")
    return f"{len(wrong) + len(switches)} refusals"


def plain_manifests():
    """The plain manifests are valid, and one file has all of them."""
    count = sum(schemas.validate(text, str(file)) for file, text in manifests.files().items())
    bundle = manifests.bundle()
    kinds = [document["kind"] for document in yaml.safe_load_all(bundle)]
    check(kinds.count("CustomResourceDefinition") == 3 and kinds[0] == "Namespace" and "Secret" not in kinds, f"the bundle: {kinds}")
    check("helm.sh/" not in bundle.replace("helm.sh/resource-policy", "") and "managed-by: Helm" not in bundle, "the bundle has Helm's labels")
    return f"{count} objects, {schemas.validate(bundle, 'the bundle')} in one file"


def examples():
    """What is not Mailsluice's own in the examples is valid; an API server looks at the rest (tests/tests/api)."""
    documents = [document for file in sorted((ROOT / "examples").glob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]
    others = [document for document in documents if not document["apiVersion"].startswith("mailsluice.dev/")]
    check(others, "there is none")
    return f"{schemas.validate(yaml.safe_dump_all(others), 'examples')} objects"


def kustomized():
    """The kustomize overlay builds, with its images, the definitions, the dashboards and what Prometheus is told."""
    process = subprocess.run([BIN / "kustomize", "build", ROOT / "deploy/example"], capture_output=True, text=True)
    check(process.returncode == 0, process.stderr)
    count = schemas.validate(process.stdout, "deploy/example")
    built = list(yaml.safe_load_all(process.stdout))
    # What Helm installs, but for the key, and with a namespace.
    values = merged(IMAGES, OBSERVED, {"monitorKey": {"existingSecret": "mailsluice-monitor-key"}})
    names = lambda documents: {(document["kind"], document["metadata"]["name"]) for document in documents}
    check(names(built) == names(objects(values)) | {("Namespace", "mailsluice")}, f"{names(built) ^ names(objects(values))}")
    container = of_kind(built, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    check(container["image"] == "registry.example/mailsluice-operator:0.1.0", container["image"])
    check("--relay-image=registry.example/mailsluice-relay:0.1.0" in container["args"], f"{container['args']}")
    for dashboard in of_kind(built, "ConfigMap"):
        check(dashboard["metadata"]["labels"]["grafana_dashboard"] == "1", dashboard["metadata"]["name"])
        same, = [own for own in of_kind(objects(values), "ConfigMap") if own["metadata"]["name"] == dashboard["metadata"]["name"]]
        check({key: text.rstrip() for key, text in same["data"].items()} == {key: text.rstrip() for key, text in dashboard["data"].items()}, "data")
    return f"{count} objects"


if __name__ == "__main__":
    main(lint, schemas_are_strict, valid_everywhere, told_apart, selected, stands_by, warned, answers, restricted, refused, plain_manifests, examples, kustomized)
