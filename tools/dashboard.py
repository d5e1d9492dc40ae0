"""Writes Grafana's dashboard from ansible/vars/dashboard.yml, or checks that it is what that says.

dashboard.py          write
dashboard.py --check  fail where it differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "ansible" / "vars" / "dashboard.yml"
DASHBOARD = ROOT / "ansible" / "roles" / "plane_observability" / "files" / "dashboard.json"
# Grafana's grid is 24 wide.
WIDTH, HEIGHT = 8, 8
TYPES = {"line": "timeseries", "stack": "timeseries", "table": "table", "value": "stat"}
SOURCE_OF_DATA = {"type": "prometheus", "uid": "${datasource}"}


def read() -> list[dict[str, Any]]:
    """The rows of the dashboard: each a question and its panels."""
    found: list[dict[str, Any]] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))["plane_dashboard"]
    return found


def query(expression: str, environment: str, service: str) -> str:
    """The expression for the environments and services that these two regular expressions match."""
    of_environment = f'environment=~"{environment}"'
    return expression.replace("ENVIRONMENT", of_environment).replace("OF", f'{of_environment},service=~"{service}"')


def panel(found: Mapping[str, Any], number: int, x: int, y: int) -> dict[str, Any]:
    style = found.get("style", "line")
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal"}} if style == "stack" else {"showPoints": "never"}
    return {
        "id": number,
        "type": TYPES[style],
        "title": found["title"],
        "description": found.get("text", ""),
        "datasource": SOURCE_OF_DATA,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": found["unit"], "min": 0, "custom": {} if style == "table" else custom},
                        "overrides": []},
        "options": {"tooltip": {"mode": "multi"}} if TYPES[style] == "timeseries" else {},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE_OF_DATA,
                "expr": query(each["expr"], "$environment", "$service"),
                "legendFormat": each["legend"],
                **({"instant": True, "format": "table"} if style == "table" else {}),
            }
            for index, each in enumerate(found["queries"])
        ],
    }  # fmt: skip


def variable(name: str, of: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE_OF_DATA,
        "query": f"label_values({of}, {name})",
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Grafana's own format, without what Grafana fills in itself."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": row["question"], "collapsed": False,
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})  # fmt: skip
        y += 1
        for index, each in enumerate(row["panels"]):
            panels.append(panel(each, len(panels) + 1, index % 3 * WIDTH, y + index // 3 * HEIGHT))
        y += (len(row["panels"]) + 2) // 3 * HEIGHT
    switches = {
        "name": "switches",
        "datasource": SOURCE_OF_DATA,
        "enable": True,
        "iconColor": "blue",
        "expr": query("changes(plane_service_live{OF}[1m]) > 0", "$environment", "$service"),
        "titleFormat": "{{service}} on {{instance}}: traffic was switched",
    }
    return {
        "title": "Plane: process model, health, slots, latency",
        "uid": "plane-process-model",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                variable("environment", "plane_service_info"),
                variable("service", 'plane_service_info{environment=~"$environment"}'),
            ]
        },
        "annotations": {"list": [switches]},
        "panels": panels,
    }


def text_of(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(dashboard(rows), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    text = text_of(read())
    if "--check" in sys.argv[1:]:
        if not DASHBOARD.exists() or DASHBOARD.read_text(encoding="utf-8") != text:
            sys.exit(f"{DASHBOARD.relative_to(ROOT)} is not what {SOURCE.relative_to(ROOT)} says: make dashboard")
        return
    DASHBOARD.write_text(text, encoding="utf-8")
    print(DASHBOARD.relative_to(ROOT))


if __name__ == "__main__":
    main()
