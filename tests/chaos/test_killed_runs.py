"""Ansible is killed at many points of a change, and run again each time: nothing is lost, and the last run repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import client
import pytest
from support import Host, a_change, load, report, site, stored_wrongly, succeeded

pytestmark = pytest.mark.chaos
# The beginnings of the names of a change's tasks, in their order.
POINTS = (
    "Compare with what should run",
    "Let nobody else change this host",
    "Say what differs",
    "Write the files that start",
    "Write the environment of",
    "Start ",
    "Verify, while it has no traffic",
    "Switch the traffic",
    "Say how the switch went",
    "Remove releases that no colour needs",
    "Let others change this host again",
    "Verify, through the front door",
)
# How long after a task's beginning the run is killed, another time for each task: some die between two tasks.
LATEST_SECONDS = 0.4


@pytest.fixture
def api(deployed: None, api2: Host) -> Iterator[Host]:
    yield api2
    succeeded(site(api2.name))


def test_a_run_is_killed_again_and_again(
    api: Host, data1: Host, record_property: Callable[[str, object], None]
) -> None:
    front = f"http://{api.address}:8000"
    groups = [("reads", client.small(front), 1), ("writes", client.write(front), 1)]
    killed = 0
    acknowledged: list[str] = []
    failed: dict[str, dict[str, int]] = {}
    for number, point in enumerate(POINTS):
        # Seven and twelve share no factor: early and late kills alternate over the run.
        seconds = LATEST_SECONDS * (7 * number % len(POINTS)) / len(POINTS)
        later = f"(sleep {seconds:.2f}; kill -9 $PPID) >/dev/null 2>&1 &"
        with load(groups, pause=0.1) as clients:
            done = site(api.name, before_task={point: [["sh", "-c", later]]}, **a_change())
        killed += done.returncode == -9
        failed.update(clients.failed)
        acknowledged += clients.acknowledged
    with load(groups, pause=0.1) as clients:
        succeeded(site(api.name))
    record_property("fault", f"Ansible is killed at {killed} points of a change")
    record_property("clients", f"{failed or 'nothing'}")
    record_property("said", "not asked")
    record_property("recovered", "the next run of site.yml")
    assert killed >= 10
    assert failed == {}
    assert clients.failed == {}
    assert stored_wrongly(data1, acknowledged + clients.acknowledged) == []
    assert report()["match"]
    assert not api.succeeds("test -e /run/plane-process-model/lock")
