"""From gthread to uvicorn and back on every REST host while clients ask: side_effect.yml runs this."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import client
import pytest
from process_model.report import describe_model
from services import Service
from support import ROOT, Load, load, playbook, succeeded
from testinfra.host import Host

INVENTORY = Path(__file__).resolve().parents[1] / "inventory"
CHANGED_INVENTORY = ROOT / "build" / "molecule" / "inventory"
REPORT = ROOT / "build" / "reports" / "molecule.json"
PAUSE = 0.3  # seconds between an answer and the client's next request: this is no test of speed
LONG_PAUSE = 3  # so long that nearly every such client is idle, and its connection kept, while traffic moves


@dataclass
class Flips:
    """What was seen. reports: of the verification at the end of each run."""

    reports: list[dict[str, Any]]
    loads: list[Load]
    graphql_master: list[tuple[int, str]]

    @property
    def tallies(self) -> list[tuple[str, client.Tally]]:
        return [named for clients in self.loads for named in clients.tallies.items()]


def inventory_without(variable: str) -> Path:
    """A copy of the scenario's inventory with the one line removed that sets the variable."""
    shutil.rmtree(CHANGED_INVENTORY, ignore_errors=True)
    shutil.copytree(INVENTORY, CHANGED_INVENTORY)
    removed = 0
    for path in CHANGED_INVENTORY.glob("group_vars/staging/*.yml"):
        text, count = re.subn(rf"^{variable}:.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")
        removed += count
    assert removed == 1
    return CHANGED_INVENTORY


def converge(inventory: Path) -> dict[str, Any]:
    """Run site.yml as an operator does; the report of its own verification."""
    succeeded(playbook("site.yml", "staging", f"--inventory={inventory}"))
    report: dict[str, Any] = json.loads(REPORT.read_text(encoding="utf-8"))
    return report


def workspaces(base: str) -> client.Request:
    async def post(session: aiohttp.ClientSession, tally: client.Tally) -> str:
        async with session.post(f"{base}/graphql/", json={"query": "{ workspaces { slug } }"}) as response:
            answer = await response.json()
            return "ok" if answer == {"data": {"workspaces": [{"slug": "lab"}]}} else f"status {response.status}"

    return post


def running_since(service: Service) -> tuple[int, str]:
    return service.master, service.run("systemctl show -P ExecMainStartTimestampMonotonic %s", service.unit)


def flip(inventory: Path, rest: list[Service], graphql: Service) -> tuple[dict[str, Any], list[Load]]:
    """Converge while clients ask at every front door; the report of the run, and what the clients saw."""
    groups = [(f"queries at {graphql.where}", workspaces(graphql.door), 1)]
    for api in rest:
        groups += [(f"reads at {api.where}", client.small(api.door), 2)]
        groups += [(f"writes at {api.where}", client.write(api.door), 1)]
    heavy = [(f"heavy reads at {rest[0].where}", client.heavy(rest[0].door), 1)]
    with (
        load(groups, keep_alive=True, pause=PAUSE) as kept,
        load(groups, keep_alive=False, pause=PAUSE) as closed,
        load(groups, keep_alive=True, pause=LONG_PAUSE) as rare,
        load(heavy, pause=PAUSE) as large,
    ):
        report = converge(inventory)
    return report, [kept, closed, rare, large]


@pytest.fixture(scope="module")
def flips(rest: list[Service], shared: tuple[Service, Service]) -> Flips:
    graphql = shared[1]
    before = running_since(graphql)
    to_uvicorn, loads = flip(inventory_without("plane_api_worker_class"), rest, graphql)
    back, further_loads = flip(INVENTORY, rest, graphql)
    return Flips([to_uvicorn, back], [*loads, *further_loads], [before, running_since(graphql)])


def models(report: dict[str, Any], service: str) -> set[str]:
    """The process models that the report observed of a service on all hosts."""
    observed = [services[service]["observed"] for services in report["hosts"].values() if service in services]
    return {describe_model(one["worker_class"], one["workers"], one["threads"]) for one in observed}


def test_removing_one_variable_brings_uvicorn_and_setting_it_again_gthread(flips: Flips) -> None:
    assert [models(report, "plane-api") for report in flips.reports] == [{"uvicorn ×2"}, {"gthread 2×8"}]
    assert all(report["match"] for report in flips.reports)


def test_no_request_failed(flips: Flips) -> None:
    assert [(name, tally.failed) for name, tally in flips.tallies if tally.failed] == []
    assert [name for name, tally in flips.tallies if not tally.requests] == []
    print(f"{sum(tally.requests for _, tally in flips.tallies)} requests, none failed")


def test_every_acknowledged_write_is_in_the_database_exactly_once(flips: Flips, database: Host) -> None:
    statement = "SELECT external_id FROM db_issue WHERE external_id IS NOT NULL"
    found = Counter(database.check_output("runuser -u postgres -- psql -At -d plane -c %s", statement).split())
    acknowledged = [mark for _, tally in flips.tallies for mark in tally.acknowledged]
    assert acknowledged
    assert {mark: found[mark] for mark in acknowledged if found[mark] != 1} == {}
    print(f"{len(acknowledged)} writes acknowledged, each found once")


def test_graphql_was_not_touched(flips: Flips) -> None:
    before, after = flips.graphql_master
    assert before == after
    assert [models(report, "plane-graphql") for report in flips.reports] == [{"uvicorn ×2"}] * 2
