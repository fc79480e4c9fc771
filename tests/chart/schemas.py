"""JSON schemas for kubeconform, made from what Kubernetes and the Prometheus Operator publish in their Go modules.

They come by the Go module proxy, so no other server has to be there, and are held to the hashes below. A field that a schema does not
list is refused, as the API server refuses it under `kubectl --validate=strict`.
"""

import json
import re
import subprocess
from pathlib import Path

import yaml

from chart import BIN, ROOT, check

# Kubernetes' version and hash are those of the cluster's parts.
KUBERNETES = "k8s.io/kubernetes"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
PROMETHEUS_PIN = ("v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=")
FOLDER = BIN.parent / "schemas"


def pin_of_kubernetes():
    for line in (ROOT / "tests/cluster/components/go.sum").read_text().splitlines():
        module, version, hashed = line.split()
        if module == KUBERNETES and not version.endswith("/go.mod"):
            return version, hashed
    raise LookupError(f"{KUBERNETES} is not in go.sum")


def module(path, version, hashed):
    """The folder of a Go module of that hash."""
    process = subprocess.run(["go", "mod", "download", "-json", f"{path}@{version}"], capture_output=True, text=True, cwd="/")
    check(process.returncode == 0, f"go mod download {path}@{version}: {process.stdout}{process.stderr}")
    found = json.loads(process.stdout)
    check(found["Sum"] == hashed, f"{path}@{version}: its hash is {found['Sum']} and not {hashed}")
    return Path(found["Dir"])


def strict(schema):
    """The schema, in which an object has the listed fields and no others."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    result = {key: strict(value) for key, value in schema.items() if key not in ("description", "format", "properties")}
    if "properties" in schema:
        # What a property is called means nothing: there are some named `properties` and `format`.
        result["properties"] = {name: strict(own) for name, own in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


def of_kubernetes(folder):
    swagger = json.loads((folder / "api/openapi-spec/swagger.json").read_text())
    text = json.dumps({name: strict(schema) for name, schema in swagger["definitions"].items()})
    definitions = json.loads(text.replace('"#/definitions/', '"_definitions.json#/definitions/'))
    # A quantity may be written as a number.
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    (FOLDER / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in swagger["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            write(kind["kind"], group, kind["version"], definitions[name])


def of_custom_resources(files):
    for file in files:
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"$ref": "_definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
            write(spec["names"]["kind"], spec["group"].split(".")[0], version["name"], schema)


def write(kind, group, version, schema):
    """Where kubeconform looks for it: {{.ResourceKind}}{{.KindSuffix}}."""
    suffix = "-".join(part for part in (group, version) if part)
    (FOLDER / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(schema))


def make():
    """Makes them where they are not there yet; returns their folder."""
    kubernetes = pin_of_kubernetes()
    stamp = json.dumps([kubernetes, PROMETHEUS_PIN, Path(__file__).read_text(), *(file.read_text() for file in crds())])
    if (FOLDER / "stamp").exists() and (FOLDER / "stamp").read_text() == stamp:
        return FOLDER
    FOLDER.mkdir(parents=True, exist_ok=True)
    of_kubernetes(module(KUBERNETES, *kubernetes))
    prometheus = module(PROMETHEUS, *PROMETHEUS_PIN) / "example/prometheus-operator-crd"
    wanted = ("podmonitors", "prometheusrules", "servicemonitors")
    of_custom_resources([*(prometheus / f"monitoring.coreos.com_{name}.yaml" for name in wanted), *crds()])
    (FOLDER / "stamp").write_text(stamp)
    return FOLDER


def crds():
    return sorted((ROOT / "crds").glob("*.yaml"))


def validate(text, what):
    """Holds manifests to the schemas; how many objects there were."""
    location = f"{make()}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [BIN / "kubeconform", "-strict", "-summary", "-schema-location", location, "-"]
    process = subprocess.run(command, input=text, capture_output=True, text=True)
    check(process.returncode == 0, f"{what}: {process.stdout}{process.stderr}")
    found = re.search(r"Valid: (\d+), Invalid: 0, Errors: 0, Skipped: 0", process.stdout)
    check(found, f"{what}: {process.stdout}")
    return int(found[1])
