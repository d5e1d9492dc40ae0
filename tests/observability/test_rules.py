"""Every rule under promtool: when it fires, when it does not, what it suggests, and what it records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from rules import CASES, RECORDED, SUGGESTIONS, Case
from support import ROOT, Host

RULES = ROOT / "ansible/roles/plane_observability/files/rules"
FOLDER = "/run/plane-rules"


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def series_of(values: Mapping[str, str]) -> list[dict[str, str]]:
    """promtool's series, with the labels that every series of a host has."""
    found = []
    for name, samples in values.items():
        metric, _, labels = name.rstrip("}").partition("{")
        instance = [] if "instance=" in labels or metric.startswith("environment:") else ['instance="api1"']
        every = ",".join([*([labels] if labels else []), 'environment="lab"', *instance])
        found.append({"series": f"{metric}{{{every}}}", "values": samples})
    return found


def firing(alert: str, values: Mapping[str, str], at: int, expected: int) -> dict[str, Any]:
    return {
        "name": f"{alert} {'fires' if expected else 'does not fire'}",
        "interval": "1m",
        "input_series": series_of(values),
        "promql_expr_test": [
            {
                "expr": f'clamp_max(count(ALERTS{{alertname="{alert}",alertstate="firing"}}), 1) or vector(0)',
                "eval_time": f"{at}m",
                "exp_samples": [{"labels": "{}", "value": expected}],
            }
        ],
    }


@pytest.fixture(scope="session")
def monitor(hosts: dict[str, Host]) -> Host:
    """A host with promtool: Debian's Prometheus."""
    found = hosts["monitor1"]
    found.run(f"mkdir -p {FOLDER}")
    for file in RULES.glob("*.yml"):
        found.run(f"cat > {FOLDER}/{file.name}", stdin=file.read_text(encoding="utf-8"))
    return found


def promtool(monitor: Host, tests: list[dict[str, Any]]) -> str:
    """What promtool says of the tests; empty where all are as expected."""
    groups = [group["name"] for name in ("recording.yml", "alerts.yml")
              for group in yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]]  # fmt: skip
    document = {"rule_files": ["recording.yml", "alerts.yml"], "evaluation_interval": "1m",
                "group_eval_order": groups, "tests": tests}  # fmt: skip
    text = yaml.safe_dump(document, sort_keys=False, width=1000)
    printed = monitor.run(
        f"cd {FOLDER} && cat > tests.yml && promtool test rules tests.yml 2>&1", check=False, stdin=text
    )
    return "" if printed.strip().endswith("SUCCESS") else printed


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert {case.alert for case in CASES} == set(alerts())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{index}" for index, case in enumerate(CASES)])
def test_an_alert_fires_when_it_should_and_only_then(case: Case, monitor: Host) -> None:
    tests = [firing(case.alert, case.fires, case.at, 1), firing(case.alert, case.quiet, case.at, 0)]
    assert promtool(monitor, tests) == ""


@pytest.mark.parametrize("alert", SUGGESTIONS)
def test_an_alert_suggests_a_number(alert: str, monitor: Host) -> None:
    values, labels, suggestion = SUGGESTIONS[alert]
    # promtool shows what an alert says where something else was expected.
    expected = {
        "exp_labels": {"severity": alerts()[alert]["labels"]["severity"], "environment": "lab",
                       "service": "plane-api", **labels},
        "exp_annotations": {},
    }  # fmt: skip
    printed = promtool(
        monitor,
        [{"interval": "1m", "input_series": series_of(values),
          "alert_rule_test": [{"eval_time": "40m", "alertname": alert, "exp_alerts": [expected]}]}],
    )  # fmt: skip
    said = re.search(r'got:.*?suggestion="(.*?)",? (?:summary|\w+)=', printed, re.DOTALL)
    assert said, printed
    assert said[1] == suggestion


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_what_a_rule_records(number: int, monitor: Host) -> None:
    rule, values, labels, value = RECORDED[number]
    name = f'{rule}{{environment="lab",{labels}}}'
    tests = [
        {
            "interval": "1m",
            "input_series": series_of(values),
            "promql_expr_test": [{"expr": rule, "eval_time": "40m", "exp_samples": [{"labels": name, "value": value}]}],
        }
    ]
    assert promtool(monitor, tests) == ""


def test_the_severity_of_every_alert_is_one_that_is_routed() -> None:
    assert {rule["labels"]["severity"] for rule in alerts().values()} == {"page", "notice", "information"}


def test_every_alert_has_a_section_that_says_what_to_do() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    anchors = {line.removeprefix("## ").strip().lower() for line in text.splitlines() if line.startswith("## ")}
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{name.lower()}"
        assert name.lower() in anchors


def test_inhibition_names_alerts_that_there_are() -> None:
    text = (ROOT / "ansible/roles/plane_observability/files/inhibition.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"Plane\w+", text))
    assert named <= set(alerts())
