"""What is advised for what was observed: the proposal's guidelines, held to the calculator's arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from process_model import sizing
from process_model.advice import (
    FEWER,
    HOSTS,
    KEEP,
    MEMORY,
    MOST_THREADS,
    NOTICED,
    THREADS,
    WORKERS,
    Advice,
    Observed,
    advise,
)  # fmt: skip

# 2 hosts of 2 × 8, 2 slots of each for heavy routes, half busy.
QUIET = Observed(
    worker_class="gthread", hosts=2, workers=2, threads=8, rate=120, held=0.1, slots=14, waited=0.01,
    memory=700 * sizing.MIB, memory_limit=2 * sizing.GIB, processors=0.5, disk=0.01, cpu_limit=2, heavy_slots=2,
)  # fmt: skip


def said(**changes: float) -> Advice:
    return advise(replace(QUIET, **changes), "plane_api")  # type: ignore[arg-type]


def test_what_is_well_is_kept() -> None:
    found = said()
    assert (found.what, found.settings) == (KEEP, [])
    assert "14 slots × 2 hosts: 43% busy" in found.why[0]


def test_requests_that_wait_get_threads() -> None:
    found = said(rate=275, waited=0.6)
    assert found.what == THREADS
    assert found.settings == ["plane_api_threads: 10"]
    assert found.effect[0].startswith("18 slots × 2 hosts: 76% busy")


def test_threads_that_do_not_fit_the_memory_are_hosts() -> None:
    tight = 1830 * sizing.MIB
    assert said(rate=275, waited=0.6, memory=tight).what == THREADS
    found = said(rate=275, waited=0.6, memory=1838 * sizing.MIB)
    assert found.what == HOSTS


def test_more_than_the_most_threads_are_hosts() -> None:
    found = said(rate=600, waited=3.0)
    assert found.what == HOSTS
    assert f"up to {MOST_THREADS} threads" in found.why[-1]
    assert found.settings == ["hosts.yml: 3 more in the group of the service (5 in all)"]
    assert sizing.waiting(600, 0.1, 14 * 5).wait_p99 <= NOTICED < sizing.waiting(600, 0.1, 14 * 4).wait_p99


def test_busy_processors_get_a_worker_where_one_is_free() -> None:
    found = said(processors=0.9, cpu_limit=4)
    assert (found.what, found.settings) == (WORKERS, ["plane_api_workers: 3"])


def test_busy_processors_that_workers_use_all_of_are_hosts() -> None:
    assert said(processors=0.9).what == HOSTS
    assert said(processors=0.9, waited=5.0).what == HOSTS, "threads would wait for the same processors"


def test_processors_that_wait_for_disks_are_no_reason_for_a_worker() -> None:
    assert said(processors=0.9, cpu_limit=4, disk=0.3).what == KEEP


def test_memory_at_its_limit_comes_first() -> None:
    found = said(memory=1.95 * sizing.GIB, processors=0.95, waited=3.0)
    assert (found.what, found.settings[0].split(" #")[0]) == (MEMORY, "plane_api_memory_limit: 3GiB")
    assert said(memory=1.95 * sizing.GIB, heavy_slots=1).what == HOSTS, "few threads: fewer requests for each host"


def test_hosts_that_nobody_needs_can_go_but_two_stay() -> None:
    found = said(hosts=6, rate=60, processors=0.1, memory=300 * sizing.MIB)
    assert (found.what, found.settings) == (FEWER, ["hosts.yml: 4 fewer in the group of the service (2 in all)"])
    assert said(rate=1, processors=0.01).what == KEEP


@pytest.mark.parametrize("rate", [230, 250])
def test_uvicorn_has_slots_and_no_threads(rate: float) -> None:
    found = advise(replace(QUIET, worker_class="uvicorn", threads=0, rate=rate, waited=0.5), "plane_graphql")
    assert found.what == THREADS
    assert found.settings[0].startswith("plane_graphql_slots: ")


def test_an_overload_says_that_the_wait_has_no_end() -> None:
    found = said(rate=600, waited=3.0)
    assert "99 of 100 without end" in found.why[0]
