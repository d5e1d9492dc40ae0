"""`make bake` against a real Prometheus that promtool filled with four days of each scenario."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import environments
import pytest
import recordings
import yaml
from conftest import fill, running
from process_model import promotion
from recordings import END, FINGERPRINTS, HOSTS, SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
STATUS = {"pass": 0, "fail": 1, "inconclusive": 3}
IDENTITY = {"release": "1" * 64, "entrypoint": "2" * 64, "model": "3" * 64}


class Gate:
    """One environment's inventory and verification in a folder of its own, and `make bake` over them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        variables = folder / "inventory" / "group_vars" / name
        variables.mkdir(parents=True)
        (variables / "main.yml").write_text(yaml.safe_dump({"plane_environment": name}))
        self.services = SCENARIOS[name].services if name in SCENARIOS else ["plane-api"]
        hosts: dict[str, Any] = {"hosts": {host: {} for host in HOSTS}}
        groups: dict[str, Any] = {service.replace("-", "_"): hosts for service in self.services}
        (folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump(groups))
        self.verify(FINGERPRINTS["after"])

    def verify(self, fingerprint: str, match: bool = True) -> None:
        """What verify.yml reported. fingerprint: of REST; GraphQL was not switched."""
        verdicts = {
            service: {
                "desired": {
                    "fingerprint": fingerprint if service == "plane-api" else FINGERPRINTS["before"],
                    "identity": IDENTITY,
                }
            }
            for service in self.services
        }
        report = {"environment": self.name, "match": match, "hosts": dict.fromkeys(HOSTS, verdicts)}
        (self.folder / "verify.json").write_text(json.dumps(report))

    def bake(self, prometheus: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        until = datetime.fromtimestamp(END, timezone.utc).isoformat()
        return subprocess.run(
            [environments.PLOTTER, ROOT / "tools/bake.py", self.name, "--inventory", self.folder / "inventory",
             "--prometheus", prometheus, "--until", until, "--verified", self.folder / "verify.json",
             "--records", self.folder / "records", *arguments],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/ansible/module_utils:{ROOT}/tools"},
        )  # fmt: skip

    @property
    def records(self) -> list[promotion.Record]:
        return promotion.read(self.folder / "records", self.name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, prometheus: str, tmp_path: Path) -> None:
    scenario: Scenario = SCENARIOS[name]
    gate = Gate(tmp_path, name)
    done = gate.bake(prometheus)
    assert done.returncode == STATUS[scenario.verdict], done.stdout + done.stderr
    assert done.stdout.endswith(f"verdict: {scenario.verdict}\n")
    reasons = [line for line in done.stdout.splitlines() if line.startswith("- ")]
    assert any(scenario.said in reason for reason in reasons) or not scenario.said, done.stdout
    assert [record.content["verdict"] for record in gate.records] == (
        [] if scenario.verdict == "inconclusive" else [scenario.verdict]
    )


@pytest.mark.parametrize("name", [name for name, each in SCENARIOS.items() if each.verdict == "fail"])
def test_a_signal_fails_alone(name: str, prometheus: str, tmp_path: Path) -> None:
    Gate(tmp_path, name).bake(prometheus)
    document = json.loads((ROOT / f"build/reports/bake-{name}.json").read_text())
    failed = {
        (service, each["signal"])
        for service, judged in document["services"].items()
        for each in judged["findings"]
        if each["verdict"] == "fail"
    }
    kinds = {"memory": "memory", "leak": "memory", "restarts": "restarts", "errors": "errors", "first-errors": "errors"}
    service = "plane-graphql" if SCENARIOS[name].beside else "plane-api"
    assert failed == {(service, kinds.get(name, "latency"))}


def test_a_restart_of_prometheus_is_inconclusive(tmp_path: Path) -> None:
    scenario = Scenario("inconclusive", "", prometheus=[recordings.IN_WINDOW])
    with running(tmp_path, fill(tmp_path, {"restarted": scenario})) as url:
        done = Gate(tmp_path, "restarted").bake(url)
    assert done.returncode == STATUS["inconclusive"]
    assert "- plane-api: Prometheus was restarted in the window" in done.stdout


def test_without_a_prometheus_it_is_inconclusive(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "clean")
    done = gate.bake("http://127.0.0.1:9")
    assert (done.returncode, gate.records) == (STATUS["inconclusive"], [])
    assert "does not answer" in done.stdout


def test_what_was_not_verified_does_not_pass(prometheus: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "clean")
    gate.verify("c" * 64)
    assert "plane-api on api1 is not what was verified last" in gate.bake(prometheus).stdout
    gate.verify(FINGERPRINTS["after"], match=False)
    assert "is no verification of clean that found everything right" in gate.bake(prometheus).stdout
    (tmp_path / "verify.json").unlink()
    done = gate.bake(prometheus)
    assert "holds no verification of clean" in done.stdout
    assert (done.returncode, gate.records) == (STATUS["inconclusive"], [])


def test_margins_of_the_inventory_count(prometheus: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "clean")
    settings = tmp_path / "inventory/group_vars/clean/release.yml"
    settings.write_text("plane_release_gate_margins: {memory: -0.5}\n")
    done = gate.bake(prometheus)
    assert done.returncode == STATUS["fail"]
    assert "allowed -50.0%" in done.stdout
    settings.write_text("plane_release_gate_margins: {memroy: 0.1}\n")
    assert "margin 'memroy' is not known" in gate.bake(prometheus).stderr


def test_the_report_is_one_page_with_its_plots(prometheus: str, tmp_path: Path) -> None:
    Gate(tmp_path, "latency").bake(prometheus)
    page = (ROOT / "build/reports/bake-latency.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "p95 of route default" in page
    assert 'src="http' not in page
