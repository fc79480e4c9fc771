"""Where things are, and how they are written down."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/mailsluice"
GENERATED = "# Written by charts/generate from charts/mailsluice: change that, and run it again.\n"


def as_json(value):
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
