"""A rotation replaces every process of the live colour: when it is due, without losing a request, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import client
import pytest
from support import Host, Load, load_both_ways, report, site, stored_wrongly, succeeded, verify

ROTATE = "plane-process-model rotate"
SPARE_SOCKET = "/run/plane-api/spare/gunicorn.sock"
SPARE_HAS_TRAFFIC = f'test "$(readlink /run/plane-api/live.sock)" = {SPARE_SOCKET}'


def clients_of(host: Host) -> AbstractContextManager[Load]:
    """Reads, writes and downloads at the front door, with kept and with closed connections."""
    front = f"http://{host.address}:8000"
    groups = [("reads", client.small(front), 2), ("writes", client.write(front), 2), ("5 MB", client.heavy(front), 1)]
    return load_both_ways(groups, pause=0.1)


def processes(host: Host) -> set[int]:
    master = host.master()
    return {master, *(int(pid) for pid in host.run(f"pgrep -P {master}").split())}


def spare_is_gone(host: Host) -> bool:
    return host.succeeds("! systemctl is-active plane-api@spare && ! ls -d /etc/plane-api/spare")


@pytest.fixture(scope="module")
def changed(api2: Host) -> Iterator[Host]:
    succeeded(site(api2.name))
    yield api2
    succeeded(site(api2.name))
    assert report()["match"]


@pytest.fixture
def api(changed: Host) -> Host:
    """A host whose live colour is right and whose idle one can be gone back to, whatever an earlier test did."""
    changed.run("systemctl stop 'plane-api@spare'; rm -f /etc/plane-api/spare; plane-process-model unlock")
    if not changed.succeeds("plane-process-model status && systemctl is-active plane-api-rotation.timer"):
        succeeded(site(changed.name))
    return changed


def test_every_process_is_replaced_and_nothing_is_lost(api: Host, data1: Host) -> None:
    live, before = api.live(), processes(api)
    idle = api.run(f"find /etc/plane-api/{api.idle()} -type f -newermt '-1 min'")
    with clients_of(api) as clients:
        api.run(f"{ROTATE} plane-api")
    assert clients.failed == {}
    assert clients.requests > 100
    assert stored_wrongly(data1, clients.acknowledged) == []
    assert api.live() == live
    assert not before & processes(api)
    assert api.run(f"find /etc/plane-api/{api.idle()} -type f -newermt '-1 min'") == idle, "the way back stays"
    assert spare_is_gone(api)
    assert api.is_right()


def test_the_same_without_an_instance_that_takes_over_loses_requests(api: Host) -> None:
    with clients_of(api) as clients:
        api.run(f"systemctl restart plane-api@{api.live()}")
    assert clients.failed, "a test that cannot fail proves nothing"


def test_it_begins_when_it_is_due_and_changes_no_colour(api: Host) -> None:
    live, master = api.live(), api.master()
    assert api.succeeds("systemctl is-active plane-api-rotation.timer && systemctl is-enabled plane-api-rotation.timer")
    succeeded(site(api.name, plane_api_max_requests=100, plane_api_max_requests_jitter=20))
    assert (api.live(), api.master()) == (live, master), "the plan of rotations is no reason for a new colour"
    plan: dict[str, Any] = json.loads(api.run("cat /etc/plane-api/rotation.json"))
    assert plan["max_requests"] == 2 * 120

    def ask_whether_it_is_due(max_requests: int) -> int:
        """With no turn to wait for; how many requests have been counted."""
        changed = {**plan, "turns": 1, "turn": 0, "turn_seconds": 60, "max_requests": max_requests}
        api.run("cat >/etc/plane-api/rotation.json", stdin=json.dumps(changed))
        api.run("systemctl start plane-api-rotation.service")
        seen: dict[str, Any] = json.loads(api.run("cat /run/plane-process-model/plane-api.rotation"))
        return int(seen["requests"])

    api.run("systemctl stop plane-api-rotation.timer")
    counted = ask_whether_it_is_due(10**6)
    for _ in range(3):
        api.run(f"curl --fail --silent http://{api.address}:8000/")
    assert ask_whether_it_is_due(counted + 4) == counted + 3
    assert api.master() == master
    ask_whether_it_is_due(counted + 3)
    assert api.live() == live
    assert api.master() != master
    said = api.run("journalctl -u plane-api-rotation -n 20")
    assert f"it has answered {counted + 3} requests, and is replaced after {counted + 3}" in said
    assert verify(api.name).returncode != 0, "the plan was changed by hand"
    succeeded(site(api.name))


@pytest.mark.fault("a rotation whose instance is wrong", said="workers is 1, should be 2", clients="nothing")
def test_a_fresh_instance_that_is_wrong_replaces_nothing(api: Host) -> None:
    before = processes(api)
    api.run(f"sed -i 's/^GUNICORN_WORKERS=.*/GUNICORN_WORKERS=\"1\"/' /etc/plane-api/{api.live()}/environment")
    with clients_of(api) as clients:
        said = api.run(f"{ROTATE} plane-api 2>&1 && echo DONE || true")
    assert "workers is 1" in said
    assert "DONE" not in said
    assert clients.failed == {}
    assert processes(api) == before
    assert spare_is_gone(api)


@pytest.mark.fault(
    "a rotation is killed", said="nothing: the timer finishes it", clients="nothing", recovered="its timer"
)
@pytest.mark.parametrize("moment", ["spare starts", "spare has the traffic"])
def test_one_that_was_killed_is_finished_by_the_next(api: Host, moment: str) -> None:
    socket = "/run/plane-api/spare/gunicorn.sock"
    when = (
        f"test -S {socket}" if moment == "spare starts" else f'test "$(readlink /run/plane-api/live.sock)" = {socket}'
    )
    before = processes(api)
    with clients_of(api) as clients:
        api.run(f"{ROTATE} plane-api >/dev/null 2>&1 & until {when}; do sleep 0.01; done; kill -9 $!")
        api.run("systemctl start plane-api-rotation.service")
    assert clients.failed == {}
    assert spare_is_gone(api)
    assert bool(before & processes(api)) == (moment == "spare starts")
    assert api.is_right()


@pytest.mark.fault(
    "a rotation is killed, and site.yml runs", said="another process answers", clients="nothing", recovered="site.yml"
)
def test_a_change_takes_over_from_one_that_was_killed(api: Host) -> None:
    with clients_of(api) as clients:
        api.run(
            f"systemctl stop plane-api-rotation.timer; {ROTATE} plane-api >/dev/null 2>&1 & "
            f"until {SPARE_HAS_TRAFFIC}; do sleep 0.01; done; kill -9 $!"
        )
        assert verify(api.name).returncode != 0, "the traffic is not where it belongs"
        succeeded(site(api.name))
    assert clients.failed == {}
    assert spare_is_gone(api)
