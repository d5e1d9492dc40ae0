"""What cannot be right is refused before any host changes: variable, value, what is allowed, and where to change it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from support import Host, changed, site

ROUTE = {"name": "all", "path": "^/api/", "slots": 2}


def refused(limit: str = "staging", **variables: Any) -> str:
    """What the run said; it failed in its first play and changed nothing."""
    done = site(limit, **variables)
    assert done.returncode != 0, done.stdout
    assert "Bring every service to its desired process model" not in done.stdout, "a later play was begun"
    assert set(changed(done).values()) <= {0}
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("plane_api_worker_class", "gevent", "is 'gevent'. Allowed: 'gthread', 'uvicorn', ''"),
        ("plane_api_threads", 0, "is 0. Allowed: a whole number from 1 to 512"),
        ("plane_api_workers", "two", "is 'two'. Allowed: a whole number from 1 to 128"),
        ("plane_release_database_url", "", "is ''. Allowed: a value"),
        ("plane_environment", "stagging", "is 'stagging'. Allowed: 'staging', 'cloud', 'commercial', 'community'"),
        (
            "plane_release_source",
            "/nowhere/plane",
            "is '/nowhere/plane'. Allowed: a directory or an archive that",
        ),
        ("plane_api_port", 80, "is 80. Allowed: a whole number from 1024 to 65535"),
        ("plane_api_memory_limit", "100MiB", "is '100MiB'. Allowed: at least 2 workers × 140 MiB"),
        ("plane_api_heavy_routes", [{**ROUTE, "slots": 0}], "is 0. Allowed: slots of route all a whole number from 1"),
        ("plane_api_heavy_routes", [{**ROUTE, "slots": 16}], "is '16 slots'. Allowed: slots that leave some of"),
        (
            "plane_api_heavy_routes",
            [{**ROUTE, "path": "^/("}],
            "is '^/('. Allowed: a path that is a regular",
        ),
        ("plane_api_listen_address", str(IPv4Address(0)), "is '0.0.0.0'. Allowed: one address of the host"),
        ("plane_api_rotation_window", "01:00-01:02", "is 01:00-01:02, too short for 2 hosts"),
        ("plane_api_thread", 4, "is 4. Allowed: a known variable; the nearest is plane_api_threads"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused(variable: str, value: Any, said: str) -> None:
    text = " ".join(refused(**{variable: value}).split())
    assert f"{variable} {said}" in text
    assert "Change it in inventories/" in text


def test_a_published_key_is_refused_outside_staging() -> None:
    key = "60gp0byfz2dvffa45cxl20p1scy9xbpf6d8c5y0geejgkyp1b5"
    text = refused(plane_environment="community", plane_release_secret_key=key)
    assert "plane_release_secret_key is (hidden). Allowed: a secret of your own" in " ".join(text.split())
    assert key not in text


def test_a_run_that_spans_two_environments_is_refused() -> None:
    assert "this run spans the environments community, staging" in refused("staging:community")


@pytest.fixture
def intruder(api1: Host) -> Iterator[int]:
    """A port that something else listens on."""
    port = 18055
    api1.run(f"cd /tmp && systemd-run --quiet --unit=lab-intruder python3 -m http.server --bind {api1.address} {port}")
    api1.run(f"until ss -ltn | grep -q :{port}; do sleep 0.1; done")
    yield port
    api1.run("systemctl stop lab-intruder")


@pytest.mark.fault("the port is taken before the first run", said="the process that has it")
def test_a_port_that_something_else_listens_on_is_refused(intruder: int) -> None:
    text = " ".join(refused(plane_api_port=intruder).split())
    assert f"plane_api_port is {intruder}, which process" in text
    assert "lab-intruder.service listens on. Allowed: a free port" in text
    assert "Stop it, or change the port in inventories/staging/group_vars/staging/" in text


def test_an_address_that_is_no_address_of_the_host_is_refused() -> None:
    text = " ".join(refused(plane_api_listen_address="192.0.2.77").split())
    assert "plane_api_listen_address is 192.0.2.77, which is no address of this host" in text
