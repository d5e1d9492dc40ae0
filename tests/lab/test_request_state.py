"""Request state on a deployed host: what a request finds of one that its thread served before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

import client
import pytest
from support import Host, report, site, succeeded, undo_change

# More than the threads of a host, so that most requests run on a thread that has served others.
REQUESTS = 240
CLIENTS = 12
FRESH = {"query_count": 0, "use_replica": None, "crum_user": None, "time_zone": "UTC"}


def states(host: Host) -> list[dict[str, Any]]:
    """The state at the start of each request; every second one sets a time zone that nobody resets."""

    def ask(number: int) -> dict[str, Any]:
        zone = {"X-Time-Zone": "Asia/Tokyo"} if number % 2 else {}
        headers = {"X-Api-Key": "lab-ada", **zone}
        with urlopen(Request(f"http://{host.address}:8000/api/debug/request-state/", headers=headers)) as answer:
            assert "X-Request-Context" not in answer.headers, "for who verifies, not for clients"
            found: dict[str, Any] = json.loads(answer.read())
            return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(ask, range(REQUESTS)))


@pytest.fixture
def without_isolation(api2: Host) -> Iterator[Host]:
    succeeded(site(api2.name, plane_api_isolate_requests=False))
    yield api2
    undo_change((api2, "plane-api"))
    assert report()["match"]


def test_every_request_starts_fresh(api1: Host) -> None:
    assert [state for state in states(api1) if state != FRESH] == []


def test_without_isolation_requests_start_with_what_others_left(without_isolation: Host) -> None:
    stale = [state for state in states(without_isolation) if state != FRESH]
    assert len(stale) > REQUESTS / 2
    assert any(state["time_zone"] == "Asia/Tokyo" for state in stale), "another user's time zone"
    assert any(state["use_replica"] for state in stale)


def test_the_audit_names_what_the_release_leaves_behind(api1: Host) -> None:
    before = (api1.live(), api1.master())
    asked = {
        "users": {
            "ada": {"X-Api-Key": "lab-ada", "X-Time-Zone": "Asia/Tokyo"},
            "grace": {"X-Api-Key": "lab-grace", "X-Time-Zone": "Europe/Paris"},
        },
        "requests": [{"path": client.SMALL}, {"path": client.ISSUES}],
    }
    api1.run("cat >/root/requests.json", stdin=json.dumps(asked))
    said = api1.run("plane-process-model audit plane-api /root/requests.json")
    rows = {line.split()[0]: line for line in said.splitlines() if "ContextVar" in line}
    assert set(rows) == {
        "plane.middleware.query_count",
        "plane.middleware.replica_routing",
        "django.utils.timezone._active",
    }
    assert "differs" in rows["django.utils.timezone._active"]
    assert f"GET {client.SMALL} (200)" in rows["plane.middleware.query_count"]
    assert "request isolation does not cover 0 of them" in said, "crum resets its thread-local itself"
    assert "Tokyo" not in said, "a value is nobody's business"
    assert (api1.live(), api1.master()) == before
    assert not api1.succeeds("systemctl is-active plane-api-audit")
