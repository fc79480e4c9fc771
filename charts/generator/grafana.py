"""What Grafana's dashboards are made of: panels, rows, variables, in Grafana's JSON."""

from dataclasses import dataclass, field

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
STAT, GRAPH = (4, 4), (8, 8)


@dataclass
class Panel:
    """A panel; `queries` are pairs of an expression and a legend."""

    kind: str
    title: str
    description: str
    unit: str
    queries: list
    size: tuple = GRAPH
    options: dict = field(default_factory=dict)
    defaults: dict = field(default_factory=dict)
    transformations: list = field(default_factory=list)
    overrides: list = field(default_factory=list)
    instant: bool = False

    def json(self, number, x, y):
        targets = [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": self.instant,
                "range": not self.instant,
                **({"format": "table"} if self.kind == "table" else {}),
            }
            for index, (expression, legend) in enumerate(self.queries)
        ]
        width, height = self.size
        panel = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "fieldConfig": {"defaults": {"unit": self.unit, **self.defaults}, "overrides": self.overrides},
            "options": self.options,
            "targets": targets,
        }
        return panel | ({"transformations": self.transformations} if self.transformations else {})


def steps(*colours):
    """Thresholds: pairs of a value and the colour from there on; the first value is None."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in colours]}


def mapping(**texts):
    """What to write in place of numbers: v0=("Closed", "orange")."""
    options = {name.removeprefix("v"): {"text": text, "color": colour} for name, (text, colour) in texts.items()}
    return [{"type": "value", "options": options}]


def stat(title, description, unit, expression, bad=None, mappings=None, legend="", size=STAT):
    """One number; from `bad` on it is red."""
    thresholds = steps((None, "text")) if bad is None else steps((None, "green"), (bad, "red"))
    defaults = {"thresholds": thresholds, "mappings": mappings or []}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none" if mappings else "area",
        "textMode": "auto",
    }
    return Panel("stat", title, description, unit, [(expression, legend)], size, options, defaults)


def graph(title, description, unit, *queries, size=GRAPH, stacked=False):
    """Lines over time."""
    custom = {"lineWidth": 1, "fillOpacity": 20 if stacked else 5, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel("timeseries", title, description, unit, list(queries), size, options, {"custom": custom, "min": 0})


def states(title, description, mappings, *queries, size=GRAPH):
    """What holds over time, as coloured bars."""
    options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}}
    return Panel("state-timeline", title, description, "none", list(queries), size, options, {"mappings": mappings})


def table(title, description, columns, by, size):
    """A row for each combination of the labels `by`; `columns` are (name, unit, expression, mappings)."""
    queries = [(expression, "") for _, _, expression, _ in columns]
    names = {f"Value #{chr(ord('A') + index)}": column[0] for index, column in enumerate(columns)}
    overrides = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "unit", "value": unit}, {"id": "mappings", "value": mappings or []}],
        }
        for name, unit, _, mappings in columns
    ]
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
    ]
    return Panel(
        "table", title, description, "none", queries, size, {"showHeader": True}, {"custom": {"align": "auto"}}, transformations,
        overrides, instant=True,
    )


def variable(name, label, query, several):
    """A variable whose values are a label's."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if several else {}),
    }


def dashboard(uid, title, description, variables, rows):
    """A dashboard; `rows` are pairs of a title and its panels, which are laid out from left to right."""
    panels, y = [], 0
    for title_of_row, content in rows:
        row = {"id": len(panels) + 1, "type": "row", "title": title_of_row, "collapsed": False, "panels": []}
        panels.append(row | {"gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        y, x, height = y + 1, 0, 0
        for panel in content:
            if x + panel.size[0] > WIDTH:
                x, y, height = 0, y + height, 0
            panels.append(panel.json(len(panels) + 1, x, y))
            x, height = x + panel.size[0], max(height, panel.size[1])
        y += height
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["mailsluice"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "tags": ["mailsluice"], "title": "Mailsluice", "asDropdown": True, "includeVars": True,
             "keepTime": True},
        ],
        "templating": {"list": [source, *variables]},
        "panels": panels,
    }
