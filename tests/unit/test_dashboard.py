"""The dashboard is what its source says, and the page names series as Grafana does."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import dashboard
import environments
import observability_report
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_grafana_s_file_is_what_the_source_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "DASHBOARD", tmp_path / "reports" / "dashboard.json")
    dashboard.main()
    written = dashboard.DASHBOARD.read_text(encoding="utf-8")
    assert written == dashboard.text_of(dashboard.read())
    asked = {target["expr"] for panel in json.loads(written)["panels"] for target in panel.get("targets", [])}
    assert asked == {
        dashboard.query(query["expr"], "$environment", "$service")
        for row in dashboard.read()
        for panel in row["panels"]
        for query in panel["queries"]
    }


def test_every_panel_reads_what_is_listed_or_recorded() -> None:
    named = {
        entry["name"] for entry in yaml.safe_load((ROOT / "ansible/vars/metrics.yml").read_text())["plane_metrics"]
    }
    rules = ROOT / "ansible/roles/plane_observability/files/rules/recording.yml"
    recorded = {rule["record"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
    for row in dashboard.read():
        for panel in row["panels"]:
            for query in panel["queries"]:
                words = set(re.findall(r"[a-z_]+:[\w:]+|(?:plane|haproxy|node)_\w+", query["expr"]))
                known = {re.sub(r"_bucket$", "", word) if word not in recorded else word for word in words}
                assert known <= named | recorded | {"plane_"}, query["expr"]


def test_a_query_is_for_one_environment_and_service() -> None:
    assert dashboard.query("a{OF} / b{x=1,ENVIRONMENT}", "lab", "plane-api") == (
        'a{environment=~"lab",service=~"plane-api"} / b{x=1,environment=~"lab"}'
    )


def test_a_series_is_called_as_grafana_calls_it() -> None:
    labels = {"service": "plane-api", "route": "default"}
    assert observability_report.name_of("{{service}} {{route}} {{method}} p95", labels) == "plane-api default  p95"


def test_the_monitor_is_found_by_its_group() -> None:
    environment = environments.read(ROOT / "tests/observability/inventory")
    assert environments.prometheus_of(environment, None) == "http://10.203.90.41:9090"


def test_a_line_ends_where_nothing_was_recorded() -> None:
    found = observability_report.with_gaps({0.0: 1.0, 15.0: 2.0, 60.0: 3.0}, 15.0)
    assert list(found) == [0.0, 15.0, 52.5, 60.0]
    assert math.isnan(found[52.5])
