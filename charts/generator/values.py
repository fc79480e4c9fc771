"""The table of values in the chart's README: from values.yaml, where a comment stands before each, and values.schema.json."""

import json
import re

import yaml

from paths import CHART

BEGIN, END = "<!-- values: written by charts/generate -->", "<!-- end of values -->"


class Undocumented(Exception):
    """A value without a comment, or one that the schema and values.yaml do not have in common."""


def comments(text):
    """Each key of values.yaml by its path, with the comment before it."""
    found, path, comment = {}, [], []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        key = re.match(r"^( *)([A-Za-z][A-Za-z0-9_.-]*):", line)
        if key:
            depth = len(key[1]) // 2
            path = path[:depth] + [key[2]]
            found[".".join(path)] = " ".join(comment)
        comment = []
    return found


def leaves(schema, root, path=()):
    """The values that the schema lists, each with its schema."""
    if "properties" not in schema:
        return {".".join(path): schema}
    result = {}
    for key, below in schema["properties"].items():
        if "$ref" in below and not below["$ref"].endswith("/resources"):
            below = root["definitions"][below["$ref"].rsplit("/", 1)[1]] | {"name": below["$ref"].rsplit("/", 1)[1]}
        result |= leaves(below, root, (*path, key))
    return result


def table():
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    said, defaults = comments(text), yaml.safe_load(text)
    rows = []
    for path, kind in leaves(schema, schema).items():
        if path == "global":  # Helm's own, and read by nothing here
            continue
        value = defaults
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                raise Undocumented(f"{path}: the schema has it, and values.yaml has not")
            value = value[key]
        if not said.get(path):
            raise Undocumented(f"{path}: no comment stands before it in values.yaml")
        rows.append((path, type_of(kind), json.dumps(value, ensure_ascii=False), said[path]))
    listed = {path for path, *_ in rows}
    for path in said:
        if not any(path == row or path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in listed):
            raise Undocumented(f"{path}: values.yaml has it, and the schema has not")
    lines = [f"| `{path}` | {kind} | {default(value)} | {text} |" for path, kind, value, text in rows]
    return "\n".join(["| value | type | default | what it says |", "| --- | --- | --- | --- |", *lines])


def default(value):
    return f"`{value}`" if len(value) <= 60 else "see [values.yaml](values.yaml)"


def type_of(schema):
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return "text"
    if schema.get("$ref"):
        return "object"
    names = {"boolean": "true or false", "array": "list", "string": "text"}
    return names.get(schema.get("type"), schema.get("type"))


def readme():
    """The chart's README with the table of now."""
    text = (CHART / "README.md").read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise Undocumented(f"README.md lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
