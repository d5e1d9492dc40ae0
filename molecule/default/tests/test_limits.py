"""Limits of both colours together, each proved by reaching it: what systemd shows may be in force or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import client
from services import Service
from support import START_THREADS, load, wait_for

MEBIBYTE = 1 << 20
OTHER_COLOUR = "test-of-the-other-colour"


@contextmanager
def other_colour_holds(service: Service, mebibytes: int) -> Iterator[None]:
    """In place of the other colour: a unit in the same slice, with the same user, that holds memory."""
    hold = f"held = b'1' * {mebibytes * MEBIBYTE}; import signal; signal.pause()"
    service.run(
        "systemd-run --quiet --collect --unit=%s --slice=%s.slice --uid=%s python3 -c %s",
        OTHER_COLOUR, service.name, service.name, hold,
    )  # fmt: skip

    def held() -> int:
        return int(service.run("systemctl show -P MemoryCurrent %s", OTHER_COLOUR))

    try:
        wait_for(lambda: held() > mebibytes * MEBIBYTE)
        yield
        assert service.host.service(OTHER_COLOUR).is_running, "the kernel took the process that asked for more"
    finally:
        service.host.run("systemctl stop %s", OTHER_COLOUR)  # it is gone already where it was killed


def test_memory_limit_holds_for_both_colours_together_and_the_service_goes_on(shared: tuple[Service, Service]) -> None:
    api, graphql = shared
    allocate = "/api/debug/allocate/?mebibytes=1400"
    # POST: admission sends nothing again that might have been carried out.
    assert api.ask(allocate, "POST").status == 200, "alone, a colour may have this much of the 2 GiB"
    master, workers, neighbours = api.master, api.workers, graphql.workers
    with other_colour_holds(api, 600), load([("small", client.small(api.door), 2)]) as clients:
        assert api.ask(allocate, "POST").status == 502
        wait_for(lambda: len(api.workers) == 2 and api.workers != workers)
    assert api.master == master
    assert len(set(api.workers) & set(workers)) == 1, "one worker was killed and replaced"
    assert clients.failed == {}
    assert clients.requests > 0
    assert graphql.workers == neighbours


def test_tasks_limit_holds_for_both_colours_together(each: Service) -> None:
    running = int(each.run("systemctl show -P TasksCurrent %s.slice", each.name))
    started = each.run(
        "systemd-run --quiet --collect --wait --pipe --slice=%s.slice --uid=%s python3 -c %s",
        each.name, each.name, START_THREADS,
    )  # fmt: skip
    assert running + int(started) == 256
    assert each.ask("/").status == 200
