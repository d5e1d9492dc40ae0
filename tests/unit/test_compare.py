"""Desired against observed: what is a difference, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest
from process_model.compare import Fact, compare_process, compare_versions

MODEL = {"worker_class": "gthread", "workers": 2, "threads": 8, "worker_connections": None, "preload": "auto"}
DESIRED: dict[str, Any] = {
    "service": "plane-api",
    "environment": "staging",
    "application": "plane.wsgi:application",
    "user": "plane-api",
    "release": {"path": "/srv/plane/releases/a"},
    "limits": {"memory_bytes": 2 << 30},
    "change": "start-first",
    "model": MODEL,
}
FACTS = {
    "worker_class": Fact("gthread", "command line"),
    "workers": Fact(2, "/proc"),
    "threads": Fact(8, "command line"),
    "application": Fact("plane.wsgi:application", "command line"),
    "user": Fact("plane-api", "/proc"),
    "release": Fact("/srv/plane/releases/a", "/proc"),
    "limit memory_bytes": Fact(2 << 30, "cgroup"),
}


def test_what_is_as_desired_is_no_difference() -> None:
    assert compare_process(DESIRED, FACTS) == []


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_is_compared(name: str) -> None:
    (found,) = compare_process(DESIRED, {**FACTS, name: Fact("other", "somewhere")})
    assert found.what == name
    assert f"{name} is other, should be " in found.message
    assert "[somewhere]" in found.message


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_nobody_says_is_a_difference(name: str) -> None:
    (found,) = compare_process(DESIRED, {key: fact for key, fact in FACTS.items() if key != name})
    assert f"{name} is unknown" in found.message


def test_a_value_whose_sources_disagree_is_not_believed() -> None:
    (found,) = compare_process(DESIRED, {**FACTS, "worker_class": Fact("gthread", "command line", agree=False)})
    assert "its sources disagree" in found.message


@pytest.mark.parametrize(
    ("connections", "version", "refused"),
    [(None, "23.0.0", False), (8, "23.0.0", True), (8, "24.1.0", True), (8, "24.1.1", False), (8, "27.0.1", False)],
)
def test_worker_connections_are_refused_where_gunicorn_does_not_bear_them(
    connections: int | None, version: str, refused: bool
) -> None:
    desired = {**DESIRED, "model": {**MODEL, "worker_connections": connections, "max_requests": 0}}
    found = compare_versions(desired, {"gunicorn": version})
    assert bool(found) == refused
    if refused:
        assert f"plane_api_worker_connections is 8, which breaks slots and health checks of gunicorn {version}" in (
            found[0].message
        )


@pytest.mark.parametrize(
    ("worker_class", "max_requests", "version", "refused"),
    [
        ("gthread", 1200, "23.0.0", True),
        ("gthread", 0, "23.0.0", False),
        ("gthread", 1200, "24.1.1", False),
        ("gthread", 1200, "", False),
        ("uvicorn", 1200, "27.0.1", True),
    ],
)
def test_an_instance_that_would_lose_writes_when_it_recycles_takes_no_traffic(
    worker_class: str, max_requests: int, version: str, refused: bool
) -> None:
    desired = {**DESIRED, "model": {**MODEL, "worker_class": worker_class, "max_requests": max_requests}}
    found = compare_versions(desired, {"gunicorn": version})
    assert [mismatch.what for mismatch in found] == (["recycling"] if refused else [])
