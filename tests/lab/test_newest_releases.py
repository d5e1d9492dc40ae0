"""The same roles with the newest gunicorn, uvicorn and Django: other packages for the same code are another release."""

from __future__ import annotations

from collections.abc import Iterator

import client
import pytest
from support import Host, load, report, site, succeeded, undo_change

HOSTS = "staging-api2,staging-graphql1"


@pytest.fixture
def back_to_pins(api2: Host, graphql1: Host) -> Iterator[None]:
    yield
    undo_change((api2, "plane-api"), (graphql1, "plane-graphql"))


def test_both_services_run_with_the_newest_packages_and_nothing_is_lost_on_the_way(
    api2: Host, graphql1: Host, back_to_pins: None
) -> None:
    fronts = [f"http://{api2.address}:8000", f"http://{graphql1.address}:8001"]
    with load([(front, client.small(front), 1) for front in fronts], pause=0.1) as clients:
        succeeded(site(HOSTS, plane_release_requirements="requirements/newest.txt"))
    assert clients.failed == {}
    rest = report()["hosts"][api2.name]["plane-api"]
    graphql = report()["hosts"][graphql1.name]["plane-graphql"]
    assert rest["match"]
    assert graphql["match"]
    assert (rest["observed"]["worker_class"], graphql["observed"]["worker_class"]) == ("gthread", "uvicorn")
    assert rest["observed"]["versions"]["gunicorn"].startswith("27.")
    assert rest["observed"]["versions"]["django"].startswith("6.")
    assert "saturation 8+8 before the switch" in rest["evidence"]
    words = graphql1.run(f"tr '\\0' ' ' </proc/{graphql1.master('plane-graphql')}/cmdline")
    assert "uvicorn_worker.UvicornWorker" in words
